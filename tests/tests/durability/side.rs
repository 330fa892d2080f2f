//! Queues, exchanges and bindings that come and go while the broker is under load, and what must be
//! left of them by each restart.
//!
//! What was answered counts. What was asked and not answered may have been done or not, as a whole,
//! and is as it is found after the restart from then on.

use crate::load::is_gone;
use fastrand::Rng;
use serde_json::{Value, json};
use std::time::Duration;
use warren_tests::client::Address;
use warren_tests::session::{Event, Session};

/// How many queues there are, and as many exchanges.
const COUNT: usize = 6;

/// The exchange that the queues are bound to by their names.
const HUB: &str = "side.hub";

const PATIENCE: Duration = Duration::from_secs(20);

/// Whether something is there, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Absent,
    Present,
    /// It was to become the other, and there was no answer.
    InDoubt,
}

/// A queue and its binding to the hub.
#[derive(Debug, Clone)]
struct SideQueue {
    queue: State,
    binding: State,
    /// At least so many persistent messages are in it.
    count_min: u64,
    /// At most so many messages are in it.
    count_max: u64,
}

/// All that comes and goes.
#[derive(Debug)]
pub(crate) struct Side {
    queues: Vec<SideQueue>,
    exchanges: Vec<State>,
    faults: Vec<String>,
}

impl Side {
    /// Nothing is there yet.
    pub(crate) fn new() -> Self {
        let (queue, binding) = (State::Absent, State::Absent);
        let nothing = SideQueue { queue, binding, count_min: 0, count_max: 0 };
        Side {
            queues: vec![nothing; COUNT],
            exchanges: vec![State::Absent; COUNT],
            faults: Vec::new(),
        }
    }

    /// What was not as it should be.
    pub(crate) fn faults(&self) -> &[String] {
        &self.faults
    }

    /// Declares what does not come and go.
    pub(crate) fn declare(address: &Address) -> Result<(), String> {
        let mut session = Session::open(address)?;
        let hub = json!({"exchange": HUB, "type": "direct", "durable": true});
        session.call("Exchange.Declare", &hub, "Exchange.DeclareOk")?;
        session.close()
    }

    /// Looks what is there, and notes what should not be or is not.
    pub(crate) fn check(&mut self, address: &Address, broker: u32) -> Result<(), String> {
        for n in 0..COUNT {
            // A channel is closed by what is not there, so each look has a session of its own.
            let mut session = Session::open(address)?;
            let found = session.message_count(&queue_name(n));
            self.note_queue(n, found, broker);
            let mut session = Session::open(address)?;
            let exchange = json!({"exchange": exchange_name(n), "passive": true});
            let found = session.call("Exchange.Declare", &exchange, "Exchange.DeclareOk");
            let is_there = is_there(found)?;
            let what = format!("broker {broker}: exchange {}", exchange_name(n));
            settle(&mut self.exchanges[n], is_there, &what, &mut self.faults);
        }
        let mut session = Session::open(address)?;
        session.confirm()?;
        for n in 0..COUNT {
            let is_bound = probe(&mut session, n)?;
            let what = format!("broker {broker}: binding of {}", queue_name(n));
            settle(&mut self.queues[n].binding, is_bound, &what, &mut self.faults);
            // The probe is in the queue now, until somebody takes it or the broker goes.
            self.queues[n].count_max += u64::from(is_bound);
        }
        session.close()
    }

    fn note_queue(&mut self, n: usize, found: Result<u64, String>, broker: u32) {
        let what = format!("broker {broker}: queue {}", queue_name(n));
        let queue = &mut self.queues[n];
        let is_there = match &found {
            Ok(_) => true,
            Err(why) if why.contains("NOT_FOUND") => false,
            Err(why) => return self.faults.push(format!("{what}: {why}")),
        };
        let was = queue.queue;
        settle(&mut queue.queue, is_there, &what, &mut self.faults);
        if let Ok(count) = found {
            let (least, most) = (queue.count_min, queue.count_max);
            if was != State::Absent && !(least..=most).contains(&count) {
                let kept = format!("{what} has {count} messages, which should be {least}..={most}");
                self.faults.push(kept);
            }
            (queue.count_min, queue.count_max) = (count, count);
        } else {
            (queue.count_min, queue.count_max) = (0, 0);
            // With the queue goes its binding.
            if queue.binding == State::InDoubt {
                queue.binding = State::Absent;
            }
        }
    }

