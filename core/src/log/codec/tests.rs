//! That facts read back as themselves, and that nothing else reads as one.

use alloc::vec;

use proptest::prelude::*;

use super::super::format::{RECORD_HEADER_LEN, RecordHeader};
use super::*;
use crate::amqp::FieldValue;
use crate::broker::{
    HashAlgorithm, Parameter, PasswordHash, Permission, TopicPermission, User, UserLimits,
    UserPermission, UserTopicPermission, VhostLimits, VhostMetadata, VirtualHost,
};

fn any_name() -> impl Strategy<Value = ShortStr> {
    "[a-zé.#*-]{0,9}".prop_map(|text| ShortStr::from(text.as_str()))
}

fn any_bytes(len_max: usize) -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..=len_max).prop_map(Bytes::from)
}

fn any_table() -> impl Strategy<Value = FieldTable> {
    let value = prop_oneof![
        any::<i64>().prop_map(FieldValue::I64),
        any_bytes(9).prop_map(FieldValue::LongStr),
        prop::collection::vec(any::<i32>().prop_map(FieldValue::I32), 0..3)
            .prop_map(FieldValue::Array),
    ];
    prop::collection::vec((any_name(), value), 0..4).prop_map(FieldTable::new)
}

fn any_queue() -> impl Strategy<Value = QueueNumber> {
    (0..=NUMBER_MAX).prop_map(QueueNumber)
}

fn any_place() -> impl Strategy<Value = Place> {
    (any_queue(), 0..=NUMBER_MAX).prop_map(|(queue, position)| Place { queue, position })
}

fn any_ranges() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((0..99_u64, 0..99_u64), 0..5)
        .prop_map(|ranges| ranges.into_iter().map(|(a, b)| (a.min(b), a.max(b))).collect())
}

fn any_message() -> impl Strategy<Value = Fact> {
    let places = prop::collection::vec(any_place(), 0..4);
    let flags = any::<(bool, bool, bool, bool)>();
    let parts = (any_name(), any_name(), any_bytes(30), any_bytes(40));
    (places, flags, parts).prop_map(|(places, flags, parts)| {
        let (is_moved, is_volatile, persistent, is_dead_letter) = flags;
        let (exchange, routing_key, properties, body) = parts;
        let properties = Properties::from_wire(properties);
        let body = Body::from(body);
        let charge = Charge::default();
        let message =
            Message { exchange, routing_key, properties, body, persistent, is_dead_letter, charge };
        Fact::Message(MessageFact { places, is_moved, is_volatile, message })
    })
}

fn any_bound() -> impl Strategy<Value = Bound> {
    let target =
        prop_oneof![any_queue().prop_map(Target::Queue), any_name().prop_map(Target::Exchange)];
    (any_name(), any_name(), any_name(), target, any_table()).prop_map(
        |(vhost, source, key, target, table)| {
            let arguments = encode_table(&table);
            Bound { vhost, source, key, target, arguments }
        },
    )
}

fn any_extent() -> impl Strategy<Value = Extent> {
    let others = any::<(u32, u64, u32, u32)>();
    let numbers = (0..=NUMBER_MAX, others);
    ((0..9_u64, 9..99_u64), numbers, any_ranges()).prop_map(|(range, numbers, settled)| {
        let (first, last) = range;
        let (segment, (live, bytes, index_offset, index_count)) = numbers;
        let settled = settled.into_iter().collect();
        Extent { segment, first, last, live, bytes, index_offset, index_count, settled }
    })
}

fn any_layer() -> impl Strategy<Value = PolicyLayer> {
    prop_oneof![Just(PolicyLayer::User), Just(PolicyLayer::Operator)]
}

fn any_policy() -> impl Strategy<Value = Fact> {
    let apply_to = (0..ApplyTo::ALL.len()).prop_map(|at| ApplyTo::ALL[at]);
    let pattern = "[a-zé^$.]{0,9}";
    let policy = (any_name(), pattern, apply_to, any::<i64>(), any_table());
    (any_name(), any_layer(), policy).prop_map(|(vhost, layer, policy)| {
        let (name, pattern, apply_to, priority, definition) = policy;
        let policy = Policy { name, pattern, apply_to, priority, definition };
        Fact::PolicySet(PolicyFact { vhost, layer, policy })
    })
}

