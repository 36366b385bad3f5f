//! One statement from text to rows: prepare, bind, stream, cut.

use std::sync::Arc;
use std::time::Instant;

use chrono_tz::Tz;
use futures_util::StreamExt;
use serde_json::Value;
use shared_protocol::tool::run_sql::ResultColumn;
use sql_guard::{CheckedQuery, Restriction, WrappedColumn};
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArguments, PgColumn, PgRow, PgStatement};
use sqlx::{AssertSqlSafe, Column, Either, SqlSafeStr, SqlStr, Statement};
use tokio::task::consume_budget;

use super::cancel::{Stop, Stopped, settle};
use super::encode::{Decoder, RowEncoder, unique_names};
use super::limits::PageBudget;
use super::{Directory, ExecuteError, Explain, ResultMemory, RowSet, RunLimits, bind, describe, explain};
use crate::databases::{ConnectError, Database, Frame, Session};

/// Numbers from here on are those of the database's own objects.
const FIRST_USER_OID: u32 = 16_384;

/// Everything that one run needs.
pub(super) struct Job {
    pub(super) database: Arc<Database>,
    pub(super) query: CheckedQuery,
    /// What the statement stands in on its session.
    pub(super) frame: Frame,
    pub(super) params: Vec<Value>,
    pub(super) offset: u64,
    pub(super) explain: Option<Explain>,
    /// Whether what the planner expects may be told.
    pub(super) tells_estimates: bool,
    pub(super) limits: RunLimits,
    pub(super) memory: ResultMemory,
    pub(super) directory: Arc<dyn Directory>,
    pub(super) zone: Option<Tz>,
    pub(super) started: Instant,
}

/// A statement ready to run: its text, its parameters, and how each column is read.
struct Prepared {
    sql: SqlStr,
    /// Characters of our own before the caller's text, to be taken off error positions.
    lead: usize,
    arguments: PgArguments,
    columns: Vec<ResultColumn>,
    types: Vec<Option<u32>>,
    decoders: Vec<Decoder>,
}

impl Job {
    /// Runs to the end, the cap or the stop, and leaves `session` either marked broken or in order but for what is prepared there.
    pub(super) async fn run(&self, session: &mut Session, stop: &Stop) -> Result<RowSet, ExecuteError> {
        match self.framed(session, stop).await {
            Err(error) if error.is_worth_repeating() => {
                session.forget_statements().await;
                if session.is_broken() { Err(error) } else { self.framed(session, stop).await }
            }
            outcome => outcome,
        }
    }

    /// One try, with what has to stand around it. The way out is neither cancelled nor part of the statement's time: it has a
    /// second of its own.
    async fn framed(&self, session: &mut Session, stop: &Stop) -> Result<RowSet, ExecuteError> {
        stop.unless(self.begin(session)).await??;
        let outcome = self.stoppable(session, stop).await;
        session.end(&self.frame).await;
        outcome
    }

    /// Behind a pooler this waits for a backend.
    async fn begin(&self, session: &mut Session) -> Result<(), ExecuteError> {
        let limit = self.database.patience();
        match tokio::time::timeout(limit, session.begin(&self.frame)).await {
            Ok(begun) => begun.map_err(|error| match ExecuteError::from_sqlx(error) {
                lost if lost.is_connection_lost() => lost,
                // The caller's statement had no part in it.
                other => ExecuteError::Internal(anyhow::Error::new(other).context("begin the statement's transaction")),
            }),
            Err(_) => Err(ConnectError::TimedOut { limit }.into()),
        }
    }

    async fn stoppable(&self, session: &mut Session, stop: &Stop) -> Result<RowSet, ExecuteError> {
        let canceller = self.database.canceller();
        let outcome = stop.or_cancel(canceller, session.pid(), self.attempt(session, stop)).await;
        match outcome {
            Ok(result) => {
                if result.as_ref().is_err_and(ExecuteError::is_connection_lost) {
                    session.mark_broken();
                }
                result
            }
            Err(Stopped { reason, output }) => {
                if output.is_none() || session.settle().await.is_err() {
                    session.mark_broken();
                }
                match (reason, output) {
                    // What had come before the time was over.
                    (ExecuteError::TimedOut { .. }, Some(Ok(rows))) => Ok(rows),
                    (reason, _) => Err(reason),
                }
            }
        }
    }

