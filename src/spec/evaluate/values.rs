//! Texts → values: modes, owners, times, sizes, numbers, paths.

use std::time::Duration;

use super::scope::{Expanded, Inside, Scope};
use crate::{
    layer::EntryPath,
    recipe::{FileMode, ModeChange, Modes, Owner, OwnerName},
    source::Diagnostic,
    spec::raw::{self, Choice, Or},
};

/// A mode, a quoted octal number. Without quotes it would be the number 644 to some YAML readers, 420 to others.
pub(super) fn mode(scope: &Scope<'_>, text: &Expanded) -> Result<FileMode, Diagnostic> {
    octal(scope, text, "a mode is an octal number in quotes, such as \"0644\" or \"0755\"")
}

/// `hint` says what may stand here.
fn octal(scope: &Scope<'_>, text: &Expanded, hint: &str) -> Result<FileMode, Diagnostic> {
    let digits = text.text.strip_prefix("0o").unwrap_or(&text.text);
    let octal = (3..=5).contains(&digits.len()) && digits.bytes().all(|b| (b'0'..=b'7').contains(&b));
    let value = u32::from_str_radix(digits, 8).ok().filter(|value| octal && *value <= 0o7777);
    let Some(value) = value else {
        return Err(no_mode(scope, text).hint(hint));
    };
    if text.plain {
        return Err(scope
            .error(&text.span, format!("the mode {} must stand in quotes", text.text), "no quotes")
            .hint(format!(
                "write \"{value:04o}\": without quotes, YAML readers differ on the base of the number"
            )));
    }
    Ok(FileMode(value))
}

fn no_mode(scope: &Scope<'_>, text: &Expanded) -> Diagnostic {
    scope.error(&text.span, format!("{:?} is not a mode", text.text), "not a mode")
}

pub(super) fn mode_option(
    inside: &Inside<'_>,
    text: Option<&Choice<raw::Text>>,
) -> Result<Option<FileMode>, Diagnostic> {
    inside.option(text)?.map(|text| mode(&inside.scope, &text)).transpose()
}

/// Modes of what is copied: those that the files have can be changed.
pub(super) fn modes(inside: &Inside<'_>, modes: Option<&Choice<raw::Modes>>) -> Result<Modes, Diagnostic> {
    let one = |text: &raw::Text| -> Result<ModeChange, Diagnostic> {
        let text = inside.text(text)?;
        const BOTH: &str = "a mode is an octal number in quotes, such as \"0644\", or a change in symbols, such as \
                            u=rwX,go=rX or +x";
        if text.text.contains(['+', '-', '=']) {
            return text.text.parse().map_err(|_| no_mode(&inside.scope, &text).hint(BOTH));
        }
        octal(&inside.scope, &text, BOTH).map(Into::into)
    };
    match inside.scope.pick_some(modes)? {
        None => Ok(Modes::default()),
        Some(Or::Short(text)) => {
            let mode = one(text)?;
            Ok(Modes { files: Some(mode.clone()), directories: Some(mode) })
        }
        Some(Or::Long(fields)) => Ok(Modes {
            files: fields.files.as_ref().map(one).transpose()?,
            directories: fields.dirs.as_ref().map(one).transpose()?,
        }),
    }
}

/// `user`, `user:group`, each a number or a name.
pub(super) fn owner(
    inside: &Inside<'_>,
    text: Option<&Choice<raw::Text>>,
) -> Result<Option<Owner>, Diagnostic> {
    let Some(text) = inside.option(text)? else { return Ok(None) };
    parse_owner(&text.text).map(Some).ok_or_else(|| {
        inside
            .scope
            .error(&text.span, format!("{:?} is not an owner", text.text), "not an owner")
            .hint("write `user`, `user:group`, `1000` or `1000:1000`")
    })
}

/// The same of a text. `None`: it is no owner.
pub(super) fn parse_owner(text: &str) -> Option<Owner> {
    let part = |part: &str| -> Option<OwnerName> {
        if part.bytes().all(|b| b.is_ascii_digit()) {
            return part.parse().ok().filter(|id| *id <= u64::from(u32::MAX)).map(OwnerName::Id);
        }
        is_account_name(part).then(|| OwnerName::Name(part.to_owned()))
    };
    match text.split_once(':') {
        None => part(text).map(|user| Owner { user, group: None }),
        Some((user, group)) => {
            part(user).zip(part(group)).map(|(user, group)| Owner { user, group: Some(group) })
        }
    }
}

