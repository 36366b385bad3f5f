//! Word to a client that its call goes on, where the call asks for that and takes longer than a second.

use std::convert::Infallible;
use std::time::Duration;

use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::{Peer, RoleServer};
use tokio::time::{Instant, MissedTickBehavior};

/// How long a call goes on before the first word, and how far those that follow stand apart.
const EVERY: Duration = Duration::from_secs(1);

/// Says again and again how many seconds a call has taken by now. Never ends: whoever waits for the call drops it.
pub(super) async fn tell(token: Option<ProgressToken>, call: &str, peer: &Peer<RoleServer>) -> Infallible {
    let Some(token) = token else { return std::future::pending().await };
    let begun = Instant::now();
    let mut tick = tokio::time::interval_at(begun + EVERY, EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let seconds = begun.elapsed().as_secs_f64();
        let message = format!("{call} has run for {seconds:.0} s");
        let params = ProgressNotificationParam::new(token.clone(), seconds).with_message(message);
        // A client that is gone ends its call by another way.
        let _ = peer.notify_progress(params).await;
    }
}
