//! What a client is told of its own calls as they end, where it asks for that: `logging/setLevel` up to 2025-11-25, a level in each
//! request's `_meta` after it. Without either it is told nothing.
#![expect(deprecated, reason = "rmcp marks what the newest revision dropped; the older ones have it")]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rmcp::model::{
    LoggingLevel, LoggingMessageNotification, LoggingMessageNotificationParam, RequestMetaObject, ServerNotification,
};
use rmcp::service::{OriginatingRequestId, RequestContext, RoleServer};
use serde_json::json;
use shared_protocol::error::ErrorCode;

/// The name that stands by each message.
const LOGGER: &str = "mcp-server";

/// The level that a session has set. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Level(Arc<Mutex<Option<LoggingLevel>>>);

/// How a call ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended<'a> {
    pub(super) tool: &'a str,
    /// `ok`, or the code of the failure.
    pub(super) outcome: &'a str,
    pub(super) rows: u64,
    pub(super) took: Duration,
}

impl Level {
    pub(super) fn set(&self, level: LoggingLevel) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(level);
    }

    /// The least level of which a request's client is told.
    pub(super) fn of(&self, meta: &RequestMetaObject) -> Option<LoggingLevel> {
        meta.log_level().or(*self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Ended<'_> {
    /// Tells the client of the request that this was, where that is of its `least` level.
    pub(super) async fn tell(self, least: Option<LoggingLevel>, request: &RequestContext<RoleServer>) {
        let Self { tool, outcome, rows, took } = self;
        let level = self.level();
        if least.is_none_or(|least| rank(level) < rank(least)) {
            return;
        }
        let duration_ms = took.as_secs_f64() * 1000.0;
        let message = format!("{tool} answered {outcome}");
        let data =
            json!({ "message": message, "tool": tool, "outcome": outcome, "rows": rows, "duration_ms": duration_ms });
        let params = LoggingMessageNotificationParam::new(level, data).with_logger(LOGGER);
        let mut message = LoggingMessageNotification::new(params);
        // Over HTTP it comes along the stream of its call.
        message.extensions.insert(OriginatingRequestId(request.id.clone()));
        // A client that is gone is told nothing.
        let _ = request.peer.send_notification(ServerNotification::LoggingMessageNotification(message)).await;
    }

    fn level(self) -> LoggingLevel {
        let is = |codes: &[ErrorCode]| codes.iter().any(|code| code.as_str() == self.outcome);
        match self.outcome {
            "ok" => LoggingLevel::Info,
            _ if is(&[ErrorCode::InternalError, ErrorCode::ConnectionError]) => LoggingLevel::Error,
            _ => LoggingLevel::Warning,
        }
    }
}

/// How grave a level is.
fn rank(level: LoggingLevel) -> u8 {
    match level {
        LoggingLevel::Debug => 0,
        LoggingLevel::Info => 1,
        LoggingLevel::Notice => 2,
        LoggingLevel::Warning => 3,
        LoggingLevel::Error => 4,
        LoggingLevel::Critical => 5,
        LoggingLevel::Alert => 6,
        LoggingLevel::Emergency => 7,
    }
}
