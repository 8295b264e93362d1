//! Where a text is evaluated: which names it can use, and for which platform.

use std::ops::Range;

use crate::{
    oci::{Config, Platform},
    recipe::Rules,
    source::{Diagnostic, Location, SourceFile},
    spec::{
        args::Args,
        decode::place,
        raw::{Choice, OneOrMany, Text, TextMap},
        template::{self, Lookup},
    },
};

/// What is fixed while one platform is evaluated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) file: &'a SourceFile,
    pub(super) args: &'a Args,
    /// The platform that the image is for.
    pub(super) platform: &'a Platform,
    /// Whose rules hold where specs and Dockerfiles differ.
    pub(super) rules: Rules,
}

impl<'a> Scope<'a> {
    /// Expands a text that can use arguments only.
    pub(super) fn text(&self, text: &Text) -> Result<String, Diagnostic> {
        self.text_in(text, &Config::default())
    }

    /// Expands a text that can use arguments and, behind them, the environment of the image so far.
    pub(super) fn text_in(&self, text: &Text, config: &Config) -> Result<String, Diagnostic> {
        let lookup = |name: &str| match (self.args.lookup(name), config.env(name)) {
            (Lookup::Set(value), _) => Lookup::Set(value),
            (_, Some(value)) => Lookup::Set(value.to_owned()),
            (other, None) => other,
        };
        template::expand(&text.text, &lookup).map_err(|fault| {
            let env: Vec<&str> = config.env.iter().filter_map(|pair| pair.split('=').next()).collect();
            self.args.diagnose(&fault, text, self.file, &env)
        })
    }

    /// The value for this platform.
    pub(super) fn pick<'c, T>(&self, choice: &'c Choice<T>) -> Result<&'c T, Diagnostic> {
        let by = match choice {
            Choice::One(value) => return Ok(value),
            Choice::ByPlatform(by) => by,
        };
        let exact = by.branches.iter().find(|(key, _)| {
            let platform: Option<Platform> = key.text.parse().ok();
            platform.as_ref() == Some(self.platform)
        });
        let default = || by.branches.iter().find(|(key, _)| key.text == "default");
        exact.or_else(default).map(|(_, value)| value).ok_or_else(|| {
            let known: Vec<&str> = by.branches.iter().map(|(key, _)| key.text.as_str()).collect();
            self.error(
                &by.span,
                format!("no value for {}", self.platform),
                format!("has {}", known.join(", ")),
            )
            .hint(format!("add `{}: …` or `default: …`", self.platform))
        })
    }

    /// The value for this platform, if there is one.
    pub(super) fn pick_some<'c, T>(
        &self,
        choice: Option<&'c Choice<T>>,
    ) -> Result<Option<&'c T>, Diagnostic> {
        choice.map(|choice| self.pick(choice)).transpose()
    }

    /// An error at a place.
    pub(super) fn error(
        &self,
        span: &Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::new(message).at(self.at(span), label)
    }

    /// The part of a range that is on its first line.
    pub(super) fn first_line(&self, span: &Range<usize>) -> Range<usize> {
        self.at(span).range
    }

    /// A place, for errors: the first line of a range.
    pub(super) fn at(&self, span: &Range<usize>) -> Location {
        place(self.file, span)
    }
}

/// A text after expansion, which still knows where it is written.
#[derive(Debug, Clone)]
pub(super) struct Expanded {
    pub(super) text: String,
    pub(super) plain: bool,
    pub(super) span: Range<usize>,
}

/// A scope with the environment of the image so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inside<'a> {
    pub(super) scope: Scope<'a>,
    pub(super) config: &'a Config,
}

impl Inside<'_> {
    pub(super) fn text(&self, text: &Text) -> Result<Expanded, Diagnostic> {
        let expanded = self.scope.text_in(text, self.config)?;
        Ok(Expanded { text: expanded, plain: text.plain, span: text.span.clone() })
    }

    pub(super) fn choice(&self, choice: &Choice<Text>) -> Result<Expanded, Diagnostic> {
        self.text(self.scope.pick(choice)?)
    }

    pub(super) fn option(&self, choice: Option<&Choice<Text>>) -> Result<Option<Expanded>, Diagnostic> {
        choice.map(|choice| self.choice(choice)).transpose()
    }

    pub(super) fn list(&self, list: &[Text]) -> Result<Vec<Expanded>, Diagnostic> {
        list.iter().map(|text| self.text(text)).collect()
    }

    pub(super) fn strings(&self, list: &[Text]) -> Result<Vec<String>, Diagnostic> {
        list.iter().map(|text| self.text(text).map(|expanded| expanded.text)).collect()
    }

    pub(super) fn many(&self, choice: Option<&Choice<OneOrMany<Text>>>) -> Result<Vec<Expanded>, Diagnostic> {
        match choice {
            Some(choice) => self.list(&self.scope.pick(choice)?.0),
            None => Ok(Vec::new()),
        }
    }

    /// Environment variables: a value may use those that stand before it in the same map.
    pub(super) fn env(&self, choice: Option<&Choice<TextMap>>) -> Result<Vec<(String, String)>, Diagnostic> {
        let Some(choice) = choice else { return Ok(Vec::new()) };
        let mut config = self.config.clone();
        let mut pairs = Vec::new();
        for (name, value) in &self.scope.pick(choice)?.0 {
            if name.text.is_empty() || name.text.contains(['=', '\0']) {
                let message = format!("{:?} is not a name for an environment variable", name.text);
                return Err(self.scope.error(&name.span, message, "not a name"));
            }
            let value = self.scope.text_in(value, &config)?;
            // All values of one ENV are those from before it.
            if self.scope.rules == Rules::Own {
                config.set_env(&name.text, &value);
            }
            pairs.push((name.text.clone(), value));
        }
        Ok(pairs)
    }

    /// Other maps.
    pub(super) fn map(&self, choice: Option<&Choice<TextMap>>) -> Result<Vec<(String, String)>, Diagnostic> {
        let Some(choice) = choice else { return Ok(Vec::new()) };
        let pairs = &self.scope.pick(choice)?.0;
        pairs.iter().map(|(key, value)| Ok((key.text.clone(), self.text(value)?.text))).collect()
    }
}
