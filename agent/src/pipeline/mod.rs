//! One question, stage by stage: route, context, generate, validate, execute, verify, answer.

mod checks;
mod context;
mod execute;
mod failure;
mod generate;
mod route;
mod stage;
mod validate;
mod verify;

use std::sync::Arc;

use metrics::counter;
use shared_protocol::error::ErrorCode;
use sql_guard::Guard;
use tokio::time::Instant;

pub use failure::{Failure, Reason, Refusal};

use crate::answer::Answer;
use crate::config::PipelineConfig;
use crate::mcp::behalf::Behalf;
use crate::mcp::catalogs::Catalogs;
use crate::mcp::client::Client;
use crate::schema_context::SchemaContext;
use crate::telemetry::metric;
use crate::translator::{Candidate, Feedback, Translator, Usage};
use execute::Rows;
use stage::{Stage, Stopwatch};

/// A question, with its parts checked.
#[derive(Debug, Clone)]
pub struct Question {
    /// The words, trimmed and not empty.
    pub text: String,
    /// Name of whoever asks, where callers have names.
    pub caller: Option<Arc<str>>,
    /// Which database, where the caller named one.
    pub database: Option<String>,
    /// Most rows that the caller wants, from 1 to the configured bound.
    pub max_rows: u64,
    /// Whether the answer tells how it came about.
    pub explain: bool,
    /// Id of the request, for answer and logs.
    pub request_id: String,
    /// When the caller stops waiting.
    pub deadline: Instant,
}

/// From question to answer.
pub struct Pipeline {
    client: Client,
    catalogs: Catalogs,
    guard: Guard,
    translator: Arc<dyn Translator>,
    max_attempts: u32,
}

impl Pipeline {
    /// A pipeline over these parts.
    pub fn new(
        client: Client,
        catalogs: Catalogs,
        guard: Guard,
        translator: Arc<dyn Translator>,
        config: PipelineConfig,
    ) -> Self {
        Self { client, catalogs, guard, translator, max_attempts: config.max_attempts }
    }

    /// Answers `question`. Dropping the future cancels whatever runs, down to PostgreSQL.
    pub async fn answer(&self, question: &Question) -> Result<Answer, Failure> {
        let mut run = Run { watch: Stopwatch::start(), usage: Usage::default(), attempts: 0, sql: None };
        match self.run(question, &mut run).await {
            Ok(answer) => Ok(answer),
            Err(reason) => Err(Failure { reason, sql: run.sql, attempts: run.attempts }),
        }
    }

    async fn run(&self, question: &Question, run: &mut Run) -> Result<Answer, Reason> {
        let (behalf, database) = run.watch.time(Stage::Route, self.route(question)).await?;
        let context = context::context(&self.catalogs, &database, &behalf);
        let mut shown = run.watch.time(Stage::Context, context).await?;
        let mut feedback: Vec<Feedback> = Vec::new();
        loop {
            run.attempts += 1;
            let generate = generate::generate(self.translator.as_ref(), question, &shown.context, &feedback);
            let candidate = run.watch.time(Stage::Generate, generate).await?;
            run.usage += candidate.usage;
            run.sql = Some(candidate.sql.clone());
            let refusal = match self.attempt(question, &database, &behalf, &shown, &candidate, run).await {
                Ok(rows) => return Ok(self.finish(question, database, &shown.context, candidate, rows, run).await),
                Err(Attempt::Over(reason)) => return Err(reason),
                Err(Attempt::Refused(refusal)) => refusal,
            };
            counter!(metric::REFUSALS, "code" => refusal.code.as_str()).increment(1);
            tracing::info!(attempt = run.attempts, code = %refusal.code, "statement {} was refused: {}", run.attempts, refusal.code);
            // A column that is newly masked is denied.
            let misfit =
                matches!(refusal.code, ErrorCode::TableNotFound | ErrorCode::ColumnNotFound | ErrorCode::AccessDenied);
            let outdated = misfit && self.catalogs.refresh(&database, &behalf).await;
            if run.attempts >= self.max_attempts || !self.translator.learns_from_feedback() {
                return Err(Reason::Refused(refusal));
            }
            if outdated {
                let context = context::context(&self.catalogs, &database, &behalf);
                shown = run.watch.time(Stage::Context, context).await?;
            }
            feedback.push(Feedback { sql: candidate.sql, problem: refusal.in_words() });
        }
    }

    /// For whom the question is asked, and of which database.
    async fn route(&self, question: &Question) -> Result<(Behalf, String), Reason> {
        let behalf = self.client.behalf_of(question.caller.as_ref(), question.deadline).await?;
        let database = route::route(&self.catalogs, question, &behalf).await?;
        Ok((behalf, database))
    }

    /// One statement: guarded, then run.
    async fn attempt(
        &self,
        question: &Question,
        database: &str,
        behalf: &Behalf,
        shown: &context::Shown,
        candidate: &Candidate,
        run: &mut Run,
    ) -> Result<Rows, Attempt> {
        let validate = validate::validate(&self.guard, candidate, shown.catalog.clone());
        run.watch.time(Stage::Validate, validate).await.map_err(Attempt::Refused)?;
        let execute = execute::execute(&self.client, database, candidate, question, behalf);
        run.watch.time(Stage::Execute, execute).await
    }

    async fn finish(
        &self,
        question: &Question,
        database: String,
        context: &SchemaContext,
        candidate: Candidate,
        rows: Rows,
        run: &mut Run,
    ) -> Answer {
        let verdict = run.watch.time_plain(Stage::Verify, verify::verify(question, &candidate, &rows)).await;
        let mut warnings = candidate.warnings;
        warnings.extend(rows.warnings);
        warnings.extend(verdict.checks.iter().filter_map(|check| check.detail.clone()));
        Answer {
            question: question.text.clone(),
            database,
            sql: candidate.sql,
            params: candidate.params,
            columns: rows.columns,
            rows: rows.rows,
            row_count: rows.row_count,
            truncated: rows.truncated,
            execution_time_ms: rows.execution_time_ms,
            summary: candidate.summary,
            confidence: verdict.confidence,
            verdict: verdict.words,
            checks: verdict.checks,
            reading: candidate.reading,
            assumptions: candidate.assumptions,
            warnings,
            translator: self.translator.label(),
            attempts: run.attempts,
            request_id: question.request_id.clone(),
            timings_ms: run.watch.timings(),
            usage: run.usage,
            plan: question.explain.then(|| candidate.plan.unwrap_or_default()),
            context: question.explain.then(|| context::shown(context)),
        }
    }
}

/// What is known of a question under way, also when it fails.
struct Run {
    watch: Stopwatch,
    usage: Usage,
    attempts: u32,
    sql: Option<String>,
}

/// How an attempt ends that has no rows.
enum Attempt {
    /// Another statement might do better.
    Refused(Refusal),
    /// No statement would.
    Over(Reason),
}
