//! How instructions are written.

use super::{Checker, rule};
use crate::dockerfile::{
    syntax::{Instruction, NoteKind, Pairs, Statement, Word},
    value,
};

impl Checker<'_> {
    /// The rules that look at one instruction at a time.
    pub(super) fn style(&mut self) {
        self.casing();
        for note in &self.file.notes {
            match note.kind {
                NoteKind::EmptyContinuation => {
                    let message = "an empty line inside an instruction";
                    let hint = "remove it, or write `#`: a future syntax will refuse it";
                    self.find(rule::NO_EMPTY_CONTINUATION, &note.span, message, hint);
                }
            }
        }
        for statement in &self.file.args {
            let names: Vec<&str> = statement.node.args.iter().map(|arg| arg.name.text.as_str()).collect();
            self.description(&statement.comments, statement.span.start, "argument", &names);
        }
        for index in self.looked_at() {
            let from = &self.file.stages[index].from;
            let name: Vec<&str> = from.node.name.iter().map(|name| name.text.as_str()).collect();
            self.description(&from.comments, from.span.start, "stage", &name);
            for statement in self.instructions(index) {
                self.instruction(statement);
            }
        }
    }

    fn instruction(&mut self, statement: &Statement<Instruction>) {
        match &statement.node {
            Instruction::Maintainer(name) => {
                let hint = format!("write LABEL org.opencontainers.image.authors={:?}", name.text);
                self.find(rule::MAINTAINER_DEPRECATED, &statement.span, "MAINTAINER is deprecated", hint);
            }
            Instruction::Env(Pairs { pairs, legacy: true })
            | Instruction::Label(Pairs { pairs, legacy: true }) => {
                let keyword = statement.keyword.text.to_ascii_uppercase();
                let name = pairs.first().map(|pair| pair.name.text.as_str()).unwrap_or_default();
                let message = format!("{keyword} with a space between name and value");
                let hint = format!("write {keyword} {name}=…, with the value in quotes if it has spaces");
                self.find(rule::LEGACY_KEY_VALUE_FORMAT, &statement.span, message, hint);
            }
            Instruction::Arg(arg) => {
                let names: Vec<&str> = arg.args.iter().map(|arg| arg.name.text.as_str()).collect();
                self.description(&statement.comments, statement.span.start, "argument", &names);
            }
            Instruction::Expose(words) => words.iter().for_each(|word| self.port(word)),
            _ => {}
        }
    }

    /// All instructions should be written in the case of most of them.
    fn casing(&mut self) {
        let keywords: Vec<&Word> = self
            .file
            .stages
            .iter()
            .flat_map(|stage| {
                let instructions = stage.instructions.iter().map(|statement| &statement.keyword);
                std::iter::once(&stage.from.keyword).chain(instructions)
            })
            .collect();
        let lower = keywords.iter().filter(|word| word.text == word.text.to_ascii_lowercase()).count();
        let upper = keywords.iter().filter(|word| word.text == word.text.to_ascii_uppercase()).count();
        let case: fn(&str) -> String =
            if lower > upper { |text| text.to_ascii_lowercase() } else { |text| text.to_ascii_uppercase() };
        for keyword in keywords {
            let wanted = case(&keyword.text);
            if keyword.text != wanted {
                let message = format!("`{}` is not written as most instructions are", keyword.text);
                let hint = format!("write `{wanted}`");
                self.find(rule::CONSISTENT_INSTRUCTION_CASING, &keyword.span, message, hint);
            }
        }
    }

    fn description(&mut self, comments: &[Word], start: usize, what: &str, names: &[&str]) {
        let (Some(comment), Some(first)) = (comments.last(), names.first()) else { return };
        let between = self.file.file.text().get(comment.span.end..start).unwrap_or_default();
        if between.matches('\n').count() != 1 {
            return;
        }
        let word = comment.text.split(' ').next().unwrap_or_default();
        if names.contains(&word) {
            return;
        }
        let message = format!("the comment above this {what} does not describe it");
        let hint = format!("begin it with `# {first} `, or put an empty line below it");
        self.find(rule::INVALID_DEFINITION_DESCRIPTION, &comment.span, message, hint);
    }

    fn port(&mut self, word: &Word) {
        let text = word.text.trim_matches(['"', '\'']);
        let (address, host, container) = value::port_parts(text);
        // `${PORT:-80}` has a colon of its own.
        let plain = !text.contains('$');
        if plain && !(address.is_empty() && host.is_empty()) {
            let message = format!("EXPOSE has an address or a port of the host: {text}");
            let hint = format!("write `EXPOSE {container}`; `docker run -p` says where it is reached");
            self.find(rule::EXPOSE_INVALID_FORMAT, &word.span, message, hint);
        }
        if let Some((_, protocol)) = container.split_once('/')
            && plain
            && protocol.chars().any(char::is_uppercase)
        {
            let message = format!("the protocol {protocol} is not lower case");
            self.find(
                rule::EXPOSE_PROTO_CASING,
                &word.span,
                message,
                format!("write `{}`", protocol.to_lowercase()),
            );
        }
    }
}
