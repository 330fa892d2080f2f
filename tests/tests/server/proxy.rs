//! The PROXY protocol: who connects is who the proxy says.

use crate::certificates::Authority;
use crate::tls::secure;
use crate::tunnel::Client;
use crate::{LATE, PROTOCOL_HEADER, start_ok};
use serde_json::Value;
use warren_tests::broker::Broker;
use warren_tests::client::{Address, Connection};
use warren_tests::setup::Setup;

/// From 127.0.0.1:4444 to 127.0.0.1:5672, as version 2 has it.
const LOCAL_V2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\x11\x5c\x16\x28";

#[test]
fn connections_are_called_by_where_they_come_from() {
    let broker = proxied(Setup::new());
    let headers = [
        &b"PROXY TCP4 127.0.0.1 127.0.0.1 3333 5672\r\n"[..],
        LOCAL_V2,
        b"PROXY TCP6 ::1 ::1 5555 5672\r\n",
        b"PROXY UNKNOWN\r\n",
    ];
    for header in headers {
        let mut client = introduced(&broker.address(), header);
        client.expect("Connection.Tune").expect("guest is let in");
        client.send(0, "Connection.TuneOk", &tune());
        client.send(0, "Connection.Open", &serde_json::json!({"virtual_host": "/"}));
        client.expect("Connection.OpenOk").expect("opens");
    }
    for name in ["127.0.0.1:3333 -> 127.0.0.1:5672", "127.0.0.1:4444 -> ", "[::1]:5555 -> "] {
        broker.wait_for_log(name);
    }
}

#[test]
fn guest_is_not_let_in_from_elsewhere() {
    let broker = proxied(Setup::new());
    let header = b"PROXY TCP4 203.0.113.1 127.0.0.1 3333 5672\r\n";
    let mut client = introduced(&broker.address(), header);
    let close = client.expect("Connection.Close").expect("guest is refused");
    assert_eq!(close["reply_code"], 403);
    broker.wait_for_log("203.0.113.1:3333");
}

#[test]
fn who_comes_without_a_header_is_not_let_in() {
    let broker = proxied(Setup::new());
    let mut client = Connection::plain(&broker.address()).expect("anyone may connect");
    client.send_bytes(&PROTOCOL_HEADER);
    let frames = client.read_to_end(LATE).expect("there is no header");
    assert!(frames.is_empty(), "{frames:?}");
    broker.wait_for_log("no header of the PROXY protocol");
}

#[test]
fn a_header_may_stand_before_tls() {
    let authority = Authority::new();
    let broker = proxied(secure(&authority.server("server")));
    let client = Client::of(&authority).saying(LOCAL_V2);
    Connection::open(&client.tunnel(&broker.secure_address())).expect("guest may connect");
    broker.wait_for_log("127.0.0.1:4444 -> ");
}

fn proxied(setup: Setup) -> Broker {
    setup.flag("--set", "proxy_protocol=true").start()
}

/// Connects, is introduced by this header, and logs in as guest.
fn introduced(address: &Address, header: &[u8]) -> Connection {
    let mut client = Connection::plain(address).expect("anyone may connect");
    client.send_bytes(&[header, &PROTOCOL_HEADER].concat());
    client.expect("Connection.Start").expect("the broker begins");
    client.send(0, "Connection.StartOk", &start_ok("\0guest\0guest"));
    client
}

fn tune() -> Value {
    serde_json::json!({"channel_max": 10, "frame_max": 131_072, "heartbeat": 0})
}
