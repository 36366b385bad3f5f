//! News for one client: that what it may see has changed, as a whole and of each resource that it subscribed to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rmcp::ErrorData;
use rmcp::model::{ResourceUpdatedNotificationParam, SubscriptionFilter};
use rmcp::service::{Peer, RoleServer, SubscriptionContext};
use shared_protocol::catalog::SamplesState;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::error;
use super::resources::{self, State};
use super::service::Service;
use crate::caller::Caller;

/// Resources that one client may subscribe to.
const MAX_SUBSCRIPTIONS: usize = 200;

/// How long is waited after a change for those that come with it.
const GATHER: Duration = Duration::from_millis(100);

/// The resources that a session has subscribed to, each for the caller who asked. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Subscriptions(Arc<Mutex<HashMap<(String, Caller), State>>>);

impl Subscriptions {
    /// Has changes of the resource at `uri` told to the client.
    ///
    /// # Errors
    /// Where nothing is there that the caller may read, it can't be told now, or there are too many already.
    pub(super) async fn add(&self, service: &Service, caller: Caller, uri: String) -> Result<(), ErrorData> {
        let state = resources::state(&service.tools, &uri, &caller, None).await?;
        if state.is_gone() {
            return Err(resources::not_there(&service.tools, &uri));
        }
        {
            let mut held = self.held();
            let key = (uri.clone(), caller.clone());
            if held.len() >= MAX_SUBSCRIPTIONS && !held.contains_key(&key) {
                return Err(too_many());
            }
            held.insert(key, state.clone());
        }
        // What changed before it was noted was told to nobody.
        if resources::state(&service.tools, &uri, &caller, Some(&state)).await.is_ok_and(|now| now != state) {
            service.tools.catalogs.changes().tell();
        }
        Ok(())
    }

    /// Has them told no more.
    pub(super) fn remove(&self, uri: String, caller: Caller) {
        self.held().remove(&(uri, caller));
    }

    /// The resources that are others than when they were last [noted](Self::note), by URI, and what they are now. One that can't be
    /// told now counts as it was.
    async fn changed(&self, service: &Service) -> BTreeMap<String, (Caller, State)> {
        let known = self.held().clone();
        let mut changed = BTreeMap::new();
        for ((uri, caller), state) in known {
            let now = match service.may_act(&caller) {
                Ok(()) => resources::state(&service.tools, &uri, &caller, Some(&state)).await,
                Err(_) => Ok(State::default()),
            };
            match now {
                Ok(now) if now.is_like(&state) => self.note(&uri, &caller, now),
                Ok(now) => drop(changed.insert(uri, (caller, now))),
                Err(_) => {}
            }
        }
        changed
    }

    /// Takes a state as the one that the client knows of, unless it has unsubscribed meanwhile.
    fn note(&self, uri: &str, caller: &Caller, now: State) {
        if let Some(state) = self.held().get_mut(&(uri.to_owned(), caller.clone())) {
            *state = now;
        }
    }

    fn holds(&self, uri: &str, caller: &Caller) -> bool {
        self.held().contains_key(&(uri.to_owned(), caller.clone()))
    }

    fn held(&self) -> MutexGuard<'_, HashMap<(String, Caller), State>> {
        // A map can't be left half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_many() -> ErrorData {
    let message = format!("a session may subscribe to {MAX_SUBSCRIPTIONS} resources: unsubscribe from some");
    ErrorData::invalid_params(message, None)
}

/// What a client may see, in a few words.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    /// The structure of each database, and whether its columns' values are there; nothing where its catalog isn't there yet.
    databases: BTreeMap<String, Option<(String, SamplesState)>>,
    /// Where the client acts for others, whom a new policy may touch though not its own key.
    policy: Option<u64>,
    may_act_for: bool,
}

