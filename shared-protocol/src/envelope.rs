//! The JSON-RPC and MCP envelopes around a message. Rows stay `RawValue`: no type here flattens or tags.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

pub use jsonrpsee_types::{ErrorObject, ErrorObjectOwned, Id, Notification, Request, Response};

/// Newest MCP revision that the agent speaks over WebSocket.
pub const PROTOCOL_VERSION: &str = "2025-11-25";

/// Names of the MCP methods and notifications that cross the wire between the two tiers.
pub mod method {
    /// First request of a session.
    pub const INITIALIZE: &str = "initialize";
    /// The client is ready.
    pub const INITIALIZED: &str = "notifications/initialized";
    /// Liveness.
    pub const PING: &str = "ping";
    /// The registry of tools, a page at a time.
    pub const TOOLS_LIST: &str = "tools/list";
    /// Runs one tool.
    pub const TOOLS_CALL: &str = "tools/call";
    /// The registry, pushed on connect and whenever it changes.
    pub const TOOLS_LIST_CHANGED: &str = "notifications/tools/list_changed";
    /// Reads one resource.
    pub const RESOURCES_READ: &str = "resources/read";
    /// The resources there are.
    pub const RESOURCES_LIST: &str = "resources/list";
    /// A request is no longer wanted.
    pub const CANCELLED: &str = "notifications/cancelled";
}

/// JSON-RPC error codes of protocol faults (a tool's failure is a result, never one of these).
pub mod fault {
    /// The message is not JSON.
    pub const PARSE: i32 = -32700;
    /// The message is not a JSON-RPC request.
    pub const INVALID_REQUEST: i32 = -32600;
    /// No such method or tool.
    pub const METHOD_NOT_FOUND: i32 = -32601;
    /// The parameters are not of the method's form.
    pub const INVALID_PARAMS: i32 = -32602;
    /// MCP: no such resource.
    pub const RESOURCE_NOT_FOUND: i32 = -32002;
}

/// Parameters of the registry push.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegistryPush {
    /// The tools that this connection may call.
    pub tools: Vec<ToolDescription>,
    /// Who is speaking, and how much it takes at once ([`crate::endpoint::meta`]).
    #[serde(rename = "_meta", default)]
    pub meta: Map<String, Value>,
}

/// One tool of the registry.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolDescription {
    /// What to call it by.
    pub name: String,
    /// What it does, for a language model.
    #[serde(default)]
    pub description: Option<String>,
    /// JSON Schema of its arguments.
    pub input_schema: Value,
}

/// Parameters of `tools/call`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ToolCall<A> {
    /// The tool.
    pub name: String,
    /// Its arguments.
    pub arguments: A,
    /// Our own wishes ([`crate::endpoint::meta`]).
    #[serde(rename = "_meta", default, skip_serializing_if = "Map::is_empty")]
    pub meta: Map<String, Value>,
}

/// Result of `tools/call`, as its reader needs it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolResult {
    /// The tool's output, or a [`crate::error::ToolFailure`] where `is_error`; bytes untouched.
    #[serde(default)]
    pub structured_content: Option<Box<RawValue>>,
    /// Whether the call failed.
    #[serde(default)]
    pub is_error: bool,
}

/// Parameters of `resources/read`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ResourceRead {
    /// Which resource.
    pub uri: String,
    /// On whose behalf ([`crate::endpoint::meta::SUBJECT`]).
    #[serde(rename = "_meta", default, skip_serializing_if = "Map::is_empty")]
    pub meta: Map<String, Value>,
}

/// Result of `resources/read` for resources that are text.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ResourceResult {
    /// The parts; a catalog page has one.
    pub contents: Vec<ResourceText>,
}

/// One text part of a resource.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceText {
    /// Which resource.
    pub uri: String,
    /// What kind of text.
    #[serde(default)]
    pub mime_type: Option<String>,
    /// The text.
    pub text: String,
}
