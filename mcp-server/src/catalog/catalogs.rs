//! The catalogs of all databases, each kept by itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sql_guard::Guard;

use super::{CatalogCache, Changes};
use crate::databases::Database;

/// The catalogs by database. Clones share them.
#[derive(Clone)]
pub struct Catalogs(Arc<Inner>);

struct Inner {
    guard: Guard,
    ttl: Duration,
    changes: Changes,
    caches: Mutex<HashMap<String, CatalogCache>>,
}

impl Catalogs {
    /// None yet; those older than `ttl` are read again.
    pub fn new(guard: Guard, ttl: Duration) -> Self {
        Self(Arc::new(Inner { guard, ttl, changes: Changes::default(), caches: Mutex::default() }))
    }

    /// The catalog of a database.
    pub fn of(&self, database: &Arc<Database>) -> CatalogCache {
        let mut caches = self.0.caches.lock().unwrap_or_else(PoisonError::into_inner);
        // One of the same name may have been dropped and made anew.
        if let Some(cache) = caches.get(database.name())
            && Arc::ptr_eq(cache.database(), database)
        {
            return cache.clone();
        }
        let (guard, changes) = (self.0.guard.clone(), self.0.changes.clone());
        let made = CatalogCache::new(Arc::clone(database), guard, self.0.ttl).with_changes(changes);
        caches.insert(database.name().to_owned(), made.clone());
        made
    }

    /// Word that callers may see something else than before.
    pub fn changes(&self) -> &Changes {
        &self.0.changes
    }

    /// Forgets those of databases that are served no more.
    pub fn keep(&self, served: &[Arc<Database>]) {
        let mut caches = self.0.caches.lock().unwrap_or_else(PoisonError::into_inner);
        caches.retain(|_, cache| served.iter().any(|database| Arc::ptr_eq(cache.database(), database)));
    }
}