/// Whether a name can stand in the account files.
pub(super) fn is_account_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 32
        && !name.starts_with('-')
        && name.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b':' | b'/' | b','))
}

/// A number, from 0 on.
pub(super) fn number<T: std::str::FromStr>(scope: &Scope<'_>, text: &Expanded) -> Result<T, Diagnostic> {
    let parsed = text.text.bytes().all(|b| b.is_ascii_digit()).then(|| text.text.parse().ok()).flatten();
    parsed.ok_or_else(|| {
        scope
            .error(&text.span, format!("{:?} is not a number", text.text), "not a number")
            .hint("write a whole number, 0 or more, in decimal")
    })
}

/// `30s`, `1m30s`, `500ms`, `1.5h`.
pub(super) fn duration(scope: &Scope<'_>, text: &Expanded) -> Result<Duration, Diagnostic> {
    parse_duration(&text.text).ok_or_else(|| {
        let diagnostic =
            scope.error(&text.span, format!("{:?} is not a duration", text.text), "not a duration");
        if !text.text.is_empty() && text.text.bytes().all(|b| b.is_ascii_digit()) {
            return diagnostic.hint(format!("did you mean `{}s`?", text.text));
        }
        diagnostic.hint("write numbers with units, such as `30s`, `1m30s` or `500ms`")
    })
}

fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut nanos = 0_f64;
    if text.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "ns" => 1.0,
            "us" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 6e10,
            "h" => 3.6e12,
            _ => return None,
        };
        nanos += number * unit;
        rest = &rest[letters..];
    }
    // What a config can say: nanoseconds in an i64.
    (nanos.is_finite() && nanos < 9.2e18).then(|| Duration::from_nanos(nanos.round() as u64))
}

/// `64m`: bytes with k, m or g.
pub(super) fn size(scope: &Scope<'_>, text: &Expanded) -> Result<u64, Diagnostic> {
    let lower = text.text.to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit()).unwrap_or(lower.len());
    let unit = match &lower[digits..] {
        "" | "b" => Some(1_u64),
        "k" | "kb" => Some(1 << 10),
        "m" | "mb" => Some(1 << 20),
        "g" | "gb" => Some(1 << 30),
        _ => None,
    };
    let number: Option<u64> = lower[..digits].parse().ok();
    number.zip(unit).and_then(|(number, unit)| number.checked_mul(unit)).ok_or_else(|| {
        scope
            .error(&text.span, format!("{:?} is not a size", text.text), "not a size")
            .hint("write bytes, or a number with k, m or g, such as `64m`")
    })
}

/// A path of the image: absolute, without `.`, `..` and empty parts.
pub(super) fn join(workdir: Option<&str>, path: &str) -> String {
    let whole = match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("{}/{path}", workdir.unwrap_or("/")),
    };
    EntryPath::new(&whole).map_or_else(|| "/".to_owned(), |path| format!("/{path}"))
}

/// A path that must be absolute, as a mount's.
pub(super) fn absolute(scope: &Scope<'_>, text: &Expanded, what: &str) -> Result<String, Diagnostic> {
    if !text.text.starts_with('/') {
        return Err(scope
            .error(&text.span, format!("{what} must be an absolute path, not {:?}", text.text), "relative")
            .hint(format!("did you mean `/{}`?", text.text.trim_start_matches("./"))));
    }
    Ok(join(None, &text.text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in [
            ("30s", Some(30_000)),
            ("1m30s", Some(90_000)),
            ("500ms", Some(500)),
            ("1.5h", Some(5_400_000)),
            ("0s", Some(0)),
            ("", None),
            ("30", None),
            ("s", None),
            ("1 m", None),
            ("-1s", None),
            ("1e9h", None),
            ("99999999999h", None),
        ] {
            assert_eq!(parse_duration(text).map(|d| d.as_millis()), millis, "{text}");
        }
    }

    #[test]
    fn paths_are_joined_below_the_root() {
        for (workdir, path, joined) in [
            (None, "a", "/a"),
            (Some("/app"), "src/", "/app/src"),
            (Some("/app"), "../../..", "/"),
            (Some("/app"), "/x//y/./z", "/x/y/z"),
            (Some("/app"), ".", "/app"),
        ] {
            assert_eq!(join(workdir, path), joined);
        }
    }
}
