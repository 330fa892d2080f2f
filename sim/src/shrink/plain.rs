//! Steps that say the same with less.

use std::collections::BTreeMap;

use crate::plan::{Step, Who};

/// Values that a person takes in at a glance; the first that will do is taken.
const ROUND: [u64; 8] = [0, 1, 10, 100, 1000, 10_000, 100_000, 1_000_000];

/// Steps that may do in place of this one, the plainest first.
pub(super) fn plainer(step: &Step) -> Vec<Step> {
    let mut plainer = Vec::new();
    // Without the time a wait is no wait: it was tried to leave it out.
    if step.verb() != "wait" {
        let values: Vec<&str> = step.values().map(|(key, _)| key).collect();
        plainer
            .extend(values.into_iter().chain(step.flags()).map(|name| step.clone().without(name)));
    }
    for (key, value) in step.values() {
        let Ok(value) = value.parse::<u64>() else { continue };
        let rounder = ROUND.into_iter().filter(|round| *round < value);
        let half = (value > 3 && !is_round(value)).then_some(value / 2);
        plainer.extend(rounder.chain(half).map(|value| step.clone().with(key, value)));
    }
    plainer
}

fn is_round(value: u64) -> bool {
    ROUND.contains(&value)
}

/// The steps with all that this client does on its channel 1.
pub(super) fn on_channel_1(steps: &[Step], client: u8) -> Vec<Step> {
    moved(steps, |who| match who {
        Who::Channel(of, _) if of == client => Who::Channel(client, 1),
        who => who,
    })
}

/// The steps with all that this client does done by client 1.
pub(super) fn by_client_1(steps: &[Step], client: Who) -> Vec<Step> {
    moved(steps, |who| match who {
        Who::Channel(of, channel) if Who::Client(of) == client => Who::Channel(1, channel),
        who if who == client => Who::Client(1),
        who => who,
    })
}

fn moved(steps: &[Step], mut to: impl FnMut(Who) -> Who) -> Vec<Step> {
    let of = |step: &Step, who| step.clone().of(who).unwrap_or_else(|| step.clone());
    steps.iter().map(|step| of(step, to(step.who))).collect()
}

/// The steps with clients, and each one's channels, numbered from 1 in the order in which they come
/// up.
pub(super) fn renumbered(steps: &[Step]) -> Vec<Step> {
    let mut clients = BTreeMap::<u8, u8>::new();
    let mut channels = BTreeMap::<(u8, u16), u16>::new();
    moved(steps, |who| match who {
        Who::World => Who::World,
        Who::Client(client) => Who::Client(numbered(&mut clients, client)),
        Who::Channel(client, channel) => {
            let opened = channels.keys().filter(|(of, _)| *of == client).count() as u16;
            let channel = *channels.entry((client, channel)).or_insert(opened + 1);
            Who::Channel(numbered(&mut clients, client), channel)
        }
    })
}

fn numbered(clients: &mut BTreeMap<u8, u8>, client: u8) -> u8 {
    let next = clients.len() as u8 + 1;
    *clients.entry(client).or_insert(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(text: &str) -> Vec<Step> {
        text.lines().map(|line| line.parse().expect("a step")).collect()
    }

    #[test]
    fn clients_and_channels_are_numbered_as_they_come_up() {
        let renumbered =
            renumbered(&steps("c7 connect\nc7/3 open\nc2 connect\nc7/1 open\nc2/9 open"));
        assert_eq!(renumbered, steps("c1 connect\nc1/1 open\nc2 connect\nc1/2 open\nc2/1 open"));
    }

    #[test]
    fn a_step_is_tried_without_each_of_its_words_and_with_rounder_numbers() {
        let step: Step = "c1/1 publish body=37 key=q1 persistent".parse().expect("a step");
        let texts: Vec<String> = plainer(&step).iter().map(Step::to_string).collect();
        assert!(texts.contains(&"c1/1 publish key=q1 persistent".to_owned()));
        assert!(texts.contains(&"c1/1 publish body=37 key=q1".to_owned()));
        assert!(texts.contains(&"c1/1 publish body=10 key=q1 persistent".to_owned()));
        assert!(texts.contains(&"c1/1 publish body=18 key=q1 persistent".to_owned()));
        assert_eq!(plainer(&Step::wait(1)), [Step::wait(0)]);
    }
}
