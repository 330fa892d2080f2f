//! Holds a history against the broker's promises.
//!
//! A history ends with all queues drained and everything that was drained settled, so that what was
//! never seen again is lost.

use crate::history::{Fact, Id, Queue};
use crate::transactions::{self, Transaction};
use std::collections::BTreeMap;

/// What is known of a message.
#[derive(Debug)]
struct Message {
    publisher: u32,
    queues: &'static [Queue],
    is_persistent: bool,
    transaction: Option<u32>,
    sent_in: u32,
    /// What says that it is on disk in all of its queues, once something does.
    durable_by: Option<&'static str>,
}

/// What is known of a message in one queue.
#[derive(Debug, Default)]
pub(crate) struct Copy {
    /// How often it was delivered.
    pub(crate) deliveries: u32,
    /// With which broker it was delivered last, counted from 1.
    pub(crate) delivered_in: u32,
    /// With which broker it was acked or rejected last.
    pub(crate) settled_in: Option<u32>,
    is_final: bool,
}

/// What is wrong with a history; nothing, if all promises were kept.
pub(crate) fn faults(facts: &[Fact]) -> Vec<String> {
    let mut account = Account::default();
    for fact in facts {
        account.take(fact);
    }
    account.close();
    account.faults
}

#[derive(Debug, Default)]
struct Account {
    faults: Vec<String>,
    /// How many brokers there were so far.
    broker: u32,
    messages: BTreeMap<Id, Message>,
    copies: BTreeMap<(Id, Queue), Copy>,
    transactions: BTreeMap<u32, Transaction>,
    /// The last message that was delivered in turn, by consumer, queue and publisher.
    last_in_turn: BTreeMap<(u32, Queue, u32), Id>,
}

impl Account {
    fn take(&mut self, fact: &Fact) {
        match *fact {
            Fact::Started => self.broker += 1,
            Fact::Sent { id, publisher, queues, is_persistent, transaction } => {
                let (sent_in, durable_by) = (self.broker, None);
                let message =
                    Message { publisher, queues, is_persistent, transaction, sent_in, durable_by };
                let twice = self.messages.insert(id, message);
                assert!(twice.is_none(), "the test sent message {id} twice");
                if let Some(transaction) = transaction {
                    let copies = queues.iter().map(|&queue| (id, queue));
                    self.transactions.entry(transaction).or_default().sent.extend(copies);
                }
            }
            Fact::Confirmed(id) => {
                let message = self.messages.get_mut(&id).expect("the test sent what it waits for");
                message.durable_by = Some("was confirmed");
            }
            Fact::Received { id, queue, consumer, is_redelivered, is_alone, ref fault } => {
                if let Some(fault) = fault {
                    self.fault(id, queue, fault);
                }
                self.receive(id, queue, is_redelivered);
                self.check_turn(id, queue, consumer, is_alone || !is_redelivered);
            }
            Fact::Settling { id, queue, transaction: None } => self.settle(id, queue),
            Fact::Settling { id, queue, transaction: Some(transaction) } => {
                self.transactions.entry(transaction).or_default().settled.push((id, queue));
            }
            Fact::Final { id, queue } => self.copy(id, queue).is_final = true,
            Fact::Committing(transaction) => {
                let begun = self.transactions.entry(transaction).or_default();
                begun.committing_in = Some(self.broker);
                for (id, queue) in begun.settled.clone() {
                    self.settle(id, queue);
                }
            }
            Fact::Committed(transaction) => self.commit(transaction),
        }
    }

    fn receive(&mut self, id: Id, queue: Queue, is_redelivered: bool) {
        let broker = self.broker;
        let Some(message) = self.messages.get_mut(&id) else {
            return self.fault(id, queue, "was never published");
        };
        if !message.queues.contains(&queue) {
            return self.fault(id, queue, "was not routed there");
        }
        let transaction = message.transaction.map(|number| &self.transactions[&number]);
        if transaction.is_some_and(|transaction| transaction.committing_in.is_none()) {
            return self.fault(id, queue, "is of a transaction that was not committed");
        }
        let is_recovered = message.sent_in < broker;
        if is_recovered && !message.is_persistent {
            return self.fault(id, queue, "is transient, and came after a restart");
        }
        if is_recovered && message.durable_by.is_none() {
            message.durable_by = Some("was recovered in another queue");
        }
        let copy = self.copies.entry((id, queue)).or_default();
        let was_delivered = copy.deliveries > 0;
        let again = if copy.is_final {
            Some("came again when its ack was final")
        } else if copy.settled_in == Some(broker) {
            Some("came again after it was acked, with no restart in between")
        } else if was_delivered && !is_redelivered {
            Some("was delivered before, and does not say so")
        } else {
            None
        };
        copy.deliveries += 1;
        copy.delivered_in = broker;
        if let Some(again) = again {
            self.fault(id, queue, again);
        }
    }

