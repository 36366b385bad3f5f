//! How PostgreSQL would run a statement, or ran it: what EXPLAIN (FORMAT JSON) tells, as text, and what of it is worth a warning.

mod advice;
mod text;

use serde_json::{Map, Value};

pub use advice::{TableFacts, warnings};
pub use text::text;

/// Fields that only VERBOSE asks for.
const VERBOSE_FIELDS: &[&str] = &["Output", "Schema", "Function Call", "Async Capable"];

/// What EXPLAIN told.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan(Value);

impl Plan {
    /// The plan in what EXPLAIN (FORMAT JSON) answered; nothing where it is none.
    pub fn new(answer: Value) -> Option<Self> {
        answer.pointer("/0/Plan")?;
        Some(Self(answer))
    }

    /// The whole answer, as PostgreSQL gave it.
    pub fn into_value(self) -> Value {
        self.0
    }

    /// The planner's cost of the whole, in its own units.
    pub fn cost(&self) -> Option<f64> {
        number(self.root(), "Total Cost")
    }

    /// Rows that the planner expects.
    pub fn rows(&self) -> Option<f64> {
        number(self.root(), "Plan Rows")
    }

    /// Milliseconds that it really took, where it was run.
    pub fn time(&self) -> Option<f64> {
        self.0.pointer("/0/Execution Time")?.as_f64()
    }

    /// Leaves out what only VERBOSE asks for.
    pub fn without_details(mut self) -> Self {
        if let Some(root) = self.0.pointer_mut("/0/Plan") {
            strip(root);
        }
        self
    }

    fn root(&self) -> &Value {
        &self.0[0]["Plan"]
    }

    /// What stands beside the plan: times, triggers, settings.
    fn around(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0[0].as_object().into_iter().flatten().filter(|(name, _)| *name != "Plan")
    }
}

fn strip(step: &mut Value) {
    let Some(fields) = step.as_object_mut() else { return };
    fields.retain(|name, _| !VERBOSE_FIELDS.contains(&name.as_str()));
    for below in fields.get_mut("Plans").and_then(Value::as_array_mut).into_iter().flatten() {
        strip(below);
    }
}

/// A step and all below it, the outermost first.
fn steps(root: &Value) -> Vec<&Value> {
    let mut all = vec![root];
    let mut at = 0;
    while let Some(step) = all.get(at).copied() {
        all.extend(below(step));
        at += 1;
    }
    all
}

/// The steps right below one.
fn below(step: &Value) -> impl Iterator<Item = &Value> {
    step.get("Plans").and_then(Value::as_array).into_iter().flatten()
}

fn name<'p>(step: &'p Value, field: &str) -> Option<&'p str> {
    step.get(field).and_then(Value::as_str)
}

fn number(step: &Value, field: &str) -> Option<f64> {
    step.get(field).and_then(Value::as_f64)
}

fn fields(step: &Value) -> impl Iterator<Item = (&String, &Value)> {
    step.as_object().into_iter().flat_map(Map::iter)
}
