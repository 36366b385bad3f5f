//! Sessions that outlive a request, by ids that nobody can guess, each for the key that opened it and no other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use daemon::keys::Principal;
use uuid::Uuid;

/// The sessions of one kind. Clones share them.
#[derive(Debug)]
pub(super) struct Directory<T>(Arc<Mutex<Entries<T>>>);

/// Each session with its owner, by its id.
type Entries<T> = HashMap<Arc<str>, (Principal, T)>;

impl<T> Clone for Directory<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Directory<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Directory<T> {
    /// A new id, under which `session` is found by `principal`: 122 bits from the system's generator.
    pub(super) fn insert(&self, principal: Principal, session: T) -> Arc<str> {
        let id: Arc<str> = Uuid::new_v4().to_string().into();
        self.sessions().insert(Arc::clone(&id), (principal, session));
        id
    }

    /// The session with this id, where it is this caller's.
    pub(super) fn find(&self, id: &str, principal: &Principal) -> Option<T> {
        let sessions = self.sessions();
        let (owner, session) = sessions.get(id)?;
        (owner == principal).then(|| session.clone())
    }

    /// Forgets a session.
    pub(super) fn remove(&self, id: &str) {
        self.sessions().remove(id);
    }

    fn sessions(&self) -> MutexGuard<'_, Entries<T>> {
        // A map can't be left half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_only_by_the_key_that_opened_it() {
        let principal = |name: &str| Principal { name: name.into() };
        let directory = Directory::default();
        let id = directory.insert(principal("web"), 1);
        let other = directory.insert(principal("web"), 2);
        assert_ne!(id, other);
        assert_eq!(directory.find(&id, &principal("web")), Some(1));
        assert_eq!(directory.find(&id, &principal("agent")), None);
        assert_eq!(directory.find("1", &principal("web")), None);
        directory.remove(&id);
        assert_eq!(directory.find(&id, &principal("web")), None);
    }
}
