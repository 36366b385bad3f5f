//! JSON values to parameters, each encoded as the type that PostgreSQL inferred for its place.

mod numeric;
mod temporal;

use chrono_tz::Tz;
use serde_json::Value;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgTypeInfo, PgTypeKind};
use sqlx::{Arguments, Encode, Postgres, Type, TypeInfo};

use super::{Directory, ExecuteError};

/// `values` as the arguments of a statement whose placeholders have `types`; time stamps without an offset are read in `zone`.
///
/// # Errors
/// [`ExecuteError::Parameter`] names the first value that doesn't fit, and the way out.
pub(super) fn arguments(
    values: &[Value],
    types: &[PgTypeInfo],
    names: &dyn Directory,
    zone: Option<Tz>,
) -> Result<PgArguments, ExecuteError> {
    let mut arguments = PgArguments::default();
    for (at, (value, of)) in values.iter().zip(types).enumerate() {
        let misfit = |misfit: Misfit| {
            let known = of.oid().and_then(|oid| names.type_name(oid.0));
            let type_name = known.unwrap_or_else(|| of.name().to_lowercase());
            misfit.into_error(at + 1, type_name)
        };
        let bytes = match value {
            Value::Null => None,
            value => Some(encode(value, of, zone).map_err(misfit)?),
        };
        arguments
            .add(Bound { bytes, of: of.clone() })
            .map_err(|error| ExecuteError::Internal(anyhow::anyhow!(error)))?;
    }
    Ok(arguments)
}

/// One encoded parameter.
struct Bound {
    bytes: Option<Vec<u8>>,
    of: PgTypeInfo,
}

impl Type<Postgres> for Bound {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0)) // Never asked for: `produces` knows the type of each value.
    }
}

impl Encode<'_, Postgres> for Bound {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Ok(match &self.bytes {
            None => IsNull::Yes,
            Some(bytes) => {
                buffer.extend_from_slice(bytes);
                IsNull::No
            }
        })
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(self.of.clone())
    }
}

/// Why a value has no place in its parameter.
#[derive(Debug)]
enum Misfit {
    /// It is of another kind, or out of range. In words, without the value.
    Value(&'static str),
    /// The type has no encoder here.
    NoEncoder,
}

impl Misfit {
    fn into_error(self, number: usize, type_name: String) -> ExecuteError {
        let through_text = format!("write ${number}::text::{type_name} and send the value as a string");
        let (problem, way_out) = match self {
            Self::Value(problem) => (problem.to_owned(), format!("send {}, or {through_text}", accepted(&type_name))),
            Self::NoEncoder => ("values of this type can't be bound directly".to_owned(), through_text),
        };
        ExecuteError::Parameter { number, expected_type: type_name, problem, way_out }
    }
}

/// What is accepted for a type, for people.
fn accepted(type_name: &str) -> &'static str {
    match type_name {
        "int2" | "int4" | "int8" | "oid" => "a whole number within the type's range",
        "float4" | "float8" | "numeric" => "a number",
        "bool" => "true or false",
        "date" => "a string such as \"2024-05-31\"",
        "time" => "a string such as \"13:45:00\"",
        "timestamp" => "a string such as \"2024-05-31T13:45:00\"",
        "timestamptz" => "a string such as \"2024-05-31T13:45:00+02:00\", or a date",
        "uuid" => "a string of 32 hexadecimal digits",
        "bytea" => "a string of hexadecimal digits behind \\x",
        "json" | "jsonb" => "any JSON value, or JSON text as a string",
        name if name.starts_with('_') => "an array of such values",
        _ => "a string",
    }
}

