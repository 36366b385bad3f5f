//! Statements made of others: parts of one in the place of another's, and what a guard may misread put around them.

mod changes;
mod fragments;
mod items;

use pg_query::protobuf::{Node, SelectStmt};
use rand::Rng;
use rand::rngs::StdRng;

use crate::schema::Schema;
use crate::tree::{self, Spot};

/// Longest statement that is made, in bytes.
const MAX_BYTES: usize = 2500;

/// Makes statements of the parts of those that it has been fed.
pub(crate) struct Mutator<'s> {
    rng: StdRng,
    schema: &'s Schema,
    expressions: Vec<Node>,
    sources: Vec<Node>,
    queries: Vec<SelectStmt>,
    /// Columns that are told to be interesting, by the names of their relations.
    focus: Vec<(String, String)>,
}

impl<'s> Mutator<'s> {
    pub(crate) fn new(rng: StdRng, schema: &'s Schema) -> Self {
        Self { rng, schema, expressions: Vec::new(), sources: Vec::new(), queries: Vec::new(), focus: Vec::new() }
    }

    /// Takes up the parts of a statement.
    pub(crate) fn feed(&mut self, text: &str) {
        let Some(mut select) = tree::parse(text) else { return };
        tree::visit(&mut select, &mut |spot| match spot {
            Spot::Query(query) => self.queries.push(query.clone()),
            Spot::Expression(node) => self.expressions.push(node.clone()),
            Spot::Source(node) => self.sources.push(node.clone()),
        });
    }

    /// Says which columns the present policy restricts, so that they come up often.
    pub(crate) fn focus(&mut self, columns: Vec<(String, String)>) {
        self.focus = columns;
    }

    /// A statement made of another one by one to five changes; nothing where they come to no statement of a usual size.
    pub(crate) fn mutate(&mut self, text: &str) -> Option<String> {
        if self.rng.random_bool(0.1) {
            return self.change_tokens(text);
        }
        let mut select = tree::parse(text)?;
        for _ in 0..self.rng.random_range(1..=5) {
            self.change(&mut select);
        }
        let text = tree::print(&select)?;
        (text.len() <= MAX_BYTES).then_some(text)
    }

    fn change(&mut self, select: &mut SelectStmt) {
        match self.rng.random_range(0..18) {
            0..5 => self.at_query(select, Self::add_output),
            5..7 => self.at_query(select, Self::add_source),
            7 => self.at_query(select, Self::add_condition),
            8 => self.at_query(select, Self::add_clause),
            9..11 => self.at_query(select, Self::wrap),
            11 => self.at_query(select, Self::combine),
            12 => self.at_query(select, Self::add_with),
            13 => self.at_expression(select, Self::replace_expression),
            14 => self.at_expression(select, Self::rename_column),
            15 => self.at_source(select, Self::replace_source),
            16 => self.at_source(select, Self::rename_source),
            _ => self.at_query(select, Self::drop_something),
        }
    }

    fn at_query(&mut self, select: &mut SelectStmt, change: fn(&mut Self, &mut SelectStmt)) {
        let mut count = 0;
        tree::visit(select, &mut |spot| count += usize::from(matches!(spot, Spot::Query(_))));
        // The outermost query decides what is put out.
        let chosen = if self.rng.random_bool(0.4) { 0 } else { self.rng.random_range(0..count) };
        let mut at = 0;
        tree::visit(select, &mut |spot| {
            if let Spot::Query(query) = spot {
                if at == chosen {
                    change(self, query);
                }
                at += 1;
            }
        });
    }

    fn at_expression(&mut self, select: &mut SelectStmt, change: fn(&mut Self, &mut Node)) {
        let mut count = 0;
        tree::visit(select, &mut |spot| count += usize::from(matches!(spot, Spot::Expression(_))));
        let chosen = self.rng.random_range(0..count.max(1));
        let mut at = 0;
        tree::visit(select, &mut |spot| {
            if let Spot::Expression(node) = spot {
                if at == chosen {
                    change(self, node);
                }
                at += 1;
            }
        });
    }

    fn at_source(&mut self, select: &mut SelectStmt, change: fn(&mut Self, &mut Node)) {
        let mut count = 0;
        tree::visit(select, &mut |spot| count += usize::from(matches!(spot, Spot::Source(_))));
        let chosen = self.rng.random_range(0..count.max(1));
        let mut at = 0;
        tree::visit(select, &mut |spot| {
            if let Spot::Source(node) = spot {
                if at == chosen {
                    change(self, node);
                }
                at += 1;
            }
        });
    }
}