fn any_seen() -> impl Strategy<Value = Fact> {
    let by = prop_oneof![
        any_queue().prop_map(Witness::Queue),
        (any_name(), any_name()).prop_map(|(vhost, name)| Witness::Exchange(vhost, name)),
    ];
    let value = (any::<u64>(), any::<[u8; 16]>());
    let values = prop::collection::btree_map(0..=NUMBER_MAX, value, 0..4);
    (by, 0..=NUMBER_MAX, values).prop_map(|(by, from, values)| {
        let values = values.into_iter().map(|(number, (until, value))| SeenValue {
            number,
            until,
            value: Fingerprint(value),
        });
        let values = values.filter(|seen| seen.number >= from).collect();
        Fact::Seen(SeenFact { by, from, values })
    })
}

fn any_names() -> impl Strategy<Value = Vec<ShortStr>> {
    prop::collection::vec(any_name(), 0..3)
}

fn any_limits() -> impl Strategy<Value = [Option<u64>; 2]> {
    let limit = || prop::option::of(0..u64::MAX);
    (limit(), limit()).prop_map(|(first, second)| [first, second])
}

fn any_vhost() -> impl Strategy<Value = Fact> {
    let default_type = prop::option::of("[a-z]{1,9}".prop_map(|text| ShortStr::from(&*text)));
    let metadata = (".{0,9}", any_names(), default_type, any::<bool>());
    (any_name(), metadata, any_limits()).prop_map(|(name, metadata, limits)| {
        let (description, tags, default_queue_type, protected) = metadata;
        let metadata = VhostMetadata { description, tags, default_queue_type, protected };
        let [max_connections, max_queues] = limits;
        Fact::VhostSet(VirtualHost {
            name,
            metadata,
            limits: VhostLimits { max_connections, max_queues },
        })
    })
}

fn any_user() -> impl Strategy<Value = Fact> {
    let algorithm = (0..HashAlgorithm::ALL.len()).prop_map(|at| HashAlgorithm::ALL[at]);
    let hash = (algorithm, any_bytes(40));
    (any_name(), hash, any_names(), any_limits()).prop_map(|(name, hash, tags, limits)| {
        let password_hash = PasswordHash { algorithm: hash.0, bytes: hash.1 };
        let [max_connections, max_channels] = limits;
        let limits = UserLimits { max_connections, max_channels };
        Fact::UserSet(User { name, password_hash, tags, limits })
    })
}

fn any_access() -> impl Strategy<Value = Fact> {
    let pair = || (any_name(), any_name());
    let permission = (pair(), [".{0,9}", ".{0,9}", ".{0,9}"]).prop_map(|((vhost, user), texts)| {
        let [configure, write, read] = texts;
        let permission = Permission { configure, write, read };
        Fact::PermissionSet(UserPermission { vhost, user, permission })
    });
    let topic = (pair(), any_name(), [".{0,9}", ".{0,9}"]).prop_map(
        |((vhost, user), exchange, [write, read])| {
            let permission = TopicPermission { exchange, write, read };
            Fact::TopicPermissionSet(UserTopicPermission { vhost, user, permission })
        },
    );
    let named = || (prop::option::of(any_name()), any_name(), any_name());
    let parameter = (named(), any_bytes(9)).prop_map(|((vhost, component, name), value)| {
        Fact::ParameterSet(Parameter { vhost, component, name, value })
    });
    prop_oneof![
        any_vhost(),
        any_name().prop_map(Fact::VhostDeleted),
        any_user(),
        any_name().prop_map(Fact::UserDeleted),
        permission,
        pair().prop_map(|(vhost, user)| Fact::PermissionCleared(vhost, user)),
        topic,
        (pair(), prop::option::of(any_name())).prop_map(|((vhost, user), exchange)| {
            Fact::TopicPermissionCleared(vhost, user, exchange)
        }),
        parameter,
        named().prop_map(|(vhost, of, name)| Fact::ParameterCleared(vhost, of, name)),
    ]
}

