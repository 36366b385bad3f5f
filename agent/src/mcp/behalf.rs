//! On whose behalf calls are made, and what becomes of that where mcp-server lets the agent's key act for nobody.

use std::sync::Arc;

/// For whom calls are made. It is found out once for a question, so that all its calls are made for the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behalf {
    /// Nobody who has a name: the key's policy holds.
    Nobody,
    /// A caller whom the server would not hear of: the key's policy holds, as long as the server lets the key act for nobody.
    Unsaid,
    /// This caller, whose own policy narrows the key's.
    Subject(Arc<str>),
}

impl Behalf {
    /// The name that goes with each call, and by which all is kept apart that a caller may see.
    pub fn subject(&self) -> Option<&Arc<str>> {
        match self {
            Self::Nobody | Self::Unsaid => None,
            Self::Subject(name) => Some(name),
        }
    }

    /// Whether calls may go over a connection whose key may act for others, or may not.
    pub(super) fn fits(&self, may_act_for: bool) -> bool {
        match self {
            Self::Nobody => true,
            Self::Unsaid => !may_act_for,
            Self::Subject(_) => may_act_for,
        }
    }
}

/// Why callers share a policy.
pub const SHARED: &str = "mcp-server lets the agent's key act for nobody";

/// What to do about it where that is not to be.
pub const TELL_CALLERS_APART: &str =
    "Set may_act_for = true for the agent's key in mcp-server's POLICY_FILE, or REQUIRE_SUBJECT=false.";
