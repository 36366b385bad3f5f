//! Mutation fuzzing of the guard with PostgreSQL as the judge: statements that pass under policies made by chance must read,
//! show and do no more than they may. `make fuzz` runs it; safety.md's last paragraph asks for it.

mod mutate;
mod oracle;
mod rules;
mod schema;
mod secrets;
mod seeds;
mod shrink;
mod tree;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use daemon::settings::Source;
use harness::ThrowawayPostgres;
use mcp_server::catalog::CatalogCache;
use mcp_server::config::{Config, VARIABLES, command};
use mcp_server::databases::{Database, SessionPins};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use sql_guard::{Access, Guard, Limits};

pub use oracle::{Failure, Outcome};

use mutate::Mutator;
use oracle::Oracle;
pub use rules::Rules;
use schema::{Oid, Schema};
use seeds::Seeds;

/// How many mutants are made under one policy.
const MUTANTS_OF_A_POLICY: usize = 120;

/// Most accepted mutants that are kept to be mutated again.
const MAX_GROWN: usize = 3000;

/// After how many findings a run ends.
const MAX_FINDINGS: usize = 12;

/// Most tries to make a failing statement smaller.
const MAX_SHRINKS: usize = 400;

/// How a run goes.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How long, the making of databases not counted.
    pub time: Duration,
    /// What chance begins with. The same seed makes the same statements, as many as there is time for.
    pub seed: u64,
}

/// What a run came to.
#[derive(Debug, Default)]
pub struct Report {
    /// Statements made.
    pub mutants: usize,
    /// Of these, such that the guard let pass.
    pub accepted: usize,
    /// What PostgreSQL said of those.
    pub outcomes: BTreeMap<Outcome, usize>,
    /// Policies made.
    pub policies: usize,
    /// How long it took.
    pub took: Duration,
    /// What should not have passed.
    pub findings: Vec<Finding>,
}

/// A statement that should not have passed.
#[derive(Debug)]
pub struct Finding {
    /// Why.
    pub failure: Failure,
    /// Under which policy.
    pub rules: Rules,
    /// The statement, as small as it was to be had.
    pub statement: String,
}

/// Fuzzes the guard over a throwaway PostgreSQL: over the guard's own corpus, and the shared one where it stands beside the
/// checkout.
///
/// # Errors
/// When PostgreSQL can't be started or a database not be made.
pub async fn run(options: Options) -> Result<Report> {
    let postgres = ThrowawayPostgres::start().await?;
    let suites = seeds::all()?;
    let mut report = Report::default();
    for (number, seeds) in suites.iter().enumerate() {
        let name = format!("fuzz_{number}");
        let files: Vec<_> = seeds.files.iter().map(std::path::PathBuf::as_path).collect();
        let (oracle, schema) = Oracle::over(&postgres, &name, &files).await?;
        let time = options.time / u32::try_from(suites.len())?;
        let mut fuzzer = Fuzzer::new(&postgres.superuser_url(&name), oracle, &schema, seeds, options.seed).await?;
        fuzzer.run(time, &mut report).await?;
    }
    Ok(report)
}

struct Fuzzer<'s> {
    guard: Guard,
    catalogs: CatalogCache,
    oracle: Oracle,
    schema: &'s Schema,
    mutator: Mutator<'s>,
    rng: StdRng,
    favourites: Vec<Oid>,
    seeds: Vec<String>,
    grown: Vec<String>,
}

impl<'s> Fuzzer<'s> {
    async fn new(url: &str, oracle: Oracle, schema: &'s Schema, seeds: &Seeds, seed: u64) -> Result<Self> {
        let guard = Guard::new(Limits::default());
        let mut mutator = Mutator::new(StdRng::seed_from_u64(seed), schema);
        for text in &seeds.statements {
            mutator.feed(text);
        }
        Ok(Self {
            catalogs: CatalogCache::new(database(url)?, guard.clone(), Duration::from_secs(3600)),
            guard,
            oracle,
            schema,
            mutator,
            rng: StdRng::seed_from_u64(!seed),
            favourites: seeds.relations().iter().filter_map(|(of, name)| Some(schema.find(of, name)?.0)).collect(),
            seeds: seeds.statements.clone(),
            grown: Vec::new(),
        })
    }