pub(crate) fn any_fact() -> impl Strategy<Value = Fact> {
    let settled = (any_queue(), any_ranges()).prop_map(|(queue, ranges)| Settled { queue, ranges });
    let lane = (any_queue(), any::<u8>()).prop_map(|(of, level)| LaneFact { of, level });
    let is_what = (any::<bool>(), prop::option::of(lane));
    let queue = (any_queue(), any_name(), any_name(), is_what, any_table()).prop_map(
        |(number, vhost, name, (auto_delete, lane), arguments)| {
            let fact = QueueFact { number, vhost, name, auto_delete, arguments, lane };
            Fact::QueueDeclared(fact)
        },
    );
    let flags = any::<(bool, bool)>();
    let exchange = (any_name(), any_name(), any_name(), flags, any_table()).prop_map(
        |(vhost, name, kind, (auto_delete, internal), arguments)| {
            let fact = ExchangeFact { vhost, name, kind, auto_delete, internal, arguments };
            Fact::ExchangeDeclared(fact)
        },
    );
    let timed = (any_queue(), any_ranges(), any::<u64>()).prop_map(|(queue, ranges, at)| {
        let ranges = ranges.into_iter().map(|(first, last)| (first, last, at)).collect();
        Fact::Timed(Timed { queue, ranges })
    });
    let kept = prop::collection::btree_set(0..=NUMBER_MAX, 0..4);
    let dropped = (any_place(), any::<u64>(), kept).prop_map(|(from, count, kept)| {
        let kept = kept.into_iter().filter(|at| *at >= from.position).collect();
        Fact::Dropped(Dropped { from, count, kept })
    });
    let returned = prop::collection::vec((0..=NUMBER_MAX, any::<u32>()), 0..4);
    let extents = prop::collection::vec(any_extent(), 0..4);
    let positions = (0..=NUMBER_MAX, 0..=NUMBER_MAX);
    let messages = (any_queue(), positions, returned, extents).prop_map(
        |(queue, (next_position, delivered_below), returned, extents)| {
            let fact = MessagesFact { queue, next_position, delivered_below, returned, extents };
            Fact::Messages(fact)
        },
    );
    prop_oneof![
        any_message(),
        prop::collection::vec(settled, 0..4).prop_map(Fact::Settled),
        dropped,
        (any_place(), any::<u32>()).prop_map(|(place, count)| Fact::Returned(place, count)),
        timed,
        any_seen(),
        (any_queue(), 0..=NUMBER_MAX).prop_map(|(queue, below)| Fact::Delivered(queue, below)),
        queue,
        any_queue().prop_map(Fact::QueueDeleted),
        (any_queue(), any_table()).prop_map(|(queue, table)| Fact::ArgumentsSet(queue, table)),
        exchange,
        (any_name(), any_name()).prop_map(|(vhost, name)| Fact::ExchangeDeleted(vhost, name)),
        any_policy(),
        any_access(),
        (any_name(), any_layer(), any_name())
            .prop_map(|(vhost, layer, name)| Fact::PolicyDeleted(vhost, layer, name)),
        any_bound().prop_map(Fact::Bound),
        any_bound().prop_map(Fact::Unbound),
        (0..=NUMBER_MAX, any::<u64>(), any::<u64>(), 0..=NUMBER_MAX).prop_map(|numbers| {
            let (segment, data_end, len, last) = numbers;
            Fact::Segment(SegmentFact { segment, data_end, len, last })
        }),
        messages,
    ]
}

fn encoded(fact: &Fact) -> (u8, u8, Bytes) {
    let mut out = BytesMut::from(&b"what was before"[..]);
    let start = out.len();
    fact.encode(&mut out, 7, 1000);
    let record = out.freeze().slice(start..);
    let offset = 1000 + start as u64;
    let (header, body) = RecordHeader::decode(&record, 7, offset).expect("a whole record");
    assert_eq!(header.len as usize, record.len());
    assert_eq!(body.len(), record.len() - RECORD_HEADER_LEN);
    (header.kind, header.flags, record.slice(RECORD_HEADER_LEN..))
}

