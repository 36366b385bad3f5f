//! So many questions a minute for each caller: by name where callers have names, else by where they call from.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use daemon::address::TrustedProxies;
use daemon::keys::Principal;
use daemon::rate_limit::{RateLimit, TooOften};
use http::StatusCode;

use super::error::Problem;
use crate::config::HttpConfig;

/// Who asks, as far as limits go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Caller {
    Named(Arc<str>),
    From(Option<IpAddr>),
}

/// The questions that each caller has left.
pub(super) struct Questions {
    limit: RateLimit<Caller>,
    proxies: TrustedProxies,
}

impl Questions {
    pub(super) fn new(config: &HttpConfig) -> Self {
        Self { limit: RateLimit::new(config.rate_limit_per_minute), proxies: config.trusted_proxies.clone() }
    }
}

/// Lets a request through while its caller has questions left.
pub(super) async fn count(State(questions): State<Arc<Questions>>, request: Request, next: Next) -> Response {
    let caller = match request.extensions().get::<Principal>() {
        Some(principal) => Caller::Named(Arc::clone(&principal.name)),
        None => Caller::From(questions.proxies.client(request.headers(), request.extensions())),
    };
    match questions.limit.take(&caller) {
        Ok(()) => next.run(request).await,
        Err(too_often) => refused(too_often).into_response(),
    }
}

fn refused(too_often: TooOften) -> Problem {
    // Rounded up: a question that comes just too early would be refused once more.
    let seconds = too_often.retry_after.as_secs() + 1;
    let detail = format!("You may ask {} questions a minute.", too_often.per_minute);
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", detail)
        .suggest(format!("Ask again in {seconds} s."))
        .retry_after(seconds)
}
