//! `mcp-server check`: what the guard says of a statement, or of each line of a file.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use daemon::settings::SettingsError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared_protocol::error::ErrorCode;
use sql_guard::{Access, Guard, Limits, Rejection};

use super::{Workshop, block_on, database, database_argument, policies, sound};
use crate::caller::Caller;
use crate::catalog::OnPath;
use crate::config::Config;

pub(super) fn command() -> Command {
    Command::new("check")
        .about("Says whether statements would run, and if not, what is refused, where, and what would pass")
        .arg(Arg::new("sql").value_name("SQL").help("The statement").conflicts_with("file"))
        .arg(
            Arg::new("file")
                .long("file")
                .value_name("F.jsonl")
                .help("Statements, one JSON object a line: {\"id\", \"sql\", \"search_path\"?}; - is standard input"),
        )
        .arg(flag("json").help("Answer in JSON, one object a line"))
        .arg(
            flag("no-database")
                .help("Judge syntax, statements and built-in functions alone, without a database or a policy")
                .conflicts_with_all(["policy", "key", "subject", "database"]),
        )
        .arg(
            Arg::new("policy")
                .long("policy")
                .value_name("FILE")
                .help("Judge under this policy file instead of POLICY_FILE"),
        )
        .arg(
            Arg::new("key")
                .long("key")
                .value_name("NAME")
                .help("Judge as the holder of this key; the first of WS_API_KEY's unless given"),
        )
        .arg(Arg::new("subject").long("subject").value_name("NAME").help("Judge as somebody whom that key acts for"))
        .arg(database_argument())
}

fn flag(name: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue)
}

/// Exit code 0 where all statements would run, 1 where one would not.
pub(super) fn run(arguments: &ArgMatches, config: Result<Config, SettingsError>) -> anyhow::Result<ExitCode> {
    let judge = async {
        match arguments.get_flag("no-database") {
            // The database's settings, which may be missing, have no part in it.
            true => Ok(Judge::Alone(Guard::new(config.map_or_else(|_| Limits::default(), |config| config.guard)))),
            false => Judge::over_database(arguments, &sound(config)?).await,
        }
    };
    block_on(async {
        let mut report = Report { as_json: arguments.get_flag("json"), of_many: false, accepted: 0, refused: 0 };
        let mut judge = judge.await?;
        match (arguments.get_one::<String>("sql"), arguments.get_one::<String>("file")) {
            (Some(sql), _) => {
                let statement = Statement { id: Value::Null, sql: sql.clone(), search_path: None };
                report.add(&statement, &judge.of(&statement).await?)?;
            }
            (None, Some(file)) => {
                report.of_many = true;
                for (number, line) in BufReader::new(open(file)?).lines().enumerate() {
                    let line = line.with_context(|| format!("read {file}"))?;
                    if line.trim().is_empty() {
                        continue;
                    }
                    let statement: Statement = serde_json::from_str(&line).with_context(|| {
                        format!("line {} of {file} is not {{\"id\", \"sql\", \"search_path\"?}}", number + 1)
                    })?;
                    report.add(&statement, &judge.of(&statement).await?)?;
                }
            }
            (None, None) => bail!("give a statement, or --file with statements"),
        }
        report.finish()
    })
}

/// The key of that name, or the first there is; any name will do where there are none.
fn key(name: Option<String>, config: &Config) -> anyhow::Result<String> {
    let known: Vec<&str> = config.listener.keys.names().collect();
    match (name, known.first()) {
        (Some(name), Some(_)) if !known.contains(&name.as_str()) => {
            bail!("there is no key {name} in WS_API_KEY; there is {}", known.join(", "))
        }
        (Some(name), _) => Ok(name),
        (None, Some(first)) => Ok((*first).to_owned()),
        (None, None) => Ok("default".to_owned()),
    }
}

fn open(file: &str) -> anyhow::Result<Box<dyn Read>> {
    Ok(match file {
        "-" => Box::new(std::io::stdin()),
        path => Box::new(std::fs::File::open(path).with_context(|| format!("open {path}"))?),
    })
}

/// One statement to judge.
#[derive(Debug, Deserialize)]
struct Statement {
    #[serde(default)]
    id: Value,
    sql: String,
    search_path: Option<String>,
}

/// What is known while judging.
enum Judge {
    /// Nothing but PostgreSQL itself.
    Alone(Guard),
    /// A database and a caller.
    Over { workshop: Workshop, policy: Arc<sql_guard::Policy>, seen: HashMap<Option<String>, Arc<Access>> },
}

/// What a statement that would run reads, and which of its output columns are masked, from 1.
struct Accepted {
    relations: Vec<String>,
    masked: Vec<usize>,
}

impl Judge {
    async fn over_database(arguments: &ArgMatches, config: &Config) -> anyhow::Result<Self> {
        let policies = policies(config, arguments.get_one::<String>("policy"))?;
        let text = |name: &str| arguments.get_one::<String>(name).cloned();
        let caller = Caller { subject: text("subject"), ..Caller::of_key(&key(text("key"), config)?) };
        if caller.subject.is_some() && !policies.may_act_for(&caller.key) {
            bail!("the key {} may not act for others: set may_act_for = true for it in the policy file", caller.key);
        }
        let database = database(config, arguments);
        let workshop = Workshop::open(config, &database).await?;
        let policy = Arc::clone(&policies.rules(&database.name, &caller).policy);
        Ok(Self::Over { workshop, policy, seen: HashMap::new() })
    }

