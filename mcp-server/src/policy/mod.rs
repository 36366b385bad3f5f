//! Policy: what each caller may see and take, from a file that may change while the server runs.

mod file;
mod report;
mod watch;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use sql_guard::Policy;

pub use file::{Known, PolicyError};

use crate::caller::Caller;
use file::{KeySection, PolicyFile, Section};

/// The rules for one caller on one database.
#[derive(Debug)]
pub struct Rules {
    /// Tells these rules from all others of the process.
    pub id: u64,
    /// What may be seen and called.
    pub policy: Arc<Policy>,
    /// What may be taken.
    pub limits: PolicyLimits,
}

/// What a caller may take; nothing where no rule says so.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PolicyLimits {
    /// Highest cost that the planner may estimate.
    pub max_cost: Option<f64>,
    /// Most rows that the planner may estimate.
    pub max_estimated_rows: Option<u64>,
    /// Most rows of a table that may be read from end to end.
    pub deny_seq_scan_over_rows: Option<u64>,
    /// Whether EXPLAIN may run the statement.
    pub allow_explain_analyze: bool,
    /// Statements at once.
    pub max_concurrent_queries: Option<usize>,
    /// Most rows of a result.
    pub max_rows: Option<u64>,
    /// Most time of a statement.
    pub statement_timeout: Option<Duration>,
    /// Settings of each transaction, for row-level security.
    pub session: Vec<(String, String)>,
}

/// The policy in force. Clones share it.
#[derive(Debug, Clone)]
pub struct Policies(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: Option<PathBuf>,
    known: Known,
    current: ArcSwap<PolicySet>,
    /// Files that were in force before.
    generation: AtomicU64,
}

/// What a policy file held when it was looked at last.
#[derive(Debug, Default)]
pub struct Seen(Option<String>);

/// A file, and the rules that were made of it so far.
#[derive(Debug)]
struct PolicySet {
    file: PolicyFile,
    made: Mutex<HashMap<Whose, Arc<Rules>>>,
}

/// Whose rules: the sections that a file has for them.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
struct Whose {
    database: String,
    key: Option<String>,
    subject: Option<String>,
}

impl Policies {
    /// The policy in the file at `path`, or none but that columns named like secrets are masked.
    ///
    /// # Errors
    /// [`PolicyError`] where there is a file and it can't be used.
    pub fn load(path: Option<PathBuf>, known: Known) -> Result<Self, PolicyError> {
        let file = match &path {
            Some(path) => PolicyFile::parse(&PolicyFile::text(path)?, &known)?,
            None => PolicyFile::default(),
        };
        Ok(Self(Arc::new(Inner {
            path,
            known,
            current: ArcSwap::from_pointee(PolicySet::new(file)),
            generation: AtomicU64::new(0),
        })))
    }

    /// The policy file; an empty path where there is none.
    pub(super) fn path(&self) -> &std::path::Path {
        self.0.path.as_deref().unwrap_or(std::path::Path::new(""))
    }

    /// Whether there is a policy file.
    pub fn has_file(&self) -> bool {
        self.0.path.is_some()
    }

