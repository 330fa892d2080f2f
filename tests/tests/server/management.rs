//! The management API as those see it who mean no good: every path there is, wrong credentials,
//! paths that climb, and requests that are too large, too many-headed or too slow.

use crate::certificates::Authority;
use crate::tls::secure;
use crate::tunnel::Client;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use warren_tests::broker::Broker;
use warren_tests::client::Connection;
use warren_tests::setup::Setup;

/// guest:guest
pub(crate) const GUEST: &str = "Authorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n";

/// How long a request may take to arrive, and how much later a busy machine may notice.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const LATE: Duration = Duration::from_secs(8);

/// What came back.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn managed() -> Broker {
    Setup::new().managed().start()
}

fn connect(broker: &Broker) -> TcpStream {
    connect_to(&broker.management().expect("was set up with it"))
}

pub(crate) fn connect_to(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the API listens where it says");
    stream.set_read_timeout(Some(HEAD_TIMEOUT + LATE)).expect("a time that is not zero");
    stream
}

/// Sends this and reads until the connection ends.
fn exchange(broker: &Broker, request: &[u8]) -> Response {
    exchange_on(connect(broker), request)
}

pub(crate) fn exchange_on(mut stream: TcpStream, request: &[u8]) -> Response {
    // What is too much may be answered before all of it was sent.
    let _ = stream.write_all(request);
    let mut bytes = Vec::new();
    // A reset may come behind such an answer.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Response { status, head: head.to_lowercase(), body: body.to_owned() }
}

fn request(broker: &Broker, method: &str, path: &str, headers: &str, body: &str) -> Response {
    let len = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
    exchange(broker, format!("{head}Content-Length: {len}\r\n{headers}\r\n{body}").as_bytes())
}

/// Every path and method there is, with something in the place of parameters.
fn operations(broker: &Broker) -> Vec<(String, String)> {
    let description = request(broker, "GET", "/api/openapi.json", GUEST, "").json();
    let paths = description["paths"].as_object().expect("has paths");
    let mut operations = Vec::new();
    for (path, methods) in paths {
        let part = |part: &str| if part.starts_with('{') { "x".into() } else { part.to_owned() };
        let path: Vec<_> = path.split('/').map(part).collect();
        let methods = methods.as_object().expect("is an object").keys();
        let methods = methods.filter(|method| *method != "parameters");
        operations.extend(methods.map(|method| (method.to_uppercase(), path.join("/"))));
    }
    assert!(operations.len() > 80, "{}", operations.len());
    operations
}

#[test]
fn every_path_refuses_no_and_wrong_credentials() {
    let broker = managed();
    for (method, path) in operations(&broker) {
        for headers in [
            "",
            // guest:wrong, nobody:guest, no base64, no colon, nothing, another scheme
            "Authorization: Basic Z3Vlc3Q6d3Jvbmc=\r\n",
            "Authorization: Basic bm9ib2R5Omd1ZXN0\r\n",
            "Authorization: Basic !!!\r\n",
            "Authorization: Basic Z3Vlc3Q=\r\n",
            "Authorization: Basic\r\n",
            "Authorization: Bearer Z3Vlc3Q6Z3Vlc3Q=\r\n",
        ] {
            let response = request(&broker, &method, &path, headers, "{}");
            assert_eq!(response.status, 401, "{method} {path} {headers}");
            assert_eq!(response.json()["error"], "not_authorized");
            assert!(response.head.contains("www-authenticate: basic realm="), "{response:?}");
        }
    }
}

