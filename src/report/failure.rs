//! Failures in words: the only place where an error becomes text for the user.

use std::error::Error;

use anstyle::{AnsiColor, Style};

use super::words::printable;
use crate::error::Explain;

/// A failure as the user sees it: `error: …`, the causes that the message does not quote, and `hint: …` lines; with
/// ANSI colours, for a stream that takes them away where they are not wanted.
pub fn render_failure(failure: &dyn Explain) -> String {
    let error = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
    let hint = Style::new().fg_color(Some(AnsiColor::Cyan.into()));
    let message = failure.to_string();
    let mut text = match failure.snippet() {
        // It begins with `error: ` and the message, and shows the line.
        Some(snippet) => match snippet.strip_prefix("error") {
            Some(rest) => format!("{error}error{error:#}{}\n", rest.trim_end()),
            None => format!("{error}error{error:#}: {}\n", snippet.trim_end()),
        },
        None => format!("{error}error{error:#}: {message}\n"),
    };
    for line in failure.detail().iter().flat_map(|detail| detail.lines()) {
        text.push_str(&format!("  | {}\n", printable(line)));
    }
    let mut said = message;
    let mut cause = failure.source();
    while let Some(next) = cause {
        let words = next.to_string();
        if !said.contains(&words) {
            text.push_str(&format!("  caused by: {words}\n"));
            said.push('\n');
            said.push_str(&words);
        }
        cause = Error::source(next);
    }
    for words in failure.hints() {
        text.push_str(&format!("{hint}hint{hint:#}: {words}\n"));
    }
    text
}
