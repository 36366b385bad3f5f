//! TLS to PostgreSQL: what each POSTGRES_SSLMODE asks for, and what is said where the handshake fails.

use harness::{McpServer, SHOP, ServerOptions, ThrowawayPostgres, Until};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;

use crate::client::Client;

/// A PostgreSQL with a certificate for the address 127.0.0.1, and no name, of an authority of its own.
struct TlsPostgres {
    postgres: ThrowawayPostgres,
    /// The authority's certificate.
    authority: tempfile::NamedTempFile,
}

impl TlsPostgres {
    async fn start() -> Self {
        let postgres = ThrowawayPostgres::start().await.unwrap();
        postgres.load_shop().await.unwrap();

        let mut of_authority = CertificateParams::new([]).unwrap();
        of_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(of_authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let of_server = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let certificate = of_server.signed_by(&key, &authority).unwrap();

        // Written by PostgreSQL itself: the key must be its own user's, and closed to all others.
        let mut superuser = postgres.superuser("postgres").await.unwrap();
        let folder: String = sqlx::query_scalar("SHOW data_directory").fetch_one(&mut superuser).await.unwrap();
        for (file, pem) in [("server.crt", certificate.pem()), ("server.key", key.serialize_pem())] {
            let lines = format!("SELECT unnest(string_to_array('{pem}', chr(10)))");
            let copy = format!("COPY ({lines}) TO PROGRAM $$umask 077; cat > '{folder}/{file}'$$");
            sqlx::raw_sql(sqlx::AssertSqlSafe(copy)).execute(&mut superuser).await.unwrap();
        }
        sqlx::raw_sql("ALTER SYSTEM SET ssl = on").execute(&mut superuser).await.unwrap();
        drop(superuser);
        postgres.stop_server().await.unwrap();
        postgres.start_server().await.unwrap();

        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), authority.pem()).unwrap();
        Self { postgres, authority: file }
    }

    /// A server that connects to this host in this mode, with or without the authority to trust.
    async fn server(&self, host: &str, mode: &str, is_trusted: bool) -> McpServer {
        let url = self.postgres.reader_url(SHOP).replace("127.0.0.1", host);
        let options = ServerOptions::new(url).with_env("POSTGRES_SSLMODE", mode).until(Until::Listening);
        let authority = if is_trusted { self.authority.path().to_str().unwrap() } else { "" };
        McpServer::start(options.with_env("POSTGRES_SSLROOTCERT", authority)).await.unwrap()
    }
}

/// What `SELECT 1` answers: nothing where it ran, else the error.
async fn failure(server: &McpServer) -> Option<String> {
    let (content, is_error) = Client::open(server).await.run(json!({ "query": "SELECT 1 AS one" })).await;
    is_error.then_some(content)
}

#[tokio::test]
async fn each_mode_asks_for_what_it_says() {
    let tls = TlsPostgres::start().await;
    let passes = async |host, mode, is_trusted| {
        let server = tls.server(host, mode, is_trusted).await;
        assert_eq!(failure(&server).await, None, "{mode} to {host}: {}", server.logs());
    };
    passes("127.0.0.1", "disable", false).await;
    passes("127.0.0.1", "require", false).await;
    passes("localhost", "verify-ca", true).await;
    passes("127.0.0.1", "verify-full", true).await;

    let fails = async |host, mode, is_trusted| {
        let server = tls.server(host, mode, is_trusted).await;
        let said = failure(&server).await.expect("the handshake fails");
        assert!(said.contains("the TLS handshake with the database failed"), "{mode} to {host}: {said}");
        assert!(said.contains("Check POSTGRES_SSLMODE and POSTGRES_SSLROOTCERT."), "{mode} to {host}: {said}");
        let log = server.logs();
        assert!(log.contains("Check POSTGRES_SSLMODE and POSTGRES_SSLROOTCERT."), "{mode} to {host}: {log}");
    };
    fails("127.0.0.1", "verify-ca", false).await;
    fails("localhost", "verify-full", true).await;
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_wanted() {
    let postgres = harness::shared_postgres().await;
    let options = ServerOptions::new(postgres.reader_url(SHOP)).with_env("POSTGRES_SSLMODE", "require");
    let server = McpServer::start(options.until(Until::Listening)).await.unwrap();
    let said = failure(&server).await.expect("there is no TLS to be had");
    assert!(said.contains("Check POSTGRES_SSLMODE"), "{said}");
}
