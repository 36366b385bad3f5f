//! stdio: the client that started this process, a line a message. Nothing but protocol goes to stdout.
//!
//! Both pipes have threads of their own, which no runtime waits for: a read of stdin ends only when somebody writes there.

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use daemon::keys::Principal;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::connection::{self, Arrival, Ending, Terms};
use super::incoming::{self, Fault};
use super::outgoing::{self, Outgoing};
use crate::config::STDIO_KEY;
use crate::mcp::host::Host;

/// Lines that may have been read and not taken up; more stay in the pipe.
const READ_AHEAD: usize = 4;

/// Longest that the last answers may take to leave.
const FAREWELL: Duration = Duration::from_millis(250);

/// Serves the process at the other end of stdin and stdout until stdin ends or `kill` fires. What runs then is cancelled.
///
/// # Errors
/// Where the operating system starts no more threads.
pub async fn serve(host: impl Host, max_message_bytes: usize, kill: &CancellationToken) -> std::io::Result<()> {
    let gone = kill.child_token();
    let (arrived, arrivals) = mpsc::channel(READ_AHEAD);
    thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        read_lines(std::io::stdin().lock(), max_message_bytes, |arrival| arrived.blocking_send(arrival).is_ok());
    })?;
    let (outbox, messages) = outgoing::queue();
    let (written, writer) = tokio::sync::oneshot::channel();
    let closed = gone.clone();
    thread::Builder::new().name("stdout".to_owned()).spawn(move || {
        // Where nobody reads any more, nobody is told either.
        let _ = write_lines(std::io::stdout().lock(), messages);
        closed.cancel();
        let _ = written.send(());
    })?;
    let principal = Principal { name: Arc::from(STDIO_KEY) };
    let terms = Terms {
        max_in_flight: host.max_in_flight(&principal),
        principal,
        // Whoever started the process may take their time: they keep nobody else out.
        opening_limit: None,
        idle_limit: None,
        draining: CancellationToken::new(),
        gone,
        ending: Ending::default(),
    };
    connection::serve(&host, terms, arrivals, outbox).await;
    let _ = tokio::time::timeout(FAREWELL, writer).await;
    Ok(())
}

/// Hands over what stands on each line until there are no more, or nobody takes them. No more than `limit` bytes of a line are kept.
fn read_lines(mut input: impl BufRead, limit: usize, mut take: impl FnMut(Arrival) -> bool) {
    let mut line = Vec::new();
    let mut is_over = false;
    while let Ok(chunk) = input.fill_buf() {
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let part = &chunk[..end.unwrap_or(chunk.len())];
        let consumed = part.len() + usize::from(end.is_some());
        is_over |= line.len() + part.len() > limit;
        match is_over {
            true => line = Vec::new(),
            false => line.extend_from_slice(part),
        }
        let is_last = chunk.is_empty();
        input.consume(consumed);
        if end.is_some() || is_last {
            let arrival = match is_over {
                true => Some(Arrival::Message(Err(Fault::too_long(limit)))),
                false => arrival(&line),
            };
            line.clear();
            is_over = false;
            if arrival.is_some_and(|arrival| !take(arrival)) {
                return;
            }
        }
        if is_last {
            return;
        }
    }
}

/// What a line is; nothing where it is blank.
fn arrival(line: &[u8]) -> Option<Arrival> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return None;
    }
    let message = std::str::from_utf8(line).map_err(|_| Fault::not_utf8()).and_then(incoming::parse);
    Some(Arrival::Message(message.map(Box::new)))
}

fn write_lines(mut output: impl Write, mut messages: mpsc::Receiver<Outgoing>) -> std::io::Result<()> {
    while let Some(Outgoing { payload, flushed }) = messages.blocking_recv() {
        let mut line = payload.into_text();
        line.push('\n');
        output.write_all(line.as_bytes())?;
        output.flush()?;
        if let Some(flushed) = flushed {
            let _ = flushed.send(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    /// What is made of `input`, read `at_once` bytes at a time.
    fn read(input: &[u8], limit: usize, at_once: usize) -> Vec<String> {
        let mut seen = Vec::new();
        read_lines(BufReader::with_capacity(at_once, input), limit, |arrival| {
            seen.push(match arrival {
                Arrival::Message(Ok(message)) => serde_json::to_string(&message).unwrap(),
                Arrival::Message(Err(fault)) => fault.to_text(),
                other => format!("{other:?}"),
            });
            true
        });
        seen
    }

    #[test]
    fn each_line_is_a_message_however_it_comes() {
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        for at_once in [1, 7, 4096] {
            let seen = read(format!("{ping}\r\n\n  \n{ping}").as_bytes(), 100, at_once);
            assert_eq!(seen.len(), 2, "{seen:?}");
            assert!(seen.iter().all(|line| line.contains("\"ping\"")), "{seen:?}");
        }
    }

    #[test]
    fn a_line_over_the_limit_is_answered_once_and_skipped() {
        let input = format!("{}\n{}\n", "x".repeat(1000), r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
        for at_once in [1, 64, 4096] {
            let seen = read(input.as_bytes(), 100, at_once);
            assert_eq!(seen.len(), 2, "{seen:?}");
            assert!(seen[0].contains("-32600") && seen[0].contains("longer than 100 bytes"), "{}", seen[0]);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_answered() {
        let seen = read(b"{\"\xff\":1}\n", 100, 64);
        assert!(seen[0].contains("-32700") && seen[0].contains("UTF-8"), "{seen:?}");
    }
}
