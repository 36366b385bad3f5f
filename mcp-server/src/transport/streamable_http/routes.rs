//! The streams of one session, and which message belongs to which.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmcp::model::{GetExtensions, JsonRpcMessage, ProgressToken, RequestId, ServerJsonRpcMessage, ServerNotification};
use rmcp::service::OriginatingRequestId;
use tokio::sync::{mpsc, oneshot};

/// Messages of one stream that wait for its client. The last place is kept for the answer.
pub(super) const STREAM: usize = 8;

/// A message, and who is told once it has left.
pub(super) type Sent = (ServerJsonRpcMessage, Option<oneshot::Sender<()>>);

/// The streams of one session. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Routes(Arc<Mutex<Streams>>);

#[derive(Debug, Default)]
struct Streams {
    calls: HashMap<RequestId, Call>,
    listener: Option<mpsc::Sender<Sent>>,
}

#[derive(Debug)]
struct Call {
    to: mpsc::Sender<Sent>,
    progress: Option<ProgressToken>,
}

impl Routes {
    /// Opens a stream for a request, unless its id has one.
    pub(super) fn open(&self, id: &RequestId, progress: Option<ProgressToken>, to: &mpsc::Sender<Sent>) -> bool {
        let mut streams = self.streams();
        if streams.calls.contains_key(id) {
            return false;
        }
        streams.calls.insert(id.clone(), Call { to: to.clone(), progress });
        true
    }

    /// Opens the stream for what belongs to no request, in place of the one before; `first` goes out first.
    pub(super) fn listen(&self, first: Option<ServerJsonRpcMessage>) -> mpsc::Receiver<Sent> {
        let (to, messages) = mpsc::channel(STREAM);
        if let Some(first) = first {
            let _ = to.try_send((first, None));
        }
        self.streams().listener = Some(to);
        messages
    }

    /// Sends a message along its stream. What nobody waits for is dropped, and so is what a slow reader has no room for; an answer
    /// always has room.
    pub(super) fn send(&self, message: ServerJsonRpcMessage, flushed: Option<oneshot::Sender<()>>) {
        let mut streams = self.streams();
        let answered = match &message {
            JsonRpcMessage::Response(response) => Some(response.id.clone()),
            JsonRpcMessage::Error(error) => error.id.clone(),
            _ => None,
        };
        if let Some(id) = answered {
            if let Some(call) = streams.calls.remove(&id) {
                let _ = call.to.try_send((message, flushed));
            }
            return;
        }
        let to = match progress_token(&message) {
            Some(token) => {
                streams.calls.values().find(|call| call.progress.as_ref() == Some(token)).map(|call| &call.to)
            }
            None => {
                let call = originating(&message).and_then(|id| streams.calls.get(id));
                call.map(|call| &call.to).or(streams.listener.as_ref())
            }
        };
        if let Some(to) = to.filter(|to| to.capacity() > 1) {
            let _ = to.try_send((message, flushed));
        }
    }

    /// Ends the stream of a request; whether it had one.
    pub(super) fn forget(&self, id: &RequestId) -> bool {
        self.streams().calls.remove(id).is_some()
    }

    /// Ends all streams.
    pub(super) fn close(&self) {
        *self.streams() = Streams::default();
    }

    /// Whether anything runs or anybody listens.
    pub(super) fn are_used(&self) -> bool {
        let streams = self.streams();
        !streams.calls.is_empty() || streams.listener.as_ref().is_some_and(|listener| !listener.is_closed())
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        // Nothing in here panics half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn progress_token(message: &ServerJsonRpcMessage) -> Option<&ProgressToken> {
    match message {
        JsonRpcMessage::Notification(notification) => match &notification.notification {
            ServerNotification::ProgressNotification(progress) => Some(&progress.params.progress_token),
            _ => None,
        },
        _ => None,
    }
}

/// The call on whose way a message is sent. rmcp marks what a handler asks of its client; notifications are marked by whoever
/// sends them.
fn originating(message: &ServerJsonRpcMessage) -> Option<&RequestId> {
    let extensions = match message {
        JsonRpcMessage::Request(request) => request.request.extensions(),
        JsonRpcMessage::Notification(notification) => notification.notification.extensions(),
        _ => return None,
    };
    extensions.get::<OriginatingRequestId>().map(|originating| &originating.0)
}

#[cfg(test)]
mod tests {
    use rmcp::model::{CustomNotification, CustomRequest, ServerRequest};

    use super::*;

    const CALL: RequestId = RequestId::Number(7);

    fn log() -> ServerNotification {
        ServerNotification::CustomNotification(CustomNotification::new("notifications/message", None))
    }

    fn of_call<M: GetExtensions>(mut message: M) -> M {
        message.extensions_mut().insert(OriginatingRequestId(CALL));
        message
    }

    #[test]
    fn what_a_call_sends_goes_where_its_answer_goes() {
        let routes = Routes::default();
        let (to, mut answers) = mpsc::channel(STREAM);
        let mut listener = routes.listen(None);
        routes.open(&CALL, None, &to);
        let question = ServerRequest::CustomRequest(CustomRequest::new("sampling/createMessage", None));
        routes.send(ServerJsonRpcMessage::request(of_call(question), RequestId::Number(1)), None);
        routes.send(ServerJsonRpcMessage::notification(of_call(log())), None);
        assert!(matches!(answers.try_recv().unwrap().0, JsonRpcMessage::Request(_)));
        assert!(matches!(answers.try_recv().unwrap().0, JsonRpcMessage::Notification(_)));
        assert!(listener.try_recv().is_err());
    }

    #[test]
    fn what_belongs_to_no_call_or_to_none_any_more_goes_to_whoever_listens() {
        let routes = Routes::default();
        let mut listener = routes.listen(None);
        let (to, mut answers) = mpsc::channel(STREAM);
        routes.open(&CALL, None, &to);
        routes.send(ServerJsonRpcMessage::notification(log()), None);
        assert!(listener.try_recv().is_ok());
        routes.forget(&CALL);
        routes.send(ServerJsonRpcMessage::notification(of_call(log())), None);
        assert!(listener.try_recv().is_ok() && answers.try_recv().is_err());
    }
}
