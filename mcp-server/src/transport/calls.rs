//! The requests of one connection, whatever brings them: one runs at once, waits for a place, or is answered here and now.

use std::collections::VecDeque;

use rmcp::ErrorData;
use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, ClientRequest, GetExtensions, JsonRpcMessage, RequestId,
    ServerJsonRpcMessage,
};

use super::in_flight::{InFlight, MAX_WAITING};
use super::incoming::Fault;
use super::outgoing::Payload;
use crate::mcp::error;

/// What came, and what became of it.
#[derive(Debug)]
pub(super) struct Calls {
    in_flight: InFlight,
    /// Requests that came while all places were taken.
    waiting: VecDeque<ClientJsonRpcMessage>,
    /// Answers of the transport's own: to what isn't a message, and to what can't be taken.
    replies: VecDeque<Payload>,
    /// Whether a request came yet: rmcp drops the connection on a notification before the first.
    is_open: bool,
}

impl Calls {
    /// None yet; as many as `at_once` may run.
    pub(super) fn new(at_once: usize) -> Self {
        Self { in_flight: InFlight::new(at_once), waiting: VecDeque::new(), replies: VecDeque::new(), is_open: false }
    }

    /// The calls that run; clones share them.
    pub(super) fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// Whether nothing runs or waits.
    pub(super) fn is_empty(&self) -> bool {
        self.in_flight.is_empty() && self.waiting.is_empty()
    }

    /// Whether there are answers of the transport's own. While there are, nothing more should be read: they must not pile up.
    pub(super) fn has_replies(&self) -> bool {
        !self.replies.is_empty()
    }

    /// The first of them.
    pub(super) fn next_reply(&mut self) -> Option<Payload> {
        self.replies.pop_front()
    }

    /// A message that waited, where a place is free for it now.
    pub(super) fn next_waiting(&mut self) -> Option<ClientJsonRpcMessage> {
        if let JsonRpcMessage::Request(request) = self.waiting.front_mut()? {
            let held = self.in_flight.admit(&request.id)?;
            request.request.extensions_mut().insert(held);
        }
        self.waiting.pop_front()
    }

    /// Lets a message through, now or when a place is free. No request is taken any more where `is_draining`.
    pub(super) fn admit(
        &mut self,
        mut message: ClientJsonRpcMessage,
        is_draining: bool,
    ) -> Option<ClientJsonRpcMessage> {
        match &mut message {
            JsonRpcMessage::Request(request) => {
                self.is_open = true;
                let id = request.id.clone();
                if self.in_flight.holds(&id) || self.waits(&id) {
                    self.replies.push_back(Payload::from(id_in_use(id)));
                    return None;
                }
                if is_draining {
                    self.refuse(&id, &request.request, "the server is shutting down");
                    return None;
                }
                if self.waiting.is_empty()
                    && let Some(held) = self.in_flight.admit(&id)
                {
                    request.request.extensions_mut().insert(held);
                    return Some(message);
                }
                if self.waiting.len() == MAX_WAITING {
                    self.refuse(&id, &request.request, "too many calls of this connection are waiting");
                    return None;
                }
                self.waiting.push_back(message);
                None
            }
            JsonRpcMessage::Notification(notification) => {
                if let ClientNotification::CancelledNotification(cancelled) = &notification.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    self.cancel(id);
                }
                self.is_open.then_some(message)
            }
            _ => self.is_open.then_some(message),
        }
    }

    /// Answers what isn't a message.
    pub(super) fn answer(&mut self, fault: &Fault) {
        self.replies.push_back(Payload::Text(fault.to_text()));
    }

    fn refuse(&mut self, id: &RequestId, request: &ClientRequest, why: &str) {
        self.replies.push_back(Payload::from(error::busy_answer(id.clone(), request, why)));
    }

    /// A cancelled call gets no answer, so its place is given back here; one that only waited is forgotten.
    fn cancel(&mut self, id: &RequestId) {
        self.waiting.retain(|waiting| !is_request(waiting, id));
        self.in_flight.cancel(id);
    }

    fn waits(&self, id: &RequestId) -> bool {
        self.waiting.iter().any(|waiting| is_request(waiting, id))
    }
}

/// The answer to a request whose id another one has that isn't answered yet.
pub(super) fn id_in_use(id: RequestId) -> ServerJsonRpcMessage {
    let message = "a request with this id is not answered yet: give each an id of its own";
    ServerJsonRpcMessage::error(ErrorData::invalid_request(message, None), Some(id))
}

fn is_request(message: &ClientJsonRpcMessage, id: &RequestId) -> bool {
    matches!(message, JsonRpcMessage::Request(request) if request.id == *id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::incoming::parse;

    const AT_ONCE: usize = 16;

    fn ping(id: usize) -> ClientJsonRpcMessage {
        parse(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#)).unwrap()
    }

    fn notification(text: &str) -> ClientJsonRpcMessage {
        parse(text).unwrap()
    }

    fn replies(calls: &mut Calls) -> Vec<String> {
        std::iter::from_fn(|| calls.next_reply()).map(Payload::into_text).collect()
    }

    #[test]
    fn requests_run_then_wait_then_are_refused() {
        let mut calls = Calls::new(AT_ONCE);
        let admitted = (0..200).filter(|id| calls.admit(ping(*id), false).is_some()).count();
        assert_eq!(admitted, AT_ONCE);
        let refused = replies(&mut calls);
        assert_eq!(refused.len(), 200 - AT_ONCE - MAX_WAITING);
        assert!(refused[0].contains("too many calls of this connection are waiting"), "{}", refused[0]);
        assert!(calls.next_waiting().is_none());
        calls.in_flight().release(&RequestId::Number(3));
        assert!(is_request(&calls.next_waiting().unwrap(), &RequestId::Number(16)));
        assert!(calls.next_waiting().is_none());
    }

    #[test]
    fn an_id_is_free_again_only_when_its_answer_has_left() {
        let mut calls = Calls::new(AT_ONCE);
        assert!(calls.admit(ping(1), false).is_some());
        assert!(calls.admit(ping(1), false).is_none());
        assert!(replies(&mut calls)[0].contains("a request with this id is not answered yet"));
        calls.in_flight().release(&RequestId::Number(1));
        assert!(calls.admit(ping(1), false).is_some());
    }

    #[test]
    fn what_is_cancelled_while_it_waits_never_runs() {
        let mut calls = Calls::new(AT_ONCE);
        for id in 0..=AT_ONCE {
            calls.admit(ping(id), false);
        }
        let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":16}}"#;
        assert!(calls.admit(notification(cancel), false).is_some());
        calls.in_flight().release(&RequestId::Number(0));
        assert!(calls.next_waiting().is_none());
    }

    #[test]
    fn nothing_but_requests_opens_a_session() {
        let mut calls = Calls::new(AT_ONCE);
        let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        assert!(calls.admit(notification(initialized), false).is_none());
        calls.admit(ping(1), false);
        assert!(calls.admit(notification(initialized), false).is_some());
    }

    #[test]
    fn no_request_is_taken_while_the_server_stops() {
        let mut calls = Calls::new(AT_ONCE);
        assert!(calls.admit(ping(1), true).is_none());
        assert!(replies(&mut calls)[0].contains("the server is shutting down") && calls.is_empty());
    }
}