/// The binary form of `value` as a parameter of type `of`.
fn encode(value: &Value, of: &PgTypeInfo, zone: Option<Tz>) -> Result<Vec<u8>, Misfit> {
    match of.kind() {
        PgTypeKind::Enum(_) => return text(value),
        PgTypeKind::Domain(base) => return encode(value, base, zone),
        PgTypeKind::Array(element) => return array(value, element, zone),
        _ => {}
    }
    let Some(Oid(oid)) = of.oid() else { return Err(Misfit::NoEncoder) };
    match oid {
        16 => boolean(value),
        21 => whole::<i16>(value).map(|number| number.to_be_bytes().to_vec()),
        23 => whole::<i32>(value).map(|number| number.to_be_bytes().to_vec()),
        20 => whole::<i64>(value).map(|number| number.to_be_bytes().to_vec()),
        26 => whole::<u32>(value).map(|number| number.to_be_bytes().to_vec()),
        700 => float::<f32>(value).map(|number| number.to_be_bytes().to_vec()),
        701 => float::<f64>(value).map(|number| number.to_be_bytes().to_vec()),
        1700 => numeric(value),
        19 | 25 | 705 | 1042 | 1043 => text(value),
        114 => Ok(json(value).into_bytes()),
        3802 => Ok([&[1], json(value).as_bytes()].concat()),
        2950 => {
            parsed(value, "is not a UUID", |text| uuid::Uuid::parse_str(text).ok()).map(|id| id.as_bytes().to_vec())
        }
        17 => parsed(value, "is not hexadecimal digits behind \\x", hexadecimal),
        1082 => parsed(value, "is not an ISO date", |text| match temporal::infinity(text, i32::MIN, i32::MAX) {
            Some(end) => Some(end.to_be_bytes().to_vec()),
            None => sqlx_bytes(temporal::date(text)?),
        }),
        1083 => parsed(value, "is not an ISO time", |text| sqlx_bytes(temporal::time(text)?)),
        1114 => parsed(value, "is not an ISO time stamp without an offset", |text| {
            moment(text, |text| sqlx_bytes(temporal::timestamp(text)?))
        }),
        1184 => parsed(value, "is not an ISO time stamp with an offset", |text| {
            moment(text, |text| sqlx_bytes(temporal::timestamptz(text, zone)?))
        }),
        _ => Err(Misfit::NoEncoder),
    }
}

fn boolean(value: &Value) -> Result<Vec<u8>, Misfit> {
    let given = match value {
        Value::Bool(given) => Some(*given),
        Value::String(text) => match text.trim().to_lowercase().as_str() {
            "true" | "t" | "yes" | "on" | "1" => Some(true),
            "false" | "f" | "no" | "off" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    };
    given.map(|given| vec![u8::from(given)]).ok_or(Misfit::Value("the value is neither true nor false"))
}

fn whole<T: TryFrom<i64> + std::str::FromStr>(value: &Value) -> Result<T, Misfit> {
    let number = match value {
        Value::Number(number) => number.as_i64().and_then(|number| T::try_from(number).ok()),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.ok_or(Misfit::Value("the value is not a whole number within its range"))
}

/// A number of the type's own precision. Past its range is no infinity, unless that was asked for by name.
fn float<T: std::str::FromStr + Into<f64> + Copy>(value: &Value) -> Result<T, Misfit> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_lowercase(),
        _ => return Err(Misfit::Value("the value is not a number")),
    };
    let number: T = text.parse().map_err(|_| Misfit::Value("the value is not a number"))?;
    let is_named = text.trim_start_matches(['+', '-']).starts_with("inf");
    if number.into().is_infinite() && !is_named {
        return Err(Misfit::Value("the value is out of the type's range"));
    }
    Ok(number)
}

fn numeric(value: &Value) -> Result<Vec<u8>, Misfit> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return Err(Misfit::Value("the value is not a number")),
    };
    numeric::encode(&text).ok_or(Misfit::Value("the value is not a number that numeric can hold"))
}

/// JSON text: a string that is JSON is taken as its text form, any other string as a JSON string.
fn json(value: &Value) -> String {
    match value {
        Value::String(text) if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() => text.clone(),
        value => value.to_string(),
    }
}

fn text(value: &Value) -> Result<Vec<u8>, Misfit> {
    match value {
        Value::String(text) if text.contains('\0') => Err(Misfit::Value("the text contains a NUL character")),
        Value::String(text) => Ok(text.clone().into_bytes()),
        _ => Err(Misfit::Value("the value is not a string")),
    }
}

fn array(values: &Value, element: &PgTypeInfo, zone: Option<Tz>) -> Result<Vec<u8>, Misfit> {
    let Value::Array(values) = values else { return Err(Misfit::Value("the value is not an array")) };
    let Some(Oid(element_oid)) = element.oid() else { return Err(Misfit::NoEncoder) };
    let count = i32::try_from(values.len()).map_err(|_| Misfit::Value("the array is too long"))?;
    let has_null = i32::from(values.iter().any(Value::is_null));
    let mut out = Vec::new();
    let mut put = |field: i32| out.extend_from_slice(&field.to_be_bytes());
    put(i32::from(count > 0)); // dimensions
    put(has_null);
    put(element_oid.cast_signed());
    if count > 0 {
        put(count);
        put(1); // lower bound
    }
    for value in values {
        if value.is_null() {
            out.extend_from_slice(&(-1_i32).to_be_bytes());
            continue;
        }
        let bytes = encode(value, element, zone)?;
        let length = i32::try_from(bytes.len()).map_err(|_| Misfit::Value("an element is too long"))?;
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&bytes);
    }
    Ok(out)
}

