//! One line: what is known of a call, and how it is written.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use shared_protocol::names::shortened;

use crate::caller::Caller;

/// Longest statement that can be read; a longer one the guard refuses.
const MAX_STATEMENT_BYTES: usize = 64 * 1024;

/// Names under which tools take a statement.
const STATEMENTS: [&str; 2] = ["query", "sql"];

/// What is known of one call.
#[derive(Debug)]
pub struct Entry {
    at: DateTime<Utc>,
    key: String,
    subject: Option<String>,
    tool: String,
    database: String,
    text: Option<String>,
    hash: Option<[u8; 32]>,
    params: Option<Value>,
    trace_id: Option<String>,
    rows: u64,
    duration: Duration,
    outcome: &'static str,
    tables: Vec<String>,
}

#[derive(Serialize)]
struct Written<'a> {
    time: String,
    key: &'a str,
    subject: Option<&'a str>,
    tool: &'a str,
    database: &'a str,
    sql: Option<&'a str>,
    sql_sha256: Option<String>,
    tables: &'a [String],
    rows: u64,
    duration_ms: f64,
    outcome: &'a str,
    trace_id: Option<&'a str>,
    #[serde(flatten)]
    values: Option<Values<'a>>,
}

#[derive(Serialize)]
struct Values<'a> {
    text: Option<&'a str>,
    params: Option<&'a Value>,
}

impl Entry {
    /// The call of `tool` that `caller` makes now, in `default_database` where its arguments name none.
    pub fn new(
        caller: &Caller,
        tool: &str,
        arguments: &Map<String, Value>,
        default_database: &str,
        traceparent: Option<&Value>,
    ) -> Self {
        let text = STATEMENTS.iter().find_map(|name| arguments.get(*name)?.as_str());
        let database = arguments.get("database").and_then(Value::as_str).unwrap_or(default_database);
        Self {
            at: Utc::now(),
            key: caller.key.clone(),
            subject: caller.subject.clone(),
            tool: shortened(tool).to_string(),
            database: shortened(database).to_string(),
            text: text.map(str::to_owned),
            hash: text.map(|text| Sha256::digest(text).into()),
            params: arguments.get("params").cloned(),
            trace_id: traceparent.and_then(Value::as_str).and_then(trace_id).map(str::to_owned),
            rows: 0,
            duration: Duration::ZERO,
            outcome: "",
            tables: Vec::new(),
        }
    }

    /// Leaves out what is needed only where values are written.
    pub(super) fn forget_values(&mut self) {
        self.params = None;
        self.text.take_if(|text| text.len() > MAX_STATEMENT_BYTES);
    }

    pub(super) fn end(&mut self, outcome: &'static str, rows: u64, tables: Vec<String>, duration: Duration) {
        (self.outcome, self.rows, self.tables, self.duration) = (outcome, rows, tables, duration);
    }

    /// About what it takes of memory.
    pub(super) fn bytes(&self) -> usize {
        let params = self.params.as_ref().map_or(0, |params| params.to_string().len());
        self.text.as_ref().map_or(0, String::len) + params + 512
    }

    /// The statement as it came, where it isn't too long to be read, and its hash.
    pub(super) fn statement(&self) -> Option<(&str, [u8; 32])> {
        let text = self.text.as_deref().filter(|text| text.len() <= MAX_STATEMENT_BYTES)?;
        Some((text, self.hash?))
    }

    /// The hash of the statement as it is written: that of one with its values would let short values be guessed.
    fn written_hash(&self, sql: Option<&str>, values: bool) -> Option<[u8; 32]> {
        match values {
            true => self.hash,
            false => sql.map(|sql| Sha256::digest(sql).into()),
        }
    }

    /// Appends the line, with `sql` for its statement, and its end.
    pub(super) fn write(&self, sql: Option<&str>, values: bool, out: &mut Vec<u8>) {
        let written = Written {
            time: self.at.to_rfc3339_opts(SecondsFormat::Millis, true),
            key: &self.key,
            subject: self.subject.as_deref(),
            tool: &self.tool,
            database: &self.database,
            sql,
            sql_sha256: self
                .written_hash(sql, values)
                .map(|hash| hash.iter().map(|byte| format!("{byte:02x}")).collect()),
            tables: &self.tables,
            rows: self.rows,
            duration_ms: (self.duration.as_secs_f64() * 1_000_000.0).round() / 1000.0,
            outcome: self.outcome,
            trace_id: self.trace_id.as_deref(),
            values: values.then_some(Values { text: self.text.as_deref(), params: self.params.as_ref() }),
        };
        serde_json::to_writer(&mut *out, &written).expect("plain data, written to memory");
        out.push(b'\n');
    }
}

/// The trace id in a `traceparent` (W3C Trace Context): `00-{32 hex}-{16 hex}-{2 hex}`, neither id all zeros.
fn trace_id(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.split('-');
    let [version, trace, parent, flags] = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
    let is_hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let is_id = |part: &str, length: usize| is_hex(part, length) && part.bytes().any(|byte| byte != b'0');
    // Later versions may have more parts.
    let ends = version != "00" || parts.next().is_none();
    let is_valid = is_hex(version, 2) && version != "ff" && is_id(trace, 32) && is_id(parent, 16) && is_hex(flags, 2);
    (is_valid && ends).then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_valid_traceparent_has_a_trace() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let parent = "00f067aa0ba902b7";
        let check = |traceparent: &str, found: bool| {
            assert_eq!(trace_id(traceparent), found.then_some(trace), "{traceparent}");
        };
        check(&format!("00-{trace}-{parent}-01"), true);
        check(&format!("01-{trace}-{parent}-01-more"), true);
        check(&format!("00-{trace}-{parent}-01-more"), false);
        check(&format!("ff-{trace}-{parent}-01"), false);
        check(&format!("00-{trace}-{parent}"), false);
        check(&format!("00-{}-{parent}-01", trace.to_uppercase()), false);
        check(&format!("00-{}-{parent}-01", "0".repeat(32)), false);
        check(&format!("00-{trace}-{}-01", "0".repeat(16)), false);
        check("", false);
    }

    #[test]
    fn values_stand_in_a_line_only_when_asked_for() {
        let arguments = serde_json::json!({ "query": "SELECT 'secret', $1", "params": ["hush"] });
        let line = |values: bool| {
            let arguments = arguments.as_object().unwrap();
            let mut entry = Entry::new(&Caller::of_key("web"), "run_sql", arguments, "shop", None);
            entry.end("ok", 1, vec!["public.users".to_owned()], Duration::from_micros(1500));
            let mut out = Vec::new();
            entry.write(Some("SELECT $2, $1"), values, &mut out);
            String::from_utf8(out).unwrap()
        };
        let (without, with) = (line(false), line(true));
        assert!(!without.contains("secret") && !without.contains("hush"), "{without}");
        let with: Value = serde_json::from_str(&with).unwrap();
        assert_eq!((&with["text"], &with["params"]), (&arguments["query"], &arguments["params"]));
        assert_eq!((&with["duration_ms"], &with["tables"][0]), (&Value::from(1.5), &Value::from("public.users")));
    }
}
