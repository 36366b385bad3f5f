//! A refusal: what was refused, where, and what would pass.

use shared_protocol::error::{ErrorCode, Position};

/// Why a statement does not pass. Its text speaks of the statement and of names that the caller may see, of nothing else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    /// The situation, for programs.
    pub code: ErrorCode,
    /// What was refused and where, in a sentence.
    pub message: String,
    /// What would pass instead.
    pub suggestion: Option<String>,
    /// Where in the text, when that is certain.
    pub position: Option<Position>,
    /// The refused thing as it stands in the statement: a function, a keyword, a name.
    pub refused: Option<String>,
    /// The closest relations, nearest first; with their schema where it isn't on the search_path.
    pub similar_tables: Vec<String>,
    /// The closest columns, nearest first.
    pub similar_columns: Vec<String>,
}

impl Rejection {
    /// A refusal with nothing but its code and its sentence.
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            suggestion: None,
            position: None,
            refused: None,
            similar_tables: Vec::new(),
            similar_columns: Vec::new(),
        }
    }

    /// Says what would pass.
    pub(crate) fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = Some(suggestion.into());
        self
    }

    /// Names what was refused.
    pub(crate) fn refused(mut self, refused: impl Into<String>) -> Self {
        self.refused = Some(refused.into());
        self
    }

    /// Says where byte `offset` of `text` is; a negative offset, which is how PostgreSQL's parser says that it doesn't know, says nothing.
    pub(crate) fn at(mut self, text: &str, offset: i32) -> Self {
        if let Ok(offset) = usize::try_from(offset) {
            let position = Position::of_byte(text, offset);
            self.message = format!("{} ({position})", self.message);
            self.position = Some(position);
        }
        self
    }

    /// The same with its place counted from the second line of the text on: what the caller wrote begins there.
    #[must_use]
    pub fn below_the_first_line(mut self) -> Self {
        if let Some(position) = self.position {
            let line = position.line.saturating_sub(1).max(1);
            let moved = Position { line, ..position };
            self.message = self.message.replace(&format!("({position})"), &format!("({moved})"));
            self.position = Some(moved);
        }
        self
    }
}
