//! What operators ask: is it alive, is it ready, and how is it doing.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use daemon::keys::{Authenticator, Unknown};
use http::StatusCode;
use http::header::CONNECTION;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::audit::Audit;
use crate::catalog::{Catalogs, Status};
use crate::databases::{AcquireError, ConnectError, Database, Databases};
use crate::telemetry::metrics;

/// What these answers are made from.
#[derive(Clone)]
pub struct Admin {
    /// The databases that are served.
    pub databases: Databases,
    /// Their catalogs, which tell how those stand that nobody asks now.
    pub catalogs: Catalogs,
    /// The metrics.
    pub metrics: PrometheusHandle,
    /// Who may read them.
    pub authenticator: Authenticator,
    /// Whether everybody may.
    pub metrics_public: bool,
    /// Without it no call is answered, where there is one.
    pub audit: Audit,
    /// Fires when the server is about to stop.
    pub draining: CancellationToken,
}

#[derive(Serialize)]
struct Readiness {
    status: &'static str,
    database: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_log: Option<&'static str>,
}

/// The routes that operators ask.
pub fn routes(admin: Admin) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

/// The process is alive.
async fn health() -> Response {
    Json(serde_json::json!({ "status": "ok" })).into_response()
}

/// Whether calls would be answered; 503 names the part that fails, without details.
async fn ready(State(admin): State<Admin>) -> Response {
    let database = admin.database().await;
    let audit_log = match (admin.audit.is_kept(), admin.audit.is_failing()) {
        (false, _) => None,
        (true, false) => Some("ok"),
        (true, true) => Some("failing"),
    };
    let status = match (admin.draining.is_cancelled(), database, audit_log) {
        (true, ..) => "stopping",
        (false, "ok", None | Some("ok")) => "ok",
        // Calls of the other databases are answered.
        (false, "partly", None | Some("ok")) => "partly",
        (false, ..) => "degraded",
    };
    let body = Readiness { status, database, audit_log };
    let is_served = matches!(status, "ok" | "partly");
    let code = if is_served { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(body)).into_response()
}

impl Admin {
    /// How the databases stand together: the default one as it is now, the others as their catalogs last found them.
    async fn database(&self) -> &'static str {
        let default = self.databases.default();
        let health = match default.check_health().await {
            Ok(()) => "ok",
            Err(AcquireError::Connect(ConnectError::Refused(_))) => "refused",
            Err(_) => "down",
        };
        let others = self.databases.all();
        let mut others = others.iter().filter(|database| !Arc::ptr_eq(database, default));
        let is_down = |database: &Arc<Database>| {
            matches!(self.catalogs.of(database).status(), Status::Unavailable | Status::Refused | Status::Stale)
        };
        let (down, up): (Vec<_>, Vec<_>) = others.by_ref().partition(|database| is_down(database));
        match (health, down.is_empty(), up.is_empty()) {
            ("ok", false, _) => "partly",
            ("refused" | "down", _, false) => "partly",
            (health, ..) => health,
        }
    }
}

/// The metrics in Prometheus' text form, for holders of a key unless they are public.
async fn metrics(State(admin): State<Admin>, request: Request) -> Response {
    let (request, _) = request.into_parts();
    if !admin.metrics_public
        && let Err(unknown) = admin.authenticator.admit(&request.headers, &request.extensions).await
    {
        if unknown == Unknown::Flooded {
            return (StatusCode::TOO_MANY_REQUESTS, [(CONNECTION, "close")], "try again later\n").into_response();
        }
        let message = "the API key is missing or unknown: send one of WS_API_KEY's keys in X-API-Key, or set METRICS_PUBLIC=true\n";
        return (StatusCode::UNAUTHORIZED, message).into_response();
    }
    for database in admin.databases.all() {
        metrics::pool_connections(database.name(), database.connections().0);
    }
    admin.metrics.run_upkeep();
    ([(http::header::CONTENT_TYPE, "text/plain; version=0.0.4")], admin.metrics.render()).into_response()
}