    async fn run(&mut self, time: Duration, report: &mut Report) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < time && report.findings.len() < MAX_FINDINGS {
            let rules = Rules::random(&mut self.rng, self.schema, &self.favourites);
            report.policies += 1;
            self.under(&rules, begun + time, report).await.with_context(|| format!("under the policy\n{rules}"))?;
        }
        report.took += begun.elapsed();
        Ok(())
    }

    /// Tries mutants under one policy.
    async fn under(&mut self, rules: &Rules, until: Instant, report: &mut Report) -> Result<()> {
        let snapshot = self.catalogs.current().await?;
        let access = self.guard.access(snapshot, Arc::new(rules.policy(self.schema))).await?;
        self.oracle.enter(rules, self.schema).await?;
        self.mutator.focus(rules.focus(self.schema));
        for _ in 0..MUTANTS_OF_A_POLICY {
            if Instant::now() > until || report.findings.len() >= MAX_FINDINGS {
                break;
            }
            let from = if self.rng.random_bool(0.4) && !self.grown.is_empty() { &self.grown } else { &self.seeds };
            let seed = from.choose(&mut self.rng).context("there are statements to mutate")?;
            let Some(text) = self.mutator.mutate(seed) else { continue };
            report.mutants += 1;
            let Some(verdict) = self.verdict(&text, &access, rules).await? else { continue };
            report.accepted += 1;
            match verdict {
                Ok(outcome) => {
                    *report.outcomes.entry(outcome).or_default() += 1;
                    if outcome == Outcome::Compared {
                        self.keep(text);
                    }
                }
                Err(failure) => {
                    let statement = self.shrunk(text, &failure, &access, rules).await?;
                    let finding = Finding { failure, rules: rules.clone(), statement };
                    eprintln!("{finding}");
                    report.findings.push(finding);
                }
            }
        }
        Ok(())
    }

    /// What PostgreSQL says of a statement; nothing where the guard refuses it.
    async fn verdict(
        &mut self,
        text: &str,
        access: &Arc<Access>,
        rules: &Rules,
    ) -> Result<Option<Result<Outcome, Failure>>> {
        match self.guard.check(text, access).await {
            Ok(query) => Ok(Some(self.oracle.judge(&query, rules, self.schema).await?)),
            Err(_) => Ok(None),
        }
    }

    fn keep(&mut self, text: String) {
        if self.grown.len() < MAX_GROWN {
            self.grown.push(text);
        } else {
            let at = self.rng.random_range(0..MAX_GROWN);
            self.grown[at] = text;
        }
    }

    /// The smallest statement found that fails in the same way.
    async fn shrunk(&mut self, text: String, failure: &Failure, access: &Arc<Access>, rules: &Rules) -> Result<String> {
        let mut smallest = text;
        let mut tries = 0;
        'smaller: loop {
            for text in shrink::smaller(&smallest) {
                tries += 1;
                if tries > MAX_SHRINKS {
                    return Ok(smallest);
                }
                if let Some(Err(other)) = self.verdict(&text, access, rules).await?
                    && other.is_like(failure)
                {
                    smallest = text;
                    continue 'smaller;
                }
            }
            return Ok(smallest);
        }
    }
}

/// The database that the guard's catalog is read from, as a server reads it.
fn database(url: &str) -> Result<Arc<Database>> {
    let key = "0123456789abcdefghijkl";
    let flags = ["mcp-server", "--ws-api-key", key, "--postgres-sslmode", "disable", "--database-url", url];
    let config = Config::from_source(Source::from_parts(command(), VARIABLES, flags, |_| None)?)?;
    let pins = SessionPins { allow_privileged_role: true, ..SessionPins::of(&config) };
    Ok(Database::alone(&config.databases.default, pins))
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n--- under the policy\n{}\n--- {}\n", self.statement, self.rules, self.failure)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        let of = |outcome| self.outcomes.get(&outcome).copied().unwrap_or_default();
        write!(
            f,
            "{} statements under {} policies in {seconds:.0} s ({:.0} a second); the guard let {} pass, of which {} were compared, \
             {} refused by PostgreSQL, {} too large, {} unsteady, {} not run; {} wrong",
            self.mutants,
            self.policies,
            self.mutants as f64 / seconds.max(0.001),
            self.accepted,
            of(Outcome::Compared),
            of(Outcome::Refused),
            of(Outcome::TooLarge),
            of(Outcome::Unsteady),
            of(Outcome::NotRun),
            self.findings.len()
        )
    }
}
