//! Channels that wait until publishers may go on, in the order in which they began to.

use alloc::collections::BTreeMap;

use crate::broker::SessionHandle;

/// See the [module](self). A channel is in it once at the most; its name is the connection's index
/// and, in 16 bits, its number.
#[derive(Debug, Default)]
pub(crate) struct WaitingChannels {
    by_turn: BTreeMap<u64, SessionHandle>,
    turns: BTreeMap<u64, u64>,
    next_turn: u64,
}

impl WaitingChannels {
    /// A channel begins to wait, behind all others.
    pub(crate) fn push(&mut self, channel: SessionHandle) {
        self.remove(channel);
        self.by_turn.insert(self.next_turn, channel);
        self.turns.insert(channel.0, self.next_turn);
        self.next_turn += 1;
    }

    /// A channel waits no more.
    pub(crate) fn remove(&mut self, channel: SessionHandle) {
        if let Some(turn) = self.turns.remove(&channel.0) {
            self.by_turn.remove(&turn);
        }
    }

    /// The connection of this index is gone: its place is not for the next of this index.
    pub(crate) fn remove_all_of(&mut self, connection: u32) {
        let first = u64::from(connection) << 16;
        while let Some((&channel, _)) = self.turns.range(first..=first | 0xFFFF).next() {
            self.remove(SessionHandle(channel));
        }
    }

    /// The first of those who have this turn or a later one, and its turn.
    pub(crate) fn first_from(&self, turn: u64) -> Option<(u64, SessionHandle)> {
        self.by_turn.range(turn..).next().map(|(turn, channel)| (*turn, *channel))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.by_turn.len()
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = SessionHandle> + '_ {
        self.by_turn.values().copied()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn a_connection_that_is_gone_leaves_nothing_behind() {
        let mut waiting = WaitingChannels::default();
        let of = |connection: u64, number: u64| SessionHandle(connection << 16 | number);
        for channel in [of(1, 0xFFFF), of(2, 0), of(2, 7), of(2, 0xFFFF), of(3, 0)] {
            waiting.push(channel);
        }
        waiting.remove_all_of(2);
        assert_eq!(waiting.iter().collect::<Vec<_>>(), [of(1, 0xFFFF), of(3, 0)]);
    }

    #[test]
    fn who_waits_again_stands_behind_the_others() {
        let mut waiting = WaitingChannels::default();
        (1..=3).for_each(|channel| waiting.push(SessionHandle(channel)));
        waiting.push(SessionHandle(1));
        waiting.remove(SessionHandle(3));
        let order: Vec<u64> = waiting.iter().map(|channel| channel.0).collect();
        assert_eq!(order, [2, 1]);
        let (turn, first) = waiting.first_from(0).unwrap();
        assert_eq!(first, SessionHandle(2));
        assert_eq!(waiting.first_from(turn + 1).map(|(_, next)| next), Some(SessionHandle(1)));
    }
}
