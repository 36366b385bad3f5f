//! Who may call: holders of a key where there are keys, else only callers that name this machine.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use daemon::keys::{Authenticator, LONGEST_DELAY, Principal, Unknown};
use http::header::{CONNECTION, HOST};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderValue, StatusCode};

use super::error::Problem;
use crate::config::HttpConfig;

/// The keys and host names that open the data routes.
pub(super) struct Access {
    /// `None` where there are no keys.
    authenticator: Option<Authenticator>,
    allowed_hosts: Vec<String>,
}

impl Access {
    pub(super) fn new(config: &HttpConfig) -> Self {
        let authenticator = (!config.keys.is_empty())
            .then(|| Authenticator::new(&config.keys, config.trusted_proxies.clone(), config.max_connections));
        Self { authenticator, allowed_hosts: config.allowed_hosts.clone() }
    }

    /// The caller; none where there are no keys, and callers have no names.
    async fn check(&self, request: &Parts) -> Result<Option<Principal>, Problem> {
        match &self.authenticator {
            Some(authenticator) => {
                authenticator.admit(&request.headers, &request.extensions).await.map(Some).map_err(unknown_caller)
            }
            None => {
                let named = request.headers.get(HOST).and_then(|host| host.to_str().ok());
                self.check_host(request.uri.authority().map(Authority::as_str).or(named))?;
                Ok(None)
            }
        }
    }

    /// Without keys, a web page anywhere could make a browser ask this agent under a host name of its own.
    fn check_host(&self, host: Option<&str>) -> Result<(), Problem> {
        let name = host.map(without_port).unwrap_or_default().to_lowercase();
        if is_loopback(&name) || self.allowed_hosts.contains(&name) {
            return Ok(());
        }
        let detail = format!("Without keys, requests for the host {name:?} are not answered.");
        Err(Problem::new(StatusCode::FORBIDDEN, "HOST_REFUSED", detail)
            .suggest("Call it as localhost, add the name to HTTP_ALLOWED_HOSTS, or set AGENT_API_KEY."))
    }
}

/// Lets a request through, with the [`Principal`] who makes it in its extensions, or answers it.
pub(super) async fn require(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match access.check(&parts).await {
        Ok(caller) => {
            if let Some(caller) = caller {
                parts.extensions.insert(caller);
            }
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => {
            let mut response = problem.into_response();
            if response.status() == StatusCode::TOO_MANY_REQUESTS {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            response
        }
    }
}

fn unknown_caller(unknown: Unknown) -> Problem {
    let (code, detail) = match unknown {
        Unknown::Flooded => {
            let detail = "Too many unknown keys were shown.";
            return Problem::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_UNKNOWN_KEYS", detail)
                .suggest("Try again in a few seconds, with the right key.")
                .retry_after(LONGEST_DELAY.as_secs());
        }
        Unknown::Missing => ("KEY_MISSING", "This route needs a key."),
        Unknown::Refused => ("KEY_REFUSED", "The key is not known."),
    };
    let suggestion = "Send one of the keys in AGENT_API_KEY as X-API-Key or as Authorization: Bearer.";
    Problem::new(StatusCode::UNAUTHORIZED, code, detail).suggest(suggestion)
}

fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

fn is_loopback(name: &str) -> bool {
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_keys_only_this_machine_is_answered() {
        let access = Access { authenticator: None, allowed_hosts: vec!["agent.example".into()] };
        let check = |host: Option<&str>, allowed: bool| {
            assert_eq!(access.check_host(host).is_ok(), allowed, "{host:?}");
        };
        check(Some("localhost:8080"), true);
        check(Some("LOCALHOST"), true);
        check(Some("127.0.0.1:8080"), true);
        check(Some("[::1]:8080"), true);
        check(Some("Agent.Example:80"), true);
        check(Some("evil.example"), false);
        check(Some("localhost.evil.example"), false);
        check(Some("10.0.0.1:8080"), false);
        check(None, false);
    }
}
