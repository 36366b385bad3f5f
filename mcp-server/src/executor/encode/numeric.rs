//! `numeric`, digit for digit: base 10,000 on the wire, decimal with its own scale in JSON.

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;

/// Appends the number; `None` where the bytes aren't a numeric's. What JSON has no number for is a string.
pub(super) fn write(bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (header, digits) = bytes.split_at_checked(8)?;
    let field = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let count = usize::from(field(0));
    let weight = i32::from(field(2).cast_signed());
    let sign = field(4);
    let scale = usize::from(field(6));
    if digits.len() != count * 2 {
        return None;
    }
    let special: &[u8] = match sign {
        0 => b"",
        NEGATIVE => b"-",
        NAN => b"\"NaN\"",
        INFINITY => b"\"Infinity\"",
        NEGATIVE_INFINITY => b"\"-Infinity\"",
        _ => return None,
    };
    out.extend_from_slice(special);
    if special.len() > 1 {
        return Some(());
    }
    // The group of four decimal digits at base-10,000 place `place`; zero where none was sent.
    let group = |place: i32| {
        let at = usize::try_from(weight - place).ok().filter(|at| *at < count);
        at.map_or(0, |at| u16::from_be_bytes([digits[at * 2], digits[at * 2 + 1]]))
    };
    if weight < 0 {
        out.push(b'0');
    } else {
        out.extend_from_slice(group(weight).to_string().as_bytes());
        for place in (0..weight).rev() {
            push_group(group(place), 4, out);
        }
    }
    if scale > 0 {
        out.push(b'.');
        let mut left = scale;
        let mut place = -1;
        while left > 0 {
            let shown = left.min(4);
            push_group(group(place), shown, out);
            left -= shown;
            place -= 1;
        }
    }
    Some(())
}

/// Appends the first `shown` of a group's four digits.
fn push_group(group: u16, shown: usize, out: &mut Vec<u8>) {
    let digits = [group / 1000, group / 100 % 10, group / 10 % 10, group % 10];
    out.extend(digits[..shown].iter().map(|digit| b'0' + u8::try_from(*digit).expect("a decimal digit")));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(weight: i16, sign: u16, scale: u16, groups: &[u16]) -> Vec<u8> {
        let count = u16::try_from(groups.len()).unwrap();
        let header = [count, weight.cast_unsigned(), sign, scale];
        header.iter().chain(groups).flat_map(|field| field.to_be_bytes()).collect()
    }

    #[test]
    fn keeps_every_digit_and_the_scale() {
        let check = |bytes: Vec<u8>, json: &str| {
            let mut out = Vec::new();
            write(&bytes, &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), json);
        };
        check(binary(0, 0, 2, &[1, 1000]), "1.10");
        check(binary(0, 0, 0, &[]), "0");
        check(binary(0, 0, 3, &[]), "0.000");
        check(binary(-1, NEGATIVE, 6, &[12, 3400]), "-0.001234");
        check(binary(-2, 0, 8, &[5]), "0.00000005");
        check(binary(2, 0, 0, &[1]), "100000000");
        check(binary(1, 0, 1, &[12, 30, 5000]), "120030.5");
        check(binary(0, NAN, 0, &[]), "\"NaN\"");
        check(binary(0, NEGATIVE_INFINITY, 0, &[]), "\"-Infinity\"");
    }

    #[test]
    fn refuses_what_is_no_numeric() {
        let mut out = Vec::new();
        assert!(write(&[0, 1], &mut out).is_none());
        assert!(write(&binary(0, 0x1234, 0, &[]), &mut out).is_none());
    }
}
