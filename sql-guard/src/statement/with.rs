//! WITH: common table expressions, and from where each is visible.

use pg_query::NodeEnum;
use pg_query::protobuf::{CommonTableExpr, CteCycleClause, CteMaterialize, CteSearchClause, WithClause};

use super::kind::{kind, write_denied};
use super::{Walk, names};
use crate::columns::{Column, Columns};
use crate::rejection::Rejection;
use crate::scope::{Cte, CteSize, CteState};

impl<'a> Walk<'a> {
    /// Judges a WITH clause and makes its names visible.
    pub(super) fn with(&mut self, with: &'a WithClause) -> Result<(), Rejection> {
        let WithClause { ctes, recursive, location } = with;
        let mut waiting = Vec::new();
        for cte in ctes {
            match &cte.node {
                Some(NodeEnum::CommonTableExpr(cte)) => {
                    waiting.push(Cte { name: &cte.ctename, state: CteState::Waiting(cte), size: CteSize::Computed });
                }
                _ => return Err(self.unexpected(cte, *location)),
            }
        }
        if *recursive {
            // Every name of the clause is visible in all of it, the ones to come too.
            self.level().ctes = waiting;
            for at in 0..self.level().ctes.len() {
                if let CteState::Waiting(_) = self.level().ctes[at].state {
                    self.judge_cte(at)?;
                }
            }
            return Ok(());
        }
        for cte in waiting {
            let CteState::Waiting(expression) = cte.state else { continue };
            let (columns, size) = self.measured_table(expression)?;
            self.level().ctes.push(Cte { name: cte.name, state: CteState::Judged(columns), size });
        }
        Ok(())
    }

    /// Judges an expression of the innermost level's WITH RECURSIVE.
    pub(super) fn judge_cte(&mut self, at: usize) -> Result<Columns, Rejection> {
        let CteState::Waiting(expression) = self.level().ctes[at].state else {
            return Err(self.unknown("a WITH query that is needed for itself", -1));
        };
        self.level().ctes[at].state = CteState::Begun(Columns::at_least(&names(&expression.aliascolnames))?);
        let (columns, size) = self.measured_table(expression)?;
        let cte = &mut self.level().ctes[at];
        (cte.state, cte.size) = (CteState::Judged(columns.clone()), size);
        Ok(columns)
    }

    /// The columns of an expression, and what a reference to it stands for.
    fn measured_table(&mut self, cte: &'a CommonTableExpr) -> Result<(Columns, CteSize), Rejection> {
        let before = self.expansion.written();
        let (columns, whole) = self.measured(|walk| walk.common_table(cte))?;
        let written = self.expansion.written() - before;
        Ok(match CteMaterialize::try_from(cte.ctematerialized) {
            Ok(CteMaterialize::Never) => (columns, CteSize::Always { nodes: whole.nodes.into(), written }),
            Ok(CteMaterialize::Always) => (columns.computed(), CteSize::Computed),
            _ => (columns, CteSize::Once(written)),
        })
    }

    fn common_table(&mut self, cte: &'a CommonTableExpr) -> Result<Columns, Rejection> {
        let CommonTableExpr {
            ctename,
            aliascolnames,
            ctematerialized: _,
            ctequery,
            search_clause,
            cycle_clause,
            location,
            cterecursive: _,
            cterefcount: _,
            ctecolnames: _,
            ctecoltypes: _,
            ctecoltypmods: _,
            ctecolcollations: _,
        } = cte;
        let mut columns = match ctequery.as_deref().and_then(|query| query.node.as_ref()) {
            Some(NodeEnum::SelectStmt(select)) => {
                let columns = self.select(select)?;
                self.renamed(columns, &names(aliascolnames))?
            }
            Some(other) => {
                let kind = kind(other, "");
                return Err(write_denied(&format!("the WITH query {ctename} would run {kind}"), kind.trim())
                    .suggest("Only SELECT, VALUES and TABLE may stand in a WITH query.")
                    .at(self.text, *location));
            }
            None => return Err(self.unknown("a WITH query without a statement", *location)),
        };
        if let Some(search) = search_clause {
            let CteSearchClause { search_col_list: _, search_breadth_first: _, search_seq_column, location: _ } =
                search;
            columns.push(Column::free(search_seq_column.as_str()))?;
        }
        if let Some(cycle) = cycle_clause {
            let CteCycleClause {
                cycle_col_list: _,
                cycle_mark_column,
                cycle_mark_value,
                cycle_mark_default,
                cycle_path_column,
                location,
                cycle_mark_type: _,
                cycle_mark_typmod: _,
                cycle_mark_collation: _,
                cycle_mark_neop: _,
            } = cycle.as_ref();
            self.optional(cycle_mark_value.as_deref())?;
            self.optional(cycle_mark_default.as_deref())?;
            self.implied_operator("=", *location)?;
            columns.push(Column::free(cycle_mark_column.as_str()))?;
            columns.push(Column::free(cycle_path_column.as_str()))?;
        }
        Ok(columns)
    }
}