    async fn of(&mut self, statement: &Statement) -> anyhow::Result<Result<Accepted, Rejection>> {
        match self {
            Self::Alone(guard) => {
                let advice = guard.advise(&statement.sql, None, None).await;
                let relations = |advice: sql_guard::Advice| advice.relations.iter().map(written).collect();
                Ok(advice.map(|advice| Accepted { relations: relations(advice), masked: Vec::new() }))
            }
            Self::Over { workshop, policy, seen } => {
                let access = match seen.get(&statement.search_path) {
                    Some(access) => Arc::clone(access),
                    None => {
                        let access = workshop.access(statement.search_path.as_deref(), policy).await?;
                        seen.insert(statement.search_path.clone(), Arc::clone(&access));
                        access
                    }
                };
                let verdict = workshop.guard.check(&statement.sql, &access).await;
                Ok(verdict.map(|query| Accepted {
                    relations: query.relations().iter().map(written).collect(),
                    masked: query.masked().iter().map(|at| at + 1).collect(),
                }))
            }
        }
    }
}

impl Workshop {
    async fn access(&self, path: Option<&str>, policy: &Arc<sql_guard::Policy>) -> Result<Arc<Access>, Rejection> {
        let Some(path) = path else {
            return self.guard.access(Arc::clone(&self.snapshot) as _, Arc::clone(policy)).await;
        };
        let search_path = path.split(',').map(|schema| schema.trim().trim_matches('"').to_owned()).collect();
        let catalog = OnPath { snapshot: Arc::clone(&self.snapshot), search_path };
        self.guard.access(Arc::new(catalog), Arc::clone(policy)).await
    }
}

fn written(relation: &sql_guard::RelationName) -> String {
    match relation.schema.as_str() {
        "" => relation.name.clone(),
        schema => format!("{schema}.{}", relation.name),
    }
}

/// One verdict as JSON.
#[derive(Serialize)]
struct Line<'a> {
    id: &'a Value,
    accepted: bool,
    code: Option<ErrorCode>,
    message: Option<&'a str>,
    suggestion: Option<&'a str>,
    line: Option<u32>,
    column: Option<u32>,
    masked: &'a [usize],
}

/// Writes verdicts and counts them.
struct Report {
    as_json: bool,
    of_many: bool,
    accepted: usize,
    refused: usize,
}

impl Report {
    fn add(&mut self, statement: &Statement, verdict: &Result<Accepted, Rejection>) -> anyhow::Result<()> {
        *if verdict.is_ok() { &mut self.accepted } else { &mut self.refused } += 1;
        let text = match (self.as_json, self.of_many) {
            (true, _) => json(statement, verdict),
            (false, true) => in_short(statement, verdict),
            (false, false) => in_full(statement, verdict),
        };
        writeln!(std::io::stdout(), "{text}").context("write the verdict")
    }

    fn finish(&self) -> anyhow::Result<ExitCode> {
        if self.of_many && !self.as_json {
            writeln!(std::io::stdout(), "{} accepted, {} refused", self.accepted, self.refused)
                .context("write the counts")?;
        }
        Ok(if self.refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn json(statement: &Statement, verdict: &Result<Accepted, Rejection>) -> String {
    let refused = verdict.as_ref().err();
    let position = refused.and_then(|rejection| rejection.position);
    let line = Line {
        id: &statement.id,
        accepted: verdict.is_ok(),
        code: refused.map(|rejection| rejection.code),
        message: refused.map(|rejection| rejection.message.as_str()),
        suggestion: refused.and_then(|rejection| rejection.suggestion.as_deref()),
        line: position.map(|at| at.line),
        column: position.map(|at| at.column),
        masked: verdict.as_ref().map_or(&[], |accepted| &accepted.masked),
    };
    serde_json::to_string(&line).expect("plain data")
}

fn in_short(statement: &Statement, verdict: &Result<Accepted, Rejection>) -> String {
    let id = match &statement.id {
        Value::String(id) => id.clone(),
        other => other.to_string(),
    };
    match verdict {
        Ok(_) => format!("{id}: accepted"),
        Err(rejection) => format!("{id}: refused: {}: {}", rejection.code, rejection.message),
    }
}

fn in_full(statement: &Statement, verdict: &Result<Accepted, Rejection>) -> String {
    match verdict {
        Ok(Accepted { relations, masked }) => {
            let reads = if relations.is_empty() {
                "reads no table".to_owned()
            } else {
                format!("reads {}", relations.join(", "))
            };
            let list = masked.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            match masked.is_empty() {
                true => format!("accepted: {reads}"),
                false => format!("accepted: {reads}; shows *** in column {list}"),
            }
        }
        Err(rejection) => {
            let mut text = format!("refused: {}: {}", rejection.code, rejection.message);
            if let Some(shown) = rejection.position.and_then(|at| caret(&statement.sql, at.line, at.column)) {
                text += &shown;
            }
            if let Some(suggestion) = &rejection.suggestion {
                text += &format!("\n{suggestion}");
            }
            text
        }
    }
}

/// The line of a statement with a caret under the column, both from 1; nothing where there is no such line.
fn caret(sql: &str, line: u32, column: u32) -> Option<String> {
    let text = sql.split('\n').nth(usize::try_from(line).ok()?.checked_sub(1)?)?.trim_end_matches('\r');
    // A tab takes as much room under itself as above.
    let room: String = text
        .chars()
        .take(usize::try_from(column).ok()?.saturating_sub(1))
        .map(|one| if one == '\t' { '\t' } else { ' ' })
        .collect();
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    Some(format!("\n{number} | {text}\n{margin} | {room}^"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_spot() {
        let check = |sql: &str, line, column, shown: &str| {
            assert_eq!(caret(sql, line, column).as_deref(), Some(shown), "{sql}");
        };
        check("SELECT x", 1, 8, "\n1 | SELECT x\n  |        ^");
        check("SELECT\n\té, x", 2, 5, "\n2 | \té, x\n  | \t   ^");
        assert_eq!(caret("SELECT 1", 3, 1), None);
    }
}
