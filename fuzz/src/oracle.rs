//! PostgreSQL's own word on a statement that the guard let pass: what it reads, what it shows, and what it does.
//!
//! The statement runs as a superuser in two databases that differ in nothing but what the policy keeps secret. Whatever
//! differs in the results then, outside the places that are put out as `***`, is a leak. Every transaction is rolled back.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use harness::ThrowawayPostgres;
use sql_guard::CheckedQuery;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row, ValueRef};

use crate::rules::{Rules, Secrecy};
use crate::schema::{Column, Kind, Oid, Schema, quoted};
use crate::secrets::{SENTINEL, Side, disguise, rewrite};

/// Most rows of a result that are looked at.
const MAX_ROWS: usize = 500;

/// Longest that a statement may run.
const STATEMENT_TIMEOUT: &str = "400ms";

/// How often a difference must show again before it counts.
const REPEATS: usize = 4;

/// What a second look at the session and its transaction would find changed: rows written anywhere, numbers taken from
/// sequences, advisory locks, settings.
const EFFECTS: &str = "
    SELECT (SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_xact_all_tables)::text,
           (SELECT string_agg(sequencename || ' ' || coalesce(last_value, 0), ' ' ORDER BY sequencename) FROM pg_sequences),
           (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())::text,
           (SELECT md5(string_agg(name || '=' || coalesce(setting, ''), ' ' ORDER BY name)) FROM pg_settings),
           current_setting('app.tenant', true)";

/// Why a statement should not have passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It reads what the guard doesn't say that it reads.
    ReadsUnsaid(String),
    /// It reads what the policy hides.
    ReadsHidden(String),
    /// A secret stands in the result where no `***` would.
    ShowsSecret(String),
    /// What isn't masked in the result depends on secrets.
    DependsOnSecrets(String),
    /// It changed something.
    HasEffect(String),
    /// The result has another shape than the guard says.
    HasOtherShape(String),
}

/// What came of a statement that nothing is wrong with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It ran, and its rows were compared.
    Compared,
    /// PostgreSQL refused it, in both worlds alike.
    Refused,
    /// It takes too long or has too many rows to be compared.
    TooLarge,
    /// It says something else each time.
    Unsteady,
    /// It reads a view that changes something by being read, for which the view's owner answers.
    NotRun,
}

/// Sessions in three copies of one database: two of which are the same, and one whose secrets are others.
pub(crate) struct Oracle {
    left: World,
    right: World,
    /// What happens here happens on the left too, unless the statement itself is fickle.
    control: World,
    /// Where nothing is changed: it tells what statements read.
    reader: PgConnection,
    /// The columns that can be changed on both sides.
    changeable: BTreeSet<(Oid, String)>,
    /// Views that change something by being read, for which their owners answer.
    restless: BTreeSet<Oid>,
}

struct World {
    session: PgConnection,
    side: Side,
    effects: Option<String>,
}

/// What a session answered.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    Rows(Vec<Vec<Option<Vec<u8>>>>),
    Error { code: String, message: String },
}

impl Oracle {
    /// Over new databases made of these files; the first of them is there to make the guard's catalog of.
    pub(crate) async fn over(postgres: &ThrowawayPostgres, name: &str, files: &[&Path]) -> Result<(Self, Schema)> {
        postgres.create_database(name, files).await?;
        loosen(&mut postgres.superuser(name).await?).await.context("loosen the tables")?;
        // The last one for the sessions whose locks would be in the way.
        let copies = ["right", "control", "reader"].map(|copy| format!("{name}_{copy}"));
        let mut superuser = postgres.superuser("postgres").await?;
        for copy in &copies {
            run(&mut superuser, format!("CREATE DATABASE {copy} TEMPLATE {name}")).await?;
        }
        let mut reader = postgres.superuser(&copies[2]).await?;
        let schema = Schema::read(&mut reader).await?;
        let mut oracle = Self {
            left: World::new(postgres.superuser(name).await?, Side::Left).await?,
            right: World::new(postgres.superuser(&copies[0]).await?, Side::Right).await?,
            control: World::new(postgres.superuser(&copies[1]).await?, Side::Left).await?,
            reader,
            changeable: BTreeSet::new(),
            restless: BTreeSet::new(),
        };
        oracle.find_changeable(&schema).await?;
        oracle.find_restless(&schema).await?;
        Ok((oracle, schema))
    }

