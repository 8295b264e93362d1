//! What tags are made for.

use jiff::Timestamp;

/// What happened: a commit was pushed to a branch, a git tag was made, a pull request was opened, a time has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// What it is called: `push`, `pull_request`, `schedule`, ….
    pub name: String,
    /// The full reference: `refs/heads/main`, `refs/tags/v1.2.3`, `refs/pull/7/merge`.
    pub reference: Option<String>,
    /// The commit, in hexadecimal.
    pub sha: Option<String>,
    /// The branch that a pull request goes to or, where it is known, that a git tag is on.
    pub base_ref: Option<String>,
    /// The default branch of the repository.
    pub default_branch: Option<String>,
    /// All git tags that are known, without `refs/tags/`.
    pub git_tags: Vec<String>,
    /// How many digits a short commit has: 7 where it is not said.
    pub short_sha: Option<usize>,
    /// The present.
    pub now: Timestamp,
    /// When the commit was made.
    pub committed: Option<Timestamp>,
    /// What the image is to say that it was made at.
    pub created: Option<Timestamp>,
    /// The project that the image is of.
    pub project: Project,
}

/// A project, as its host describes it. What is `None` is not known; what is empty is known to be nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Project {
    /// Its name alone.
    pub title: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// Its page, which is where its source is, too.
    pub url: Option<String>,
    /// The SPDX identifier of its license.
    pub licenses: Option<String>,
}

impl Event {
    /// The branch, if it is one.
    pub fn branch(&self) -> Option<&str> {
        self.reference.as_deref()?.strip_prefix("refs/heads/")
    }

    /// The git tag, if it is one.
    pub fn tag(&self) -> Option<&str> {
        self.reference.as_deref()?.strip_prefix("refs/tags/")
    }

    /// The number of the pull request, if it is one.
    pub fn pull(&self) -> Option<&str> {
        let pull = self.reference.as_deref()?.strip_prefix("refs/pull/")?;
        Some(pull.strip_suffix("/merge").unwrap_or(pull))
    }

    /// Whether a time has come.
    pub fn is_schedule(&self) -> bool {
        self.name.contains("schedule")
    }

    /// Whether it is about the default branch.
    pub fn is_default_branch(&self) -> bool {
        let Some(reference) = self.reference.as_deref().filter(|reference| !reference.is_empty()) else {
            return false;
        };
        let branch = reference.strip_prefix("refs/heads/").unwrap_or(reference);
        // GitHub starts workflows for these on the last commit of the default branch alone.
        let implied = ["create", "discussion", "issues", "schedule"];
        self.default_branch.as_deref() == Some(branch) || implied.iter().any(|name| self.name.contains(name))
    }

    /// The commit in short, as `{{sha}}` gives it.
    pub fn short_sha(&self) -> Option<&str> {
        let sha = self.sha.as_deref()?;
        Some(sha.get(..self.short_sha.unwrap_or(7)).unwrap_or(sha))
    }

    /// The event as one of a part of the repository sees it, whose git tags have a prefix: `api/v1.2.3` is the tag
    /// `v1.2.3` of the part `api/`, and other parts' tags are none.
    #[must_use]
    pub fn of_part(mut self, prefix: &str) -> Self {
        if prefix.is_empty() {
            return self;
        }
        self.git_tags =
            self.git_tags.iter().filter_map(|tag| tag.strip_prefix(prefix)).map(str::to_owned).collect();
        if let Some(tag) = self.tag() {
            self.reference = tag.strip_prefix(prefix).map(|tag| format!("refs/tags/{tag}"));
        }
        self
    }

    /// The event as if a git tag of this version had been made.
    #[must_use]
    pub fn of_version(self, version: &str) -> Self {
        Self { name: "push".to_owned(), reference: Some(format!("refs/tags/{version}")), ..self }
    }
}
