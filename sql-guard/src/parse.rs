//! From text to one syntax tree, by PostgreSQL's own grammar; what is too large never reaches it.

use pg_query::protobuf::{Node, RawStmt, ScanToken, Token};
use shared_protocol::error::{ErrorCode, Position};

use crate::limits::Limits;
use crate::rejection::Rejection;

/// Longest run of operator characters. PostgreSQL's lexer reads such a run again for each token that it finds in it.
const MAX_OPERATOR_RUN: usize = 1024;

/// How libpg_query says that its own stack or the parser's is full.
const NESTED_TOO_DEEP: &[&str] = &["stack depth limit exceeded", "memory exhausted", "nested too deeply"];

/// What helps against depth.
pub(crate) const FLATTEN: &str =
    "Flatten it: use IN or = ANY($1) instead of long chains, and WITH queries instead of nested ones.";

/// One statement and where it ends in its text.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// The statement's node.
    pub(crate) statement: Node,
    /// The byte after its last one; what follows is at most semicolons, comments and white space.
    pub(crate) end: usize,
}

/// The one statement of `text`. To be called on a guard thread: the tree may be deep, and dropping it recurses too.
pub(crate) fn parse(text: &str, limits: &Limits) -> Result<Parsed, Rejection> {
    measure(text, limits)?;
    if limits.strict_comments {
        writing_word_in_comment(text)?;
    }
    let tree = pg_query::parse(text, 0).map_err(|error| syntax_error(text, error))?.protobuf;
    let mut statements = tree.stmts.into_iter();
    let Some(first) = statements.next() else {
        return Err(empty());
    };
    if let Some(second) = statements.next() {
        return Err(Rejection::new(ErrorCode::MultipleStatements, "only one statement may be sent at a time")
            .suggest("Send each statement in a call of its own.")
            .at(text, first_token(text, usize::try_from(second.stmt_location).unwrap_or(0))));
    }
    let RawStmt { stmt: Some(statement), stmt_location, stmt_len } = first else {
        return Err(empty());
    };
    let start = usize::try_from(stmt_location).unwrap_or(0);
    if has_token(&text[..start]) {
        return Err(Rejection::new(ErrorCode::InvalidSql, "the text begins with an empty statement")
            .refused(";")
            .suggest("Leave out the semicolon before the statement.")
            .at(text, 0));
    }
    // PostgreSQL gives the length only where a semicolon follows.
    let end = match usize::try_from(stmt_len) {
        Ok(length) if length > 0 => start + length,
        _ => text.len(),
    };
    Ok(Parsed { statement: *statement, end })
}

/// Refuses what is too large before any parser sees it.
pub(crate) fn measure(text: &str, limits: &Limits) -> Result<(), Rejection> {
    let too_complex = |what: String, most: usize| {
        Rejection::new(ErrorCode::QueryTooComplex, format!("{what}; at most {most} are allowed"))
    };
    if text.len() > limits.max_bytes {
        let message = format!("The text has {} bytes", text.len());
        return Err(
            too_complex(message, limits.max_bytes).suggest("Send a shorter statement; pass long values as parameters.")
        );
    }
    if let Some(at) = text.find('\0') {
        return Err(Rejection::new(
            ErrorCode::InvalidSql,
            "the text holds a NUL character, which PostgreSQL can't read",
        )
        .suggest("Leave the NUL character out.")
        .at(text, offset(at)));
    }
    if let Some(at) = long_operator_run(text) {
        let message = "a run of operator characters is too long".to_string();
        return Err(too_complex(message, MAX_OPERATOR_RUN).suggest("Break it up with spaces.").at(text, offset(at)));
    }
    if let Some(at) = deep_comment(text, limits.max_comment_depth) {
        let message = "comments are nested too deep".to_string();
        return Err(too_complex(message, limits.max_comment_depth)
            .suggest("Don't nest comments.")
            .at(text, offset(at)));
    }
    // A token has at least one byte, so a short text needs no count.
    if text.len() > limits.max_tokens {
        let tokens = scan(text).map_err(|error| syntax_error(text, error))?.len();
        if tokens > limits.max_tokens {
            return Err(too_complex(format!("The statement has {tokens} tokens"), limits.max_tokens)
                .suggest("Pass a long list of values as one array parameter: = ANY($1)."));
        }
    }
    Ok(())
}

/// Words that write, which strict rules don't want even in comments.
const WRITING_WORDS: &[&str] = &[
    "alter", "call", "copy", "create", "delete", "drop", "execute", "grant", "insert", "merge", "revoke", "truncate",
    "update",
];

