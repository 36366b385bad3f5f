//! Binary floating point as PostgreSQL prints it: the shortest digits that read back as the same number.
//!
//! Rust's own shortest digits may lie exactly half-way to a neighbouring number, where reading back relies on ties going to
//! even. PostgreSQL's don't ("shortest-precise"; documentation, Floating-Point Types), so it prints more digits there.

use std::io::Write;

/// Appends a `real`.
pub(super) fn write_f32(value: f32, out: &mut Vec<u8>) {
    write(value, out);
}

/// Appends a `double precision`.
pub(super) fn write_f64(value: f64, out: &mut Vec<u8>) {
    write(value, out);
}

/// The two binary formats.
trait Float: Copy + Into<f64> + std::fmt::LowerExp + std::str::FromStr {
    /// PostgreSQL prints an exponent for numbers of this many digits before the point, and more.
    const FIXED_DIGITS: i32;

    /// The number as mantissa × 2^exponent, its sign dropped, and whether its lower neighbour is only half as far away.
    fn parts(self) -> (u64, i32, bool);
}

impl Float for f32 {
    const FIXED_DIGITS: i32 = 6;

    fn parts(self) -> (u64, i32, bool) {
        let bits = u64::from(self.to_bits());
        parts(bits & 0x7f_ffff, bits >> 23 & 0xff, 23, 127)
    }
}

impl Float for f64 {
    const FIXED_DIGITS: i32 = 15;

    fn parts(self) -> (u64, i32, bool) {
        let bits = self.to_bits();
        parts(bits & 0xf_ffff_ffff_ffff, bits >> 52 & 0x7ff, 52, 1023)
    }
}

fn parts(fraction: u64, biased: u64, width: u32, bias: i32) -> (u64, i32, bool) {
    let biased = i32::try_from(biased).expect("an exponent has at most 11 bits");
    let least = 1 - bias - width.cast_signed();
    match biased {
        0 => (fraction, least, false),
        _ => (fraction | 1 << width, least + biased - 1, fraction == 0 && biased > 1),
    }
}

