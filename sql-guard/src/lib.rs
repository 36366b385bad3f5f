//! Text in, a [`CheckedQuery`] or a [`Rejection`] out: PostgreSQL's own grammar decides what may run. No I/O, no database.

mod advise;
mod catalog;
mod columns;
mod functions;
mod operators;
mod parse;
mod placeholders;
mod policy;
mod pool;
mod rejection;
mod relations;
mod statement;
mod types;
mod wrapper;

use std::sync::Arc;

pub use advise::Advice;
pub use catalog::{Catalog, Relation, RelationName, UserType};
pub use policy::Limits;
pub use rejection::Rejection;
pub use wrapper::WrappedColumn;

use pool::{Abandoned, Pool};
use statement::{Mode, Walk};

/// Judges statements on threads of its own. Clones share the threads, which end with the last of them.
#[derive(Clone)]
pub struct Guard {
    shared: Arc<Shared>,
}

struct Shared {
    limits: Limits,
    pool: Pool,
}

impl Guard {
    /// Starts the guard threads.
    ///
    /// # Panics
    /// Where the system gives no thread.
    pub fn new(limits: Limits) -> Self {
        let pool = Pool::new(&limits);
        Self { shared: Arc::new(Shared { limits, pool }) }
    }

    /// The server's verdict, and the only way to a [`CheckedQuery`]: one statement that only reads, from relations that the
    /// catalog knows, through functions, operators and types that are surely harmless.
    ///
    /// # Errors
    /// What was refused, where, and what would pass. SERVER_BUSY where too many texts wait.
    pub async fn check(&self, text: &str, catalog: Arc<dyn Catalog>) -> Result<CheckedQuery, Rejection> {
        let limits = self.shared.limits.clone();
        let text = text.to_string();
        self.shared.pool.run(move |abandoned| check(text, catalog.as_ref(), &limits, abandoned)).await
    }

    /// The agent's verdict: refuses only what no server could accept, which is syntax, statement kind, several statements, writes,
    /// denied built-ins, size and depth, a number of placeholders other than `params`, and relations or columns that `catalog` lacks.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub async fn advise(
        &self,
        text: &str,
        params: Option<usize>,
        catalog: Option<Arc<dyn Catalog>>,
    ) -> Result<Advice, Rejection> {
        let limits = self.shared.limits.clone();
        let text = text.to_string();
        self.shared
            .pool
            .run(move |abandoned| advise::advise(&text, params, catalog.as_deref(), &limits, abandoned))
            .await
    }
}

/// A statement that may run, byte for byte as it came.
#[derive(Debug, Clone)]
pub struct CheckedQuery {
    text: String,
    placeholders: usize,
    relations: Vec<RelationName>,
}

impl CheckedQuery {
    /// The text that came, up to its trailing semicolon.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The highest `$n`; all from `$1` up to it stand in the text.
    pub fn placeholders(&self) -> usize {
        self.placeholders
    }

    /// The relations that it reads, sorted and distinct.
    pub fn relations(&self) -> &[RelationName] {
        &self.relations
    }

    /// The statement within a SELECT of ours, `SELECT … FROM (⏎text⏎) AS q(c1, …)`, whose columns are the statement's in order,
    /// each passed on as `columns` says. Clauses such as LIMIT may follow it.
    ///
    /// Nothing where the wrapper could change what the statement means; it has no columns, or more than 1,664.
    pub fn wrapped(&self, columns: &[WrappedColumn]) -> Option<String> {
        wrapper::wrap(&self.text, columns)
    }
}

/// Judges `text` for the server. To be called on a guard thread.
fn check(
    mut text: String,
    catalog: &dyn Catalog,
    limits: &Limits,
    abandoned: &Abandoned,
) -> Result<CheckedQuery, Rejection> {
    let parsed = parse::parse(&text, limits)?;
    let mut walk = Walk::new(&text, Mode::Final, Some(catalog), limits, abandoned);
    walk.statement(&parsed.statement)?;
    let placeholders = walk.placeholders.count(&text)?;
    let relations = walk.relations.into_keys().collect();
    text.truncate(parsed.end);
    Ok(CheckedQuery { text, placeholders, relations })
}
