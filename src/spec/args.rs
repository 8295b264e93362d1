//! Build arguments: declared ones and those that every build has.

use std::collections::BTreeMap;

use super::{
    decode::place,
    raw::{self, Text},
    suggest,
    template::{self, Fault, Lookup, Reason},
};
use crate::{
    oci::Platform,
    recipe::Request,
    source::{Diagnostic, Location, SourceFile},
};

/// The arguments that every build has: those of its platforms, and its time.
pub const PREDEFINED: [&str; 9] = [
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETARCH",
    "TARGETVARIANT",
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDARCH",
    "BUILDVARIANT",
    "SOURCE_DATE_EPOCH",
];

/// The values of all arguments for one build.
#[derive(Debug, Clone, Default)]
pub(super) struct Args {
    /// Declared ones; without a value where neither a default nor the command line gives one.
    pub(super) declared: BTreeMap<String, Option<String>>,
    /// Those that every build has.
    pub(super) predefined: BTreeMap<&'static str, Option<String>>,
}

impl Args {
    /// Evaluates the arguments. A default may use other arguments, in any order.
    pub(super) fn new(
        raw: Option<&raw::Args>,
        request: &Request,
        file: &SourceFile,
    ) -> Result<Self, Diagnostic> {
        let epoch = request.source_date_epoch.map(|epoch| epoch.to_string());
        let epoch = epoch.or_else(|| request.args.get("SOURCE_DATE_EPOCH").cloned());
        let mut predefined = BTreeMap::from([("SOURCE_DATE_EPOCH", epoch)]);
        for (platform, [whole, os, arch, variant]) in [
            (&request.platform, ["TARGETPLATFORM", "TARGETOS", "TARGETARCH", "TARGETVARIANT"]),
            (&request.build_platform, ["BUILDPLATFORM", "BUILDOS", "BUILDARCH", "BUILDVARIANT"]),
        ] {
            let Platform { architecture, os: system, variant: version, .. } = platform;
            predefined.insert(whole, Some(platform.to_string()));
            predefined.insert(os, Some(system.to_string()));
            predefined.insert(arch, Some(architecture.to_string()));
            predefined.insert(variant, Some(version.clone().unwrap_or_default()));
        }
        let raw = raw.map(|args| args.0.as_slice()).unwrap_or_default();
        let mut resolver =
            Resolver { raw, request, file, open: Vec::new(), args: Self { predefined, ..Self::default() } };
        for (name, _) in raw {
            resolver.resolve(name)?;
        }
        Ok(resolver.args)
    }

    /// What a name stands for.
    pub(super) fn lookup(&self, name: &str) -> Lookup {
        let found = self.declared.get(name).or_else(|| self.predefined.get(name));
        match found {
            Some(Some(value)) => Lookup::Set(value.clone()),
            Some(None) => Lookup::Unset,
            None => Lookup::Unknown,
        }
    }

    /// The names of all.
    fn names(&self) -> Vec<&str> {
        self.declared.keys().map(String::as_str).chain(PREDEFINED).collect()
    }