    async fn find_changeable(&mut self, schema: &Schema) -> Result<()> {
        let tables = schema.relations.iter().filter(|(_, relation)| relation.kind == Kind::Table);
        for (oid, relation) in tables {
            for column in &relation.columns {
                let mut is_changeable = true;
                for (world, secrecy) in [
                    (&mut self.left, Secrecy::Hidden),
                    (&mut self.right, Secrecy::Hidden),
                    (&mut self.control, Secrecy::Masked),
                ] {
                    let secrecy = |of: &Column| (of.name == column.name).then_some(secrecy);
                    let statements = rewrite(relation, secrecy, false, world.side);
                    run(&mut world.session, "BEGIN".to_owned()).await?;
                    is_changeable &= run(&mut world.session, statements.join(";")).await.is_ok();
                    run(&mut world.session, "ROLLBACK".to_owned()).await?;
                }
                if is_changeable {
                    self.changeable.insert((*oid, column.name.clone()));
                } else {
                    println!("stays as it is: {}.{}", relation.qualified(), quoted(&column.name));
                }
            }
        }
        Ok(())
    }

    async fn find_restless(&mut self, schema: &Schema) -> Result<()> {
        for (oid, relation) in schema.relations.iter().filter(|(_, relation)| relation.kind == Kind::View) {
            self.left.enter(&[]).await?;
            self.left.answer(&format!("SELECT * FROM {}", relation.qualified())).await?;
            if self.left.changed().await?.is_some() {
                println!("changes something by being read: {}", relation.qualified());
                self.restless.insert(*oid);
            }
        }
        run(&mut self.left.session, "ROLLBACK; SELECT pg_advisory_unlock_all()".to_owned()).await
    }

    /// Makes the worlds of a policy.
    pub(crate) async fn enter(&mut self, rules: &Rules, schema: &Schema) -> Result<()> {
        let mut secrets: BTreeMap<_, _> = rules.secrets(schema);
        let hidden: Vec<Oid> = schema.relations.keys().copied().filter(|oid| rules.hides(*oid, schema)).collect();
        let hidden: Vec<Oid> = hidden.into_iter().filter(|oid| secrets.keys().any(|(of, _)| of == oid)).collect();
        secrets.retain(|column, _| self.changeable.contains(column));
        for world in [&mut self.left, &mut self.right, &mut self.control] {
            world.enter(&disguise(schema, &secrets, &hidden, world.side)).await?;
        }
        Ok(())
    }

    /// Judges a statement that the guard let pass under the policy of the worlds.
    pub(crate) async fn judge(
        &mut self,
        query: &CheckedQuery,
        rules: &Rules,
        schema: &Schema,
    ) -> Result<std::result::Result<Outcome, Failure>> {
        if let Some(failure) = self.reads(query, rules, schema).await? {
            return Ok(Err(failure));
        }
        let read = query.relations().iter().filter_map(|of| Some(schema.find(&of.schema, &of.name)?.0));
        if read.flat_map(|oid| schema.with_read(oid)).any(|oid| self.restless.contains(&oid)) {
            return Ok(Ok(Outcome::NotRun));
        }
        let (left, right) = tokio::try_join!(self.left.answer(query.text()), self.right.answer(query.text()))?;
        if let Some(failure) = shape(query, &left).or_else(|| sentinel(query, &left)) {
            return Ok(Err(failure));
        }
        let (changed, _) = tokio::try_join!(self.left.changed(), self.right.changed())?;
        if let Some(failure) = changed {
            return Ok(Err(failure));
        }
        self.compared(query, &left, &right).await
    }

