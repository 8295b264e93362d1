//! Words and what they expand to.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Modifier, Part, expand, expand_heredoc, expand_words, heredoc_parts, parts};
use crate::dockerfile::syntax::Escape;

fn variables() -> BTreeMap<String, String> {
    [
        ("PWD", "/home"),
        ("EMPTY", ""),
        ("VERSION", "1.2.3"),
        ("FILE", "a/b/c.tar.gz"),
        ("SPACED", "one  two"),
        ("STARS", "x*y?z"),
        ("LINES", "ab\nab"),
        ("GREEK", "άλφα"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

#[test]
fn words_expand_as_in_buildkit() {
    for (text, expected) in [
        ("", ""),
        ("plain", "plain"),
        ("he'll'o", "hello"),
        ("'he'llo", "hello"),
        ("he\\'llo", "he'llo"),
        ("he\\\\'llo'", "he\\llo"),
        ("abc\\tdef", "abctdef"),
        ("\"abc\\tdef\"", "abc\\tdef"),
        ("'abc\\tdef'", "abc\\tdef"),
        ("\"a\\\"b\"", "a\"b"),
        ("\"a\\$PWD\"", "a$PWD"),
        ("\"a\\\\b\"", "a\\b"),
        ("hello\\", "hello"),
        ("\"\"", ""),
        ("a b  c", "a b  c"),
        ("$", "$"),
        ("a$", "a$"),
        ("$ PWD", "$ PWD"),
        ("\\$PWD", "$PWD"),
        ("$PWD", "/home"),
        ("$PWD/x", "/home/x"),
        ("$PWDx", ""),
        ("${PWD}x", "/homex"),
        ("'$PWD'", "$PWD"),
        ("\"$PWD\"", "/home"),
        ("'\"$PWD\"'", "\"$PWD\""),
        ("\"'$PWD'\"", "'/home'"),
        ("$1x", "x"),
        ("$12x", "x"),
        ("$@x", "x"),
        ("$.x", "$.x"),
        ("${NONE}", ""),
        ("${NONE:-d}", "d"),
        ("${NONE-d}", "d"),
        ("${EMPTY:-d}", "d"),
        ("${EMPTY-d}", ""),
        ("${PWD:-d}", "/home"),
        ("${NONE:+d}", ""),
        ("${NONE+d}", ""),
        ("${EMPTY:+d}", ""),
        ("${EMPTY+d}", "d"),
        ("${PWD:+d}", "d"),
        ("${PWD:?no}", "/home"),
        ("${EMPTY?no}", ""),
        ("${NONE:-$PWD}", "/home"),
        ("${NONE:-${EMPTY:-${PWD}}}", "/home"),
        ("${NONE:-'a}b'}", "a}b"),
        ("${NONE:-\"a b\"}", "a b"),
        ("${NONE:-a\\}b}", "a}b"),
        ("${NONE:-}", ""),
        ("${FILE#*/}", "b/c.tar.gz"),
        ("${FILE##*/}", "c.tar.gz"),
        ("${FILE%.*}", "a/b/c.tar"),
        ("${FILE%%.*}", "a/b/c"),
        ("${FILE#x}", "a/b/c.tar.gz"),
        ("${FILE#a\\/}", "b/c.tar.gz"),
        ("${FILE%?z}", "a/b/c.tar."),
        ("${FILE%%/*}", "a"),
        ("${FILE#}", "a/b/c.tar.gz"),
        ("${NONE#x}", ""),
        ("${STARS#x\\*}", "y?z"),
        ("${STARS%\\?z}", "x*y"),
        ("${VERSION/./-}", "1-2.3"),
        ("${VERSION//./-}", "1-2-3"),
        ("${VERSION/[0-9]/x}", "1.2.3"),
        ("${VERSION//./}", "123"),
        ("${FILE//\\//_}", "a_b_c.tar.gz"),
        ("${FILE/b*/x}", "a/x"),
        ("${VERSION/$NONE/x}", "x1.2.3"),
        ("${GREEK/λ/l}", "άlφα"),
        ("${GREEK%?}", "άλφ"),
        ("${LINES//a*/x}", "x\nx"),
        ("${LINES/?b/x}", "x\nab"),
        ("${VERSION//?/$PWD}", "/home/home/home/home/home"),
    ] {
        let expanded = expand(text, &variables(), Escape::Backslash).expect(text);
        assert_eq!(expanded.text, expected, "{text}");
    }
}

/// Short words that would become texts of gigabytes.
#[test]
fn what_variables_put_in_has_a_limit() {
    let nested = |open: &str| format!("{}x{}", open.repeat(40), "}".repeat(40));
    let mut variables = variables();
    variables.insert("LONG".to_owned(), "x".repeat(2 << 20));
    for text in [
        nested("${FILE//?/"),
        nested("${FILE//?/$VERSION"),
        "$LONG$LONG$LONG".into(),
        "\"${LONG//x/$LONG}".into(),
    ] {
        let error = expand(&text, &variables, Escape::Backslash).expect_err(&text);
        assert_eq!(error.message, "variables make this longer than 4 MiB", "{text}");
        assert!(text[error.range].starts_with('$'), "{text}");
    }
    for text in ["$LONG$LONG", "${LONG//x/yz}", "${FILE//?/${FILE//?/${FILE//?/x}}}"] {
        let expanded = expand(text, &variables, Escape::Backslash).expect(text);
        assert!(expanded.text.len() <= 4 << 20, "{text}");
    }
}

#[test]
fn the_escape_character_can_be_another() {
    for (text, expected) in
        [("a`$PWD", "a$PWD"), ("C:\\x", "C:\\x"), ("\"C:\\$PWD`\"\"", "C:\\/home\""), ("${STARS#x`*}", "y?z")]
    {
        assert_eq!(expand(text, &variables(), Escape::Backtick).expect(text).text, expected, "{text}");
    }
}

#[test]
fn words_are_split_where_spaces_are_not_quoted() {
    for (text, expected) in [
        ("", vec![]),
        ("a  b", vec!["a", "b"]),
        ("'a  b' c", vec!["a  b", "c"]),
        ("a\\ b c", vec!["a b", "c"]),
        ("$SPACED x", vec!["one", "two", "x"]),
        ("\"$SPACED\" x", vec!["one  two", "x"]),
        ("a${NONE:-b c}d", vec!["ab", "cd"]),
        ("'' a", vec!["a"]),
        ("80/tcp 443", vec!["80/tcp", "443"]),
    ] {
        assert_eq!(expand_words(text, &variables(), Escape::Backslash).expect(text).text, expected, "{text}");
    }
}

#[test]
fn texts_of_heredocs_keep_their_quotes() {
    for (text, expected) in [
        ("it's $PWD\n", "it's /home\n"),
        ("\"$PWD\" '${PWD}'", "\"/home\" '/home'"),
        ("\\$PWD \\\\ \\n", "$PWD \\ n"),
    ] {
        assert_eq!(
            expand_heredoc(text, &variables(), Escape::Backslash).expect(text).text,
            expected,
            "{text}"
        );
    }
}

#[test]
fn errors_say_where() {
    for (text, range, message) in [
        ("a'b", 1..3, "the quote ' is not closed"),
        ("a\"b$PWD", 1..7, "the quote \" is not closed"),
        ("a${PWD", 1..6, "`${` is not closed: `}` is missing"),
        ("${", 0..2, "`${` is not closed: `}` is missing"),
        ("x ${PWD:-y", 2..10, "`${` is not closed: `}` is missing"),
        ("${PWD/x}", 0..8, "`${` is not closed: `/` is missing"),
        ("${}", 0..3, "a name must follow `${`"),
        ("${:-x}", 0..3, "a name must follow `${`"),
        ("${PWD:x}", 0..7, "`:x` cannot follow a name in `${…}`"),
        ("${PWD@Q}", 0..6, "`@` cannot follow a name in `${…}`"),
        ("${NONE:?}", 0..9, "NONE is unset, and must not be"),
        ("${EMPTY:?}", 0..10, "EMPTY is empty, and must not be"),
        ("${NONE?set it}", 0..14, "NONE: set it"),
        ("${PWD#\\a}", 0..9, "`\\a` in a pattern: only * ? \\ can be escaped"),
    ] {
        let error = expand(text, &variables(), Escape::Backslash).expect_err(text);
        assert_eq!((error.range, error.message.as_str()), (range, message), "{text}");
    }
    let deep = "${a:-".repeat(100_000);
    let error = expand(&deep, &variables(), Escape::Backslash).expect_err("deep");
    assert_eq!(error.message, "variables are nested more than 64 deep");
}

#[test]
fn names_are_noted() {
    let expanded = expand("$PWD ${A} $B ${C:-x} ${D+x} ${E#x} '$F'", &variables(), Escape::Backslash);
    let expanded = expanded.expect("valid");
    assert_eq!(expanded.used.into_iter().collect::<Vec<_>>(), ["PWD"]);
    assert_eq!(expanded.unset.into_iter().collect::<Vec<_>>(), ["A", "B", "E"]);
}

/// Whether a pattern matches all of a text, the slow and plain way.
fn matches(pattern: &[char], text: &[char]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) => (0..=text.len()).any(|length| matches(rest, &text[length..])),
        (Some(('?', rest)), Some((_, tail))) => matches(rest, tail),
        (Some((wanted, rest)), Some((character, tail))) => wanted == character && matches(rest, tail),
        _ => false,
    }
}

/// What the reference gives for `${text<operator>pattern}`.
fn trimmed(text: &str, operator: &str, pattern: &str) -> String {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let lengths: Vec<usize> = (0..=text.len()).collect();
    let fits = |length: &&usize| match operator {
        "#" | "##" => matches(&pattern, &text[..**length]),
        _ => matches(&pattern, &text[text.len() - **length..]),
    };
    let length = match operator.len() {
        1 => lengths.iter().find(fits),
        _ => lengths.iter().rev().find(fits),
    };
    let rest = match (length, operator.starts_with('#')) {
        (None, _) => &text[..],
        (Some(length), true) => &text[*length..],
        (Some(length), false) => &text[..text.len() - length],
    };
    rest.iter().collect()
}

/// What the reference gives for all of `${text//pattern/-}`, the longest match at each place; none of them empty.
fn replaced(text: &str, pattern: &str) -> String {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let (mut at, mut result) = (0, String::new());
    while at < text.len() {
        let end = (at + 1..=text.len()).rev().find(|end| matches(&pattern, &text[at..*end]));
        result.push(if end.is_some() { '-' } else { text[at] });
        at = end.unwrap_or(at + 1);
    }
    result
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn patterns_match_as_the_reference_does(text in "[ab.é]{0,8}", pattern in "[ab.é*?]{0,5}") {
        let variables = BTreeMap::from([("X".to_owned(), text.clone())]);
        for operator in ["#", "##", "%", "%%"] {
            let word = format!("${{X{operator}{pattern}}}");
            let expanded = expand(&word, &variables, Escape::Backslash).expect("valid");
            prop_assert_eq!(expanded.text, trimmed(&text, operator, &pattern), "{} of {}", word, text);
        }
        // A pattern of stars alone, and an empty one, match nothing too, where the reference does not look.
        if pattern.chars().any(|character| character != '*') {
            let word = format!("${{X//{pattern}/-}}");
            let expanded = expand(&word, &variables, Escape::Backslash).expect("valid");
            prop_assert_eq!(expanded.text, replaced(&text, &pattern), "{} of {}", word, text);
        }
    }

    #[test]
    fn text_without_special_characters_is_itself(text in "[^$'\"\\\\]{0,30}") {
        let expanded = expand(&text, &variables(), Escape::Backslash).expect("valid");
        prop_assert_eq!(&expanded.text, &text);
        let words = expand_words(&text, &variables(), Escape::Backslash).expect("valid").text;
        prop_assert_eq!(words, text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    }

    #[test]
    fn quotes_and_escapes_keep_any_text(text in "[^']{0,30}") {
        let quoted = format!("'{text}'");
        prop_assert_eq!(expand(&quoted, &variables(), Escape::Backslash).expect("valid").text, text.as_str());
        let escaped: String = text.chars().flat_map(|character| ['\\', character]).collect();
        prop_assert_eq!(expand(&escaped, &variables(), Escape::Backslash).expect("valid").text, text);
    }
}

/// Time grows with the size, not with its square: at these sizes it would not end.
#[test]
fn large_words_and_values_expand() {
    let variables = BTreeMap::from([("X".to_owned(), "a".repeat(300_000))]);
    for word in [
        "a$X".repeat(10),
        "$".repeat(1_000_000),
        "${X//a/b}".to_owned(),
        "${X//a*b/c}".to_owned(),
        "${X//*b/c}".to_owned(),
        "${X%%*b}${X##*b}${X%b*}${X#*b*}".to_owned(),
        "${X//*a*a*a/c}".to_owned(),
        format!("${{X%%{}b}}", "*a".repeat(1000)),
        format!("${{X//{}/c}}", "*".repeat(300_000)),
        "'a' ".repeat(300_000),
        "\"$B\"".repeat(300_000),
    ] {
        for result in [
            expand(&word, &variables, Escape::Backslash).map(|expanded| expanded.text.len()),
            expand_words(&word, &variables, Escape::Backslash).map(|expanded| expanded.text.len()),
        ] {
            assert!(result.is_ok());
        }
    }
}

/// What would take as many steps as the text and the pattern have characters together is refused, not waited for.
#[test]
fn what_a_word_takes_has_a_limit() {
    let mut variables = BTreeMap::from([("X".to_owned(), "a".repeat(500_000))]);
    variables.insert("LINES".to_owned(), "a\n".repeat(250_000));
    let half = "a".repeat(250_000);
    for word in [
        format!("${{X//{half}b/x}}"),
        format!("x${{X%b{half}*}}${{X%b*{half}*}}${{X#*{half}b}}"),
        format!("${{LINES//a{}b/x}}", "*".repeat(250_000)),
        format!("x{}", "${X:+}".repeat(200)),
    ] {
        let error = expand(&word, &variables, Escape::Backslash).expect_err("too much");
        assert_eq!(error.message, "variables and their patterns take too long here", "{word:.20}");
        assert!(word[error.range].starts_with("${"), "{word:.20}");
    }
    let taken = |word: &str| expand(word, &variables, Escape::Backslash).expect(word).work;
    assert_eq!(taken("plain"), 0);
    for (word, times) in [("$X", 2), ("${X:+}", 1), ("${X//a/}", 3)] {
        assert!((500_000 * times..=500_001 * times).contains(&taken(word)), "{word} {}", taken(word));
    }
}

/// What parts come to, as far as they say it.
fn joined(parts: &[Part]) -> Option<String> {
    let variables = variables();
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Text(part) => text.push_str(part),
            Part::Variable { name, modifier } => {
                let value = variables.get(name);
                match modifier {
                    None => text.push_str(value.map_or("", String::as_str)),
                    Some(Modifier::Pattern) => return None,
                    Some(Modifier::Condition { sign, colon, word }) => {
                        let value = value.filter(|value| !colon || !value.is_empty());
                        let word = joined(word)?;
                        match (sign, value) {
                            ('-', value) => text.push_str(value.unwrap_or(&word)),
                            ('+', value) => text.push_str(value.map_or("", |_| &word)),
                            (_, value) => text.push_str(value?),
                        }
                    }
                }
            }
        }
    }
    Some(text)
}

proptest! {
    #[test]
    fn parts_are_what_is_expanded(text in "[$\\{}'\"\\\\PWDEM:+?a-]{0,16}|\\PC{0,8}") {
        let variables = variables();
        if let (Ok(parts), Ok(expanded)) = (parts(&text, Escape::Backslash), expand(&text, &variables, Escape::Backslash))
            && let Some(joined) = joined(&parts)
        {
            prop_assert_eq!(joined, expanded.text);
        }
        if let (Ok(parts), Ok(expanded)) = (heredoc_parts(&text), expand_heredoc(&text, &variables, Escape::Backslash))
            && let Some(joined) = joined(&parts)
        {
            prop_assert_eq!(joined, expanded.text);
        }
        // What is expanded has parts.
        prop_assert!(parts(&text, Escape::Backslash).is_ok() || expand(&text, &variables, Escape::Backslash).is_err());
    }
}