    /// Declares, binds, fills, purges and deletes until the broker is gone.
    pub(crate) fn churn(&mut self, address: &Address, seed: u64) -> Result<(), String> {
        let mut random = Rng::with_seed(seed);
        let Ok(mut session) = Session::open(address) else { return Ok(()) };
        if is_gone(session.confirm())? {
            return Ok(());
        }
        loop {
            let n = random.usize(..COUNT);
            let go_on = match random.u8(..12) {
                0..3 => self.declare_queue(&mut session, n)?,
                3 => self.delete_queue(&mut session, n)?,
                4 => self.purge(&mut session, n)?,
                5..7 => self.bind(&mut session, n)?,
                7 => self.unbind(&mut session, n)?,
                8 => self.change_exchange(&mut session, n)?,
                _ => self.fill(&mut session, n)?,
            };
            if !go_on {
                return Ok(());
            }
        }
    }

    /// False, here and below, if the broker is gone.
    fn declare_queue(&mut self, session: &mut Session, n: usize) -> Result<bool, String> {
        let queue = &mut self.queues[n];
        let was = queue.queue;
        if was == State::Absent {
            queue.queue = State::InDoubt;
        }
        let count = match session.declare(&queue_name(n)) {
            Ok(count) => count,
            Err(why) => return is_gone::<()>(Err(why)).map(|_| false),
        };
        queue.queue = State::Present;
        if count < queue.count_min || count > queue.count_max {
            let (least, most) = (queue.count_min, queue.count_max);
            return Err(format!(
                "{} ({was:?}) is declared with {count} messages, should be {least}..={most}",
                queue_name(n)
            ));
        }
        Ok(true)
    }

    fn delete_queue(&mut self, session: &mut Session, n: usize) -> Result<bool, String> {
        let queue = &mut self.queues[n];
        if queue.queue == State::Present {
            queue.queue = State::InDoubt;
        }
        if queue.binding == State::Present {
            queue.binding = State::InDoubt;
        }
        let arguments = json!({ "queue": queue_name(n) });
        // What is not there can be deleted too.
        if is_gone(session.call("Queue.Delete", &arguments, "Queue.DeleteOk"))? {
            return Ok(false);
        }
        let (queue, binding) = (State::Absent, State::Absent);
        self.queues[n] = SideQueue { queue, binding, count_min: 0, count_max: 0 };
        Ok(true)
    }

    fn purge(&mut self, session: &mut Session, n: usize) -> Result<bool, String> {
        let queue = &mut self.queues[n];
        if queue.queue != State::Present {
            return Ok(true);
        }
        // A purge is not said to be on disk when it is answered: what it removed may come back.
        queue.count_min = 0;
        let arguments = json!({ "queue": queue_name(n) });
        is_gone(session.call("Queue.Purge", &arguments, "Queue.PurgeOk")).map(|gone| !gone)
    }

    fn bind(&mut self, session: &mut Session, n: usize) -> Result<bool, String> {
        let queue = &mut self.queues[n];
        if queue.queue != State::Present {
            return Ok(true);
        }
        if queue.binding == State::Absent {
            queue.binding = State::InDoubt;
        }
        let is_done = !is_gone(session.call("Queue.Bind", &binding(n), "Queue.BindOk"))?;
        if is_done {
            queue.binding = State::Present;
        }
        Ok(is_done)
    }

    fn unbind(&mut self, session: &mut Session, n: usize) -> Result<bool, String> {
        let queue = &mut self.queues[n];
        if queue.queue != State::Present {
            return Ok(true);
        }
        if queue.binding == State::Present {
            queue.binding = State::InDoubt;
        }
        let is_done = !is_gone(session.call("Queue.Unbind", &binding(n), "Queue.UnbindOk"))?;
        if is_done {
            queue.binding = State::Absent;
        }
        Ok(is_done)
    }