    async fn attempt(&self, session: &mut Session, stop: &Stop) -> Result<RowSet, ExecuteError> {
        let mut prepared = self.prepare(session).await?;
        // A cancel that came while PostgreSQL only prepared would not stop what starts after it.
        stop.check()?;
        let lead = prepared.lead;
        let runs = self.explain.is_none_or(|explain| explain.analyze);
        if runs && !self.limits.cost.is_empty() {
            self.check_cost(&prepared, session).await?;
            stop.check()?;
        }
        let lead = match self.explain {
            None => lead,
            Some(explain) => {
                let before = explain.lead();
                let sql = AssertSqlSafe(format!("{before}{}", self.query.text())).into_sql_str();
                let columns = vec![ResultColumn { name: "plan".to_owned(), r#type: "json".to_owned(), masked: false }];
                prepared = Prepared { sql, columns, types: vec![None], decoders: vec![Decoder::Json], ..prepared };
                before.len()
            }
        };
        self.stream(prepared, session, stop).await.map_err(|error| without_lead(error, lead))
    }

    /// Compares what the planner expects of the statement, with the same parameters, with the limits.
    async fn check_cost(&self, prepared: &Prepared, session: &mut Session) -> Result<(), ExecuteError> {
        let named = self.query.relations();
        let lead = prepared.lead + explain::LEAD.len();
        explain::check(
            session.connection(),
            prepared.sql.as_str(),
            prepared.arguments.clone(),
            &self.limits.cost,
            named,
        )
        .await
        .map_err(|error| without_lead(if self.tells_estimates { error } else { error.without_estimate() }, lead))
    }

    /// Asks PostgreSQL for the types, binds by them, and puts the wrapper around where a column has no decoder of ours.
    async fn prepare(&self, session: &mut Session) -> Result<Prepared, ExecuteError> {
        let text = self.query.text();
        let plain = AssertSqlSafe(text.to_owned()).into_sql_str();
        match session.prepare(plain.clone()).await {
            Ok(statement) => {
                let columns = statement.columns().iter();
                self.must_be_as_judged(columns.clone().map(Column::name))?;
                self.must_be_masked_where_they_come_from(statement.columns())?;
                let found: Vec<Option<Decoder>> =
                    columns.clone().map(|column| Decoder::of(column.type_info())).collect();
                let types = columns.clone().map(|column| column.type_info().oid().map(|Oid(oid)| oid)).collect();
                let columns = self.columns(columns.map(|column| (column.name(), column.type_info().oid())));
                if self.offset == 0
                    && let Some(decoders) = found.iter().copied().collect()
                {
                    let arguments = self.arguments(&statement)?;
                    return Ok(Prepared { sql: plain, lead: 0, arguments, columns, types, decoders });
                }
                self.wrap(session, &found, columns, types).await
            }
            Err(error) if describe::is_needed(&error) => {
                let described = describe::columns(session.connection(), text, self.query.placeholders()).await?;
                self.must_be_as_judged(described.iter().map(|column| column.name.as_str()))?;
                let found: Vec<Option<Decoder>> =
                    described.iter().map(|column| column.oid.and_then(Decoder::of_oid)).collect();
                let types = described.iter().map(|column| column.oid).collect();
                let columns = self.columns(described.iter().map(|column| (column.name.as_str(), column.oid.map(Oid))));
                self.wrap(session, &found, columns, types).await
            }
            Err(error) => Err(ExecuteError::from_sqlx(error)),
        }
    }

    /// The statement within the wrapper, which reads columns without a decoder as `to_json(cN)`, and leaves out the rows of the pages
    /// before.
    async fn wrap(
        &self,
        session: &mut Session,
        found: &[Option<Decoder>],
        columns: Vec<ResultColumn>,
        types: Vec<Option<u32>>,
    ) -> Result<Prepared, ExecuteError> {
        let read = |(at, decoder): (usize, &Option<Decoder>)| match decoder {
            Some(_) => WrappedColumn::Plain,
            None if self.query.fixed().contains(&at) => WrappedColumn::Text,
            None => WrappedColumn::ToJson,
        };
        let read: Vec<WrappedColumn> = found.iter().enumerate().map(read).collect();
        let Some(mut wrapped) = self.query.wrapped(&read) else {
            let Some(column) = found.iter().position(Option::is_none).and_then(|at| columns.get(at)) else {
                return Err(ExecuteError::NoPages);
            };
            return Err(ExecuteError::Unreadable { column: column.name.clone(), type_name: column.r#type.clone() });
        };
        if self.offset > 0 {
            // One row more than the page holds shows that there is another page.
            let most = self.limits.max_rows.saturating_add(1);
            wrapped.push_str(&format!(" LIMIT {most} OFFSET {}", self.offset));
        }
        let lead = wrapped.find(self.query.text()).map_or(0, |at| wrapped[..at].chars().count());
        let sql = AssertSqlSafe(wrapped).into_sql_str();
        let prepared = session.prepare(sql.clone()).await;
        let statement = prepared.map_err(|error| match describe::is_needed(&error) {
            true => ExecuteError::UnknownParameterType,
            false => without_lead(ExecuteError::from_sqlx(error), lead),
        })?;
        let decoder = |(found, read): (&Option<Decoder>, &WrappedColumn)| {
            found.unwrap_or(if *read == WrappedColumn::Text { Decoder::Text } else { Decoder::Json })
        };
        let decoders = found.iter().zip(&read).map(decoder).collect();
        Ok(Prepared { arguments: self.arguments(&statement)?, sql, lead, columns, types, decoders })
    }

    /// Refuses a result that isn't the one that was judged: the places of masked columns would be others'.
    fn must_be_as_judged<'n>(&self, names: impl ExactSizeIterator<Item = &'n str>) -> Result<(), ExecuteError> {
        if self.query.describes(names) { Ok(()) } else { Err(ExecuteError::StaleCatalog) }
    }

    /// The second net for masks: where PostgreSQL itself says from which table's column an output column comes, the guard must have
    /// said the same of its restriction. PostgreSQL says it for values that are put out unchanged.
    fn must_be_masked_where_they_come_from(&self, columns: &[PgColumn]) -> Result<(), ExecuteError> {
        for (at, column) in columns.iter().enumerate() {
            let (Some(Oid(relation)), Some(number)) = (column.relation_id(), column.relation_attribute_no()) else {
                continue;
            };
            // System catalogs and system columns hold nothing that a policy could name.
            if relation < FIRST_USER_OID || number < 0 {
                continue;
            }
            let is_as_judged = match self.directory.restriction(relation, number) {
                Some(Restriction::Free | Restriction::Fixed) => true,
                Some(Restriction::Masked) => self.query.masked().contains(&at),
                Some(Restriction::Hidden) | None => false,
            };
            if !is_as_judged {
                return Err(ExecuteError::StaleCatalog);
            }
        }
        Ok(())
    }

    fn arguments(&self, statement: &PgStatement) -> Result<PgArguments, ExecuteError> {
        let types = match statement.parameters() {
            Some(Either::Left(types)) => types,
            _ => &[],
        };
        if types.len() != self.params.len() {
            return Err(ExecuteError::ParameterCount { expected: types.len(), given: self.params.len() });
        }
        bind::arguments(&self.params, types, self.directory.as_ref(), self.zone)
    }

    fn columns<'a>(&self, columns: impl Iterator<Item = (&'a str, Option<Oid>)> + Clone) -> Vec<ResultColumn> {
        let names = unique_names(columns.clone().map(|(name, _)| name));
        let type_name = |oid: Option<Oid>| {
            oid.and_then(|Oid(oid)| self.directory.type_name(oid)).unwrap_or_else(|| "unknown".to_owned())
        };
        let columns = names.into_iter().zip(columns).enumerate();
        let column = |(at, (name, (_, oid)))| ResultColumn {
            name,
            r#type: type_name(oid),
            masked: self.query.masked().contains(&at),
        };
        columns.map(column).collect()
    }

    /// Streams the rows into one JSON array, each encoded once, and cuts at the first cap.
    async fn stream(&self, prepared: Prepared, session: &mut Session, stop: &Stop) -> Result<RowSet, ExecuteError> {
        let Prepared { sql, arguments, columns, types, decoders, .. } = prepared;
        let budget = PageBudget::new(self.limits.page, &columns);
        let mut page = Page::new(RowEncoder::new(&columns, decoders), budget, self.limits, self.offset);
        let pid = session.pid();
        let most = self.limits.page.bytes;
        let mut reservation = stop.unless(self.memory.begin(most)).await??;

        let (end, is_settled) = {
            let mut rows = sqlx::query_with(sql, arguments).fetch(session.connection());
            let end = loop {
                let Some(row) = rows.next().await else { break End::Complete };
                // Rows that are there already would otherwise keep the clock and the caller's cancel from being looked at.
                consume_budget().await;
                let row = match row.map_err(ExecuteError::from_sqlx) {
                    Ok(row) => row,
                    // The error that our own cancel gave, when the time was over.
                    Err(_) if page.row_count > 0 && matches!(stop.check(), Err(ExecuteError::TimedOut { .. })) => {
                        break End::TimedOut { has_ended: true };
                    }
                    Err(error) => return Err(error),
                };
                match page.take(&row) {
                    Ok(true) => {
                        let covered = self.memory.cover(&mut reservation, page.budget.used(), most);
                        match stop.unless(covered).await.and_then(|covered| covered.map_err(Into::into)) {
                            Ok(()) => {}
                            Err(ExecuteError::TimedOut { .. }) => break End::TimedOut { has_ended: false },
                            Err(error) => break End::Failed(error),
                        }
                    }
                    Ok(false) => break End::Cut,
                    Err(error) => break End::Failed(error),
                }
            };
            let is_settled = match end {
                End::Complete | End::TimedOut { has_ended: true } => true,
                // The end, or the error that the cancel gives: sqlx reads on to the end of the answer before the next use.
                _ => {
                    let rest = async {
                        while let Some(Ok(_)) = rows.next().await {
                            consume_budget().await;
                        }
                    };
                    settle(self.database.canceller(), pid, rest).await.is_some()
                }
            };
            (end, is_settled)
        };
        if !is_settled
            || (!matches!(end, End::Complete | End::TimedOut { has_ended: true }) && session.settle().await.is_err())
        {
            session.mark_broken();
        }
        let (truncated, timed_out) = match end {
            End::Complete => (false, false),
            End::Cut => (true, false),
            End::TimedOut { .. } => (true, true),
            End::Failed(error) => return Err(error),
        };
        reservation.settle(page.budget.used());
        let (json, row_count) = page.finish()?;
        let elapsed = self.started.elapsed();
        Ok(RowSet { json, row_count, columns, types, truncated, timed_out, elapsed, memory: reservation })
    }
}

/// How the rows came to their end.
enum End {
    /// All were taken.
    Complete,
    /// A cap left some out.
    Cut,
    /// The time was over while they came; the statement has ended if its cancel has been told of already.
    TimedOut { has_ended: bool },
    /// One couldn't be written.
    Failed(ExecuteError),
}

/// The rows of one page as they come.
struct Page {
    encoder: RowEncoder,
    budget: PageBudget,
    limits: RunLimits,
    json: Vec<u8>,
    row: Vec<u8>,
    row_count: u64,
    /// Rows of the pages before.
    offset: u64,
}

impl Page {
    fn new(encoder: RowEncoder, budget: PageBudget, limits: RunLimits, offset: u64) -> Self {
        Self { encoder, budget, limits, json: vec![b'['], row: Vec::new(), row_count: 0, offset }
    }

