//! What tools ask of their client while they run: its language model, or its user.

use rmcp::model::{CustomRequest, ServerRequest};
use rmcp::service::Peer;
use rmcp::{ErrorData, RoleServer};
use serde_json::{Value, json};

/// What the client's language model says to `prompt`.
pub(crate) async fn model(peer: &Peer<RoleServer>, prompt: &str) -> Result<String, ErrorData> {
    let messages = json!([{ "role": "user", "content": { "type": "text", "text": prompt } }]);
    let answer = ask(peer, "sampling/createMessage", json!({ "messages": messages, "maxTokens": 100 })).await?;
    Ok(format!("LLM response: {}", answer["content"]))
}

/// What the user makes of a form.
pub(crate) async fn user(peer: &Peer<RoleServer>, message: &str, form: Value) -> Result<String, ErrorData> {
    let answer = ask(peer, "elicitation/create", json!({ "message": message, "requestedSchema": form })).await?;
    Ok(format!("Elicitation completed: action={}, content={}", answer["action"], answer["content"]))
}

/// The form of `test_elicitation`.
pub(crate) fn who() -> Value {
    json!({
        "type": "object",
        "properties": {
            "username": { "type": "string", "description": "User's response" },
            "email": { "type": "string", "description": "User's email address" },
        },
        "required": ["username", "email"],
    })
}

/// A field of each simple type, filled in.
pub(crate) fn defaults() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "default": "John Doe" },
            "age": { "type": "integer", "default": 30 },
            "score": { "type": "number", "default": 95.5 },
            "status": { "type": "string", "enum": ["active", "inactive", "pending"], "default": "active" },
            "verified": { "type": "boolean", "default": true },
        },
    })
}

/// A field of each form that a choice can have.
pub(crate) fn choices() -> Value {
    let plain = json!(["option1", "option2", "option3"]);
    let titled = json!([
        { "const": "value1", "title": "First" },
        { "const": "value2", "title": "Second" },
        { "const": "value3", "title": "Third" },
    ]);
    json!({
        "type": "object",
        "properties": {
            "untitledSingle": { "type": "string", "enum": plain },
            "titledSingle": { "type": "string", "oneOf": titled },
            "legacyEnum": {
                "type": "string",
                "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["Option One", "Option Two", "Option Three"],
            },
            "untitledMulti": { "type": "array", "items": { "type": "string", "enum": plain } },
            "titledMulti": { "type": "array", "items": { "anyOf": titled } },
        },
    })
}

/// Written as the scenarios write it: rmcp's own types of some of these requests are on their way out.
async fn ask(peer: &Peer<RoleServer>, method: &str, params: Value) -> Result<Value, ErrorData> {
    let request = ServerRequest::CustomRequest(CustomRequest::new(method, Some(params)));
    let answer = peer.send_request(request).await.map_err(internal)?;
    serde_json::to_value(answer).map_err(internal)
}

/// Whatever goes wrong between a tool and its client.
pub(crate) fn internal(error: impl std::error::Error) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}
