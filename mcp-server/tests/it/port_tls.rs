//! TLS on the server's own port, for every network transport.

use std::process::Command;
use std::sync::Arc;

use harness::process::binary;
use harness::{McpServer, SHOP, ServerOptions, Until, shared_postgres};
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{Connector, connect_async_tls_with_config};

/// A certificate for 127.0.0.1 and its key, in files.
struct Identity {
    folder: TempDir,
    certificate: CertificateDer<'static>,
}

impl Identity {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
        std::fs::write(folder.path().join("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
        Self { folder, certificate: CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap() }
    }

    fn path(&self, file: &str) -> String {
        self.folder.path().join(file).to_str().unwrap().to_owned()
    }

    fn env(&self) -> [(&'static str, String); 2] {
        [("WS_TLS_CERT", self.path("cert.pem")), ("WS_TLS_KEY", self.path("key.pem"))]
    }

    /// What a client needs to know that it talks to the holder of the key.
    fn trusting(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
    }

    async fn server(&self) -> McpServer {
        let options = ServerOptions::new(shared_postgres().await.reader_url(SHOP)).until(Until::Listening);
        let options = self.env().into_iter().fold(options, |options, (name, value)| options.with_env(name, value));
        McpServer::start(options).await.unwrap()
    }
}

/// Everything that is answered to `request`, whose connection ends with it.
async fn ask(server: &McpServer, identity: &Identity, request: &str) -> String {
    let socket = TcpStream::connect(server.address).await.unwrap();
    let name = server.address.ip().into();
    let mut tls = TlsConnector::from(identity.trusting()).connect(name, socket).await.unwrap();
    tls.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // Whoever closes a connection that is to be closed may do so without a farewell.
    let _ = tls.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn every_transport_is_spoken_over_tls_and_none_without() {
    let identity = Identity::new();
    let server = identity.server().await;
    let key = server.api_key();

    let mut request = server.ws_url().replace("ws://", "wss://").into_client_request().unwrap();
    request.headers_mut().insert("x-api-key", key.parse().unwrap());
    let connector = Connector::Rustls(identity.trusting());
    connect_async_tls_with_config(request, None, false, Some(connector)).await.unwrap();

    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "it", "version": "1" } } })
    .to_string();
    let head = format!("Host: 127.0.0.1\r\nX-API-Key: {key}\r\nConnection: close\r\n");
    let post = format!(
        "POST /mcp HTTP/1.1\r\n{head}Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = ask(&server, &identity, &post).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("\"protocolVersion\":\"2025-11-25\""), "{answer}");

    let mut plain = TcpStream::connect(server.address).await.unwrap();
    plain.write_all(post.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
}

#[tokio::test]
async fn the_program_asks_itself_over_tls_too() {
    let identity = Identity::new();
    let mut server = identity.server().await;
    let ready = || {
        let mut command = Command::new(binary("mcp-server").unwrap());
        command.env_clear().current_dir(identity.folder.path()).arg("ready").envs(identity.env());
        command.env("WS_HOST", "127.0.0.1").env("WS_PORT", server.address.port().to_string());
        command.env("WS_API_KEY", server.api_key()).env("POSTGRES_USER", "nobody").output().unwrap()
    };
    let output = ready();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("\"status\":\"ok\""), "{said}");
    server.terminate().await.unwrap();
}

#[tokio::test]
async fn files_that_do_not_belong_together_stop_the_start() {
    let (identity, other) = (Identity::new(), Identity::new());
    let options = ServerOptions::new(shared_postgres().await.reader_url(SHOP));
    let options = options.with_env("WS_TLS_CERT", identity.path("cert.pem"));
    let said = McpServer::start(options.clone().with_env("WS_TLS_KEY", other.path("key.pem"))).await.err().unwrap();
    assert!(said.to_string().contains("don't belong together"), "{said}");
    let said = McpServer::start(options.with_env("WS_TLS_KEY", "/no/such/key.pem")).await.err().unwrap();
    assert!(said.to_string().contains("WS_TLS_KEY (/no/such/key.pem) can't be read"), "{said}");
}
