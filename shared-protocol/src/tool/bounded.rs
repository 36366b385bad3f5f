//! Whole numbers with bounds that the schema names and parsing keeps.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A whole number from `LEAST` to `MOST`, and `DEFAULT` where it is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Bounded<const LEAST: u32, const MOST: u32, const DEFAULT: u32>(u32);

impl<const LEAST: u32, const MOST: u32, const DEFAULT: u32> Bounded<LEAST, MOST, DEFAULT> {
    /// The greatest that there is.
    pub const MOST: u32 = MOST;

    /// The number, where it is within the bounds.
    pub fn new(number: u32) -> Option<Self> {
        (LEAST..=MOST).contains(&number).then_some(Self(number))
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }

    /// The number, to count with.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl<const LEAST: u32, const MOST: u32, const DEFAULT: u32> Default for Bounded<LEAST, MOST, DEFAULT> {
    fn default() -> Self {
        Self(DEFAULT)
    }
}

impl<'de, const LEAST: u32, const MOST: u32, const DEFAULT: u32> Deserialize<'de> for Bounded<LEAST, MOST, DEFAULT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        // 10.0 is a whole number to JSON Schema, and some clients write it so.
        let whole = value.as_f64().filter(|number| number.fract() == 0.0).map(|number| number as i64);
        let number = value.as_i64().or(whole).and_then(|number| u32::try_from(number).ok());
        number.and_then(Self::new).ok_or_else(|| {
            let given = if value.is_number() { format!("{value}") } else { "something else".to_owned() };
            de::Error::custom(format!("must be a whole number from {LEAST} to {MOST}, not {given}"))
        })
    }
}

impl<const LEAST: u32, const MOST: u32, const DEFAULT: u32> JsonSchema for Bounded<LEAST, MOST, DEFAULT> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("From{LEAST}To{MOST}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": LEAST, "maximum": MOST })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_is_within_its_bounds_and_names_them_otherwise() {
        let check = |text: &str, expected: Result<u32, &str>| {
            let parsed = serde_json::from_str::<Bounded<1, 500, 100>>(text);
            let parsed = parsed.map(Bounded::get).map_err(|error| error.to_string());
            assert_eq!(parsed.as_ref().map_err(String::as_str), expected.as_ref().map_err(|text| *text), "{text}");
        };
        check("1", Ok(1));
        check("500", Ok(500));
        check("20.0", Ok(20));
        check("0", Err("must be a whole number from 1 to 500, not 0"));
        check("501", Err("must be a whole number from 1 to 500, not 501"));
        check("-3", Err("must be a whole number from 1 to 500, not -3"));
        check("1.5", Err("must be a whole number from 1 to 500, not 1.5"));
        check("1e300", Err("must be a whole number from 1 to 500, not 1e+300"));
        check("\"ten\"", Err("must be a whole number from 1 to 500, not something else"));
        assert_eq!(Bounded::<1, 500, 100>::default().get(), 100);
    }

    #[test]
    fn its_schema_names_the_bounds() {
        let schema = schemars::schema_for!(Bounded<1, 6, 4>);
        assert_eq!((&schema.as_value()["minimum"], &schema.as_value()["maximum"]), (&1.into(), &6.into()));
    }
}
