//! One session's side of MCP: rmcp runs the protocol and asks here.
#![expect(deprecated, reason = "rmcp marks what the newest revision dropped; the older ones have it")]

use std::sync::{Arc, Once};

use daemon::keys::Principal;
use http::request::Parts;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult, CustomRequest, CustomResult,
    ErrorCode, GetPromptRequestParams, GetPromptResponse, Implementation, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, MetaObject, PaginatedRequestParams,
    ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities, ServerConfig, ServerJsonRpcMessage,
    SetLevelRequestParams, SubscribeRequestParams, SubscriptionFilter, Tool as RmcpTool, ToolAnnotations,
    UnsubscribeRequestParams,
};
use rmcp::service::{NotificationContext, RequestContext, SubscriptionContext};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use shared_protocol::endpoint::meta;
use shared_protocol::names::{closest, did_you_mean, shortened};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::host::Host;
use super::logging::Level;
use super::service::Service;
use super::subscriptions::{self, Subscriptions};
use super::{call, completion, error, progress, prompts, resources};
use crate::caller::Caller;
use crate::executor::Held;
use crate::tools::{Call, ToolDefinition};

const INSTRUCTIONS: &str = "Read-only SQL on PostgreSQL. Work from the outside in. 1. list_databases and list_tables, or search_schema \
where you don't know what a thing is called; describe_table and get_sample_rows for the tables that matter. 2. get_foreign_keys and \
find_join_path for how they are joined. 3. run_sql or execute_query: one SELECT, with $1, $2 ... for its values, which go into params; \
explain_query where it is slow. A refused or failed call comes back with a code, a message and a suggestion: mend it and call again. The \
resource postgres://{database}/schema has the whole schema as text.";

/// Methods that rmcp hands over as custom because their parameters didn't fit.
const KNOWN_METHODS: [&str; 15] = [
    "initialize",
    "server/discover",
    "subscriptions/listen",
    "ping",
    "tools/list",
    "tools/call",
    "resources/list",
    "resources/read",
    "resources/templates/list",
    "resources/subscribe",
    "resources/unsubscribe",
    "prompts/list",
    "prompts/get",
    "completion/complete",
    "logging/setLevel",
];

/// One session. It sees messages, never a transport.
pub struct Session {
    service: Service,
    principal: Principal,
    gone: CancellationToken,
    level: Level,
    subscriptions: Subscriptions,
    /// Whether news are on their way to the client.
    told: Once,
    /// Ends with the session, however that ends.
    ended: CancellationToken,
    _ends: DropGuard,
}

impl Host for Service {
    type Session = Session;

    fn session(&self, principal: &Principal, gone: &CancellationToken) -> Session {
        Session::new(self.clone(), principal.clone(), gone.clone())
    }

    fn greeting(&self, principal: &Principal) -> Option<ServerJsonRpcMessage> {
        self.push(&principal.name).map(ServerJsonRpcMessage::notification)
    }

    fn max_in_flight(&self, principal: &Principal) -> usize {
        self.places(&principal.name)
    }
}

impl Session {
    /// A session for `principal`; `gone` fires when its connection is lost, and stops whatever still runs for it.
    fn new(service: Service, principal: Principal, gone: CancellationToken) -> Self {
        let ended = gone.child_token();
        Self {
            service,
            principal,
            gone,
            level: Level::default(),
            subscriptions: Subscriptions::default(),
            told: Once::new(),
            _ends: ended.clone().drop_guard(),
            ended,
        }
    }

    /// Who asks, for what no tool answers: a key that says it acts for somebody must be one that may, and what is asked counts as a call
    /// does.
    fn caller(&self, context: &RequestContext<RoleServer>) -> Result<Caller, ErrorData> {
        let caller = call::caller(&self.principal.name, &context.meta)?;
        self.service.may_act(&caller).map_err(|refused| error::fault(&refused))?;
        self.service.rate_limit.take(&caller).map_err(|too_often| error::fault(&too_often.into()))?;
        Ok(caller)
    }

    /// What a request wants that no tool answers.
    fn wishes(&self, context: &RequestContext<RoleServer>) -> Result<Call, ErrorData> {
        let caller = self.caller(context)?;
        call::wishes(&self.service.tools.limits, &context.meta, caller, context.ct.child_token())
    }
}

