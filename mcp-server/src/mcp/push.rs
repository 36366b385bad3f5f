//! The registry push: the tools a connection may call, sent before anything else (mcp.md, "Push on connect").

use rmcp::model::{CustomNotification, ServerNotification};
use serde_json::{Map, Value, json};
use shared_protocol::endpoint::meta;
use shared_protocol::envelope::{RegistryPush, ToolDescription, method};

use crate::tools::Registry;

/// What the server says of itself in the push and in `initialize`.
pub(super) fn identity(max_in_flight: usize, may_act_for: bool) -> Map<String, Value> {
    let mut identity = Map::new();
    identity.insert(meta::SERVER.to_owned(), json!(env!("CARGO_PKG_NAME")));
    identity.insert(meta::VERSION.to_owned(), json!(env!("CARGO_PKG_VERSION")));
    identity.insert(meta::MAX_IN_FLIGHT.to_owned(), json!(max_in_flight));
    identity.insert(meta::MAY_ACT_FOR.to_owned(), json!(may_act_for));
    identity
}

/// The push: a standard `notifications/tools/list_changed` with the registry in its parameters, which clients that expect no
/// parameters pass over.
pub(super) fn notification(registry: &Registry, identity: Map<String, Value>) -> ServerNotification {
    let tools = registry.definitions().map(|tool| ToolDescription {
        name: tool.name.to_owned(),
        description: Some(tool.description.to_owned()),
        input_schema: Value::Object((*tool.input_schema).clone()),
    });
    let params = RegistryPush { tools: tools.collect(), meta: identity };
    let push = CustomNotification::new(method::TOOLS_LIST_CHANGED, Some(json!(params)));
    ServerNotification::CustomNotification(push)
}
