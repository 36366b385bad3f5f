//! One call of a tool: who may make it, how often, what it leaves in the audit log, metrics and log, and what becomes of its answer.

use std::sync::Arc;
use std::time::Instant;

use rmcp::ErrorData;
use rmcp::model::{CallToolRequestParams, CallToolResult, ReadResourceResult, RequestMetaObject};
use serde_json::{Map, Value};
use shared_protocol::endpoint::{MAX_SUBJECT_CHARS, meta};
use shared_protocol::names::{closest, did_you_mean, shortened};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::logging::Ended;
use super::service::Service;
use super::{error, resources, wire};
use crate::audit::Entry;
use crate::caller::Caller;
use crate::config::LimitsConfig;
use crate::executor::{Copies, Held};
use crate::telemetry::metrics;
use crate::tools::{Call, Registered, Registry, ToolError, ToolOutput};

/// What reading a resource is called in the audit log.
const READ: &str = "resources/read";

impl Service {
    /// Calls a tool; `held` keeps what its result has of the memory for results. Whatever comes of it stands in the audit log.
    ///
    /// # Errors
    /// Where the request isn't one that a tool could answer: no such tool, or wishes that are none.
    pub(super) async fn call(
        &self,
        request: CallToolRequestParams,
        wishes: Result<Call, ErrorData>,
        caller: &Caller,
        held: &Held,
        traceparent: Option<&Value>,
    ) -> Result<(CallToolResult, Ended<'static>), ErrorData> {
        let Self { tools, registry, rate_limit, audit, .. } = self;
        let arguments = request.arguments.unwrap_or_default();
        let entry = || Entry::new(caller, &request.name, &arguments, tools.databases.default().name(), traceparent);
        let line = audit.begin(entry).await;
        let known = registry.get(&request.name).ok_or_else(|| unknown_tool(&request.name, registry));
        let (Registered { definition, tool }, call) = match (known, wishes) {
            (Ok(registered), Ok(call)) => (registered, call),
            (Err(fault), _) | (_, Err(fault)) => {
                line.map(|line| line.finish("INVALID_PARAMS", 0, Vec::new())).unwrap_or_default();
                return Err(fault);
            }
        };
        let name = definition.name;
        let started = Instant::now();
        let echoed = arguments.clone();
        let outcome = match (&line, self.may_act(caller), rate_limit.take(caller)) {
            (Ok(_), Ok(()), Ok(())) => tool.call(tools, arguments, &call).await,
            (Err(cannot), _, _) => Err((*cannot).into()),
            (_, Err(refused), _) => Err(refused),
            (_, _, Err(too_often)) => Err(too_often.into()),
        };
        let took = started.elapsed();
        let (json, is_error, code, rows) = match outcome {
            Ok(ToolOutput { json, rows, memory }) => {
                held.keep(memory);
                (json, false, "ok", rows)
            }
            Err(error) => {
                let failure = error::failure(name, echoed, &error);
                let json = serde_json::to_string(&failure).expect("plain data");
                (json, true, failure.error.code.as_str(), 0)
            }
        };
        if let Ok(line) = line {
            let touched = call.touched.get().map(Vec::as_slice).unwrap_or_default();
            let tables = touched.iter().map(|relation| format!("{}.{}", relation.schema, relation.name));
            line.finish(code, rows, tables.collect());
        }
        metrics::tool_call(name, code, took, rows);
        let duration_ms = took.as_secs_f64() * 1000.0;
        info!(tool = name, key = %caller.key, outcome = code, rows, duration_ms, "{name} answered {code}");
        Ok((wire::tool_result(json, is_error, call.copies), Ended { tool: name, outcome: code, rows, took }))
    }

    /// Reads a resource; `held` keeps what it has of the memory for results. Whatever comes of it stands in the audit log.
    ///
    /// # Errors
    /// Where nothing that the caller may read is there, or it can't be read now.
    pub(super) async fn read(
        &self,
        uri: &str,
        wishes: &Call,
        held: &Held,
        traceparent: Option<&Value>,
    ) -> Result<ReadResourceResult, ErrorData> {
        let database = resources::database_of(uri).unwrap_or_default();
        let arguments = Map::from_iter([("database".to_owned(), Value::String(database))]);
        let entry = || Entry::new(&wishes.caller, READ, &arguments, self.tools.databases.default().name(), traceparent);
        let line = self.audit.begin(entry).await.map_err(|cannot| error::fault(&cannot.into()))?;
        let read = resources::read(&self.tools, uri, wishes, held).await;
        line.finish(if read.is_ok() { "ok" } else { "FAILED" }, 0, Vec::new());
        read
    }

    /// That a caller who acts for somebody may.
    pub(super) fn may_act(&self, caller: &Caller) -> Result<(), ToolError> {
        match caller.subject.is_none() || self.tools.policies.may_act_for(&caller.key) {
            true => Ok(()),
            false => Err(ToolError::SubjectRefused { key: caller.key.clone() }),
        }
    }
}

/// Who asks: the holder of a key, and whom they say they act for.
///
/// # Errors
/// Where that isn't a name.
pub(super) fn caller(key: &str, meta: &RequestMetaObject) -> Result<Caller, ErrorData> {
    let subject = match meta.0.0.get(meta::SUBJECT) {
        None | Some(Value::Null) => None,
        Some(Value::String(subject)) if is_subject(subject) => Some(subject.clone()),
        Some(_) => {
            let accepted = format!("a text of 1 to {MAX_SUBJECT_CHARS} printable characters");
            return Err(ErrorData::invalid_params(format!("_meta {:?} must be {accepted}", meta::SUBJECT), None));
        }
    };
    Ok(Caller { subject, ..Caller::of_key(key) })
}

/// What a request's `_meta` asks for.
///
/// # Errors
/// Where that is nothing that could be asked for.
pub(super) fn wishes(
    limits: &LimitsConfig,
    meta: &RequestMetaObject,
    caller: Caller,
    cancel: CancellationToken,
) -> Result<Call, ErrorData> {
    let invalid =
        |key: &str, accepted: &str| ErrorData::invalid_params(format!("_meta {key:?} must be {accepted}"), None);
    let page_bytes = match meta.0.0.get(meta::MAX_PAGE_BYTES) {
        None => limits.max_page_bytes,
        Some(value) => {
            let asked = value.as_u64().and_then(|bytes| usize::try_from(bytes).ok()).filter(|bytes| *bytes > 0);
            asked.ok_or_else(|| invalid(meta::MAX_PAGE_BYTES, "a number of bytes"))?.min(limits.max_result_bytes)
        }
    };
    let structured_only = match meta.0.0.get(meta::STRUCTURED_ONLY) {
        None => false,
        Some(value) => value.as_bool().ok_or_else(|| invalid(meta::STRUCTURED_ONLY, "true or false"))?,
    };
    let copies = if structured_only { Copies::Structured } else { Copies::StructuredAndText };
    Ok(Call { caller, cancel, page_bytes, copies, touched: Arc::default() })
}

/// Whether a text can stand for a person in logs and limits.
fn is_subject(text: &str) -> bool {
    let length = text.chars().count();
    (1..=MAX_SUBJECT_CHARS).contains(&length) && !text.chars().any(char::is_control)
}

fn unknown_tool(name: &str, registry: &Registry) -> ErrorData {
    let near = closest(name, registry.names(), 3);
    let tools = format!("The tools are: {}.", registry.names().collect::<Vec<_>>().join(", "));
    let question = did_you_mean(&near).map(|question| format!("{question} ")).unwrap_or_default();
    ErrorData::invalid_params(format!("there is no tool {:?}. {question}{tools}", shortened(name)), None)
}
