//! A throwaway PostgreSQL: one cluster on loopback with a superuser and the reader role, gone with its folder when the
//! value is dropped or the process ends, however it ends.

mod installation;
mod supervisor;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::OnceCell;

use crate::{random_secret, repository_file};
use supervisor::Supervisor;
pub(crate) use supervisor::running_as_root;

/// Name of the small sample database that [`ThrowawayPostgres::load_shop`] makes.
pub const SHOP: &str = "db_pg_mcp_small";

/// Name of the least-privilege role that `fixtures/shop/reader.sql` makes.
pub const READER: &str = "pgmcp_reader";

/// A running cluster. Dropping it stops the server and deletes its folder.
pub struct ThrowawayPostgres {
    supervisor: Arc<Mutex<Supervisor>>,
    port: u16,
    superuser_password: String,
    reader_password: String,
}

impl ThrowawayPostgres {
    /// Makes and starts an empty cluster, as an unprivileged user when this process is root's. Takes one to two seconds.
    ///
    /// # Errors
    /// When PostgreSQL is neither installed nor to be downloaded, or doesn't start; the message has its last words.
    pub async fn start() -> Result<Self> {
        let programs = installation::find_or_download().await.context("find PostgreSQL's programs")?;
        let superuser_password = random_secret();
        let password = superuser_password.clone();
        let supervisor = tokio::task::spawn_blocking(move || Supervisor::start(&programs, &password)).await??;
        let port = supervisor.port();
        let supervisor = Arc::new(Mutex::new(supervisor));
        Ok(Self { supervisor, port, superuser_password, reader_password: random_secret() })
    }

    /// The port on 127.0.0.1 that it listens on, the same over [`Self::stop_server`] and [`Self::start_server`].
    pub fn port(&self) -> u16 {
        self.port
    }

    /// URL of a database for the superuser `postgres`.
    pub fn superuser_url(&self, database: &str) -> String {
        self.url("postgres", &self.superuser_password, database)
    }

    /// URL of a database for the reader role, which may do nothing but read.
    pub fn reader_url(&self, database: &str) -> String {
        self.url(READER, &self.reader_password, database)
    }