fn write<F: Float>(value: F, out: &mut Vec<u8>) {
    let wide: f64 = value.into();
    if wide.is_nan() {
        return out.extend_from_slice(b"\"NaN\"");
    }
    if wide.is_infinite() {
        return out.extend_from_slice(if wide > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
    }
    if wide.is_sign_negative() {
        out.push(b'-');
    }
    let decimal = shortest(value);
    let Decimal { digits, exponent } = &decimal;
    let exponent = *exponent;
    let text = match exponent {
        -4..0 => format!("0.{:0>width$}", digits, width = digits.len() + (-exponent - 1).unsigned_abs() as usize),
        _ if (0..F::FIXED_DIGITS).contains(&exponent) => {
            let before = exponent.unsigned_abs() as usize + 1;
            match digits.len() <= before {
                true => format!("{digits:0<before$}"),
                false => format!("{}.{}", &digits[..before], &digits[before..]),
            }
        }
        _ => {
            let (first, rest) = digits.split_at(1);
            let point = if rest.is_empty() { "" } else { "." };
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{first}{point}{rest}e{sign}{:02}", exponent.unsigned_abs())
        }
    };
    out.write_all(text.as_bytes()).expect("writing to memory doesn't fail");
}

/// d.ddd × 10^exponent, the point left out.
struct Decimal {
    digits: String,
    exponent: i32,
}

impl Decimal {
    fn parse(scientific: &str) -> Self {
        let (digits, exponent) = scientific.split_once('e').expect("{:e} prints an exponent");
        let digits = digits.chars().filter(char::is_ascii_digit).collect();
        Self { digits, exponent: exponent.parse().expect("{:e} prints a number there") }
    }

    /// The digits one below, where mantissa × 2^exponent is exactly between the two and these are odd. (Rust rounds a tie up.)
    fn even_rival(&self, mantissa: u64, exponent: i32) -> Option<Self> {
        let digits: u64 = self.digits.parse().expect("at most 17 digits");
        let between = Self { digits: format!("{}5", digits.checked_sub(1)?), exponent: self.exponent };
        let is_tie = digits % 2 == 1 && between.equals(mantissa, exponent);
        is_tie.then(|| Self { digits: (digits - 1).to_string(), exponent: self.exponent })
    }

    /// Whether reading these digits gives `value`, its sign dropped.
    fn reads_as<F: Float>(&self, value: F) -> bool {
        let (first, rest) = self.digits.split_at(1);
        let read: Option<F> = format!("{first}.{rest}e{}", self.exponent).parse().ok();
        read.is_some_and(|read| read.parts() == value.parts())
    }

    /// Whether this is mantissa × 2^exponent, exactly. Both sides are made odd × 2^n: the odd parts hold at most 17 decimal
    /// digits, so that powers of five past 5^27 can't occur.
    fn equals(&self, mantissa: u64, exponent: i32) -> bool {
        let digits: u128 = self.digits.parse().expect("digits only");
        let power = self.exponent + 1 - i32::try_from(self.digits.len()).expect("a few digits");
        if power.abs() > 27 || digits == 0 {
            return false;
        }
        let fives = 5_u128.pow(power.unsigned_abs());
        let (left, right) = match power >= 0 {
            true => (digits * fives, u128::from(mantissa)),
            false => (digits, u128::from(mantissa) * fives),
        };
        let odd = |number: u128| (number >> number.trailing_zeros(), number.trailing_zeros().cast_signed());
        let ((left, left_twos), (right, right_twos)) = (odd(left), odd(right));
        left == right && left_twos + power == right_twos + exponent
    }
}

/// The shortest digits strictly between the half-ways to the neighbours, the nearest such; of two equally near, the even one.
fn shortest<F: Float>(value: F) -> Decimal {
    let (mantissa, exponent, close_below) = value.parts();
    let half_way = |decimal: &Decimal| {
        let above = decimal.equals(2 * mantissa + 1, exponent - 1);
        let below = match close_below {
            true => decimal.equals(4 * mantissa - 1, exponent - 2),
            false => mantissa > 0 && decimal.equals(2 * mantissa - 1, exponent - 1),
        };
        above || below
    };
    let mut decimal = Decimal::parse(&format!("{value:e}"));
    while half_way(&decimal) {
        decimal = Decimal::parse(&format!("{value:.*e}", decimal.digits.len()));
    }
    match decimal.even_rival(mantissa, exponent) {
        Some(rival) if rival.reads_as(value) && !half_way(&rival) => rival,
        _ => decimal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<F: Float>(value: F, json: &str) {
        let mut out = Vec::new();
        write(value, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), json);
    }

    #[test]
    fn prints_as_postgresql_does() {
        check(0.0, "0");
        check(-0.0, "-0");
        check(1.5, "1.5");
        check(0.0001, "0.0001");
        check(0.000_01, "1e-05");
        check(123_456_789_012_345.0, "123456789012345");
        check(1e15, "1e+15");
        check(1.25e300, "1.25e+300");
        check(5e-324, "5e-324");
        check(0.1_f32, "0.1");
        check(100_000.0_f32, "100000");
        check(1_000_000.0_f32, "1e+06");
        check(f64::NAN, "\"NaN\"");
        check(f32::NEG_INFINITY, "\"-Infinity\"");
    }

    #[test]
    fn never_stops_half_way_to_a_neighbour() {
        check(1e23, "9.999999999999999e+22");
        check(5e22, "4.9999999999999996e+22");
    }

    #[test]
    fn a_tie_goes_to_the_even_digit() {
        check(2_f64.powi(-25), "2.9802322387695312e-08");
        // Not where the even one is past the half-way to the lower neighbour, which is nearer below a power of two.
        check(2_f64.powi(-24), "5.960464477539063e-08");
    }
}
