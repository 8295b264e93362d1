//! Lines of comma-separated values.

use super::error::Problem;

/// The fields of a line: separated by commas; one in double quotes may hold commas, and quotes written twice
/// (RFC 4180).
///
/// A line that is in quotes as a whole is the line within them: a workflow's list of rules is CSV itself, so rules that
/// have quotes are quoted once more there.
pub(super) fn fields(line: &str) -> Result<Vec<String>, Problem> {
    let (fields, quoted) = split(line)?;
    match &fields[..] {
        [only] if quoted && only.contains(',') => split(only).map(|(fields, _)| fields),
        _ => Ok(fields),
    }
}

/// The fields, and whether the first is quoted.
fn split(line: &str) -> Result<(Vec<String>, bool), Problem> {
    let mut fields = Vec::new();
    let mut rest = line.trim();
    let first_is_quoted = rest.starts_with('"');
    loop {
        let (field, tail) = match rest.trim_start().strip_prefix('"') {
            Some(text) => quoted(text)?,
            None => plain(rest)?,
        };
        fields.push(field);
        match tail {
            Some(tail) => rest = tail,
            None => return Ok((fields, first_is_quoted)),
        }
    }
}

/// A field that is not quoted, and what follows its comma.
fn plain(text: &str) -> Result<(String, Option<&str>), Problem> {
    let (field, tail) = match text.split_once(',') {
        Some((field, tail)) => (field, Some(tail)),
        None => (text, None),
    };
    if field.contains('"') {
        let problem = Problem::new(format!("the quote in `{}` is not at its beginning", field.trim()));
        return Err(problem.hint("quote the whole field, as in \"pattern=…\", and write a quote in it twice"));
    }
    Ok((field.trim().to_owned(), tail))
}

/// A field whose opening quote was read, and what follows its comma.
fn quoted(mut text: &str) -> Result<(String, Option<&str>), Problem> {
    let mut field = String::new();
    loop {
        let Some((part, tail)) = text.split_once('"') else {
            return Err(Problem::new("a quote is not closed"));
        };
        field.push_str(part);
        if let Some(tail) = tail.strip_prefix('"') {
            field.push('"');
            text = tail;
            continue;
        }
        let tail = tail.trim_start();
        return match tail.strip_prefix(',') {
            Some(tail) => Ok((field, Some(tail))),
            None if tail.is_empty() => Ok((field, None)),
            None => Err(Problem::new(format!("`{tail}` follows a closing quote"))),
        };
    }
}
