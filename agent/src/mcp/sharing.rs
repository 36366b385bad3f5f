//! Whether callers share the key's policy, as the log says it.

use std::future::pending;

use tracing::{info, warn};

use super::behalf::SHARED;
use super::client::Client;

/// Says in the log when callers come to share the key's policy, and when they no longer do. Ends where that is not to be, once the
/// server has said that the key may act for nobody.
pub async fn watch_over(client: &Client) {
    let mut news = client.link().news();
    let mut told = None;
    while let Some(connection) = news.next().await {
        let may_act_for = connection.may_act_for();
        if !may_act_for && client.requires_subject() {
            return;
        }
        if told.replace(may_act_for) != Some(may_act_for) {
            tell(may_act_for);
        }
    }
    pending::<()>().await;
}

fn tell(may_act_for: bool) {
    if may_act_for {
        info!("mcp-server is told which caller asks: each has a policy of its own");
    } else {
        warn!("{SHARED} (may_act_for in POLICY_FILE): all callers share the key's policy");
    }
}
