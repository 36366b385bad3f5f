//! Question in, SQL out: one trait, two translators.

pub mod llm;
pub mod offline;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::Value;

use crate::schema_context::SchemaContext;

/// Turns a question into one read-only statement.
#[async_trait]
pub trait Translator: Send + Sync {
    /// How answers name it: `offline`, or `llm:` and the model.
    fn label(&self) -> String;

    /// The statement for `request`, or why there is none. Doesn't run anything.
    async fn translate(&self, request: &TranslationRequest<'_>) -> Result<Candidate, TranslateError>;

    /// Whether it can do better when it is told what was wrong; one that can't is not asked again.
    fn learns_from_feedback(&self) -> bool {
        true
    }

    /// Whether it could answer now; the error says why not, in a few words without secrets. For `/ready`.
    async fn usable(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Everything that a translator works from.
#[derive(Debug)]
pub struct TranslationRequest<'a> {
    /// The question as it came, trimmed.
    pub question: &'a str,
    /// The schema that it is read against.
    pub context: &'a SchemaContext,
    /// Most rows that the caller wants to see.
    pub max_rows: u64,
    /// What became of earlier attempts, oldest first; empty on the first.
    pub feedback: &'a [Feedback],
}

/// An attempt that didn't stand, in words that a translator can act on.
#[derive(Debug, Clone)]
pub struct Feedback {
    /// The statement that was tried.
    pub sql: String,
    /// What was wrong with it, with the closest names where one was not found.
    pub problem: String,
}

/// A statement for a question.
#[derive(Debug, Clone, Default)]
pub struct Candidate {
    /// One statement with `$1…$n` for the parameters.
    pub sql: String,
    /// The parameters, in order.
    pub params: Vec<Value>,
    /// One sentence that says what the rows are.
    pub summary: Option<String>,
    /// How the question was read, in words (the offline translator's).
    pub reading: Option<String>,
    /// What was taken for granted, a sentence each.
    pub assumptions: Vec<String>,
    /// What the caller should know of how the statement came about, a sentence each.
    pub warnings: Vec<String>,
    /// The translator's own plan, for `explain: true`.
    pub plan: Option<Value>,
    /// What the language model took; zero for the offline translator.
    pub usage: Usage,
}

/// Tokens and calls that a language model took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Tokens sent.
    pub prompt_tokens: u64,
    /// Tokens received.
    pub completion_tokens: u64,
    /// Tool calls that the model made.
    pub tool_calls: u64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.prompt_tokens += other.prompt_tokens;
        self.completion_tokens += other.completion_tokens;
        self.tool_calls += other.tool_calls;
    }
}

/// Why there is no statement.
#[derive(Debug, thiserror::Error)]
pub enum TranslateError {
    /// The question was understood in part, or not at all: nothing is guessed.
    #[error("{}", .0.reason)]
    Abstained(Abstention),
    /// The language model answered, but nothing usable, also when asked again.
    #[error("the language model gave no usable answer: {0}")]
    Unusable(String),
    /// The language model can't be reached, or failed.
    #[error("the language model is not available: {message}")]
    Unavailable {
        /// What happened, without secrets.
        message: String,
        /// When it asked to be left alone until, in seconds from now.
        retry_after_s: Option<u64>,
        /// The cause, for the log.
        #[source]
        source: Option<anyhow::Error>,
    },
    /// The language model took longer than `LLM_TIMEOUT_MS`.
    #[error("the language model did not answer within {limit_ms} ms")]
    TimedOut {
        /// The limit, in milliseconds.
        limit_ms: u64,
    },
}

/// An honest "no": what couldn't be placed, and what could be asked instead.
#[derive(Debug, Clone, Default)]
pub struct Abstention {
    /// One sentence that says why.
    pub reason: String,
    /// The words of the question that have no place in this database.
    pub unexplained: Vec<String>,
    /// Rival readings, where two are equally good.
    pub readings: Vec<String>,
    /// Two or three questions that could be answered.
    pub questions: Vec<String>,
}
