//! One session's side of MCP: rmcp runs the protocol and asks here.

use std::sync::Arc;
use std::time::Instant;

use daemon::keys::Principal;
use http::request::Parts;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CustomRequest, CustomResult, ErrorCode, Implementation,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, MetaObject, PaginatedRequestParams,
    ReadResourceRequestParams, ReadResourceResponse, RequestMetaObject, ServerCapabilities, ServerConfig,
    Tool as RmcpTool, ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::{Map, Value};
use shared_protocol::endpoint::{MAX_SUBJECT_CHARS, meta};
use shared_protocol::names::{closest, did_you_mean, shortened};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::service::Service;
use super::{error, resources, wire};
use crate::audit::Entry;
use crate::caller::Caller;
use crate::executor::{Copies, Held};
use crate::telemetry::metrics;
use crate::tools::{Call, Registered, Registry, ToolDefinition, ToolError, ToolOutput};

const INSTRUCTIONS: &str = "Read-only SQL on PostgreSQL. First read the resource postgres://{database}/catalog (resources/list \
names it) to learn tables, columns, keys, comments and enum labels. Then write one SELECT with $1, $2 ... for its values and call \
run_sql with the values in params. A refused or failed statement comes back with a code, a message and a suggestion: mend it and \
call again.";

/// Methods that rmcp hands over as custom because their parameters didn't fit.
const KNOWN_METHODS: [&str; 9] = [
    "initialize",
    "ping",
    "tools/list",
    "tools/call",
    "resources/list",
    "resources/read",
    "resources/templates/list",
    "prompts/list",
    "prompts/get",
];

/// One session. It sees messages, never a transport.
pub struct Session {
    service: Service,
    principal: Principal,
    gone: CancellationToken,
}

impl Session {
    /// A session for `principal`; `gone` fires when its connection is lost, and stops whatever still runs for it.
    pub(super) fn new(service: Service, principal: Principal, gone: CancellationToken) -> Self {
        Self { service, principal, gone }
    }

