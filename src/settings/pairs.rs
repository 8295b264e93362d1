//! `KEY=VALUE` flags, and lists of them with quotes.

use std::collections::BTreeMap;

use super::SettingsError;

/// How a flag's value is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    /// The flag.
    pub(super) flag: &'static str,
    /// Its value's form, such as `KEY=VALUE`.
    pub(super) form: &'static str,
    /// A value of that form.
    pub(super) example: &'static str,
}

impl Form {
    /// The error of a value that has another form.
    pub(super) fn wrong(&self, text: &str) -> SettingsError {
        let Self { flag, form, example } = self;
        SettingsError::new(format!("{flag} {text:?} is not of the form {form}"))
            .hint(format!("write it as in {flag} {example}"))
    }

    /// Splits `KEY=VALUE`.
    pub(super) fn pair<'a>(&self, text: &'a str) -> Result<(&'a str, &'a str), SettingsError> {
        text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| self.wrong(text))
    }

    /// Collects `KEY=VALUE` flags; the last of a key counts.
    pub(super) fn map(&self, texts: &[String]) -> Result<BTreeMap<String, String>, SettingsError> {
        texts
            .iter()
            .map(|text| self.pair(text).map(|(key, value)| (key.to_owned(), value.to_owned())))
            .collect()
    }
}

/// Splits a line of comma-separated values. A value in double quotes may hold commas, and quotes written twice
/// (RFC 4180). `None`: a quote is not closed, or something follows a closing one.
pub(super) fn split_csv(line: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let Some(mut quoted) = rest.strip_prefix('"') else {
            match rest.split_once(',') {
                Some((field, tail)) => {
                    fields.push(field.to_owned());
                    rest = tail;
                    continue;
                }
                None => {
                    fields.push(rest.to_owned());
                    return Some(fields);
                }
            }
        };
        let mut field = String::new();
        loop {
            let (text, tail) = quoted.split_once('"')?;
            field.push_str(text);
            match tail.strip_prefix('"') {
                Some(tail) => {
                    field.push('"');
                    quoted = tail;
                }
                None => {
                    quoted = tail;
                    break;
                }
            }
        }
        fields.push(field);
        if quoted.is_empty() {
            return Some(fields);
        }
        rest = quoted.strip_prefix(',')?;
    }
}
