//! "Did you mean".

/// The one of `known` that `word` is most likely a misspelling, or the beginning, of.
pub fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Nobody misspells a word by making it a text.
    if word.len() > 100 {
        return None;
    }
    let fold = |text: &str| text.to_lowercase().replace(['-', '_', '.', ' '], "");
    let folded = fold(word);
    let others: Vec<(&str, String)> =
        known.into_iter().filter(|name| *name != word).map(|name| (name, fold(name))).collect();
    let near = others.iter().filter_map(|(name, other)| {
        let distance = strsim::damerau_levenshtein(&folded, other);
        // A word of three letters may differ in one, a long one in a third.
        let allowed = (folded.chars().count().max(other.chars().count()) / 3).max(1);
        let close = distance <= allowed && distance < other.chars().count();
        let same_start = other.len() >= 3 && folded.starts_with(other) && folded.len() <= other.len() + 4;
        (close || same_start).then_some((distance, *name))
    });
    near.min_by_key(|(distance, _)| *distance).map(|(_, name)| name).or_else(|| {
        let mut longer = others.iter().filter(|(_, other)| folded.len() >= 3 && other.starts_with(&folded));
        longer.next().filter(|_| longer.next().is_none()).map(|(name, _)| *name)
    })
}

/// A hint of the names that are known, with the likely one first.
pub fn hint(word: &str, known: &[&str], what: &str) -> String {
    match closest(word, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if known.is_empty() => format!("there are no {what}"),
        None => format!("{what}: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn misspellings_are_found_and_strangers_are_not() {
        let fields = ["copy", "exclude", "stopSignal", "healthcheck", "entrypoint", "to"];
        for (word, found) in [
            ("cpoy", Some("copy")),
            ("excludes", Some("exclude")),
            ("stop_signal", Some("stopSignal")),
            ("StopSignal", Some("stopSignal")),
            ("health-check", Some("healthcheck")),
            ("entry_point", Some("entrypoint")),
            ("entry", Some("entrypoint")),
            ("zebra", None),
            ("xy", None),
        ] {
            assert_eq!(closest(word, fields), found, "{word}");
        }
    }
}
