//! Checks of health over the management API, which say no where something is not well.

use crate::certificates::Authority;
use crate::management::{GUEST, connect_to, exchange_on, request};
use crate::tls::secure;
use crate::tunnel::Client;
use serde_json::Value;
use std::fs;
use tempfile::TempDir;
use warren_tests::broker::{Broker, run};
use warren_tests::client::Connection;
use warren_tests::setup::Setup;

fn check(broker: &Broker, name: &str) -> (u16, Value) {
    let path = format!("/api/health/checks/{name}");
    let response = request(broker, "GET", &path, GUEST, "");
    (response.status, response.json())
}

#[test]
fn a_node_without_room_for_another_client_is_not_ready_for_one() {
    let broker = Setup::new().managed().flag("--set", "max_connections=1").start();
    for name in ["is-in-service", "ready-to-serve-clients", "below-node-connection-limit"] {
        assert_eq!(check(&broker, name).0, 200, "{name}");
    }
    let client = Connection::open(&broker.address()).expect("guest may connect");
    assert_eq!(check(&broker, "is-in-service").0, 200);
    for name in ["ready-to-serve-clients", "below-node-connection-limit"] {
        let (status, told) = check(&broker, name);
        assert_eq!((status, &told["status"], &told["limit"]), (503, &"failed".into(), &1.into()));
    }
    drop(client);
    broker.wait_for_log("connection closed");
    assert_eq!(check(&broker, "below-node-connection-limit").0, 200);
}

#[test]
fn certificates_that_run_out_soon_are_told() {
    let authority = Authority::new();
    let broker = secure(&authority.server("server")).managed().start();
    assert_eq!(check(&broker, "certificate-expiration/4/weeks").0, 200);
    // Those of these tests are good until the year 4096.
    let (status, told) = check(&broker, "certificate-expiration/3000/years");
    assert_eq!(status, 503);
    assert_eq!(told["reason"], "Certificates expiring");
    assert_eq!(told["expired"][0]["protocol"], "amqp/ssl", "{told}");
    for path in ["certificate-expiration/0/days", "certificate-expiration/1/fortnights"] {
        assert_eq!(check(&broker, path).0, 400, "{path}");
    }
    let data_dir = broker.data_dir();
    let ctl = |within: &str| {
        let begin = ["ctl", "--data-dir", data_dir.to_str().expect("is UTF-8")];
        let rest = ["check_certificate_expiration", "--unit", "years", "--within", within];
        run(&begin.iter().chain(&rest).map(std::convert::AsRef::as_ref).collect::<Vec<_>>())
    };
    assert_eq!(ctl("1").status.code(), Some(0));
    let ended = ctl("3000");
    assert_eq!(ended.status.code(), Some(69), "{ended:?}");
    assert!(ended.stderr.contains("within 3000 years"), "{ended:?}");
}

#[test]
fn metrics_are_there_with_tls() {
    let authority = Authority::new();
    let scratch = TempDir::new().expect("a temporary directory");
    let file = scratch.path().join("warren.conf");
    let identity = authority.server("metrics");
    let text = format!(
        "prometheus.ssl.port = 0\nprometheus.ssl.ip = 127.0.0.1\nprometheus.ssl.certfile = \
         {}\nprometheus.ssl.keyfile = {}\n",
        identity.certificate.display(),
        identity.key.display()
    );
    fs::write(&file, text).expect("can be written");
    let broker = Setup::new().flag("--config", file.to_str().expect("is UTF-8")).start();
    let (_, rest) = broker.startup_line().split_once("metrics on https://").expect("says where");
    let end = rest.find([',', ' ']).unwrap_or(rest.len());
    let tunnel = Client::of(&authority).tunnel(&rest[..end].parse().expect("an address"));
    let get = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = exchange_on(connect_to(&tunnel.socket), get);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.contains("rabbitmq_identity_info{"), "{answer:?}");
    let plain = exchange_on(connect_to(&rest[..end]), get);
    assert_eq!((plain.status, &*plain.body), (0, ""), "without TLS nothing is said");
}
