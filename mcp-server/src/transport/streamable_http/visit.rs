//! The sessions of Streamable HTTP, as rmcp looks them up for one request.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use daemon::keys::Principal;
use futures_util::Stream;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_server::SessionManager;
use rmcp::transport::streamable_http_server::session::{ServerSseMessage, SessionId};
use tokio::sync::OwnedSemaphorePermit;

use super::session::{Events, Inbox, Session, SessionError};
use crate::mcp::host::Host;
use crate::transport::connection::{Connection, Terms};
use crate::transport::gate::Gate;
use crate::transport::outgoing;

/// Longest that a session is kept in which nothing runs and nobody listens.
const IDLE_LIMIT: Duration = Duration::from_secs(600);

/// One request's view of the sessions: what rmcp looks up through it is looked up for the key that came with the request.
pub(super) struct Visit<H> {
    gate: Gate<H>,
    terms: Terms,
    /// For the session that this request opens, where it does.
    place: Mutex<Option<OwnedSemaphorePermit>>,
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
        let (outbox, messages) = outgoing::queue();
        let (session, inbox) = Session::open(self.terms.gone.clone());
        let id = self.gate.sessions.insert(self.terms.principal.clone(), session.clone());
        let (sessions, ended) = (self.gate.sessions.clone(), Arc::clone(&id));
        self.gate.connections.spawn(async move {
            session.deliver(messages).await;
            sessions.remove(&ended);
            session.close();
            drop(place);
        });
        Ok((id, Connection::new(self.terms.clone(), inbox, outbox)))
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, SessionError> {
        let session = self.session(id)?;
        session.post(message).await?.first().await.ok_or(SessionError::Ended)
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, SessionError> {
        Ok(self.session(id).is_ok())
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), SessionError> {
        if let Ok(session) = self.session(id) {
            session.end();
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
        Ok(session.listen(greeting))
    }

    async fn resume(
        &self,
        _: &SessionId,
        _: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, SessionError> {
        Err::<Events, _>(SessionError::NoResume)
    }
}