#[test]
fn every_path_refuses_users_without_the_tags_for_it() {
    let broker = managed();
    let names = ["none", "management", "policymaker", "monitoring"];
    for name in names {
        let tag = if name == "none" { "mine" } else { name };
        let body = json!({"password": name, "tags": tag}).to_string();
        let made = request(&broker, "PUT", &format!("/api/users/{name}"), GUEST, &body);
        assert_eq!(made.status, 201, "{made:?}");
    }
    let credentials = [
        "Authorization: Basic bm9uZTpub25l\r\n",
        "Authorization: Basic bWFuYWdlbWVudDptYW5hZ2VtZW50\r\n",
        "Authorization: Basic cG9saWN5bWFrZXI6cG9saWN5bWFrZXI=\r\n",
        "Authorization: Basic bW9uaXRvcmluZzptb25pdG9yaW5n\r\n",
    ];
    let description = request(&broker, "GET", "/api/openapi.json", GUEST, "").json();
    for (method, path) in operations(&broker) {
        let described = described(&description, &method, &path);
        let tags = described["x-tags-any-of"].as_array().expect("says who may").clone();
        assert!(tags.contains(&json!("administrator")), "{method} {path}");
        for (name, headers) in names.into_iter().zip(credentials) {
            let response = request(&broker, &method, &path, headers, "{}");
            let is_refused = response.status == 401;
            assert!(is_refused || tags.contains(&json!(name)), "{method} {path}: {name}");
            let changes = method != "GET" && response.status < 300;
            // Exporting and closing nothing are all that is done to no object at all.
            let is_harmless = path.starts_with("/api/connections/username");
            assert!(!changes || is_harmless, "{method} {path}: {name}: {response:?}");
        }
    }
}

/// What is said of an operation, by a path with something in the place of parameters.
fn described<'a>(description: &'a Value, method: &str, path: &str) -> &'a Value {
    let paths = description["paths"].as_object().expect("has paths");
    let is_it = |template: &str| {
        let parts = template.split('/').zip(path.split('/'));
        let count = template.split('/').count() == path.split('/').count();
        count && parts.into_iter().all(|(own, given)| own == given || own.starts_with('{'))
    };
    let exact = |template: &&String| {
        template.split('/').zip(path.split('/')).filter(|(own, given)| own == given).count()
    };
    let found = paths.keys().filter(|template| is_it(template)).max_by_key(exact);
    &paths[found.expect("is described")][method.to_lowercase()]
}

#[test]
fn a_method_that_a_path_does_not_have_is_told_which_it_has() {
    let broker = managed();
    let response = request(&broker, "PATCH", "/api/overview", GUEST, "{}");
    assert_eq!(response.status, 405);
    assert!(response.head.contains("allow: head, get, options"), "{}", response.head);
    let response = request(&broker, "OPTIONS", "/api/queues/x/y", "", "");
    assert_eq!(response.status, 200);
    assert!(response.head.contains("allow: head, get, put, delete, options"));
}

#[test]
fn no_path_leads_out_of_the_table() {
    let broker = managed();
    for path in [
        "/",
        "/api",
        "/api/",
        "//api/overview",
        "/api//overview",
        "/api/overview/",
        "/api/../../etc/passwd",
        "/api/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "/api/queues/%2e%2e/%2e%2e",
        "/api/queues/%ff/q",
        "/api/nodes/..%2f..%2fetc%2fpasswd",
        "/api/overview%00",
    ] {
        let response = request(&broker, "GET", path, GUEST, "");
        assert_eq!(response.status, 404, "{path}: {response:?}");
    }
}

#[test]
fn what_is_too_large_is_refused_and_costs_nothing() {
    let broker = managed();
    let before = broker.resident_kb();
    let path = "/api/policies/%2F/p";
    let large = format!("{{\"pattern\":\"{}\"}}", "x".repeat(2 << 20));
    let response = request(&broker, "PUT", path, GUEST, &large);
    assert_eq!(response.status, 400, "{response:?}");
    assert!(response.body.contains("Exceeded HTTP request body size limit"));
    let chunked = format!(
        "PUT {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\
         {GUEST}\r\n{:x}\r\n{large}\r\n0\r\n\r\n",
        large.len()
    );
    assert_eq!(exchange(&broker, chunked.as_bytes()).status, 400);
    let long = format!("GET /api/overview?x={} HTTP/1.1\r\nHost: x\r\n\r\n", "y".repeat(200_000));
    assert!([414, 431].contains(&exchange(&broker, long.as_bytes()).status));
    let flood: String = (0..1000).map(|n| format!("X-{n}: y\r\n")).collect();
    assert_eq!(request(&broker, "GET", "/api/overview", &flood, "").status, 431);
    let wide = format!("X: {}\r\n", "y".repeat(200_000));
    assert_eq!(request(&broker, "GET", "/api/overview", &wide, "").status, 431);
    // Of somebody who is not let in nothing is read.
    let unread = format!("PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n");
    assert_eq!(exchange(&broker, unread.as_bytes()).status, 401);
    let grown = broker.resident_kb().saturating_sub(before);
    assert!(grown < 16_384, "{grown} kB more than before");
}

