//! The fixture as the transports see it, and one client's session with it.

use std::sync::atomic::{AtomicBool, Ordering};

use daemon::keys::Principal;
use mcp_server::mcp::host::Host;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult, GetPromptRequestParams,
    GetPromptResponse, Implementation, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult,
    ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities,
    ServerConfig, ServerJsonRpcMessage, SubscribeRequestParams, UnsubscribeRequestParams,
};
#[expect(deprecated, reason = "deprecated with the newest revision; the older ones have it")]
use rmcp::model::{LoggingLevel, SetLevelRequestParams};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{prompts, resources, tools};

/// What is served.
#[derive(Clone)]
pub(crate) struct Fixture;

/// One client's session.
#[derive(Default)]
pub(crate) struct Session {
    /// Whether the client wants none of the messages that tools log, which are all at the level info.
    is_quiet: AtomicBool,
}

impl Session {
    /// Whether the client wants messages at the level info.
    fn logs_info(&self) -> bool {
        !self.is_quiet.load(Ordering::Relaxed)
    }
}

impl Host for Fixture {
    type Session = Session;

    fn session(&self, _: &Principal, _: &CancellationToken) -> Session {
        Session::default()
    }

    fn greeting(&self, _: &Principal) -> Option<ServerJsonRpcMessage> {
        None
    }

    fn max_in_flight(&self, _: &Principal) -> usize {
        16
    }
}

impl ServerHandler for Session {
    fn get_info(&self) -> ServerConfig {
        let capabilities: ServerCapabilities = serde_json::from_value(json!({
            "tools": {}, "resources": { "subscribe": true }, "prompts": {}, "completions": {}, "logging": {},
        }))
        .expect("these are capabilities");
        ServerConfig::new(capabilities).with_server_info(Implementation::new("conformance", env!("CARGO_PKG_VERSION")))
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools::list()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        tools::call(&request, self.logs_info(), &context).await.map(Into::into)
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(resources::list()))
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
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        resources::read(&request.uri).map(Into::into)
    }

    /// Nothing here ever changes, so nobody need be remembered.
    async fn subscribe(&self, request: SubscribeRequestParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        resources::read(&request.uri).map(drop)
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        resources::read(&request.uri).map(drop)
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(prompts::list()))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        prompts::get(&request).map(Into::into)
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        prompts::complete(&request.argument.value)
    }

    #[expect(deprecated, reason = "deprecated with the newest revision; the older ones have it")]
    async fn set_level(&self, request: SetLevelRequestParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        let is_quiet = !matches!(request.level, LoggingLevel::Debug | LoggingLevel::Info);
        self.is_quiet.store(is_quiet, Ordering::Relaxed);
        Ok(())
    }
}
