//! What OpenAI's chat API demands of a request with tools; the scripted model refuses the rest as the real ones do.

use std::collections::HashSet;

use serde_json::Value;

/// Checks one request body. The error says what is wrong in words for the developer who sent it.
pub(super) fn check(body: &Value) -> Result<(), String> {
    let body = body.as_object().ok_or("the body is not an object")?;
    if body.get("model").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err("`model` must be a name".to_owned());
    }
    if body.get("stream").is_some_and(|stream| stream != false) {
        return Err("`stream` is not supported here".to_owned());
    }
    check_messages(body.get("messages").unwrap_or(&Value::Null))?;
    let names = check_tools(body.get("tools").unwrap_or(&Value::Null))?;
    check_tool_choice(body.get("tool_choice").unwrap_or(&Value::Null), &names)
}

fn check_messages(messages: &Value) -> Result<(), String> {
    let messages = messages.as_array().filter(|messages| !messages.is_empty());
    let messages = messages.ok_or("`messages` must be an array with at least one message")?;
    // Calls that the model made and that have no answer yet.
    let mut open: HashSet<&str> = HashSet::new();
    for (position, message) in messages.iter().enumerate() {
        let wrong = |what: &str| Err(format!("messages[{position}]: {what}"));
        let role = message["role"].as_str().unwrap_or_default();
        if role == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            if !open.remove(id) {
                return wrong("a tool message must answer a call of the assistant message before it (`tool_call_id`)");
            }
        } else if !open.is_empty() {
            return wrong("the tool calls before it have not all been answered");
        }
        match role {
            "system" | "developer" | "user" | "tool" if !is_content(&message["content"]) => {
                return wrong("`content` must be a string or an array of parts");
            }
            "system" | "developer" | "user" | "tool" => {}
            "assistant" => {
                let calls = message["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
                if calls.is_empty() && !is_content(&message["content"]) {
                    return wrong("an assistant message needs `content` or `tool_calls`");
                }
                for call in calls {
                    match (
                        call["id"].as_str(),
                        call["function"]["name"].as_str(),
                        call["function"]["arguments"].as_str(),
                    ) {
                        (Some(id), Some(_), Some(_)) if call["type"] == "function" => open.insert(id),
                        _ => {
                            return wrong(
                                "a tool call needs `id`, `type`: \"function\" and `function` with name and arguments",
                            );
                        }
                    };
                }
            }
            _ => return wrong("`role` must be system, developer, user, assistant or tool"),
        }
    }
    if open.is_empty() { Ok(()) } else { Err("the last tool calls have not been answered".to_owned()) }
}

fn is_content(content: &Value) -> bool {
    content.is_string() || content.as_array().is_some_and(|parts| !parts.is_empty())
}

/// Checks the tools and gives their names.
fn check_tools(tools: &Value) -> Result<HashSet<&str>, String> {
    let tools = tools.as_array().filter(|tools| !tools.is_empty());
    let tools = tools.ok_or("`tools` must be an array with at least one tool")?;
    let mut names = HashSet::new();
    for (position, tool) in tools.iter().enumerate() {
        let wrong = |what: &str| Err(format!("tools[{position}]: {what}"));
        if tool["type"] != "function" {
            return wrong("`type` must be \"function\"");
        }
        let function = &tool["function"];
        let name = function["name"].as_str().unwrap_or_default();
        let is_name = (1..=64).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        if !is_name {
            return wrong("`function.name` must be 1 to 64 letters, digits, _ or -");
        }
        if function["parameters"]["type"] != "object" {
            return wrong("`function.parameters` must be a JSON Schema of type object");
        }
        if !names.insert(name) {
            return wrong("the name is taken by another tool");
        }
    }
    Ok(names)
}

fn check_tool_choice(choice: &Value, names: &HashSet<&str>) -> Result<(), String> {
    match choice {
        Value::String(choice) if ["required", "auto", "none"].contains(&choice.as_str()) => Ok(()),
        Value::Object(_) if choice["type"] == "function" => {
            let name = choice["function"]["name"].as_str().unwrap_or_default();
            if names.contains(name) {
                Ok(())
            } else {
                Err(format!("`tool_choice` names {name:?}, which is not among `tools`"))
            }
        }
        _ => Err("`tool_choice` must be \"required\", \"auto\", \"none\" or name a function".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request() -> Value {
        json!({
            "model": "m",
            "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}],
            "tools": [{"type": "function", "function": {"name": "submit_sql", "parameters": {"type": "object"}}}],
            "tool_choice": "required",
        })
    }

    /// The good request with one part put in its place; `expected` is part of the refusal, empty for none.
    fn check_with(pointer: &str, value: Value, expected: &str) {
        let mut body = request();
        *body.pointer_mut(pointer).expect("the pointer points at a part of the request") = value;
        match check(&body) {
            Ok(()) => assert_eq!(expected, "", "{pointer} was accepted"),
            Err(refusal) => assert!(!expected.is_empty() && refusal.contains(expected), "{pointer}: {refusal}"),
        }
    }

    #[test]
    fn checks_the_request_as_the_api_does() {
        check_with("/model", json!("m"), "");
        check_with("/model", json!(""), "`model`");
        check_with("/messages", json!([]), "`messages`");
        check_with("/messages/1/role", json!("human"), "messages[1]: `role`");
        check_with("/messages/1/content", json!(null), "messages[1]: `content`");
        check_with("/tools", json!(null), "`tools`");
        check_with("/tools/0/type", json!("tool"), "tools[0]: `type`");
        check_with("/tools/0/function/name", json!("submit sql"), "letters, digits");
        check_with("/tools/0/function/parameters", json!(null), "JSON Schema");
        check_with("/tool_choice", json!("any"), "`tool_choice`");
        check_with("/tool_choice", json!({"type": "function", "function": {"name": "submit_sql"}}), "");
        check_with("/tool_choice", json!({"type": "function", "function": {"name": "drop"}}), "not among `tools`");
    }

    #[test]
    fn every_tool_call_wants_its_answer() {
        let call = json!({"id": "c1", "type": "function", "function": {"name": "submit_sql", "arguments": "{}"}});
        let user = json!({"role": "user", "content": "q"});
        let assistant = json!({"role": "assistant", "content": null, "tool_calls": [call]});
        let tool = json!({"role": "tool", "tool_call_id": "c1", "content": "refused"});
        check_with("/messages", json!([user, assistant, tool]), "");
        check_with("/messages", json!([user, assistant]), "not been answered");
        check_with("/messages", json!([user, assistant, user]), "not all been answered");
        check_with("/messages", json!([user, tool]), "must answer a call");
        check_with(
            "/messages",
            json!([user, {"role": "assistant", "content": null}]),
            "needs `content` or `tool_calls`",
        );
    }
}
