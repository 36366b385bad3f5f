//! Prompts: tasks that people start with a click, each a text that says which tools to call in which order.

use std::collections::BTreeMap;

use rmcp::ErrorData;
use rmcp::model::{GetPromptResult, JsonObject, Prompt, PromptArgument, PromptMessage, Role};
use serde_json::{Value, json};
use shared_protocol::names::{closest, did_you_mean, shortened};

use super::error;
use crate::tools::ToolContext;

/// Most characters of one argument.
const MAX_CHARS: usize = 20_000;

/// A task with its arguments.
struct Task {
    name: &'static str,
    title: &'static str,
    description: &'static str,
    arguments: &'static [Argument],
    text: &'static str,
}

/// An argument of a task.
struct Argument {
    name: &'static str,
    description: &'static str,
    is_required: bool,
}

const DATABASE: Argument = optional("database", "The database; the default one if left out");

const TASKS: [Task; 4] = [
    Task {
        name: "explore_database",
        title: "Explore a database",
        description: "Learn what a database holds, how its tables belong together, and what it can answer",
        arguments: &[DATABASE, optional("schema", "One schema of it; the first of its search_path if left out")],
        text: include_str!("explore_database.md"),
    },
    Task {
        name: "generate_report",
        title: "Write a report",
        description: "Figures on a topic, with the SQL behind each",
        arguments: &[
            required("topic", "What the report is to be about"),
            DATABASE,
            optional("schema", "Schema of the table; the first of the search_path if left out"),
            optional("table", "The table to begin with"),
            optional("column", "A column of it to break the figures down by"),
        ],
        text: include_str!("generate_report.md"),
    },
    Task {
        name: "find_data",
        title: "Find data",
        description: "Which tables and columns hold what is described",
        arguments: &[required("what", "What is looked for, in plain words"), DATABASE],
        text: include_str!("find_data.md"),
    },
    Task {
        name: "explain_slow_query",
        title: "Explain a slow query",
        description: "Why a statement is slow, and what would make it faster",
        arguments: &[required("sql", "The statement"), DATABASE],
        text: include_str!("explain_slow_query.md"),
    },
];

const fn required(name: &'static str, description: &'static str) -> Argument {
    Argument { name, description, is_required: true }
}

const fn optional(name: &'static str, description: &'static str) -> Argument {
    Argument { name, description, is_required: false }
}

/// All prompts.
pub(super) fn list() -> Vec<Prompt> {
    let argument = |argument: &Argument| {
        PromptArgument::new(argument.name).with_description(argument.description).with_required(argument.is_required)
    };
    let prompt = |task: &Task| {
        let arguments = task.arguments.iter().map(argument).collect();
        Prompt::new(task.name, Some(task.description), Some(arguments)).with_title(task.title)
    };
    TASKS.iter().map(prompt).collect()
}

/// The prompt of that name with these arguments in it.
///
/// # Errors
/// Where there is none, or the arguments aren't its own.
pub(super) fn get(
    context: &ToolContext,
    name: &str,
    arguments: Option<JsonObject>,
) -> Result<GetPromptResult, ErrorData> {
    let task = task(name)?;
    let values = values(task, arguments.unwrap_or_default())?;
    let wanted = values.get("database").map(String::as_str);
    let database = context.catalog(wanted).map_err(|unknown| error::invalid(&unknown))?;
    let fillings = fillings(database.database().name(), &values);
    let message = PromptMessage::new_text(Role::User, filled(task.text, &fillings));
    Ok(GetPromptResult::new(vec![message]).with_description(task.description))
}

/// Whether a prompt has an argument.
///
/// # Errors
/// Where there is no such prompt.
pub(super) fn has_argument(prompt: &str, argument: &str) -> Result<bool, ErrorData> {
    Ok(task(prompt)?.arguments.iter().any(|known| known.name == argument))
}

fn task(name: &str) -> Result<&'static Task, ErrorData> {
    TASKS.iter().find(|task| task.name == name).ok_or_else(|| {
        let names = TASKS.map(|task| task.name);
        let question =
            did_you_mean(&closest(name, names, 2)).map(|question| format!("{question} ")).unwrap_or_default();
        let message =
            format!("there is no prompt {:?}. {question}The prompts are: {}.", shortened(name), names.join(", "));
        ErrorData::invalid_params(message, None)
    })
}

