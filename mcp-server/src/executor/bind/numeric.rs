//! Decimal text to `numeric`'s binary form, in time linear in its digits, whatever a caller sends.

/// Most digits before the point that PostgreSQL's numeric has.
const MAX_BEFORE: usize = 131_072;

/// Most digits behind the point that PostgreSQL's numeric has.
const MAX_BEHIND: usize = 16_383;

/// Digits of one group of the binary form.
const GROUP: usize = 4;

/// The binary form of `text`: `[+-]digits[.digits][e[+-]digits]`, NaN or an infinity. `None` where it is nothing of these, or
/// past PostgreSQL's own bounds.
pub(super) fn encode(text: &str) -> Option<Vec<u8>> {
    match text.to_ascii_lowercase().as_str() {
        "nan" => return Some(binary(0, 0xC000, 0, &[])),
        "infinity" | "+infinity" | "inf" | "+inf" => return Some(binary(0, 0xD000, 0, &[])),
        "-infinity" | "-inf" => return Some(binary(0, 0xF000, 0, &[])),
        _ => {}
    }
    let (is_negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_decimal = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !is_decimal(whole) || !is_decimal(fraction) {
        return None;
    }
    // The number is 0.DIGITS × 10^point.
    let digits = [whole, fraction].concat();
    let point = i32::try_from(whole.len()).ok()?.checked_add(exponent)?;
    let behind = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?.max(0).unsigned_abs() as usize;
    let leading = digits.len() - digits.trim_start_matches('0').len();
    let before = point.checked_sub(i32::try_from(leading).ok()?)?;
    if behind > MAX_BEHIND || before > i32::try_from(MAX_BEFORE).ok()? {
        return None;
    }
    let sign = if is_negative { 0x4000 } else { 0 };
    Some(binary_of(&digits[leading..], before, sign, u16::try_from(behind).ok()?))
}

/// The binary form of 0.DIGITS × 10^point, DIGITS without leading zeros.
fn binary_of(digits: &str, point: i32, sign: u16, scale: u16) -> Vec<u8> {
    if digits.is_empty() {
        return binary(0, 0, scale, &[]);
    }
    // Zeros before the digits, so that the point falls between two groups.
    let group = GROUP as i32;
    let padding = (group - point.rem_euclid(group)).rem_euclid(group);
    let weight = (point + padding) / group - 1;
    let padded = "0".repeat(padding.unsigned_abs() as usize) + digits;
    let value = |group: &[u8]| {
        let of_digits = group.iter().fold(0_u16, |sum, digit| sum * 10 + u16::from(digit - b'0'));
        of_digits * 10_u16.pow((GROUP - group.len()) as u32)
    };
    let mut groups: Vec<u16> = padded.as_bytes().chunks(GROUP).map(value).collect();
    while groups.last() == Some(&0) {
        groups.pop();
    }
    binary(weight, sign, scale, &groups)
}

fn binary(weight: i32, sign: u16, scale: u16, groups: &[u16]) -> Vec<u8> {
    let count = u16::try_from(groups.len()).expect("numeric's bounds hold");
    let weight = i16::try_from(weight).expect("numeric's bounds hold").cast_unsigned();
    [count, weight, sign, scale].iter().chain(groups).flat_map(|field| field.to_be_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_stand_around_the_point() {
        let check = |text: &str, weight: i16, sign: u16, scale: u16, groups: &[u16]| {
            let expected = binary(i32::from(weight), sign, scale, groups);
            assert_eq!(encode(text).as_deref(), Some(expected.as_slice()), "{text}");
        };
        check("1.10", 0, 0, 2, &[1, 1000]);
        check("-0.001234", -1, 0x4000, 6, &[12, 3400]);
        check("0", 0, 0, 0, &[]);
        check("0.000", 0, 0, 3, &[]);
        check("12345678", 1, 0, 0, &[1234, 5678]);
        check("1e8", 2, 0, 0, &[1]);
        check("1.5e-7", -2, 0, 8, &[15]);
        check("00120030.5", 1, 0, 1, &[12, 30, 5000]);
        check("+.5", 0 - 1, 0, 1, &[5000]);
        check("NaN", 0, 0xC000, 0, &[]);
    }

    #[test]
    fn refuses_what_numeric_can_not_hold() {
        for text in ["", ".", "1e", "1.2.3", "0x10", "1e131073", "1e-16384", "1e99999999999", "½", "--1"] {
            assert_eq!(encode(text), None, "{text}");
        }
        assert!(encode(&"9".repeat(131_072)).is_some());
        assert_eq!(encode(&"9".repeat(131_073)), None);
    }
}
