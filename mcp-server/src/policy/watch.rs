//! The policy file under watch: a changed one takes effect without a restart, a bad one doesn't take effect at all.

use std::time::Duration;

use daemon::log::Chain;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::{Policies, Seen};
use crate::telemetry::metrics;

/// How often the file is looked at; a change counts when two looks agree on it, so that nothing half written does. Watching by the system's events would miss files that are replaced behind a link, as
/// orchestrators do.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Policies {
    /// Reads the file again whenever it has changed, until `stop`; says so with `changed`.
    pub async fn watch(self, stop: CancellationToken, changed: &Notify) {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        let mut told = None;
        let mut seen = Seen::default();
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => return,
            }
            let policies = self.clone();
            let look = move || (policies.reload(&mut seen), seen);
            let (read, looked) = tokio::task::spawn_blocking(look).await.expect("reading a file doesn't panic");
            seen = looked;
            metrics::policy_file(read.is_ok());
            match read {
                Ok(is_new) => {
                    if is_new {
                        info!("the policy file has changed and is in force");
                        changed.notify_one();
                    }
                    told = None;
                }
                Err(problem) => {
                    let text = format!("{}", Chain(&problem));
                    // Once for each state of the file.
                    if told.as_ref() != Some(&text) {
                        let file = self.path().display();
                        error!(%file, error = %text, "the policy file {file} can't be used; the old policy stays in force");
                        told = Some(text);
                    }
                }
            }
        }
    }
}
