//! The management API as those see it who mean no good: every path there is, wrong credentials,
//! paths that climb, and requests that are too large, too many-headed or too slow.

use crate::certificates::Authority;
use crate::tls::secure;
use crate::tunnel::Client;
use rustix::net::{AddressFamily, SocketType, bind, socket};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
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
    /// In small letters.
    pub(crate) head: String,
    /// What the client is to keep, as it came.
    pub(crate) cookie: String,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
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

/// Connects from this address of this machine: who fails to log in time and again is kept waiting
/// by the address.
fn connect_from(source: Ipv4Addr, address: &str) -> TcpStream {
    let address: SocketAddrV4 = address.parse().expect("an address");
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    bind(&socket, &SocketAddrV4::new(source, 0)).expect("all of 127.0.0.0/8 is this machine's");
    rustix::net::connect(&socket, &address).expect("the API listens where it says");
    let stream = TcpStream::from(socket);
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
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
    let cookie = cookie.unwrap_or_default().to_owned();
    let head = head.to_lowercase();
    let is_chunked = head.contains("transfer-encoding: chunked");
    let body = if is_chunked { joined(body) } else { body.to_owned() };
    Response { status, head, cookie, body }
}

/// The pieces of a body (RFC 9112, 7.1), which are ASCII here, as one. Ends with what is there.
fn joined(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((len, behind)) = rest.split_once("\r\n")
        && let Ok(len @ 1..) = usize::from_str_radix(len, 16)
        && let Some((piece, behind)) = behind.split_at_checked(len)
    {
        body.push_str(piece);
        rest = behind.trim_start_matches("\r\n");
    }
    body
}

