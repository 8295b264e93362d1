//! Release notes as Markdown.

use super::release_notes::{Document, Named};
use crate::{
    release::notes::{BaseChange, BaseName, Ecosystem, PackageChange, PlatformNotes},
    report::bytes,
    settings::Commits,
};

pub(super) fn markdown(document: &Document) -> String {
    let Document { image, from, commits, notes } = document;
    let mut text = format!("# {}\n\n{}\n", escaped(title(image)), identity(image));
    match from {
        Some(from) => text.push_str(&format!("since {}: {}\n", escaped(title(from)), identity(from))),
        None => text.push_str("the first release\n"),
    }
    commits.iter().for_each(|commits| text.push_str(&commit_list(commits)));
    text.push_str(&base_list(&notes.bases, &notes.platforms));
    notes.packages.iter().for_each(|packages| text.push_str(&package_table(packages, &notes.platforms)));
    text.push_str(&size_table(&notes.platforms, &notes.gone));
    notes.platforms.iter().for_each(|platform| text.push_str(&layer_table(platform)));
    text
}

fn title(image: &Named) -> &str {
    image.version.as_deref().unwrap_or(&image.name)
}

fn identity(image: &Named) -> String {
    format!("{} {}", code(&image.name), code(&image.digest.to_string()))
}

fn commit_list(commits: &Commits) -> String {
    let mut text = "\n## Commits\n\n".to_owned();
    for commit in &commits.commits {
        let short = commit.id.get(..7).unwrap_or(&commit.id);
        text.push_str(&format!("- {} ({short}, {})\n", escaped(&commit.subject), escaped(&commit.author)));
    }
    if commits.commits.is_empty() {
        text.push_str("none\n");
    }
    if commits.more {
        text.push_str("- and more\n");
    }
    text
}

fn base_list(bases: &[BaseChange], all: &[PlatformNotes]) -> String {
    let mut text = String::new();
    let base = |base: &Option<BaseName>| {
        let Some(BaseName { name, digest }) = base else { return "none that is known".to_owned() };
        name.iter().chain(digest).map(|part| code(part)).collect::<Vec<_>>().join(" ")
    };
    for BaseChange { from, to, platforms } in bases {
        let before = from.as_ref().map(|_| format!("{} → ", base(from))).unwrap_or_default();
        text.push_str(&format!("- {before}{}{}\n", base(to), only(platforms, all)));
    }
    if text.is_empty() { text } else { format!("\n## Base image\n\n{text}") }
}

fn package_table(packages: &[PackageChange], all: &[PlatformNotes]) -> String {
    let count = |fits: fn(&PackageChange) -> bool| packages.iter().filter(|package| fits(package)).count();
    let mut text = format!(
        "\n## Packages\n\n{} updated, {} added, {} removed\n",
        count(|package| !package.from.is_empty() && !package.to.is_empty()),
        count(|package| package.from.is_empty()),
        count(|package| package.to.is_empty()),
    );
    if !packages.is_empty() {
        text.push_str("\n| package | of | before | now |\n|---|---|---|---|\n");
    }
    for PackageChange { ecosystem, name, from, to, platforms } in packages {
        let of = match ecosystem {
            Ecosystem::Deb => "deb",
            Ecosystem::Apk => "apk",
            Ecosystem::Python => "python",
            Ecosystem::Npm => "npm",
        };
        let versions = |versions: &[String]| match versions {
            [] => "-".to_owned(),
            versions => escaped(&versions.join(", ")),
        };
        text.push_str(&format!(
            "| {}{} | {of} | {} | {} |\n",
            code(name),
            only(platforms, all),
            versions(from),
            versions(to)
        ));
    }
    text
}

fn size_table(platforms: &[PlatformNotes], gone: &[String]) -> String {
    let mut text = "\n## Size\n\n| platform | before | now | change |\n|---|--:|--:|--:|\n".to_owned();
    for PlatformNotes { platform, size, before, .. } in platforms {
        let (was, change) = match before {
            Some(before) => (bytes(*before), change(*before, *size)),
            None => ("-".to_owned(), "new".to_owned()),
        };
        text.push_str(&format!("| {} | {was} | {} | {change} |\n", escaped(platform), bytes(*size)));
    }
    for platform in gone {
        text.push_str(&format!("| {} | | - | gone |\n", escaped(platform)));
    }
    text
}

fn change(before: u64, now: u64) -> String {
    match now.checked_sub(before) {
        Some(0) => "0".to_owned(),
        Some(more) => format!("+{}", bytes(more)),
        None => format!("-{}", bytes(before - now)),
    }
}

fn layer_table(PlatformNotes { platform, layers, before, .. }: &PlatformNotes) -> String {
    let mut text = format!("\n<details><summary>Layers of {}</summary>\n\n", escaped(platform));
    text.push_str("| layer | size | | made by |\n|---|--:|---|---|\n");
    for layer in layers {
        let fate = match (before, layer.kept) {
            (None, _) => "",
            (_, true) => "as before",
            (_, false) => "new",
        };
        let made_by = layer.created_by.as_deref().map(short).unwrap_or_default();
        let digest = layer.digest.short();
        text.push_str(&format!("| `{digest}` | {} | {fate} | {made_by} |\n", bytes(layer.size)));
    }
    text.push_str("\n</details>\n");
    text
}

/// The beginning of an instruction.
fn short(instruction: &str) -> String {
    const MOST: usize = 80;
    let words = instruction.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(MOST) {
        Some((end, _)) => code(&format!("{}…", &words[..end])),
        None => code(&words),
    }
}

/// The platforms that something is about, if those are not all.
fn only(platforms: &[String], all: &[PlatformNotes]) -> String {
    match platforms.len() == all.len() {
        true => String::new(),
        false => format!(" ({})", escaped(&platforms.join(", "))),
    }
}

/// A text as it is: whatever an image or a commit says, it does not become markup.
fn escaped(text: &str) -> String {
    let mut plain = String::new();
    for character in text.chars().filter(|character| !character.is_control()) {
        if "\\`*_[]<>|&".contains(character) {
            plain.push('\\');
        }
        plain.push(character);
    }
    plain
}

/// A text as code: nothing in it is markup, nor the mention of somebody (`@types/node`).
fn code(text: &str) -> String {
    let plain: String = text.chars().filter(|character| !character.is_control()).collect();
    // Cells of tables end at a bar also within code.
    format!("`{}`", plain.replace('`', "'").replace('|', "\\|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_no_markup() {
        assert_eq!(escaped("a|b <i>\n[x](y) `c` \\"), "a\\|b \\<i\\>\\[x\\](y) \\`c\\` \\\\");
        assert_eq!(code("a`b|c\n"), "`a'b\\|c`");
    }

    #[test]
    fn sizes_change_both_ways() {
        for (before, now, expected) in [(1, 1, "0"), (1000, 2500, "+1.5 kB"), (2500, 1000, "-1.5 kB")] {
            assert_eq!(change(before, now), expected);
        }
    }
}
