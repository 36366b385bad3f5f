//! What the server says about itself: its log on stderr, and its metrics.

pub mod metrics;

use daemon::log::Quiet;

/// Libraries whose debug output holds whole requests and rows. What functions of a database say by RAISE may hold values at any level.
pub const QUIET: &[Quiet] = &[
    Quiet::warn("rmcp"),
    Quiet::warn("sqlx"),
    Quiet::off("sqlx::postgres::notice"),
    Quiet::warn("tungstenite"),
    Quiet::warn("tokio_tungstenite"),
    Quiet::warn("hyper"),
];
