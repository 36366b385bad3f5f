//! The text that we send around statements: the pins, the read-only transaction, and what undoes a function's traces.
//! See safety.md, wall 2.
//!
//! It goes over the simple protocol, several commands in one round trip, so values stand in it as literals: they are the
//! operator's settings, written so that no character of theirs can end the literal.

use std::fmt::Write;

use crate::config::PostgresMode;

/// Whether anything in the session is such that no command takes it back: one SELECT-list expression.
const KEEPS_STATE: &str = include_str!("sql/keeps_state.sql");

/// What no rollback takes back: session locks, and random numbers that a function's setseed() made foreseeable.
const UNDO: &str = "pg_catalog.pg_advisory_unlock_all(), \
    pg_catalog.setseed(('x' || pg_catalog.left(pg_catalog.md5(pg_catalog.gen_random_uuid()::text), 8))::bit(32)::int / 2147483648.0)";

/// A setting's name and value.
pub type Setting = (String, String);

/// What a statement needs around it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    /// Settings bound for its transaction, for row-level security.
    pub settings: Vec<Setting>,
    /// Whether it may call a user's function, which may leave something behind.
    pub runs_user_code: bool,
    /// Whether several statements are to see the same state of the database.
    pub snapshot: bool,
}

/// How the sessions of one database are set up.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) mode: PostgresMode,
    /// Settings that every statement may rely on.
    pub(super) pins: Vec<Setting>,
    /// Whether each statement stands in a transaction of its own though its frame asks for none.
    pub(super) always_transaction: bool,
}

/// How long a setting holds.
#[derive(Debug, Clone, Copy)]
enum Scope {
    Session,
    Transaction,
}

impl Setup {
    /// Sets the pins for the session and gives the backend's process id as `pid`.
    pub(super) fn pin(&self) -> String {
        format!("SELECT pg_catalog.pg_backend_pid() AS pid{}", set(&self.pins, Scope::Session))
    }

    /// Whether a statement with this frame stands in a transaction.
    pub(super) fn needs_transaction(&self, frame: &Frame) -> bool {
        // A function's NOTIFY and its new large object would take effect at a commit, read-only or not.
        let is_asked_for = frame.snapshot || frame.runs_user_code || !frame.settings.is_empty();
        is_asked_for || self.always_transaction || self.mode == PostgresMode::Pooler
    }

    /// Begins the transaction, with the settings of the frame and, where no session is ours to keep, the pins. Gives the
    /// backend's process id as `pid`.
    pub(super) fn begin(&self, frame: &Frame) -> String {
        let pins = if self.mode == PostgresMode::Pooler { self.pins.as_slice() } else { &[] };
        let settings = [set(pins, Scope::Transaction), set(&frame.settings, Scope::Transaction)].concat();
        let isolation = if frame.snapshot { "ISOLATION LEVEL REPEATABLE READ " } else { "" };
        format!("BEGIN {isolation}READ ONLY; SELECT pg_catalog.pg_backend_pid() AS pid{settings}")
    }

    /// Ends the transaction and undoes what a user's function may have done to the session. Gives as `keeps_state` whether
    /// something is left all the same, so that the session can't be lent again.
    pub(super) fn end(&self, frame: &Frame) -> String {
        match (frame.runs_user_code, self.mode) {
            (false, _) => "ROLLBACK".to_owned(),
            // The rollback alone takes settings, roles, cursors and LISTEN back. They are named all the same: it costs no round
            // trip, and then two walls stand here.
            (true, PostgresMode::Direct) => format!(
                "ROLLBACK; SET SESSION AUTHORIZATION DEFAULT; RESET ROLE; RESET ALL; CLOSE ALL; UNLISTEN *; DISCARD TEMP; {}; \
                 SELECT {UNDO}, ({KEEPS_STATE}) AS keeps_state",
                self.pin()
            ),
            // The next who has this session is somebody else, and closing our connection doesn't close it: it is ended. Names
            // are looked up nowhere but in pg_catalog, since the pins are gone.
            (true, PostgresMode::Pooler) => format!(
                "ROLLBACK; BEGIN READ ONLY; SET LOCAL search_path TO pg_catalog, pg_temp; \
                 SELECT {UNDO}, false AS keeps_state; \
                 SELECT pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid()) AS keeps_state WHERE ({KEEPS_STATE}); \
                 ROLLBACK"
            ),
        }
    }
}

/// More items of a SELECT list, which set `settings`.
fn set(settings: &[Setting], scope: Scope) -> String {
    let is_local = matches!(scope, Scope::Transaction);
    settings
        .iter()
        .map(|(name, value)| format!(", pg_catalog.set_config({}, {}, {is_local})", literal(name), literal(value)))
        .collect()
}

/// `text` as a string constant of ASCII letters alone, so that it means the same in every client encoding and whatever
/// `standard_conforming_strings` says.
fn literal(text: &str) -> String {
    let mut literal = String::from("E'");
    for letter in text.chars() {
        match letter {
            '\'' => literal.push_str("''"),
            '\\' => literal.push_str("\\\\"),
            ' '..='~' => literal.push(letter),
            _ => write!(literal, "\\U{:08X}", u32::from(letter)).expect("writing to a String can't fail"),
        }
    }
    literal.push('\'');
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_hold_whatever_stands_in_them() {
        let check = |text: &str, expected: &str| assert_eq!(literal(text), expected, "{text:?}");
        check("", "E''");
        check("a'b", "E'a''b'");
        check("\\'; DROP TABLE t; --", "E'\\\\''; DROP TABLE t; --'");
        check("é\n😀", "E'\\U000000E9\\U0000000A\\U0001F600'");
    }

    #[test]
    fn only_what_needs_one_stands_in_a_transaction() {
        let plain = Frame::default();
        let tenant = Frame { settings: vec![("app.tenant".into(), "a".into())], ..Frame::default() };
        let snapshot = Frame { snapshot: true, ..Frame::default() };
        let user_code = Frame { runs_user_code: true, ..Frame::default() };
        let check = |mode, always_transaction, frame: &Frame, expected: bool| {
            let setup = Setup { mode, pins: Vec::new(), always_transaction };
            assert_eq!(setup.needs_transaction(frame), expected, "{mode:?}, {always_transaction}, {frame:?}");
        };
        check(PostgresMode::Direct, false, &plain, false);
        check(PostgresMode::Direct, true, &plain, true);
        check(PostgresMode::Direct, false, &tenant, true);
        check(PostgresMode::Direct, false, &user_code, true);
        check(PostgresMode::Direct, false, &snapshot, true);
        check(PostgresMode::Pooler, false, &plain, true);
    }
}
