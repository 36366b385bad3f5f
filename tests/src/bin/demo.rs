//! `make demo`: a throwaway PostgreSQL with the sample shop, both programs on it, one question asked, and then it stays
//! up until Ctrl-C. Nothing is left behind: no process, no port, no folder.

use std::collections::HashMap;
use std::env;
use std::fmt::{self, Display, Write as _};
use std::io::{self, IsTerminal, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use harness::process::Process;
use harness::{SHOP, ThrowawayPostgres, random_secret};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use shared_protocol::endpoint::{DEFAULT_HTTP_PORT, DEFAULT_WS_PORT, MCP_PATH};
use tokio::signal::unix::{SignalKind, signal};

const QUESTION: &str = "show last 5 users";
const NEXT_QUESTION: &str = "how many orders per status";

/// Widest column of the printed table, in characters.
const WIDEST_COLUMN: usize = 28;

/// Columns get no narrower than this to fit a terminal.
const NARROWEST_COLUMN: usize = 6;

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

/// What the environment says; everything else of it goes on to the programs as it is.
struct Settings {
    ws_port: Port,
    http_port: Port,
    api_key: String,
    key_is_generated: bool,
    /// What is said about the translator.
    translator: String,
    asks_a_model: bool,
}

impl Settings {
    fn from_env() -> Result<Self> {
        let given = |name: &str| env::var(name).ok().filter(|value| !value.trim().is_empty());
        let key = given("WS_API_KEY");
        let base_url = given("LLM_BASE_URL");
        let (asks_a_model, translator) = match given("TRANSLATOR").as_deref() {
            None | Some("auto") if given("LLM_API_KEY").is_none() && base_url.is_none() => {
                (false, "offline (set LLM_API_KEY or LLM_BASE_URL to use a language model)".to_owned())
            }
            Some("offline") => (false, "offline, as TRANSLATOR says".to_owned()),
            _ => (true, format!("language model at {}", base_url.as_deref().unwrap_or("OpenAI"))),
        };
        Ok(Self {
            ws_port: Port::reserve("WS_PORT", DEFAULT_WS_PORT)?,
            http_port: Port::reserve("HTTP_PORT", DEFAULT_HTTP_PORT)?,
            key_is_generated: key.is_none(),
            api_key: key.unwrap_or_else(random_secret),
            translator,
            asks_a_model,
        })
    }
}

/// A port that is kept from others until a program of ours takes it, so that of two demos the later one hears at once.
struct Port {
    number: u16,
    reserved: Option<TcpListener>,
}

impl Port {
    /// The port that a variable names, if it is free.
    fn reserve(variable: &str, default: u16) -> Result<Self> {
        let number = match env::var(variable).ok().filter(|value| !value.is_empty()) {
            None => default,
            Some(value) => {
                value.parse().with_context(|| format!("{variable} is {value:?}, not a port from 0 to 65535"))?
            }
        };
        match TcpListener::bind(("127.0.0.1", number)) {
            Ok(listener) => Ok(Self { number, reserved: Some(listener) }),
            Err(error) => bail!("port {number} can't be had ({error}): name another with make demo {variable}=…"),
        }
    }

    /// Lets it go, for the program that starts now.
    fn release(&mut self) -> String {
        self.reserved = None;
        self.number.to_string()
    }
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

/// The environment of a program: this one's, less what is meant for somebody's own set-up, and what the demo decides.
fn environment(decided: &[(&str, String)]) -> Vec<(String, String)> {
    let inherited = env::vars().filter(|(name, _)| !is_for_another_setup(name));
    let own = decided.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    inherited.chain([("LOG_FORMAT".to_owned(), "json".to_owned())]).chain(own).collect()
}

/// What would lead a program to another database, keep the demo's own questions out, or hide where a program listens.
fn is_for_another_setup(variable: &str) -> bool {
    let alone = ["DATABASE_URL", "AGENT_API_KEY", "HTTP_ALLOWED_HOSTS", "WS_ALLOWED_HOSTS", "LOG_LEVEL"];
    variable.starts_with("POSTGRES_") || variable.starts_with("PG") || alone.contains(&variable)
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

/// The part of an answer that is shown.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    sql: String,
    params: Vec<Value>,
    columns: Vec<Column>,
    /// Cells as they came: a number's digits are PostgreSQL's.
    rows: Vec<HashMap<String, Box<RawValue>>>,
    row_count: u64,
    execution_time_ms: f64,
    summary: Option<String>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
}

impl Answer {
    /// As text; the table is no wider than this if it can be helped.
    fn shown(&self, width: usize) -> String {
        let mut text = format!("SQL:         {}\n", self.sql);
        if !self.params.is_empty() {
            let _ = writeln!(text, "Parameters:  {}", Value::Array(self.params.clone()));
        }
        let header = self.columns.iter().map(|column| column.name.clone()).collect();
        let rows = self
            .rows
            .iter()
            .map(|row| self.columns.iter().map(|column| cell(row.get(&column.name).map(AsRef::as_ref))).collect());
        let table = table(&std::iter::once(header).chain(rows).collect::<Vec<_>>(), width);
        let summary = self.summary.as_deref().unwrap_or("");
        let _ = writeln!(text, "\n{table}\n{} rows in {:.1} ms. {summary}", self.row_count, self.execution_time_ms);
        text
    }
}

/// Text of a cell: strings without their quotes, all else as JSON writes it.
fn cell(value: Option<&RawValue>) -> String {
    let raw = value.map_or("", RawValue::get);
    serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned())
}

/// Lines of equal columns; the first row is the header.
fn table(rows: &[Vec<String>], width: usize) -> String {
    let widths = column_widths(rows, width);
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{:width$}", cut(cell, *width))).collect();
        let _ = writeln!(text, "  {}", cells.join("  ").trim_end());
        if number == 0 {
            let rules: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
            let _ = writeln!(text, "  {}", rules.join("  "));
        }
    }
    text
}

