//! A host of several databases: how many connections it has from us, over all of them.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Database;
use super::error::ConnectError;

/// One host's connections.
#[derive(Debug)]
pub struct Host {
    most: usize,
    places: Arc<Semaphore>,
    databases: Mutex<Vec<Weak<Database>>>,
}

/// The place of one connection, free again when dropped.
pub(super) type Place = OwnedSemaphorePermit;

impl Host {
    /// A host with at most so many connections at once.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, places: Arc::new(Semaphore::new(most)), databases: Mutex::default() })
    }

    /// Has `database` give way to the others here.
    pub(super) fn join(&self, database: &Arc<Database>) {
        let mut databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
        databases.retain(|other| other.strong_count() > 0);
        databases.push(Arc::downgrade(database));
    }

    /// A place for a new connection. Where all are taken, connections that nobody uses are closed for it.
    ///
    /// # Errors
    /// [`ConnectError::HostFull`] where none is free within `patience`.
    pub(super) async fn place(&self, patience: Duration) -> Result<Place, ConnectError> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(place);
        }
        let full = || ConnectError::HostFull { most: self.most, waited: patience };
        let wait = async {
            let mut place = std::pin::pin!(Arc::clone(&self.places).acquire_owned());
            loop {
                self.close_idle();
                // One that is given back meanwhile stands in its pool, idle, where nobody else can take its place.
                tokio::select! {
                    place = &mut place => return place.ok(),
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            }
        };
        tokio::time::timeout(patience, wait).await.ok().flatten().ok_or_else(full)
    }

    fn close_idle(&self) {
        let databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for database in databases.iter().filter_map(Weak::upgrade) {
            database.forget_idle();
        }
    }
}

/// How often it is looked for connections that nobody uses, while somebody waits for a place.
const LOOK_EVERY: Duration = Duration::from_millis(20);
