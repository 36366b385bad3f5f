//! What of a statement's plan may be told.

use shared_protocol::catalog::TableKind;
use sql_guard::{CheckedQuery, RelationName, Restriction};

use super::ToolError;
use crate::catalog::Visible;

/// That the plan of a statement tells the caller nothing that they may not read: conditions and values that
/// stand in a view's definition or in a row-level security policy, masked values that the planner computes beforehand, and how many
/// rows of others there are. So there is a plan for relations alone that are read as they stand, by functions too.
pub(super) fn tells_nothing_hidden(query: &CheckedQuery, visible: &Visible) -> Result<(), ToolError> {
    let denied = |name: &RelationName, why: &str| ToolError::Denied {
        message: format!("the plan of a statement over {}.{} is not told: {why}", name.schema, name.name),
        suggestion: "Explain a statement over other tables.".to_owned(),
    };
    if visible.access().plan_shows_restricted(query.functions_in_from()) {
        return Err(ToolError::Denied {
            message: "the plan of this statement is not told: it would show what a function in FROM reads".to_owned(),
            suggestion: "Explain a statement that reads tables itself.".to_owned(),
        });
    }
    let restricts = visible.access().restricts();
    for name in query.relations() {
        // System catalogs and their like, and partitions, aren't listed.
        let Some(table) = visible.table(&name.schema, &name.name) else {
            if restricts {
                return Err(denied(name, "policy hides or masks something in this database"));
            }
            continue;
        };
        if visible.has_row_security(table) {
            return Err(denied(name, "row-level security, or code behind the table, decides what of it may be known"));
        }
        let is_view = matches!(table.r#type, TableKind::View | TableKind::ForeignTable);
        if is_view && (restricts || visible.reads_row_security(name)) {
            return Err(denied(name, "it would show what stands behind it"));
        }
        let columns = visible.access().columns(&name.schema, &name.name).unwrap_or_default();
        if columns.iter().any(|(_, restriction)| *restriction != Restriction::Free) {
            return Err(denied(name, "policy hides or masks some of its columns"));
        }
    }
    Ok(())
}
