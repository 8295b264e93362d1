//! Values that are written out: what is wrong with them is told with all other mistakes of the file.

use super::Context;
use crate::{
    dockerfile::{
        syntax::{Files, Instruction, Word},
        value,
    },
    source::Diagnostic,
};

/// Tells what is wrong with the values of an instruction that no variable changes.
pub(super) fn check(context: &mut Context<'_>, instruction: &Instruction) {
    match instruction {
        Instruction::Stopsignal(word) => {
            each(context, [word], |file, word| value::signal(file, word, &word.text))
        }
        Instruction::Expose(words) => {
            each(context, words, |file, word| value::ports(file, word, &word.text).map(drop))
        }
        Instruction::Copy(copy) => files(context, &copy.files),
        Instruction::Add(add) => files(context, &add.files),
        _ => {}
    }
}

fn files(context: &mut Context<'_>, files: &Files) {
    each(context, &files.chown, |file, word| value::owner(file, word, &word.text).map(drop));
    each(context, &files.chmod, |file, word| value::mode(file, word, &word.text).map(drop));
}

fn each<'w>(
    context: &mut Context<'_>,
    words: impl IntoIterator<Item = &'w Word>,
    check: impl Fn(&crate::source::SourceFile, &Word) -> Result<(), Diagnostic>,
) {
    for word in words {
        if word.text.is_empty() || word.text.contains(['$', '\'', '"', '\\', '`']) {
            continue;
        }
        if let Err(error) = check(context.file, word) {
            context.errors.push(error);
        }
    }
}