    /// What PostgreSQL notes as read by a routine that consists of the statement, as it would for a view. A routine has the
    /// advantage that its columns need neither names of their own nor types that a table can have.
    async fn reads(&mut self, query: &CheckedQuery, rules: &Rules, schema: &Schema) -> Result<Option<Failure>> {
        let routine = format!("BEGIN; CREATE PROCEDURE pg_temp.what_it_reads() BEGIN ATOMIC\n{}\n;END;", query.text());
        let is_made = run(&mut self.reader, routine).await.is_ok();
        let mut columns: Vec<(Oid, Option<String>)> = Vec::new();
        let mut relations: Vec<Oid> = Vec::new();
        if is_made {
            let dependencies = "SELECT d.refobjid::int8, a.attname::text FROM pg_depend AS d LEFT JOIN pg_attribute AS a \
                 ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid AND a.attnum > 0 \
                 WHERE d.classid = 'pg_proc'::regclass AND d.objid = 'pg_temp.what_it_reads'::regproc \
                 AND d.refclassid = 'pg_class'::regclass";
            for row in sqlx::query(dependencies).fetch_all(&mut self.reader).await? {
                columns.push((row.get(0), row.get(1)));
            }
            // What is read is named by the tree itself, PostgreSQL's own catalogs too.
            let tree = "SELECT DISTINCT m[1]::int8 FROM pg_proc, regexp_matches(prosqlbody::text, ':rtekind 0 :relid (\\d+) ', 'g') AS m \
                 WHERE oid = 'pg_temp.what_it_reads'::regproc";
            relations = sqlx::query_scalar(tree).fetch_all(&mut self.reader).await?;
        }
        run(&mut self.reader, "ROLLBACK".to_owned()).await?;
        // Dependencies on row types are no reads.
        columns.retain(|(oid, _)| relations.contains(oid));
        for oid in relations {
            let Some(relation) = schema.relations.get(&oid) else {
                let name =
                    query.relations().iter().any(|of| of.schema == "pg_catalog" && of.name.starts_with("pg_timezone_"));
                match name {
                    true => continue,
                    false => return Ok(Some(Failure::ReadsUnsaid(format!("a relation of PostgreSQL's own, {oid}")))),
                }
            };
            if !query.relations().iter().any(|of| of.schema == relation.schema && of.name == relation.name) {
                return Ok(Some(Failure::ReadsUnsaid(relation.qualified())));
            }
            if let Some(hidden) = rules.hidden_behind(oid, schema) {
                return Ok(Some(Failure::ReadsHidden(format!("{hidden} through {}", relation.qualified()))));
            }
        }
        for (oid, column) in columns {
            let (Some(column), Some(relation)) = (column, schema.relations.get(&oid)) else { continue };
            if rules.secrecy(oid, &column, schema) == Some(Secrecy::Hidden) {
                return Ok(Some(Failure::ReadsHidden(format!("{}.{}", relation.qualified(), quoted(&column)))));
            }
        }
        Ok(None)
    }

    async fn compared(
        &mut self,
        query: &CheckedQuery,
        left: &Answer,
        right: &Answer,
    ) -> Result<std::result::Result<Outcome, Failure>> {
        let text = query.text().to_lowercase();
        // Where a row lies and when it was written depends on its length; samples depend on where rows lie.
        let shows_places =
            ["ctid", "xmin", "xmax", "cmin", "cmax", "tablesample"].iter().any(|word| text.contains(word));
        match (left, right) {
            _ if shows_places => return Ok(Ok(Outcome::Unsteady)),
            (Answer::Error { code, .. }, _) | (_, Answer::Error { code, .. }) if code == "57014" => {
                return Ok(Ok(Outcome::TooLarge));
            }
            (Answer::Rows(rows), _) if rows.len() >= MAX_ROWS => return Ok(Ok(Outcome::TooLarge)),
            _ if is_same(&seen(query, left), &seen(query, right)) => {
                let is_refused = matches!(left, Answer::Error { .. });
                return Ok(Ok(if is_refused { Outcome::Refused } else { Outcome::Compared }));
            }
            _ => {}
        }
        // Statements that say something else each time do so in two equal worlds as well.
        for _ in 0..REPEATS {
            for world in [&mut self.left, &mut self.right, &mut self.control] {
                world.seed().await?;
            }
            let left = seen(query, &self.left.answer(query.text()).await?);
            let right = seen(query, &self.right.answer(query.text()).await?);
            let control = seen(query, &self.control.answer(query.text()).await?);
            if left != control || is_same(&left, &right) {
                return Ok(Ok(Outcome::Unsteady));
            }
        }
        let (left, right) = (seen(query, left), seen(query, right));
        Ok(Err(Failure::DependsOnSecrets(difference(&left, &right))))
    }
}

impl World {
    async fn new(mut session: PgConnection, side: Side) -> Result<Self> {
        // What order rows come in must not depend on how busy the machine is.
        run(
            &mut session,
            format!(
                "SET statement_timeout = '{STATEMENT_TIMEOUT}'; \
             SET max_parallel_workers_per_gather = 0; SET cursor_tuple_fraction = 1; SET client_min_messages = error"
            ),
        )
        .await?;
        Ok(Self { session, side, effects: None })
    }

