//! What the values of words must be: the same wherever they are read.
//!
//! The parser asks for those that are written out, so that all that is wrong is told at once; evaluation for those that
//! come from variables.

mod ports;
mod signal;

pub(super) use ports::parts as port_parts;

use super::syntax::Word;
use crate::{
    recipe::{ModeChange, Owner, OwnerName},
    source::{Diagnostic, SourceFile},
};

/// `user`, `user:group`, each a number or a name. What is left out beside a colon is root's, as in BuildKit.
pub(super) fn owner(file: &SourceFile, word: &Word, text: &str) -> Result<Owner, Diagnostic> {
    let part = |part: &str| -> Option<OwnerName> {
        if part.bytes().all(|b| b.is_ascii_digit()) {
            return part.parse().ok().filter(|id| *id < u64::from(u32::MAX)).map(OwnerName::Id);
        }
        let fits = |b: u8| b.is_ascii_graphic() && !matches!(b, b':' | b'/');
        part.bytes().all(fits).then(|| OwnerName::Name(part.to_owned()))
    };
    let beside_colon = |text: &str| if text.is_empty() { Some(OwnerName::Id(0)) } else { part(text) };
    let owner = match text.split_once(':') {
        None => part(text).map(|user| Owner { user, group: None }),
        Some(("", "")) => None,
        Some((user, group)) => beside_colon(user)
            .zip(beside_colon(group))
            .map(|(user, group)| Owner { user, group: Some(group) }),
    };
    owner.ok_or_else(|| {
        Diagnostic::new(format!("{text:?} is not an owner"))
            .at(file.at(word.span.clone()), "not an owner")
            .hint("write `user`, `user:group`, `1000` or `1000:1000`")
    })
}

/// The ports of a word of `EXPOSE`.
pub(super) fn ports(file: &SourceFile, word: &Word, text: &str) -> Result<Vec<String>, Diagnostic> {
    ports::parse_port(text).map_err(|error| {
        Diagnostic::new(error.to_string())
            .at(file.at(word.span.clone()), "")
            .hint("write a number, or a range, with a protocol: 8000, 8000-8005/tcp, 53/udp")
    })
}

/// A signal of `STOPSIGNAL`.
pub(super) fn signal(file: &SourceFile, word: &Word, text: &str) -> Result<(), Diagnostic> {
    if signal::is_signal(text) {
        return Ok(());
    }
    Err(Diagnostic::new(format!("{text:?} is not a signal"))
        .at(file.at(word.span.clone()), "not a signal")
        .hint("write a name such as SIGTERM, or a number from 1 to 64"))
}

/// A mode of `--chmod`.
pub(super) fn mode(file: &SourceFile, word: &Word, text: &str) -> Result<ModeChange, Diagnostic> {
    text.parse().map_err(|error| {
        Diagnostic::new(format!("--chmod: {error}")).at(file.at(word.span.clone()), "not a mode")
    })
}