/// Refuses a comment with a word that writes.
fn writing_word_in_comment(text: &str) -> Result<(), Rejection> {
    let tokens = scan(text).map_err(|error| syntax_error(text, error))?;
    for token in tokens {
        if !matches!(Token::try_from(token.token), Ok(Token::SqlComment | Token::CComment)) {
            continue;
        }
        let bounds = (usize::try_from(token.start), usize::try_from(token.end));
        let (Ok(start), Ok(end)) = bounds else { continue };
        let comment = text.get(start..end).unwrap_or_default();
        let words = comment.split(|one: char| !one.is_alphanumeric() && one != '_');
        if let Some(word) = words.into_iter().find(|word| WRITING_WORDS.contains(&word.to_lowercase().as_str())) {
            let message = format!("{word} stands in a comment, which this server does not allow");
            return Err(Rejection::new(ErrorCode::WriteOperationDenied, message)
                .refused(word)
                .suggest("Leave the comment out.")
                .at(text, token.start));
        }
    }
    Ok(())
}

/// Where a run of operator characters of more than [`MAX_OPERATOR_RUN`] begins, in whatever context.
fn long_operator_run(text: &str) -> Option<usize> {
    let mut run = 0;
    for (at, byte) in text.bytes().enumerate() {
        run = if b"+-*/<>=~!@#%^&|`?".contains(&byte) { run + 1 } else { 0 };
        if run > MAX_OPERATOR_RUN {
            return Some(at + 1 - run);
        }
    }
    None
}

/// Where a comment nests deeper than `most`. Comment marks inside strings, quoted names and line comments don't count.
fn deep_comment(text: &str, most: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut depth = 0;
    while at < bytes.len() {
        let rest = &text.as_bytes()[at..];
        if depth > 0 || rest.starts_with(b"/*") {
            if rest.starts_with(b"/*") {
                depth += 1;
                at += 2;
                if depth > most {
                    return Some(at - 2);
                }
            } else if rest.starts_with(b"*/") {
                depth -= 1;
                at += 2;
            } else {
                at += 1;
            }
        } else {
            at += lexeme(bytes, at);
        }
    }
    None
}

/// How many bytes the string, quoted name, line comment or other single byte at `at` takes.
fn lexeme(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let to = |end: Option<usize>| end.unwrap_or(rest.len());
    match rest[0] {
        b'\'' if is_escape_string(bytes, at) => {
            let mut end = 1;
            while end < rest.len() && rest[end] != b'\'' {
                end += if rest[end] == b'\\' { 2 } else { 1 };
            }
            (end + 1).min(rest.len())
        }
        quote @ (b'\'' | b'"') => to(rest[1..].iter().position(|byte| *byte == quote).map(|end| end + 2)),
        b'-' if rest.starts_with(b"--") => to(rest.iter().position(|byte| *byte == b'\n' || *byte == b'\r')),
        b'$' if at == 0 || !is_word(bytes[at - 1]) => {
            let Some(tag_end) = rest[1..].iter().position(|byte| !is_word(*byte) || *byte == b'$') else { return 1 };
            let tag = &rest[..tag_end + 2];
            if !tag.ends_with(b"$") || tag.get(1).is_some_and(u8::is_ascii_digit) {
                return 1;
            }
            to(rest[tag.len()..].windows(tag.len()).position(|window| window == tag).map(|end| end + 2 * tag.len()))
        }
        _ => 1,
    }
}

fn is_escape_string(bytes: &[u8], quote: usize) -> bool {
    let before = |back: usize| quote.checked_sub(back).map(|at| bytes[at]);
    matches!(before(1), Some(b'e' | b'E')) && !before(2).is_some_and(is_word)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || !byte.is_ascii()
}

