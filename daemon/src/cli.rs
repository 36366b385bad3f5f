//! A program from its command line on: its work, or one of the two questions that either program answers besides: whether a
//! running one is ready, and what its settings are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::body::Body;
use http::Request;
use http::header::HOST;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::settings::{SettingsError, Source, Variable, reference};
use crate::tls::unverified;

/// Asks a running program whether it is ready.
const READY: &str = "ready";

/// Lists the settings.
const SETTINGS: &str = "settings";

/// Longest that a running program may take to say how it is.
const DEADLINE: Duration = Duration::from_secs(5);

/// Longest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// A subcommand of a program's own.
pub struct Job<C> {
    /// Its name and arguments, to which the flags of the program's variables are added.
    pub command: fn() -> clap::Command,
    /// Does it, with what stands behind it on the command line and the settings, which it may not need to be sound.
    pub run: fn(&clap::ArgMatches, Result<C, SettingsError>) -> anyhow::Result<ExitCode>,
}

/// A program as its command line sees it.
pub struct Program<C: 'static> {
    /// What it is called by.
    pub name: &'static str,
    /// Its command line, to which the flags of `variables` and the subcommands `ready` and `settings` are added.
    pub command: clap::Command,
    /// Its subcommands besides those.
    pub jobs: &'static [Job<C>],
    /// Its settings.
    pub variables: &'static [Variable],
    /// What makes its configuration of them.
    pub read: fn(Source) -> Result<C, SettingsError>,
    /// Where it listens, and whether with TLS.
    pub address: fn(&C) -> (SocketAddr, bool),
    /// Its work, until it is told to stop.
    pub serve: fn(C) -> anyhow::Result<()>,
}

impl<C: 'static> Program<C> {
    /// Does what the command line of this process asks for. The exit code is 0 where that went well, 2 where the settings are
    /// wrong, else 1; why is said on stderr. A command line that can't be read ends the process with clap's own message.
    pub fn run(self) -> ExitCode {
        let own = self.jobs.iter().map(|job| (job.command)());
        let source = Source::load(self.command.subcommands(subcommands()).subcommands(own), self.variables);
        let name = source.subcommand().map(str::to_owned);
        if name.as_deref() == Some(SETTINGS) {
            return settings(self.variables);
        }
        let arguments = source.arguments().cloned();
        let config = (self.read)(source);
        let job = self.jobs.iter().find(|job| Some((job.command)().get_name()) == name.as_deref());
        if let (Some(job), Some(arguments)) = (job, arguments) {
            return (job.run)(&arguments, config).unwrap_or_else(|error| {
                eprintln!("{}: {error:#}", self.name);
                ExitCode::from(2)
            });
        }
        let config = match config {
            Ok(config) => config,
            Err(problems) => {
                eprintln!("{}: {problems}", self.name);
                return ExitCode::from(2);
            }
        };
        if name.as_deref() == Some(READY) {
            let (address, is_tls) = (self.address)(&config);
            return ready(self.name, address, is_tls);
        }
        match (self.serve)(config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{}: {error:#}", self.name);
                ExitCode::FAILURE
            }
        }
    }
}

fn subcommands() -> [clap::Command; 2] {
    [
        clap::Command::new(READY).about(
            "Asks the running program's /ready: exit code 0 when it is, else 1. For health checks of containers",
        ),
        clap::Command::new(SETTINGS)
            .about("Prints every setting, its default and what it accepts, as a Markdown table"),
    ]
}

fn settings(variables: &[Variable]) -> ExitCode {
    print!("{}", reference(variables));
    ExitCode::SUCCESS
}

/// Asks `/ready` of the program that listens on `address` of this machine, and prints what it says: on stdout where it is
/// ready, else on stderr. Takes five seconds at most.
fn ready(program: &str, address: SocketAddr, is_tls: bool) -> ExitCode {
    let address = reachable(address);
    match look(address, is_tls) {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{program} on {address} is not ready: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Where this machine reaches what listens on `address`, which may be every address.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn look(address: SocketAddr, is_tls: bool) -> anyhow::Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?;
    runtime.block_on(async {
        let answer = tokio::time::timeout(DEADLINE, connect_and_ask(address, is_tls)).await;
        answer.unwrap_or_else(|_| bail!("it doesn't answer within {} s", DEADLINE.as_secs()))
    })
}

async fn connect_and_ask(address: SocketAddr, is_tls: bool) -> anyhow::Result<String> {
    let socket = TcpStream::connect(address).await.context("it can't be reached")?;
    if !is_tls {
        return ask(address, socket).await;
    }
    let tls = unverified::client()?.connect(address.ip().into(), socket).await.context("it doesn't speak TLS")?;
    ask(address, tls).await
}

async fn ask(
    address: SocketAddr,
    socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> anyhow::Result<String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.context("it doesn't speak HTTP")?;
    tokio::spawn(connection);
    let request = Request::get("/ready").header(HOST, address.to_string()).body(Body::empty())?;
    let response = sender.send_request(request).await.context("it doesn't speak HTTP")?;
    let status = response.status();
    let body = axum::body::to_bytes(Body::new(response.into_body()), MAX_ANSWER).await.context("read its answer")?;
    let said = String::from_utf8_lossy(&body).trim().to_owned();
    if status.is_success() { Ok(said) } else { bail!("{said}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_reached_over_loopback() {
        let check = |bound: &str, reached: &str| {
            assert_eq!(reachable(bound.parse().unwrap()).to_string(), reached, "{bound}");
        };
        check("0.0.0.0:1", "127.0.0.1:1");
        check("[::]:1", "[::1]:1");
        check("192.0.2.1:1", "192.0.2.1:1");
    }

    #[test]
    fn nothing_that_listens_is_not_ready() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = format!("{:#}", look(free, false).unwrap_err());
        assert!(error.starts_with("it can't be reached: "), "{error}");
    }
}
