//! JSON that PostgreSQL already wrote: passed on digit for digit, key for key, without white space between the tokens.

/// Appends `json` with the white space outside its strings dropped: a raw newline would end a line of stdio, SSE or NDJSON.
pub(super) fn write_compact(json: &str, out: &mut Vec<u8>) {
    let mut in_string = false;
    let mut escaped = false;
    for byte in json.bytes() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            continue;
        } else {
            in_string = byte == b'"';
        }
        out.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_white_space_between_tokens_only() {
        let check = |json: &str, compact: &str| {
            let mut out = Vec::new();
            write_compact(json, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), compact);
        };
        check("{ \"a b\" :\n [1.10, 2 ] }", r#"{"a b":[1.10,2]}"#);
        check(r#"{"q\" ":  "\\" , "x": " "}"#, r#"{"q\" ":"\\","x":" "}"#);
        check(r#"{"a":1,"a":2}"#, r#"{"a":1,"a":2}"#);
    }
}
