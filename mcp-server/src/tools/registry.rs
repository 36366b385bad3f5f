//! The one list of tools: what is pushed on connect, what `tools/list` pages through, and what calls are looked up in.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};
use shared_protocol::error::ToolFailure;

use super::Tool;
use super::run_sql::RunSql;

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

/// All tools, by name.
#[derive(Clone)]
pub struct Registry(Arc<BTreeMap<&'static str, Arc<dyn Tool>>>);

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registry").field(&self.names().collect::<Vec<_>>()).finish()
    }
}

impl Default for Registry {
    fn default() -> Self {
        let tools: [Arc<dyn Tool>; 1] = [Arc::new(RunSql)];
        Self(Arc::new(tools.into_iter().map(|tool| (tool.definition().name, tool)).collect()))
    }
}

impl Registry {
    /// The tool of that name.
    pub fn tool(&self, name: &str) -> Option<&Arc<dyn Tool>> {
        self.0.get(name)
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// All definitions, sorted by name.
    pub fn definitions(&self) -> impl Iterator<Item = ToolDefinition> {
        self.0.values().map(|tool| tool.definition())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tools_schemas_are_objects_that_forbid_unknown_arguments() {
        for tool in Registry::default().definitions() {
            assert_eq!(tool.input_schema["additionalProperties"], Value::Bool(false), "{}", tool.name);
            assert_eq!(tool.input_schema["type"], "object", "{}", tool.name);
            assert_eq!(tool.output_schema["type"], "object", "{}", tool.name);
        }
    }

    #[test]
    fn the_list_of_tools_is_small_enough_for_a_models_context() {
        let bytes: usize = Registry::default()
            .definitions()
            .map(|tool| tool.description.len() + serde_json::to_string(&*tool.input_schema).unwrap().len())
            .sum();
        assert!(bytes < 12 * 1024, "{bytes} bytes");
    }
}
