//! Who may do what: virtual hosts, users, permissions and limits, and that they last.

use bytes::Bytes;
use warren_core::amqp::*;
use warren_core::broker::*;
use warren_core::{
    Command, CommandId, Config, ConnectionId, Input, Mark, NodeLimits, Output, Peer,
};

use super::client::{World, persist, persist_to, publish_with};
use super::durability::world;

/// The password of everybody in here: `guest`.
fn hash() -> PasswordHash {
    Config::default().defaults.expect("a user").password_hash
}

#[test]
fn what_is_commanded_before_anything_is_asked_of_it_is_one_batch_of_the_log() {
    let (mut world, _) = world(Config::default());
    let (vhost, user) = (ShortStr::from("v"), ShortStr::from("u"));
    let metadata = VhostMetadata::default();
    let limits = VhostLimits { max_queues: Some(1), ..VhostLimits::default() };
    let policy = Policy {
        name: "p".into(),
        pattern: ".*".into(),
        apply_to: ApplyTo::All,
        priority: 0,
        definition: FieldTable::new(vec![("max-length".into(), FieldValue::I64(1))]),
    };
    let change = UserChange { password_hash: Some(hash()), tags: Some(Vec::new()) };
    let mut batch = None;
    for command in [
        Command::SetVhost { vhost: vhost.clone(), metadata },
        Command::SetVhostLimits { vhost: vhost.clone(), limits },
        Command::SetPolicy { vhost: vhost.clone(), layer: PolicyLayer::Operator, policy },
        Command::SetUser { user: user.clone(), change },
        Command::SetPermission { vhost, user, permission: Permission::full() },
    ] {
        world.broker.handle(world.now, Input::Command(CommandId(1), Box::new(command)));
        let gathers = world.broker.log_position().0;
        assert_eq!(*batch.get_or_insert(gathers), gathers);
    }
    world.batch([]);
    world.settle();
    let done = ["1 Created", "1 Updated", "1 Created", "1 Created", "1 Created"];
    assert_eq!(world.answers(), done);
    assert_eq!(Some(world.broker.log_position().1), batch, "which is durable");
}

impl World {
    fn answer(&mut self, command: Command) -> String {
        self.input(Input::Command(CommandId(1), Box::new(command)));
        self.settle();
        let answers = self.answers();
        let answer = answers.last().expect("an answer");
        answer.strip_prefix("1 ").expect("its number").to_string()
    }

    fn done(&mut self, command: Command) {
        let answer = self.answer(command);
        assert!(["Created", "Updated", "Deleted"].contains(&answer.as_str()), "{answer}");
    }

    fn set_vhost(&mut self, vhost: &str) {
        let metadata = VhostMetadata::default();
        self.done(Command::SetVhost { vhost: vhost.into(), metadata });
    }

    fn set_user(&mut self, user: &str, tags: &[&str]) {
        let tags = tags.iter().map(|tag| ShortStr::from(*tag)).collect();
        let change = UserChange { password_hash: Some(hash()), tags: Some(tags) };
        self.done(Command::SetUser { user: user.into(), change });
    }

    /// What a user may configure, write and read.
    fn permit(&mut self, user: &str, vhost: &str, [configure, write, read]: [&str; 3]) {
        let permission =
            Permission { configure: configure.into(), write: write.into(), read: read.into() };
        let (vhost, user) = (vhost.into(), user.into());
        self.done(Command::SetPermission { vhost, user, permission });
    }

    /// A client that has said who it is.
    fn log_in(&mut self, peer: Peer, mechanism: &str, response: &'static str) -> ConnectionId {
        let id = self.connect_as(peer);
        self.input(Input::Frame(id, Frame::ProtocolHeader(PROTOCOL_HEADER)));
        let entry = ("authentication_failure_close".into(), FieldValue::Bool(true));
        let capabilities = FieldValue::Table(FieldTable::new(vec![entry]));
        let start_ok = ConnectionStartOk {
            client_properties: FieldTable::new(vec![("capabilities".into(), capabilities)]),
            mechanism: mechanism.into(),
            response: Bytes::from_static(response.as_bytes()),
            locale: "en_US".into(),
        };
        self.tell(id, 0, start_ok);
        id
    }

    /// The same of one that goes on to open a virtual host, with channel 1.
    fn enter(&mut self, response: &'static str, vhost: &str) -> (ConnectionId, Vec<String>) {
        let local = Peer { is_loopback: true, ..Peer::default() };
        let id = self.log_in(local, "PLAIN", response);
        let heard = self.open_vhost(id, vhost);
        (id, heard)
    }

    /// Has a client that is logged in open a virtual host, with channel 1.
    fn open_vhost(&mut self, id: ConnectionId, vhost: &str) -> Vec<String> {
        self.tell(id, 0, ConnectionTuneOk { channel_max: 2047, frame_max: 131_072, heartbeat: 0 });
        self.heard(id);
        self.tell(id, 0, ConnectionOpen { virtual_host: vhost.into(), ..Default::default() });
        let heard = self.heard(id);
        self.tell(id, 1, ChannelOpen::default());
        self.heard(id);
        heard
    }