fn parsed<T>(value: &Value, problem: &'static str, parse: impl Fn(&str) -> Option<T>) -> Result<T, Misfit> {
    let Value::String(text) = value else { return Err(Misfit::Value("the value is not a string")) };
    parse(text.trim()).ok_or(Misfit::Value(problem))
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?, 16).ok())
        .collect()
}

/// A time stamp's binary form, or one of the ends of time.
fn moment(text: &str, encode: impl Fn(&str) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    match temporal::infinity(text, i64::MIN, i64::MAX) {
        Some(end) => Some(end.to_be_bytes().to_vec()),
        None => encode(text),
    }
}

/// The binary form that sqlx gives a value of a type that it knows; `None` where it is out of the type's range.
fn sqlx_bytes<'a, T: Encode<'a, Postgres> + 'a>(value: T) -> Option<Vec<u8>> {
    let mut buffer = PgArgumentBuffer::default();
    matches!(value.encode(&mut buffer), Ok(IsNull::No)).then(|| buffer.to_vec())
}

#[cfg(test)]
mod tests {
    use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
    use serde_json::json;

    use super::*;

    fn of<T: Type<Postgres>>() -> PgTypeInfo {
        T::type_info()
    }

    #[test]
    fn names_the_place_the_type_and_the_way_out() {
        struct Nameless;
        impl Directory for Nameless {
            fn type_name(&self, oid: u32) -> Option<String> {
                Some(if oid == 23 { "int4" } else { "unknown" }.to_owned())
            }

            fn restriction(&self, _: u32, _: i16) -> Option<sql_guard::Restriction> {
                None
            }
        }
        let values = [json!(1), json!("x")];
        let error = arguments(&values, &[of::<i32>(), of::<i32>()], &Nameless, None).unwrap_err();
        let ExecuteError::Parameter { number, expected_type, way_out, .. } = error else { panic!("{error}") };
        assert_eq!((number, expected_type.as_str()), (2, "int4"));
        assert!(way_out.contains("$2::text::int4"), "{way_out}");
    }

    #[test]
    fn accepts_the_text_form_of_every_type_that_it_encodes() {
        let check =
            |of: PgTypeInfo, value: Value| assert!(encode(&value, &of, Some(Tz::UTC)).is_ok(), "{value} as {of}");
        check(of::<bool>(), json!("yes"));
        check(of::<i64>(), json!("9223372036854775807"));
        check(of::<f64>(), json!("1e300"));
        check(of::<sqlx::types::BigDecimal>(), json!("1.10"));
        check(of::<sqlx::types::BigDecimal>(), json!("NaN"));
        check(of::<NaiveDate>(), json!("2024-02-29"));
        check(of::<NaiveDate>(), json!("infinity"));
        check(of::<f64>(), json!("-Infinity"));
        check(of::<NaiveTime>(), json!("13:45"));
        check(of::<NaiveDateTime>(), json!("2024-05-31 13:45:00.5"));
        check(of::<chrono::DateTime<chrono::Utc>>(), json!("2024-05-31T13:45:00Z"));
        check(of::<uuid::Uuid>(), json!("6f1c2b9e-0d7a-4c3b-8f5e-1a2b3c4d5e6f"));
        check(of::<Vec<u8>>(), json!("\\xdeadBEEF"));
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let check =
            |of: PgTypeInfo, value: Value| assert!(encode(&value, &of, Some(Tz::UTC)).is_err(), "{value} as {of}");
        check(of::<i16>(), json!(40_000));
        check(of::<i32>(), json!(1.5));
        check(of::<String>(), json!(5));
        check(of::<String>(), json!("a\0b"));
        check(of::<sqlx::types::BigDecimal>(), json!("1e999999999"));
        check(of::<NaiveDate>(), json!("2024-02-30"));
        check(of::<chrono::DateTime<chrono::Utc>>(), json!("2024-05-31T13:45:61"));
        check(of::<f32>(), json!(1e39));
        check(of::<f64>(), json!("1e999"));
        check(of::<Vec<u8>>(), json!("\\x+f"));
        check(of::<Vec<u8>>(), json!("\\xabc"));
        check(of::<sqlx::postgres::types::PgInterval>(), json!("1 day"));
    }
}