#[test]
fn what_is_no_json_and_no_http_is_refused() {
    let broker = managed();
    for body in ["{", "[1]", "7", "\"{}\"", "{\"pattern\":\"\\ud800\"}", &"[".repeat(10_000)] {
        let response = request(&broker, "PUT", "/api/policies/%2F/p", GUEST, body);
        assert_eq!(response.status, 400, "{body}");
        assert_eq!(response.json()["error"], "bad_request");
    }
    assert_eq!(exchange(&broker, b"AMQP\x00\x00\x09\x01\r\n\r\n").status, 400);
    let both = "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n";
    let smuggled = format!(
        "POST /api/definitions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{both}{GUEST}\r\n\
         0\r\n\r\nGET /api/overview HTTP/1.1\r\nHost: x\r\n{GUEST}\r\n"
    );
    let answer = exchange(&broker, smuggled.as_bytes());
    assert!(!answer.body.contains("management_version"), "{answer:?}");
}

#[test]
fn who_is_slow_is_not_waited_for_and_holds_nobody_up() {
    let broker = managed();
    let start = Instant::now();
    let mut slow: Vec<_> = (0..100)
        .map(|_| {
            let mut stream = connect(&broker);
            stream.write_all(b"GET /api/overview HTTP/1.1\r\nHost: ").expect("is connected");
            stream
        })
        .collect();
    assert_eq!(request(&broker, "GET", "/api/whoami", GUEST, "").status, 200);
    let mut amqp = Connection::open(&broker.address()).expect("clients of AMQP notice nothing");
    amqp.open_channel(1).expect("a channel opens");
    amqp.send(1, "Queue.Declare", &json!({"queue": "q"}));
    amqp.expect("Queue.DeclareOk").expect("is declared");
    for stream in &mut slow {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("is ended in time");
    }
    let waited = start.elapsed();
    assert!(waited > HEAD_TIMEOUT - Duration::from_secs(1), "only {waited:?}");
}

#[test]
fn the_api_is_there_with_tls() {
    let authority = Authority::new();
    let setup = secure(&authority.server("server")).managed();
    let setup = setup.flag("--set", "management.ssl.port=0");
    let broker = setup.flag("--set", "management.ssl.ip=127.0.0.1").start();
    let (_, rest) = broker.startup_line().split_once("https://").expect("says where");
    let end = rest.find([',', ' ']).unwrap_or(rest.len());
    let tunnel = Client::of(&authority).tunnel(&rest[..end].parse().expect("an address"));
    let whoami = format!("GET /api/whoami HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{GUEST}\r\n");
    let answer = exchange_on(connect_to(&tunnel.socket), whoami.as_bytes());
    assert_eq!(answer.json()["name"], "guest");
    let plain = exchange_on(connect_to(&rest[..end]), whoami.as_bytes());
    assert_eq!((plain.status, &*plain.body), (0, ""), "without TLS nothing is said");
    assert_eq!(request(&broker, "GET", "/api/whoami", GUEST, "").status, 200);
}

#[test]
fn sessions_of_requests_leave_nothing_behind() {
    let broker = managed();
    for round in 0..50 {
        let queue = format!("/api/queues/%2F/q{round}");
        assert_eq!(request(&broker, "PUT", &queue, GUEST, "{\"durable\":true}").status, 201);
        let refused = request(&broker, "PUT", &queue, GUEST, "{\"durable\":false}");
        assert_eq!(refused.status, 400, "{refused:?}");
        assert_eq!(request(&broker, "DELETE", &queue, GUEST, "").status, 204);
    }
    let overview = request(&broker, "GET", "/api/overview", GUEST, "").json();
    let end = Instant::now() + LATE;
    while open_files(&broker) > 100 {
        assert!(Instant::now() < end, "{} files are open", open_files(&broker));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(overview["object_totals"]["queues"], 0);
    let connections = request(&broker, "GET", "/api/connections", GUEST, "").json();
    assert_eq!(connections, json!([]), "sessions of requests are no clients");
}

fn open_files(broker: &Broker) -> usize {
    let dir = format!("/proc/{}/fd", broker.pid());
    std::fs::read_dir(dir).expect("a process that runs has files").count()
}
