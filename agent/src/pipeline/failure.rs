//! Why a question has no answer.

use std::sync::Arc;

use shared_protocol::error::{ErrorCode, ErrorContext, ErrorDetail};
use shared_protocol::names::did_you_mean;
use sql_guard::Rejection;

use crate::mcp::client::Error as McpError;
use crate::translator::TranslateError;

/// A question without an answer, and how far it got.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Failure {
    /// Why.
    #[source]
    pub reason: Reason,
    /// The last statement that was tried.
    pub sql: Option<String>,
    /// How many were tried.
    pub attempts: u32,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// The caller named a database that isn't there.
    #[error("there is no database named {asked:?}")]
    UnknownDatabase {
        /// The name that was asked for.
        asked: String,
        /// The closest names, or all where there are few, nearest first.
        known: Vec<String>,
    },
    /// The caller named no database, and there are several.
    #[error("the question does not say which database is meant")]
    DatabaseNotNamed {
        /// The names to choose from.
        known: Vec<String>,
    },
    /// The server has no database for this key.
    #[error("mcp-server offers no database")]
    NoDatabase,
    /// mcp-server can't be reached, or failed.
    #[error(transparent)]
    Mcp(Arc<McpError>),
    /// The translator has no statement.
    #[error(transparent)]
    Translate(#[from] TranslateError),
    /// The last statement that was tried was refused, or failed.
    #[error("{}", .0.message)]
    Refused(Refusal),
}

impl From<McpError> for Reason {
    fn from(error: McpError) -> Self {
        Self::Mcp(Arc::new(error))
    }
}

impl From<Arc<McpError>> for Reason {
    fn from(error: Arc<McpError>) -> Self {
        Self::Mcp(error)
    }
}

/// A statement that the guard or the server refused, or that failed in PostgreSQL.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The situation.
    pub code: ErrorCode,
    /// What was wrong.
    pub message: String,
    /// What would work instead.
    pub suggestion: Option<String>,
    facts: Vec<String>,
}

impl Refusal {
    /// All that is known, as a translator should read it.
    pub fn in_words(&self) -> String {
        let mut words = format!("{}: {}", self.code, self.message);
        for sentence in self.suggestion.iter().chain(&self.facts) {
            if !words.contains(sentence.as_str()) {
                words.push('\n');
                words.push_str(sentence);
            }
        }
        words
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        let context = ErrorContext {
            position: rejection.position,
            refused: rejection.refused,
            similar_tables: rejection.similar_tables,
            similar_columns: rejection.similar_columns,
            ..ErrorContext::default()
        };
        let detail = ErrorDetail {
            code: rejection.code,
            message: rejection.message,
            suggestion: rejection.suggestion,
            context: Some(context),
        };
        detail.into()
    }
}

impl From<ErrorDetail> for Refusal {
    fn from(detail: ErrorDetail) -> Self {
        let facts = detail.context.map(|context| facts(&context)).unwrap_or_default();
        Self { code: detail.code, message: detail.message, suggestion: detail.suggestion, facts }
    }
}

fn facts(context: &ErrorContext) -> Vec<String> {
    let mut facts = Vec::new();
    facts.extend(context.position.map(|position| format!("It is at {position}.")));
    facts.extend(context.refused.as_ref().map(|refused| format!("What was refused: {refused}")));
    facts.extend(context.hint.as_ref().map(|hint| format!("PostgreSQL's hint: {hint}")));
    facts.extend(did_you_mean(&context.similar_tables));
    facts.extend(did_you_mean(&context.similar_columns));
    if let (Some(parameter), Some(expected)) = (context.parameter, &context.expected_type) {
        facts.push(format!("Parameter ${parameter} must be of type {expected}."));
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feedback_holds_each_fact_once() {
        let detail = ErrorDetail {
            code: ErrorCode::TableNotFound,
            message: "There is no table \"user\".".into(),
            suggestion: Some("Did you mean users?".into()),
            context: Some(ErrorContext { similar_tables: vec!["users".into()], ..ErrorContext::default() }),
        };
        let words = Refusal::from(detail).in_words();
        assert_eq!(words, "TABLE_NOT_FOUND: There is no table \"user\".\nDid you mean users?");
    }
}
