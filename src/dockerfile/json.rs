//! JSON arrays of strings: the exec form of arguments.

use serde_json::value::RawValue;

use super::syntax::Word;

/// What arguments are that may be a JSON array.
#[derive(Debug)]
pub(super) enum Json {
    /// An array of strings.
    Strings(Vec<Word>),
    /// An array, but with something that is no string: the place.
    NotStrings(Word),
    /// No JSON array.
    None,
}

/// Reads a JSON array. Whatever is not one, to the last character, is no error: it is taken as text.
pub(super) fn array(text: &Word) -> Json {
    if !text.text.starts_with('[') {
        return Json::None;
    }
    let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(&text.text) else { return Json::None };
    let mut words = Vec::with_capacity(items.len());
    for item in items {
        let raw = item.get();
        let start = raw.as_ptr() as usize - text.text.as_ptr() as usize;
        let place = text.slice(start..start + raw.len());
        let Ok(string) = serde_json::from_str::<String>(raw) else { return Json::NotStrings(place) };
        let plain = raw.len() == string.len() + 2 && raw.get(1..raw.len() - 1) == Some(&string);
        let pieces = if plain { place.slice(1..1 + string.len()).pieces } else { Vec::new() };
        words.push(Word { text: string, span: place.span, pieces });
    }
    Json::Strings(words)
}

/// Whether a text that is no JSON array was probably meant to be one: `['a', 'b']`, `["a", "b",]`, `[a]`. A shell's
/// `[ "$x" = y ]` is not: it needs a blank behind its name.
pub(super) fn looks_like_array(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else { return false };
    inner.starts_with(|c: char| c != '[' && !c.is_whitespace())
        || (inner.contains(',') && inner.trim_start().starts_with(['"', '\'']))
}

#[cfg(test)]
mod tests {
    use super::looks_like_array;

    #[test]
    fn what_was_meant_as_an_array() {
        for (text, meant) in [
            ("['a', 'b']", true),
            ("[\"a\", \"b\",]", true),
            ("[a]", true),
            ("[npm, start]", true),
            ("[ 'a', 'b' ]", true),
            ("[ \"$x\" = y ]", false),
            ("[ -e /x ]", false),
            ("[]", false),
            ("[[ -e /x ]]", false),
            ("a [b]", false),
        ] {
            assert_eq!(looks_like_array(text), meant, "{text}");
        }
    }
}
