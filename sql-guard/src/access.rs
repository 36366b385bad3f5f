//! A database as one caller sees it: policy applied to a catalog.

mod contents;
mod hidden_names;
mod operators;
mod reach;
mod routines;
mod sight;
mod traces;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::catalog::{Catalog, ObjectId, Relation, RelationName, TypeName};
use crate::columns::Restriction;
use crate::policy::Policy;
use hidden_names::HiddenNames;
use operators::Operators;

pub(crate) use sight::Sight;

/// A database as one caller sees it. Verdicts are cached by it, so it is made once for a catalog and a policy and then shared.
pub struct Access {
    id: u64,
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) policy: Arc<Policy>,
    sights: Mutex<HashMap<RelationName, Sight>>,
    /// The relations that were looked at to the end, in order.
    looked: Mutex<Vec<RelationName>>,
    /// Why each function that was asked for may not run, if it may not.
    routines: Mutex<HashMap<ObjectId, Option<String>>>,
    /// The same for functions behind operators, and for what types run.
    behind: Mutex<HashMap<ObjectId, Option<String>>>,
    types: Mutex<HashMap<TypeName, Option<String>>>,
    /// What the names of the database's own operators lead to.
    operators: Mutex<HashMap<String, Arc<Operators>>>,
    restricts: OnceLock<bool>,
    hook_denied: OnceLock<Option<String>>,
    hooks_leave_traces: OnceLock<bool>,
    /// The names of the types whose conversions may leave something behind in the session.
    types_with_traces: OnceLock<Vec<Arc<str>>>,
    odd_functions: OnceLock<Vec<String>>,
    hidden_names: OnceLock<HiddenNames>,
    masks: OnceLock<Box<Access>>,
    widest: OnceLock<usize>,
    /// Whether this is what the masks alone make of the database: tables that rules hide are there, and no rule but a mask counts.
    is_of_masks: bool,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("id", &self.id).field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Access {
    /// The catalog under the policy. What each relation is to the caller is found out when it is asked for first;
    /// [`crate::Guard::access`] asks for all.
    pub(crate) fn new(catalog: Arc<dyn Catalog>, policy: Arc<Policy>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            catalog,
            policy,
            sights: Mutex::default(),
            looked: Mutex::default(),
            routines: Mutex::default(),
            behind: Mutex::default(),
            types: Mutex::default(),
            operators: Mutex::default(),
            restricts: OnceLock::new(),
            hook_denied: OnceLock::new(),
            hooks_leave_traces: OnceLock::new(),
            types_with_traces: OnceLock::new(),
            odd_functions: OnceLock::new(),
            hidden_names: OnceLock::new(),
            masks: OnceLock::new(),
            widest: OnceLock::new(),
            is_of_masks: false,
        }
    }

    /// What the policy's masks alone make of the database: what a view that the policy names still masks, whatever else it shows.
    fn masks(&self) -> &Self {
        self.masks.get_or_init(|| {
            let policy = Arc::new(self.policy.masks_alone());
            Box::new(Self { is_of_masks: true, ..Self::new(Arc::clone(&self.catalog), policy) })
        })
    }

    /// Whether there are rules for which a body or definition that can't be told to be harmless counts as one that isn't.
    fn has_rules(&self) -> bool {
        !self.is_of_masks && self.policy.has_rules()
    }

    /// Tells this access from every other one of the process.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Looks at everything, so that later questions are answered at once, and on any thread: bodies and definitions may nest deep.
    pub(crate) fn look_at_all(&self) {
        for relation in self.catalog.relations() {
            self.look_at(&relation.name);
        }
        self.restricts();
        self.judge_all();
    }

    /// How many fields a row has at most.
    pub(crate) fn widest(&self) -> usize {
        /// A row that is of no relation has so many at most, as a rule: PostgreSQL's functions take no more arguments.
        const OF_FUNCTIONS: usize = 100;
        let of_relations = || self.catalog.relations().map(|relation| relation.columns.len()).max();
        *self.widest.get_or_init(|| of_relations().unwrap_or_default().max(OF_FUNCTIONS))
    }

    /// What the caller may do with each column of a relation, in order; nothing where the relation is hidden or isn't there.
    pub fn columns(&self, schema: &str, name: &str) -> Option<Vec<(Arc<str>, Restriction)>> {
        match self.sight(schema, name)? {
            Sight::Hidden => None,
            Sight::Seen(seen) => {
                let known = seen.columns.known().iter();
                Some(known.filter_map(|column| Some((column.name.clone()?, column.restriction))).collect())
            }
        }
    }

    /// What the caller may do with a relation's column, counted from 0; nothing where the relation or the column isn't there.
    pub fn restriction(&self, relation: &RelationName, column: usize) -> Option<Restriction> {
        match self.sight(&relation.schema, &relation.name)? {
            Sight::Hidden => Some(Restriction::Hidden),
            Sight::Seen(seen) => seen.columns.known().get(column).map(|column| column.restriction),
        }
    }

    /// Whether policy hides or masks anything.
    pub fn restricts(&self) -> bool {
        *self.restricts.get_or_init(|| {
            self.catalog.relations().any(|relation| match self.look_at(&relation.name) {
                Some(Sight::Seen(seen)) => seen.to_views.worst() >= Restriction::Masked,
                _ => true,
            })
        })
    }

    /// What a relation is to the caller's statements; nothing where there is none. One that the role may not read is as good as
    /// hidden.
    pub(crate) fn sight(&self, schema: &str, name: &str) -> Option<Sight> {
        match self.look_at(&RelationName { schema: schema.to_string(), name: name.to_string() })? {
            Sight::Seen(seen) if !seen.is_readable => Some(Sight::Hidden),
            sight => Some(sight),
        }
    }

    /// The relations that the caller may know of.
    pub fn visible(&self) -> impl Iterator<Item = &Relation> {
        self.catalog
            .relations()
            .filter(|relation| matches!(self.sight(&relation.name.schema, &relation.name.name), Some(Sight::Seen(_))))
    }
}

/// The value behind a lock that no panic leaves half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
