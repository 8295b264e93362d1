//! Directives: comments at the top of the file that say something of the file.

use super::{
    lines::{Line, Lines},
    parse::Context,
    syntax::{CheckDirective, Directives, Escape, Word},
};

/// Reads the directives; the lines are left at the first one that is none. A `#!` line may come first. A comment of
/// another form, or of an unknown name, ends them, and so does an empty line.
pub(super) fn directives(context: &mut Context<'_>, text: &str) -> (Directives, usize) {
    let mut found = Directives::default();
    let mut seen = Vec::new();
    let mut lines = Lines::new(text);
    let mut end = 0;
    while let Some(line) = lines.next() {
        if line.start == 0 && line.text.starts_with("#!") {
            end = lines.offset();
            continue;
        }
        let Some((name, value)) = directive(line) else { break };
        end = lines.offset();
        let key = name.text.to_lowercase();
        if seen.contains(&key) {
            context.error(format!("the directive `{key}` is given twice"), &name.span, "");
            continue;
        }
        match key.as_str() {
            "syntax" => {
                let length = value.text.find(' ').unwrap_or(value.text.len());
                found.syntax = Some(value.slice(0..length));
            }
            "escape" => found.escape = escape(context, &value),
            _ => found.check = Some(check(context, &value)),
        }
        seen.push(key);
    }
    (found, end)
}

/// `# name = value` of a known name.
fn directive(line: Line<'_>) -> Option<(Word, Word)> {
    let comment = line.comment()?;
    let equals = comment.text.find('=')?;
    let name = comment.slice(0..equals).trim();
    let value = comment.slice(equals + 1..comment.text.len()).trim();
    let known = ["syntax", "escape", "check"].iter().any(|known| name.text.eq_ignore_ascii_case(known));
    (known && !value.text.is_empty()).then_some((name, value))
}

fn escape(context: &mut Context<'_>, value: &Word) -> Escape {
    match value.text.as_str() {
        "\\" => Escape::Backslash,
        "`" => Escape::Backtick,
        _ => {
            context.error(
                "the escape character is either \\ or `",
                &value.span,
                format!("not {:?}", value.text),
            );
            Escape::default()
        }
    }
}

/// `skip=A,B;error=true` (Docker's build checks, "Skip checks").
fn check(context: &mut Context<'_>, value: &Word) -> CheckDirective {
    let mut check = CheckDirective {
        skip: Vec::new(),
        skip_all: false,
        experimental: Vec::new(),
        experimental_all: false,
        error: false,
        span: value.span.clone(),
    };
    for option in value.split(';') {
        let (key, setting) = match option.text.find('=') {
            Some(at) => (option.slice(0..at).trim(), option.slice(at + 1..option.text.len()).trim()),
            None if option.text.trim().is_empty() => continue,
            None => (option.trim(), Word::new("", option.span.end)),
        };
        match key.text.as_str() {
            "skip" | "experimental" => {
                let names: Vec<Word> =
                    setting.split(',').iter().map(Word::trim).filter(|name| !name.text.is_empty()).collect();
                let all = names.iter().any(|name| name.text.eq_ignore_ascii_case("all"));
                if key.text == "skip" {
                    (check.skip, check.skip_all) = (names, all);
                } else {
                    (check.experimental, check.experimental_all) = (names, all);
                }
            }
            "error" => match super::parse::go_bool(&setting.text) {
                Some(error) => check.error = error,
                None => context.error("`error` is either true or false", &setting.span, ""),
            },
            _ => context.error_with_hint(
                format!("unknown option {:?} of the directive `check`", key.text),
                &key.span,
                "",
                "options: skip, experimental, error; as in `# check=skip=JSONArgsRecommended;error=true`",
            ),
        }
    }
    check
}
