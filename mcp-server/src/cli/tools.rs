//! `mcp-server tools`: the tools as clients are shown them, for people, as JSON, or as docs/tools.md.

use std::fmt::Write;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command};
use daemon::settings::SettingsError;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use shared_protocol::error::ErrorCode;

use crate::config::Config;
use crate::tools::{Registry, ToolDefinition};

pub(super) fn command() -> Command {
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    Command::new("tools")
        .about("Lists the tools that MCP clients may call; wants no settings and connects to nothing")
        .arg(flag("json", "As tools/list gives them"))
        .arg(flag("markdown", "As docs/tools.md, which is made of it"))
        .group(ArgGroup::new("form").args(["json", "markdown"]))
}

/// Always exit code 0.
pub(super) fn run(arguments: &ArgMatches, _: Result<Config, SettingsError>) -> anyhow::Result<ExitCode> {
    let registry = Registry::default();
    let text = if arguments.get_flag("json") {
        let tools: Vec<Value> = registry.definitions().map(ToolDefinition::to_json).collect();
        serde_json::to_string_pretty(&json!({ "tools": tools })).expect("plain data") + "\n"
    } else if arguments.get_flag("markdown") {
        document(&registry)
    } else {
        registry.definitions().map(|tool| format!("{}\n    {}\n", tool.name, tool.description)).collect()
    };
    print!("{text}");
    Ok(ExitCode::SUCCESS)
}

/// What stands before the tools in the document.
const HEAD: &str = "# Tools

Made by `make generate` from the registry that clients are shown; `mcp-server tools --json` prints the same as `tools/list` does.

Every tool reads, none writes. Each takes an optional `database` (but for `list_databases`), refuses arguments that it doesn't know, and
answers with structured content, which stands once more as text in `content` unless the call's `_meta` has
`\"pgmcp/structuredOnly\": true`. Where a listing has more than was asked for, `next_cursor` leads on: send it as `cursor` with the same
arguments. How messages travel is in [websocket.md](websocket.md).

The order that mostly works: databases and tables (`list_databases`, `list_tables`, `search_schema`, `describe_table`,
`get_sample_rows`), then what joins them (`get_foreign_keys`, `find_join_path`), then the query (`run_sql` or `execute_query`;
`explain_query` where it is slow).
";

/// What stands behind them.
const FAILURES: &str = "
## Failures

A call that fails is a result with `isError: true`, never a protocol error. Its structured content is
`{\"error\": {\"code\", \"message\", \"suggestion\", \"context\"}, \"tool_name\", \"input_received\"}`: what was wrong, what would work, and in
`context` the place in the statement, the closest names, or when to try again.

| code | when |
| --- | --- |
";

fn document(registry: &Registry) -> String {
    let mut text = HEAD.to_owned();
    for tool in registry.definitions() {
        let _ = write!(text, "\n## {}\n\n{}.\n", tool.name, tool.title);
        let (about, example) = tool.description.rsplit_once("Example: ").unwrap_or((tool.description, ""));
        let _ = write!(text, "\n{}\n", about.trim());
        if !example.is_empty() {
            let _ = write!(text, "\n```json\n{example}\n```\n");
        }
        text.push_str("\n| argument | type | default | meaning |\n| --- | --- | --- | --- |\n");
        let input = Value::Object((*tool.input_schema).clone());
        let required = |name: &str| input["required"].as_array().is_some_and(|list| list.iter().any(|one| one == name));
        for Field { path, kind, default, meaning } in fields(&input) {
            let default = match default {
                _ if required(&path) => "required".to_owned(),
                Value::Null if kind == "boolean" => "`false`".to_owned(),
                Value::Null => "–".to_owned(),
                default => format!("`{default}`"),
            };
            let _ = writeln!(text, "| `{path}` | {kind} | {default} | {meaning} |");
        }
        text.push_str("\n| answer | type | meaning |\n| --- | --- | --- |\n");
        for Field { path, kind, meaning, .. } in fields(&Value::Object((tool.described_output)())) {
            let _ = writeln!(text, "| `{path}` | {kind} | {meaning} |");
        }
    }
    text.push_str(FAILURES);
    let codes = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<ErrorCode>();
    for code in codes.as_value()["oneOf"].as_array().into_iter().flatten() {
        let meaning = code["description"].as_str().unwrap_or_default();
        let _ = writeln!(text, "| `{}` | {} |", code["const"].as_str().unwrap_or_default(), cell(meaning));
    }
    text
}

/// A row of a table of fields.
struct Field {
    path: String,
    kind: String,
    default: Value,
    meaning: String,
}

/// The fields of an object's schema, those of the objects in it behind their own.
fn fields(schema: &Value) -> Vec<Field> {
    let empty = Map::new();
    let definitions = schema["$defs"].as_object().unwrap_or(&empty);
    let mut fields = Vec::new();
    gather(schema, "", definitions, &mut fields);
    fields
}

fn gather(schema: &Value, before: &str, definitions: &Map<String, Value>, fields: &mut Vec<Field>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{before}{name}");
        let (inner, kind) = resolved(field, definitions);
        let meaning = field["description"].as_str().or(inner["description"].as_str()).unwrap_or_default();
        let default = field["default"].clone();
        fields.push(Field { path: path.clone(), kind, default, meaning: cell(meaning) });
        let (inner, before) = match inner["items"].is_object() {
            true => (resolved(&inner["items"], definitions).0, format!("{path}[].")),
            false => (inner, format!("{path}.")),
        };
        gather(inner, &before, definitions, fields);
    }
}

/// A schema without references and null around it, and what it is in words.
fn resolved<'a>(schema: &'a Value, definitions: &'a Map<String, Value>) -> (&'a Value, String) {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/"))
        && let Some(definition) = definitions.get(name)
    {
        return resolved(definition, definitions);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let (nulls, others): (Vec<&Value>, Vec<&Value>) = choices.iter().partition(|choice| choice["type"] == "null");
        if let ([only], false) = (&others[..], nulls.is_empty()) {
            let (inner, kind) = resolved(only, definitions);
            return (inner, format!("{kind} or null"));
        }
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let names: Vec<String> =
            choices.iter().map(|choice| format!("`{}`", choice["const"].as_str().unwrap_or("?"))).collect();
        return (schema, names.join(", "));
    }
    if let Some(names) = schema["enum"].as_array() {
        let names: Vec<String> = names.iter().map(|name| format!("`{}`", name.as_str().unwrap_or("null"))).collect();
        return (schema, names.join(", "));
    }
    let word = |kind: &Value| kind.as_str().unwrap_or("anything").to_owned();
    let mut kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(word).collect::<Vec<_>>().join(" or "),
        kind => word(kind),
    };
    if kind.starts_with("array") {
        let of = resolved(&schema["items"], definitions).1;
        kind = kind.replacen("array", &format!("array of {of}"), 1);
    }
    if let (Some(least), Some(most)) = (schema["minimum"].as_u64(), schema["maximum"].as_u64()) {
        let _ = write!(kind, ", {least} to {most}");
    }
    (schema, kind)
}

/// A text as a table's cell takes it.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