    /// It says that there is no TLS, whatever PGSSLMODE wants of other servers.
    fn url(&self, role: &str, password: &str, database: &str) -> String {
        format!("postgres://{role}:{password}@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// A new connection of the superuser to a database.
    ///
    /// # Errors
    /// When the server is stopped or the database doesn't exist.
    pub async fn superuser(&self, database: &str) -> Result<PgConnection> {
        let url = self.superuser_url(database);
        PgConnection::connect(&url).await.with_context(|| format!("connect to database {database}"))
    }

    /// Makes a database, runs the files in it as the superuser, and lets the reader role read what they made.
    ///
    /// # Errors
    /// When the name is taken, or a file can't be read or run; the message names it.
    pub async fn create_database(&self, name: &str, sql_files: &[&Path]) -> Result<()> {
        let mut postgres = self.superuser("postgres").await?;
        // One at a time: roles belong to the whole cluster, and two that change the same one fail. Held until the end.
        run(&mut postgres, "SELECT pg_advisory_lock(1)".to_owned()).await?;
        run(&mut postgres, format!("CREATE DATABASE {}", quote_identifier(name))).await?;
        let mut database = self.superuser(name).await?;
        let reader = repository_file("fixtures/shop/reader.sql");
        for file in sql_files.iter().copied().chain([reader.as_path()]) {
            let sql = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
            run(&mut database, sql).await.with_context(|| format!("run {}", file.display()))?;
        }
        run(&mut database, format!("ALTER ROLE {READER} PASSWORD '{}'", self.reader_password)).await?;
        Ok(())
    }

    /// Makes the database [`SHOP`] with the sample shop in it.
    ///
    /// # Errors
    /// When it is there already, or as [`Self::create_database`].
    pub async fn load_shop(&self) -> Result<()> {
        self.create_database(SHOP, &[&repository_file("fixtures/shop/shop.sql")]).await?;
        let mut database = self.superuser(SHOP).await?;
        run(&mut database, format!("COMMENT ON DATABASE {SHOP} IS 'A small online shop: users, products, orders'"))
            .await
    }

    /// Stops the server; its data stay. Connections are closed by it, as on an administrator's restart.
    ///
    /// # Errors
    /// When it doesn't stop in time.
    pub async fn stop_server(&self) -> Result<()> {
        self.supervise(Supervisor::stop).await
    }

    /// Starts the server again, on the same port and with the same data.
    ///
    /// # Errors
    /// When it doesn't start in time, for example because another program took the port.
    pub async fn start_server(&self) -> Result<()> {
        self.supervise(Supervisor::resume).await
    }

    async fn supervise(&self, step: fn(&mut Supervisor) -> Result<()>) -> Result<()> {
        let supervisor = Arc::clone(&self.supervisor);
        tokio::task::spawn_blocking(move || step(&mut supervisor.lock().unwrap_or_else(PoisonError::into_inner)))
            .await?
    }
}

/// One cluster per test process with the shop loaded and the reader role made: started by the first caller, gone when
/// the process ends. Tests that change data or stop the server start a cluster of their own instead.
///
/// # Panics
/// When it can't be started: no test that needs it could pass.
pub async fn shared_postgres() -> &'static ThrowawayPostgres {
    static SHARED: OnceCell<ThrowawayPostgres> = OnceCell::const_new();
    let started = SHARED.get_or_try_init(|| async {
        let postgres = ThrowawayPostgres::start().await?;
        postgres.load_shop().await?;
        anyhow::Ok(postgres)
    });
    match started.await {
        Ok(postgres) => postgres,
        Err(error) => panic!("the throwaway PostgreSQL of this test run: {error:#}"),
    }
}

async fn run(connection: &mut PgConnection, sql: String) -> Result<()> {
    // The files of this repository and of its data sets, and names that the tests give: nothing that a user typed.
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}

fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Where PostgreSQL's programs are.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Programs(PathBuf);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_shop_can_be_read_and_only_read_by_the_reader() {
        let postgres = shared_postgres().await;
        let mut reader = PgConnection::connect(&postgres.reader_url(SHOP)).await.unwrap();
        let orders: i64 = sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(&mut reader).await.unwrap();
        assert!(orders >= 1500, "{orders} orders");
        for refused in
            ["DELETE FROM orders", "CREATE TABLE t (a int)", "CREATE TEMP TABLE t (a int)", "CREATE SCHEMA s"]
        {
            let error = sqlx::query(refused).execute(&mut reader).await.expect_err(refused);
            let code =
                error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default().into_owned();
            assert_eq!(code, "42501", "{refused}: {error}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn totals_of_orders_agree_with_their_items() {
        let mut superuser = shared_postgres().await.superuser(SHOP).await.unwrap();
        let off: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM order_totals t JOIN orders o ON o.id = t.order_id \
             WHERE t.items_total - o.discount + o.shipping_fee <> o.total",
        )
        .fetch_one(&mut superuser)
        .await
        .unwrap();
        assert_eq!(off, 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn survives_a_stop_and_leaves_nothing_when_dropped() {
        let postgres = ThrowawayPostgres::start().await.unwrap();
        let mut connection = postgres.superuser("postgres").await.unwrap();
        let folder: String = sqlx::query_scalar("SHOW data_directory").fetch_one(&mut connection).await.unwrap();
        postgres.create_database("kept", &[]).await.unwrap();

        postgres.stop_server().await.unwrap();
        assert!(postgres.superuser("kept").await.is_err(), "answers although it is stopped");
        postgres.start_server().await.unwrap();
        postgres.superuser("kept").await.unwrap();

        let port = postgres.port();
        drop(postgres);
        assert!(!Path::new(&folder).exists(), "{folder} is left");
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err(), "port {port} still answers");
    }

    #[test]
    fn quotes_names_of_databases() {
        assert_eq!(quote_identifier(r#"a"b"#), r#""a""b""#);
    }
}
