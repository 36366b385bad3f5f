//! One session of Streamable HTTP: a connection to rmcp's eyes, whose messages come by POST and whose answers go out as the bodies of
//! those; what belongs to no request goes to the stream that a GET opened.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use rmcp::model::{
    CancelledNotification, CancelledNotificationParam, ClientJsonRpcMessage, GetMeta, JsonRpcMessage, RequestId,
    ServerJsonRpcMessage,
};
use rmcp::transport::streamable_http_server::session::ServerSseMessage;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::routes::{Routes, STREAM, Sent};
use crate::transport::calls::id_in_use;
use crate::transport::connection::{Arrival, Framing};
use crate::transport::directory::Directory;
use crate::transport::outgoing::{Outgoing, Payload};

/// How often a session that runs something or is listened to counts as alive.
const LIVENESS: Duration = Duration::from_secs(60);

/// Messages that were posted and not taken up yet.
const INBOX: usize = 4;

/// All sessions.
pub(in crate::transport) type Sessions = Directory<Session>;

/// One session, as requests find it.
#[derive(Debug, Clone)]
pub(in crate::transport) struct Session {
    inbox: mpsc::Sender<Arrival>,
    routes: Routes,
    gone: CancellationToken,
}

/// What can't be done with a session.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    /// It ended while the request came.
    #[error("the session has ended")]
    Ended,
    /// Streams aren't kept for clients that come back.
    #[error("streams can't be resumed")]
    NoResume,
    /// `initialize` was not what opened it.
    #[error("a session is opened by initialize alone")]
    NoPlace,
}

impl Session {
    /// A session of which everybody is told by `gone` when it ends, and what is posted to it.
    pub(super) fn open(gone: CancellationToken) -> (Self, Inbox) {
        let (inbox, arrivals) = mpsc::channel(INBOX);
        let routes = Routes::default();
        (Self { inbox, routes: routes.clone(), gone }, Inbox { arrivals, routes })
    }

    /// Ends it.
    pub(super) fn end(&self) {
        self.gone.cancel();
    }

    /// Takes each message to the stream it belongs to, until there are no more.
    pub(super) async fn deliver(&self, mut messages: mpsc::Receiver<Outgoing>) {
        while let Some(Outgoing { payload, flushed }) = messages.recv().await {
            if let Payload::Message(message) = payload {
                self.routes.send(*message, flushed);
            }
        }
    }

    /// Ends its streams.
    pub(super) fn close(&self) {
        self.routes.close();
    }

    /// The stream of what belongs to no request, which begins with the greeting.
    pub(super) fn listen(&self, greeting: Option<ServerJsonRpcMessage>) -> Events {
        Events(self.routes.listen(greeting))
    }

    /// Hands a request over; the stream brings its answer and what belongs to it.
    pub(super) async fn post(&self, message: ClientJsonRpcMessage) -> Result<Answers, SessionError> {
        let JsonRpcMessage::Request(request) = &message else { return Err(SessionError::Ended) };
        let id = request.id.clone();
        let token = request.request.get_meta().get_progress_token();
        let (to, messages) = mpsc::channel(STREAM);
        let is_new = self.routes.open(&id, token, &to);
        let route = is_new.then(|| (self.clone(), id.clone()));
        let answers = Answers { messages, route, flushed: None, is_answered: false, runtime: Handle::current() };
        if !is_new {
            // There is room: it is the first.
            let _ = to.try_send((id_in_use(id), None));
            return Ok(answers);
        }
        self.take(message).await?;
        Ok(answers)
    }

    /// Hands a message over.
    pub(super) async fn take(&self, message: ClientJsonRpcMessage) -> Result<(), SessionError> {
        self.inbox.send(Arrival::Message(Ok(Box::new(message)))).await.map_err(|_| SessionError::Ended)
    }

    /// The client waits no longer for this answer.
    async fn abandon(self, id: RequestId) {
        let params = CancelledNotificationParam::new(Some(id), None);
        let cancelled = CancelledNotification::new(params);
        // Where the session has ended, so has the call.
        let _ = self.take(ClientJsonRpcMessage::notification(cancelled.into())).await;
    }
}

/// What is posted, as rmcp's connection receives it.
pub(super) struct Inbox {
    arrivals: mpsc::Receiver<Arrival>,
    routes: Routes,
}

impl Framing for Inbox {
    async fn next(&mut self) -> Arrival {
        loop {
            tokio::select! {
                arrival = self.arrivals.recv() => return arrival.unwrap_or(Arrival::End),
                () = tokio::time::sleep(LIVENESS) => if self.routes.are_used() {
                    return Arrival::Alive;
                }
            }
        }
    }
}

/// The stream of one request. Dropped before its answer came, it cancels the call: nobody could fetch the answer any more.
pub(super) struct Answers {
    messages: mpsc::Receiver<Sent>,
    route: Option<(Session, RequestId)>,
    /// Told when the stream ends: the answer has been taken over by then.
    flushed: Option<oneshot::Sender<()>>,
    is_answered: bool,
    runtime: Handle,
}

impl Answers {
    /// The first message, where whoever takes it over needs no other.
    pub(super) async fn first(mut self) -> Option<ServerJsonRpcMessage> {
        let message = std::future::poll_fn(|context| self.poll_message(context)).await?;
        self.is_answered = true;
        Some(message)
    }

    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Option<ServerJsonRpcMessage>> {
        self.messages.poll_recv(context).map(|sent| {
            let (message, flushed) = sent?;
            self.is_answered |= !matches!(message, JsonRpcMessage::Notification(_) | JsonRpcMessage::Request(_));
            match self.is_answered {
                true => self.flushed = flushed,
                false => tell(flushed),
            }
            Some(message)
        })
    }
}

impl Stream for Answers {
    type Item = ServerSseMessage;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<ServerSseMessage>> {
        self.poll_message(context).map(|message| message.map(ServerSseMessage::from_message))
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        tell(self.flushed.take());
        if let Some((session, id)) = self.route.take()
            && !self.is_answered
            && session.routes.forget(&id)
        {
            self.runtime.spawn(session.abandon(id));
        }
    }
}

/// The message has been taken over.
fn tell(flushed: Option<oneshot::Sender<()>>) {
    if let Some(flushed) = flushed {
        let _ = flushed.send(());
    }
}

/// The stream of what belongs to no request.
pub(super) struct Events(mpsc::Receiver<Sent>);

impl Stream for Events {
    type Item = ServerSseMessage;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<ServerSseMessage>> {
        self.0.poll_recv(context).map(|sent| {
            let (message, flushed) = sent?;
            tell(flushed);
            Some(ServerSseMessage::from_message(message))
        })
    }
}
