//! Which script a question is written in: the translator reads Latin letters only.

/// The language family of a question whose letters aren't mostly Latin.
pub(super) fn foreign_language(question: &str) -> Option<&'static str> {
    let letters: Vec<char> = question.chars().filter(|c| c.is_alphabetic()).collect();
    let foreign: Vec<&'static str> = letters.iter().filter_map(|c| family(*c)).collect();
    // A single foreign name within an English question is a value.
    if foreign.len() * 2 <= letters.len() {
        return None;
    }
    // Japanese mixes its own letters with Chinese ones.
    if foreign.contains(&"Japanese") { Some("Japanese") } else { foreign.first().copied() }
}

fn family(letter: char) -> Option<&'static str> {
    Some(match letter {
        '\u{0370}'..='\u{03FF}' => "Greek",
        '\u{0400}'..='\u{052F}' => "a language written in Cyrillic",
        '\u{0590}'..='\u{05FF}' => "Hebrew",
        '\u{0600}'..='\u{06FF}' | '\u{0750}'..='\u{077F}' => "a language written in Arabic script",
        '\u{0900}'..='\u{097F}' => "a language written in Devanagari",
        '\u{0E00}'..='\u{0E7F}' => "Thai",
        '\u{3040}'..='\u{30FF}' => "Japanese",
        '\u{AC00}'..='\u{D7AF}' | '\u{1100}'..='\u{11FF}' => "Korean",
        '\u{3400}'..='\u{9FFF}' => "Chinese",
        other if other > '\u{024F}' && !('\u{1E00}'..='\u{1EFF}').contains(&other) => "a script other than Latin",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_language_of_other_scripts() {
        let check =
            |question: &str, expected: Option<&str>| assert_eq!(foreign_language(question), expected, "{question}");
        check("show last 5 users", None);
        check("usuarios de Málaga", None);
        check("显示最近的5个用户", Some("Chinese"));
        check("最新の5人のユーザーを表示", Some("Japanese"));
        check("покажи пользователей", Some("a language written in Cyrillic"));
        check("users named 王", None);
        check("사용자 목록", Some("Korean"));
        check("123", None);
    }
}
