//! Smaller statements that fail in the same way.

use pg_query::protobuf::SelectStmt;

use crate::tree::{self, Spot};

/// One way to make a query smaller; nothing where it wouldn't become so.
type Cut = fn(&mut SelectStmt, usize) -> bool;

const CUTS: &[Cut] = &[
    |query, at| {
        query.larg.is_some() && at < 2 && {
            let side = if at == 0 { query.larg.take() } else { query.rarg.take() };
            side.is_some_and(|side| {
                *query = *side;
                true
            })
        }
    },
    |query, at| at == 0 && query.where_clause.take().is_some(),
    |query, at| at == 0 && query.having_clause.take().is_some(),
    |query, at| at == 0 && (query.limit_count.take().is_some() | query.limit_offset.take().is_some()),
    |query, at| cut(&mut query.from_clause, at),
    |query, at| cut(&mut query.sort_clause, at),
    |query, at| cut(&mut query.group_clause, at),
    |query, at| cut(&mut query.distinct_clause, at),
    |query, at| cut(&mut query.target_list, at),
    |query, at| {
        let Some(with) = &mut query.with_clause else { return false };
        let is_cut = cut(&mut with.ctes, at);
        if with.ctes.is_empty() {
            query.with_clause = None;
        }
        is_cut
    },
];

fn cut<T>(list: &mut Vec<T>, at: usize) -> bool {
    at < list.len() && {
        list.remove(at);
        true
    }
}

/// Every statement that is one cut smaller.
pub(crate) fn smaller(text: &str) -> Vec<String> {
    let Some(select) = tree::parse(text) else { return Vec::new() };
    let mut queries = 0;
    tree::visit(&mut select.clone(), &mut |spot| queries += usize::from(matches!(spot, Spot::Query(_))));
    let mut found = Vec::new();
    for chosen in 0..queries {
        for cut in CUTS {
            for at in 0..40 {
                let mut select = select.clone();
                let (mut number, mut is_cut) = (0, false);
                tree::visit(&mut select, &mut |spot| {
                    if let Spot::Query(query) = spot {
                        if number == chosen {
                            is_cut = cut(query, at);
                        }
                        number += 1;
                    }
                });
                if !is_cut {
                    break;
                }
                found.extend(tree::print(&select).filter(|smaller| smaller.len() < text.len()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_can_go() {
        let found = smaller("SELECT a, b FROM t, u WHERE c UNION SELECT d");
        for expected in [
            "SELECT d",
            "SELECT a, b FROM t, u WHERE c",
            "SELECT b FROM t, u WHERE c UNION SELECT d",
            "SELECT a, b FROM t WHERE c UNION SELECT d",
        ] {
            assert!(found.iter().any(|text| text == expected), "{expected} in {found:?}");
        }
    }
}
