//! What a build tells the service that runs it.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{Environment, env};

/// Flags for what a build tells the service that runs it.
#[derive(Debug, Clone, Default, Args)]
pub struct CiFlags {
    /// Append what was built, or why not, to this file in Markdown [default: in GitHub Actions, the job's summary]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub summary: Option<PathBuf>,
    /// Append digests, names and what tag rules found to this file as outputs of a step of GitHub Actions, as in
    /// --step-output "$GITHUB_OUTPUT"
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub step_output: Option<PathBuf>,
}

impl CiFlags {
    /// The file that a summary is appended to, if any is wanted.
    pub fn summary(&self, environment: &Environment) -> Option<PathBuf> {
        let given = self.summary.clone();
        let summary = given.or_else(|| {
            in_actions(environment)
                .then(|| environment.get(env::GITHUB_STEP_SUMMARY))
                .flatten()
                .map(PathBuf::from)
        });
        summary.map(|path| environment.current_dir().join(path))
    }
}

/// The directory that GitHub Actions checks repositories out to, where the program runs there: then errors and warnings
/// are shown on the lines that they are about.
pub fn actions_workspace(environment: &Environment) -> Option<PathBuf> {
    let workspace = environment.get(env::GITHUB_WORKSPACE).map(PathBuf::from);
    in_actions(environment).then(|| workspace.unwrap_or_else(|| environment.current_dir().to_owned()))
}

fn in_actions(environment: &Environment) -> bool {
    environment.text(env::GITHUB_ACTIONS) == Some("true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_github_actions_is_told_unasked() {
        let flags =
            |summary: Option<&str>| CiFlags { summary: summary.map(PathBuf::from), step_output: None };
        let summary = (env::GITHUB_STEP_SUMMARY, "/job.md");
        for (flag, vars, expected) in [
            (None, vec![], None),
            (None, vec![summary], None),
            (None, vec![(env::GITHUB_ACTIONS, "true")], None),
            (None, vec![summary, (env::GITHUB_ACTIONS, "true")], Some("/job.md")),
            (None, vec![summary, (env::GITHUB_ACTIONS, "false")], None),
            (Some("own.md"), vec![summary, (env::GITHUB_ACTIONS, "true")], Some("/here/own.md")),
            (Some("own.md"), vec![], Some("/here/own.md")),
        ] {
            let environment = Environment::of("/here", vars.clone());
            assert_eq!(flags(flag).summary(&environment), expected.map(PathBuf::from), "{flag:?} {vars:?}");
        }
    }

    #[test]
    fn files_are_below_the_workspace() {
        for (vars, expected) in [
            (vec![], None),
            (vec![(env::GITHUB_WORKSPACE, "/work")], None),
            (vec![(env::GITHUB_WORKSPACE, "/work"), (env::GITHUB_ACTIONS, "true")], Some("/work")),
            (vec![(env::GITHUB_ACTIONS, "true")], Some("/here")),
        ] {
            let environment = Environment::of("/here", vars.clone());
            assert_eq!(actions_workspace(&environment), expected.map(PathBuf::from), "{vars:?}");
        }
    }
}