    /// A number that is another one with every new policy.
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Relaxed)
    }

    /// Whether a key may act for others.
    pub fn may_act_for(&self, key: &str) -> bool {
        self.0.current.load().file.keys.get(key).is_some_and(|section| section.may_act_for)
    }

    /// The rules for a caller on a database. As long as the policy stays the same they are the same ones.
    pub fn rules(&self, database: &str, caller: &Caller) -> Arc<Rules> {
        let set = self.0.current.load();
        // Callers whom no section names have their key's rules: there is no end to their names.
        let subject = caller.subject.clone().filter(|subject| set.file.subjects.contains_key(subject));
        let key = Some(caller.key.clone()).filter(|key| set.file.keys.contains_key(key));
        let wanted = Whose { database: database.to_owned(), key, subject };
        let mut made = set.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rules) = made.get(&wanted) {
            return Arc::clone(rules);
        }
        let rules = Arc::new(set.file.rules(&wanted));
        made.insert(wanted, Arc::clone(&rules));
        rules
    }

    /// Reads the file again. A bad one leaves what is in force as it is, and so does one that isn't as it was at the last look, which
    /// `seen` keeps: it may be half written. Says whether anything changed.
    ///
    /// # Errors
    /// As [`Policies::load`].
    pub fn reload(&self, seen: &mut Seen) -> Result<bool, PolicyError> {
        let Some(path) = &self.0.path else { return Ok(false) };
        let text = PolicyFile::text(path)?;
        if seen.0.as_ref() != Some(&text) {
            seen.0 = Some(text);
            return Ok(false);
        }
        let file = PolicyFile::parse(&text, &self.0.known)?;
        if file == self.0.current.load().file {
            return Ok(false);
        }
        self.0.current.store(Arc::new(PolicySet::new(file)));
        self.0.generation.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }
}

impl PolicySet {
    fn new(file: PolicyFile) -> Self {
        Self { file, made: Mutex::default() }
    }
}

impl PolicyFile {
    /// The sections that hold for a caller, from the widest to the narrowest.
    fn sections(&self, whose: &Whose) -> Vec<&Section> {
        let key: Option<&KeySection> = whose.key.as_ref().and_then(|key| self.keys.get(key));
        let of_key = key.map(|key| &key.rules);
        let of_key_here = key.and_then(|key| key.databases.get(&whose.database));
        let of_subject = whose.subject.as_ref().and_then(|subject| self.subjects.get(subject));
        [Some(&self.default), self.databases.get(&whose.database), of_key, of_key_here, of_subject]
            .into_iter()
            .flatten()
            .collect()
    }

