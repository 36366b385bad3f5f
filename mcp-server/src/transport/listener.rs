//! The port: accepts connections and serves HTTP on each, with a deadline for headers that `axum::serve` doesn't have.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Longest that a client may take to send its request's headers.
const HEADER_LIMIT: Duration = Duration::from_secs(10);

/// Pause after a failed accept, which mostly means that there are no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The port can't be bound.
#[derive(Debug, thiserror::Error)]
#[error("can't listen on {address} ({variables}): {source}")]
pub struct ListenerError {
    address: SocketAddr,
    variables: &'static str,
    source: std::io::Error,
}

/// A bound port.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds `host`:`port`; port 0 picks a free one.
    ///
    /// # Errors
    /// [`ListenerError`] names the address and the variables that set it.
    pub async fn bind(host: IpAddr, port: u16) -> Result<Self, ListenerError> {
        let wanted = SocketAddr::new(host, port);
        let refused = |source| ListenerError { address: wanted, variables: "WS_HOST, WS_PORT", source };
        let listener = TcpListener::bind(wanted).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, address })
    }

    /// The address that was bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `router` until `stop`; then ends the HTTP requests under way. Upgraded connections go their own way.
    pub async fn serve(self, router: Router, stop: CancellationToken) {
        let graceful = GracefulShutdown::new();
        loop {
            let (stream, peer) = tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
                () = stop.cancelled() => break,
            };
            serve_connection(stream, peer, router.clone(), &graceful);
        }
        drop(self.listener);
        graceful.shutdown().await;
    }
}

fn serve_connection(stream: TcpStream, peer: SocketAddr, router: Router, graceful: &GracefulShutdown) {
    // Small answers must not wait for more data to come.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%peer, %error, "TCP_NODELAY is not set");
    }
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_LIMIT);
    let service = TowerToHyperService::new(router);
    let connection = server.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            debug!(%peer, error, "connection ended");
        }
    });
}
