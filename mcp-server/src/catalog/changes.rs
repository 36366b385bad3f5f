//! Word that callers may see something else than before: a catalog was read, or the policy or the databases are others.

use std::sync::Arc;

use tokio::sync::watch;

/// Tells whoever listens to look again. Clones tell the same listeners.
#[derive(Debug, Clone)]
pub struct Changes(Arc<watch::Sender<()>>);

impl Default for Changes {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(())))
    }
}

impl Changes {
    /// Has every listener look again. Several at once may count as one.
    pub fn tell(&self) {
        self.0.send_replace(());
    }

    /// Whether anybody listens.
    pub fn is_heard(&self) -> bool {
        self.0.receiver_count() > 0
    }

    /// Listens from now on.
    pub fn listen(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}