    /// What comes of a method on channel 1, which is opened again if that ended it.
    fn ask(&mut self, id: ConnectionId, method: impl Into<Method>) -> String {
        self.tell(id, 1, method);
        self.settle();
        self.outcome(id)
    }

    fn outcome(&mut self, id: ConnectionId) -> String {
        let mut heard = self.heard(id);
        // Nobody minds where messages go.
        heard.retain(|word| word != "return m");
        let heard = heard.join(", ");
        if heard.contains("channel.close") {
            self.tell(id, 1, ChannelCloseOk {});
            self.tell(id, 1, ChannelOpen::default());
            self.heard(id);
        }
        heard
    }

    /// What comes of a publish.
    fn send(&mut self, id: ConnectionId, exchange: &str, key: &str) -> String {
        self.batch(persist_to(id, exchange, key, "m"));
        self.settle();
        self.outcome(id)
    }
}

fn proven(user: &str) -> Peer {
    Peer { external: Some(user.into()), ..Peer::default() }
}

fn refused(right: &str, kind: &str, name: &str) -> String {
    format!(
        "channel.close ACCESS_REFUSED - {right} access to {kind} '{name}' in vhost '/' refused for user 'u'"
    )
}

fn declare(queue: &str) -> QueueDeclare {
    QueueDeclare { queue: queue.into(), durable: true, ..Default::default() }
}

