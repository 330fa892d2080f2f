//! What is recorded can be read, without bodies, and within its limits.

use bytes::Bytes;
use tempfile::TempDir;
use warren_core::{Boot, Broker, Config, ConnectionId, Input, Instant, Peer};
use warren_recorder::{Event, Header, Piece, Recorder, Recording, newest};

const BODY: &[u8] = b"a body that is nobody's business";

fn header() -> Header {
    let boot = Boot { seed: [3, 4], clock_origin_ms: 0 };
    Header { version: "1.2.3".into(), config: Config::default(), boot }
}

fn peer() -> Peer {
    Peer { name: "a -> b".into(), is_loopback: true, ..Peer::default() }
}

fn connection() -> ConnectionId {
    Broker::new(Config::default(), Boot { seed: [1, 2], clock_origin_ms: 0 })
        .connect(Instant::default(), peer())
}

fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

/// A protocol header, and a frame with the body.
fn stream() -> Bytes {
    let mut bytes = b"AMQP\0\0\x09\x01\x03\0\x01\0\0\0".to_vec();
    bytes.push(BODY.len() as u8);
    bytes.extend_from_slice(BODY);
    bytes.push(0xCE);
    bytes.into()
}

fn events(dir: &std::path::Path) -> Vec<Event> {
    let path = newest(dir).expect("can be listed").expect("there is one");
    let mut recording = Recording::open(&path).expect("is a recording");
    let mut events = Vec::new();
    while let Some(event) = recording.next_event().expect("is whole") {
        if let Event::Read { index, len } = event {
            recording.pieces(index, len).expect("is whole");
        }
        events.push(event);
    }
    assert!(!recording.is_cut());
    events
}

#[test]
fn what_was_recorded_is_read_without_bodies() {
    let dir = TempDir::new().expect("a temporary directory");
    let mut recorder = Recorder::start(dir.path(), 1 << 20, &header()).expect("can be written");
    let (id, stream) = (connection(), stream());
    recorder.started();
    recorder.connected(at(5), id, &peer());
    recorder.read(at(7), id, &stream);
    recorder.frames(at(7), id, false);
    recorder.drained();
    recorder.drained();
    recorder.input(at(9), &Input::Closed(id));
    recorder.end().now("all is said");

    let path = newest(dir.path()).expect("can be listed").expect("there is one");
    let bytes = std::fs::read(&path).expect("can be read");
    assert!(!bytes.windows(8).any(|window| window == &BODY[..8]), "the body was recorded");

    let mut recording = Recording::open(&path).expect("is a recording");
    assert_eq!(recording.header().version, "1.2.3");
    assert_eq!(recording.header().boot.seed, [3, 4]);
    assert_eq!(format!("{:?}", recording.header().config), format!("{:?}", header().config));
    let mut found = Vec::new();
    while let Some(event) = recording.next_event().expect("is whole") {
        if let Event::Read { index, len } = event {
            let pieces = recording.pieces(index, len).expect("is whole");
            let [Piece::Plain(before), Piece::Body(len), Piece::Plain(behind)] = &pieces[..] else {
                panic!("{pieces:?}")
            };
            assert_eq!((before.len(), *len, &behind[..]), (15, BODY.len(), &b"\xCE"[..]));
        }
        found.push(event);
    }
    let expected = [
        Event::Started,
        Event::Passed(5),
        Event::Connected { index: 0, peer: peer() },
        Event::Passed(2),
        Event::Read { index: 0, len: stream.len() as u32 },
        Event::Frame(0),
        Event::Drained,
        Event::Passed(2),
        Event::Closed(0),
        Event::Ended("all is said".into()),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_recording_ends_when_it_is_as_long_as_it_may_be() {
    let dir = TempDir::new().expect("a temporary directory");
    let mut recorder = Recorder::start(dir.path(), 300_000, &header()).expect("can be written");
    for n in 1..100_000 {
        recorder.input(at(n * 1000), &Input::DiskFree(n));
    }
    recorder.end().now("all is said");
    let path = newest(dir.path()).expect("can be listed").expect("there is one");
    assert!(std::fs::metadata(&path).expect("is there").len() <= 300_000);
    let events = events(dir.path());
    assert!(matches!(events.last(), Some(Event::Ended(reason)) if reason.contains("long")));
    assert!(events.len() > 100);
}

#[test]
fn a_recorder_that_is_off_does_nothing() {
    let mut recorder = Recorder::default();
    recorder.started();
    recorder.input(at(1), &Input::Tick);
    recorder.drained();
    recorder.end().now("all is said");
}