impl ServerHandler for Session {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_resources()
            .enable_resources_list_changed()
            .enable_resources_subscribe()
            .enable_prompts()
            .enable_completions()
            .enable_logging()
            .build();
        let implementation = Implementation::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        let mut info = ServerConfig::new(capabilities).with_server_info(implementation).with_instructions(INSTRUCTIONS);
        info.meta = Some(MetaObject(self.service.identity(&self.principal.name)));
        info
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        self.told.call_once(|| {
            let caller = Caller::of_key(&self.principal.name);
            let (subscriptions, stop) = (self.subscriptions.clone(), self.ended.clone());
            // It ends with the session.
            tokio::spawn(subscriptions::tell(self.service.clone(), caller, subscriptions, context.peer, stop));
        });
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        only_page(request)?;
        Ok(ListToolsResult::with_all_items(self.service.registry.definitions().map(as_rmcp).collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let cancel = context.ct.child_token();
        // That it may act for whom it says is the tool's to tell, in a failure that models read.
        let caller = call::caller(&self.principal.name, &context.meta)?;
        let wishes = call::wishes(&self.service.tools.limits, &context.meta, caller.clone(), cancel.clone());
        let traceparent = context.meta.0.0.get(meta::TRACEPARENT);
        let held = held(&context);
        let name = request.name.clone();
        let gone = async {
            self.gone.cancelled().await;
            cancel.cancel();
            // The call itself ends now that its token has fired.
            std::future::pending().await
        };
        let (result, ended) = tokio::select! {
            called = self.service.call(request, wishes, &caller, &held, traceparent) => called?,
            never = gone => never,
            never = progress::tell(context.meta.get_progress_token(), &name, &context.peer) => match never {},
        };
        // When the client has left nobody takes it, and the connection would wait for that.
        tokio::select! {
            () = ended.tell(self.level.of(&context.meta), &context) => {}
            () = self.gone.cancelled() => {}
            () = context.ct.cancelled() => {}
        }
        Ok(result.into())
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let caller = self.caller(&context)?;
        let cursor = request.and_then(|request| request.cursor);
        resources::list(&self.service.tools, &caller, cursor.as_deref()).await
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        only_page(request)?;
        Ok(ListResourceTemplatesResult::with_all_items(resources::templates()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let wishes = self.wishes(&context)?;
        let held = held(&context);
        let traceparent = context.meta.0.0.get(meta::TRACEPARENT);
        tokio::select! {
            read = self.service.read(&request.uri, &wishes, &held, traceparent) => read.map(Into::into),
            never = progress::tell(context.meta.get_progress_token(), "resources/read", &context.peer) => match never {},
        }
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let caller = self.caller(&context)?;
        self.subscriptions.add(&self.service, caller, request.uri).await
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.subscriptions.remove(request.uri, self.caller(&context)?);
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let caller = self.caller(context.request_context())?;
        subscriptions::listen(&self.service, caller, context).await
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        only_page(request)?;
        Ok(ListPromptsResult::with_all_items(prompts::list()))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        prompts::get(&self.service.tools, &request.name, request.arguments).map(Into::into)
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let wishes = self.wishes(&context)?;
        completion::complete(&self.service.tools, request, &wishes).await.map(CompleteResult::new)
    }

    async fn set_level(&self, request: SetLevelRequestParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        self.level.set(request.level);
        Ok(())
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

/// That a request is for the first page of a list that has no other.
fn only_page(request: Option<PaginatedRequestParams>) -> Result<(), ErrorData> {
    match request.and_then(|request| request.cursor) {
        None => Ok(()),
        Some(_) => Err(ErrorData::invalid_params(
            "the cursor is not one that this server gave: all is on the first page",
            None,
        )),
    }
}

/// Where a result's memory is kept until the answer has left. Over HTTP that is with the request, whose body the answer becomes.
/// Where the transport gave no place for it, it is given back with this call.
fn held(context: &RequestContext<RoleServer>) -> Held {
    let of_request = context.extensions.get::<Parts>().and_then(|parts| parts.extensions.get::<Held>());
    of_request.or_else(|| context.extensions.get::<Held>()).cloned().unwrap_or_default()
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