fn declare_with(queue: &str, arguments: &[(&str, &'static str)]) -> QueueDeclare {
    let entries = arguments.iter().map(|(name, value)| ((*name).into(), FieldValue::text(value)));
    QueueDeclare { arguments: FieldTable::new(entries.collect()), ..declare(queue) }
}

fn bind(queue: &str, exchange: &str, key: &str) -> QueueBind {
    let (queue, exchange, routing_key) = (queue.into(), exchange.into(), key.into());
    QueueBind { queue, exchange, routing_key, ..Default::default() }
}

fn consume(queue: &str) -> BasicConsume {
    BasicConsume { queue: queue.into(), consumer_tag: "t".into(), ..Default::default() }
}

fn xdeclare(exchange: &str, kind: &str) -> ExchangeDeclare {
    ExchangeDeclare { exchange: exchange.into(), kind: kind.into(), ..Default::default() }
}

/// A broker with a queue `q` and an exchange `x` of guest's, and a client of the user `u`.
fn with_user(permission: [&str; 3]) -> (World, ConnectionId) {
    let (mut world, guest) = world(Config::default());
    world.ask(guest, declare("q"));
    world.ask(guest, xdeclare("x", "topic"));
    world.set_user("u", &[]);
    world.permit("u", "/", permission);
    let (id, heard) = world.enter("\0u\0guest", "/");
    assert_eq!(heard, ["connection.open-ok"]);
    (world, id)
}

#[test]
fn without_a_permission_nothing_is_done() {
    let (mut world, id) = with_user(["^$", "", "^none$"]);
    let configure_q = refused("configure", "queue", "q");
    assert_eq!(world.ask(id, declare("q")), configure_q);
    assert_eq!(world.ask(id, QueueDeclare { passive: true, ..declare("q") }), configure_q);
    assert_eq!(world.ask(id, declare("new")), refused("configure", "queue", "new"));
    assert_eq!(world.ask(id, QueueDelete { queue: "q".into(), ..<_>::default() }), configure_q);
    let read_q = refused("read", "queue", "q");
    assert_eq!(world.ask(id, QueuePurge { queue: "q".into(), ..<_>::default() }), read_q);
    assert_eq!(world.ask(id, BasicGet { queue: "q".into(), ..<_>::default() }), read_q);
    assert_eq!(world.ask(id, consume("q")), read_q);
    let write_q = refused("write", "queue", "q");
    assert_eq!(world.ask(id, bind("q", "x", "k")), write_q);
    let unbind = QueueUnbind { queue: "q".into(), exchange: "x".into(), ..<_>::default() };
    assert_eq!(world.ask(id, unbind), write_q);
    let configure_x = refused("configure", "exchange", "x");
    assert_eq!(world.ask(id, xdeclare("x", "topic")), configure_x);
    let passive = ExchangeDeclare { passive: true, ..xdeclare("x", "topic") };
    assert_eq!(world.ask(id, passive), configure_x);
    let delete = ExchangeDelete { exchange: "x".into(), ..<_>::default() };
    assert_eq!(world.ask(id, delete), configure_x);
    let ends = ExchangeBind { destination: "x".into(), source: "x".into(), ..<_>::default() };
    assert_eq!(world.ask(id, ends), refused("write", "exchange", "x"));
    assert_eq!(world.send(id, "x", "k"), refused("write", "exchange", "x"));
    assert_eq!(world.send(id, "", "q"), refused("write", "exchange", "amq.default"));
    // What is not there is not told apart from what is.
    assert_eq!(world.send(id, "none", "k"), refused("write", "exchange", "none"));
}

#[test]
fn each_right_is_for_what_it_is_for() {
    let (mut world, id) = with_user(["^mine", "^(mine|x|amq\\.default)", "^(mine|x)"]);
    assert_eq!(world.ask(id, declare("mine")), "declare-ok mine 0");
    assert_eq!(world.ask(id, bind("mine", "x", "k")), "queue.bind-ok");
    assert_eq!(world.ask(id, bind("q", "x", "k")), refused("write", "queue", "q"));
    assert_eq!(
        world.ask(id, bind("mine", "amq.topic", "k")),
        refused("read", "exchange", "amq.topic")
    );
    assert_eq!(world.send(id, "x", "k"), "");
    assert_eq!(world.send(id, "", "mine"), "");
    assert_eq!(
        world.ask(id, BasicGet { queue: "mine".into(), no_ack: true, ..<_>::default() }),
        "got m"
    );
    let ends =
        ExchangeBind { destination: "x".into(), source: "amq.topic".into(), ..<_>::default() };
    assert_eq!(world.ask(id, ends), refused("read", "exchange", "amq.topic"));
    // Any of the three will do.
    let passive = ExchangeDeclare { passive: true, ..xdeclare("x", "topic") };
    assert_eq!(world.ask(id, passive), "exchange.declare-ok");
    assert_eq!(
        world.ask(id, declare("")).get(..58),
        refused("configure", "queue", "amq.gen-").get(..58)
    );
}

#[test]
fn who_has_dead_letters_sent_must_be_allowed_to_send() {
    let (mut world, id) = with_user(["^mine", "^good", "^mine"]);
    let letters = |exchange| declare_with("mine", &[("x-dead-letter-exchange", exchange)]);
    assert_eq!(world.ask(id, letters("bad")), refused("write", "exchange", "bad"));
    assert_eq!(world.ask(id, letters("good")), "declare-ok mine 0");
    let alternate = |name, to| ExchangeDeclare {
        arguments: FieldTable::new(vec![("alternate-exchange".into(), FieldValue::text(to))]),
        ..xdeclare(name, "fanout")
    };
    assert_eq!(world.ask(id, alternate("mine", "bad")), refused("write", "exchange", "bad"));
    assert_eq!(world.ask(id, alternate("mine", "good")), "exchange.declare-ok");
    world.permit("u", "/", ["^mine", "^good", "^none"]);
    assert_eq!(world.ask(id, alternate("mine2", "good")), refused("read", "exchange", "mine2"));
}

#[test]
fn permissions_count_from_when_they_are_set_and_as_long_as_they_are() {
    let (mut world, id) = with_user([".*", ".*", ".*"]);
    for _ in 0..2 {
        // The second goes the way that is remembered.
        assert_eq!(world.send(id, "", "q"), "");
    }
    world.permit("u", "/", [".*", "^x$", ".*"]);
    assert_eq!(world.send(id, "", "q"), refused("write", "exchange", "amq.default"));
    world.permit("u", "/", [".*", ".*", ".*"]);
    assert_eq!(world.send(id, "", "q"), "");
    let header = BasicProperties {
        headers: Some(FieldTable::new(vec![("h".into(), FieldValue::Bool(true))])),
        ..BasicProperties::default()
    };
    let with_header = |id| publish_with(id, "x", "k", "m", header.encode());
    for _ in 0..2 {
        world.batch(with_header(id));
        assert_eq!(world.outcome(id), "");
    }
    world.done(Command::ClearPermission { vhost: "/".into(), user: "u".into() });
    world.batch(with_header(id));
    assert_eq!(world.outcome(id), refused("write", "exchange", "x"));
    assert_eq!(
        world.answer(Command::ClearPermission { vhost: "/".into(), user: "u".into() }),
        "Unchanged"
    );
}

#[test]
fn topics_may_be_for_some_only() {
    let (mut world, id) = with_user([".*", ".*", ".*"]);
    let permission = TopicPermission {
        exchange: "x".into(),
        write: "^{username}\\.".into(),
        read: "^(public|{vhost})".into(),
    };
    let set = Command::SetTopicPermission { vhost: "/".into(), user: "u".into(), permission };
    assert_eq!(world.answer(set.clone()), "Created");
    assert_eq!(world.answer(set), "Updated");
    let topic = |right: &str, key: &str| {
        format!(
            "channel.close ACCESS_REFUSED - {right} access to topic '{key}' in exchange topic 'x' \
             in vhost '/' refused for user 'u'"
        )
    };
    assert_eq!(world.send(id, "x", "u.a"), "");
    assert_eq!(world.send(id, "x", "v.a"), topic("write", "v.a"));
    let cc = FieldValue::Array(vec![FieldValue::text("v.b")]);
    let properties = BasicProperties {
        headers: Some(FieldTable::new(vec![("CC".into(), cc)])),
        ..BasicProperties::default()
    };
    world.batch(publish_with(id, "x", "u.a", "m", properties.encode()));
    assert_eq!(world.outcome(id), topic("write", "v.b"));
    assert_eq!(world.ask(id, bind("q", "x", "public.a")), "queue.bind-ok");
    assert_eq!(world.ask(id, bind("q", "x", "#")), topic("read", "#"));
    assert_eq!(world.send(id, "amq.topic", "v.a"), "", "at others everything is allowed");
    world.restart(Config::default());
    let (id, _) = world.enter("\0u\0guest", "/");
    let again = world.ask(id, xdeclare("x", "topic"));
    assert_eq!(again, "exchange.declare-ok");
    assert_eq!(world.send(id, "x", "v.a"), topic("write", "v.a"));
    let (vhost, user) = ("/".into(), "u".into());
    world.done(Command::ClearTopicPermission { vhost, user, exchange: None });
    assert_eq!(world.send(id, "x", "v.a"), "");
}

#[test]
fn a_virtual_host_is_a_world_of_its_own() {
    let (mut world, guest) = world(Config::default());
    world.ask(guest, declare("q"));
    let (_, heard) = world.enter("\0guest\0guest", "v");
    assert_eq!(heard, ["connection.close NOT_ALLOWED - vhost v not found"]);
    world.set_vhost("v");
    let (_, heard) = world.enter("\0guest\0guest", "v");
    let text = "connection.close NOT_ALLOWED - access to vhost 'v' refused for user 'guest'";
    assert_eq!(heard, [text]);
    world.permit("guest", "v", [".*", ".*", ".*"]);
    let (id, _) = world.enter("\0guest\0guest", "v");
    let missing = "channel.close NOT_FOUND - no queue 'q' in vhost 'v'";
    assert_eq!(world.ask(id, QueueDeclare { passive: true, ..declare("q") }), missing);
    assert_eq!(world.ask(id, declare("q")), "declare-ok q 0");
    assert_eq!(world.ask(id, bind("q", "amq.topic", "k")), "queue.bind-ok");
    assert_eq!(world.send(id, "amq.topic", "k"), "");
    world.restart(Config::default());
    let (id, _) = world.enter("\0guest\0guest", "v");
    assert_eq!(world.ask(id, declare("q")), "declare-ok q 1");
    let (id, _) = world.enter("\0guest\0guest", "/");
    assert_eq!(world.ask(id, declare("q")), "declare-ok q 0");
}

#[test]
fn a_virtual_host_goes_with_all_that_is_in_it() {
    let config = || Config { policy_slice: 2, ..Config::default() };
    let (mut world, guest) = world(config());
    world.set_vhost("v");
    world.permit("guest", "v", [".*", ".*", ".*"]);
    let (id, _) = world.enter("\0guest\0guest", "v");
    for number in 0..9 {
        let name = format!("q{number}");
        world.ask(id, declare(&name));
        assert_eq!(world.send(id, "", &name), "");
    }
    world.ask(id, QueueDeclare { exclusive: true, ..declare("mine") });
    world.ask(id, ExchangeDeclare { durable: true, ..xdeclare("x", "topic") });
    world.ask(id, bind("q1", "x", "k"));
    world.ask(id, consume("q1"));
    let metadata = VhostMetadata { protected: true, ..VhostMetadata::default() };
    world.done(Command::SetVhost { vhost: "v".into(), metadata });
    assert_eq!(
        world.answer(Command::DeleteVhost { vhost: "v".into() }),
        "Refusing to delete virtual host 'v' because it is protected from deletion"
    );
    world.set_vhost("v");
    world.input(Input::Command(CommandId(1), Box::new(Command::DeleteVhost { vhost: "v".into() })));
    assert_eq!(world.heard(id), ["connection.close CONNECTION_FORCED - vhost 'v' is deleted"]);
    assert_eq!(world.answers(), [""; 0], "it takes a while");
    let (_, heard) = world.enter("\0guest\0guest", "v");
    assert_eq!(heard, ["connection.close NOT_ALLOWED - vhost v not found"]);
    while world.answers().is_empty() {
        world.input(Input::Tick);
        world.settle();
    }
    assert_eq!(world.broker.queues().len(), 1);
    assert!(world.broker.marks().count(Mark::VhostEmptiedInSlices) > 0);
    assert_eq!(world.ask(guest, declare("q1")), "declare-ok q1 0");
    for _ in 0..2 {
        let vhosts: Vec<_> = world.broker.vhosts(None).map(|status| status.vhost.name).collect();
        assert_eq!(vhosts, ["/"]);
        assert_eq!(world.broker.permissions(None).count(), 1);
        world.restart(config());
    }
    world.set_vhost("v");
    world.permit("guest", "v", [".*", ".*", ".*"]);
    let (id, _) = world.enter("\0guest\0guest", "v");
    assert_eq!(world.ask(id, declare("q1")), "declare-ok q1 0");
}

#[test]
fn a_start_that_comes_before_all_of_a_virtual_host_is_gone_finds_none_of_it() {
    let config = || Config { policy_slice: 1, segment_len: 4096, ..Config::default() };
    let (mut world, guest) = world(config());
    world.set_vhost("v");
    world.permit("guest", "v", [".*", ".*", ".*"]);
    let (id, _) = world.enter("\0guest\0guest", "v");
    for number in 0..9 {
        world.ask(id, declare(&format!("q{number}")));
    }
    world.input(Input::Command(CommandId(1), Box::new(Command::DeleteVhost { vhost: "v".into() })));
    // Meanwhile a checkpoint is written.
    world.ask(guest, declare("other"));
    for _ in 0..40 {
        world.batch(persist(guest, "other", "m"));
        world.settle();
    }
    world.restart(config());
    let names: Vec<_> = world.broker.queues().into_iter().map(|queue| queue.name).collect();
    assert_eq!(names, ["other", "q"]);
    assert_eq!(world.broker.vhosts(None).count(), 1);
}

#[test]
fn a_user_who_is_deleted_has_to_go() {
    let (mut world, id) = with_user([".*", ".*", ".*"]);
    world.done(Command::DeleteUser { user: "u".into() });
    assert_eq!(world.heard(id), ["connection.close CONNECTION_FORCED - user 'u' is deleted"]);
    assert_eq!(world.answer(Command::DeleteUser { user: "u".into() }), "User 'u' does not exist");
    for _ in 0..2 {
        assert_eq!(world.broker.users(None).count(), 1);
        assert_eq!(world.broker.permissions(None).count(), 1);
        world.restart(Config::default());
    }
}

#[test]
fn a_connection_is_closed_when_somebody_wants_it() {
    let (mut world, guest) = world(Config::default());
    let command =
        Command::CloseConnection { connection: guest, reason: "Closed via management".into() };
    assert_eq!(world.answer(command.clone()), "Deleted");
    let text = "connection.close CONNECTION_FORCED - Closed via management";
    assert_eq!(world.heard(guest), [text]);
    world.tell(guest, 0, ConnectionCloseOk::default());
    assert_eq!(world.answer(command), "Connection does not exist");
}

#[test]
fn limits_are_held_to_the_last_one() {
    let (mut world, id) = with_user([".*", ".*", ".*"]);
    let limits = UserLimits { max_connections: Some(2), max_channels: Some(3) };
    world.done(Command::SetUserLimits { user: "u".into(), limits });
    world.tell(id, 2, ChannelOpen::default());
    assert_eq!(world.heard(id), ["channel.open-ok"]);
    let (second, heard) = world.enter("\0u\0guest", "/");
    assert_eq!(heard, ["connection.open-ok"]);
    let too_many = "connection refused for user 'u': user connection limit (2) is reached";
    let (_, heard) = world.enter("\0u\0guest", "/");
    assert_eq!(heard, [format!("connection.close NOT_ALLOWED - {too_many}")]);
    world.tell(second, 5, ChannelOpen::default());
    let channels = "connection.close NOT_ALLOWED - number of channels opened for user 'u' has \
                    reached the maximum allowed user limit of 3";
    assert_eq!(world.heard(second), [channels]);
    world.tell(id, 3, ChannelOpen::default());
    assert_eq!(world.heard(id), ["channel.open-ok"], "there is room again");
    let (_, heard) = world.enter("\0u\0guest", "/");
    assert_eq!(heard, ["connection.open-ok"], "there is room again");
    world.restart(Config::default());
    let users: Vec<_> = world.broker.users(None).map(|user| user.limits).collect();
    assert_eq!(users[1], limits);
}

#[test]
fn a_virtual_host_takes_no_more_than_it_may() {
    let (mut world, guest) = world(Config::default());
    let limits = VhostLimits { max_connections: Some(1), max_queues: Some(2) };
    world.done(Command::SetVhostLimits { vhost: "/".into(), limits });
    let (_, heard) = world.enter("\0guest\0guest", "/");
    let text = "connection.close NOT_ALLOWED - access to vhost '/' refused for user 'guest': \
                connection limit (1) is reached";
    assert_eq!(heard, [text]);
    assert_eq!(world.ask(guest, declare("q1")), "declare-ok q1 0");
    assert_eq!(world.ask(guest, declare("q1")), "declare-ok q1 0");
    let text = "channel.close PRECONDITION_FAILED - cannot declare queue 'q2': queue limit in \
                vhost '/' (2) is reached";
    assert_eq!(world.ask(guest, declare("q2")), text);
    world.restart(Config::default());
    let (id, _) = world.enter("\0guest\0guest", "/");
    assert_eq!(world.ask(id, declare("q2")), text);
}

#[test]
fn queues_are_of_the_type_that_is_usual_in_their_virtual_host() {
    let (mut world, guest) = world(Config::default());
    let metadata = |kind: &str| VhostMetadata {
        default_queue_type: Some(kind.into()),
        ..VhostMetadata::default()
    };
    world.done(Command::SetVhost { vhost: "/".into(), metadata: metadata("quorum") });
    assert_eq!(world.ask(guest, declare("typed")), "declare-ok typed 0");
    let quorum = declare_with("typed", &[("x-queue-type", "quorum")]);
    assert_eq!(world.ask(guest, quorum), "declare-ok typed 0");
    let classic = declare_with("typed", &[("x-queue-type", "classic")]);
    assert!(world.ask(guest, classic).contains("inequivalent arg 'x-queue-type'"));
    // What cannot be of that type is classic.
    let exclusive = QueueDeclare { exclusive: true, ..declare("mine") };
    assert_eq!(world.ask(guest, exclusive), "declare-ok mine 0");
    let set = Command::SetVhost { vhost: "/".into(), metadata: metadata("hare") };
    assert_eq!(world.answer(set), "Unsupported default queue type 'hare'");
}

#[test]
fn who_says_to_be_another_must_be_allowed_to() {
    let (mut world, id) = with_user([".*", ".*", ".*"]);
    let properties = BasicProperties { user_id: Some("v".into()), ..BasicProperties::default() };
    let send = |id| publish_with(id, "", "q", "m", properties.encode());
    world.batch(send(id));
    let text = "channel.close PRECONDITION_FAILED - user_id property set to 'v' but \
                authenticated user was 'u'";
    assert_eq!(world.outcome(id), text);
    world.set_user("u", &["impersonator"]);
    world.batch(send(id));
    assert_eq!(world.outcome(id), "");
}

#[test]
fn a_new_secret_has_everything_looked_at_again() {
    let (mut world, id) = with_user([".*", ".*", ".*"]);
    world.ask(id, consume("q"));
    let update = || ConnectionUpdateSecret { new_secret: "s".into(), ..Default::default() };
    world.tell(id, 0, update());
    assert_eq!(world.heard(id), ["connection.update-secret-ok"]);
    world.permit("u", "/", [".*", ".*", ""]);
    world.tell(id, 0, update());
    assert_eq!(world.heard(id), ["connection.update-secret-ok"], "it cannot be told");
    assert_eq!(world.broker.queues()[0].consumers, 0);
    world.done(Command::ClearPermission { vhost: "/".into(), user: "u".into() });
    world.tell(id, 0, update());
    let text = "connection.close NOT_ALLOWED - access to vhost '/' refused for user 'u'";
    assert_eq!(world.heard(id), [text]);
}

const REFUSED: &str = "connection.close ACCESS_REFUSED - Login was refused using authentication \
                       mechanism PLAIN. For details see the broker logfile.";

#[test]
fn only_who_knows_the_password_comes_in() {
    let (mut world, _) = world(Config::default());
    let local = || Peer { is_loopback: true, address: "a".into(), ..Peer::default() };
    let change = UserChange { password_hash: None, tags: None };
    world.done(Command::SetUser { user: "nopass".into(), change });
    for response in ["\0guest\0wrong", "\0none\0guest", "\0nopass\0", "\0\0", "\0guest\0"] {
        let peer = Peer { address: response.into(), ..local() };
        let id = world.log_in(peer, "PLAIN", response);
        assert_eq!(world.heard(id), ["connection.start", "pause", "resume", REFUSED], "{response}");
    }
    let id = world.log_in(local(), "PLAIN", "\0guest\0guest");
    let heard = world.heard(id);
    assert_eq!(heard, ["connection.start", "pause", "connection.tune", "resume"]);
    let id = world.log_in(Peer::default(), "PLAIN", "\0guest\0guest");
    assert_eq!(world.heard(id).last().map(String::as_str), Some(REFUSED), "not from elsewhere");
}

#[test]
fn who_was_proved_to_be_somebody_needs_no_password() {
    let (mut world, _) = world(Config::default());
    world.set_user("u", &[]);
    let id = world.log_in(proven("u"), "EXTERNAL", "");
    assert_eq!(world.heard(id), ["connection.start", "connection.tune"]);
    let id = world.log_in(proven("none"), "EXTERNAL", "");
    let text = REFUSED.replace("PLAIN", "EXTERNAL");
    assert_eq!(world.heard(id), ["connection.start".to_string(), text]);
}

#[test]
fn an_operator_needs_neither_a_user_nor_permissions_and_no_limit_keeps_one_out() {
    let node_limits = NodeLimits { connections: Some(1), ..NodeLimits::default() };
    let (mut world, _) = world(Config { node_limits, ..Config::default() });
    let operator = || Peer { is_operator: true, ..proven("operator") };
    let (_, heard) = world.enter("\0guest\0guest", "/");
    let full = "NOT_ALLOWED - connection refused: node connection limit (1) is reached";
    assert_eq!(heard, [format!("connection.close {full}")]);
    let id = world.log_in(operator(), "EXTERNAL", "");
    assert_eq!(world.heard(id), ["connection.start", "connection.tune"]);
    assert_eq!(world.open_vhost(id, "/"), ["connection.open-ok"]);
    assert_eq!(world.ask(id, declare("q")), "declare-ok q 0");
    assert_eq!(world.ask(id, bind("q", "amq.topic", "k")), "queue.bind-ok");
    assert_eq!(world.send(id, "amq.topic", "k"), "");
    let delete = QueueDelete { queue: "q".into(), ..<_>::default() };
    assert_eq!(world.ask(id, delete), "queue.delete-ok");
    // A password does not make one of somebody, and neither does the name.
    for (peer, mechanism) in [(operator(), "PLAIN"), (proven("operator"), "EXTERNAL")] {
        let id = world.log_in(peer, mechanism, "\0operator\0");
        let text = REFUSED.replace("PLAIN", mechanism);
        assert_eq!(world.heard(id).last(), Some(&text));
    }
}

#[test]
fn what_was_found_out_of_a_password_counts_for_as_long_as_it_is_the_users() {
    let (mut world, _) = world(Config::default());
    world.set_user("u", &[]);
    world.verifies = false;
    let remote = || Peer { address: "b".into(), ..Peer::default() };
    let id = world.log_in(remote(), "PLAIN", "\0u\0guest");
    assert!(world.broker.is_paused(id));
    let asked = world.outputs().iter().any(|output| matches!(output, Output::Verify(..)));
    assert!(asked);
    let other = PasswordHash { bytes: Bytes::from_static(b"salt"), ..hash() };
    let change = UserChange { password_hash: Some(other), tags: None };
    world.done(Command::SetUser { user: "u".into(), change });
    world.input(Input::Verified(id, true));
    assert_eq!(world.heard(id).last().map(String::as_str), Some(REFUSED));
    // Nobody asked, or asks any more.
    world.input(Input::Verified(id, true));
    let id = world.log_in(remote(), "PLAIN", "\0u\0guest");
    world.heard(id);
    world.input(Input::Closed(id));
    world.input(Input::Verified(id, true));
    assert_eq!(world.heard(id), [""; 0]);
}

#[test]
fn who_tries_time_and_again_is_answered_ever_later() {
    let (mut world, _) = world(Config::default());
    let peer = || Peer { address: "b".into(), ..Peer::default() };
    for _ in 0..3 {
        let id = world.log_in(peer(), "PLAIN", "\0u\0wrong");
        assert_eq!(world.heard(id).last().map(String::as_str), Some(REFUSED));
    }
    let id = world.log_in(peer(), "PLAIN", "\0u\0wrong");
    assert_eq!(world.heard(id), ["connection.start", "pause"]);
    world.pass(std::time::Duration::from_millis(249));
    assert_eq!(world.heard(id), [""; 0]);
    world.pass(std::time::Duration::from_millis(1));
    assert_eq!(world.heard(id), ["resume", REFUSED]);
}

#[test]
fn guesses_side_by_side_are_no_quicker() {
    let (mut world, _) = world(Config::default());
    let peer = || Peer { address: "b".into(), ..Peer::default() };
    let guess = |world: &mut World| world.log_in(peer(), "PLAIN", "\0u\0wrong");
    for _ in 0..11 {
        // Who goes away is as good as refused.
        let id = guess(&mut world);
        world.input(Input::Closed(id));
    }
    // Eight refusals wait to go out, the first of them for 250 ms.
    world.verifies = false;
    let is_asked = |world: &World, id: ConnectionId| {
        let mut outputs = world.outputs().iter();
        outputs.any(|output| matches!(output, Output::Verify(about, ..) if *about == id))
    };
    let ms = std::time::Duration::from_millis;
    let id = guess(&mut world);
    world.pass(ms(249));
    assert!(!is_asked(&world, id));
    world.pass(ms(1));
    assert!(is_asked(&world, id));
    // While it is being found out it takes a place, and when it is gone its refusal does.
    let next = guess(&mut world);
    world.pass(ms(100));
    assert!(!is_asked(&world, next));
    world.input(Input::Closed(id));
    world.pass(ms(100));
    assert!(!is_asked(&world, next));
    world.pass(ms(100));
    assert!(is_asked(&world, next), "the second refusal has gone out");
}

#[test]
fn a_start_makes_nobody_where_somebody_else_sees_to_it() {
    let mut world = World::with_disk(Config { defaults: None, ..Config::default() });
    assert_eq!((world.broker.users(None).count(), world.broker.vhosts(None).count()), (0, 0));
    world.set_vhost("v");
    world.set_user("u", &[]);
    world.restart(Config::default());
    assert!(world.broker.users(None).map(|user| &user.name).eq(["u"]));
    assert!(world.broker.vhosts(None).map(|status| status.vhost.name).eq(["v"]));
}

#[test]
fn a_mechanism_that_is_not_allowed_is_not_taken() {
    let mechanisms = vec![Mechanism::AmqPlain];
    let mut world = World::new(Config { mechanisms, ..Config::default() });
    let local = || Peer { is_loopback: true, ..Peer::default() };
    for (mechanism, response) in [("PLAIN", "\0guest\0guest"), ("ANONYMOUS", "")] {
        let id = world.log_in(local(), mechanism, response);
        assert_eq!(world.heard(id), ["connection.start"], "{mechanism}");
    }
    let response = "\u{5}LOGINS\0\0\0\u{5}guest\u{8}PASSWORDS\0\0\0\u{5}guest";
    let id = world.log_in(local(), "AMQPLAIN", response);
    assert!(world.heard(id).contains(&"connection.tune".into()));
}

#[test]
fn there_is_no_more_on_the_node_than_there_may_be() {
    let (mut world, id) = world(Config::default());
    let limit = |world: &mut World, limits| world.done(Command::SetNodeLimits(limits));
    let declare =
        |name: &str| QueueDeclare { queue: name.into(), durable: true, ..Default::default() };
    let exchange = |name: &str| ExchangeDeclare {
        exchange: name.into(),
        kind: "direct".into(),
        ..Default::default()
    };
    let none = NodeLimits::default();
    limit(&mut world, NodeLimits { queues: Some(1), ..none });
    assert_eq!(world.ask(id, declare("q")), "declare-ok q 0", "it is there");
    let text = "channel.close PRECONDITION_FAILED - cannot declare queue 'r': queue limit in \
                cluster (1) is reached";
    assert_eq!(world.ask(id, declare("r")), text);
    limit(&mut world, NodeLimits { exchanges: Some(7), ..none });
    let text = "channel.close PRECONDITION_FAILED - cannot declare exchange 'x' in vhost '/': \
                exchange limit of 7 is reached";
    assert_eq!(world.ask(id, exchange("x")), text);
    limit(&mut world, NodeLimits { vhosts: Some(1), ..none });
    let metadata = VhostMetadata::default();
    let refused = world.answer(Command::SetVhost { vhost: "v".into(), metadata });
    assert_eq!(refused, "cannot create vhost 'v': vhost limit of 1 is reached");
    limit(&mut world, NodeLimits { channels: Some(1), ..none });
    world.tell(id, 2, ChannelOpen::default());
    let text = "connection.close NOT_ALLOWED - number of channels opened on node \
                'warren@localhost' has reached the maximum allowed limit of (1)";
    assert_eq!(world.heard(id), [text]);
    limit(&mut world, NodeLimits { consumers_of_channel: Some(1), ..none });
    let (id, _) = world.enter("\0guest\0guest", "/");
    let consume = || BasicConsume { queue: "q".into(), ..Default::default() };
    assert!(world.ask(id, consume()).starts_with("basic.consume-ok"));
    let text = "connection.close NOT_ALLOWED - reached maximum (1) of consumers per channel";
    assert_eq!(world.ask(id, consume()), text);
}

#[test]
fn a_queue_is_of_the_type_that_the_node_has_for_those_that_do_not_say() {
    let default_queue_type = Some("quorum".into());
    let (mut world, id) = world(Config { default_queue_type, ..Config::default() });
    let declare =
        |name: &str, durable| QueueDeclare { queue: name.into(), durable, ..Default::default() };
    world.ask(id, declare("q", true));
    world.ask(id, declare("transient", false));
    let is_quorum = |world: &World, name: &str| {
        let info = world.broker.queue_info(&"/".into(), &name.into()).expect("is there");
        info.arguments.find("x-queue-type").is_some()
    };
    assert!(is_quorum(&world, "q") && !is_quorum(&world, "transient"));
    let metadata = VhostMetadata { default_queue_type: Some("classic".into()), ..<_>::default() };
    world.done(Command::SetVhost { vhost: "/".into(), metadata });
    world.ask(id, declare("classic", true));
    assert!(!is_quorum(&world, "classic"), "what the virtual host says counts first");
}

#[test]
fn parameters_are_kept_as_they_are() {
    let (mut world, _) = world(Config::default());
    let parameter = |vhost: Option<&str>, value: &'static str| Parameter {
        vhost: vhost.map(ShortStr::from),
        component: "shovel".into(),
        name: "s".into(),
        value: Bytes::from_static(value.as_bytes()),
    };
    let set = |vhost, value| Command::SetParameter(parameter(vhost, value));
    assert_eq!(world.answer(set(Some("/"), "{}")), "Created");
    assert_eq!(world.answer(set(Some("/"), "{\"a\":1}")), "Updated");
    assert_eq!(world.answer(set(None, "7")), "Created");
    assert_eq!(world.answer(set(Some("v"), "7")), "Virtual host 'v' does not exist");
    world.restart(Config::default());
    let found: Vec<_> = world.broker.parameters(Some(&"/".into()), None).collect();
    assert_eq!(found, [parameter(Some("/"), "{\"a\":1}")]);
    let clear =
        || Command::ClearParameter { vhost: None, component: "shovel".into(), name: "s".into() };
    assert_eq!(world.answer(clear()), "Deleted");
    assert_eq!(world.answer(clear()), "Parameter does not exist");
    assert_eq!(world.broker.parameters(None, None).count(), 0);
}
