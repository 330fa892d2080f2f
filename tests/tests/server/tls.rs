//! TLS: who is let in, and certificates that change while clients are connected.

use crate::certificates::{Authority, Identity};
use crate::tunnel::Client;
use crate::{LATE, PROTOCOL_HEADER, start_ok};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use warren_tests::broker::{run, target_dir};
use warren_tests::client::{Address, Arrival, Connection};
use warren_tests::setup::Setup;
use warren_tests::wire::{self, Frame};

#[test]
fn clients_speak_tls_1_2_and_1_3_and_plain_beside_it() {
    let authority = Authority::new();
    let broker = secure(&authority.server("server")).start();
    let address = broker.secure_address();
    for version in [&TLS12, &TLS13] {
        let tunnel = Client::of_version(&authority, version).tunnel(&address);
        Connection::open(&tunnel).expect("guest may connect").open_channel(1).expect("opens");
    }
    Connection::open(&broker.address()).expect("guest may connect without TLS");
    let mut plain = Connection::plain(&address).expect("anyone may connect");
    plain.send_bytes(&PROTOCOL_HEADER);
    let frames = plain.read_to_end(LATE).expect("this is no TLS");
    assert!(frames.is_empty(), "{frames:?}");
    broker.wait_for_log("connection refused");
}

#[test]
fn a_version_that_is_not_wanted_is_not_spoken() {
    let authority = Authority::new();
    let setup = secure(&authority.server("server"));
    let broker = setup.flag("--set", "ssl_options.versions.1=tlsv1.3").start();
    let address = broker.secure_address();
    let old = Client::of_version(&authority, &TLS12).tunnel(&address);
    Connection::open(&old).expect_err("1.2 is not spoken");
    let new = Client::of_version(&authority, &TLS13).tunnel(&address);
    Connection::open(&new).expect("1.3 is");
}

#[test]
fn much_goes_through_in_both_directions_at_once() {
    const MESSAGES: usize = 200;
    let authority = Authority::new();
    let broker = secure(&authority.server("server")).start();
    let tunnel = Client::of(&authority).tunnel(&broker.secure_address());
    let mut client = Connection::open(&tunnel).expect("guest may connect");
    client.open_channel(1).expect("a channel opens");
    client.send(1, "Queue.Declare", &json!({"queue": "q", "exclusive": true}));
    client.expect("Queue.DeclareOk").expect("is declared");
    client.send(1, "Basic.Consume", &json!({"queue": "q", "no_ack": true}));
    client.expect("Basic.ConsumeOk").expect("consumes");
    let body: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
    let publish = wire::publish(1, &json!({"routing_key": "q"}), &Value::Null, &body);
    for _ in 0..MESSAGES {
        client.send_bytes(&publish);
        client.read_more(Duration::ZERO);
    }
    let (mut bodies, end) = (Vec::new(), Instant::now() + Duration::from_secs(30));
    while bodies.len() < MESSAGES * body.len() && Instant::now() < end {
        for arrival in client.arrivals(Duration::from_secs(1)) {
            if let Arrival::Frame(Frame::Body { text, .. }) = arrival {
                bodies.extend(text.chars().map(|byte| byte as u8));
            }
        }
    }
    assert_eq!(bodies.len(), MESSAGES * body.len());
    assert!(bodies.chunks(body.len()).all(|received| received == body));
}

#[test]
fn clients_without_a_certificate_that_is_trusted_are_not_let_in_where_one_is_asked_for() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let broker = verifying(&authority).start();
    let address = broker.secure_address();
    let open = |client: Client| Connection::open(&client.tunnel(&address));
    open(Client::of(&authority)).expect_err("has no certificate");
    open(Client::with(&authority, &stranger.client("bunny"))).expect_err("is not trusted");
    open(Client::with(&authority, &authority.server("other"))).expect_err("is no client's");
    open(Client::with(&authority, &authority.client("bunny"))).expect("is trusted");
}