/// The arguments by name, those that are empty left out.
fn values(task: &Task, arguments: JsonObject) -> Result<BTreeMap<String, String>, ErrorData> {
    let invalid = |message: String| ErrorData::invalid_params(message, None);
    let names = || task.arguments.iter().map(|argument| argument.name);
    let mut values = BTreeMap::new();
    for (name, value) in arguments {
        if !names().any(|known| known == name) {
            let question = did_you_mean(&closest(&name, names(), 1)).unwrap_or_default();
            let list = names().collect::<Vec<_>>().join(", ");
            let name = shortened(&name);
            return Err(invalid(
                format!("{} has no argument {name:?}, but {list}. {question}", task.name).trim().to_owned(),
            ));
        }
        match value {
            Value::String(text) if text.chars().count() <= MAX_CHARS => {
                if !text.trim().is_empty() {
                    values.insert(name, text);
                }
            }
            _ => return Err(invalid(format!("argument {name:?} must be a text of at most {MAX_CHARS} characters"))),
        }
    }
    match task.arguments.iter().find(|argument| argument.is_required && !values.contains_key(argument.name)) {
        Some(missing) => Err(invalid(format!("{} needs {:?}: {}", task.name, missing.name, missing.description))),
        None => Ok(values),
    }
}

/// What stands for each of a text's places.
fn fillings(database: &str, values: &BTreeMap<String, String>) -> BTreeMap<&'static str, String> {
    let of = |name: &str| values.get(name).cloned();
    let arguments = json!({ "database": database });
    // Only some tools take a schema.
    let mut of_tables = arguments.clone();
    let mut scope = format!("the database {database}");
    if let Some(schema) = of("schema") {
        scope = format!("the schema {schema} of {scope}");
        of_tables["schema_name"] = Value::String(schema);
    }
    let table = of("table").map(|table| format!(", beginning with {table}")).unwrap_or_default();
    let column = of("column").map(|column| format!(" by {column}")).unwrap_or_default();
    BTreeMap::from([
        ("scope", scope),
        ("arguments", arguments.to_string()),
        ("of_tables", of_tables.to_string()),
        ("table", table),
        ("column", column),
        ("topic", of("topic").unwrap_or_default()),
        ("what", of("what").unwrap_or_default()),
        ("sql", of("sql").unwrap_or_default()),
    ])
}

/// A text with its places, each a name in braces, filled; what fills them is not looked at again.
fn filled(text: &str, fillings: &BTreeMap<&'static str, String>) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, behind) = after.split_once('}').expect("a place that is opened is closed");
        filled.push_str(before);
        filled.push_str(fillings.get(name).expect("every place has something that fills it"));
        rest = behind;
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(value: Value) -> JsonObject {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn every_place_of_every_text_is_filled_once() {
        let values = BTreeMap::from(
            ["schema", "table", "column", "topic", "what", "sql"]
                .map(|name| (name.to_owned(), format!("<{name}> {{sql}}"))),
        );
        for task in &TASKS {
            let text = filled(task.text, &fillings("shop", &values));
            for argument in task.arguments.iter().filter(|argument| argument.name != "database") {
                assert!(text.contains(&format!("<{}> {{sql}}", argument.name)), "{}: {text}", task.name);
            }
            assert!(text.contains("the database shop") && text.contains("\"database\":\"shop\""), "{text}");
        }
    }

    #[test]
    fn arguments_that_are_not_a_prompts_own_are_named() {
        let report = task("generate_report").unwrap();
        let check = |given: Value, said: &str| {
            let error = values(report, arguments(given)).unwrap_err().message;
            assert!(error.contains(said), "{error}");
        };
        check(json!({}), "generate_report needs \"topic\": What the report is to be about");
        check(json!({ "topic": "  " }), "needs \"topic\"");
        check(json!({ "topic": 1 }), "argument \"topic\" must be a text");
        check(
            json!({ "topic": "a", "tabel": "b" }),
            "no argument \"tabel\", but topic, database, schema, table, column. Did you mean",
        );
        assert_eq!(values(report, arguments(json!({ "topic": "a", "table": "" }))).unwrap().len(), 1);
        let error = get_task_error("explore_databse");
        assert!(error.contains("Did you mean") && error.contains("The prompts are: explore_database"), "{error}");
    }

    fn get_task_error(name: &str) -> String {
        task(name).err().unwrap().message.into_owned()
    }
}
