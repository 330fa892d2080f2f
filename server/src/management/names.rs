//! The names of all queues, in order: kept until a queue comes or goes, so that who leafs through
//! many queues time and again does not have them all listed each time.

use std::cell::RefCell;
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
    names: Rc<Vec<QueueName>>,
}

impl QueueNames {
    /// All of them, by virtual host and name.
    pub(super) async fn all(&self, broker: &BrokerHandle) -> Rc<Vec<QueueName>> {
        // Asked for first: what comes while they are listed is for the next time.
        let traffic = broker.look(|broker| broker.traffic()).await;
        let version = traffic.queues_created + traffic.queues_deleted;
        if let Some(known) = &*self.0.borrow()
            && known.version == version
        {
            return Rc::clone(&known.names);
        }
        let mut names = reading::queue_names(broker).await;
        names.sort_unstable();
        let names = Rc::new(names);
        *self.0.borrow_mut() = Some(Known { version, names: Rc::clone(&names) });
        names
    }

    /// Nobody has asked for a while.
    pub(super) fn forget(&self) {
        *self.0.borrow_mut() = None;
    }
}
