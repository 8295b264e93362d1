//! What `imgbuild lock` prints.

use crate::lock::{Change, Lock, Pin, changes};

/// A line for each name whose meaning differs: what it was, what it is. With `all`, the others are told too.
pub(super) fn changes_text(before: &Lock, after: &Lock, all: bool) -> String {
    let changes = changes(before, after);
    let mut lines: Vec<(char, String, String)> = changes.iter().map(line).collect();
    if all {
        let same = after.entries.iter().filter(|(input, entry)| before.pin(input) == Some(&entry.pin));
        lines.extend(same.map(|(input, entry)| (' ', input.to_string(), entry.pin.short())));
        lines.sort_by(|a, b| a.1.cmp(&b.1));
    }
    let width = lines.iter().map(|(_, name, _)| name.chars().count()).max().unwrap_or_default();
    lines.into_iter().map(|(sign, name, pins)| format!("{sign} {name:width$}  {pins}\n")).collect()
}

fn line(change: &Change<'_>) -> (char, String, String) {
    let name = change.input.to_string();
    match (change.before, change.after) {
        (Some(before), Some(after)) if before.short() == after.short() => ('~', name, details(before, after)),
        (Some(before), Some(after)) => ('~', name, format!("{} → {}", before.short(), after.short())),
        (None, Some(after)) => ('+', name, after.short()),
        (before, None) => ('-', name, before.map(Pin::short).unwrap_or_default()),
    }
}

/// What differs where the digest does not.
fn details(before: &Pin, after: &Pin) -> String {
    let what = match (before, after) {
        (Pin::Web(before), Pin::Web(after)) if before.modified != after.modified => "other time",
        _ => "other platforms",
    };
    format!("{} ({what})", after.short())
}

/// How the lock is now, in a line.
pub(super) fn summary(shown: &str, before: &Lock, after: &Lock) -> String {
    let changes = changes(before, after);
    let count = |is: fn(&Change<'_>) -> bool| changes.iter().filter(|change| is(change)).count();
    let inputs = match after.entries.len() {
        1 => "1 input".to_owned(),
        count => format!("{count} inputs"),
    };
    if changes.is_empty() {
        return format!("{shown} is up to date: {inputs}\n");
    }
    let added = count(|change| change.before.is_none());
    let removed = count(|change| change.after.is_none());
    let changed = changes.len() - added - removed;
    format!("{shown}: {inputs}; {added} added, {changed} changed, {removed} removed\n")
}
