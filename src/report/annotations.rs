//! Errors and warnings on the lines of the files that they are about, as GitHub Actions shows them: workflow commands
//! in what a step writes (GitHub's documentation, "Workflow commands for GitHub Actions").

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Render,
    words::{one_line, printable},
};
use crate::{
    error::Explain,
    event::Event,
    source::{Diagnostic, Location},
};

/// How many of a command's last lines an annotation has: it is read beside the code, and the log has more.
const LAST_LINES: usize = 10;

/// Writes workflow commands.
#[derive(Debug, Clone)]
pub struct Annotations {
    workspace: PathBuf,
    current_dir: PathBuf,
}

/// What an annotation says is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Error,
    Warning,
}

impl Annotations {
    /// For files below `workspace`, whose names in messages are relative to `current_dir`.
    pub fn new(workspace: impl Into<PathBuf>, current_dir: impl Into<PathBuf>) -> Self {
        Self { workspace: workspace.into(), current_dir: current_dir.into() }
    }

    /// The command for each place that a failure is about; without a place, one for the job.
    pub fn failure(&self, failure: &dyn Explain) -> String {
        let diagnostics = failure.diagnostics();
        if diagnostics.is_empty() {
            return self.command(Level::Error, None, "imgbuild", &text(&failure.to_string(), failure));
        }
        let commands = diagnostics.into_iter().map(|diagnostic| {
            let (place, message) = (diagnostic.location(), said(diagnostic));
            self.command(Level::Error, place, "imgbuild", &text(&message, diagnostic))
        });
        commands.collect()
    }

    /// The command for arguments that are wrong, from what is said of them: `error: …`, perhaps a tip, and the usage.
    pub fn mistake(&self, said: &str) -> String {
        let message = said.split("\n\nUsage:").next().unwrap_or(said).trim();
        self.command(Level::Error, None, "imgbuild", message.strip_prefix("error: ").unwrap_or(message))
    }

    /// The command for a warning of a place.
    pub fn warning(&self, place: &Location, message: &str) -> String {
        // The place goes before the message in a log, and is told by other means here.
        let named = format!("{place}: ");
        let message = message.strip_prefix(named.as_str()).unwrap_or(message);
        self.command(Level::Warning, Some(place), "imgbuild", &one_line(message))
    }

    /// Writes commands for the warnings of a build.
    pub fn warnings<W: Write + Send>(self, out: W) -> impl Render {
        Warnings { annotations: self, out }
    }

    fn command(&self, level: Level, place: Option<&Location>, title: &str, message: &str) -> String {
        let mut properties = Vec::new();
        let mut message = message.to_owned();
        if let Some(place) = place {
            match self.path(place) {
                Some(path) => {
                    let (start, end) = (place.start(), place.end());
                    properties.push(("file", path));
                    properties.push(("line", start.line.to_string()));
                    // GitHub takes columns where a place is within one line.
                    match start.line == end.line {
                        true => {
                            properties.push(("col", start.column.to_string()));
                            properties.push(("endColumn", end.column.to_string()));
                        }
                        false => properties.push(("endLine", end.line.to_string())),
                    }
                }
                None => message = format!("{place}: {message}"),
            }
        }
        properties.push(("title", title.to_owned()));
        let properties: Vec<_> =
            properties.into_iter().map(|(name, value)| format!("{name}={}", in_property(&value))).collect();
        let level = match level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        format!("::{level} {}::{}\n", properties.join(","), in_message(&message))
    }

    /// The path of a file in its repository. `None` if the file is not from there: a file of that name with the same
    /// text has to be there, since builds of what was fetched from elsewhere use the same names.
    fn path(&self, place: &Location) -> Option<String> {
        let path = self.current_dir.join(place.file.name()).canonicalize().ok()?;
        let workspace = self.workspace.canonicalize().ok()?;
        let inside = path.strip_prefix(&workspace).ok()?;
        let found = fs::read(&path).ok()?;
        let text = place.file.text().as_bytes();
        if found != text && found.strip_prefix(BYTE_ORDER_MARK) != Some(text) {
            return None;
        }
        // A repository that was checked out into a directory of the workspace.
        let mut root = PathBuf::new();
        let mut folders = inside.parent().into_iter().flat_map(Path::components);
        while !workspace.join(&root).join(".git").exists() {
            match folders.next() {
                Some(folder) => root.push(folder),
                None => return inside.to_str().map(str::to_owned),
            }
        }
        inside.strip_prefix(&root).ok()?.to_str().map(str::to_owned)
    }
}

/// Text files may begin with it, and what is read of them does not.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The message, and what the label at the place adds to it.
fn said(diagnostic: &Diagnostic) -> String {
    match diagnostic.label() {
        Some(label) if !label.is_empty() && !diagnostic.message().contains(label) => {
            format!("{} ({label})", diagnostic.message())
        }
        _ => diagnostic.message().to_owned(),
    }
}

/// A message with the last lines of what failed, and what to do.
fn text(message: &str, failure: &dyn Explain) -> String {
    let detail = failure.detail().unwrap_or_default();
    let lines: Vec<&str> = detail.lines().collect();
    let last = lines[lines.len().saturating_sub(LAST_LINES)..].iter().map(|line| printable(line));
    let hints = failure.hints().into_iter().map(|hint| format!("hint: {hint}"));
    std::iter::once(message.to_owned()).chain(last).chain(hints).collect::<Vec<_>>().join("\n")
}

/// A message as the runner reads it back.
fn in_message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property's value as the runner reads it back.
fn in_property(text: &str) -> String {
    in_message(text).replace(':', "%3A").replace(',', "%2C")
}

