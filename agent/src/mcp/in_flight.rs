//! A bound on the calls in flight, and a cancellation for each call that is given up.

use std::sync::Arc;

use jsonrpsee::core::client::Error;
use jsonrpsee::core::client::async_client::RpcService;
use jsonrpsee::core::middleware::{Batch, Notification, Request, RpcServiceT};
use jsonrpsee_types::Id;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// A call that was dropped or timed out before its answer came. Holds its place in flight until it is told to the server.
pub(super) struct Abandoned {
    pub(super) id: Id<'static>,
    _place: OwnedSemaphorePermit,
}

/// jsonrpsee's own service, let through at most so many times at once.
///
/// jsonrpsee hides request ids from its callers, and a call there has no bound but the length of a queue: a middleware
/// is the one place that sees both.
#[derive(Debug, Clone)]
pub(super) struct InFlight {
    inner: RpcService,
    places: Arc<Semaphore>,
    abandoned: mpsc::Sender<Abandoned>,
}

impl InFlight {
    /// `abandoned` must have room for as many as there are `places`.
    pub(super) fn new(inner: RpcService, places: Arc<Semaphore>, abandoned: mpsc::Sender<Abandoned>) -> Self {
        Self { inner, places, abandoned }
    }
}

impl RpcServiceT for InFlight {
    type MethodResponse = <RpcService as RpcServiceT>::MethodResponse;
    type NotificationResponse = <RpcService as RpcServiceT>::NotificationResponse;
    type BatchResponse = <RpcService as RpcServiceT>::BatchResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = Self::MethodResponse> + Send + 'a {
        let Self { inner, places, abandoned } = self.clone();
        async move {
            let place = places.acquire_owned().await.map_err(|_| Error::ServiceDisconnect)?;
            let id = request.id.clone().into_owned();
            let mut open = OpenCall { call: Some(Abandoned { id, _place: place }), abandoned };
            let answer = inner.call(request).await;
            open.call = None;
            answer
        }
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = Self::BatchResponse> + Send + 'a {
        self.inner.batch(batch)
    }

    fn notification<'a>(&self, note: Notification<'a>) -> impl Future<Output = Self::NotificationResponse> + Send + 'a {
        self.inner.notification(note)
    }
}

struct OpenCall {
    call: Option<Abandoned>,
    abandoned: mpsc::Sender<Abandoned>,
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            // There is room, since each entry holds a place; it fails only when the connection is gone already.
            let _ = self.abandoned.try_send(call);
        }
    }
}
