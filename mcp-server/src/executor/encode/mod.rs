//! Typed columns to JSON text: the form that PostgreSQL's `to_json` gives, written once, straight from the wire's binary form.
//!
//! A type without a decoder here is read as `to_json(cN)` in the wrapper (safety.md, wall 1), so no type is ever missing.

mod float;
mod json;
mod numeric;
mod temporal;
mod text;

use std::collections::HashSet;

use base64::Engine;
use shared_protocol::tool::run_sql::ResultColumn;
use sqlx::postgres::{PgRow, PgTypeInfo, PgTypeKind, types::Oid};
use sqlx::{Row, ValueRef};

use super::ExecuteError;

/// How one column's binary form becomes JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decoder {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    Text,
    /// Text that is JSON already: `json` itself, and what the wrapper's `to_json` gives.
    Json,
    /// As `Json`, behind a version byte.
    Jsonb,
    Date,
    Timestamp,
    Uuid,
    Bytea,
}

impl Decoder {
    /// The decoder for a type, where there is one. Sessions run in a time zone that need not be UTC, so time stamps with one
    /// are PostgreSQL's to print.
    pub(super) fn of(type_info: &PgTypeInfo) -> Option<Self> {
        if matches!(type_info.kind(), PgTypeKind::Enum(_)) {
            return Some(Self::Text);
        }
        type_info.oid().and_then(|Oid(oid)| Self::of_oid(oid))
    }

    /// The decoder for a type by its number.
    pub(super) fn of_oid(oid: u32) -> Option<Self> {
        Some(match oid {
            16 => Self::Bool,
            21 => Self::Int2,
            23 => Self::Int4,
            20 => Self::Int8,
            700 => Self::Float4,
            701 => Self::Float8,
            1700 => Self::Numeric,
            19 | 25 | 1042 | 1043 => Self::Text,
            114 => Self::Json,
            3802 => Self::Jsonb,
            1082 => Self::Date,
            1114 => Self::Timestamp,
            2950 => Self::Uuid,
            17 => Self::Bytea,
            _ => return None,
        })
    }

    /// Appends the JSON form of `bytes`; `None` where they aren't what the type sends.
    fn write(self, bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Bool => out.extend_from_slice(if *bytes.first()? == 0 { b"false" } else { b"true" }),
            Self::Int2 => integer(i16::from_be_bytes(bytes.try_into().ok()?), out),
            Self::Int4 => integer(i32::from_be_bytes(bytes.try_into().ok()?), out),
            Self::Int8 => integer(i64::from_be_bytes(bytes.try_into().ok()?), out),
            Self::Float4 => float::write_f32(f32::from_be_bytes(bytes.try_into().ok()?), out),
            Self::Float8 => float::write_f64(f64::from_be_bytes(bytes.try_into().ok()?), out),
            Self::Numeric => numeric::write(bytes, out)?,
            Self::Text => text::write(std::str::from_utf8(bytes).ok()?, out),
            Self::Json => json::write_compact(std::str::from_utf8(bytes).ok()?, out),
            Self::Jsonb => json::write_compact(std::str::from_utf8(bytes.strip_prefix(&[1])?).ok()?, out),
            Self::Date => temporal::write_date(i32::from_be_bytes(bytes.try_into().ok()?), out),
            Self::Timestamp => temporal::write_timestamp(i64::from_be_bytes(bytes.try_into().ok()?), out),
            Self::Uuid => text::write(&uuid::Uuid::from_slice(bytes).ok()?.to_string(), out),
            Self::Bytea => text::write(&base64::engine::general_purpose::STANDARD.encode(bytes), out),
        }
        Some(())
    }

    /// Whether the JSON form is never shorter than the binary one.
    fn only_grows(self) -> bool {
        matches!(self, Self::Text | Self::Bytea)
    }

    fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Json | Self::Jsonb)
    }
}

/// Writes rows as JSON objects, their keys escaped once.
#[derive(Debug)]
pub(super) struct RowEncoder {
    columns: Vec<Encoded>,
}

/// How one column is written.
#[derive(Debug)]
struct Encoded {
    /// Its name as JSON, with the colon.
    key: Vec<u8>,
    name: String,
    decoder: Decoder,
    is_masked: bool,
}

/// What stands for a value that policy hides.
const MASK: &[u8] = b"\"***\"";

impl RowEncoder {
    pub(super) fn new(columns: &[ResultColumn], decoders: Vec<Decoder>) -> Self {
        let key = |name: &str| {
            let mut key = Vec::with_capacity(name.len() + 3);
            text::write(name, &mut key);
            key.push(b':');
            key
        };
        let columns = columns.iter().zip(decoders).map(|(column, decoder)| Encoded {
            key: key(&column.name),
            name: column.name.clone(),
            decoder,
            is_masked: column.masked,
        });
        Self { columns: columns.collect() }
    }

    /// Appends `row` as one JSON object. False where it has more than `most` bytes; then only a part of it is written, for a huge
    /// value must not stand in memory twice.
    ///
    /// # Errors
    /// [`ExecuteError::NotUtf8`] where text isn't; [`ExecuteError::Internal`] where a value isn't of its type's form.
    pub(super) fn encode(&self, row: &PgRow, most: usize, out: &mut Vec<u8>) -> Result<bool, ExecuteError> {
        out.push(b'{');
        for (at, Encoded { key, name, decoder, is_masked }) in self.columns.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            out.extend_from_slice(key);
            let value = row.try_get_raw(at).map_err(|error| ExecuteError::Internal(error.into()))?;
            if value.is_null() {
                out.extend_from_slice(b"null");
                continue;
            }
            if *is_masked {
                out.extend_from_slice(MASK);
                continue;
            }
            let bytes = value.as_bytes().map_err(|error| ExecuteError::Internal(anyhow::anyhow!(error)))?;
            if out.len() > most || (decoder.only_grows() && bytes.len() > most) {
                return Ok(false);
            }
            if decoder.write(bytes, out).is_none() {
                let not_text = decoder.is_text() && std::str::from_utf8(bytes).is_err();
                return Err(match not_text {
                    true => ExecuteError::NotUtf8 { column: name.clone() },
                    false => ExecuteError::Internal(anyhow::anyhow!(
                        "a value of column {at} is not of its type's binary form"
                    )),
                });
            }
        }
        out.push(b'}');
        Ok(out.len() <= most)
    }
}

/// The columns' names as keys of one object: a name that came before gets the next free number behind it.
pub(super) fn unique_names<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    let given: HashSet<&str> = names.clone().collect();
    let mut taken: HashSet<String> = HashSet::new();
    let free = |name: &str, taken: &HashSet<String>| {
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        numbered.into_iter().find(|candidate| !taken.contains(candidate) && !given.contains(candidate.as_str()))
    };
    names
        .map(|name| {
            let unique = match taken.contains(name) {
                true => free(name, &taken).expect("numbers don't run out"),
                false => name.to_owned(),
            };
            taken.insert(unique.clone());
            unique
        })
        .collect()
}

fn integer(value: impl Into<i64>, out: &mut Vec<u8>) {
    use std::io::Write;
    write!(out, "{}", value.into()).expect("writing to memory doesn't fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubled_names_get_the_next_free_number() {
        let check = |names: &[&str], unique: &[&str]| assert_eq!(unique_names(names.iter().copied()), unique);
        check(&["a", "b"], &["a", "b"]);
        check(&["id", "id", "id"], &["id", "id_2", "id_3"]);
        check(&["id", "id", "id_2"], &["id", "id_3", "id_2"]);
        check(&["?column?", "?column?"], &["?column?", "?column?_2"]);
    }
}
