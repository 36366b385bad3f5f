//! What the server says about itself: its log on stderr, and its metrics.

pub mod metrics;

use daemon::log::Quiet;

/// Libraries whose debug output holds whole requests and rows.
pub const QUIET: &[Quiet] = &[
    Quiet::warn("rmcp"),
    Quiet::warn("sqlx"),
    Quiet::warn("tungstenite"),
    Quiet::warn("tokio_tungstenite"),
    Quiet::warn("hyper"),
];