/// A text in which the runner finds no command. It takes one of the older form anywhere in a line, and one of the newer
/// form behind blanks: a step of a build that wrote such a line would give the job an output, or mask what it likes.
pub fn without_commands(text: &str) -> String {
    let text = text.replace("##[", "# #[");
    let lines = text.split_inclusive('\n').map(|line| match line.trim_start().starts_with("::") {
        true => line.replacen("::", ": :", 1),
        false => line.to_owned(),
    });
    lines.collect()
}

/// Writes lines in which the runner finds no command; each is handed to it in one piece.
#[derive(Debug)]
pub(super) struct WithoutCommands<W>(pub(super) W);

impl<W: Write> Write for WithoutCommands<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write_all(without_commands(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// Writes a command for each warning that has a place.
#[derive(Debug)]
struct Warnings<W> {
    annotations: Annotations,
    out: W,
}

impl<W: Write + Send> Render for Warnings<W> {
    fn event(&mut self, _: Duration, event: &Event) {
        if let Event::Warning { message, place: Some(place) } = event {
            // See the room's page: a closed standard error is not an error.
            let _ = self.out.write_all(self.annotations.warning(place, message).as_bytes());
        }
    }

    fn finish(&mut self) {
        let _ = self.out.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Diagnostics, SourceFile};

    fn place(name: &str, text: &str, range: std::ops::Range<usize>) -> Location {
        SourceFile::new(name, text).at(range)
    }

    #[test]
    fn commands_are_written_as_the_runner_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let text = "FROM a\nRUN one && \\\n  two\n";
        for path in ["a,b/c: 100%", "plain"] {
            fs::create_dir_all(folder.path().join(path)).unwrap();
            fs::write(folder.path().join(path).join("Dockerfile"), text).unwrap();
        }
        let annotations = Annotations::new(folder.path(), folder.path());
        let failed = Diagnostic::new("run one: 50%\r\nfailed")
            .at(place("a,b/c: 100%/Dockerfile", text, 7..26), "")
            .hint("use, say: less");
        assert_eq!(
            annotations.failure(&failed),
            "::error file=a%2Cb/c%3A 100%25/Dockerfile,line=2,endLine=3,title=imgbuild::\
             run one: 50%25%0D%0Afailed%0Ahint: use, say: less\n"
        );
        let at = place("plain/Dockerfile", text, 5..6);
        assert_eq!(
            annotations.warning(&at, "plain/Dockerfile:1: StageName: a is short"),
            "::warning file=plain/Dockerfile,line=1,col=6,endColumn=6,title=imgbuild::StageName: a is short\n"
        );
    }

    #[test]
    fn each_error_has_its_place_and_others_the_job() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.yaml"), "one\ntwo\n").unwrap();
        let annotations = Annotations::new(folder.path(), folder.path());
        let both = vec![
            Diagnostic::new("bad two").at(place("a.yaml", "one\ntwo\n", 4..7), "this"),
            Diagnostic::new("bad one").at(place("a.yaml", "one\ntwo\n", 0..3), "").hint("do not"),
        ];
        let both = Diagnostics::collect(both).unwrap();
        assert_eq!(
            annotations.failure(&both),
            "::error file=a.yaml,line=1,col=1,endColumn=3,title=imgbuild::bad one%0Ahint: do not\n\
             ::error file=a.yaml,line=2,col=1,endColumn=3,title=imgbuild::bad two (this)\n"
        );
        let lost = Diagnostic::new("no route");
        assert_eq!(annotations.failure(&lost), "::error title=imgbuild::no route\n");
    }

    #[test]
    fn files_from_elsewhere_are_not_those_of_the_repository() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = folder.path().join("work");
        for repository in ["", "sub/deep/.git", "sub/.git"] {
            fs::create_dir_all(workspace.join(repository)).unwrap();
        }
        for file in ["work/own", "work/sub/deep/own", "outside", "work/marked"] {
            let text = if file == "work/marked" { "\u{feff}text" } else { "text" };
            fs::write(folder.path().join(file), text).unwrap();
        }
        let annotations = Annotations::new(&workspace, workspace.join("sub"));
        for (name, text, path) in [
            ("../own", "text", Some("own")),
            ("../marked", "text", Some("marked")),
            ("deep/own", "text", Some("deep/own")),
            ("deep/own", "fetched", None),
            ("../../outside", "text", None),
            ("none", "text", None),
            ("standard input", "text", None),
        ] {
            assert_eq!(annotations.path(&place(name, text, 0..1)).as_deref(), path, "{name}");
        }
    }

    #[test]
    fn what_others_write_gives_the_runner_no_commands() {
        for (text, harmless) in [
            ("a\n", "a\n"),
            ("#1 0.1 a ##[error]b\n", "#1 0.1 a # #[error]b\n"),
            ("###[a]\n", "## #[a]\n"),
            ("error: a\n ::set-output name=a::b\n::c", "error: a\n : :set-output name=a::b\n: :c"),
            ("a::b::c\n", "a::b::c\n"),
        ] {
            assert_eq!(without_commands(text), harmless);
            let mut out = Vec::new();
            WithoutCommands(&mut out).write_all(text.as_bytes()).unwrap();
            assert_eq!(out, harmless.as_bytes());
        }
    }

    #[test]
    fn a_command_shows_the_last_lines_of_its_output() {
        let detail: Vec<String> =
            (1..=15).map(|number| format!("\u{1b}[31mline {number}\u{1b}[0m")).collect();
        let failed = Diagnostic::new("run make failed").detail(detail.join("\n"));
        let annotations = Annotations::new("/nowhere", "/nowhere");
        let lines: Vec<String> = (6..=15).map(|number| format!("line {number}")).collect();
        let expected = format!("::error title=imgbuild::run make failed%0A{}\n", lines.join("%0A"));
        assert_eq!(annotations.failure(&failed), expected);
    }
}
