//! A tool as clients are shown it, its schemas derived from its types.

use std::sync::Arc;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};
use shared_protocol::error::ToolFailure;

/// A tool as clients are shown it.
#[derive(Debug, Clone)]
pub struct ToolDefinition {
    /// What to call it by.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// What it does, for a language model, with an example call.
    pub description: &'static str,
    /// JSON Schema of its arguments.
    pub input_schema: Arc<Map<String, Value>>,
    /// JSON Schema of its structured content, failures included.
    pub output_schema: Arc<Map<String, Value>>,
    /// The same with what each field means, and without failures; for documents.
    pub described_output: fn() -> Map<String, Value>,
    /// Whether the same call gives the same answer while the data stays.
    pub is_idempotent: bool,
}

/// What validators need no telling, or warn of: names of our types, and Rust's names of numbers.
const IDLE_WORDS: [&str; 3] = ["title", "format", "$schema"];

/// The schema of a tool's arguments.
pub(super) fn input_schema<T: JsonSchema>() -> Arc<Map<String, Value>> {
    let generator = settings(&IDLE_WORDS).into_generator();
    let mut schema = generator.into_root_schema_for::<T>().as_object().cloned().unwrap_or_default();
    for property in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        without_null(property);
    }
    Arc::new(schema)
}

/// Says of an argument that may be left out what it is where it isn't: that it may be null as well some models' hosts can't read. The
/// server takes null all the same.
fn without_null(property: &mut Value) {
    if let Some(Value::Array(kinds)) = property.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [only] = &kinds[..] {
            property["type"] = only.clone();
        }
    }
}

impl ToolDefinition {
    /// As `tools/list` has it.
    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "description": self.description,
            "inputSchema": *self.input_schema,
            "outputSchema": *self.output_schema,
            "annotations": {
                "title": self.title, "readOnlyHint": true, "destructiveHint": false, "idempotentHint": self.is_idempotent,
                "openWorldHint": false,
            },
        })
    }
}

/// The schema of what a tool answers where it doesn't fail, with descriptions.
pub(super) fn described_output<T: JsonSchema>() -> Map<String, Value> {
    let generator = settings(&IDLE_WORDS).into_generator();
    generator.into_root_schema_for::<T>().as_object().cloned().unwrap_or_default()
}

/// The schema of a tool's structured content: an object that is either the output or the one shape of failures. Some clients
/// validate failures against it too, and would lose their code otherwise. It goes without descriptions: a model reads the results
/// themselves, and every schema takes room from its context.
pub(super) fn output_schema<T: JsonSchema>() -> Arc<Map<String, Value>> {
    let mut generator = settings(&[IDLE_WORDS.as_slice(), &["description", "default"]].concat()).into_generator();
    let success = generator.subschema_for::<T>();
    let failure = generator.subschema_for::<ToolFailure>();
    let definitions = generator.take_definitions(true);
    let schema = json!({ "type": "object", "anyOf": [success, failure], "$defs": definitions });
    let Value::Object(schema) = schema else { unreachable!("built as an object") };
    Arc::new(schema)
}

/// JSON Schema 2020-12 without these words. Items of any kind are `{}` rather than `true`: the two mean the same, but the
/// Inspector warns of clients that look for an object there.
fn settings(left_out: &[&'static str]) -> SchemaSettings {
    let left_out = left_out.to_vec();
    let without = move |schema: &mut Schema| {
        for word in &left_out {
            schema.remove(*word);
        }
        if let Some(items) = schema.get_mut("items").filter(|items| **items == json!(true)) {
            *items = json!({});
        }
    };
    SchemaSettings::draft2020_12().with_transform(RecursiveTransform(without))
}
