//! What holds for all rules.

use super::{TagsError, csv, error::Problem, scope, template::Template};
use crate::source::suggest;

/// Whether there is a tag `latest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Latest {
    /// As the first rule that gives a tag has it: for versions that are no prereleases, and for git tags.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What holds for all rules: `latest`, and what comes before and after their tags.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flavor {
    /// Whether there is a tag `latest`.
    pub latest: Latest,
    pub(super) prefix: Option<Template>,
    pub(super) suffix: Option<Template>,
    /// The same texts as they are put around `latest`, where they are: as written.
    pub(super) latest_prefix: String,
    pub(super) latest_suffix: String,
}

const ATTRIBUTES: [&str; 4] = ["latest", "prefix", "suffix", "onlatest"];

impl Flavor {
    /// Reads lines such as `latest=auto` and `suffix=-alpine,onlatest=true`; what comes later counts.
    ///
    /// # Errors
    /// An attribute or a value that is not known.
    pub fn parse(text: &str) -> Result<Self, TagsError> {
        let mut read = Read::default();
        for line in lines(text) {
            read.line(line).map_err(|problem| TagsError::flavor(line, problem))?;
        }
        let Read { latest, prefix, suffix } = read;
        let template = |affix: &Affix| {
            let text = affix.text.as_str();
            let template = (!text.is_empty()).then(|| scope::checked(text)).transpose();
            template.map_err(|problem| TagsError::flavor(&affix.line, problem))
        };
        let on_latest = |affix: &Affix| if affix.on_latest { affix.text.clone() } else { String::new() };
        Ok(Self {
            latest,
            prefix: template(&prefix)?,
            suffix: template(&suffix)?,
            latest_prefix: on_latest(&prefix),
            latest_suffix: on_latest(&suffix),
        })
    }
}

/// The lines of a list: without comments and empty ones.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// A key in lower case and its value; `None` without a key.
pub(super) fn attribute(field: &str) -> Option<(String, &str)> {
    let (key, value) = field.split_once('=').filter(|(key, _)| !key.is_empty())?;
    Some((key.trim().to_lowercase(), value.trim()))
}

#[derive(Default)]
struct Affix {
    line: String,
    text: String,
    on_latest: bool,
}

#[derive(Default)]
struct Read {
    latest: Latest,
    prefix: Affix,
    suffix: Affix,
}

impl Read {
    fn line(&mut self, line: &str) -> Result<(), Problem> {
        let mut last = None;
        for field in csv::fields(line)? {
            let Some((key, value)) = attribute(&field) else {
                return Err(Problem::new(format!("`{field}` is not of the form KEY=VALUE"))
                    .hint("write latest=auto, prefix=TEXT or suffix=TEXT"));
            };
            match key.as_str() {
                "latest" => self.latest = latest(value)?,
                "prefix" | "suffix" => {
                    let affix = if key == "prefix" { &mut self.prefix } else { &mut self.suffix };
                    affix.text = value.to_owned();
                    affix.line = line.to_owned();
                    last = Some(key);
                }
                "onlatest" => {
                    let on = boolean(value)?;
                    match last.as_deref() {
                        Some("prefix") => self.prefix.on_latest = on,
                        Some(_) => self.suffix.on_latest = on,
                        None => return Err(Problem::new("onlatest follows neither a prefix nor a suffix")),
                    }
                }
                _ => {
                    return Err(Problem::new(format!("there is no attribute `{key}`")).hint(suggest::hint(
                        &key,
                        &ATTRIBUTES,
                        "attributes of flavors",
                    )));
                }
            }
        }
        Ok(())
    }
}

fn latest(value: &str) -> Result<Latest, Problem> {
    match value {
        "auto" => Ok(Latest::Auto),
        "true" => Ok(Latest::Always),
        "false" => Ok(Latest::Never),
        _ => Err(Problem::new(format!("latest is `{value}`, which is none of auto, true, false"))),
    }
}

fn boolean(value: &str) -> Result<bool, Problem> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Problem::new(format!("onlatest is `{value}`, which is neither true nor false"))),
    }
}