    /// Calls a tool; `held` keeps what its result has of the memory for results. Whatever comes of it stands in the audit log.
    async fn call(
        &self,
        name: &str,
        arguments: Map<String, Value>,
        caller: Caller,
        wishes: Result<Call, ErrorData>,
        held: &Held,
        traceparent: Option<&Value>,
    ) -> Result<CallToolResult, ErrorData> {
        let Service { tools, registry, rate_limit, audit, .. } = &self.service;
        let entry = || Entry::new(&caller, name, &arguments, tools.databases.default().name(), traceparent);
        let line = audit.begin(entry).await;
        let known = registry.get(name).ok_or_else(|| unknown_tool(name, registry));
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
        let outcome = match (&line, self.may_act(&caller), rate_limit.take(&caller)) {
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
        info!(tool = name, key = %self.principal.name, outcome = code, rows, duration_ms, "{name} answered {code}");
        Ok(wire::tool_result(json, is_error, call.copies))
    }

    /// Who asks: the session's key, and whom it says it acts for.
    fn caller(&self, meta: &RequestMetaObject) -> Result<Caller, ErrorData> {
        let subject = match meta.0.0.get(meta::SUBJECT) {
            None | Some(Value::Null) => None,
            Some(Value::String(subject)) if is_subject(subject) => Some(subject.clone()),
            Some(_) => {
                let accepted = format!("a text of 1 to {MAX_SUBJECT_CHARS} printable characters");
                return Err(ErrorData::invalid_params(format!("_meta {:?} must be {accepted}", meta::SUBJECT), None));
            }
        };
        Ok(Caller { subject, ..Caller::of_key(&self.principal.name) })
    }

    /// That a caller who acts for somebody may.
    fn may_act(&self, caller: &Caller) -> Result<(), ToolError> {
        match caller.subject.is_none() || self.service.tools.policies.may_act_for(&caller.key) {
            true => Ok(()),
            false => Err(ToolError::SubjectRefused { key: caller.key.clone() }),
        }
    }

    /// What the call's `_meta` asks for.
    fn wishes(&self, meta: &RequestMetaObject, caller: Caller, cancel: CancellationToken) -> Result<Call, ErrorData> {
        let limits = &self.service.tools.limits;
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
}

impl ServerHandler for Session {
    fn get_info(&self) -> ServerConfig {
        let capabilities =
            ServerCapabilities::builder().enable_tools().enable_tool_list_changed().enable_resources().build();
        let implementation = Implementation::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        let mut info = ServerConfig::new(capabilities).with_server_info(implementation).with_instructions(INSTRUCTIONS);
        info.meta = Some(MetaObject(self.service.identity(&self.principal)));
        info
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.service.registry.definitions().map(as_rmcp).collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let cancel = context.ct.child_token();
        let caller = self.caller(&context.meta)?;
        let wishes = self.wishes(&context.meta, caller.clone(), cancel.clone());
        let traceparent = context.meta.0.0.get(meta::TRACEPARENT);
        let held = held(&context);
        let gone = async {
            self.gone.cancelled().await;
            cancel.cancel();
            // The call itself ends now that its token has fired.
            std::future::pending().await
        };
        tokio::select! {
            result = self.call(&request.name, request.arguments.unwrap_or_default(), caller, wishes, &held, traceparent) => result.map(Into::into),
            never = gone => never,
        }
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(resources::list(&self.service.tools)))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(resources::templates()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let caller = self.caller(&context.meta)?;
        self.may_act(&caller).map_err(|error| error::fault_of(&error::detail(&error)))?;
        let held = held(&context);
        resources::read(&self.service.tools, &caller, &request.uri, &held).await.map(Into::into)
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let method = request.method;
        if KNOWN_METHODS.contains(&method.as_str()) {
            return Err(ErrorData::invalid_params(format!("the parameters of {method} are not of its form"), None));
        }
        let near = closest(&method, KNOWN_METHODS, 1);
        let question = did_you_mean(&near).map(|question| format!(" {question}")).unwrap_or_default();
        Err(ErrorData::new(
            ErrorCode::METHOD_NOT_FOUND,
            format!("there is no method {:?}.{question}", shortened(&method)),
            None,
        ))
    }
}

/// Where a result's memory is kept until the answer has left. Over HTTP that is with the request, whose body the answer becomes.
/// Where the transport gave no place for it, it is given back with this call.
fn held(context: &RequestContext<RoleServer>) -> Held {
    let of_request = context.extensions.get::<Parts>().and_then(|parts| parts.extensions.get::<Held>());
    of_request.or_else(|| context.extensions.get::<Held>()).cloned().unwrap_or_default()
}

/// Whether a text can stand for a person in logs and limits.
fn is_subject(text: &str) -> bool {
    let length = text.chars().count();
    (1..=MAX_SUBJECT_CHARS).contains(&length) && !text.chars().any(char::is_control)
}

fn as_rmcp(tool: &ToolDefinition) -> RmcpTool {
    let annotations = ToolAnnotations::with_title(tool.title)
        .read_only(true)
        .destructive(false)
        .open_world(false)
        .idempotent(tool.is_idempotent);
    RmcpTool::new(tool.name, tool.description, Arc::clone(&tool.input_schema))
        .with_raw_output_schema(Arc::clone(&tool.output_schema))
        .with_annotations(annotations)
}

fn unknown_tool(name: &str, registry: &Registry) -> ErrorData {
    let near = closest(name, registry.names(), 3);
    let tools = format!("The tools are: {}.", registry.names().collect::<Vec<_>>().join(", "));
    let question = did_you_mean(&near).map(|question| format!("{question} ")).unwrap_or_default();
    ErrorData::invalid_params(format!("there is no tool {:?}. {question}{tools}", shortened(name)), None)
}