pub(crate) fn request(
    broker: &Broker,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Response {
    request_on(connect(broker), method, path, headers, body)
}

fn request_on(stream: TcpStream, method: &str, path: &str, headers: &str, body: &str) -> Response {
    let len = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
    exchange_on(stream, format!("{head}Content-Length: {len}\r\n{headers}\r\n{body}").as_bytes())
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
fn a_long_list_comes_in_pieces_and_has_each_queue_once() {
    const STEADY: usize = 1200;
    let broker = managed();
    let queues: Vec<_> =
        (0..STEADY).map(|n| json!({ "name": format!("s{n:04}"), "vhost": "/" })).collect();
    let body = json!({ "queues": queues }).to_string();
    assert_eq!(request(&broker, "POST", "/api/definitions", GUEST, &body).status, 204);
    let mut client = Connection::open(&broker.address()).expect("guest may connect");
    client.open_channel(1).expect("a channel opens");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        // Others come and go, between the steady ones.
        scope.spawn(|| {
            for n in (0..STEADY).cycle() {
                let queue = format!("s{n:04}x");
                client.send(1, "Queue.Declare", &json!({ "queue": queue }));
                client.expect("Queue.DeclareOk").expect("is declared");
                client.send(1, "Queue.Delete", &json!({ "queue": queue }));
                client.expect("Queue.DeleteOk").expect("is deleted");
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        for (query, is_reverse) in [
            ("", false),
            ("?columns=name", false),
            ("?sort=name&sort_reverse=true&columns=name", true),
            ("?disable_stats=true", false),
        ] {
            let answer = request(&broker, "GET", &format!("/api/queues{query}"), GUEST, "");
            assert!(answer.head.contains("transfer-encoding: chunked"), "{}", answer.head);
            let list = answer.json();
            let names = list.as_array().expect("a list").iter();
            let names: Vec<_> = names.map(|row| row["name"].as_str().expect("a name")).collect();
            let is_before =
                |pair: &[&str]| if is_reverse { pair[0] > pair[1] } else { pair[0] < pair[1] };
            assert!(names.windows(2).all(is_before), "{query}: in order, and none twice");
            let steady = names.iter().filter(|name| !name.ends_with('x')).count();
            assert_eq!(steady, STEADY, "{query}");
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let none = request(&broker, "GET", "/api/queues/none", GUEST, "");
    assert_eq!(none.status, 404);
    assert_eq!(request(&broker, "PUT", "/api/vhosts/empty", GUEST, "").status, 201);
    assert_eq!(request(&broker, "GET", "/api/queues/empty", GUEST, "").json(), json!([]));
}

#[test]
fn other_long_lists_come_in_pieces_too_and_are_whole_and_in_order() {
    const MANY: usize = 700;
    let broker = managed();
    let name = |n: usize| format!("n{n:04}");
    let queues: Vec<_> = (0..MANY).map(|n| json!({ "name": name(n), "vhost": "/" })).collect();
    let exchanges: Vec<_> = (0..MANY)
        .map(|n| json!({ "name": format!("e{n:04}"), "vhost": "/", "type": "fanout" }))
        .collect();
    let bindings = (0..MANY).map(|n| {
        json!({
            "source": if n < 600 { "amq.direct".into() } else { format!("e{n:04}") },
            "vhost": "/", "destination": name(n), "destination_type": "queue",
            "routing_key": name(n), "arguments": { "n": n },
        })
    });
    let bindings: Vec<_> = bindings.collect();
    let body = json!({ "queues": queues, "exchanges": exchanges, "bindings": bindings });
    let made = request(&broker, "POST", "/api/definitions", GUEST, &body.to_string());
    assert_eq!(made.status, 204);
    let get = |path: &str, is_long: bool| {
        let answer = request(&broker, "GET", path, GUEST, "");
        assert_eq!(answer.head.contains("transfer-encoding: chunked"), is_long, "{path}");
        answer.json()
    };
    let texts = |rows: &Value, column: &str| -> Vec<String> {
        let rows = rows.as_array().expect("a list").iter();
        rows.map(|row| row[column].as_str().expect("a text").to_owned()).collect()
    };

    let rows = get("/api/bindings", true);
    assert_eq!(rows.as_array().map(Vec::len), Some(2 * MANY), "those of the default exchange too");
    assert!(texts(&rows, "source").is_sorted());
    let mut made: Vec<_> = texts(&rows, "destination").split_off(MANY);
    made.sort();
    assert!(made.into_iter().eq((0..MANY).map(name)));
    let one = rows.as_array().and_then(|rows| rows.last()).expect("there are some");
    let keys = ["source", "vhost", "destination", "destination_type", "routing_key", "arguments"];
    assert!(keys.iter().all(|key| !one[*key].is_null()) && one["properties_key"].is_string());
    let reversed =
        get("/api/bindings?sort=destination&sort_reverse=true&columns=destination", true);
    assert_eq!(reversed[0], json!({ "destination": name(MANY - 1) }));
    let page = get("/api/bindings/%2F?page=2&page_size=3&name=amq.direct", false);
    assert_eq!((&page["filtered_count"], &page["item_count"]), (&json!(600), &json!(3)));
    let of_source = get("/api/exchanges/%2F/amq.direct/bindings/source", true);
    assert_eq!(of_source.as_array().map(Vec::len), Some(600));
    assert_eq!(of_source[0]["you_may"], json!(["unbind"]));

    let names = texts(&get("/api/exchanges/%2F", true), "name");
    assert!(names.is_sorted() && names.len() > MANY);
    assert_eq!(get("/api/exchanges?page=1&page_size=2&name=e0", false)["filtered_count"], MANY);
    let by_count = get("/api/queues?sort=messages&sort_reverse=true&columns=name,messages", true);
    assert!(texts(&by_count, "name").into_iter().eq((0..MANY).rev().map(name)));

    let all = get("/api/definitions", true);
    assert_eq!(texts(&all["queues"], "name"), (0..MANY).map(name).collect::<Vec<_>>());
    assert_eq!(all["exchanges"].as_array().map(Vec::len), Some(MANY));
    assert_eq!(all["bindings"].as_array().map(Vec::len), Some(MANY));
    assert_eq!(texts(&all["users"], "name"), ["guest"]);
    let of_vhost = get("/api/definitions/%2F", true);
    let is_told = |kind: &str| {
        of_vhost[kind].as_array().expect("a list").iter().all(|one| one["vhost"].is_string())
    };
    assert!(!["queues", "exchanges", "bindings"].into_iter().any(is_told));
    assert_eq!(request(&broker, "DELETE", "/api/vhosts/%2F", GUEST, "").status, 204);
    assert_eq!(request(&broker, "PUT", "/api/vhosts/%2F", GUEST, "").status, 201);
    assert_eq!(get("/api/queues", false), json!([]));
    let body = all.to_string();
    assert_eq!(request(&broker, "POST", "/api/definitions", GUEST, &body).status, 204);
    assert_eq!(get("/api/definitions", true), all, "what was exported makes the same");
}

#[test]
fn every_path_refuses_no_and_wrong_credentials() {
    let broker = managed();
    let address = broker.management().expect("was set up with it");
    for (number, (method, path)) in operations(&broker).into_iter().enumerate() {
        let source = Ipv4Addr::from(0x7f01_0001 + number as u32);
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
            let stream = connect_from(source, &address);
            let response = request_on(stream, &method, &path, headers, "{}");
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

/// guest:wrong
const WRONG: &str = "Authorization: Basic Z3Vlc3Q6d3Jvbmc=\r\n";

#[test]
fn who_fails_time_and_again_is_kept_waiting_also_when_trying_side_by_side() {
    let broker = managed();
    let address = broker.management().expect("was set up with it");
    let guess = |source: Ipv4Addr, headers: &str| {
        let begin = Instant::now();
        let stream = connect_from(source, &address);
        let response = request_on(stream, "GET", "/api/whoami", headers, "");
        (response.status, begin.elapsed())
    };
    let (attacker, other) = (Ipv4Addr::new(127, 2, 0, 1), Ipv4Addr::new(127, 2, 0, 2));
    for _ in 0..3 {
        assert_eq!(guess(attacker, WRONG).0, 401);
    }
    let (status, took) = guess(attacker, WRONG);
    assert_eq!(status, 401);
    assert!(took >= Duration::from_millis(250), "{took:?}");
    // 500 ms, 1 s, 2 s, and 4 s for all others; and eight at once.
    let begin = Instant::now();
    let right = thread::scope(|scope| {
        for _ in 0..9 {
            scope.spawn(|| assert_eq!(guess(attacker, WRONG).0, 401));
        }
        thread::sleep(Duration::from_millis(200));
        let (status, took) = guess(other, GUEST);
        assert!(status == 200 && took < Duration::from_secs(2), "{status} {took:?}");
        guess(attacker, GUEST)
    });
    assert_eq!(right.0, 200, "a place was free for it in the end");
    assert!(right.1 >= Duration::from_millis(250), "{right:?}");
    assert!(begin.elapsed() >= Duration::from_secs(4), "{:?}", begin.elapsed());
    broker.wait_for_log("wrong password");
}

#[test]
fn changes_and_refusals_are_in_the_log_with_who_and_what_and_no_secret() {
    let broker = Setup::new().managed().flag("--log-format", "json").start();
    let body = json!({"password": "hunter2", "tags": "administrator"}).to_string();
    let headers = format!("{GUEST}X-Reason: she is new\r\n");
    assert_eq!(request(&broker, "PUT", "/api/users/al%2Fice", &headers, &body).status, 201);
    assert_eq!(request(&broker, "DELETE", "/api/users/nobody", GUEST, "").status, 404);
    assert_eq!(request(&broker, "GET", "/api/users", GUEST, "").status, 200);
    let secret = "/api/auth/hash_password/hunter2";
    assert_eq!(request(&broker, "GET", secret, WRONG, "").status, 401);
    assert_eq!(request(&broker, "PUT", "/api/queues/%2F/q", GUEST, "{}").status, 201);
    let publish = json!({"properties": {}, "routing_key": "q", "payload": "hunter2",
        "payload_encoding": "string"});
    let path = "/api/exchanges/%2F/amq.default/publish";
    assert_eq!(request(&broker, "POST", path, GUEST, &publish.to_string()).status, 200);
    broker.wait_for_log("/api/queues/%2F/q");
    let log = broker.log();
    let records: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect();
    let audit: Vec<_> = records.iter().filter(|record| record["message"] == "audit").collect();
    let told = |key: &str| audit.iter().map(|one| one[key].to_string()).collect::<Vec<_>>();
    assert_eq!(
        told("action"),
        [
            "\"PUT /api/users/al%2Fice\"",
            "\"DELETE /api/users/nobody\"",
            "\"PUT /api/queues/%2F/q\"",
        ]
    );
    assert_eq!(told("result"), ["201", "404", "201"]);
    assert_eq!(told("user"), ["\"guest\""; 3]);
    assert!(audit.iter().all(|one| one["peer"].to_string().contains("127.0.0.1:")));
    assert_eq!(audit[0]["reason"], "she is new");
    let denied = records.iter().find(|record| record["message"] == "HTTP access denied");
    assert_eq!(denied.expect("is there")["path"], "/api/auth/hash_password/***");
    assert!(!log.contains("hunter2"), "{log}");
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
        "/api",
        "/api/",
        "/assets",
        "/assets/",
        "/assets/../Cargo.toml",
        "/assets/%2e%2e/Cargo.toml",
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
