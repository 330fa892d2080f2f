//! The end of a broker that can no longer keep its promises.

use std::cell::OnceCell;

use tokio::sync::Notify;

/// Whether the broker has halted, and why. Once it has, nothing is sent, written or handled any
/// more.
#[derive(Debug, Default)]
pub(crate) struct Halt {
    reason: OnceCell<String>,
    notify: Notify,
}

impl Halt {
    /// Halts; only the first reason counts.
    pub(crate) fn set(&self, reason: String) {
        if self.reason.set(reason).is_ok() {
            self.notify.notify_waiters();
        }
    }

    pub(crate) fn is_set(&self) -> bool {
        self.reason.get().is_some()
    }

    /// Why, once it has.
    pub(crate) async fn reason(&self) -> String {
        loop {
            // All of this is on one thread: nobody comes between the two.
            match self.reason.get() {
                Some(reason) => return reason.clone(),
                None => self.notify.notified().await,
            }
        }
    }
}
