//! Text in, a [`CheckedQuery`] or a [`Rejection`] out: PostgreSQL's own grammar decides what may run. No I/O, no database.

mod access;
mod advise;
mod catalog;
mod columns;
mod encoding;
mod expression;
mod fingerprint;
mod functions;
mod limits;
mod normalize;
mod operators;
mod parse;
mod placeholders;
mod policy;
mod pool;
mod rejection;
mod scope;
mod statement;
mod system;
mod types;
mod verdicts;
mod weight;
mod words;
mod wrapper;

use std::sync::Arc;
use std::time::Duration;

pub use access::Access;
pub use advise::Advice;
pub use catalog::{
    Catalog, Column, Function, FunctionRef, Hook, ObjectId, Operator, Planned, Relation, RelationName, TypeName,
    UserType, View, Volatility,
};
pub use columns::Restriction;
pub use limits::Limits;
pub use policy::{Pattern, PatternError, Policy};
pub use pool::IN_PLACE_STACK;
pub use rejection::Rejection;
pub use words::Words;
pub use wrapper::WrappedColumn;

use pool::{Abandoned, Pool};
use statement::{Mode, Walk};
use verdicts::Verdicts;

/// Longest that looking at a whole database for one caller may take.
const ACCESS_DEADLINE: Duration = Duration::from_secs(30);

/// Judges statements on threads of its own. Clones share the threads, which end with the last of them.
#[derive(Clone)]
pub struct Guard {
    shared: Arc<Shared>,
}

struct Shared {
    limits: Limits,
    pool: Pool,
    verdicts: Verdicts,
}

impl Guard {
    /// Starts the guard threads.
    ///
    /// # Panics
    /// Where the system gives no thread.
    pub fn new(limits: Limits) -> Self {
        let pool = Pool::new(&limits);
        Self { shared: Arc::new(Shared { limits, pool, verdicts: Verdicts::new() }) }
    }

    /// A database as one caller sees it: what each relation and column is to them under the policy. Every verdict wants one; it
    /// is made once for a catalog and a policy.
    ///
    /// # Errors
    /// SERVER_BUSY where too many others wait for the guard.
    pub async fn access(&self, catalog: Arc<dyn Catalog>, policy: Arc<Policy>) -> Result<Arc<Access>, Rejection> {
        let look = move |_: &Abandoned| {
            let access = Access::new(catalog, policy);
            access.look_at_all();
            Ok(Arc::new(access))
        };
        self.shared.pool.run_within(ACCESS_DEADLINE, look).await
    }

    /// The server's verdict, and the only way to a [`CheckedQuery`]: one statement that only reads, from relations and columns
    /// that the caller may see, through functions, operators and types that are surely harmless.
    ///
    /// # Errors
    /// What was refused, where, and what would pass. SERVER_BUSY where too many texts wait.
    pub async fn check(&self, text: &str, access: &Arc<Access>) -> Result<CheckedQuery, Rejection> {
        let Shared { limits, pool, verdicts } = self.shared.as_ref();
        if let Some(verdict) = verdicts.get(text, access.id()) {
            return verdict;
        }
        let verdict = match pool::is_safe_in_place(text) {
            true => check(text, access, limits, &Abandoned::default()),
            false => {
                let (text, access, limits) = (text.to_string(), Arc::clone(access), limits.clone());
                pool.run(move |abandoned| check(&text, &access, &limits, abandoned)).await
            }
        };
        verdicts.keep(text, access.id(), &verdict);
        verdict
    }

    /// `text` without the values that stand in it, for logs: literals become placeholders, comments go.
    ///
    /// # Errors
    /// Where it is too large or no SQL, as [`Self::check`]. SERVER_BUSY where too many texts wait.
    pub async fn normalize(&self, text: &str) -> Result<String, Rejection> {
        let limits = self.shared.limits.clone();
        let text = text.to_string();
        self.shared.pool.run(move |_| normalize::normalize(&text, &limits)).await
    }

    /// The same number, 16 hexadecimal digits, for statements that differ in white space, comments and literals alone.
    ///
    /// # Errors
    /// As [`Self::normalize`].
    pub async fn fingerprint(&self, text: &str) -> Result<String, Rejection> {
        let limits = self.shared.limits.clone();
        let text = text.to_string();
        self.shared.pool.run(move |_| fingerprint::fingerprint(&text, &limits)).await
    }

    /// That `text` is one expression, so that it can stand within parentheses without closing them. Whether it may run is another
    /// question: the statement around it is judged as any.
    ///
    /// # Errors
    /// INVALID_SQL where it is none; otherwise as [`Self::normalize`].
    pub async fn expression(&self, text: &str) -> Result<(), Rejection> {
        let limits = self.shared.limits.clone();
        let text = text.to_string();
        self.shared.pool.run(move |_| expression::expression(&text, &limits)).await
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
        self.shared.pool.run(move |abandoned| advise::advise(&text, params, catalog, &limits, abandoned)).await
    }
}

