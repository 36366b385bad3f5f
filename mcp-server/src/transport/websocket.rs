//! WebSocket frames: one task writes, the connection reads, and a client that stalls loses it.

use std::time::Duration;

use daemon::keys::Principal;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data as OpData, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error as SocketError, Message};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::connection::{self, Arrival, Ending, Framing, Reason, Terms};
use super::gate::Gate;
use super::handshake::Upgrade;
use super::incoming;
use super::outgoing::{self, Outgoing};
use crate::mcp::host::Host;

/// How often a ping goes out.
const PING_EVERY: Duration = Duration::from_secs(20);

/// Longest silence: three pings without an answer.
const IDLE_LIMIT: Duration = Duration::from_secs(65);

/// Longest that one message may take to leave, besides its share for size.
const WRITE_LIMIT: Duration = Duration::from_secs(3);

/// Bytes a second that even a slow client takes.
const SLOWEST_RATE: usize = 256 * 1024;

/// Bytes of a message that go into one frame. tungstenite copies a frame whole into a buffer that never shrinks, and moves what is
/// left of it with each write.
const FRAME_BYTES: usize = 128 * 1024;

/// Most bytes that may stand in that buffer; a write waits long before.
const WRITE_BUFFER: usize = 8 * FRAME_BYTES;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Serves one client from the upgrade to the close.
pub(super) async fn serve(upgrade: Upgrade, gate: Gate<impl Host>, principal: Principal) {
    let socket = match upgrade.into_socket().await {
        Ok(upgraded) => upgraded,
        Err(error) => return debug!(%error, "the upgrade came to nothing"),
    };
    let config = WebSocketConfig::default()
        .max_message_size(Some(gate.config.max_message_bytes))
        .max_frame_size(Some(gate.config.max_message_bytes))
        .max_write_buffer_size(WRITE_BUFFER);
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(socket), Role::Server, Some(config)).await;
    let (sink, stream) = socket.split();
    let (outbox, messages) = outgoing::queue();
    let terms = Terms { idle_limit: Some(IDLE_LIMIT), ..gate.terms(principal) };
    let frames = Frames { stream, ending: terms.ending.clone() };
    let writer = tokio::spawn(write(sink, messages, terms.gone.clone(), terms.ending.clone()));
    connection::serve(&gate.host, terms, frames, outbox).await;
    if let Err(error) = writer.await {
        warn!(%error, "a connection's writer failed");
    }
}

/// The close frame that says why.
fn close_frame(ending: &Ending) -> CloseFrame {
    let (code, reason) = match ending.reason() {
        None => (CloseCode::Normal, ""),
        Some(Reason::ShuttingDown) => (CloseCode::Away, "the server is shutting down"),
        Some(Reason::Silent) => (CloseCode::Policy, "no answer to pings"),
        Some(Reason::TooLong) => (CloseCode::Size, "the message is longer than MAX_MESSAGE_BYTES"),
        Some(Reason::NotText) => (CloseCode::Unsupported, "messages are text"),
        Some(Reason::NotUtf8) => (CloseCode::Invalid, "text must be UTF-8"),
        Some(Reason::Malformed) => (CloseCode::Protocol, "a frame is malformed"),
    };
    CloseFrame { code, reason: reason.into() }
}

/// Writes messages and pings until the outbox closes or the connection is gone, then says goodbye.
async fn write(
    mut sink: SplitSink<Socket, Message>,
    mut messages: mpsc::Receiver<Outgoing>,
    gone: CancellationToken,
    ending: Ending,
) {
    let mut ping = tokio::time::interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    loop {
        let (message, flushed) = tokio::select! {
            biased;
            next = messages.recv() => match next {
                Some(Outgoing { payload, flushed }) => (Message::text(payload.into_text()), flushed),
                None => break,
            },
            _ = ping.tick() => (Message::Ping(Vec::new().into()), None),
            () = gone.cancelled() => break,
        };
        let share = Duration::from_secs((message.len() / SLOWEST_RATE) as u64);
        match tokio::time::timeout(WRITE_LIMIT + share, send(&mut sink, message)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                debug!(%error, "a message could not be written");
                break;
            }
            Err(_) => {
                info!("a client does not read; its connection is dropped");
                break;
            }
        }
        if let Some(flushed) = flushed {
            let _ = flushed.send(());
        }
    }
    gone.cancel();
    let goodbye = async {
        let _ = sink.send(Message::Close(Some(close_frame(&ending)))).await;
        let _ = sink.close().await;
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), goodbye).await;
}

/// Sends a message, a long text in several frames, and waits until all of it is with the system.
async fn send(sink: &mut SplitSink<Socket, Message>, message: Message) -> Result<(), SocketError> {
    let text = match message {
        Message::Text(text) if text.len() > FRAME_BYTES => text,
        message => return sink.send(message).await,
    };
    let bytes = Bytes::from(text.clone());
    let mut start = 0;
    while start < text.len() {
        // Some clients look at each frame's text by itself.
        let end = text.floor_char_boundary(start + FRAME_BYTES);
        let kind = if start == 0 { OpData::Text } else { OpData::Continue };
        let frame = Frame::message(bytes.slice(start..end), OpCode::Data(kind), end == text.len());
        sink.feed(Message::Frame(frame)).await?;
        start = end;
    }
    sink.flush().await
}

/// The reading half.
struct Frames {
    stream: SplitStream<Socket>,
    ending: Ending,
}

impl Framing for Frames {
    async fn next(&mut self) -> Arrival {
        let reason = match self.stream.next().await {
            Some(Ok(Message::Text(text))) => return Arrival::Message(incoming::parse(&text).map(Box::new)),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => return Arrival::Alive,
            Some(Ok(Message::Close(_))) | None => return Arrival::End,
            Some(Ok(Message::Binary(_))) => Reason::NotText,
            Some(Err(error)) => {
                debug!(%error, "a frame could not be read");
                match error {
                    SocketError::Capacity(CapacityError::MessageTooLong { .. }) => Reason::TooLong,
                    SocketError::Utf8(_) => Reason::NotUtf8,
                    _ => Reason::Malformed,
                }
            }
        };
        self.ending.because(reason);
        Arrival::End
    }
}
