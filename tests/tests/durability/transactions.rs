//! What the accounts know of transactions: a commit that was not answered is done as a whole or not
//! at all.

use crate::accounting::Copy;
use crate::history::{Id, Queue};
use std::collections::BTreeMap;

/// A transaction.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    /// What it publishes.
    pub(crate) sent: Vec<(Id, Queue)>,
    /// What it settles.
    pub(crate) settled: Vec<(Id, Queue)>,
    /// To which broker its commit was sent, if it was.
    pub(crate) committing_in: Option<u32>,
    /// Whether that was answered.
    pub(crate) is_committed: bool,
}

/// How a transaction whose commit was not answered is torn, when all queues have been drained.
///
/// What counts is what later brokers delivered, as nothing had to be durable before the commit was
/// answered. What the broker of the commit delivered and a client settled says nothing, as it would
/// not come again in either case. Acks say something only if what they are for is known to have
/// been on disk.
/// Commits that were answered are held to the general rules.
pub(crate) fn torn(
    transaction: &Transaction,
    copies: &BTreeMap<(Id, Queue), Copy>,
    is_persistent: impl Fn(Id) -> bool,
    is_durable: impl Fn(Id) -> bool,
) -> Option<String> {
    let broker = transaction.committing_in.filter(|_| !transaction.is_committed)?;
    let mut done = Vec::new();
    let mut undone = Vec::new();
    for copy in transaction.sent.iter().filter(|(id, _)| is_persistent(*id)) {
        let found = copies.get(copy);
        if found.is_some_and(|copy| copy.delivered_in > broker) {
            done.push(("publish", copy));
        } else if found.is_none_or(|copy| copy.settled_in.is_none()) {
            undone.push(("publish", copy));
        }
    }
    for copy in transaction.settled.iter().filter(|(id, _)| is_durable(*id)) {
        let came = copies.get(copy).is_some_and(|copy| copy.delivered_in > broker);
        if came { &mut undone } else { &mut done }.push(("ack", copy));
    }
    let is_torn = !done.is_empty() && !undone.is_empty();
    is_torn.then(|| format!("broker {broker} did {done:?} of it and not {undone:?}"))
}