proptest! {
    #[test]
    fn a_fact_reads_back_as_itself(fact in any_fact()) {
        let (kind, flags, body) = encoded(&fact);
        prop_assert_eq!(Fact::decode(kind, flags, &body), Some(fact));
    }

    #[test]
    fn a_cut_record_is_no_fact_or_a_shorter_one(fact in any_fact(), cut in any::<usize>()) {
        let (kind, flags, body) = encoded(&fact);
        prop_assume!(!body.is_empty());
        let cut = body.slice(..cut % body.len());
        prop_assert_ne!(Fact::decode(kind, flags, &cut), Some(fact));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(
        fact in any_fact(),
        kind in 0..31_u8,
        flags in 0..32_u8,
        noise in prop::collection::vec((any::<usize>(), any::<u8>()), 0..4),
    ) {
        let (own, own_flags, body) = encoded(&fact);
        let mut body = body.to_vec();
        for (at, byte) in noise {
            let len = body.len().max(1);
            if let Some(place) = body.get_mut(at % len) {
                *place = byte;
            }
        }
        let body = Bytes::from(body);
        for (kind, flags) in [(own, own_flags), (kind, flags)] {
            let _ = Fact::decode(kind, flags, &body);
            // All three ways to read a message agree on what is one.
            let fact = Fact::decode(kind::MESSAGE, flags, &body);
            let places = message_places(flags, &body).map(|places| places.collect::<Vec<_>>());
            let message = message(flags, &body);
            match fact {
                Some(Fact::Message(fact)) => {
                    prop_assert_eq!(Some(fact.places), places);
                    prop_assert_eq!(Some(fact.message), message);
                }
                _ => prop_assert_eq!((places, message), (None, None)),
            }
        }
    }
}

#[test]
fn a_message_is_made_of_slices_of_the_record() {
    let message = Message {
        exchange: "x".into(),
        routing_key: "k".repeat(60).as_str().into(),
        properties: Properties::from_wire(Bytes::from_static(&[7; 60])),
        body: Body::from(Bytes::from_static(&[1; 60])),
        persistent: true,
        is_dead_letter: false,
        charge: Charge::default(),
    };
    let fact = MessageFact {
        places: vec![Place { queue: QueueNumber(1), position: 2 }],
        is_moved: false,
        is_volatile: false,
        message,
    };
    let (_, flags, body) = encoded(&Fact::Message(fact.clone()));
    let read = super::message(flags, &body).expect("a message");
    assert_eq!(read, fact.message);
    let within = |piece: &[u8]| body.as_ptr_range().contains(&piece.as_ptr());
    assert!(read.body.pieces().all(within));
    assert!(within(read.routing_key.as_bytes()) && within(read.properties.wire()));
}

#[test]
fn a_queue_or_a_position_of_a_number_that_no_broker_comes_to_is_refused() {
    let numbers =
        [([NUMBER_MAX; 2], true), ([NUMBER_MAX + 1, 7], false), ([7, NUMBER_MAX + 1], false)];
    for (numbers, is_read) in numbers {
        let mut place = BytesMut::new();
        numbers.iter().for_each(|number| place.put_u64_le(*number));
        let mut message = BytesMut::new();
        message.put_u32_le(1);
        message.extend_from_slice(&place);
        message.put_bytes(0, 6);
        assert_eq!(message_places(0, &message).is_some(), is_read, "{numbers:?}");
        let mut returned = place;
        returned.put_u32_le(1);
        assert_eq!(Fact::decode(kind::RETURNED, 0, &returned.freeze()).is_some(), is_read);
    }
}

#[test]
fn a_count_that_the_bytes_do_not_bear_out_is_refused_before_memory_is_taken() {
    let mut body = BytesMut::new();
    body.put_u64_le(1);
    body.put_u32_le(u32::MAX);
    assert_eq!(Fact::decode(kind::SETTLED, 0, &body.freeze()), None);
    let body = Bytes::from_static(&[0xFF; 64]);
    for kind in 0..=u8::MAX {
        assert_eq!(Fact::decode(kind, 0, &body).map(|_| kind), None);
    }
}
