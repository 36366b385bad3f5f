//! The agent's HTTP side: routes, and the layers around them.

mod access;
mod error;
mod health;
mod query;
mod rate_limit;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use metrics::{counter, histogram};
use metrics_exporter_prometheus::PrometheusHandle;
use shared_protocol::endpoint::API_KEY_HEADER;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use tracing::{Span, info, info_span};

use crate::config::HttpConfig;
use crate::mcp::catalogs::Catalogs;
use crate::mcp::client::Client;
use crate::pipeline::Pipeline;
use crate::telemetry::metric;
use crate::translator::Translator;
use access::Access;
use health::Health;

/// Header that carries the id of a request and its answer.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that a caller may give a request, in characters.
const MAX_REQUEST_ID: usize = 128;

/// How much later than the question's own deadline the last resort fires.
const LAST_RESORT: Duration = Duration::from_secs(5);

/// What the routes work with.
pub struct Parts {
    /// Answers questions.
    pub pipeline: Arc<Pipeline>,
    /// For `/ready`.
    pub client: Client,
    /// For `/ready`.
    pub catalogs: Catalogs,
    /// For `/ready`.
    pub translator: Arc<dyn Translator>,
    /// For `/metrics`.
    pub metrics: PrometheusHandle,
    /// Most rows that a question may ask for.
    pub max_rows: u64,
}

/// All routes.
pub fn router(parts: Parts, config: &HttpConfig) -> Router {
    let access = Arc::new(Access::new(config));
    let guarded = from_fn_with_state(access, access::require);
    let counted = from_fn_with_state(Arc::new(rate_limit::Questions::new(config)), rate_limit::count);
    let questions =
        query::Questions { pipeline: parts.pipeline, max_rows: parts.max_rows, timeout: config.request_timeout };
    let health = Health::new(parts.client, parts.catalogs, parts.translator, !config.keys.is_empty());

    let mut metrics = Router::new().route("/metrics", get(render_metrics)).with_state(parts.metrics);
    if !config.metrics_public {
        metrics = metrics.route_layer(guarded.clone());
    }
    let routes = Router::new()
        .route("/query", post(query::query))
        // The last is outermost: who asks is known before their questions are counted.
        .route_layer(counted)
        .route_layer(guarded)
        .with_state(Arc::new(questions))
        .merge(metrics)
        .route("/health", get(health::alive))
        .merge(Router::new().route("/ready", get(health::ready)).with_state(health))
        .fallback(error::no_route)
        .layer(DefaultBodyLimit::disable());
    with_layers(routes, config)
}

fn with_layers(routes: Router, config: &HttpConfig) -> Router {
    // The first is outermost: it sees a request first and its answer last.
    let layers = ServiceBuilder::new()
        .map_request(drop_unfit_request_id)
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(SetSensitiveRequestHeadersLayer::new([AUTHORIZATION, HeaderName::from_static(API_KEY_HEADER)]))
        .layer(TraceLayer::new_for_http().make_span_with(span).on_request(()).on_response(()).on_failure(()))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(from_fn(observe))
        .option_layer(cors(config))
        .layer(from_fn(error::render))
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, config.request_timeout + LAST_RESORT))
        .layer(RequestBodyLimitLayer::new(config.max_body_bytes));
    routes.layer(layers)
}

fn cors(config: &HttpConfig) -> Option<CorsLayer> {
    if config.cors_origins.is_empty() {
        return None;
    }
    let origins: Vec<HeaderValue> = config.cors_origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    Some(
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_methods([Method::GET, Method::POST])
            .allow_headers([CONTENT_TYPE, AUTHORIZATION, HeaderName::from_static(API_KEY_HEADER), REQUEST_ID])
            .expose_headers([REQUEST_ID]),
    )
}

/// An id that is long or odd would go into logs and answers: such a request gets one of ours.
fn drop_unfit_request_id<B>(mut request: http::Request<B>) -> http::Request<B> {
    let unfit = |id: &HeaderValue| {
        id.is_empty() || id.len() > MAX_REQUEST_ID || !id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    if request.headers().get(REQUEST_ID).is_some_and(unfit) {
        request.headers_mut().remove(REQUEST_ID);
    }
    request
}

fn span<B>(request: &http::Request<B>) -> Span {
    info_span!("request", request_id = request_id(request.extensions()), method = %request.method(), path = request.uri().path())
}

/// The id of the request that these extensions belong to.
fn request_id(extensions: &http::Extensions) -> &str {
    extensions.get::<RequestId>().and_then(|id| id.header_value().to_str().ok()).unwrap_or_default()
}

/// Counts, times and logs each request.
async fn observe(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let route = path.as_ref().map_or("unmatched", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    let (status, took) = (response.status(), started.elapsed());
    let known_method =
        if matches!(method, Method::GET | Method::POST) { method.to_string() } else { "other".to_owned() };
    let labels = [("route", route.clone()), ("method", known_method), ("status", status.as_str().to_owned())];
    counter!(metric::HTTP_REQUESTS, &labels).increment(1);
    histogram!(metric::HTTP_SECONDS, "route" => route.clone()).record(took);
    let duration_ms = took.as_micros() as f64 / 1000.0;
    info!(route, status = status.as_u16(), duration_ms, "{method} {route} answered {}", status.as_u16());
    response
}

async fn render_metrics(State(metrics): State<PrometheusHandle>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render()).into_response()
}