    /// Messages that are delivered in turn come in the order in which each publisher sent them.
    fn check_turn(&mut self, id: Id, queue: Queue, consumer: u32, is_in_turn: bool) {
        let Some(message) = self.messages.get(&id).filter(|_| is_in_turn) else { return };
        let last = self.last_in_turn.insert((consumer, queue, message.publisher), id);
        if let Some(last) = last.filter(|last| *last >= id) {
            self.fault(id, queue, &format!("came behind message {last} of the same publisher"));
        }
    }

    fn settle(&mut self, id: Id, queue: Queue) {
        let broker = self.broker;
        self.copy(id, queue).settled_in = Some(broker);
    }

    fn commit(&mut self, number: u32) {
        let transaction = self.transactions.get_mut(&number).expect("was begun");
        transaction.is_committed = true;
        let (sent, settled) = (transaction.sent.clone(), transaction.settled.clone());
        for (id, _) in sent {
            let message = self.messages.get_mut(&id).expect("was sent");
            message.durable_by = Some("was committed");
        }
        for (id, queue) in settled {
            self.copy(id, queue).is_final = true;
        }
    }

    /// What must have come by now.
    fn close(&mut self) {
        let mut lost = Vec::new();
        for (&id, message) in &self.messages {
            let Some(why) = message.durable_by.filter(|_| message.is_persistent) else { continue };
            for &queue in message.queues {
                let copy = self.copies.get(&(id, queue));
                if copy.is_none_or(|copy| copy.deliveries == 0) {
                    lost.push((id, queue, format!("{why}, and is lost")));
                } else if copy.is_some_and(|copy| copy.settled_in.is_none()) {
                    lost.push((id, queue, format!("{why}, was delivered, not acked, and is lost")));
                }
            }
        }
        for (id, queue, fault) in lost {
            self.fault(id, queue, &fault);
        }
        for (number, transaction) in &self.transactions {
            let is_durable = |id: Id| {
                let message = self.messages.get(&id);
                message.is_some_and(|message| message.is_persistent && message.durable_by.is_some())
            };
            let is_persistent = |id: Id| self.messages.get(&id).is_some_and(|m| m.is_persistent);
            let torn = transactions::torn(transaction, &self.copies, is_persistent, is_durable);
            self.faults.extend(torn.map(|how| format!("transaction {number} is torn: {how}")));
        }
    }

    fn copy(&mut self, id: Id, queue: Queue) -> &mut Copy {
        self.copies.entry((id, queue)).or_default()
    }

