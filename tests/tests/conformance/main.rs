//! Plays to a broker what RabbitMQ 4.3.6 was recorded to answer, and reports where it answers
//! otherwise.
//!
//! The recordings are in `conformance/` of this package, with the list of differences that are
//! meant. How to play one conversation or one case alone, and to another broker, is in the
//! package's `README.md`.

mod compare;
mod conversation;
mod differences;
mod recording;
mod report;
mod wire_cases;
mod wire_player;

use conversation::{Outcome, QUIET, play};
use differences::Differences;
use recording::Conversation;
use report::Report;
use std::env;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use warren_tests::broker::{Broker, Target, elsewhere};
use warren_tests::client::Address;

/// Conversations bind queues to the exchanges that every broker has, so no two may share one: each
/// has a process of its own. Most of the time they wait for silence, so there may be more of them
/// than cores.
const BROKERS: usize = 12;

/// Names the recording to play, as `basic`, or one conversation of it, as `basic:17`.
const PLAY_VARIABLE: &str = "WARREN_PLAY";

/// Names the wire cases to play: those whose name contains it.
const WIRE_VARIABLE: &str = "WARREN_WIRE";

/// Brokers elsewhere are the same for every test, and a conversation wants one for itself.
static CONVERSING: Mutex<()> = Mutex::new(());

#[test]
fn recorded_conversations_are_answered_as_rabbitmq_answered_them() {
    match env::var(PLAY_VARIABLE) {
        Ok(wanted) => match wanted.split_once(':') {
            Some((name, number)) => {
                play_recording(name, Some(number.parse().expect("a conversation has a number")));
            }
            None => play_recording(&wanted, None),
        },
        Err(_) => recording::NAMES.iter().for_each(|name| play_recording(name, None)),
    }
}

/// Plays all conversations of a recording, or one of them, which is told in words.
fn play_recording(name: &str, number: Option<usize>) {
    let mut conversations = recording::read(name);
    if let Some(number) = number {
        conversations = vec![conversations.swap_remove(number)];
    }
    let brokers = Brokers::new(conversations.len().min(BROKERS));
    let outcomes = brokers.play_all(&conversations);
    if number.is_some() {
        report::tell(&conversations[0], &outcomes[0]);
    }
    let mut report = Report::new(name, &conversations, outcomes);
    if brokers.are_own {
        report.apply(&Differences::read());
    }
    println!("{report}");
    assert!(report.is_clean(), "{report}");
}

#[test]
fn an_altered_recording_is_reported() {
    let brokers = Brokers::new(1);
    let mut conversations = recording::read("basic");
    conversations.truncate(1);
    let step = conversations[0].replies.iter().rposition(|replies| !replies.is_empty());
    let step = step.expect("a conversation has answers");
    let name =
        &mut conversations[0].replies[step].first_entry().expect("is not empty").into_mut()[0];
    name[0] = "Basic.Nonsense".into();
    match &brokers.play_all(&conversations)[0] {
        Outcome::Differs { step: found, .. } => assert_eq!(*found, step),
        other => panic!("the alteration of step {step} was not found: {other:?}"),
    }
}

#[test]
fn broken_and_unusual_bytes_are_answered_as_rabbitmq_answered_them() {
    let only = env::var(WIRE_VARIABLE).ok();
    let target = Target::new();
    let address = target.address();
    let mut cases = wire_cases::all();
    cases.retain(|case| only.as_ref().is_none_or(|only| case.name.contains(only.as_str())));
    let answers: Vec<_> = thread::scope(|scope| {
        let players: Vec<_> =
            cases.iter().map(|case| scope.spawn(|| wire_player::answer(address, case))).collect();
        players.into_iter().map(|player| player.join().expect("a player does not panic")).collect()
    });
    let differences = Differences::read();
    let recorded = recording::read_wire();
    let mut complaints = Vec::new();
    for (case, answer) in cases.iter().zip(&answers) {
        if only.is_some() {
            println!("{}: {answer:?}", case.name);
        }
        let found = differences.judge_wire(case, &recorded[case.name], answer, target.is_own());
        complaints.extend(found.err());
    }
    let summary = format!("{} cases, {} answered otherwise", cases.len(), complaints.len());
    println!("{summary}");
    assert!(complaints.is_empty(), "{}\n{summary}", complaints.join("\n"));
}

#[test]
fn every_recorded_wire_case_is_played() {
    let mut recorded: Vec<_> = recording::read_wire().into_keys().collect();
    let mut played: Vec<_> = wire_cases::all().iter().map(|case| case.name.to_owned()).collect();
    recorded.sort();
    played.sort();
    assert_eq!(recorded, played);
}

/// The brokers to play to, one conversation at a time each.
struct Brokers {
    addresses: Vec<Address>,
    /// Whether they are Warren's, for which the list of differences holds.
    are_own: bool,
    /// Held for their `Drop`.
    _own: Vec<Broker>,
}

impl Brokers {
    fn new(count: usize) -> Self {
        let addresses = elsewhere();
        if !addresses.is_empty() {
            return Brokers { addresses, are_own: false, _own: Vec::new() };
        }
        let own: Vec<_> = (0..count).map(|_| Broker::start()).collect();
        Brokers { addresses: own.iter().map(Broker::address).collect(), are_own: true, _own: own }
    }

    /// Plays all conversations, then once more, slowly and few at once, those that were answered
    /// otherwise: a broker that had to wait for a busy machine is not to be blamed.
    fn play_all(&self, conversations: &[Conversation]) -> Vec<Outcome> {
        let _alone = CONVERSING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut outcomes =
            self.play_at_once(&conversations.iter().collect::<Vec<_>>(), BROKERS, QUIET);
        let differing = (0..outcomes.len()).filter(|n| !matches!(outcomes[*n], Outcome::Alike));
        let differing: Vec<_> = differing.collect();
        let again: Vec<_> = differing.iter().map(|n| &conversations[*n]).collect();
        let slowly = self.play_at_once(&again, BROKERS / 4, QUIET * 5);
        for (n, outcome) in differing.into_iter().zip(slowly) {
            if matches!(outcome, Outcome::Alike) {
                println!("conversation {} was alike when played slowly", conversations[n].number);
            }
            outcomes[n] = outcome;
        }
        outcomes
    }

    /// Each of the first so many brokers takes the next conversation when it is done with one. The
    /// outcomes are in the order of the conversations.
    fn play_at_once(
        &self,
        conversations: &[&Conversation],
        brokers: usize,
        quiet: Duration,
    ) -> Vec<Outcome> {
        let next = AtomicUsize::new(0);
        let played = Mutex::new(Vec::with_capacity(conversations.len()));
        thread::scope(|scope| {
            for address in self.addresses.iter().take(brokers) {
                scope.spawn(|| {
                    while let Some(conversation) =
                        conversations.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        let outcome = play(conversation, address, quiet);
                        played
                            .lock()
                            .expect("no holder panics")
                            .push((conversation.number, outcome));
                    }
                });
            }
        });
        let mut played = played.into_inner().expect("no holder panics");
        played.sort_by_key(|(number, _)| *number);
        played.into_iter().map(|(_, outcome)| outcome).collect()
    }
}
