//! `make demo`: a throwaway PostgreSQL with the sample shop, both programs on it, one question asked, and then it stays
//! up until Ctrl-C. Nothing is left behind: no process, no port, no folder.

mod answer;
mod settings;

use std::fmt::{self, Display};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use harness::process::Process;
use harness::{SHOP, ThrowawayPostgres};
use serde_json::json;
use shared_protocol::endpoint::MCP_PATH;
use tokio::signal::unix::{SignalKind, signal};

use self::answer::{Answer, terminal_width};
use self::settings::{Settings, environment};

const QUESTION: &str = "show last 5 users";
const NEXT_QUESTION: &str = "how many orders per status";

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = run().await;
    harness::clean_up();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Unheard>() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    // Keys may stand in .env, as for the programs themselves; what is in the environment already wins.
    if let Err(error) = dotenvy::dotenv()
        && !error.not_found()
    {
        bail!(".env: {error}");
    }
    let mut settings = Settings::from_env()?;
    let stopped = stop_signal()?;
    tokio::pin!(stopped);

    let mut demo = tokio::select! {
        demo = Demo::start(&mut settings) => demo?,
        () = &mut stopped => return Ok(()),
    };
    let outcome = tokio::select! {
        outcome = demo.serve(&settings) => outcome,
        () = &mut stopped => Ok(()),
    };
    demo.stop().await?;
    outcome
}

/// Ends with the first signal that asks the demo to stop. Listened for from the start, so that set-up is undone too.
fn stop_signal() -> Result<impl Future<Output = ()>> {
    let mut signals = Vec::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        signals.push(signal(kind).context("listen for signals")?);
    }
    Ok(async move {
        std::future::poll_fn(|context| {
            let stopped = signals.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
            if stopped { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    })
}

struct Demo {
    agent: Process,
    server: Process,
    postgres: ThrowawayPostgres,
    server_address: SocketAddr,
    agent_address: SocketAddr,
}

impl Demo {
    async fn start(settings: &mut Settings) -> Result<Self> {
        let begun = Instant::now();
        say("Starting a throwaway PostgreSQL with the sample shop …")?;
        let postgres = ThrowawayPostgres::start().await?;
        postgres.load_shop().await.context("load the sample shop")?;

        say("Starting mcp-server and agent …")?;
        let mut server = Process::start(
            "mcp-server",
            &environment(&[
                ("DATABASE_URL", postgres.reader_url(SHOP)),
                ("POSTGRES_SSLMODE", "disable".to_owned()),
                ("WS_HOST", "127.0.0.1".to_owned()),
                ("WS_PORT", settings.ws_port.release()),
                ("WS_API_KEY", settings.api_key.clone()),
            ]),
        )?;
        let server_address = server.listening().await?;
        let mut agent = Process::start(
            "agent",
            &environment(&[
                ("WS_URL", format!("ws://{server_address}{MCP_PATH}")),
                ("WS_API_KEY", settings.api_key.clone()),
                ("HTTP_HOST", "127.0.0.1".to_owned()),
                ("HTTP_PORT", settings.http_port.release()),
            ]),
        )?;
        let agent_address = agent.listening().await?;
        server.answers(&format!("http://{server_address}/ready")).await?;
        if settings.asks_a_model {
            let patience = harness::PATIENCE.as_secs();
            say(format_args!(
                "Waiting for the {}, {patience} s at most (TRANSLATOR=offline does without) …",
                settings.translator
            ))?;
        }
        agent.answers(&format!("http://{agent_address}/ready")).await?;
        say(format_args!("Ready after {:.1} s.\n", begun.elapsed().as_secs_f64()))?;
        Ok(Self { agent, server, postgres, server_address, agent_address })
    }

    /// Asks the question, prints what to try next, and stays until one of the programs dies.
    async fn serve(&mut self, settings: &Settings) -> Result<()> {
        say(format_args!("Question:    {QUESTION}\nTranslator:  {}", settings.translator))?;
        say(self.ask(QUESTION).await?)?;

        let body = json!({"question": NEXT_QUESTION});
        say("Try next:\n")?;
        say(format_args!(
            "  curl -s http://{}/query -H 'content-type: application/json' -d '{body}'\n",
            self.agent_address
        ))?;
        say(format_args!("MCP over WebSocket: ws://{}{MCP_PATH}", self.server_address))?;
        if settings.key_is_generated {
            say(format_args!("Key of this run:    X-API-Key: {}", settings.api_key))?;
        }
        say("\nCtrl-C ends it and leaves nothing behind.")?;
        loop {
            for (name, program) in [("mcp-server", &mut self.server), ("agent", &mut self.agent)] {
                if let Some(status) = program.exited()? {
                    bail!("{name} died ({status}). The last that it logged:\n{}", program.last_logs(20));
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn ask(&self, question: &str) -> Result<String> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let url = format!("http://{}/query", self.agent_address);
        let body = json!({"question": question}).to_string();
        let request = client.post(url).header("content-type", "application/json").body(body);
        let response = request.send().await.context("ask the agent")?;
        let status = response.status();
        let text = response.text().await.context("read the agent's answer")?;
        if !status.is_success() {
            bail!("the agent answered {status}: {text}");
        }
        let answer: Answer = serde_json::from_str(&text).with_context(|| format!("understand the answer {text}"))?;
        Ok(answer.shown(terminal_width().unwrap_or(usize::MAX)))
    }

    /// Ends everything from the top down, so that each tier can finish what the one above asked for.
    async fn stop(mut self) -> Result<()> {
        let _ = say("\nStopping …");
        self.agent.terminate().await?;
        self.server.terminate().await?;
        tokio::task::spawn_blocking(move || drop(self.postgres)).await?;
        Ok(())
    }
}

/// Prints a line.
fn say(line: impl Display) -> Result<()> {
    Ok(writeln!(io::stdout(), "{line}").map_err(|_| Unheard)?)
}

/// Whoever read the output has gone (`make demo | head`): a reason to stop, and no failure.
#[derive(Debug)]
struct Unheard;

impl Display for Unheard {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("nobody reads the output any more")
    }
}

impl std::error::Error for Unheard {}
