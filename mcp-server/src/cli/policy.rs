//! `mcp-server policy check`: whether a policy file is sound, and what each caller sees under it.

use std::fmt::Write;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};
use daemon::settings::SettingsError;
use sql_guard::{Catalog, Restriction};

use super::{Workshop, block_on, database, database_argument, policies, sound};
use crate::caller::Caller;
use crate::catalog::Visible;
use crate::config::Config;
use crate::databases::Databases;
use crate::policy::{Policies, PolicyLimits, Rules};

/// How many names of a kind are listed for a caller.
const MAX_LISTED: usize = 20;

pub(super) fn command() -> Command {
    Command::new("policy")
        .about("Checks a policy file and prints what each key sees: mcp-server policy check FILE")
        .arg(Arg::new("action").value_name("ACTION").value_parser(["check"]).required(true).help("check"))
        .arg(Arg::new("file").value_name("FILE").help("The policy file; POLICY_FILE unless given"))
        .arg(database_argument())
}

/// Exit code 0 where the policy can be used.
pub(super) fn run(arguments: &ArgMatches, config: Result<Config, SettingsError>) -> anyhow::Result<ExitCode> {
    let config = sound(config)?;
    let policies = policies(&config, arguments.get_one::<String>("file"))?;
    block_on(async {
        println!(
            "{}",
            match policies.has_file() {
                true => "The policy is sound.",
                false =>
                    "There is no policy file: columns that are called like secrets are masked, and nothing else is.",
            }
        );
        let database = database(&config, arguments);
        match Workshop::open(&config, &database).await {
            Ok(workshop) => {
                for problem in unserved(&config, &policies).await {
                    println!("Warning: {problem}.");
                }
                print!("{}", described(&workshop, &policies, &database.name).await?);
            }
            Err(error) => {
                println!("What it comes to can't be said: {error:#}");
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// The databases that the policy names and that aren't served, as far as can be told.
async fn unserved(config: &Config, policies: &Policies) -> Vec<String> {
    let databases = Databases::new(config);
    match databases.discover().await {
        Ok(_) => policies.unserved(&databases.names()),
        Err(_) => Vec::new(),
    }
}

async fn described(workshop: &Workshop, policies: &Policies, database: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    for problem in policies.unmatched(database, workshop.snapshot.as_ref()) {
        writeln!(text, "Warning: {problem}.")?;
    }
    for caller in policies.callers() {
        let rules = policies.rules(database, &caller);
        let visible = workshop
            .catalog
            .visible(&workshop.snapshot, &rules)
            .await
            .map_err(|refused| anyhow::anyhow!("{refused}"))?;
        writeln!(text, "\n{} on {database}:", name_of(&caller))?;
        text += &seen(workshop, &visible);
        text += &taken(&rules);
    }
    Ok(text)
}

fn name_of(caller: &Caller) -> String {
    match &caller.subject {
        Some(subject) => format!("Key {} for {subject}", caller.key),
        None => format!("Key {}", caller.key),
    }
}

/// What a caller sees, a line for each kind of thing.
fn seen(workshop: &Workshop, visible: &Visible) -> String {
    let (mut tables, mut absent, mut hidden, mut masked) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut relations: Vec<_> = workshop.snapshot.relations().map(|relation| &relation.name).collect();
    relations.sort_unstable();
    for name in relations {
        let table = format!("{}.{}", name.schema, name.name);
        let Some(columns) = visible.access().columns(&name.schema, &name.name) else {
            absent.push(table);
            continue;
        };
        for (column, restriction) in columns {
            match restriction {
                Restriction::Hidden => hidden.push(format!("{table}.{column}")),
                Restriction::Masked => masked.push(format!("{table}.{column}")),
                Restriction::Free | Restriction::Fixed => {}
            }
        }
        tables.push(table);
    }
    let line = |what: &str, names: &[String]| match names {
        [] => format!("  {what}: none\n"),
        names => {
            let listed = names.iter().take(MAX_LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = if names.len() > MAX_LISTED { ", …" } else { "" };
            format!("  {what} ({}): {listed}{more}\n", names.len())
        }
    };
    [
        line("tables", &tables),
        line("hidden tables", &absent),
        line("hidden columns", &hidden),
        line("masked columns", &masked),
    ]
    .concat()
}

/// What a caller may take, where a rule says so.
fn taken(rules: &Rules) -> String {
    let PolicyLimits {
        max_cost,
        max_estimated_rows,
        deny_seq_scan_over_rows,
        allow_explain_analyze,
        max_concurrent_queries,
        max_rows,
        statement_timeout,
        session,
    } = &rules.limits;
    let given = [
        ("max_cost", max_cost.map(|cost| cost.to_string())),
        ("max_estimated_rows", max_estimated_rows.map(|rows| rows.to_string())),
        ("deny_seq_scan_over_rows", deny_seq_scan_over_rows.map(|rows| rows.to_string())),
        ("allow_explain_analyze", allow_explain_analyze.then(|| "true".to_owned())),
        ("max_concurrent_queries", max_concurrent_queries.map(|most| most.to_string())),
        ("max_rows", max_rows.map(|rows| rows.to_string())),
        ("statement_timeout_ms", statement_timeout.map(|limit| limit.as_millis().to_string())),
    ];
    let mut limits: Vec<String> =
        given.into_iter().filter_map(|(name, value)| Some(format!("{name} = {}", value?))).collect();
    // The values may say who somebody is; their names are enough here.
    limits.extend(session.iter().map(|(name, _)| format!("sets {name}")));
    match limits.is_empty() {
        true => String::new(),
        false => format!("  limits: {}\n", limits.join(", ")),
    }
}
