//! The calls of one connection that aren't answered yet: so many run, so many wait, and more are told to come back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rmcp::model::RequestId;
use tokio::sync::Notify;

use crate::executor::Held;

/// Calls of one connection that may wait for their turn; a client that never reads can't make the server keep more.
pub(super) const MAX_WAITING: usize = 64;

/// The calls that run, each with what its answer holds of the memory for results.
#[derive(Debug, Clone)]
pub(super) struct InFlight(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    at_once: usize,
    running: Mutex<HashMap<RequestId, Running>>,
    freed: Notify,
}

/// One call.
#[derive(Debug, Default)]
struct Running {
    held: Held,
    /// Whether its answer is on its way, which no cancel stops any more.
    is_answered: bool,
}

impl InFlight {
    /// None yet; as many as `at_once` may run.
    pub(super) fn new(at_once: usize) -> Self {
        Self(Arc::new(Inner { at_once, running: Mutex::default(), freed: Notify::new() }))
    }

    /// Takes a place for `id`, where one is free, and gives its answer's memory a place too. The caller has made sure that the id isn't [in use](Self::holds).
    pub(super) fn admit(&self, id: &RequestId) -> Option<Held> {
        let mut running = self.running();
        if running.len() >= self.0.at_once {
            return None;
        }
        let call = running.entry(id.clone()).or_default();
        Some(call.held.clone())
    }

    /// Whether a call with this id runs.
    pub(super) fn holds(&self, id: &RequestId) -> bool {
        self.running().contains_key(id)
    }

    /// The answer to `id` is on its way: it keeps its place and its memory until it has left, also when it is cancelled now.
    pub(super) fn answered(&self, id: &RequestId) {
        if let Some(call) = self.running().get_mut(id) {
            call.is_answered = true;
        }
    }

    /// Gives the place of a cancelled call back, which gets no answer.
    pub(super) fn cancel(&self, id: &RequestId) {
        let is_answered = self.running().get(id).is_none_or(|call| call.is_answered);
        if !is_answered {
            self.release(id);
        }
    }

    /// Gives the place of `id` back, and its memory: its answer has left, or never will.
    pub(super) fn release(&self, id: &RequestId) {
        let call = self.running().remove(id);
        if let Some(call) = call {
            call.held.let_go();
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

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<RequestId, Running>> {
        // A map of ids can't be left half-changed.
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_place_is_free_again_when_its_call_is_answered() {
        let calls = InFlight::new(16);
        let id = |number: usize| RequestId::Number(i64::try_from(number).unwrap());
        for number in 0..16 {
            assert!(calls.admit(&id(number)).is_some());
        }
        assert!(calls.admit(&id(99)).is_none());
        calls.answered(&id(3));
        calls.cancel(&id(3));
        assert!(calls.holds(&id(3)), "its answer hasn't left yet");
        calls.release(&id(3));
        calls.freed().await;
        assert!(calls.admit(&id(99)).is_some());
    }
}