#[test]
fn a_certificate_is_a_login() {
    let authority = Authority::new();
    let from_subject = ["default_user=O=Warren,CN=bunny", "ssl_cert_login_from=distinguished_name"];
    let from_common_name = ["default_user=bunny", "ssl_cert_login_from=common_name"];
    let from_host = ["default_user=localhost", "ssl_cert_login_from=subject_alternative_name"];
    for [user, from] in [from_subject, from_common_name, from_host] {
        let broker = verifying(&authority).flag("--set", user).flag("--set", from).start();
        let tunnel = Client::with(&authority, &authority.client("bunny"));
        let mut client = presented(&tunnel.tunnel(&broker.secure_address()));
        client.expect("Connection.Tune").unwrap_or_else(|why| panic!("{user}: {why}"));
    }
    let broker = verifying(&authority).flag("--set", "default_user=bunny").start();
    let stranger = Client::with(&authority, &authority.client("fox"));
    let mut client = presented(&stranger.tunnel(&broker.secure_address()));
    let close = client.expect("Connection.Close").expect("there is no such user");
    assert_eq!(close["reply_code"], 403);
}

#[test]
fn a_certificate_is_replaced_on_sighup_and_who_is_connected_stays() {
    let (authority, next) = (Authority::new(), Authority::new());
    let identity = authority.server("server");
    let broker = secure(&identity).start();
    let address = broker.secure_address();
    let (old, new) = (Client::of(&authority).tunnel(&address), Client::of(&next).tunnel(&address));
    let mut connected = Connection::open(&old).expect("the certificate is trusted");
    Connection::open(&new).expect_err("the certificate is not trusted yet");
    replace(&identity, &next.server("server"));
    broker.signal(Signal::HUP);
    broker.wait_for_log("the configuration was read again");
    Connection::open(&new).expect("the new certificate is trusted");
    Connection::open(&old).expect_err("the old one is not shown any more");
    connected.open_channel(1).expect("who was there is there");
    // A certificate that cannot be used does not take the place of one that can.
    fs::write(&identity.key, "no key").expect("can be written");
    broker.signal(Signal::HUP);
    broker.wait_for_log("the certificate stays as it was");
    Connection::open(&new).expect("the certificate is still there");
}

#[test]
fn a_client_that_says_nothing_is_not_waited_for() {
    let authority = Authority::new();
    let setup = secure(&authority.server("server"));
    let broker = setup.flag("--set", "ssl_handshake_timeout=300").start();
    let address = broker.secure_address();
    let mut silent: Vec<_> =
        (0..50).map(|_| Connection::plain(&address).expect("anyone may connect")).collect();
    let tunnel = Client::of(&authority).tunnel(&address);
    Connection::open(&tunnel).expect("others are served meanwhile");
    for connection in &mut silent {
        connection.read_to_end(LATE).expect("nobody is waited for");
    }
}

#[test]
fn files_that_cannot_be_used_are_one_sentence() {
    let (authority, scratch) = (Authority::new(), TempDir::new().expect("can be made"));
    let (one, other) = (authority.server("one"), authority.server("other"));
    let none = scratch.path().join("none.pem");
    let empty = scratch.path().join("empty.pem");
    fs::write(&empty, "").expect("can be written");
    let refused = |certificate: &Path, key: &Path| {
        let text = format!(
            "listeners.tcp = none\nlisteners.ssl.1 = 127.0.0.1:0\n\
             ssl_options.certfile = {}\nssl_options.keyfile = {}\n",
            certificate.display(),
            key.display()
        );
        let file = scratch.path().join("warren.conf");
        fs::write(&file, text).expect("can be written");
        let ended = run(&["config".as_ref(), "check".as_ref(), file.as_ref()]);
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
        ended.stderr
    };
    assert!(refused(&none, &one.key).contains("none.pem cannot be read: No such file"));
    assert!(refused(&empty, &one.key).contains("empty.pem has no certificate"));
    assert!(refused(&one.certificate, &empty).contains("empty.pem has no private key"));
    let error = refused(&one.certificate, &other.key);
    assert!(error.contains("other.key is not that of the certificate in "), "{error}");
}

