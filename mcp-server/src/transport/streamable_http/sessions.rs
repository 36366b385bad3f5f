//! The sessions of Streamable HTTP. Each is a connection to rmcp's eyes, whose messages come by POST and whose answers go out as the
//! bodies of those; what belongs to no request goes to the stream that a GET opened.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use daemon::keys::Principal;
use futures_util::Stream;
use rmcp::model::{
    CancelledNotification, CancelledNotificationParam, ClientJsonRpcMessage, GetMeta, JsonRpcMessage, RequestId,
    ServerJsonRpcMessage,
};
use rmcp::transport::streamable_http_server::SessionManager;
use rmcp::transport::streamable_http_server::session::{ServerSseMessage, SessionId};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::routes::{Routes, STREAM, Sent};
use crate::mcp::host::Host;
use crate::transport::calls::id_in_use;
use crate::transport::connection::{Arrival, Connection, Framing, Terms};
use crate::transport::directory::Directory;
use crate::transport::gate::Gate;
use crate::transport::outgoing::{self, Outgoing, Payload};

/// Longest that a session is kept in which nothing runs and nobody listens.
const IDLE_LIMIT: Duration = Duration::from_secs(600);

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

/// One request's view of the sessions: what rmcp looks up through it is looked up for the key that came with the request.
pub(super) struct Visit<H> {
    gate: Gate<H>,
    terms: Terms,
    /// For the session that this request opens, where it does.
    place: Mutex<Option<OwnedSemaphorePermit>>,
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

impl<H: Host> Visit<H> {
    pub(super) fn new(gate: Gate<H>, principal: Principal, place: Option<OwnedSemaphorePermit>) -> Self {
        let terms = Terms { idle_limit: Some(IDLE_LIMIT), ..gate.terms(principal) };
        Self { gate, terms, place: Mutex::new(place) }
    }

    /// What the session gets that this request opens, or the request itself where there are no sessions.
    pub(super) fn terms(&self) -> Terms {
        self.terms.clone()
    }

    fn session(&self, id: &str) -> Result<Session, SessionError> {
        self.gate.sessions.find(id, &self.terms.principal).ok_or(SessionError::Ended)
    }
}

impl<H: Host> SessionManager for Visit<H> {
    type Error = SessionError;
    type Transport = Connection<Inbox>;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), SessionError> {
        let place = self.place.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or(SessionError::NoPlace)?;
        let (inbox, arrivals) = mpsc::channel(INBOX);
        let (outbox, messages) = outgoing::queue();
        let routes = Routes::default();
        let session = Session { inbox, routes: routes.clone(), gone: self.terms.gone.clone() };
        let id = self.gate.sessions.insert(self.terms.principal.clone(), session);
        let (sessions, ended) = (self.gate.sessions.clone(), Arc::clone(&id));
        let answers = routes.clone();
        self.gate.connections.spawn(async move {
            deliver(messages, &answers).await;
            sessions.remove(&ended);
            answers.close();
            drop(place);
        });
        Ok((id, Connection::new(self.terms.clone(), Inbox { arrivals, routes }, outbox)))
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, SessionError> {
        let session = self.session(id)?;
        let mut answers = session.post(message).await?;
        let answer = std::future::poll_fn(|context| answers.poll_message(context)).await.ok_or(SessionError::Ended)?;
        // What is sent is sent through another stream: this one ends with the answer in hand.
        answers.is_answered = true;
        Ok(answer)
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, SessionError> {
        Ok(self.session(id).is_ok())
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), SessionError> {
        if let Ok(session) = self.session(id) {
            session.gone.cancel();
        }
        Ok(())
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, SessionError> {
        self.session(id)?.post(message).await
    }

    async fn accept_message(&self, id: &SessionId, message: ClientJsonRpcMessage) -> Result<(), SessionError> {
        self.session(id)?.take(message).await
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, SessionError> {
        let session = self.session(id)?;
        let greeting = self.gate.host.greeting(&self.terms.principal);
        Ok(Events(session.routes.listen(greeting)))
    }

    async fn resume(
        &self,
        _: &SessionId,
        _: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, SessionError> {
        Err::<Events, _>(SessionError::NoResume)
    }
}

impl Session {
    /// Hands a request over; the stream brings its answer and what belongs to it.
    async fn post(&self, message: ClientJsonRpcMessage) -> Result<Answers, SessionError> {
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

    async fn take(&self, message: ClientJsonRpcMessage) -> Result<(), SessionError> {
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

/// Takes each message to the stream it belongs to, until there are no more.
async fn deliver(mut messages: mpsc::Receiver<Outgoing>, routes: &Routes) {
    while let Some(Outgoing { payload, flushed }) = messages.recv().await {
        if let Payload::Message(message) = payload {
            routes.send(*message, flushed);
        }
    }
}

/// The stream of one request. Dropped before its answer came, it cancels the call: nobody could fetch the answer any more.
struct Answers {
    messages: mpsc::Receiver<Sent>,
    route: Option<(Session, RequestId)>,
    /// Told when the stream ends: the answer has been taken over by then.
    flushed: Option<oneshot::Sender<()>>,
    is_answered: bool,
    runtime: Handle,
}

impl Answers {
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
struct Events(mpsc::Receiver<Sent>);

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
