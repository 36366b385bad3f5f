//! The arguments of a call: JSON to a tool's own type, with what is wrong named.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use shared_protocol::names::{closest, did_you_mean, shortened};

use super::ToolError;
use super::definition::input_schema;

/// The arguments as `T`, which denies unknown fields.
///
/// # Errors
/// [`ToolError::Arguments`] names the argument that is unknown, with the closest that is known, or of the wrong type.
pub(super) fn parse<T: DeserializeOwned + JsonSchema>(arguments: Map<String, Value>) -> Result<T, ToolError> {
    let given: Vec<String> = arguments.keys().cloned().collect();
    serde_path_to_error::deserialize(Value::Object(arguments)).map_err(|error| {
        let schema = input_schema::<T>();
        let known = schema.get("properties").and_then(Value::as_object);
        let known: Vec<&str> = known.into_iter().flat_map(Map::keys).map(String::as_str).collect();
        if let Some(unknown) = given.iter().find(|name| !known.contains(&name.as_str())) {
            return unknown_argument(unknown, &known);
        }
        let path = error.path().to_string();
        let place = if path == "." { String::new() } else { format!("argument {path:?}: ") };
        ToolError::Arguments { message: format!("{place}{}", error.inner()), suggestion: Some(accepted(&known)) }
    })
}

/// That a number that a caller gave isn't 0.
///
/// # Errors
/// [`ToolError::Arguments`] names the argument.
pub(super) fn positive(argument: &str, number: Option<u64>) -> Result<(), ToolError> {
    match number {
        Some(0) => Err(ToolError::Arguments {
            message: format!("argument {argument:?} is 0"),
            suggestion: Some("Accepted is a whole number from 1; the server's own bound holds too.".to_owned()),
        }),
        _ => Ok(()),
    }
}

fn unknown_argument(unknown: &str, known: &[&str]) -> ToolError {
    let near = closest(unknown, known.iter().copied(), 1);
    let accepted = accepted(known);
    ToolError::Arguments {
        message: format!("there is no argument {:?}", shortened(unknown)),
        suggestion: Some(did_you_mean(&near).map_or(accepted.clone(), |question| format!("{question} {accepted}"))),
    }
}

fn accepted(known: &[&str]) -> String {
    format!("The arguments are {}.", known.join(", "))
}
