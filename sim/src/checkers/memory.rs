//! The broker keeps no more for a slow client than it may: nothing is delivered to one for whom
//! the limit waits already. Messages take no more memory than they may: publishers wait. And what
//! the broker says that messages take is what they really take, within a factor.

use super::Failure;

const ID: &str = "memory";
/// So many messages may be on their way from the disk.
const READ: u64 = 8;
/// What a message takes beside its body, in bytes, at the most.
const MESSAGE_OVERHEAD: u64 = 1024;

/// What is allocated is at most this many times what is accounted for or waits for sockets,
const ALLOCATED_FACTOR: u64 = 2;
/// and for each message so many bytes,
const MESSAGE_ALLOCATED: u64 = 512;
/// for each queue,
const QUEUE_ALLOCATED: u64 = 16 << 10;
/// for each queue of the most there ever were: room that tables have grown to is kept,
const QUEUE_ROOM: u64 = 2 << 10;
/// for each connection: what was read of it, and what waits,
const CONNECTION_ALLOCATED: u64 = 64 << 10;
/// and for all else, the batches of the log above all.
const ALLOCATED_BASE: u64 = 2 << 20;

/// Checks a delivery to a client for whom `waiting` bytes wait.
///
/// # Errors
/// When that is the limit or more.
pub fn check_egress(waiting: usize, limit: usize) -> Result<(), Failure> {
    if waiting < limit {
        return Ok(());
    }
    let text = format!("a delivery for a client for whom {waiting} bytes wait, of at most {limit}");
    Err(Failure::new(ID, text))
}

/// What a broker keeps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kept {
    /// What it says that messages take in memory.
    pub accounted: u64,
    /// Bytes that wait for sockets.
    pub sockets: u64,
    /// Messages in queues and with consumers, wherever they are.
    pub messages: u64,
    /// Queues.
    pub queues: u64,
    /// The most queues that there were since the broker was started.
    pub most_queues: u64,
    /// Connections.
    pub connections: u64,
}

/// Checks how many bytes of memory the broker really takes.
///
/// # Errors
/// When that is out of proportion to what it keeps.
pub fn check_allocated(allocated: i64, kept: &Kept) -> Result<(), Failure> {
    let Kept { accounted, sockets, messages, queues, most_queues, connections } = *kept;
    let allowed = ALLOCATED_FACTOR * (accounted + sockets)
        + messages * MESSAGE_ALLOCATED
        + queues * QUEUE_ALLOCATED
        + most_queues * QUEUE_ROOM
        + connections * CONNECTION_ALLOCATED
        + ALLOCATED_BASE;
    if u64::try_from(allocated).unwrap_or(0) <= allowed {
        return Ok(());
    }
    let text = format!("{allocated} bytes are allocated, at most {allowed} may be for {kept:?}");
    Err(Failure::new(ID, text))
}

/// Checks how many bytes messages take. What is under way when the limit is reached, at most
/// `largest` bytes on each of so many channels and queues, is taken in still or being read. Besides
/// there may be `more` of so many bytes and messages, that come together.
///
/// # Errors
/// When it is more.
pub fn check_messages(
    taken: u64,
    limit: u64,
    largest: u64,
    places: u64,
    more: (u64, u64),
) -> Result<(), Failure> {
    let more = more.0 + more.1 * MESSAGE_OVERHEAD;
    let allowed = limit + (places + READ) * (largest + MESSAGE_OVERHEAD) + more;
    if taken <= allowed {
        return Ok(());
    }
    let text = format!("messages take {taken} bytes; the limit is {limit}, with slack {allowed}");
    Err(Failure::new(ID, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_nothing_accounts_for_fails() {
        let kept = Kept { accounted: 1 << 20, ..Kept::default() };
        let most = (ALLOCATED_FACTOR * kept.accounted + ALLOCATED_BASE) as i64;
        assert_eq!(check_allocated(most, &kept), Ok(()));
        assert!(check_allocated(most + 1, &kept).is_err());
        assert_eq!(check_allocated(-1, &Kept::default()), Ok(()));
    }

    #[test]
    fn messages_beyond_the_limit_fail() {
        assert_eq!(check_messages(37_000, 1000, 3000, 1, (0, 0)), Ok(()));
        assert!(check_messages(38_000, 1000, 3000, 1, (0, 0)).is_err());
        assert_eq!(check_messages(38_000, 1000, 3000, 1, (1000, 1)), Ok(()));
    }

    #[test]
    fn a_delivery_on_top_of_a_full_egress_fails() {
        assert_eq!(check_egress(99, 100), Ok(()));
        assert!(check_egress(100, 100).is_err());
    }
}
