//! Variables that are not there, and those that should not be.

use std::{borrow::Cow, collections::HashSet};

use super::{Checker, rule};
use crate::{
    dockerfile::{
        syntax::{Escape, FileSource, Files, Instruction, Statement, Word},
        word::{self, Variables, WordError},
    },
    recipe::looks_secret,
};

/// The names that are set at one place of a stage.
#[derive(Debug, Clone, Default)]
struct Names {
    known: HashSet<String>,
    /// Whether the base may have set more.
    open: bool,
}

impl Variables for Names {
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.known.contains(name).then_some(Cow::Borrowed("x"))
    }
}

/// How a text is expanded.
#[derive(Debug, Clone, Copy)]
enum Way {
    Word,
    Words,
    Heredoc,
}

impl Checker<'_> {
    /// The rules for variables.
    pub(super) fn variables(&mut self) {
        let mut ends: Vec<Names> = Vec::new();
        for index in 0..self.stages.len() {
            let stage = &self.stages[index];
            let mut names = match (stage.parent, stage.config) {
                (Some(parent), _) => ends[parent].clone(),
                (None, config) => {
                    let env = config.map(|config| config.env.as_slice()).unwrap_or_default();
                    let set = env.iter().map(|pair| pair.split('=').next().unwrap_or_default().to_owned());
                    let known = set.chain(["PATH".to_owned()]).collect();
                    Names { known, open: stage.image.is_some() && config.is_none() }
                }
            };
            let tell = self.looks_at(index);
            for statement in self.instructions(index) {
                self.statement(statement, &mut names, tell);
            }
            ends.push(names);
        }
    }

    fn statement(&mut self, statement: &Statement<Instruction>, names: &mut Names, tell: bool) {
        let heredocs = match &statement.node {
            Instruction::Copy(copy) => &copy.files.sources[..],
            Instruction::Add(add) => &add.files.sources[..],
            _ => &[],
        };
        if tell {
            for (word, way) in words(&statement.node) {
                self.undefined_in(&word.text, way, &word.span, names);
            }
            for source in heredocs {
                if let FileSource::Heredoc(heredoc) = source
                    && heredoc.expand
                {
                    self.undefined_in(&heredoc.body, Way::Heredoc, &heredoc.span, names);
                }
            }
        }
        match &statement.node {
            Instruction::Arg(arg) => {
                for arg in &arg.args {
                    if let (Some(value), true) = (&arg.value, tell) {
                        self.undefined_in(&value.text, Way::Word, &value.span, names);
                    }
                    names.known.insert(arg.name.text.clone());
                    self.secret("ARG", &arg.name, tell);
                }
            }
            Instruction::Env(pairs) => {
                for pair in &pairs.pairs {
                    names.known.insert(pair.name.text.clone());
                    self.secret("ENV", &pair.name, tell);
                }
            }
            _ => {}
        }
    }

    fn undefined_in(&mut self, text: &str, way: Way, span: &std::ops::Range<usize>, names: &Names) {
        if !text.contains('$') {
            return;
        }
        let escape = self.file.directives.escape;
        let unset: Result<_, WordError> = match way {
            Way::Word => word::expand(text, names, escape).map(|expanded| expanded.unset),
            Way::Words => word::expand_words(text, names, escape).map(|expanded| expanded.unset),
            Way::Heredoc => {
                word::expand_heredoc(text, names, Escape::Backslash).map(|expanded| expanded.unset)
            }
        };
        // What cannot be expanded is an error of the build.
        for name in unset.into_iter().flatten() {
            let near = self.near(&name, names.known.iter());
            // A base that is not known may have set it: only what looks like a slip is told.
            if names.open && near.is_none() {
                continue;
            }
            let message = format!("the variable {name} is not set here");
            let hint = match near {
                Some(near) => format!("did you mean ${near}?"),
                None if self.globals.get(&name).is_some() => {
                    format!("`ARG {name}` in this stage takes over the value from before the first FROM")
                }
                None => format!("set it with ENV or declare it with ARG, or write ${{{name}:-}}"),
            };
            self.find(rule::UNDEFINED_VAR, span, message, hint);
        }
    }

    fn secret(&mut self, keyword: &str, name: &Word, tell: bool) {
        if tell && looks_secret(&name.text) {
            let message = format!("{keyword} {} looks like a secret, and stays in the image", name.text);
            let hint = "give it to the step that needs it: RUN --mount=type=secret,id=…,env=…";
            self.find(rule::SECRETS_USED_IN_ARG_OR_ENV, &name.span, message, hint);
        }
    }
}

/// The texts of an instruction in which variables are replaced; the defaults of `ARG` aside.
fn words(instruction: &Instruction) -> Vec<(&Word, Way)> {
    match instruction {
        Instruction::Env(pairs) | Instruction::Label(pairs) => {
            pairs.pairs.iter().flat_map(|pair| [(&pair.name, Way::Word), (&pair.value, Way::Word)]).collect()
        }
        Instruction::Expose(ports) => ports.iter().map(|word| (word, Way::Words)).collect(),
        Instruction::Volume(paths) => paths.iter().map(|word| (word, Way::Word)).collect(),
        Instruction::Stopsignal(word) | Instruction::User(word) | Instruction::Workdir(word) => {
            vec![(word, Way::Word)]
        }
        Instruction::Copy(copy) => files(&copy.files),
        Instruction::Add(add) => {
            files(&add.files).into_iter().chain(add.checksum.iter().map(|word| (word, Way::Word))).collect()
        }
        Instruction::Run(run) => {
            let options = run.mounts.iter().flat_map(|mount| &mount.options);
            options.filter_map(|option| option.value.as_ref()).map(|word| (word, Way::Word)).collect()
        }
        _ => Vec::new(),
    }
}

fn files(files: &Files) -> Vec<(&Word, Way)> {
    let paths = files.sources.iter().filter_map(|source| match source {
        FileSource::Path(word) => Some(word),
        FileSource::Heredoc(_) => None,
    });
    let rest = [Some(&files.destination), files.chown.as_ref(), files.chmod.as_ref()];
    let words = paths.chain(rest.into_iter().flatten()).chain(&files.exclude);
    words.map(|word| (word, Way::Word)).collect()
}
