//! What is run in the image, and how it is called there.

use std::ops::Range;

use super::{Checker, rule};
use crate::dockerfile::syntax::{CommandLine, Healthcheck, Instruction};

/// What a stage knows of what stands before it.
#[derive(Debug, Clone, Copy, Default)]
struct Before {
    /// Whether a working directory was set in this file.
    workdir: bool,
    /// Whether the shell was chosen.
    shell: bool,
}

impl Checker<'_> {
    /// The rules that look at all instructions of a stage.
    pub(super) fn commands(&mut self) {
        let mut ends: Vec<Before> = Vec::new();
        for index in 0..self.stages.len() {
            let stage = &self.stages[index];
            let mut before = match stage.parent {
                Some(parent) => ends[parent],
                None => Before {
                    shell: stage.config.is_some_and(|config| config.shell.is_some()),
                    workdir: false,
                },
            };
            let tell = self.looks_at(index);
            let mut once: [Option<Range<usize>>; 3] = [None, None, None];
            for statement in self.instructions(index) {
                let keyword = statement.keyword.text.to_ascii_uppercase();
                let slot = match &statement.node {
                    Instruction::Workdir(path) => {
                        // What a variable holds at the beginning cannot be known here.
                        let relative = !path.text.trim_matches(['"', '\'']).starts_with(['/', '$']);
                        if tell && relative && !before.workdir {
                            let message =
                                format!("WORKDIR {} is relative to what the base has chosen", path.text);
                            let hint = format!("write an absolute path, such as `WORKDIR /{}`", path.text);
                            self.find(rule::WORKDIR_RELATIVE_PATH, &path.span, message, hint);
                        }
                        before.workdir = true;
                        continue;
                    }
                    Instruction::Shell(_) => {
                        before.shell = true;
                        continue;
                    }
                    Instruction::Cmd(command) | Instruction::Entrypoint(command) => {
                        if tell && !before.shell && !command.is_exec() {
                            self.shell_form(&keyword, command, &statement.span);
                        }
                        usize::from(matches!(statement.node, Instruction::Entrypoint(_)))
                    }
                    Instruction::Healthcheck(Healthcheck::None | Healthcheck::Command { .. }) => 2,
                    _ => continue,
                };
                if let Some(earlier) = once[slot].replace(statement.span.clone()).filter(|_| tell) {
                    let message = format!("this {keyword} has no effect: the stage has a later one");
                    let hint = "remove one of them";
                    self.find(rule::MULTIPLE_INSTRUCTIONS_DISALLOWED, &earlier, message, hint);
                }
            }
            ends.push(before);
        }
    }

    fn shell_form(&mut self, keyword: &str, command: &CommandLine, span: &Range<usize>) {
        let line = match command {
            CommandLine::Shell(line) if line.malformed_json => {
                let message = format!("{keyword} looks like a JSON array and is none: a shell will get it");
                let hint = "a JSON array has strings in double quotes, with commas between them";
                return self.find(rule::JSON_ARGS_RECOMMENDED, span, message, hint);
            }
            CommandLine::Shell(line) => line.line.text.as_str(),
            _ => "",
        };
        let message = format!("{keyword} is run by a shell, which does not hand signals on");
        // Anything that needs a shell is better said as one.
        let plain =
            !line.is_empty() && !line.contains(['$', '|', '&', ';', '<', '>', '`', '"', '\'', '\\', '*']);
        let hint = match plain {
            true => {
                let words: Vec<String> = line.split_whitespace().map(|word| format!("{word:?}")).collect();
                format!("write {keyword} [{}]", words.join(", "))
            }
            false => format!(
                "write {keyword} [\"program\", \"argument\"]; choose the shell with SHELL if it is meant"
            ),
        };
        self.find(rule::JSON_ARGS_RECOMMENDED, span, message, hint);
    }
}
