//! The calls of one connection that aren't answered yet: so many run, so many wait, and more are told to come back.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use rmcp::model::RequestId;
use tokio::sync::Notify;

/// Calls of one connection that may run at once.
pub const MAX_IN_FLIGHT: usize = 16;

/// Calls of one connection that may wait for their turn; a client that never reads can't make the server keep more.
pub(super) const MAX_WAITING: usize = 64;

/// The calls that run.
#[derive(Debug, Clone, Default)]
pub(super) struct InFlight(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    running: Mutex<HashSet<RequestId>>,
    freed: Notify,
}

impl InFlight {
    /// Takes a place for `id`, where one is free. The caller has made sure that the id isn't [in use](Self::holds).
    pub(super) fn admit(&self, id: &RequestId) -> bool {
        let mut running = self.running();
        running.len() < MAX_IN_FLIGHT && running.insert(id.clone())
    }

    /// Whether a call with this id runs.
    pub(super) fn holds(&self, id: &RequestId) -> bool {
        self.running().contains(id)
    }

    /// Gives the place of `id` back: its answer is flushed, or it was cancelled.
    pub(super) fn release(&self, id: &RequestId) {
        if self.running().remove(id) {
            self.0.freed.notify_one();
        }
    }

    /// Whether nothing runs.
    pub(super) fn is_empty(&self) -> bool {
        self.running().is_empty()
    }

    /// Waits until a place was given back since this was last called.
    pub(super) async fn freed(&self) {
        self.0.freed.notified().await;
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashSet<RequestId>> {
        // A set of ids can't be left half-changed.
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_place_is_free_again_when_its_call_is_answered() {
        let calls = InFlight::default();
        let id = |number: usize| RequestId::Number(i64::try_from(number).unwrap());
        for number in 0..MAX_IN_FLIGHT {
            assert!(calls.admit(&id(number)));
        }
        assert!(!calls.admit(&id(99)));
        calls.release(&id(3));
        calls.freed().await;
        assert!(calls.admit(&id(99)));
    }
}