/// The widest column gives way first.
fn column_widths(rows: &[Vec<String>], width: usize) -> Vec<usize> {
    let columns = rows.first().map_or(0, Vec::len);
    let longest = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let mut widths: Vec<usize> = (0..columns).map(|column| longest(column).min(WIDEST_COLUMN)).collect();
    while widths.iter().map(|width| width + 2).sum::<usize>() > width
        && let Some(widest) = widths.iter_mut().max()
        && *widest > NARROWEST_COLUMN
    {
        *widest -= 1;
    }
    widths
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// How many characters fit a line of the terminal, where there is one.
fn terminal_width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    // `stty` asks about the terminal at its standard input.
    let size = Command::new("stty").arg("size").stdin(Stdio::inherit()).stderr(Stdio::null()).output().ok()?;
    let width = String::from_utf8_lossy(&size.stdout).split_whitespace().nth(1)?.parse().ok()?;
    (width > 0).then_some(width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_an_answer_with_its_digits() {
        let answer = r#"{"sql": "SELECT id, price, name FROM t LIMIT $1", "params": [2], "columns": [{"name": "id"}, {"name": "price"}, {"name": "name"}],
            "rows": [{"id": 7, "price": 1.10, "name": "Łukasz"}, {"id": 9223372036854775807, "price": null, "name": "a \"b\""}],
            "rowCount": 2, "executionTimeMs": 0.5, "summary": "Two rows."}"#;
        let shown = serde_json::from_str::<Answer>(answer).unwrap().shown(usize::MAX);
        let expected = "SQL:         SELECT id, price, name FROM t LIMIT $1\nParameters:  [2]\n\n\
            \x20 id                   price  name\n\
            \x20 ───────────────────  ─────  ──────\n\
            \x20 7                    1.10   Łukasz\n\
            \x20 9223372036854775807  null   a \"b\"\n\n\
            2 rows in 0.5 ms. Two rows.\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_table_fits_the_terminal() {
        let rows = [["id", "email", "created_at"], ["7", "someone@example.org", "2025-10-30T10:07:56+00:00"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        let shown = table(&rows, 40);
        let expected = "\x20 id  email             created_at\n\
            \x20 ──  ────────────────  ────────────────\n\
            \x20 7   someone@example…  2025-10-30T10:0…\n";
        assert_eq!(shown, expected);
        let lines = table(&rows, 0);
        assert_eq!(lines.lines().next(), Some("  id  email   creat…"), "it can't be narrower");
    }

    #[test]
    fn a_taken_port_names_the_variable() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let error = Port::reserve("NO_SUCH_PORT", taken.local_addr().unwrap().port()).err().unwrap().to_string();
        assert!(error.contains("make demo NO_SUCH_PORT=…"), "{error}");
    }

    #[test]
    fn a_port_is_kept_until_it_is_released() {
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let mut first = Port::reserve("NO_SUCH_PORT", free).unwrap();
        assert!(Port::reserve("NO_SUCH_PORT", free).is_err(), "two had port {free}");
        assert_eq!(first.release(), free.to_string());
        Port::reserve("NO_SUCH_PORT", free).unwrap();
    }

    #[test]
    fn what_is_meant_for_another_setup_stays_out() {
        for name in ["POSTGRES_HOST", "PGSSLMODE", "DATABASE_URL", "AGENT_API_KEY", "WS_ALLOWED_HOSTS", "LOG_LEVEL"] {
            assert!(is_for_another_setup(name), "{name}");
        }
        for name in ["LLM_API_KEY", "TRANSLATOR", "MAX_ROWS", "HTTPS_PROXY", "PATH"] {
            assert!(!is_for_another_setup(name), "{name}");
        }
    }
}