/// A statement that may run, byte for byte as it came.
#[derive(Debug, Clone)]
pub struct CheckedQuery {
    text: Arc<str>,
    placeholders: usize,
    relations: Arc<[RelationName]>,
    masked: Arc<[usize]>,
    fixed: Arc<[usize]>,
    outputs: Outputs,
    runs_user_code: bool,
    in_from: Arc<[ObjectId]>,
    is_ordered: bool,
}

/// What is known of the columns of a result, from the first on.
#[derive(Debug, Clone)]
struct Outputs {
    /// Their names, where PostgreSQL doesn't make them up.
    names: Arc<[Option<Arc<str>>]>,
    /// Whether there may be more.
    is_open: bool,
}

impl CheckedQuery {
    /// The text that came, up to its trailing semicolon.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// About how many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        let names = self
            .outputs
            .names
            .iter()
            .map(|name| size_of::<Option<Arc<str>>>() + name.as_ref().map_or(0, |name| name.len()));
        let relations = self.relations.iter().map(|of| size_of::<RelationName>() + of.schema.len() + of.name.len());
        let places =
            (self.masked.len() + self.fixed.len()) * size_of::<usize>() + self.in_from.len() * size_of::<ObjectId>();
        self.text.len() + names.sum::<usize>() + relations.sum::<usize>() + places
    }

    /// The highest `$n`; all from `$1` up to it stand in the text.
    pub fn placeholders(&self) -> usize {
        self.placeholders
    }

    /// The relations that it reads, sorted and distinct.
    pub fn relations(&self) -> &[RelationName] {
        &self.relations
    }

    /// The places of the output columns, from 0, whose values the caller may not see: `***` stands there for whatever isn't NULL.
    pub fn masked(&self) -> &[usize] {
        &self.masked
    }

    /// The places of the output columns, from 0, whose values may not be converted: to JSON, for example.
    pub fn fixed(&self) -> &[usize] {
        &self.fixed
    }

    /// How many columns the result has, where that is known.
    pub fn width(&self) -> Option<usize> {
        (!self.outputs.is_open).then_some(self.outputs.names.len())
    }

    /// Whether a result with columns of these names can be the one that was judged. It can't where a table has changed since its
    /// catalog was read: another column then stands where a masked one was.
    pub fn describes<'n>(&self, names: impl ExactSizeIterator<Item = &'n str>) -> bool {
        let Outputs { names: expected, is_open } = &self.outputs;
        let counts = if *is_open { names.len() >= expected.len() } else { names.len() == expected.len() };
        let is_same = |(at, (expected, name)): (usize, (&Option<Arc<str>>, &str))| {
            !self.masked.contains(&at) || expected.as_deref().is_none_or(|known| known == name)
        };
        counts && expected.iter().zip(names).enumerate().all(is_same)
    }

    /// Whether it may run functions of the database's own, by itself or behind what it reads, so that something could be left
    /// behind in its session.
    pub fn runs_user_code(&self) -> bool {
        self.runs_user_code
    }

    /// The database's own functions that stand in FROM: where they are written in SQL, its plan may be that of their bodies.
    pub fn functions_in_from(&self) -> &[ObjectId] {
        &self.in_from
    }

    /// Whether its rows come in an order that it asks for.
    pub fn is_ordered(&self) -> bool {
        self.is_ordered
    }

    /// The statement within a SELECT of ours, `SELECT … FROM (⏎text⏎) AS q(c1, …)`, whose columns are the statement's in order,
    /// each passed on as `columns` says. Clauses such as LIMIT may follow it.
    ///
    /// Nothing where the wrapper could change what the statement means; it has no columns, or more than 1,664.
    pub fn wrapped(&self, columns: &[WrappedColumn]) -> Option<String> {
        wrapper::wrap(&self.text, columns)
    }
}

/// Judges `text` for the server. To be called on a guard thread, or where the stack is known to hold.
fn check(text: &str, access: &Access, limits: &Limits, abandoned: &Abandoned) -> Result<CheckedQuery, Rejection> {
    let parsed = parse::parse(text, limits)?;
    if !access.catalog.is_utf8() {
        encoding::names_mean_the_same(text)?;
    }
    let mut walk = Walk::new(text, Mode::Final, Some(access), limits, abandoned);
    let output = walk.statement(&parsed.statement)?;
    let placeholders = walk.placeholders.count(text)?;
    let places = |restriction: Restriction| {
        let columns = output.known().iter().enumerate();
        columns.filter(move |(_, column)| column.restriction == restriction).map(|(at, _)| at).collect()
    };
    Ok(CheckedQuery {
        text: text[..parsed.end].into(),
        placeholders,
        relations: walk.relations.iter().cloned().collect(),
        masked: places(Restriction::Masked),
        fixed: places(Restriction::Fixed),
        outputs: Outputs {
            names: output.placed().iter().map(|column| column.name.clone()).collect(),
            is_open: output.is_open(),
        },
        runs_user_code: walk.runs_code.get(),
        in_from: walk.in_from.iter().copied().collect(),
        is_ordered: statement::is_ordered(&parsed.statement),
    })
}
