//! The one list of tools: what is pushed on connect, what `tools/list` pages through, and what calls are looked up in.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::execute_query::ExecuteQuery;
use super::explain_query::ExplainQuery;
use super::run_sql::RunSql;
use super::{Tool, ToolDefinition};

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
        let tools: Vec<Arc<dyn Tool>> = vec![Arc::new(RunSql), Arc::new(ExecuteQuery), Arc::new(ExplainQuery)];
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

#[cfg(test)]
mod tests {
    use serde_json::Value;

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