    /// Takes `row`, or says that a cap is reached.
    fn take(&mut self, row: &PgRow) -> Result<bool, ExecuteError> {
        if self.row_count == self.limits.max_rows {
            return Ok(false);
        }
        self.row.clear();
        let fits = self.encoder.encode(row, self.limits.page.bytes, &mut self.row)? && self.budget.take(&self.row);
        if !fits {
            return match self.row_count {
                0 => Err(ExecuteError::RowTooLarge { row: self.offset + 1, limit: self.limits.page.bytes }),
                _ => Ok(false),
            };
        }
        if self.row_count > 0 {
            self.json.push(b',');
        }
        self.json.extend_from_slice(&self.row);
        self.row_count += 1;
        Ok(true)
    }

    fn finish(mut self) -> Result<(String, u64), ExecuteError> {
        self.json.push(b']');
        let json = String::from_utf8(self.json).map_err(|error| ExecuteError::Internal(error.into()))?;
        Ok((json, self.row_count))
    }
}

/// `error` with its position counted in the caller's text, not in the wrapper.
fn without_lead(error: ExecuteError, lead: usize) -> ExecuteError {
    let ExecuteError::Database(mut fault) = error else { return error };
    fault.position = fault.position.and_then(|position| position.checked_sub(lead)).filter(|position| *position > 0);
    ExecuteError::Database(fault)
}