    fn rules(&self, whose: &Whose) -> Rules {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let sections = self.sections(whose);
        let all = || sections.iter().copied();
        let policy = Policy {
            deny_tables: all().flat_map(|section| section.deny_tables.clone()).collect(),
            allow_tables: all().filter_map(|section| section.allow_tables.clone()).collect(),
            deny_columns: all().flat_map(|section| section.deny_columns.clone()).collect(),
            mask_columns: all().flat_map(|section| section.mask_columns.clone()).collect(),
            allow_functions: all().filter_map(|section| section.allow_functions.clone()).collect(),
            // A section that asks for it outweighs those that don't want it.
            mask_sensitive: all().any(|section| section.mask_sensitive == Some(true))
                || all().all(|section| section.mask_sensitive != Some(false)),
        };
        let least = |value: fn(&Section) -> Option<u64>| all().filter_map(value).min();
        let mut session = BTreeMap::new();
        for section in all() {
            session.extend(section.session.clone());
        }
        let limits = PolicyLimits {
            max_cost: all().filter_map(|section| section.max_cost).reduce(f64::min),
            max_estimated_rows: least(|section| section.max_estimated_rows),
            deny_seq_scan_over_rows: least(|section| section.deny_seq_scan_over_rows),
            allow_explain_analyze: all().any(|section| section.allow_explain_analyze == Some(true))
                && all().all(|section| section.allow_explain_analyze != Some(false)),
            max_concurrent_queries: all().filter_map(|section| section.max_concurrent_queries).min(),
            max_rows: least(|section| section.max_rows),
            statement_timeout: least(|section| section.statement_timeout_ms).map(Duration::from_millis),
            session: session.into_iter().collect(),
        };
        Rules { id: NEXT.fetch_add(1, Ordering::Relaxed), policy: Arc::new(policy), limits }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> PolicyFile {
        let known = Known { databases: Some(["shop".to_owned()].into()), keys: ["web".to_owned()].into() };
        PolicyFile::parse(text, &known).unwrap()
    }

    fn whose(database: &str, key: &str, subject: Option<&str>) -> Whose {
        Whose { database: database.into(), key: Some(key.into()), subject: subject.map(Into::into) }
    }

    #[test]
    fn all_sections_that_match_hold_together() {
        let file = file(
            r#"
            [default]
            deny_tables = ["a.a"]
            allow_tables = ["*.*"]
            max_rows = 100
            max_cost = 5.5
            allow_explain_analyze = true
            session = { "app.tenant" = "none", "app.zone" = "eu" }
            [databases.shop]
            deny_tables = ["b.b"]
            max_rows = 50
            [keys.web]
            mask_columns = ["c.c.c"]
            max_rows = 70
            [keys.web.databases.shop]
            allow_tables = ["d.*"]
            allow_explain_analyze = false
            [subjects.alice]
            deny_columns = ["e.e.e"]
            statement_timeout_ms = 10
            session = { "app.tenant" = "alice" }
            "#,
        );
        let Rules { policy, limits, .. } = file.rules(&whose("shop", "web", Some("alice")));
        assert_eq!((policy.deny_tables.len(), policy.allow_tables.len()), (2, 2));
        assert_eq!((policy.mask_columns.len(), policy.deny_columns.len()), (1, 1));
        assert_eq!((limits.max_rows, limits.max_cost), (Some(50), Some(5.5)));
        assert_eq!(limits.statement_timeout, Some(Duration::from_millis(10)));
        assert!(!limits.allow_explain_analyze);
        let session: Vec<_> = limits.session.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(session, [("app.tenant", "alice"), ("app.zone", "eu")]);
        let Rules { policy, limits, .. } = file.rules(&whose("other", "default", Some("bob")));
        assert_eq!((policy.deny_tables.len(), policy.allow_tables.len(), limits.max_rows), (1, 1, Some(100)));
        assert!(limits.allow_explain_analyze);
    }

    #[test]
    fn secrets_are_masked_unless_nobody_wants_it() {
        let check = |text: &str, expected: bool| {
            assert_eq!(file(text).rules(&whose("shop", "web", None)).policy.mask_sensitive, expected, "{text}");
        };
        check("", true);
        check("[default]\nmask_sensitive = false", false);
        check("[default]\nmask_sensitive = false\n[keys.web]\nmask_sensitive = true", true);
        check("[databases.shop]\nmask_sensitive = false", false);
    }

    #[test]
    fn callers_of_no_name_share_their_rules() {
        let known = Known { databases: Some(["shop".to_owned()].into()), keys: ["web".to_owned()].into() };
        let policies = Policies::load(None, known).unwrap();
        let rules = |key: &str, subject: Option<&str>| {
            let caller = Caller { subject: subject.map(str::to_owned), ..Caller::of_key(key) };
            policies.rules("shop", &caller).id
        };
        assert_eq!(rules("web", None), rules("other", Some("bob")));
        assert!(!policies.may_act_for("web"));
    }
    #[test]
    fn a_half_written_file_is_never_in_force() {
        let known = Known { databases: Some(["shop".to_owned()].into()), keys: ["web".to_owned()].into() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.toml");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        write("[default]\ndeny_tables = [\"a.a\"]\n[keys.web]\ndeny_tables = [\"b.b\"]");
        let policies = Policies::load(Some(path.clone()), known).unwrap();
        let denied = || policies.rules("shop", &Caller::of_key("web")).policy.deny_tables.len();
        let mut seen = Seen::default();
        assert!(!policies.reload(&mut seen).unwrap());
        // The file as it is on the way: all that it says by now is right.
        write("[default]\ndeny_tables = [\"a.a\"]\n");
        assert!(!policies.reload(&mut seen).unwrap());
        assert_eq!(denied(), 2);
        write("[default]\ndeny_tables = [\"a.a\"]\n[keys.web]\ndeny_tables = [\"b.b\", \"c.c\"]");
        assert!(!policies.reload(&mut seen).unwrap());
        assert_eq!(denied(), 2);
        assert!(policies.reload(&mut seen).unwrap(), "two looks agree");
        assert_eq!(denied(), 3);
        assert!(!policies.reload(&mut seen).unwrap(), "nothing is new");
    }
}
