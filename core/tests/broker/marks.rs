//! Marks that no plan of the simulator reaches.

use bytes::Bytes;
use warren_core::amqp::{BasicPublish, CLASS_BASIC, ContentHeader, Frame, Properties};
use warren_core::{Broker, Input, Mark};

use super::client::World;

#[test]
fn properties_that_cannot_be_read_are_a_syntax_error() {
    let mut world = World::new(Default::default());
    let client = world.client();
    // They announce a content type, and end.
    let properties = Properties::from_wire(Bytes::from_static(&[0x80, 0]));
    let header = ContentHeader { class_id: CLASS_BASIC, weight: 0, body_size: 0, properties };
    world.tell(client, 1, BasicPublish { routing_key: "q".into(), ..Default::default() });
    world.input(Input::Frame(client, Frame::Header(1, header)));
    let heard = world.heard(client);
    assert!(heard[0].starts_with("connection.close SYNTAX_ERROR"), "{heard:?}");
    let broker: &Broker = &world.broker;
    assert_eq!(broker.marks().count(Mark::SyntaxError), 1);
}
