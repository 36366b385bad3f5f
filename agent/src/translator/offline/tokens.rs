//! A question cut into tokens: words, numbers (also spelt out), quoted strings, periods and signs.

use chrono::NaiveDate;

use super::dates::{self, Period};
use super::words::stem;

/// One token of a question.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    /// As it was written.
    pub(super) text: String,
    /// In lower case.
    pub(super) lower: String,
    /// The form in which it is compared with names.
    pub(super) stem: String,
    pub(super) kind: TokenKind,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenKind {
    Word,
    /// A decimal number without separators, e.g. `-12.50`.
    Number(String),
    /// What stood between quotation marks.
    Quoted(String),
    Period(Period),
    Comma,
    /// The end of a sentence.
    Stop,
    /// A comparison or another sign.
    Sign,
}

impl Token {
    fn new(text: &str, kind: TokenKind) -> Self {
        let lower = text.to_lowercase();
        Self { text: text.into(), stem: stem(&lower), lower, kind }
    }

    /// Whether it starts with a capital, as names do.
    pub(super) fn is_capitalised(&self) -> bool {
        self.text.chars().next().is_some_and(char::is_uppercase)
    }
}

/// The tokens of `question`. `today` is what "last month" counts from.
pub(super) fn tokenize(question: &str, today: NaiveDate) -> Vec<Token> {
    let mut tokens = cut(question);
    spell_numbers(&mut tokens);
    join_periods(tokens, today)
}

fn cut(question: &str) -> Vec<Token> {
    let characters: Vec<char> = question.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < characters.len() {
        let character = characters[at];
        let after_space = at == 0 || !characters[at - 1].is_alphanumeric();
        if let Some((text, end)) = after_space.then(|| quoted(&characters, at)).flatten() {
            tokens.push(Token {
                lower: text.to_lowercase(),
                stem: String::new(),
                text: text.clone(),
                kind: TokenKind::Quoted(text),
            });
            at = end;
        } else if character.is_alphanumeric() || (character == '-' && after_space && digit_at(&characters, at + 1)) {
            let end = word_end(&characters, at);
            push_word(&mut tokens, &characters[at..end]);
            at = end;
        } else {
            let two: String = characters[at..characters.len().min(at + 2)].iter().collect();
            let kind = match character {
                ',' => Some(TokenKind::Comma),
                '.' | '?' | '!' | ';' => Some(TokenKind::Stop),
                '<' | '>' | '=' | '≤' | '≥' | '≠' | '%' => Some(TokenKind::Sign),
                _ => None,
            };
            let wide = matches!(two.as_str(), "<=" | ">=" | "<>" | "!=" | "==");
            let kind = if wide { Some(TokenKind::Sign) } else { kind };
            let end = at + if wide { 2 } else { 1 };
            if let Some(kind) = kind {
                tokens.push(Token::new(&characters[at..end].iter().collect::<String>(), kind));
            }
            at = end;
        }
    }
    tokens
}

fn digit_at(characters: &[char], at: usize) -> bool {
    characters.get(at).is_some_and(char::is_ascii_digit)
}

/// What stands between the quotation marks that open at `at`, and where they end.
fn quoted(characters: &[char], at: usize) -> Option<(String, usize)> {
    let close = match characters[at] {
        '"' => '"',
        '\'' => '\'',
        '“' => '”',
        '‘' => '’',
        '«' => '»',
        _ => return None,
    };
    let closes = |&end: &usize| {
        // An apostrophe inside a word doesn't close: 'O'Brien'.
        characters[end] == close && characters.get(end + 1).is_none_or(|c| !c.is_alphanumeric())
    };
    let end = (at + 1..characters.len()).find(closes)?;
    Some((characters[at + 1..end].iter().collect(), end + 1))
}

/// Where the word or number that starts at `at` ends. Dots and commas belong to numbers, hyphens and apostrophes to words.
fn word_end(characters: &[char], at: usize) -> usize {
    let mut end = at + 1;
    while end < characters.len() {
        let inside = characters.get(end + 1).is_some_and(|c| c.is_alphanumeric());
        let digits = characters[end - 1].is_ascii_digit() && digit_at(characters, end + 1);
        match characters[end] {
            c if c.is_alphanumeric() => {}
            '_' | '@' => {}
            '-' | '\'' | '’' | '&' if inside => {}
            '.' if digits || (inside && characters[at..end].contains(&'@')) => {}
            ',' if digits && thousands(characters, end) => {}
            _ => break,
        }
        end += 1;
    }
    end
}

/// Whether the comma at `at` stands before exactly three digits, as in 1,000.
fn thousands(characters: &[char], at: usize) -> bool {
    (1..=3).all(|offset| digit_at(characters, at + offset)) && !digit_at(characters, at + 4)
}

