//! How large and how deep a statement may be, and how long a verdict may take.

use std::time::Duration;

/// Bounds on what is judged, and on the guard's own threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Longest text, in bytes.
    pub max_bytes: usize,
    /// Most tokens in a text; comments count, white space doesn't.
    pub max_tokens: usize,
    /// How deep `/* … */` comments may nest. PostgreSQL's lexer takes quadratic time for nested ones.
    pub max_comment_depth: usize,
    /// How deep the syntax tree may be; a chain like `a || b || c` is one level deeper with each operator.
    pub max_depth: usize,
    /// Whether words that write are refused in comments too. They harm nobody there; some rules of a house want it all the same.
    pub strict_comments: bool,
    /// Whether strings and numbers in conditions have to be parameters.
    pub require_parameters: bool,
    /// How long a caller waits for a verdict, the wait for a free thread included.
    pub deadline: Duration,
    /// Number of guard threads, at least one. Each reserves 64 MB of address space, and touches what it needs of it.
    pub threads: usize,
    /// How many texts may wait for a thread; one more is refused with SERVER_BUSY.
    pub queue: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 64 * 1024,
            max_tokens: 32_000,
            max_comment_depth: 32,
            max_depth: 500,
            strict_comments: false,
            require_parameters: false,
            deadline: Duration::from_secs(2),
            threads: 2,
            queue: 64,
        }
    }
}
