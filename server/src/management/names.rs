//! The names of all queues, in order: kept until a queue comes or goes, so that who leafs through
//! many queues time and again does not have them all listed each time.

use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;

use warren_core::QueueName;
use warren_io::BrokerHandle;

use super::reading;

/// See the [module](self).
#[derive(Default)]
pub(super) struct QueueNames(RefCell<Option<Known>>);

struct Known {
    /// How many queues had come and gone.
    version: u64,
    names: Rc<Names>,
}

/// Names by virtual host and name.
pub(super) struct Names {
    names: Vec<QueueName>,
    /// Keys of queues, and where their names are, by the places of queues in the broker's listings:
    /// what is read of the queues there is put to their names without a search.
    by_place: Vec<Option<(u64, u32)>>,
}

impl Deref for Names {
    type Target = [QueueName];

    fn deref(&self) -> &Self::Target {
        &self.names
    }
}

impl Names {
    /// Names with the places and keys of their queues.
    fn new(mut found: Vec<(QueueName, u32, u64)>) -> Self {
        found.sort_unstable();
        let places = found.iter().map(|(_, place, _)| *place as usize + 1).max();
        let mut by_place = vec![None; places.unwrap_or(0)];
        for (index, (_, place, key)) in found.iter().enumerate() {
            by_place[*place as usize] = Some((*key, index as u32));
        }
        Self { names: found.into_iter().map(|(name, ..)| name).collect(), by_place }
    }

    /// Where the name of the queue is that stands at this place and has this key.
    pub(super) fn find(&self, place: u32, key: u64) -> Option<usize> {
        let (known, index) = (*self.by_place.get(place as usize)?)?;
        (known == key).then_some(index as usize)
    }
}

impl QueueNames {
    /// All of them, by virtual host and name.
    pub(super) async fn all(&self, broker: &BrokerHandle) -> Rc<Names> {
        // Asked for first: what comes while they are listed is for the next time.
        let traffic = broker.look(|broker| broker.traffic()).await;
        let version = traffic.queues_created + traffic.queues_deleted;
        if let Some(known) = &*self.0.borrow()
            && known.version == version
        {
            return Rc::clone(&known.names);
        }
        let found =
            reading::look_at_queues(broker, |queue| (queue.name(), queue.place(), queue.key()));
        let names = Rc::new(Names::new(found.await));
        *self.0.borrow_mut() = Some(Known { version, names: Rc::clone(&names) });
        names
    }

    /// Nobody has asked for a while.
    pub(super) fn forget(&self) {
        *self.0.borrow_mut() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_by_the_place_of_its_queue_as_long_as_that_is_the_same() {
        let name = |name: &str| QueueName { vhost: "/".into(), name: name.into() };
        let names = Names::new(vec![(name("b"), 0, 7), (name("c"), 3, 8), (name("a"), 4, 9)]);
        assert_eq!(*names, [name("a"), name("b"), name("c")]);
        assert_eq!(
            (names.find(0, 7), names.find(3, 8), names.find(4, 9)),
            (Some(1), Some(2), Some(0))
        );
        assert_eq!(names.find(0, 10), None, "another queue has its place");
        assert_eq!((names.find(1, 7), names.find(5, 9)), (None, None));
        assert_eq!(Names::new(Vec::new()).find(0, 0), None);
    }
}