impl Seen {
    /// Where the guard is too busy to tell, what was seen `before` counts.
    async fn now(service: &Service, caller: &Caller, before: Option<&Self>) -> Self {
        let tools = &service.tools;
        let mut databases = BTreeMap::new();
        for database in tools.databases.all() {
            let catalog = tools.catalogs.of(&database);
            let seen = match catalog.held() {
                None => None,
                Some(snapshot) => match tools.view_of(&catalog, &snapshot, caller).await {
                    Ok(view) => Some((view.visible.structure().to_owned(), view.visible.samples())),
                    Err(_) => before.and_then(|before| before.databases.get(database.name()).cloned()).flatten(),
                },
            };
            databases.insert(database.name().to_owned(), seen);
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
    /// What the client knows of.
    seen: Seen,
}

impl News {
    async fn new(service: Service, caller: Caller) -> Self {
        let changes = service.tools.catalogs.changes().listen();
        let seen = Seen::now(&service, &caller, None).await;
        Self { service, caller, changes, seen }
    }

    /// Waits until something may have changed; what the client may see now, where that is something else.
    async fn next(&mut self) -> Option<Seen> {
        if self.changes.changed().await.is_err() {
            return std::future::pending().await;
        }
        tokio::time::sleep(GATHER).await;
        self.changes.mark_unchanged();
        let now = Seen::now(&self.service, &self.caller, Some(&self.seen)).await;
        (now != self.seen).then_some(now)
    }
}

/// Tells the client of a session that `initialize` opened, until `stop`. The registry goes out again, as it did first. What doesn't
/// reach the client, since it has no stream over HTTP at the moment, is told with the next change.
pub(super) async fn tell(
    service: Service,
    caller: Caller,
    subscriptions: Subscriptions,
    peer: Peer<RoleServer>,
    stop: CancellationToken,
) {
    let told = async {
        let mut news = News::new(service.clone(), caller.clone()).await;
        while !peer.is_transport_closed() {
            if let Some(now) = news.next().await {
                let push = match service.push(&caller.key) {
                    Some(push) => peer.send_notification(push).await,
                    None => peer.notify_tool_list_changed().await,
                };
                if push.is_ok() && peer.notify_resource_list_changed().await.is_ok() {
                    news.seen = now;
                }
            }
            for (uri, (caller, now)) in subscriptions.changed(&service).await {
                let update = ResourceUpdatedNotificationParam::new(uri.clone());
                if subscriptions.holds(&uri, &caller) && peer.notify_resource_updated(update).await.is_ok() {
                    subscriptions.note(&uri, &caller, now);
                }
            }
        }
    };
    stop.run_until_cancelled(told).await;
}

/// Tells the client of `subscriptions/listen` what it asked for, until it cancels that or the server begins to stop.
///
/// # Errors
/// Where it asks for resources that aren't there, or for too many.
pub(super) async fn listen(service: &Service, caller: Caller, context: SubscriptionContext) -> Result<(), ErrorData> {
    let SubscriptionFilter { tools_list_changed, resources_list_changed, resource_subscriptions, .. } =
        context.accepted().clone();
    let uris: BTreeSet<String> = resource_subscriptions.unwrap_or_default().into_iter().collect();
    if uris.len() > MAX_SUBSCRIPTIONS {
        return Err(too_many());
    }
    let sink = context.sink();
    let told = async {
        let mut news = News::new(service.clone(), caller.clone()).await;
        let subscriptions = Subscriptions::default();
        for uri in uris {
            subscriptions.add(service, caller.clone(), uri).await?;
        }
        loop {
            let now = news.next().await;
            service.may_act(&caller).map_err(|refused| error::fault(&refused))?;
            if let Some(now) = now {
                let tools = tools_list_changed != Some(true) || sink.notify_tool_list_changed().await.is_ok();
                let resources =
                    resources_list_changed != Some(true) || sink.notify_resource_list_changed().await.is_ok();
                if tools && resources {
                    news.seen = now;
                }
            }
            for (uri, (caller, now)) in subscriptions.changed(service).await {
                if sink.notify_resource_updated(uri.clone()).await.is_ok() {
                    subscriptions.note(&uri, &caller, now);
                }
            }
        }
    };
    tokio::select! {
        told = told => told,
        () = context.cancelled() => Ok(()),
        () = service.draining.cancelled() => Ok(()),
    }
}
