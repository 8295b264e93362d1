//! Words of a Dockerfile → texts of a spec: the same variables in the other notation.

use std::collections::{BTreeSet, HashMap};

use crate::{
    dockerfile::word::{Modifier, Part},
    spec::PREDEFINED,
};

/// Whether a spec has this argument without a declaration.
pub(super) fn is_automatic(name: &str) -> bool {
    PREDEFINED.contains(&name)
}

/// Whether such an argument has a value in every build: the time may be given or not.
pub(super) fn always_has_a_value(name: &str) -> bool {
    name != "SOURCE_DATE_EPOCH"
}

/// A text of a spec, with its `${…}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) text: String,
    /// The variables in it that are not arguments: what they stand for may change.
    variables: BTreeSet<String>,
    /// Whether nothing is replaced in it.
    pub(super) literal: bool,
    /// When it was written, see [`Scope::kept`].
    at: usize,
}

/// What a name stands for in a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    /// An argument; whether it has a value in every build.
    Arg(bool),
    /// A variable of the image, with the text it was set to.
    Env(Template),
}

/// The names that a text can use, as the Dockerfile has them at one place.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    names: HashMap<String, Name>,
    /// All arguments that the file declares anywhere: in a spec they are the whole file's, and go before variables.
    declared: BTreeSet<String>,
    /// When each variable was last set.
    set: HashMap<String, usize>,
    now: usize,
    /// Whether names that nobody has set may be the base's.
    inside: bool,
}

impl Scope {
    /// Where `FROM` stands.
    pub(super) fn global(declared: BTreeSet<String>) -> Self {
        let names = PREDEFINED.into_iter().filter(|name| always_has_a_value(name));
        let names = names.map(|name| (name.to_owned(), Name::Arg(true))).collect();
        Self { names, declared, ..Self::default() }
    }

    /// The beginning of a stage that starts from no other.
    pub(super) fn stage(&self) -> Self {
        Self { names: HashMap::new(), inside: true, ..self.clone() }
    }

    pub(super) fn declare(&mut self, name: &str, has_value: bool) {
        self.names.insert(name.to_owned(), Name::Arg(has_value));
    }

    pub(super) fn set(&mut self, name: &str, value: Template) {
        self.now += 1;
        self.set.insert(name.to_owned(), self.now);
        self.names.insert(name.to_owned(), Name::Env(value));
    }

    pub(super) fn is_variable(&self, name: &str) -> bool {
        matches!(self.names.get(name), Some(Name::Env(_)))
    }

    /// The names that a command of the spec can see, and the Dockerfile's cannot, of those that its text has in it.
    pub(super) fn unseen<'a>(&'a self, text: &str) -> Vec<&'a str> {
        let words: BTreeSet<&str> = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
        let all = self.declared.iter().map(String::as_str).chain(PREDEFINED);
        all.filter(|name| words.contains(name) && !self.names.contains_key(*name)).collect()
    }

    /// Whether a text still means what it meant where it was written.
    pub(super) fn kept(&self, template: &Template) -> Result<(), String> {
        let later = |name: &&String| self.set.get(*name).is_some_and(|at| *at > template.at);
        match template.variables.iter().find(later) {
            Some(name) => Err(format!("{name} is set again below, and config is evaluated at the end")),
            None => Ok(()),
        }
    }

    /// A text that has no variables.
    pub(super) fn literal(text: &str) -> Template {
        let mut written = String::new();
        push(&mut written, text, false);
        Template { text: written, literal: true, ..Template::default() }
    }

    /// The text of a word; the error says why there is none.
    pub(super) fn write(&self, parts: &[Part]) -> Result<Template, String> {
        let mut template = Template { literal: true, at: self.now, ..Template::default() };
        self.write_into(parts, &mut template, false)?;
        Ok(template)
    }

    fn write_into(&self, parts: &[Part], out: &mut Template, braces: bool) -> Result<(), String> {
        for (at, part) in parts.iter().enumerate() {
            match part {
                Part::Text(text) if braces && text.contains('}') => {
                    return Err("a spec has no `}` in what follows `:-`".to_owned());
                }
                Part::Text(text) => {
                    push(&mut out.text, text, matches!(parts.get(at + 1), Some(Part::Variable { .. })));
                }
                Part::Variable { name, modifier } => self.variable(name, modifier.as_ref(), out, braces)?,
            }
        }
        Ok(())
    }

    fn variable(
        &self,
        name: &str,
        modifier: Option<&Modifier>,
        out: &mut Template,
        braces: bool,
    ) -> Result<(), String> {
        // The shell's own (`$1`, `$@`) are never set.
        let special = !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') || !name.is_ascii();
        if special && modifier.is_none() {
            return Ok(());
        }
        let known = match self.names.get(name) {
            _ if special => return Err(format!("a spec has no variable `{name}`")),
            Some(Name::Arg(set)) => {
                out.literal = false;
                *set
            }
            Some(Name::Env(value)) if self.declared.contains(name) || is_automatic(name) => {
                // The spec would take the argument of that name.
                if value.text != format!("${{{name}}}") {
                    if modifier.is_some()
                        || !value.variables.is_empty()
                        || (braces && value.text.contains('}'))
                    {
                        return Err(format!("{name} is an argument and a variable"));
                    }
                    out.literal &= value.literal;
                    // A dollar sign before it cannot run into it: `push` has looked ahead for a variable.
                    out.text.push_str(&value.text);
                    return Ok(());
                }
                out.literal = false;
                true
            }
            Some(Name::Env(_)) => {
                out.literal = false;
                out.variables.insert(name.to_owned());
                true
            }
            None if self.declared.contains(name) || is_automatic(name) || name == "TARGETSTAGE" => {
                return Err(match name {
                    "TARGETSTAGE" => "a spec has no TARGETSTAGE".to_owned(),
                    _ => format!("{name} is not declared here, and in a spec it is known everywhere"),
                });
            }
            None => {
                out.literal = false;
                if !self.inside {
                    return Err(format!("{name} is not declared"));
                }
                out.variables.insert(name.to_owned());
                name == "PATH"
            }
        };
        let (sign, word) = match modifier {
            None if known => ("", &[][..]),
            None => (":-", &[][..]),
            Some(Modifier::Pattern) => return Err(format!("a spec has no patterns in `${{{name}…}}`")),
            Some(Modifier::Condition { sign, colon, word }) => match (sign, colon) {
                ('-', true) => (":-", &word[..]),
                ('+', true) => (":+", &word[..]),
                ('?', true) if !word.is_empty() => (":?", &word[..]),
                ('-' | '?', false) if known => ("", &[][..]),
                ('-', false) if word.is_empty() => (":-", &[][..]),
                ('+', false) if known => return self.write_into(word, out, braces),
                _ => return Err(format!("a spec has no `${{{name}{sign}…}}`; `:{sign}` it has")),
            },
        };
        out.text.push_str("${");
        out.text.push_str(name);
        out.text.push_str(sign);
        self.write_into(word, out, true)?;
        out.text.push('}');
        Ok(())
    }
}

/// Adds a text in which nothing is to be replaced.
fn push(out: &mut String, text: &str, variable_follows: bool) {
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        out.push(character);
        let next = characters.peek();
        let special = matches!(next, Some('$' | '{')) || (next.is_none() && variable_follows);
        if character == '$' && special {
            out.push('$');
        }
    }
}

impl Template {
    /// Whether it has variables that are not arguments.
    pub(super) fn has_variables(&self) -> bool {
        !self.variables.is_empty()
    }
}
