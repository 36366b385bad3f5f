//! The tools. Each does what the scenario of its name describes.

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResult, ContentBlock, CustomNotification, ProgressNotificationParam,
    ResourceContents, ServerNotification, Tool,
};
use rmcp::service::{OriginatingRequestId, RequestContext, ServiceError};
use rmcp::{ErrorData, RoleServer};
use serde_json::{Value, json};

use crate::ask::{self, internal};
use crate::samples::{PNG, WAV};

/// The pause between two messages of one call.
const PAUSE: Duration = Duration::from_millis(50);

/// Those without arguments.
const PLAIN: [(&str, &str); 11] = [
    ("test_simple_text", "Answers with text"),
    ("test_image_content", "Answers with an image"),
    ("test_audio_content", "Answers with sound"),
    ("test_embedded_resource", "Answers with a resource"),
    ("test_multiple_content_types", "Answers with a text, an image and a resource"),
    ("test_tool_with_logging", "Logs three messages on its way"),
    ("test_tool_with_progress", "Tells three times how far it is"),
    ("test_error_handling", "Fails"),
    ("test_elicitation_sep1034_defaults", "Asks the user with a form of filled fields"),
    ("test_elicitation_sep1330_enums", "Asks the user with a form of choices"),
    (
        "test_reconnection",
        "Answers on the stream of its call, as all tools do: there is no way back to a stream that was left",
    ),
];

pub(crate) fn list() -> Vec<Tool> {
    let of_text = |argument: &str| json!({ "type": "object", "properties": { argument: { "type": "string" } }, "required": [argument] });
    let plain = PLAIN.map(|(name, description)| tool(name, description, json!({ "type": "object" })));
    let more = [
        tool("test_sampling", "Asks the client's language model", of_text("prompt")),
        tool("test_elicitation", "Asks the user", of_text("message")),
        tool(
            "json_schema_2020_12_tool",
            "Has words of JSON Schema 2020-12 in its schema",
            json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "type": "object",
                "$defs": {
                    "address": {
                        "type": "object",
                        "properties": { "street": { "type": "string" }, "city": { "type": "string" } },
                    },
                },
                "properties": { "name": { "type": "string" }, "address": { "$ref": "#/$defs/address" } },
                "additionalProperties": false,
            }),
        ),
    ];
    plain.into_iter().chain(more).collect()
}

fn tool(name: &'static str, description: &'static str, schema: Value) -> Tool {
    let Value::Object(schema) = schema else { unreachable!("schemas are objects") };
    Tool::new(name, description, Arc::new(schema))
}

pub(crate) async fn call(
    request: &CallToolRequestParams,
    logs_info: bool,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResult, ErrorData> {
    let argument = |name: &str| request.arguments.as_ref()?.get(name)?.as_str();
    let content = match &*request.name {
        "test_simple_text" => vec![ContentBlock::text("This is a simple text response for testing.")],
        "test_image_content" => vec![ContentBlock::image(PNG, "image/png")],
        "test_audio_content" => vec![ContentBlock::audio(WAV, "audio/wav")],
        "test_embedded_resource" => {
            let text = "This is an embedded resource content.";
            vec![resource("test://embedded-resource", "text/plain", text)]
        }
        "test_multiple_content_types" => vec![
            ContentBlock::text("Multiple content types test:"),
            ContentBlock::image(PNG, "image/png"),
            resource("test://mixed-content-resource", "application/json", r#"{"test":"data","value":123}"#),
        ],
        "test_tool_with_logging" => {
            log_thrice(logs_info, context).await.map_err(internal)?;
            vec![ContentBlock::text("All was logged.")]
        }
        "test_tool_with_progress" => {
            progress(context).await.map_err(internal)?;
            vec![ContentBlock::text("All is done.")]
        }
        "test_error_handling" => {
            let text = "This tool intentionally returns an error for testing";
            return Ok(CallToolResult::error(vec![ContentBlock::text(text)]));
        }
        "test_sampling" => {
            let prompt = argument("prompt").ok_or_else(|| missing("prompt"))?;
            vec![ContentBlock::text(ask::model(&context.peer, prompt).await?)]
        }
        "test_elicitation" => {
            let message = argument("message").ok_or_else(|| missing("message"))?;
            vec![ContentBlock::text(ask::user(&context.peer, message, ask::who()).await?)]
        }
        "test_elicitation_sep1034_defaults" => {
            vec![ContentBlock::text(ask::user(&context.peer, "Look these over.", ask::defaults()).await?)]
        }
        "test_elicitation_sep1330_enums" => {
            vec![ContentBlock::text(ask::user(&context.peer, "Choose.", ask::choices()).await?)]
        }
        "test_reconnection" | "json_schema_2020_12_tool" => vec![ContentBlock::text("Done.")],
        name => return Err(ErrorData::invalid_params(format!("there is no tool {name:?}"), None)),
    };
    Ok(CallToolResult::success(content))
}

/// A resource within other content.
pub(crate) fn resource(uri: &str, mime_type: &str, text: &str) -> ContentBlock {
    ContentBlock::resource(ResourceContents::text(text, uri).with_mime_type(mime_type))
}

async fn log_thrice(logs_info: bool, context: &RequestContext<RoleServer>) -> Result<(), ServiceError> {
    for text in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
        if logs_info {
            let params = json!({ "level": "info", "data": text });
            let mut message = CustomNotification::new("notifications/message", Some(params));
            // It goes where the call's answer goes.
            message.extensions.insert(OriginatingRequestId(context.id.clone()));
            context.peer.send_notification(ServerNotification::CustomNotification(message)).await?;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

async fn progress(context: &RequestContext<RoleServer>) -> Result<(), ServiceError> {
    for so_far in [0.0, 50.0, 100.0] {
        if let Some(token) = context.meta.get_progress_token() {
            context.peer.notify_progress(ProgressNotificationParam::new(token, so_far).with_total(100.0)).await?;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

fn missing(argument: &str) -> ErrorData {
    ErrorData::invalid_params(format!("the argument {argument:?} is missing, or no text"), None)
}