#[test]
fn the_management_api_may_have_a_certificate_of_its_own() {
    let (authority, other) = (Authority::new(), Authority::new());
    let own = other.server("management");
    let set = |key: &str, file: &Path| format!("management.ssl.{key}={}", file.display());
    let broker = secure(&authority.server("server"))
        .flag("--set", "management.ssl.port=0")
        .flag("--set", "management.ssl.ip=127.0.0.1")
        .flag("--set", &set("certfile", &own.certificate))
        .flag("--set", &set("keyfile", &own.key))
        .start();
    let address = broker.secure_management().expect("the start-up line has it");
    let is_met_by = |authority: &Authority| {
        let tunnel = Client::of(authority).tunnel(&address);
        let mut stream = TcpStream::connect(&tunnel.socket).expect("the tunnel is there");
        let sent = stream.write_all(b"GET /api/whoami HTTP/1.0\r\n\r\n");
        let mut answer = String::new();
        sent.and_then(|()| stream.read_to_string(&mut answer)).is_ok_and(|_| !answer.is_empty())
    };
    assert!(is_met_by(&other) && !is_met_by(&authority));
    Connection::open(&Client::of(&authority).tunnel(&broker.secure_address()))
        .expect("AMQP has the other one");
    replace(&own, &authority.server("next"));
    broker.signal(Signal::HUP);
    broker.wait_for_log("the configuration was read again");
    assert!(is_met_by(&authority) && !is_met_by(&other));
}

/// On a newcomer's machine a client that is not installed is skipped, loudly.
#[test]
fn pika_gets_on_with_tls() {
    let installed = target_dir().join("clients/python/venv/bin/python");
    let python = if installed.exists() { installed } else { "python3".into() };
    let has_pika = Command::new(&python).args(["-c", "import pika"]).output();
    if !has_pika.is_ok_and(|output| output.status.success()) {
        assert!(env::var_os("CI").is_none(), "pika is not installed");
        eprintln!("SKIPPED: pika is not installed; tests/clients/install installs it");
        return;
    }
    let authority = Authority::new();
    let broker = verifying(&authority).flag("--set", "default_user=bunny").start();
    let identity = authority.client("bunny");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/python/tls.py");
    let output = Command::new(&python)
        .arg(script)
        .arg(broker.secure_address().socket)
        .args([&authority.file(), &identity.certificate, &identity.key])
        .output()
        .expect("python runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
}

/// A client that says to be whom its certificate names.
fn presented(address: &Address) -> Connection {
    let mut client = Connection::plain(address).expect("anyone may connect");
    client.send_bytes(&PROTOCOL_HEADER);
    let start = client.expect("Connection.Start").expect("the broker begins");
    assert!(start["mechanisms"].as_str().is_some_and(|names| names.ends_with(" EXTERNAL")));
    let mut start_ok = start_ok("");
    start_ok["mechanism"] = json!("EXTERNAL");
    client.send(0, "Connection.StartOk", &start_ok);
    client
}

/// A broker that speaks TLS, and plain beside it, on free ports.
pub(crate) fn secure(identity: &Identity) -> Setup {
    let set = |key: &str, value: &Path| format!("{key}={}", value.display());
    Setup::new()
        .flag("--set", "listeners.ssl.1=127.0.0.1:0")
        .flag("--set", &set("ssl_options.certfile", &identity.certificate))
        .flag("--set", &set("ssl_options.keyfile", &identity.key))
}

/// One that asks for certificates of this authority.
fn verifying(authority: &Authority) -> Setup {
    secure(&authority.server("server"))
        .flag("--set", &format!("ssl_options.cacertfile={}", authority.file().display()))
        .flag("--set", "ssl_options.verify=verify_peer")
        .flag("--set", "ssl_options.fail_if_no_peer_cert=true")
        .flag("--set", "ssl_cert_login_from=common_name")
}

fn replace(old: &Identity, new: &Identity) {
    fs::copy(&new.certificate, &old.certificate).expect("can be replaced");
    fs::copy(&new.key, &old.key).expect("can be replaced");
}
