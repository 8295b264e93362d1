//! `${NAME}` in texts.
//!
//! `${NAME}`, `${NAME:-default}`, `${NAME:+alternative}` and `${NAME:?message}`; what follows the sign may hold more
//! of them. `$$` is a dollar sign. A dollar sign before anything else stays, so `$HOME` reaches the shell.

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lookup {
    /// This text.
    Set(String),
    /// Nothing, though it is declared.
    Unset,
    /// Nobody declared it.
    Unknown,
}

/// Why a text cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The part of the text at fault.
    pub(super) part: String,
    pub(super) reason: Reason,
}

/// What is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reason {
    /// No brace closes it.
    Open,
    /// What stands in the braces is no name.
    Name(String),
    /// A sign other than the three.
    Operator(String),
    /// Nested too deep, or too long.
    TooLarge,
    /// The name is declared but has no value.
    Unset(String),
    /// Nobody declared the name.
    Unknown(String),
    /// `:?` asked for a value; the message.
    Required(String, String),
}

/// The deepest nesting of `${A:-${B:-…}}`.
const MAX_DEPTH: usize = 16;
/// The longest result.
const MAX_BYTES: usize = 4 << 20;

/// Replaces every `${…}` by what `lookup` says.
pub(super) fn expand(text: &str, lookup: &dyn Fn(&str) -> Lookup) -> Result<String, Fault> {
    let mut out = String::new();
    expand_into(text, lookup, 0, &mut out)?;
    Ok(out)
}

fn expand_into(
    text: &str,
    lookup: &dyn Fn(&str) -> Lookup,
    depth: usize,
    out: &mut String,
) -> Result<(), Fault> {
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        rest = &rest[dollar..];
        if let Some(after) = rest.strip_prefix("$$") {
            out.push('$');
            rest = after;
        } else if rest.starts_with("${") {
            let end =
                closing_brace(rest).ok_or_else(|| Fault { part: rest.to_owned(), reason: Reason::Open })?;
            let fault = |reason| Fault { part: rest[..=end].to_owned(), reason };
            if depth > MAX_DEPTH || out.len() > MAX_BYTES {
                return Err(fault(Reason::TooLarge));
            }
            variable(&rest[2..end], lookup, depth, out).map_err(|error| match error {
                Inner::Here(reason) => fault(reason),
                Inner::Nested(fault) => fault,
            })?;
            if out.len() > MAX_BYTES {
                return Err(fault(Reason::TooLarge));
            }
            rest = &rest[end + 1..];
        } else {
            out.push('$');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    Ok(())
}

/// Where the brace is that closes the `${` which `text` starts with.
fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'$' if bytes.get(at + 1) == Some(&b'$') => at += 1,
            b'$' if bytes.get(at + 1) == Some(&b'{') => {
                open += 1;
                at += 1;
            }
            b'}' => {
                open -= 1;
                if open == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

enum Inner {
    Here(Reason),
    Nested(Fault),
}

/// Expands what stands between the braces.
fn variable(
    body: &str,
    lookup: &dyn Fn(&str) -> Lookup,
    depth: usize,
    out: &mut String,
) -> Result<(), Inner> {
    let end = body.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(body.len());
    let (name, rest) = body.split_at(end);
    if !is_name(name) {
        return Err(Inner::Here(Reason::Name(body.to_owned())));
    }
    let found = lookup(name);
    let full = matches!(&found, Lookup::Set(value) if !value.is_empty());
    let nested =
        |text: &str, out: &mut String| expand_into(text, lookup, depth + 1, out).map_err(Inner::Nested);
    if rest.is_empty() {
        return match found {
            Lookup::Set(value) => {
                out.push_str(&value);
                Ok(())
            }
            Lookup::Unset => Err(Inner::Here(Reason::Unset(name.to_owned()))),
            Lookup::Unknown => Err(Inner::Here(Reason::Unknown(name.to_owned()))),
        };
    }
    let value = if let Lookup::Set(value) = found { value } else { String::new() };
    if let Some(default) = rest.strip_prefix(":-") {
        if !full {
            return nested(default, out);
        }
        out.push_str(&value);
    } else if let Some(alternative) = rest.strip_prefix(":+") {
        if full {
            return nested(alternative, out);
        }
    } else if let Some(message) = rest.strip_prefix(":?") {
        if !full {
            let mut text = String::new();
            nested(message, &mut text)?;
            return Err(Inner::Here(Reason::Required(name.to_owned(), text)));
        }
        out.push_str(&value);
    } else {
        return Err(Inner::Here(Reason::Operator(rest.to_owned())));
    }
    Ok(())
}

/// Whether it can be the name of an argument or an environment variable in `${…}`.
pub(super) fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Lookup {
        match name {
            "A" => Lookup::Set("1".to_owned()),
            "EMPTY" => Lookup::Set(String::new()),
            "UNSET" => Lookup::Unset,
            _ => Lookup::Unknown,
        }
    }

    #[test]
    fn every_form() {
        for (text, expanded) in [
            ("plain", "plain"),
            ("${A}", "1"),
            ("x${A}y${A}z", "x1y1z"),
            ("$A $HOME $(date) $1 $", "$A $HOME $(date) $1 $"),
            ("$$", "$"),
            ("$${A}", "${A}"),
            ("$$$${A}", "$${A}"),
            ("${EMPTY}", ""),
            ("${UNSET:-d}", "d"),
            ("${EMPTY:-d}", "d"),
            ("${NOBODY:-d}", "d"),
            ("${A:-d}", "1"),
            ("${NOBODY:-${A}-${UNSET:-x}}", "1-x"),
            ("${NOBODY:-a$}b", "a$b"),
            ("${A:+yes}", "yes"),
            ("${UNSET:+yes}", ""),
            ("${A:?must}", "1"),
            // The escaped brace opens nothing, so the first one closes.
            ("${NOBODY:-$${A}}", "${A}"),
        ] {
            assert_eq!(expand(text, &lookup).as_deref(), Ok(expanded), "{text}");
        }
    }

    #[test]
    fn every_fault() {
        for (text, part, reason) in [
            ("a${A", "${A", Reason::Open),
            ("${}", "${}", Reason::Name(String::new())),
            ("${1A}", "${1A}", Reason::Name("1A".to_owned())),
            ("${A%x}", "${A%x}", Reason::Operator("%x".to_owned())),
            ("${A-x}", "${A-x}", Reason::Operator("-x".to_owned())),
            ("${UNSET}", "${UNSET}", Reason::Unset("UNSET".to_owned())),
            ("${B:-${C}}", "${C}", Reason::Unknown("C".to_owned())),
            ("${B:?say ${A}}", "${B:?say ${A}}", Reason::Required("B".to_owned(), "say 1".to_owned())),
        ] {
            assert_eq!(expand(text, &lookup), Err(Fault { part: part.to_owned(), reason }), "{text}");
        }
    }

    #[test]
    fn nesting_has_an_end() {
        let text = format!("{}x{}", "${B:-".repeat(1000), "}".repeat(1000));
        assert!(matches!(expand(&text, &lookup), Err(Fault { reason: Reason::TooLarge, .. })));
    }
}
