//! What waits to be written, for the task that writes it.

use rmcp::model::ServerJsonRpcMessage;
use tokio::sync::{mpsc, oneshot};

use crate::mcp::wire;

/// Messages of one connection that may wait to be written.
const OUTBOX: usize = 32;

/// A message on its way out.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) payload: Payload,
    /// Told once the message has left.
    pub(super) flushed: Option<oneshot::Sender<()>>,
}

/// A message as a value, or as the line of JSON that it is already.
#[derive(Debug)]
pub(super) enum Payload {
    Message(Box<ServerJsonRpcMessage>),
    Text(String),
}

impl From<ServerJsonRpcMessage> for Payload {
    fn from(message: ServerJsonRpcMessage) -> Self {
        Self::Message(Box::new(message))
    }
}

impl Payload {
    /// The message as one line of JSON.
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Message(message) => wire::to_text(*message),
            Self::Text(text) => text,
        }
    }
}

/// A queue of messages: where they are put in, and where a writer takes them out.
pub(super) fn queue() -> (mpsc::Sender<Outgoing>, mpsc::Receiver<Outgoing>) {
    mpsc::channel(OUTBOX)
}
