//! `COPY` and `ADD`.

use super::{
    Context,
    arguments::{list, missing},
    flags::Flags,
};
use crate::dockerfile::{
    heredoc::{self, Heredoc},
    split::Parts,
    syntax::{Add, Copy, FileSource, Files, Word},
};

/// `COPY`.
pub(super) fn copy(
    context: &mut Context<'_>,
    parts: &Parts,
    flags: &Flags<'_>,
    heredocs: &mut Vec<Heredoc>,
) -> Option<Copy> {
    let from = flags.value("from");
    if let Some(from) = from.as_ref().filter(|from| from.text.contains('$')) {
        context.error_with_hint(
            "variables are not expanded in --from",
            &from.span,
            "",
            "name the image in a stage, `FROM ${IMAGE} AS name`, and copy from the stage",
        );
    }
    Some(Copy { from, files: files(context, parts, flags, heredocs)? })
}

/// `ADD`.
pub(super) fn add(
    context: &mut Context<'_>,
    parts: &Parts,
    flags: &Flags<'_>,
    heredocs: &mut Vec<Heredoc>,
) -> Option<Add> {
    Some(Add {
        checksum: flags.value("checksum"),
        keep_git_dir: flags.boolean("keep-git-dir").unwrap_or(false),
        unpack: flags.boolean("unpack"),
        files: files(context, parts, flags, heredocs)?,
    })
}

fn files(
    context: &mut Context<'_>,
    parts: &Parts,
    flags: &Flags<'_>,
    heredocs: &mut Vec<Heredoc>,
) -> Option<Files> {
    let mut words = list(context, &parts.args)?;
    let destination = words.pop().filter(|_| !words.is_empty());
    let Some(destination) = destination else {
        missing(context, parts, "a source and a destination");
        return None;
    };
    if !heredocs.is_empty() && heredoc::opening(&destination).is_some() {
        context.error("a heredoc cannot be the destination", &destination.span, "");
        return None;
    }
    // Both are in the order of their places.
    let mut heredocs = heredocs.drain(..).peekable();
    let source = |word: Word| match heredocs.next_if(|heredoc| heredoc.span == word.span) {
        Some(heredoc) => FileSource::Heredoc(heredoc),
        None => FileSource::Path(word),
    };
    let sources = words.into_iter().map(source).collect();
    Some(Files {
        sources,
        destination,
        chown: flags.value("chown"),
        chmod: flags.value("chmod"),
        link: flags.boolean("link").unwrap_or(false),
        parents: flags.boolean("parents").unwrap_or(false),
        exclude: flags.values("exclude").cloned().collect(),
    })
}
