//! A plan as lines to read, in the form that psql shows: one step a line, what it does below it.

use std::fmt::Write;

use serde_json::Value;

use super::{Plan, below, fields, name, number};

/// Fields that stand in a step's first line, or only say where it stands.
const IN_THE_FIRST_LINE: &[&str] = &[
    "Node Type",
    "Parallel Aware",
    "Async Capable",
    "Parent Relationship",
    "Subplan Name",
    "Join Type",
    "Strategy",
    "Partial Mode",
    "Operation",
    "Scan Direction",
    "Index Name",
    "Relation Name",
    "Schema",
    "Alias",
    "Function Name",
    "CTE Name",
    "Startup Cost",
    "Total Cost",
    "Plan Rows",
    "Plan Width",
    "Actual Startup Time",
    "Actual Total Time",
    "Actual Rows",
    "Actual Loops",
    "Inner Unique",
    "Disabled",
    "Plans",
];

/// The plan as text.
pub fn text(plan: &Plan) -> String {
    let mut lines = String::new();
    step(plan.root(), 0, &mut lines);
    for (field, value) in plan.around() {
        match (field.as_str(), value) {
            ("Planning Time" | "Execution Time", Value::Number(time)) => {
                line(&mut lines, 0, &format!("{field}: {time} ms"));
            }
            (_, Value::Array(list)) if list.is_empty() => {}
            _ => detail(field, value, 0, &mut lines),
        }
    }
    lines.truncate(lines.trim_end().len());
    lines
}

fn line(lines: &mut String, indent: usize, text: &str) {
    writeln!(lines, "{:indent$}{text}", "").expect("writing to memory doesn't fail");
}

fn step(node: &Value, indent: usize, lines: &mut String) {
    let mut inner = indent;
    if let Some(subplan) = name(node, "Subplan Name") {
        line(lines, inner, subplan);
        inner += 2;
    }
    let arrow = if indent == 0 { "" } else { "->  " };
    line(lines, inner, &format!("{arrow}{}{}{}", what(node), cost(node), actual(node)));
    let deeper = if indent == 0 { 2 } else { inner + 6 };
    for (field, value) in fields(node) {
        if !IN_THE_FIRST_LINE.contains(&field.as_str()) {
            detail(field, value, deeper, lines);
        }
    }
    for child in below(node) {
        step(child, deeper, lines);
    }
}

/// What a step does, to what.
fn what(node: &Value) -> String {
    let kind = name(node, "Node Type").unwrap_or("?");
    let parallel = if node.get("Parallel Aware") == Some(&Value::Bool(true)) { "Parallel " } else { "" };
    let mut text = parallel.to_owned();
    match (kind, name(node, "Strategy"), name(node, "Partial Mode").filter(|mode| *mode != "Simple")) {
        ("Aggregate", strategy, mode) => {
            if let Some(mode) = mode {
                write!(text, "{mode} ").expect("writing to memory doesn't fail");
            }
            text.push_str(match strategy {
                Some("Hashed") => "HashAggregate",
                Some("Sorted") => "GroupAggregate",
                Some("Mixed") => "MixedAggregate",
                _ => "Aggregate",
            });
        }
        _ => text.push_str(kind),
    }
    match name(node, "Join Type") {
        None | Some("Inner") => {}
        Some(join) if kind.ends_with("Join") => text = text.replace(" Join", &format!(" {join} Join")),
        Some(join) => write!(text, " {join} Join").expect("writing to memory doesn't fail"),
    }
    if name(node, "Scan Direction") == Some("Backward") {
        text.push_str(" Backward");
    }
    if let Some(index) = name(node, "Index Name") {
        let word = if kind == "Bitmap Index Scan" { "on" } else { "using" };
        write!(text, " {word} {index}").expect("writing to memory doesn't fail");
    }
    let target = ["Relation Name", "Function Name", "CTE Name"].into_iter().find_map(|field| name(node, field));
    let alias = name(node, "Alias");
    if let Some(target) = target.or(alias) {
        let schema = name(node, "Schema").map(|schema| format!("{schema}.")).unwrap_or_default();
        write!(text, " on {schema}{target}").expect("writing to memory doesn't fail");
        if let Some(alias) = alias.filter(|alias| *alias != target) {
            write!(text, " {alias}").expect("writing to memory doesn't fail");
        }
    }
    text
}

fn cost(node: &Value) -> String {
    let of = |field: &str| number(node, field).unwrap_or_default();
    format!(
        "  (cost={:.2}..{:.2} rows={:.0} width={:.0})",
        of("Startup Cost"),
        of("Total Cost"),
        of("Plan Rows"),
        of("Plan Width")
    )
}

fn actual(node: &Value) -> String {
    let Some(loops) = number(node, "Actual Loops") else { return String::new() };
    if loops == 0.0 {
        return " (never executed)".to_owned();
    }
    let of = |field: &str| number(node, field).unwrap_or_default();
    let rows = node.get("Actual Rows").map(ToString::to_string).unwrap_or_default();
    format!(
        " (actual time={:.3}..{:.3} rows={rows} loops={loops:.0})",
        of("Actual Startup Time"),
        of("Actual Total Time")
    )
}

/// What else is known of a step; counts of nothing are left out.
fn detail(field: &str, value: &Value, indent: usize, lines: &mut String) {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "true".to_owned(),
        Value::Bool(false) | Value::Null => return,
        Value::Number(number) if number.as_f64() == Some(0.0) => return,
        Value::Number(number) => number.to_string(),
        Value::Array(list) if list.iter().all(Value::is_string) => {
            list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    };
    line(lines, indent, &format!("{field}: {text}"));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn steps_stand_below_what_they_feed() {
        let plan = json!([{
            "Plan": {
                "Node Type": "Hash Join", "Join Type": "Left", "Startup Cost": 1.5, "Total Cost": 20.25, "Plan Rows": 10, "Plan Width": 8,
                "Actual Startup Time": 0.1, "Actual Total Time": 0.25, "Actual Rows": 9, "Actual Loops": 1,
                "Hash Cond": "(o.user_id = u.id)", "Inner Unique": true,
                "Plans": [
                    { "Node Type": "Seq Scan", "Parent Relationship": "Outer", "Relation Name": "orders", "Alias": "o", "Startup Cost": 0.0,
                      "Total Cost": 10.0, "Plan Rows": 10, "Plan Width": 4, "Filter": "(total > 5)", "Rows Removed by Filter": 0 },
                    { "Node Type": "Index Only Scan", "Parent Relationship": "Inner", "Index Name": "users_pkey", "Relation Name": "users",
                      "Alias": "users", "Startup Cost": 0.0, "Total Cost": 8.0, "Plan Rows": 1, "Plan Width": 4, "Actual Loops": 0 }
                ]
            },
            "Planning Time": 0.123, "Triggers": [], "Execution Time": 1.5
        }]);
        let expected = "\
Hash Left Join  (cost=1.50..20.25 rows=10 width=8) (actual time=0.100..0.250 rows=9 loops=1)
  Hash Cond: (o.user_id = u.id)
  ->  Seq Scan on orders o  (cost=0.00..10.00 rows=10 width=4)
        Filter: (total > 5)
  ->  Index Only Scan using users_pkey on users  (cost=0.00..8.00 rows=1 width=4) (never executed)
Planning Time: 0.123 ms
Execution Time: 1.5 ms";
        assert_eq!(text(&Plan::new(plan).unwrap()), expected);
    }

    #[test]
    fn what_has_no_plan_is_none() {
        assert_eq!(Plan::new(json!([])), None);
        assert_eq!(Plan::new(json!({ "Plan": {} })), None);
    }
}