    async fn enter(&mut self, statements: &[String]) -> Result<()> {
        run(&mut self.session, "ROLLBACK; BEGIN; SET LOCAL statement_timeout = '120s'; SELECT setseed(0.5)".to_owned())
            .await?;
        for statement in statements {
            run(&mut self.session, statement.clone()).await.with_context(|| statement.clone())?;
        }
        run(&mut self.session, format!("SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'; SAVEPOINT before"))
            .await?;
        self.effects = None;
        self.effects = self.look().await?;
        Ok(())
    }

    async fn seed(&mut self) -> Result<()> {
        run(&mut self.session, "ROLLBACK TO before; SELECT setseed(0.25)".to_owned()).await
    }

    /// The first rows of a statement, or its error. What it did is not undone yet.
    async fn answer(&mut self, text: &str) -> Result<Answer> {
        run(&mut self.session, "ROLLBACK TO before".to_owned()).await?;
        let sql = format!("DECLARE answer CURSOR FOR\n{text}\n;FETCH {MAX_ROWS} FROM answer");
        match sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut self.session).await {
            Ok(rows) => Ok(Answer::Rows(rows.iter().map(cells).collect::<Result<_>>()?)),
            Err(sqlx::Error::Database(error)) => {
                run(&mut self.session, "ROLLBACK TO before".to_owned()).await?;
                let code = error.code().unwrap_or_default().into_owned();
                Ok(Answer::Error { code, message: error.to_string() })
            }
            Err(error) => Err(error).with_context(|| text.to_owned()),
        }
    }

    async fn look(&mut self) -> Result<Option<String>> {
        let row = sqlx::raw_sql(EFFECTS).fetch_one(&mut self.session).await?;
        let cells =
            cells(&row)?.into_iter().map(|cell| String::from_utf8_lossy(&cell.unwrap_or_default()).into_owned());
        Ok(Some(cells.collect::<Vec<_>>().join(" | ")))
    }

    async fn changed(&mut self) -> Result<Option<Failure>> {
        let now = self.look().await?;
        if now == self.effects {
            return Ok(None);
        }
        let text = format!("{} -> {}", self.effects.clone().unwrap_or_default(), now.clone().unwrap_or_default());
        self.effects = now;
        Ok(Some(Failure::HasEffect(text)))
    }
}

/// Lets columns that PostgreSQL computes, numbers or compares with other tables' have values of ours.
async fn loosen(session: &mut PgConnection) -> Result<()> {
    let keys = "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) FROM pg_constraint \
                WHERE contype = 'f' AND conparentid = 0";
    let columns = "SELECT format('ALTER TABLE %s ALTER COLUMN %I %s', a.attrelid::regclass, a.attname, \
                   CASE WHEN a.attgenerated <> '' THEN 'DROP EXPRESSION' ELSE 'SET GENERATED BY DEFAULT' END) \
                   FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid \
                   WHERE c.relkind IN ('r', 'p') AND (a.attgenerated <> '' OR a.attidentity <> '') AND a.attinhcount = 0 \
                   AND NOT a.attisdropped";
    for list in [keys, columns] {
        for sql in sqlx::query_scalar::<_, String>(list).fetch_all(&mut *session).await? {
            run(session, sql).await?;
        }
    }
    Ok(())
}

/// Statements of the fuzzer's own, or ones that the guard has let pass.
async fn run(session: &mut PgConnection, sql: String) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(session).await?;
    Ok(())
}

fn cells(row: &PgRow) -> Result<Vec<Option<Vec<u8>>>> {
    let cell = |at| {
        let value = row.try_get_raw(at)?;
        Ok(if value.is_null() { None } else { Some(value.as_bytes().map_err(anyhow::Error::from_boxed)?.to_vec()) })
    };
    (0..row.len()).map(cell).collect()
}

/// What the caller would see: `***` where the guard says so, and rows in no order.
fn seen(query: &CheckedQuery, answer: &Answer) -> Answer {
    let Answer::Rows(rows) = answer else { return answer.clone() };
    let mut rows = rows.clone();
    for row in &mut rows {
        for at in query.masked() {
            if let Some(Some(cell)) = row.get_mut(*at) {
                *cell = b"***".to_vec();
            }
        }
    }
    rows.sort_unstable();
    Answer::Rows(rows)
}

