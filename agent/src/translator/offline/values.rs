//! Values of a question fitted to the column that they are compared with: its type, its labels, its length.

use super::columns::{self, Family};
use super::draft::Stuck;
use super::evidence::{Literal, Meaning};
use super::lexicon::Role;
use super::places;
use super::plan::Operand;
use super::reader::Reader;
use super::scope::ColumnRef;
use super::words::split_identifier;

impl Reader<'_> {
    /// The current term as a value of `column`; a plain word only where `expected` says that a value must come.
    pub(super) fn operand(&mut self, column: ColumnRef, expected: bool) -> Result<Option<Operand>, Stuck> {
        let Some(term) = self.terms.get(self.at) else { return Ok(None) };
        let own_label = term.meanings.iter().find_map(|m| match &m.meaning {
            Meaning::Label(of, label) if *of == column => Some(label.clone()),
            _ => None,
        });
        let value = match (&term.literal, own_label) {
            (_, Some(label)) => Some(Operand::new(label)),
            (Some(Literal::Number(number)), None) => self.number_for(column, number)?,
            (Some(Literal::Quoted(text) | Literal::Name(text)), None) => Some(self.text_for(column, text)?),
            (Some(Literal::Word(text)), None) if expected || self.is_labelled(column) => {
                Some(self.text_for(column, text)?)
            }
            _ => None,
        };
        if value.is_some() {
            self.at += 1;
        }
        Ok(value)
    }

    /// Whether the column allows listed values only, so that a word behind it must be one.
    fn is_labelled(&self, column: ColumnRef) -> bool {
        columns::labels(self.schema.table(column.table), self.schema.column(column)).is_some()
    }

    pub(super) fn number_for(&self, column: ColumnRef, number: &str) -> Result<Option<Operand>, Stuck> {
        let fraction = number.contains('.');
        Ok(match self.schema.family(column) {
            Family::Integer | Family::Decimal if !fraction => {
                // What exceeds 64 bits goes as the string that PostgreSQL reads.
                Some(number.parse::<i64>().map_or_else(|_| Operand::new(number), Operand::new))
            }
            Family::Integer => Some(Operand { is_fraction: true, ..Operand::new(number) }),
            Family::Decimal => Some(Operand::new(number)),
            Family::Float => number.parse::<f64>().ok().map(Operand::new),
            Family::Text => Some(self.text_for(column, number)?),
            _ => None,
        })
    }

    /// A text as a value of `column`, checked against the values and the length that it allows.
    pub(super) fn text_for(&self, column: ColumnRef, text: &str) -> Result<Operand, Stuck> {
        let definition = self.schema.column(column);
        if let Some(labels) = columns::labels(self.schema.table(column.table), definition) {
            let wanted = split_identifier(text).join(" ");
            return match labels.iter().find(|label| split_identifier(label).join(" ") == wanted) {
                Some(label) => Ok(Operand::new(label.as_str())),
                None => self.stuck_because(format!("{} is one of {}", definition.name, labels.join(", "))),
            };
        }
        let text = &self.as_stored(text)?;
        let family = self.schema.family(column);
        let too_long = columns::max_length(definition).is_some_and(|most| text.chars().count() > most);
        if too_long || !matches!(family, Family::Text | Family::Uuid) {
            return self
                .stuck_because(format!("{} can't be '{text}': it is {}", definition.name, definition.data_type));
        }
        Ok(Operand::new(text.as_str()))
    }

    /// The current term's text in the case in which it is likely to be stored: "GERMANY" as "Germany".
    fn as_stored(&self, text: &str) -> Result<String, Stuck> {
        let unquoted = matches!(
            self.terms.get(self.at).and_then(|t| t.literal.as_ref()),
            Some(Literal::Name(_) | Literal::Word(_))
        );
        let lower_case = |text: &str| text.chars().any(char::is_lowercase);
        // Short ones like "USA" and those with digits are codes.
        let shouted =
            text.chars().count() > 3 && !lower_case(text) && text.chars().all(|c| c.is_uppercase() || c == ' ');
        if !unquoted || !shouted {
            return Ok(text.to_string());
        }
        if let Some(known) = places::title_case(text) {
            return Ok(known);
        }
        let all_shouted = self.terms.iter().all(|term| !lower_case(&term.text));
        if all_shouted || self.role_before(self.at) == Some(Role::Place) {
            return self.stuck_because(format!("in which case '{text}' is stored is not clear; quote it as it is"));
        }
        Ok(text.to_string())
    }
}
