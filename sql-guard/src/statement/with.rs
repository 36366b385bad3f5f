//! WITH: common table expressions, and from where each is visible.

use pg_query::NodeEnum;
use pg_query::protobuf::{CommonTableExpr, CteCycleClause, CteSearchClause, WithClause};

use super::kind::{kind, write_denied};
use super::{Walk, names};
use crate::columns::Columns;
use crate::rejection::Rejection;
use crate::relations::Named;

impl Walk<'_> {
    /// Judges a WITH clause and makes its names visible.
    pub(super) fn with(&mut self, with: &WithClause) -> Result<(), Rejection> {
        let WithClause { ctes, recursive, location } = with;
        let mut expressions = Vec::new();
        for cte in ctes {
            match &cte.node {
                Some(NodeEnum::CommonTableExpr(cte)) => expressions.push(cte.as_ref()),
                _ => return Err(self.unexpected(cte, *location)),
            }
        }
        // WITH RECURSIVE makes every name of the clause visible in all of it, the ones to come too.
        if *recursive {
            for cte in &expressions {
                let columns = Columns::at_least(&names(&cte.aliascolnames))?;
                self.level().ctes.push(Named { name: cte.ctename.clone(), columns });
            }
        }
        for (number, cte) in expressions.into_iter().enumerate() {
            let columns = self.common_table(cte)?;
            let named = Named { name: cte.ctename.clone(), columns };
            match recursive {
                true => self.level().ctes[number] = named,
                false => self.level().ctes.push(named),
            }
        }
        Ok(())
    }

    fn common_table(&mut self, cte: &CommonTableExpr) -> Result<Columns, Rejection> {
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
            columns.push(Some(search_seq_column))?;
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
            columns.push(Some(cycle_mark_column))?;
            columns.push(Some(cycle_path_column))?;
        }
        Ok(columns)
    }
}