    /// The error of a text that cannot be expanded; `more` are further names that it could use.
    pub(super) fn diagnose(
        &self,
        fault: &Fault,
        text: &Text,
        file: &SourceFile,
        more: &[&str],
    ) -> Diagnostic {
        let at = find_part(file, text, &fault.part);
        let braces = "write `$${` for a dollar sign and a brace that stay";
        match &fault.reason {
            Reason::Open => Diagnostic::new("`${` without its `}`").at(at, "never closed").hint(braces),
            Reason::Name(name) => Diagnostic::new(format!("{name:?} is not a name"))
                .at(at, "a name has letters, digits and _, and starts with none of the digits")
                .hint(braces),
            Reason::Operator(operator) => {
                Diagnostic::new(format!("{operator:?} is not understood behind a name")).at(at, "").hint(
                    "the forms are ${NAME}, ${NAME:-default}, ${NAME:+alternative} and ${NAME:?message}",
                )
            }
            Reason::TooLarge => {
                Diagnostic::new("the text grows too large when its `${…}` are replaced").at(at, "")
            }
            Reason::Unset(name) if name == "SOURCE_DATE_EPOCH" => {
                Diagnostic::new("SOURCE_DATE_EPOCH is not set")
                    .at(at, "used here")
                    .hint("set it in the environment, or write ${SOURCE_DATE_EPOCH:-0}")
            }
            Reason::Unset(name) => Diagnostic::new(format!("the argument {name} has no value"))
                .at(at, "used here")
                .hint(format!("give it one with --build-arg {name}=…, or a default under `args:`")),
            Reason::Required(name, message) if message.is_empty() => {
                Diagnostic::new(format!("{name} must be set"))
                    .at(at, "")
                    .hint(format!("give it with --build-arg {name}=…"))
            }
            Reason::Required(name, message) => Diagnostic::new(format!("{name} must be set: {message}"))
                .at(at, "")
                .hint(format!("give it with --build-arg {name}=…")),
            Reason::Unknown(name) => {
                let known: Vec<&str> = self.names().into_iter().chain(more.iter().copied()).collect();
                let diagnostic = Diagnostic::new(format!("{name} is not defined")).at(at, "used here");
                match suggest::closest(name, known) {
                    Some(near) => diagnostic.hint(format!("did you mean `{near}`?")),
                    None => diagnostic
                        .hint(format!("declare it under `args:`, or write ${{{name}:-}} if it may be empty")),
                }
            }
        }
    }
}

/// The place of a part of a text: where it stands in the file, or the whole text where escapes hide it.
fn find_part(file: &SourceFile, text: &Text, part: &str) -> Location {
    let whole = file.text().get(text.span.clone()).unwrap_or_default();
    let part = part.lines().next().unwrap_or_default().trim_end();
    match whole.find(part) {
        Some(offset) if !part.is_empty() => {
            let start = text.span.start + offset;
            file.at(start..start + part.len())
        }
        _ => place(file, &text.span),
    }
}

struct Resolver<'a> {
    raw: &'a [(Text, Option<Text>)],
    request: &'a Request,
    file: &'a SourceFile,
    /// The arguments whose defaults are being evaluated.
    open: Vec<&'a str>,
    args: Args,
}

impl<'a> Resolver<'a> {
    fn resolve(&mut self, name: &'a Text) -> Result<(), Diagnostic> {
        if self.args.declared.contains_key(&name.text) {
            return Ok(());
        }
        if let Some(value) = self.request.args.get(&name.text) {
            self.args.declared.insert(name.text.clone(), Some(value.clone()));
            return Ok(());
        }
        let raw = self.raw;
        let default =
            raw.iter().find(|(other, _)| other.text == name.text).and_then(|(_, text)| text.as_ref());
        let Some(default) = default else {
            self.args.declared.insert(name.text.clone(), None);
            return Ok(());
        };
        self.open.push(&name.text);
        // First those that it uses. An escaped `$${NAME}` counts too: it does no harm.
        for used in names_in(&default.text) {
            let Some((other, _)) = raw.iter().find(|(other, _)| other.text == used) else { continue };
            if let Some(first) = self.open.iter().position(|open| *open == used) {
                let mut ring = self.open[first..].to_vec();
                ring.push(&used);
                return Err(Diagnostic::new(format!("arguments use each other: {}", ring.join(" → ")))
                    .at(place(self.file, &default.span), "the ring closes here")
                    .hint("give one of them a default of its own"));
            }
            self.resolve(other)?;
        }
        self.open.pop();
        let value = template::expand(&default.text, &|name| self.args.lookup(name))
            .map_err(|fault| self.args.diagnose(&fault, default, self.file, &[]))?;
        self.args.declared.insert(name.text.clone(), Some(value));
        Ok(())
    }
}

/// The names behind every `${` of a text, nested ones too.
fn names_in(text: &str) -> Vec<String> {
    text.split("${")
        .skip(1)
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect())
        .collect()
}
