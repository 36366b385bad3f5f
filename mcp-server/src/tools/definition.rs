//! A tool as clients are shown it, its schemas derived from its types.

use std::sync::Arc;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
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
    /// Whether the same call gives the same answer while the data stays.
    pub is_idempotent: bool,
}

/// The schema of a tool's arguments.
pub(super) fn input_schema<T: JsonSchema>() -> Arc<Map<String, Value>> {
    Arc::new(object(generator().into_root_schema_for::<T>()))
}

/// The schema of a tool's structured content: an object that is either the output or the one shape of failures. Some clients
/// validate failures against it too, and would lose their code otherwise.
pub(super) fn output_schema<T: JsonSchema>() -> Arc<Map<String, Value>> {
    let mut generator = generator();
    let success = generator.subschema_for::<T>();
    let failure = generator.subschema_for::<ToolFailure>();
    let definitions = generator.take_definitions(true);
    let schema = json!({ "type": "object", "anyOf": [success, failure], "$defs": definitions });
    let Value::Object(schema) = schema else { unreachable!("built as an object") };
    Arc::new(schema)
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().into_generator()
}

fn object(schema: schemars::Schema) -> Map<String, Value> {
    schema.as_object().cloned().unwrap_or_default()
}
