//! News for one client: that what it may see has changed, as a whole and of each resource that it subscribed to.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rmcp::ErrorData;
use rmcp::model::{ResourceUpdatedNotificationParam, SubscriptionFilter};
use rmcp::service::{Peer, RoleServer, SubscriptionContext};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::resources;
use super::service::Service;
use crate::caller::Caller;

/// Resources that one client may subscribe to.
const MAX_SUBSCRIPTIONS: usize = 200;

/// How long is waited after a change for those that come with it.
const GATHER: Duration = Duration::from_millis(100);

/// The resources that a session has subscribed to, by their URIs. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Subscriptions(Arc<Mutex<HashMap<String, Subscribed>>>);

/// One of them.
#[derive(Debug, Clone)]
struct Subscribed {
    /// Who may read it.
    caller: Caller,
    /// How it was when that was last told; nothing where it was gone.
    state: Option<String>,
}

impl Subscriptions {
    /// Has changes of the resource at `uri` told to the client.
    ///
    /// # Errors
    /// Where nothing is there that the caller may read, or there are too many already.
    pub(super) async fn add(&self, service: &Service, caller: Caller, uri: String) -> Result<(), ErrorData> {
        let Some(state) = resources::state(&service.tools, &uri, &caller).await else {
            return Err(resources::not_there(&service.tools, &uri));
        };
        let mut held = self.held();
        if held.len() == MAX_SUBSCRIPTIONS && !held.contains_key(&uri) {
            let message = format!("a session may subscribe to {MAX_SUBSCRIPTIONS} resources: unsubscribe from some");
            return Err(ErrorData::invalid_params(message, None));
        }
        held.insert(uri, Subscribed { caller, state: Some(state) });
        Ok(())
    }

    /// Has them told no more.
    pub(super) fn remove(&self, uri: &str) {
        self.held().remove(uri);
    }

    /// The resources that are others than when it was last asked.
    async fn changed(&self, service: &Service) -> Vec<String> {
        let known = self.held().clone();
        let mut changed = Vec::new();
        for (uri, Subscribed { caller, state }) in known {
            let now = resources::state(&service.tools, &uri, &caller).await;
            if now != state {
                if let Some(subscribed) = self.held().get_mut(&uri) {
                    subscribed.state = now;
                }
                changed.push(uri);
            }
        }
        changed.sort();
        changed
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Subscribed>> {
        // A map can't be left half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a client may see, in a few words.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outlook {
    /// The fingerprint of each database; none where its catalog isn't there yet.
    databases: BTreeMap<String, Option<String>>,
    /// Where the client acts for others, whom a new policy may touch though not its own key.
    policy: Option<u64>,
    may_act_for: bool,
}

impl Outlook {
    async fn of(service: &Service, caller: &Caller) -> Self {
        let tools = &service.tools;
        let mut databases = BTreeMap::new();
        for database in tools.databases.all() {
            let catalog = tools.catalogs.of(&database);
            let view = match catalog.held() {
                Some(snapshot) => tools.view_of(&catalog, &snapshot, caller).await.ok(),
                None => None,
            };
            databases.insert(database.name().to_owned(), view.map(|view| view.visible.fingerprint().to_owned()));
        }
        let may_act_for = tools.policies.may_act_for(&caller.key);
        Self { databases, policy: may_act_for.then(|| tools.policies.generation()), may_act_for }
    }
}

/// One client's news.
struct News {
    service: Service,
    caller: Caller,
    changes: watch::Receiver<()>,
    seen: Outlook,
}

impl News {
    async fn new(service: Service, caller: Caller) -> Self {
        let changes = service.tools.catalogs.changes().listen();
        let seen = Outlook::of(&service, &caller).await;
        Self { service, caller, changes, seen }
    }

    /// Waits until something may have changed; whether what the client may see has.
    async fn next(&mut self) -> bool {
        if self.changes.changed().await.is_err() {
            return std::future::pending().await;
        }
        tokio::time::sleep(GATHER).await;
        self.changes.mark_unchanged();
        let now = Outlook::of(&self.service, &self.caller).await;
        let is_new = now != self.seen;
        self.seen = now;
        is_new
    }
}

/// Tells the client of a session that `initialize` opened, until `stop`. The registry goes out again, as it did first.
pub(super) async fn tell(
    service: Service,
    caller: Caller,
    subscriptions: Subscriptions,
    peer: Peer<RoleServer>,
    stop: CancellationToken,
) {
    let told = async {
        let mut news = News::new(service.clone(), caller.clone()).await;
        loop {
            if news.next().await {
                match service.push(&caller.key) {
                    Some(push) => peer.send_notification(push).await?,
                    None => peer.notify_tool_list_changed().await?,
                }
                peer.notify_resource_list_changed().await?;
            }
            for uri in subscriptions.changed(&service).await {
                peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri)).await?;
            }
        }
    };
    // It ends with the client, too: then nobody can be told.
    let _: Option<Result<(), rmcp::ServiceError>> = stop.run_until_cancelled(told).await;
}

/// Tells the client of `subscriptions/listen` what it asked for, until it cancels that or the server begins to stop.
pub(super) async fn listen(service: &Service, caller: Caller, context: SubscriptionContext) -> Result<(), ErrorData> {
    let SubscriptionFilter { tools_list_changed, resources_list_changed, resource_subscriptions, .. } =
        context.accepted().clone();
    let subscriptions = Subscriptions::default();
    for uri in resource_subscriptions.unwrap_or_default() {
        subscriptions.add(service, caller.clone(), uri).await?;
    }
    let sink = context.sink();
    let told = async {
        let mut news = News::new(service.clone(), caller).await;
        loop {
            if news.next().await {
                if tools_list_changed == Some(true) {
                    sink.notify_tool_list_changed().await?;
                }
                if resources_list_changed == Some(true) {
                    sink.notify_resource_list_changed().await?;
                }
            }
            for uri in subscriptions.changed(service).await {
                sink.notify_resource_updated(uri).await?;
            }
        }
    };
    let told: Result<(), rmcp::service::SubscriptionSendError> = tokio::select! {
        told = told => told,
        () = context.cancelled() => Ok(()),
        () = service.draining.cancelled() => Ok(()),
    };
    // Where it failed the client is gone.
    let _ = told;
    Ok(())
}