/// PostgreSQL's words for a text that is no SQL, with the place where it is certain.
pub(crate) fn syntax_error(text: &str, error: pg_query::Error) -> Rejection {
    let message = match error {
        pg_query::Error::Parse(message) | pg_query::Error::Scan(message) => message,
        pg_query::Error::Decode(_) => "a string or name in the statement is not valid UTF-8".to_string(),
        other => other.to_string(),
    };
    if NESTED_TOO_DEEP.iter().any(|words| message.contains(words)) {
        return Rejection::new(ErrorCode::QueryTooComplex, "The statement is nested too deep for PostgreSQL's parser.")
            .suggest(FLATTEN);
    }
    let rejection =
        Rejection::new(ErrorCode::InvalidSql, message.clone()).suggest("Correct the SQL and send it again.");
    if message.ends_with("at end of input") {
        return rejection.at(text, offset(text.trim_end().len()));
    }
    let Some(token) = message.split_once("at or near \"").and_then(|(_, token)| token.strip_suffix('"')) else {
        return rejection;
    };
    let mut rejection = rejection.refused(token);
    match places(text, token, str::eq).as_slice() {
        [place] => rejection = rejection.at(text, offset(*place)),
        [] => {}
        several => {
            let count = several.len();
            rejection.message =
                format!("{message} (it stands in {count} places; PostgreSQL's parser doesn't say which)");
        }
    }
    rejection
}

/// The byte at which the only token of exactly these characters begins, or -1.
pub(crate) fn only_place(text: &str, token: &str) -> i32 {
    match places(text, token, str::eq).as_slice() {
        [place] => offset(*place),
        _ => -1,
    }
}

/// The byte at which the only token begins that is this key word, in upper or lower case, or -1.
pub(crate) fn only_key_word(text: &str, word: &str) -> i32 {
    match places(text, word, str::eq_ignore_ascii_case).as_slice() {
        [place] => offset(*place),
        _ => -1,
    }
}

/// The bytes at which a token begins that is the same as this.
fn places(text: &str, token: &str, is_same: fn(&str, &str) -> bool) -> Vec<usize> {
    match scan(text) {
        Ok(tokens) => {
            let starts = tokens.iter().filter_map(|found| {
                let start = usize::try_from(found.start).ok()?;
                is_same(text.get(start..usize::try_from(found.end).ok()?)?, token).then_some(start)
            });
            starts.collect()
        }
        // The scanner fails on what isn't closed; the message then quotes everything from there on.
        Err(_) => text.match_indices(token).map(|(at, _)| at).collect(),
    }
}

/// Where the first token from byte `from` on is that is no comment.
pub(crate) fn first_token(text: &str, from: usize) -> i32 {
    offset(from + tokens(&text[from..]).next().unwrap_or(0))
}

fn has_token(text: &str) -> bool {
    tokens(text).next().is_some()
}

/// The starts of the tokens that are no comments.
fn tokens(text: &str) -> impl Iterator<Item = usize> {
    let tokens = scan(text).unwrap_or_default();
    tokens.into_iter().filter_map(|token| match Token::try_from(token.token) {
        Ok(Token::SqlComment | Token::CComment) => None,
        _ => usize::try_from(token.start).ok(),
    })
}

/// The scanner's tokens, comments among them. pg_query never gets to see white space alone: of no tokens at all it makes a
/// slice at a null pointer, which ends a debug build and is undefined in any other.
pub(crate) fn scan(text: &str) -> Result<Vec<ScanToken>, pg_query::Error> {
    if text.bytes().all(|byte| b" \t\n\r\x0b\x0c".contains(&byte)) {
        return Ok(Vec::new());
    }
    pg_query::scan_tokens(text)
}

fn offset(at: usize) -> i32 {
    i32::try_from(at).unwrap_or(i32::MAX)
}

