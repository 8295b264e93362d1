//! What `imgbuild cache` prints for people.

use std::{fmt::Write, time::SystemTime};

use super::cache::{Listed, Report, Summary};
use crate::{oci::Reference, report::bytes};

pub(super) fn list(entries: &[Listed]) -> String {
    let now = SystemTime::now();
    let head = ["KIND", "ID", "SIZE", "USED", "NAME"].map(str::to_owned);
    table(head, entries.iter().map(|entry| row(entry, now)))
}

fn row(entry: &Listed, now: SystemTime) -> [String; 5] {
    [
        entry.kind.to_owned(),
        short(&entry.id),
        bytes(entry.size),
        ago(now, entry.used),
        entry.name.as_deref().map(familiar).unwrap_or_default(),
    ]
}

pub(super) fn summary(summary: &Summary) -> String {
    let mut out = format!("{:<10}  {:>8}  {:>10}\n", "KIND", "ENTRIES", "SIZE");
    for kind in summary.kinds.iter().filter(|kind| kind.entries > 0) {
        let _ = writeln!(out, "{:<10}  {:>8}  {:>10}", kind.kind, kind.entries, bytes(kind.size));
    }
    let _ = writeln!(out, "{:<10}  {:>8}  {:>10}", "total", "", bytes(summary.total));
    let _ = writeln!(
        out,
        "\n{} may have {}; of its disk's {}, {} are free",
        summary.home,
        bytes(summary.max_size),
        bytes(summary.disk_size),
        bytes(summary.disk_available)
    );
    out
}

pub(super) fn report(report: &Report) -> String {
    let now = SystemTime::now();
    let mut out = String::new();
    if !report.removed.is_empty() {
        let head = ["KIND", "ID", "SIZE", "USED", "WHY", "NAME"].map(str::to_owned);
        let rows = report.removed.iter().map(|gone| {
            let [kind, id, size, used, name] = row(&gone.entry, now);
            [kind, id, size, used, gone.reason.to_owned(), name]
        });
        out.push_str(&table(head, rows));
        out.push('\n');
    }
    let verb = if report.dry_run { "would remove" } else { "removed" };
    let _ = write!(out, "{verb} {}, {} are left", bytes(report.freed), bytes(report.after));
    if let Some(most) = report.max_size {
        let _ = write!(out, " of the {} that may be", bytes(most));
    }
    out.push('\n');
    if !report.in_use.is_empty() {
        let size = report.in_use.iter().map(|entry| entry.size).sum();
        let _ = writeln!(out, "{} are in use by running builds, and stay", bytes(size));
    }
    out
}

/// Columns as wide as they must be; the last one ends where it does.
fn table<const N: usize>(head: [String; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for row in &rows {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// An id with its digests cut short.
fn short(id: &str) -> String {
    let cut = |part: &str| {
        let digest = part.strip_prefix("sha256:").unwrap_or(part);
        let is_long = digest.len() >= 64 && digest.bytes().all(|b| b.is_ascii_hexdigit());
        if is_long { digest[..12].to_owned() } else { part.to_owned() }
    };
    let parts: Vec<_> = id.split('/').map(cut).collect();
    parts.join("/")
}

fn familiar(name: &str) -> String {
    let printable: String = name.chars().filter(|c| !c.is_control()).collect();
    printable.parse::<Reference>().map_or(printable, |reference| reference.familiar())
}

/// How long ago, in the largest unit that tells it.
fn ago(now: SystemTime, then: SystemTime) -> String {
    let seconds = now.duration_since(then).unwrap_or_default().as_secs();
    match seconds {
        0..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86400),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn ids_are_short_and_times_round() {
        let digest = "ab".repeat(32);
        for (id, expected) in [
            (format!("sha256:{digest}"), "abababababab"),
            (format!("layers-1/{digest}"), "layers-1/abababababab"),
            (format!("{digest}.log"), &*format!("{digest}.log")),
            ("s1".to_owned(), "s1"),
        ] {
            assert_eq!(short(&id), expected);
        }
        let then = SystemTime::UNIX_EPOCH;
        for (seconds, expected) in [
            (0, "0 s ago"),
            (59, "59 s ago"),
            (3599, "59 min ago"),
            (100_000, "27 h ago"),
            (172_800, "2 days ago"),
        ] {
            assert_eq!(ago(then + Duration::from_secs(seconds), then), expected);
        }
        assert_eq!(ago(then, then + Duration::from_secs(5)), "0 s ago");
    }

    #[test]
    fn mounts_are_not_taken_for_images() {
        assert_eq!(familiar("/root/.cache/pip"), "/root/.cache/pip");
        assert_eq!(familiar("docker.io/library/app:1"), "app:1");
        assert_eq!(familiar("a\u{1b}[31m"), "a[31m");
    }
}