/// Whether two answers are the same but for how floats were rounded: rows of another length may lie, and be added up, in another
/// order.
fn is_same(left: &Answer, right: &Answer) -> bool {
    match (left, right) {
        (Answer::Rows(left), Answer::Rows(right)) => left == right || rounded(left) == rounded(right),
        _ => left == right,
    }
}

/// Rows with every number in them that has a point told to ten digits, in order.
fn rounded(rows: &[Vec<Option<Vec<u8>>>]) -> Vec<Vec<Option<String>>> {
    let cell = |cell: &Vec<u8>| {
        let text = String::from_utf8_lossy(cell);
        let is_of_number = |character: char| character.is_ascii_digit() || matches!(character, '.' | '-' | '+' | 'e');
        let parts = text.split_inclusive(|character| !is_of_number(character));
        parts
            .map(|part| {
                let number = part.trim_end_matches(|character| !is_of_number(character));
                match number.parse::<f64>() {
                    Ok(value) if number.contains('.') => format!("{value:.9e}{}", &part[number.len()..]),
                    _ => part.to_owned(),
                }
            })
            .collect::<String>()
    };
    let mut rows: Vec<Vec<Option<String>>> =
        rows.iter().map(|row| row.iter().map(|value| value.as_ref().map(cell)).collect()).collect();
    rows.sort_unstable();
    rows
}

fn shape(query: &CheckedQuery, answer: &Answer) -> Option<Failure> {
    let Answer::Rows(rows) = answer else { return None };
    let width = rows.first()?.len();
    let is_told = query.width().is_none_or(|told| told == width) && query.masked().iter().all(|at| *at < width);
    (!is_told).then(|| {
        Failure::HasOtherShape(format!("{width} columns, not {:?}; masked are {:?}", query.width(), query.masked()))
    })
}

fn sentinel(query: &CheckedQuery, answer: &Answer) -> Option<Failure> {
    let has = |bytes: &[u8]| bytes.windows(SENTINEL.len()).any(|window| window == SENTINEL.as_bytes());
    match answer {
        Answer::Error { message, .. } => {
            has(message.as_bytes()).then(|| Failure::ShowsSecret(format!("in the error {message}")))
        }
        Answer::Rows(rows) => {
            let cells = rows.iter().flat_map(|row| row.iter().enumerate());
            let mut open = cells.filter(|(at, _)| !query.masked().contains(at));
            let (at, _) = open.find(|(_, cell)| cell.as_deref().is_some_and(has))?;
            Some(Failure::ShowsSecret(format!("in column {}; masked are {:?}", at + 1, query.masked())))
        }
    }
}

/// The first thing that is in one answer alone.
fn difference(left: &Answer, right: &Answer) -> String {
    let text = |row: &Vec<Option<Vec<u8>>>| {
        let cells = row.iter().map(|cell| cell.as_deref().map_or("NULL".into(), String::from_utf8_lossy));
        cells.collect::<Vec<_>>().join(" | ")
    };
    match (left, right) {
        (Answer::Rows(left), Answer::Rows(right)) => {
            let alone = |one: &[Vec<_>], other: &[Vec<_>]| one.iter().find(|row| !other.contains(row)).map(text);
            format!(
                "{} and {} rows; only in one world: {}; only in the other: {}",
                left.len(),
                right.len(),
                alone(left, right).unwrap_or_default(),
                alone(right, left).unwrap_or_default()
            )
        }
        _ => format!("{left:?} in one world, {right:?} in the other").chars().take(600).collect(),
    }
}

impl Failure {
    /// Whether another is of the same kind.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadsUnsaid(what) => write!(f, "it reads {what}, which the guard doesn't say"),
            Self::ReadsHidden(what) => write!(f, "it reads {what}, which is hidden"),
            Self::ShowsSecret(where_) => write!(f, "a secret shows {where_}"),
            Self::DependsOnSecrets(how) => write!(f, "what it shows depends on secrets: {how}"),
            Self::HasEffect(what) => write!(f, "it changes something: {what}"),
            Self::HasOtherShape(what) => write!(f, "its result has another shape: {what}"),
        }
    }
}