fn empty() -> Rejection {
    let mut rejection = Rejection::new(ErrorCode::InvalidSql, "The text holds no statement.")
        .suggest("Send one SELECT, VALUES, TABLE or WITH … SELECT statement.");
    rejection.position = Some(Position { line: 1, column: 1 });
    rejection
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> Rejection {
        parse(text, &Limits::default()).unwrap_err()
    }

    #[test]
    fn cuts_what_follows_a_trailing_semicolon() {
        let check = |text: &str, kept: &str| {
            let parsed = parse(text, &Limits::default()).unwrap();
            assert_eq!(&text[..parsed.end], kept, "{text:?}");
        };
        check("SELECT 1", "SELECT 1");
        check("SELECT 1;", "SELECT 1");
        check("SELECT 1 ; -- done\n", "SELECT 1 ");
        check("SELECT 1;;/* x */;", "SELECT 1");
        check("-- first;\nSELECT ';' ;", "-- first;\nSELECT ';' ");
        check("SELECT 1 -- ; not here", "SELECT 1 -- ; not here");
        check("SELECT 'é';", "SELECT 'é'");
        check("  SELECT 1", "  SELECT 1");
        check("\n\t\r\u{b}\u{c} SELECT 1;", "\n\t\r\u{b}\u{c} SELECT 1");
    }

    #[test]
    fn counts_statements() {
        let check = |text: &str, code: ErrorCode, place: Option<(u32, u32)>| {
            let rejection = refusal(text);
            assert_eq!(rejection.code, code, "{text:?}: {rejection}");
            assert_eq!(rejection.position.map(|at| (at.line, at.column)), place, "{text:?}: {rejection}");
        };
        check("", ErrorCode::InvalidSql, Some((1, 1)));
        check(&" ".repeat(60_000), ErrorCode::InvalidSql, Some((1, 1)));
        check(" -- only\n /* comments */ ; ", ErrorCode::InvalidSql, Some((1, 1)));
        check("SELECT 1;\n SELECT 2", ErrorCode::MultipleStatements, Some((2, 2)));
        check("SELECT 1; -- x\n DROP TABLE t", ErrorCode::MultipleStatements, Some((2, 2)));
        check("; SELECT 1", ErrorCode::InvalidSql, Some((1, 1)));
    }

    #[test]
    fn finds_the_place_of_a_syntax_error() {
        let check = |text: &str, message: &str, place: Option<(u32, u32)>| {
            let rejection = refusal(text);
            assert_eq!(rejection.code, ErrorCode::InvalidSql);
            assert!(rejection.message.starts_with(message), "{text:?}: {rejection}");
            assert_eq!(rejection.position.map(|at| (at.line, at.column)), place, "{text:?}: {rejection}");
        };
        check("SELEC 1", "syntax error at or near \"SELEC\"", Some((1, 1)));
        check("SELECT *\nFORM t WHERE x", "syntax error at or near \"FORM\"", Some((2, 1)));
        check("SELECT (1", "syntax error at end of input", Some((1, 10)));
        check("SELECT a FROM FROM t", "syntax error at or near \"FROM\" (it stands in 2 places", None);
        check("SELECT 'open", "unterminated quoted string at or near \"'open\"", Some((1, 8)));
        check("SELECT 1a", "trailing junk after numeric literal at or near \"1a\"", Some((1, 8)));
        check("SELECT 'a\0b'", "the text holds a NUL", Some((1, 10)));
        check("SELECT E'\\xff'", "", None);
    }

    #[test]
    fn refuses_what_is_too_large() {
        let check = |text: String, words: &str| {
            let rejection = refusal(&text);
            assert_eq!(rejection.code, ErrorCode::QueryTooComplex, "{rejection}");
            assert!(rejection.message.contains(words), "{rejection}");
        };
        check(format!("SELECT '{}'", "x".repeat(70_000)), "bytes");
        check(format!("SELECT 1 IN (1{})", ",1".repeat(17_000)), "tokens");
        check(format!("SELECT 1{}", "+1".repeat(10_000)), "nested too deep");
        check(format!("SELECT 1 {}", "-+".repeat(30_000)), "operator characters");
        check(format!("{}{} SELECT 1", "/* ".repeat(40), " */".repeat(40)), "nested");
        check(format!("{} SELECT 1", "/* '".repeat(40)), "nested");
    }

    #[test]
    fn words_that_write_are_refused_in_comments_where_that_is_wanted() {
        let text = "SELECT 'DROP' AS \"update\", updated_at FROM t -- drop it";
        assert!(parse(text, &Limits::default()).is_ok());
        let strict = Limits { strict_comments: true, ..Limits::default() };
        let rejection = parse(text, &strict).unwrap_err();
        assert_eq!((rejection.code, rejection.refused.as_deref()), (ErrorCode::WriteOperationDenied, Some("drop")));
        assert_eq!(rejection.position.map(|at| at.column), Some(46));
        assert!(parse("SELECT 'DROP' AS \"update\" /* dropped, updated */", &strict).is_ok());
        assert!(parse("SELECT /* a /* Delete */ */ 1", &strict).is_err());
    }

    #[test]
    fn comment_marks_in_strings_harm_nobody() {
        let marks = "/* ".repeat(50);
        let check = |text: String| {
            parse(&text, &Limits::default()).unwrap_or_else(|rejection| panic!("{rejection}"));
        };
        check(format!("SELECT '{marks}'"));
        check(format!("SELECT E'\\'{marks}'"));
        check(format!("SELECT 1 AS \"{marks}\""));
        check(format!("SELECT $tag${marks}$tag$"));
        check(format!("SELECT $${marks}$$"));
        check(format!("SELECT 1 -- {marks}"));
        check(format!("SELECT '{}'", "-".repeat(900)));
    }
}
