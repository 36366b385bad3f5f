//! `/health`: the process lives. `/ready`: it can answer questions, or which part can't.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use moka::future::Cache;
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use crate::mcp::behalf::{Behalf, SHARED};
use crate::mcp::catalogs::Catalogs;
use crate::mcp::client::{Client, LinkStatus};
use crate::translator::Translator;

/// However often it is asked, the parts are looked at this often.
const KEPT: Duration = Duration::from_secs(1);

/// Time for the database to answer.
const DATABASE_DEADLINE: Duration = Duration::from_secs(3);

/// Looks at the parts that answers need; clones share what was seen.
#[derive(Clone)]
pub(super) struct Health {
    client: Client,
    catalogs: Catalogs,
    translator: Arc<dyn Translator>,
    callers_have_names: bool,
    seen: Cache<(), Readiness>,
}

/// What `/ready` says: each part in a few words, `ok` where nothing is wrong.
#[derive(Debug, Clone, Serialize)]
struct Readiness {
    ready: bool,
    link: String,
    database: String,
    translator: String,
    policy: Cow<'static, str>,
}

impl Health {
    pub(super) fn new(
        client: Client,
        catalogs: Catalogs,
        translator: Arc<dyn Translator>,
        callers_have_names: bool,
    ) -> Self {
        let seen = Cache::builder().max_capacity(1).time_to_live(KEPT).build();
        Self { client, catalogs, translator, callers_have_names, seen }
    }

    async fn look(&self) -> Readiness {
        let link = match self.client.status() {
            LinkStatus::Up => OK.to_owned(),
            LinkStatus::Down => "mcp-server can't be reached".to_owned(),
            LinkStatus::KeyRefused => "mcp-server does not accept WS_API_KEY".to_owned(),
            LinkStatus::ToolsMissing(names) => format!("mcp-server lacks the tool {}", names.join(", ")),
        };
        let (database, translator) =
            tokio::join!(async { if link == OK { self.database().await } else { "unknown".to_owned() } }, async {
                self.translator.usable().await.err().unwrap_or_else(|| OK.to_owned())
            },);
        let may_act_for = self.client.may_act_for();
        let ready = [&link, &database, &translator].into_iter().all(|part| part == OK)
            && (may_act_for == Some(true) || !self.client.requires_subject());
        Readiness { ready, link, database, translator, policy: self.policy(may_act_for) }
    }

    /// Whose policy holds for a question. That callers share one is no reason not to be ready, unless REQUIRE_SUBJECT says so.
    fn policy(&self, may_act_for: Option<bool>) -> Cow<'static, str> {
        match (self.callers_have_names, may_act_for) {
            (false, _) => "the key's: without AGENT_API_KEY callers have no names".into(),
            (true, None) => "unknown".into(),
            (true, Some(true)) => "each caller's".into(),
            (true, Some(false)) => format!("the key's, for all callers: {SHARED}").into(),
        }
    }

    async fn database(&self) -> String {
        let Ok(names) = self.catalogs.databases(&Behalf::Nobody).await else {
            return "the databases can't be listed".to_owned();
        };
        let Some(first) = names.first() else { return "mcp-server offers no database".to_owned() };
        let deadline = Instant::now() + DATABASE_DEADLINE;
        match self.client.run_sql(first, "SELECT 1", &[], 1, &Behalf::Nobody, deadline).await {
            Ok(_) => OK.to_owned(),
            Err(_) => "the database does not answer".to_owned(),
        }
    }
}

const OK: &str = "ok";

/// `GET /health`.
pub(super) async fn alive() -> Response {
    Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") })).into_response()
}

/// `GET /ready`: 200, or 503 with the failing part named.
pub(super) async fn ready(State(health): State<Health>) -> Response {
    let readiness = health.seen.get_with((), health.look()).await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}
