//! Strings, escaped as PostgreSQL's `to_json` does.

/// Appends `value` as a JSON string.
pub(super) fn write(value: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = value.as_bytes();
    let mut plain = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            0x00..0x20 => b'u',
            _ => continue,
        };
        out.extend_from_slice(&bytes[plain..at]);
        out.extend_from_slice(&[b'\\', short]);
        if short == b'u' {
            out.extend_from_slice(format!("{byte:04x}").as_bytes());
        }
        plain = at + 1;
    }
    out.extend_from_slice(&bytes[plain..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_only_what_json_must() {
        let check = |value: &str, json: &str| {
            let mut out = Vec::new();
            write(value, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), json);
            assert_eq!(serde_json::from_str::<String>(json).unwrap(), value);
        };
        check("", r#""""#);
        check("a/b é \u{7f}", "\"a/b é \u{7f}\"");
        check("\"\\\n\r\t\u{8}\u{c}", r#""\"\\\n\r\t\b\f""#);
        check("\u{1}\u{1f}", r#""\u0001\u001f""#);
    }
}
