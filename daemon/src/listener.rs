//! The port: accepts connections and serves HTTP on each, with a deadline for headers that `axum::serve` doesn't have, a bound
//! on their number, and a graceful end.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use metrics::gauge;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tracing::{debug, warn};

use crate::address::Peer;
use crate::silence::{Answer, Silences};
use crate::stall::Watched;
use crate::tls::ServerTls;

/// Longest that a client may take to send a request's headers.
const HEADER_LIMIT: Duration = Duration::from_secs(15);

/// Longest that a TLS handshake may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// Longest that a client may take nothing of what is sent to it. What it keeps in memory meanwhile is bounded elsewhere.
const STALL_LIMIT: Duration = Duration::from_secs(15);

/// Silence after which a connection may have to make room for another, where all places are taken.
const LEAST_SILENCE: Duration = Duration::from_millis(500);

/// How often it is looked for one while all places are taken.
const ROOM_WATCH: Duration = Duration::from_millis(50);

/// Pause after a failed accept, which mostly means that there are no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The port can't be bound.
#[derive(Debug, thiserror::Error)]
#[error("can't listen on {address} ({variables})")]
pub struct BindError {
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

/// How a port is served.
#[derive(Debug, Clone)]
pub struct Service {
    /// What answers.
    pub router: Router,
    /// What the port shows to prove who it is; plain HTTP without.
    pub tls: Option<ServerTls>,
    /// HTTP connections at once; upgraded ones no longer count. One more ends the one that has been silent for longest, or waits until
    /// there is one.
    pub max_connections: usize,
    /// Time that requests under way have after the stop.
    pub grace: Duration,
    /// Name of the gauge of open HTTP connections.
    pub gauge: &'static str,
}

impl Listener {
    /// Binds `address`; port 0 picks a free one. `variables` are the settings to name where that fails.
    ///
    /// # Errors
    /// [`BindError`] names the address and the variables.
    pub async fn bind(address: SocketAddr, variables: &'static str) -> Result<Self, BindError> {
        let refused = |source| BindError { address, variables, source };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, address })
    }

    /// The address that was bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then lets requests under way end within the grace and cuts the rest. Upgraded connections go
    /// their own way.
    pub async fn serve(self, service: Service, stop: CancellationToken) {
        let mut http = auto::Builder::new(TokioExecutor::new()).http1_only();
        http.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_LIMIT);
        let graceful = GracefulShutdown::new();
        let places = Arc::new(Semaphore::new(service.max_connections));
        let silences = Silences::default();
        let open = TaskTracker::new();
        let cut = CancellationToken::new();
        while let Some(accepted) = stop.run_until_cancelled(self.accept(&places, &silences)).await {
            let (socket, peer, place) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let voice = silences.voice();
            let (router, ended) = (service.router.clone(), voice.ended().clone());
            let answer = service_fn(move |mut request: Request<Incoming>| {
                let answering = voice.answering();
                request.extensions_mut().insert(Peer(peer));
                let answer = router.clone().oneshot(request);
                async move { answer.await.map(|answer| answer.map(|body| Answer::new(body, answering))) }
            });
            let (http, graceful, cut) = (http.clone(), graceful.watcher(), cut.clone());
            let (connections, tls) = (gauge!(service.gauge), service.tls.clone());
            let served = async move {
                let socket = open_socket(socket, tls).await?;
                let connection = http.serve_connection_with_upgrades(TokioIo::new(socket), answer).into_owned();
                graceful.watch(connection).await
            };
            open.spawn(async move {
                connections.increment(1);
                match cut.run_until_cancelled(ended.run_until_cancelled(served)).await {
                    Some(Some(Err(error))) => debug!(error, "an HTTP connection ended"),
                    Some(None) => debug!("a silent HTTP connection made room for another"),
                    _ => {}
                }
                connections.decrement(1);
                drop(place);
            });
        }
        drop(self.listener);
        open.close();
        if tokio::time::timeout(service.grace, graceful.shutdown()).await.is_err() {
            warn!(connections = open.len(), "{} HTTP connections did not end in time and are cut", open.len());
        }
        cut.cancel();
        open.wait().await;
    }

    /// The next connection, once there is a place for it.
    async fn accept(
        &self,
        places: &Arc<Semaphore>,
        silences: &Silences,
    ) -> std::io::Result<(TcpStream, IpAddr, OwnedSemaphorePermit)> {
        let (socket, peer) = self.listener.accept().await?;
        // Small answers must not wait for more data to come.
        socket.set_nodelay(true)?;
        if let Ok(place) = Arc::clone(places).try_acquire_owned() {
            return Ok((socket, peer.ip(), place));
        }
        loop {
            silences.end_longest(LEAST_SILENCE);
            let place = Arc::clone(places).acquire_owned();
            if let Ok(place) = tokio::time::timeout(ROOM_WATCH, place).await {
                return Ok((socket, peer.ip(), place.map_err(std::io::Error::other)?));
            }
        }
    }
}

/// A socket of either kind.
trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// The socket that HTTP is spoken on: the connection itself, or what TLS makes of it.
async fn open_socket(
    socket: TcpStream,
    tls: Option<ServerTls>,
) -> Result<Box<dyn Socket>, Box<dyn std::error::Error + Send + Sync>> {
    let socket = Watched::new(socket, STALL_LIMIT);
    let Some(tls) = tls else { return Ok(Box::new(socket)) };
    let accepted = tokio::time::timeout(HANDSHAKE_LIMIT, tls.acceptor().accept(socket)).await??;
    Ok(Box::new(accepted))
}