    /// Declares the exchange if it is not there, else deletes it.
    fn change_exchange(&mut self, session: &mut Session, n: usize) -> Result<bool, String> {
        let is_there = self.exchanges[n] == State::Present;
        self.exchanges[n] = State::InDoubt;
        let name = exchange_name(n);
        let (call, after) = if is_there {
            let arguments = json!({ "exchange": name });
            let call = session.call("Exchange.Delete", &arguments, "Exchange.DeleteOk");
            (call, State::Absent)
        } else {
            let kind = ["direct", "fanout", "topic", "headers"][n % 4];
            let arguments = json!({"exchange": name, "type": kind, "durable": true});
            let call = session.call("Exchange.Declare", &arguments, "Exchange.DeclareOk");
            (call, State::Present)
        };
        let is_done = !is_gone(call)?;
        if is_done {
            self.exchanges[n] = after;
        }
        Ok(is_done)
    }

    fn fill(&mut self, session: &mut Session, n: usize) -> Result<bool, String> {
        let queue = &mut self.queues[n];
        if queue.queue != State::Present {
            return Ok(true);
        }
        queue.count_max += 1;
        let to = json!({ "routing_key": queue_name(n) });
        session.publish(&to, &json!({"delivery_mode": 2}), b"on the side");
        match session.next(PATIENCE) {
            Some(Event::Confirm { is_ack: true, .. }) => {
                queue.count_min += 1;
                Ok(true)
            }
            Some(Event::Ended | Event::Method { name: "Connection.Close", .. }) => Ok(false),
            other => Err(format!("no confirm on the side, but {other:?}")),
        }
    }
}

/// Whether the hub routes to the queue by its name.
fn probe(session: &mut Session, n: usize) -> Result<bool, String> {
    let to = json!({"exchange": HUB, "routing_key": queue_name(n), "mandatory": true});
    session.publish(&to, &json!({"delivery_mode": 1}), b"probe");
    let mut is_bound = true;
    loop {
        match session.next(PATIENCE) {
            Some(Event::Message(message)) if message.method == "Basic.Return" => is_bound = false,
            Some(Event::Confirm { is_ack: true, .. }) => return Ok(is_bound),
            other => return Err(format!("a probe of the hub got {other:?}")),
        }
    }
}

/// Holds what is found against what is known, and takes it for known.
fn settle(state: &mut State, is_there: bool, what: &str, faults: &mut Vec<String>) {
    match (*state, is_there) {
        (State::Present, false) => faults.push(format!("{what} is gone")),
        (State::Absent, true) => faults.push(format!("{what} is there, and should not be")),
        _ => {}
    }
    *state = if is_there { State::Present } else { State::Absent };
}

fn is_there<T>(found: Result<T, String>) -> Result<bool, String> {
    match found {
        Ok(_) => Ok(true),
        Err(why) if why.contains("NOT_FOUND") => Ok(false),
        Err(why) => Err(why),
    }
}

fn queue_name(n: usize) -> String {
    format!("side.{n}")
}

fn exchange_name(n: usize) -> String {
    format!("side.exchange.{n}")
}

fn binding(n: usize) -> Value {
    json!({"queue": queue_name(n), "exchange": HUB, "routing_key": queue_name(n)})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(mut state: State, is_there: bool) -> (State, usize) {
        let mut faults = Vec::new();
        settle(&mut state, is_there, "it", &mut faults);
        (state, faults.len())
    }

    #[test]
    fn only_what_is_in_doubt_may_be_either_way() {
        assert_eq!(settled(State::Present, true), (State::Present, 0));
        assert_eq!(settled(State::Present, false), (State::Absent, 1));
        assert_eq!(settled(State::Absent, false), (State::Absent, 0));
        assert_eq!(settled(State::Absent, true), (State::Present, 1));
        assert_eq!(settled(State::InDoubt, true), (State::Present, 0));
        assert_eq!(settled(State::InDoubt, false), (State::Absent, 0));
    }

    #[test]
    fn a_queue_that_lost_or_found_messages_is_a_fault() {
        for (count, faults) in [(2, 1), (3, 0), (5, 0), (6, 1)] {
            let mut side = Side::new();
            let queue = State::Present;
            side.queues[0] = SideQueue { queue, binding: queue, count_min: 3, count_max: 5 };
            side.note_queue(0, Ok(count), 2);
            assert_eq!(side.faults.len(), faults, "{count}: {:?}", side.faults);
        }
        let mut side = Side::new();
        side.note_queue(0, Ok(0), 2);
        assert_eq!(side.faults.len(), 1, "came back");
    }
}