fn push_word(tokens: &mut Vec<Token>, characters: &[char]) {
    let text: String = characters.iter().collect();
    if let Some(number) = number(&text) {
        tokens.push(Token::new(&text, TokenKind::Number(number)));
        return;
    }
    // Dates, codes like AB-12 and addresses stay whole.
    let whole = text.contains('@') || text.chars().any(|c| c.is_ascii_digit());
    if whole && !text.contains('_') {
        tokens.push(Token::new(&text, TokenKind::Word));
        return;
    }
    for part in text.split(['-', '_']).filter(|part| !part.is_empty()) {
        let bare = ["'s", "’s", "'", "’"].iter().find_map(|ending| part.strip_suffix(ending)).unwrap_or(part);
        tokens.push(Token::new(bare, TokenKind::Word));
    }
}

/// A number in digits, with thousands separated or followed by k or m.
fn number(text: &str) -> Option<String> {
    let plain = text.replace(',', "");
    let (digits, zeros) = match plain.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, "000"),
        None => (plain.as_str(), ""),
    };
    let unsigned = digits.strip_prefix('-').unwrap_or(digits);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let numeric = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    let scaled_fraction = !zeros.is_empty() && unsigned.contains('.');
    (numeric(whole) && numeric(fraction) && !scaled_fraction).then(|| format!("{digits}{zeros}"))
}

/// Turns spelt-out numbers into digits, and takes `2 million` together.
fn spell_numbers(tokens: &mut Vec<Token>) {
    const WORDS: [&str; 21] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
        "twenty",
    ];
    for token in tokens.iter_mut() {
        if let Some(value) = WORDS.iter().position(|word| *word == token.lower) {
            token.kind = TokenKind::Number(value.to_string());
        }
    }
    let mut at = 1;
    while at < tokens.len() {
        let zeros = match tokens[at].lower.as_str() {
            "hundred" => "00",
            "thousand" => "000",
            "million" => "000000",
            "billion" => "000000000",
            _ => "",
        };
        if let (false, TokenKind::Number(number)) = (zeros.is_empty(), &tokens[at - 1].kind)
            && !number.contains('.')
        {
            let text = format!("{} {}", tokens[at - 1].text, tokens[at].text);
            tokens[at - 1] =
                Token { kind: TokenKind::Number(format!("{number}{zeros}")), ..Token::new(&text, TokenKind::Word) };
            tokens.remove(at);
        } else {
            at += 1;
        }
    }
}

fn join_periods(tokens: Vec<Token>, today: NaiveDate) -> Vec<Token> {
    let mut joined = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        // A comma inside `May 17, 2024` doesn't count; a quoted string never belongs to a date.
        let mut words: Vec<&str> = Vec::new();
        let mut ends = Vec::new();
        for (offset, token) in tokens[at..].iter().enumerate().take(6) {
            match token.kind {
                TokenKind::Word => words.push(token.lower.as_str()),
                TokenKind::Number(ref number) => words.push(number.as_str()),
                TokenKind::Comma if !words.is_empty() => continue,
                _ => break,
            }
            ends.push(at + offset + 1);
        }
        match dates::period(&words, today) {
            Some((period, taken)) => {
                let end = ends[taken - 1];
                let text = tokens[at..end].iter().map(|t| t.text.as_str()).collect::<Vec<_>>().join(" ");
                joined.push(Token::new(&text, TokenKind::Period(period)));
                at = end;
            }
            None => {
                joined.push(tokens[at].clone());
                at += 1;
            }
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(question: &str, expected: &[&str]) {
        let today = NaiveDate::from_ymd_opt(2024, 5, 15).expect("a date");
        let shown: Vec<String> = tokenize(question, today)
            .iter()
            .map(|token| match &token.kind {
                TokenKind::Word => token.text.clone(),
                TokenKind::Number(number) => format!("#{number}"),
                TokenKind::Quoted(text) => format!("\"{text}\""),
                TokenKind::Period(period) => format!("[{}…{}[", period.from, period.until),
                TokenKind::Comma | TokenKind::Stop | TokenKind::Sign => token.text.clone(),
            })
            .collect();
        assert_eq!(shown, expected, "{question}");
    }

    #[test]
    fn cuts_questions_into_tokens() {
        check("show last five users", &["show", "last", "#5", "users"]);
        check("orders over $1,000.50?", &["orders", "over", "#1000.50", "?"]);
        check("more than 2 million", &["more", "than", "#2000000"]);
        check("10k", &["#10000"]);
        check("the user's name, please", &["the", "user", "name", ",", "please"]);
        check("customers' names", &["customers", "names"]);
        check("named 'O'Brien' or \"New York\"", &["named", "\"O'Brien\"", "or", "\"New York\""]);
        check("price>=10", &["price", ">=", "#10"]);
        check("created_at", &["created", "at"]);
        check("since May 17, 2024", &["since", "[2024-05-17…2024-05-18["]);
        check("a@b.example.org", &["a@b.example.org"]);
        check("code AB-12", &["code", "AB-12"]);
        check("sizes 1, 2", &["sizes", "#1", ",", "#2"]);
        check("below -5", &["below", "#-5"]);
        check("   ", &[]);
    }
}
