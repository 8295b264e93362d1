//! Rules that give tags.

use std::collections::BTreeMap;

use super::{
    TagsError, csv,
    error::Problem,
    flavor::{attribute, lines},
    matcher::Matcher,
    scope,
    template::Template,
};
use crate::source::suggest;

/// Words that stand for rules: `semver` and `pep440` for the full version, `MAJOR.MINOR` and, except for 0, `MAJOR`.
pub const WORDS: [&str; 5] = ["semver", "pep440", "branch", "pr", "sha"];

const TYPES: [&str; 8] = ["schedule", "semver", "pep440", "match", "edge", "ref", "raw", "sha"];

/// Attributes, and the types that they are for; those of all types have none.
const ATTRIBUTES: [(&str, &[&str]); 12] = [
    ("type", &[]),
    ("enable", &[]),
    ("priority", &[]),
    ("prefix", &[]),
    ("suffix", &[]),
    ("pattern", &["schedule", "semver", "pep440", "match"]),
    ("value", &["semver", "pep440", "match", "raw"]),
    ("match", &["semver", "pep440"]),
    ("group", &["match"]),
    ("event", &["ref"]),
    ("branch", &["edge"]),
    ("format", &["sha"]),
];

/// A rule: for some events it gives a tag.
#[derive(Debug, Clone)]
pub struct Rule {
    pub(super) line: String,
    pub(super) kind: Kind,
    pub(super) enable: Option<Template>,
    pub(super) priority: f64,
    /// Empty ones count: they go before those of the flavor.
    pub(super) prefix: Option<Template>,
    pub(super) suffix: Option<Template>,
    /// Attributes that mean nothing for the type.
    pub(super) idle: Vec<String>,
}

/// What a rule gives.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    Schedule { pattern: Template },
    Semver(Versions),
    Pep440(Versions),
    Match { matcher: Matcher, group: usize, value: Option<Template> },
    Edge { branch: Option<String> },
    Branch,
    Tag,
    Pull,
    Raw { value: Template },
    Sha { long: bool },
}

/// How a version becomes a tag.
#[derive(Debug, Clone)]
pub(super) struct Versions {
    pub(super) pattern: Template,
    /// What holds the version, in place of the git tag.
    pub(super) value: Option<Template>,
    /// Which part of it is the version.
    pub(super) part: Option<Matcher>,
    /// Whether versions 0.y.z give nothing: they promise nothing that `0` could stand for (SemVer 2.0.0, 4).
    pub(super) not_zero: bool,
}

/// Two rules are the same if they are written the same.
impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.line == other.line && self.not_zero() == other.not_zero()
    }
}

impl Eq for Rule {}

impl Rule {
    /// Reads a list of rules, one a line; lines that begin with `#` are comments. A line without a type that is one of
    /// [`WORDS`] stands for the rules of the word, any other one is a tag as it is (`type=raw`).
    ///
    /// # Errors
    /// A line that is no rule, with what is wrong with it.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, TagsError> {
        let mut rules = Vec::new();
        for line in lines(text) {
            match Self::of_word(line) {
                Some(of_word) => rules.extend(of_word),
                None => rules.push(Self::parse(line).map_err(|problem| TagsError::rule(line, problem))?),
            }
        }
        Ok(rules)
    }

    /// The rules where none are given: metadata-action's.
    pub fn defaults() -> Vec<Self> {
        Self::known("type=schedule\ntype=ref,event=branch\ntype=ref,event=tag\ntype=ref,event=pr")
    }

    /// Whether an entry of a spec's list of tags is a rule, and no tag.
    pub fn is_rule(entry: &str) -> bool {
        WORDS.contains(&entry) || entry.starts_with("type=") || entry.starts_with("\"type=")
    }

    fn of_word(word: &str) -> Option<Vec<Self>> {
        let of_versions = |scheme: &str| {
            let mut rules = Self::known(&format!(
                "type={scheme},pattern={{{{version}}}}\ntype={scheme},pattern={{{{major}}}}.{{{{minor}}}}\n\
                 type={scheme},pattern={{{{major}}}}"
            ));
            if let Some(Kind::Semver(versions) | Kind::Pep440(versions)) =
                rules.last_mut().map(|rule| &mut rule.kind)
            {
                versions.not_zero = true;
            }
            rules
        };
        match word {
            "semver" | "pep440" => Some(of_versions(word)),
            "branch" | "pr" => Some(Self::known(&format!("type=ref,event={word}"))),
            "sha" => Some(Self::known("type=sha")),
            _ => None,
        }
    }

    fn known(text: &str) -> Vec<Self> {
        lines(text).filter_map(|line| Self::parse(line).ok()).collect()
    }

    fn not_zero(&self) -> bool {
        matches!(&self.kind, Kind::Semver(versions) | Kind::Pep440(versions) if versions.not_zero)
    }

    fn parse(line: &str) -> Result<Self, Problem> {
        if line.contains("${{") {
            let problem = Problem::new("`${{` means something to GitHub in workflow files alone");
            return Err(problem.hint("write an expression such as {{is_default_branch}}"));
        }
        let mut attributes = Attributes::read(line)?;
        let name = attributes.take("type").unwrap_or_else(|| "raw".to_owned());
        if !TYPES.contains(&name.as_str()) {
            let problem = Problem::new(format!("there is no type `{name}`"));
            return Err(problem.hint(suggest::hint(&name, &TYPES, "types")));
        }
        attributes.check(&name)?;
        let (kind, priority, prefix) = Kind::parse(&name, &mut attributes)?;
        let affix = |text: Option<String>, what| text.map(|text| template(&text, what)).transpose();
        Ok(Self {
            line: line.to_owned(),
            kind,
            enable: affix(attributes.take("enable").filter(|text| text != "true"), "enable")?,
            priority: match attributes.take("priority") {
                None => priority,
                Some(text) => text
                    .parse()
                    .ok()
                    .filter(|number: &f64| number.is_finite())
                    .ok_or_else(|| Problem::new(format!("the priority `{text}` is no number")))?,
            },
            prefix: affix(attributes.take("prefix").or_else(|| prefix.map(str::to_owned)), "prefix")?,
            suffix: affix(attributes.take("suffix"), "suffix")?,
            idle: attributes.0.into_keys().collect(),
        })
    }
}

