//! The one list of tools: what is pushed on connect, what `tools/list` pages through, and what calls are looked up in.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::describe_table::DescribeTable;
use super::execute_query::ExecuteQuery;
use super::explain_query::ExplainQuery;
use super::find_join_path::FindJoinPath;
use super::get_foreign_keys::GetForeignKeys;
use super::get_sample_rows::GetSampleRows;
use super::list_databases::ListDatabases;
use super::list_schemas::ListSchemas;
use super::list_tables::ListTables;
use super::refresh_schema::RefreshSchema;
use super::run_sql::RunSql;
use super::search_schema::SearchSchema;
use super::{Tool, ToolDefinition};

/// All tools, by name.
#[derive(Clone)]
pub struct Registry(Arc<BTreeMap<&'static str, Registered>>);

/// A tool with what clients are shown of it, made once.
pub struct Registered {
    /// As clients are shown it.
    pub definition: ToolDefinition,
    /// What answers calls.
    pub tool: Box<dyn Tool>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registry").field(&self.names().collect::<Vec<_>>()).finish()
    }
}

impl Default for Registry {
    fn default() -> Self {
        let tools: Vec<Box<dyn Tool>> = vec![
            Box::new(ListDatabases),
            Box::new(ListSchemas),
            Box::new(ListTables),
            Box::new(DescribeTable),
            Box::new(GetForeignKeys),
            Box::new(GetSampleRows),
            Box::new(FindJoinPath),
            Box::new(SearchSchema),
            Box::new(RefreshSchema),
            Box::new(ExecuteQuery),
            Box::new(ExplainQuery),
            Box::new(RunSql),
        ];
        let registered = tools.into_iter().map(|tool| Registered { definition: tool.definition(), tool });
        Self(Arc::new(registered.map(|registered| (registered.definition.name, registered)).collect()))
    }
}

impl Registry {
    /// The tool of that name.
    pub fn get(&self, name: &str) -> Option<&Registered> {
        self.0.get(name)
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// All definitions, sorted by name.
    pub fn definitions(&self) -> impl Iterator<Item = &ToolDefinition> {
        self.0.values().map(|registered| &registered.definition)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_tools_schemas_are_objects_that_forbid_unknown_arguments() {
        for tool in Registry::default().definitions() {
            assert_eq!(tool.input_schema["additionalProperties"], Value::Bool(false), "{}", tool.name);
            assert_eq!(tool.input_schema["type"], "object", "{}", tool.name);
            assert_eq!(tool.output_schema["type"], "object", "{}", tool.name);
        }
    }

    /// The tools as `tools/list` has them, with the output schemas or without.
    fn listed(with_output: bool) -> usize {
        let registry = Registry::default();
        let tools = registry.definitions().map(|tool| {
            let mut listed = tool.to_json();
            if !with_output {
                listed.as_object_mut().unwrap().remove("outputSchema");
            }
            listed
        });
        let tools: Vec<Value> = tools.collect();
        json!({ "tools": tools }).to_string().len()
    }

    #[test]
    fn the_list_of_tools_is_small_enough_for_a_models_context() {
        let (without, with) = (listed(false), listed(true));
        assert!(without <= 12 * 1024, "{without} bytes without output schemas");
        assert!(with <= 28 * 1024, "{with} bytes with them");
    }

    #[test]
    fn schemas_have_no_words_that_validators_warn_of() {
        fn check(schema: &Value, tool: &str) {
            match schema {
                Value::Object(fields) => {
                    for (name, value) in fields {
                        // A property may be called so; a word of the schema's own is a text.
                        assert!(
                            !(["format", "title", "$schema"].contains(&name.as_str()) && value.is_string()),
                            "{tool}: {name}"
                        );
                        check(value, tool);
                    }
                }
                Value::Array(items) => items.iter().for_each(|item| check(item, tool)),
                _ => {}
            }
        }
        for tool in Registry::default().definitions() {
            check(&Value::Object((*tool.input_schema).clone()), tool.name);
            check(&Value::Object((*tool.output_schema).clone()), tool.name);
        }
    }
}
