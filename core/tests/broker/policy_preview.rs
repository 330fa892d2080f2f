//! What a policy would be for is what it is for once it is set.

use std::collections::BTreeMap;

use proptest::prelude::*;
use warren_core::Config;
use warren_core::amqp::*;
use warren_core::broker::PolicyLayer::User;
use warren_core::broker::{ApplyTo, Policy};
use warren_core::listing::PolicyMatch;
use warren_core::{Command, CommandId, Input};

use super::client::World;

const NAMES: [&str; 6] = ["a", "ab", "b", "b.c", "c", "ca"];
const PATTERNS: [&str; 7] = ["", "a", "^a", "b$", "^b\\.", "c|a", "x"];

fn policies() -> impl Strategy<Value = Vec<Policy>> {
    let one = (0..3usize, 0..PATTERNS.len(), 0..ApplyTo::ALL.len(), 0..3i64, any::<bool>());
    let policy = one.prop_map(|(name, pattern, apply_to, priority, is_for_classic)| {
        // The latter is nothing that a quorum queue could have.
        let key = if is_for_classic { "queue-mode" } else { "max-length" };
        let value = match is_for_classic {
            true => FieldValue::text("lazy"),
            false => FieldValue::I64(7),
        };
        Policy {
            name: ["p", "q", "r"][name].into(),
            pattern: PATTERNS[pattern].into(),
            apply_to: ApplyTo::ALL[apply_to],
            priority,
            definition: FieldTable::new(vec![(key.into(), value)]),
        }
    });
    proptest::collection::vec(policy, 1..6)
}

fn set(world: &mut World, policy: &Policy) {
    let (vhost, policy) = ("/".into(), policy.clone());
    let command = Command::SetPolicy { vhost, layer: User, policy };
    world.input(Input::Command(CommandId(7), Box::new(command)));
    while world.answers().is_empty() {
        world.input(Input::Tick);
    }
}

fn set_up(world: &mut World) {
    let client = world.client();
    for (index, name) in NAMES.iter().enumerate() {
        let mut arguments = FieldTable::default();
        if index % 2 == 1 {
            arguments.push("x-queue-type".into(), FieldValue::text("quorum"));
        }
        let durable = true;
        let queue =
            QueueDeclare { queue: (*name).into(), durable, arguments, ..Default::default() };
        world.tell(client, 1, queue);
        let (exchange, kind) = ((*name).into(), "fanout".into());
        world.tell(client, 1, ExchangeDeclare { exchange, kind, ..Default::default() });
    }
    world.heard(client);
}

/// The policies in force, by kind and name.
fn in_force(world: &World) -> BTreeMap<(bool, String), Option<ShortStr>> {
    let queues = world.broker.list_queues(0, 100).items.into_iter();
    let queues = queues.map(|one| ((true, one.name.to_string()), one.policy));
    let exchanges = world.broker.list_exchanges(&"/".into(), None, 100).into_iter();
    let exchanges = exchanges.map(|one| ((false, one.name.to_string()), one.policy));
    queues.chain(exchanges).collect()
}

fn preview(world: &World, policy: &Policy, limit: usize) -> Vec<PolicyMatch> {
    let (mut matches, mut next) = (Vec::new(), Some(0));
    while let Some(from) = next {
        let vhost = "/".into();
        let page = world.broker.preview_policy(&vhost, User, policy.clone(), from, limit);
        let page = page.expect("makes sense");
        assert!(page.items.len() <= limit);
        matches.extend(page.items);
        next = page.next;
    }
    matches
}

proptest! {
    #[test]
    fn what_a_policy_would_be_for_is_what_it_is_for(all in policies(), limit in 1..20usize) {
        let mut world = World::new(Config::default());
        set_up(&mut world);
        for policy in &all {
            let before = in_force(&world);
            let matches = preview(&world, policy, limit);
            prop_assert_eq!(&before, &in_force(&world), "nothing is set");
            set(&mut world, policy);
            let after = in_force(&world);
            let mut told = BTreeMap::new();
            for one in matches {
                let key = (one.kind != "exchange", one.name.to_string());
                prop_assert_eq!(&before[&key], &one.now);
                told.insert(key, if one.wins { Some(policy.name.clone()) } else { one.other });
            }
            for (key, now) in &after {
                match told.get(key) {
                    Some(expected) => prop_assert_eq!(now, expected, "{:?}", key),
                    // It does not match: what comes after one of its name is for others to say.
                    None => prop_assert_ne!(now.as_ref(), Some(&policy.name), "{:?}", key),
                }
            }
        }
    }
}

#[test]
fn a_policy_that_makes_no_sense_has_no_preview() {
    let world = World::new(Config::default());
    let policy = Policy {
        name: "p".into(),
        pattern: "(".into(),
        apply_to: ApplyTo::All,
        priority: 0,
        definition: FieldTable::new(vec![("max-length".into(), FieldValue::I64(7))]),
    };
    assert!(world.broker.preview_policy(&"/".into(), User, policy.clone(), 0, 10).is_err());
    assert!(world.broker.preview_policy(&"none".into(), User, policy, 0, 10).is_err());
}