impl Kind {
    /// The kind, its default priority, and its default prefix.
    fn parse(name: &str, attributes: &mut Attributes) -> Result<(Self, f64, Option<&'static str>), Problem> {
        Ok(match name {
            "schedule" => {
                let pattern = attributes.take("pattern").unwrap_or_else(|| "nightly".to_owned());
                (Self::Schedule { pattern: template(&pattern, "pattern")? }, 1000.0, None)
            }
            "semver" => (Self::Semver(Versions::parse(attributes)?), 900.0, None),
            "pep440" => (Self::Pep440(Versions::parse(attributes)?), 900.0, None),
            "match" => {
                let matcher = Matcher::parse(&attributes.need("pattern", r"pattern=v(.*),group=1")?)?;
                let group = attributes.take("group").unwrap_or_else(|| "0".to_owned());
                let group =
                    group.parse().map_err(|_| Problem::new(format!("the group `{group}` is no number")))?;
                (Self::Match { matcher, group, value: attributes.value()? }, 800.0, None)
            }
            "edge" => {
                let branch = attributes.take("branch").filter(|branch| !branch.is_empty());
                (Self::Edge { branch }, 700.0, None)
            }
            "ref" => {
                match attributes.need("event", "event=branch, event=tag or event=pr")?.as_str() {
                    "branch" => (Self::Branch, 600.0, None),
                    "tag" => (Self::Tag, 600.0, None),
                    "pr" => (Self::Pull, 600.0, Some("pr-")),
                    event => {
                        return Err(Problem::new(format!("there is no event `{event}`"))
                            .hint(suggest::hint(event, &["branch", "tag", "pr"], "events")));
                    }
                }
            }
            "sha" => {
                match attributes.take("format").as_deref() {
                    None | Some("short") => (Self::Sha { long: false }, 100.0, Some("sha-")),
                    Some("long") => (Self::Sha { long: true }, 100.0, Some("sha-")),
                    Some(format) => {
                        return Err(Problem::new(format!("there is no format `{format}`"))
                            .hint(suggest::hint(format, &["short", "long"], "formats")));
                    }
                }
            }
            _ => {
                let value = template(&attributes.need("value", "value=TAG")?, "value")?;
                (Self::Raw { value }, 200.0, None)
            }
        })
    }
}

impl Versions {
    fn parse(attributes: &mut Attributes) -> Result<Self, Problem> {
        let pattern = attributes.need("pattern", "pattern={{version}} or pattern={{major}}.{{minor}}")?;
        let part = attributes.take("match").filter(|text| !text.is_empty());
        Ok(Self {
            pattern: template(&pattern, "pattern")?,
            value: attributes.value()?,
            part: part
                .map(|text| Matcher::parse(&text).map_err(|problem| problem.of("match")))
                .transpose()?,
            not_zero: false,
        })
    }
}

fn template(text: &str, what: &str) -> Result<Template, Problem> {
    scope::checked(text).map_err(|problem| problem.of(what))
}

/// Attributes that were not looked at yet.
struct Attributes(BTreeMap<String, String>);

impl Attributes {
    fn read(line: &str) -> Result<Self, Problem> {
        let mut attributes = BTreeMap::new();
        for field in csv::fields(line)? {
            match attribute(&field) {
                Some((key, value)) => attributes.insert(key, value.to_owned()),
                None => attributes.insert("value".to_owned(), field),
            };
        }
        Ok(Self(attributes))
    }

    /// Fails for an attribute that no type has. One that another type has does no harm: metadata-action takes all.
    fn check(&self, name: &str) -> Result<(), Problem> {
        for key in self.0.keys() {
            if !ATTRIBUTES.iter().any(|(known, _)| known == key) {
                let of_type = |types: &[&str]| types.is_empty() || types.contains(&name);
                let known: Vec<_> =
                    ATTRIBUTES.iter().filter(|(_, types)| of_type(types)).map(|(known, _)| *known).collect();
                return Err(Problem::new(format!("there is no attribute `{key}`")).hint(suggest::hint(
                    key,
                    &known,
                    "attributes of this type",
                )));
            }
        }
        Ok(())
    }

    fn take(&mut self, key: &str) -> Option<String> {
        self.0.remove(key)
    }

    fn need(&mut self, key: &str, example: &str) -> Result<String, Problem> {
        self.take(key).ok_or_else(|| {
            Problem::new(format!("there is no attribute `{key}`")).hint(format!("add {example}"))
        })
    }

    fn value(&mut self) -> Result<Option<Template>, Problem> {
        let value = self.take("value").filter(|text| !text.is_empty());
        value.map(|text| template(&text, "value")).transpose()
    }
}
