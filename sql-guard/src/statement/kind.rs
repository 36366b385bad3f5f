//! Statements that are no queries: what they are called, and the words of their refusal.

use std::fmt::{self, Write};

use pg_query::NodeEnum;
use pg_query::protobuf::Node;
use shared_protocol::error::ErrorCode;

use crate::parse::first_token;
use crate::rejection::Rejection;

/// The refusal of a statement that is no query.
pub(super) fn not_a_query(statement: &Node, text: &str) -> Rejection {
    let Some(node) = &statement.node else {
        return Rejection::new(ErrorCode::InvalidSql, "The text holds no statement.");
    };
    let kind = kind(node, text);
    let only = "Only SELECT, VALUES, TABLE and WITH … SELECT run here.";
    match node {
        NodeEnum::ExplainStmt(explain) if explain.options.is_empty() && is_select(explain.query.as_deref()) => {
            Rejection::new(ErrorCode::InvalidSql, "EXPLAIN can't be sent as a query")
                .refused("EXPLAIN")
                .suggest("Send the SELECT that follows it by itself, or give it to the tool explain_query.")
        }
        NodeEnum::VariableShowStmt(_) => {
            Rejection::new(ErrorCode::InvalidSql, "SHOW is not allowed: it reads the server's settings")
                .refused("SHOW")
                .suggest(only)
        }
        _ => write_denied(&format!("{kind} is not a statement that only reads"), &kind).suggest(only),
    }
}

fn is_select(statement: Option<&Node>) -> bool {
    matches!(statement.and_then(|statement| statement.node.as_ref()), Some(NodeEnum::SelectStmt(_)))
}

/// The refusal of what would write or lock.
pub(super) fn write_denied(message: &str, refused: &str) -> Rejection {
    Rejection::new(ErrorCode::WriteOperationDenied, message).refused(refused)
}

/// What a statement is called: by its node where a WITH clause may stand before it, else by its first word.
pub(super) fn kind(node: &NodeEnum, text: &str) -> String {
    match node {
        NodeEnum::InsertStmt(_) => "INSERT".to_string(),
        NodeEnum::UpdateStmt(_) => "UPDATE".to_string(),
        NodeEnum::DeleteStmt(_) => "DELETE".to_string(),
        NodeEnum::MergeStmt(_) => "MERGE".to_string(),
        _ => first_word(text),
    }
}

fn first_word(text: &str) -> String {
    let start = usize::try_from(first_token(text, 0)).unwrap_or(0);
    let word: String = text[start..].chars().take_while(|one| one.is_alphanumeric()).collect();
    match word.is_empty() {
        true => "This".to_string(),
        false => word.to_uppercase(),
    }
}

/// The name of a node's kind, without formatting what hangs below it.
pub(super) fn variant(node: &Node) -> String {
    struct Head(String);
    impl Write for Head {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            self.0.extend(part.chars().take_while(char::is_ascii_alphanumeric));
            if part.chars().all(|one| one.is_ascii_alphanumeric()) { Ok(()) } else { Err(fmt::Error) }
        }
    }
    let mut head = Head(String::new());
    if let Some(node) = &node.node {
        // Stops with an error at the first character after the name.
        let _ = write!(head, "{node:?}");
    }
    match head.0.is_empty() {
        true => "an empty node".to_string(),
        false => format!("a construct of kind {}", head.0),
    }
}
