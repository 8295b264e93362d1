//! Instructions that change the config alone.

use std::collections::BTreeSet;

use super::stage::{Current, StageBuilder};
use crate::{
    dockerfile::{
        syntax::{Pairs, Word},
        value,
    },
    layer::EntryPath,
    recipe::{ConfigChange, Mkdir, Rules, StepKind},
    source::Diagnostic,
};

impl StageBuilder<'_> {
    /// All values are expanded with the variables from before the instruction.
    pub(super) fn env(&mut self, at: Current<'_>, pairs: &Pairs) -> Result<(), Diagnostic> {
        self.spend(at, self.end.scope.copied_by_a_change())?;
        let mut said = String::from("ENV");
        let mut changes = Vec::new();
        for (name, value) in self.pairs(at, pairs)? {
            if name.contains('\0') || value.contains('\0') {
                return Err(self.wrong(at, "a variable cannot hold a NUL byte"));
            }
            said.push_str(&format!(" {name}={value}"));
            changes.push(ConfigChange::Env(name, value));
        }
        self.config(at, said, changes);
        Ok(())
    }

    pub(super) fn label(&mut self, at: Current<'_>, pairs: &Pairs) -> Result<(), Diagnostic> {
        let pairs = self.pairs(at, pairs)?;
        self.end.labels += pairs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let said: String = pairs.iter().map(|(name, value)| format!(" {name}={value}")).collect();
        self.config(at, format!("LABEL{said}"), vec![ConfigChange::Labels(pairs.into_iter().collect())]);
        Ok(())
    }

    fn pairs(&self, at: Current<'_>, pairs: &Pairs) -> Result<Vec<(String, String)>, Diagnostic> {
        let mut found = Vec::new();
        for pair in &pairs.pairs {
            let name = self.expand(at, &pair.name)?;
            if name.is_empty() {
                let place = at.line.file.at(pair.name.span.clone());
                return Err(Diagnostic::new("a name must not be empty").at(place, "nothing is left of this"));
            }
            found.push((name, self.expand(at, &pair.value)?));
        }
        Ok(found)
    }

    pub(super) fn expose(&mut self, at: Current<'_>, words: &[Word]) -> Result<(), Diagnostic> {
        let mut ports = Vec::new();
        for word in words {
            for text in self.evaluator.expand_words(&at.line.file, word, &self.end.scope)? {
                ports.extend(value::ports(&at.line.file, word, &text)?);
            }
        }
        let said = format!("EXPOSE [{}]", ports.join(" "));
        self.config(at, said, vec![ConfigChange::Expose(ports.into_iter().collect())]);
        Ok(())
    }

    pub(super) fn volume(&mut self, at: Current<'_>, words: &[Word]) -> Result<(), Diagnostic> {
        let volumes = self.expand_all(at, words)?;
        if let Some(empty) = volumes.iter().position(String::is_empty) {
            let place = at.line.file.at(words[empty].span.clone());
            return Err(Diagnostic::new("a volume's path must not be empty").at(place, "empty"));
        }
        let said = format!("VOLUME [{}]", volumes.join(" "));
        let volumes: BTreeSet<String> = volumes.into_iter().collect();
        self.config(at, said, vec![ConfigChange::Volumes(volumes)]);
        Ok(())
    }

    pub(super) fn user(&mut self, at: Current<'_>, word: &Word) -> Result<(), Diagnostic> {
        let user = self.expand(at, word)?;
        self.end.user_from = Some(self.location(at));
        self.config(at, format!("USER {user}"), vec![ConfigChange::User(user)]);
        Ok(())
    }

    pub(super) fn stopsignal(&mut self, at: Current<'_>, word: &Word) -> Result<(), Diagnostic> {
        let signal = self.expand(at, word)?;
        value::signal(&at.line.file, word, &signal)?;
        self.config(at, format!("STOPSIGNAL {signal}"), vec![ConfigChange::StopSignal(signal)]);
        Ok(())
    }

    /// The directory is made where it is missing, for the user of here.
    pub(super) fn workdir(&mut self, at: Current<'_>, word: &Word) -> Result<(), Diagnostic> {
        let path = self.absolute(&self.expand(at, word)?);
        let said = format!("WORKDIR {path}");
        let mut of_config = said.clone();
        if let Some(entry) = EntryPath::new(&path) {
            let owner = match self.end.config.user.as_deref() {
                None | Some("" | "root" | "0" | "0:0" | "root:root") => None,
                Some(user) => Some(value::owner(&at.line.file, word, user)?),
            };
            let owner_from = self.end.user_from.clone();
            let mkdir = Mkdir { path: entry, owner, owner_from, mode: None, rules: Rules::Docker };
            self.push(at, said, StepKind::Mkdir(mkdir));
            // One entry of the history for both.
            of_config.clear();
        }
        self.config(at, of_config, vec![ConfigChange::WorkingDir(path)]);
        Ok(())
    }

    /// An error of the whole instruction.
    pub(super) fn wrong(&self, at: Current<'_>, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(message).at(self.location(at), "")
    }
}