    fn fault(&mut self, id: Id, queue: Queue, what: &str) {
        let sent = self.messages.get(&id).map_or(String::new(), |message| {
            let kind = if message.is_persistent { "persistent" } else { "transient" };
            format!(" ({kind}, sent to broker {})", message.sent_in)
        });
        let broker = self.broker;
        self.faults.push(format!("broker {broker}: message {id} in queue {queue}{sent} {what}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &[Queue] = &[0, 1];
    const ONE: &[Queue] = &[0];

    fn sent(id: Id, queues: &'static [Queue], transaction: Option<u32>) -> Fact {
        Fact::Sent { id, publisher: 7, queues, is_persistent: true, transaction }
    }

    fn transient(id: Id) -> Fact {
        let (queues, transaction) = (ONE, None);
        Fact::Sent { id, publisher: 7, queues, is_persistent: false, transaction }
    }

    fn received(id: Id, queue: Queue, is_redelivered: bool) -> Fact {
        let (consumer, is_alone, fault) = (9, false, None);
        Fact::Received { id, queue, consumer, is_redelivered, is_alone, fault }
    }

    /// As [`received`], when nobody else consumes.
    fn drained(id: Id, queue: Queue, is_redelivered: bool) -> Fact {
        let (consumer, is_alone, fault) = (10, true, None);
        Fact::Received { id, queue, consumer, is_redelivered, is_alone, fault }
    }

    fn settling(id: Id, queue: Queue) -> Fact {
        Fact::Settling { id, queue, transaction: None }
    }

    fn settling_in(id: Id, queue: Queue, transaction: u32) -> Fact {
        Fact::Settling { id, queue, transaction: Some(transaction) }
    }

    #[track_caller]
    fn assert_kept(facts: &[Fact]) {
        assert_eq!(faults(facts), Vec::<String>::new());
    }

    /// Fails unless just this one fault is found.
    #[track_caller]
    fn assert_fault(facts: &[Fact], expected: &str) {
        let found = faults(facts);
        assert!(found.len() == 1 && found[0].contains(expected), "{found:#?}");
    }

    #[test]
    fn a_history_of_kept_promises_has_no_fault() {
        assert_kept(&[
            Fact::Started,
            sent(1, BOTH, None),
            sent(2, ONE, None),
            transient(3),
            sent(4, ONE, None),
            Fact::Confirmed(1),
            received(1, 0, false),
            Fact::Confirmed(2),
            received(2, 0, false),
            received(3, 0, false),
            settling(1, 0),
            Fact::Final { id: 1, queue: 0 },
            Fact::Started,
            // 1 is final in queue 0; 2 was not acked; 3 is transient; 4 was not confirmed.
            drained(2, 0, true),
            drained(1, 1, true),
            settling(2, 0),
            settling(1, 1),
        ]);
    }

    #[test]
    fn a_confirmed_message_that_never_comes_is_lost() {
        let facts = [Fact::Started, sent(1, ONE, None), Fact::Confirmed(1), Fact::Started];
        assert_fault(&facts, "message 1 in queue 0 (persistent, sent to broker 1) was confirmed");
        let in_one = [
            Fact::Started,
            sent(1, BOTH, None),
            Fact::Confirmed(1),
            received(1, 1, false),
            settling(1, 1),
        ];
        assert_fault(&in_one, "message 1 in queue 0");
    }

    #[test]
    fn a_confirmed_message_that_was_not_acked_must_come_again() {
        let facts = [
            Fact::Started,
            sent(1, ONE, None),
            Fact::Confirmed(1),
            received(1, 0, false),
            Fact::Started,
        ];
        assert_fault(&facts, "not acked, and is lost");
    }

    #[test]
    fn what_was_recovered_in_one_queue_is_there_in_the_others() {
        let facts = [
            Fact::Started,
            sent(1, BOTH, None),
            Fact::Started,
            drained(1, 0, false),
            settling(1, 0),
        ];
        assert_fault(&facts, "message 1 in queue 1 (persistent, sent to broker 1) was recovered");
    }

    #[test]
    fn an_unconfirmed_message_may_come_or_not() {
        assert_kept(&[Fact::Started, sent(1, ONE, None), Fact::Started]);
        let settled = settling(1, 0);
        assert_kept(&[
            Fact::Started,
            sent(1, ONE, None),
            Fact::Started,
            drained(1, 0, true),
            settled,
        ]);
    }

    #[test]
    fn a_message_that_was_acked_does_not_come_again() {
        let begun = [
            Fact::Started,
            sent(1, ONE, None),
            Fact::Confirmed(1),
            received(1, 0, false),
            settling(1, 0),
        ];
        let again = [received(1, 0, true), settling(1, 0)];
        assert_fault(&[&begun[..], &again].concat(), "with no restart in between");
        // An ack may be lost with the broker, if it is not known to be final.
        assert_kept(&[&begun[..], &[Fact::Started], &again].concat());
        let last = [Fact::Final { id: 1, queue: 0 }, Fact::Started];
        assert_fault(&[&begun[..], &last, &again].concat(), "its ack was final");
    }

    #[test]
    fn a_message_that_comes_again_says_so() {
        let facts = [
            Fact::Started,
            sent(1, ONE, None),
            received(1, 0, false),
            Fact::Started,
            drained(1, 0, false),
            settling(1, 0),
        ];
        assert_fault(&facts, "was delivered before, and does not say so");
    }

    #[test]
    fn one_publishers_messages_come_in_order() {
        let begun = [Fact::Started, sent(1, ONE, None), sent(2, ONE, None)];
        let settled = [settling(1, 0), settling(2, 0)];
        let twisted = [received(2, 0, false), received(1, 0, false)];
        assert_fault(&[&begun[..], &twisted, &settled].concat(), "behind message 2");
        let drained = [drained(2, 0, true), drained(1, 0, false)];
        assert_fault(
            &[&begun[..], &[Fact::Started], &drained, &settled].concat(),
            "behind message 2",
        );
        // With others consuming, what was with one of them may come late.
        let late = [received(2, 0, false), received(1, 0, true)];
        assert_kept(&[&begun[..], &late, &settled].concat());
    }

    #[test]
    fn what_nobody_published_or_nobody_routed_there_or_is_garbled_is_a_fault() {
        let begun = [Fact::Started, sent(1, ONE, None)];
        assert_fault(&[&begun[..], &[received(5, 0, false)]].concat(), "was never published");
        assert_fault(&[&begun[..], &[received(1, 3, false)]].concat(), "was not routed there");
        let garbled = Fact::Received {
            id: 1,
            queue: 0,
            consumer: 9,
            is_redelivered: false,
            is_alone: false,
            fault: Some("is garbled".to_owned()),
        };
        assert_fault(&[&begun[..], &[garbled]].concat(), "is garbled");
    }

    #[test]
    fn a_transient_message_does_not_outlive_the_broker() {
        let facts = [Fact::Started, transient(1), Fact::Started, drained(1, 0, false)];
        assert_fault(&facts, "came after a restart");
        assert_kept(&[Fact::Started, transient(1), Fact::Confirmed(1), Fact::Started]);
    }

    /// Message 1 is moved to message 2 and 3 in a transaction.
    fn moved(last: &[Fact]) -> Vec<Fact> {
        let begun = [
            Fact::Started,
            sent(1, ONE, None),
            Fact::Confirmed(1),
            received(1, 0, false),
            sent(2, ONE, Some(5)),
            sent(3, BOTH, Some(5)),
            settling_in(1, 0, 5),
        ];
        [&begun, last].concat()
    }

    #[test]
    fn a_committed_transaction_counts_as_a_whole() {
        let new = [drained(2, 0, false), drained(3, 0, false), drained(3, 1, false)];
        let settled = [settling(2, 0), settling(3, 0), settling(3, 1)];
        let committed = [Fact::Committing(5), Fact::Committed(5), Fact::Started];
        assert_kept(&moved(&[&committed[..], &new, &settled].concat()));
        assert_fault(
            &moved(&[&committed[..], &new[..2], &settled[..2]].concat()),
            "message 3 in queue 1 (persistent, sent to broker 1) was committed, and is lost",
        );
        let old = [drained(1, 0, true), settling(1, 0)];
        assert_fault(&moved(&[&committed[..], &old, &new, &settled].concat()), "its ack was final");
    }

    #[test]
    fn a_transaction_whose_commit_was_not_answered_is_done_or_not_done() {
        let new = [drained(2, 0, false), drained(3, 0, false), drained(3, 1, false)];
        let settled = [settling(2, 0), settling(3, 0), settling(3, 1)];
        let old = [drained(1, 0, true), settling(1, 0)];
        let asked = [Fact::Committing(5), Fact::Started];
        assert_kept(&moved(&[&asked[..], &new, &settled].concat()));
        assert_kept(&moved(&[&asked[..], &old].concat()));
        assert_fault(&moved(&[&asked[..], &old, &new, &settled].concat()), "is torn");
        assert_fault(&moved(&asked), "is torn");
        let half = moved(&[&asked[..], &old, &new[..1], &settled[..1]].concat());
        assert_fault(&half, "is torn");
    }

    #[test]
    fn what_was_delivered_of_a_commit_that_was_not_answered_may_be_lost_again() {
        let old = [drained(1, 0, true), settling(1, 0)];
        let before = [Fact::Committing(5), received(2, 0, false), settling(2, 0)];
        assert_kept(&moved(&[&before[..], &[Fact::Started], &old].concat()));
        let kept_back = [Fact::Committing(5), received(2, 0, false)];
        assert_kept(&moved(&[&kept_back[..], &[Fact::Started], &old].concat()));
    }

    #[test]
    fn a_transaction_that_was_not_committed_counts_for_nothing() {
        let old = [drained(1, 0, true), settling(1, 0)];
        assert_kept(&moved(&[&[Fact::Started], &old[..]].concat()));
        assert_fault(&moved(&[Fact::Started]), "not acked, and is lost");
        let new = [drained(2, 0, false), settling(2, 0)];
        assert_fault(&moved(&[&[Fact::Started], &old[..], &new].concat()), "not committed");
    }
}
