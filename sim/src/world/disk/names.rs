//! What the platter tells of itself: the names of messages and of queues and exchanges that stand
//! in bytes which were synced.
//!
//! Every simulated message carries its number in its `message-id`, and queues and exchanges stand
//! behind the name of their virtual host, so both are found without knowing the format around them.

use std::collections::{BTreeSet, HashMap};

use foldhash::fast::FixedState;
use memchr::memchr2_iter;

use super::image::{Inode, SECTOR_LEN};

/// No name that is looked for is longer than this, in bytes.
const NAME_LEN_MAX: usize = 64;

/// Names, and the places at which they were found; never iterated but by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// Each file once; there is seldom more than one.
    messages: HashMap<u64, Vec<Inode>, FixedState>,
    topology: HashMap<String, BTreeSet<(Inode, usize)>>,
}

impl Names {
    /// Looks through sectors of a file that have just come to the platter.
    pub(super) fn scan(&mut self, file: Inode, platter: &[u8], sectors: &[usize]) {
        let mut sectors = sectors.iter().copied().peekable();
        while let Some(first) = sectors.next() {
            let mut last = first;
            while sectors.next_if_eq(&(last + 1)).is_some() {
                last += 1;
            }
            let from = (first * SECTOR_LEN).saturating_sub(NAME_LEN_MAX);
            let to = ((last + 1) * SECTOR_LEN + NAME_LEN_MAX).min(platter.len());
            if from < to {
                self.scan_bytes(file, from, &platter[from..to]);
            }
        }
    }

    /// Looks through a whole file, of which anything may have come to the platter.
    pub(super) fn scan_all(&mut self, file: Inode, platter: &[u8]) {
        self.scan_bytes(file, 0, platter);
    }

    /// The files in which a message was found.
    pub(super) fn files_of_message(&self, serial: u64) -> impl Iterator<Item = Inode> + '_ {
        self.messages.get(&serial).into_iter().flatten().copied()
    }

    /// The files in which a queue or an exchange was found, as often as it was.
    pub(super) fn files_of_name(&self, name: &str) -> impl Iterator<Item = Inode> + Clone + '_ {
        self.topology.get(name).into_iter().flatten().map(|(file, _)| *file)
    }

    fn scan_bytes(&mut self, file: Inode, from: usize, bytes: &[u8]) {
        for at in memchr2_iter(b'm', b'/', bytes).filter(|at| *at > 0) {
            match [bytes[at - 1], bytes[at]] {
                [_, b'm'] => {
                    if let Some(serial) = message_at(&bytes[at - 1..]) {
                        let files = self.messages.entry(serial).or_default();
                        if !files.contains(&file) {
                            files.push(file);
                        }
                    }
                }
                [1, b'/'] => {
                    if let Some(name) = text_at(&bytes[at + 1..]) {
                        let places = self.topology.entry(name.to_owned()).or_default();
                        places.insert((file, from + at));
                    }
                }
                _ => {}
            }
        }
    }
}

/// The number of the message whose name, behind its length, begins here.
fn message_at(bytes: &[u8]) -> Option<u64> {
    let digits = text_at(bytes)?.strip_prefix('m')?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    is_number.then(|| digits.parse().ok())?
}

/// The text that begins here, behind its length.
fn text_at(bytes: &[u8]) -> Option<&str> {
    let (len, bytes) = bytes.split_first()?;
    let text = bytes.get(..usize::from(*len))?;
    if text.is_empty() || text.len() >= NAME_LEN_MAX {
        return None;
    }
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_across_the_borders_of_sectors() {
        let mut platter = vec![0; 2048];
        platter[510..514].copy_from_slice(b"\x03m42");
        platter[700..705].copy_from_slice(b"\x01/\x02q1");
        platter[1530..1535].copy_from_slice(b"\x05m9999"[..5].as_ref());
        let mut names = Names::default();
        names.scan(Inode(1), &platter, &[1]);
        assert_eq!(names.files_of_message(42).count(), 1);
        assert_eq!(names.files_of_name("q1").count(), 1);
        assert_eq!(names.files_of_message(9999).count(), 0);
        assert_eq!(names.files_of_message(4).count(), 0);
        assert_eq!(names.files_of_name("q").count(), 0);
    }
}
