//! Names by rules: those of flags and of specs.

use std::path::PathBuf;

use clap::Args;

use super::{
    Environment, MainContext, SettingsError, env, tag_event,
    tags::{parse_tag, repositories, resolve_tags},
};
use crate::{
    error::Explain,
    oci::{Reference, Repository},
    recipe::{ContextSource, Defaults},
    tags::{self, Flavor, Movement, Note, Planned, PlannedTag, Rule, TagPlan, TagsError},
};

/// Rules that name an image that is built.
#[derive(Debug, Clone, Default, Args)]
pub struct TagRuleFlags {
    /// Name the image by a rule, in place of the spec's tags: semver, pep440, branch, pr, sha, or a line such as
    /// type=semver,pattern={{version}}. A -t without a tag then says for which repository
    #[arg(long, value_name = "RULE")]
    pub tag_rule: Vec<String>,
    /// What rules go by.
    #[command(flatten)]
    pub naming: NamingFlags,
}

/// What rules go by.
#[derive(Debug, Clone, Default, Args)]
pub struct NamingFlags {
    /// What holds for all rules: latest=auto|true|false, prefix=TEXT, suffix=TEXT[,onlatest=true]
    #[arg(long, value_name = "FLAVOR")]
    pub flavor: Vec<String>,
    /// The version, in place of that of the git tag
    #[arg(long, value_name = "VERSION")]
    pub version: Option<String>,
    /// What git tags of this image begin with, as in api/ for api/v1.2.3
    #[arg(long, value_name = "PREFIX")]
    pub tag_prefix: Option<String>,
}

impl From<TagsError> for SettingsError {
    fn from(error: TagsError) -> Self {
        let told = Self::new(error.to_string());
        error.hints().into_iter().fold(told, Self::hint)
    }
}

/// How images are named by rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tagging {
    rules: Vec<Rule>,
    flavor: Flavor,
    version: Option<String>,
    prefix: String,
    /// Whether there are rules even if the spec has none.
    asked: bool,
    /// Whether tags need no name to go with.
    nameless: bool,
    /// Where images go in place of the spec's name and registries.
    repositories: Vec<Repository>,
    /// The directory that is asked for git's tags, branch and commit.
    directory: Option<PathBuf>,
    environment: Environment,
}

/// The names of an image, and how they came about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResolvedNames {
    /// All full names: each tag of the plan in each repository, and names that were given as they are.
    pub names: Vec<Reference>,
    /// What rules gave, for each of the repositories; `None` without rules.
    pub plan: Option<TagPlan>,
    /// The repositories that the plan is for.
    pub repositories: Vec<Repository>,
    /// For each tag of the plan the rule that gave it.
    pub reasons: Vec<String>,
    /// What is to be said of rules.
    pub notes: Vec<Note>,
    /// What annotations of the plan are put on.
    pub levels: Levels,
}

impl ResolvedNames {
    /// When a name may be given to another image: as its tag's plan says. Names that no rule gave may be at any time.
    pub fn movement(&self, name: &Reference) -> &Movement {
        let tags = self.plan.iter().flat_map(|plan| &plan.tags);
        let mut of_rules = tags.filter(|_| self.repositories.contains(&name.repository));
        let planned = of_rules.find(|tag| name.tag.as_deref() == Some(tag.tag.as_str()));
        planned.map_or(&Movement::Free, |tag| &tag.movement)
    }

    /// What looks wrong with rules and, if there is no tag at all, why there is none; each once.
    pub fn warnings(&self) -> Vec<String> {
        let nothing = self.names.is_empty() && self.plan.as_ref().is_some_and(|plan| plan.tags.is_empty());
        let mut told: Vec<&Note> = Vec::new();
        for note in self.notes.iter().filter(|note| note.warning || nothing) {
            // A word stands for several rules, which mostly fail for the same reason.
            if !told.iter().any(|earlier| earlier.text == note.text) {
                told.push(note);
            }
        }
        let told = told.into_iter().map(|note| format!("tag rule `{}`: {}", note.rule, note.text));
        told.chain(nothing.then(|| "no rule gives a tag".to_owned())).collect()
    }
}

/// The documents that annotations of a plan are put on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// Each manifest.
    pub manifest: bool,
    /// The index.
    pub index: bool,
}

impl Default for Levels {
    fn default() -> Self {
        Self { manifest: true, index: false }
    }
}

impl Tagging {
    /// Resolves the flags. `directory` is the context, if it is one of this machine.
    pub fn resolve(
        rules: &[String],
        naming: &NamingFlags,
        directory: Option<PathBuf>,
        environment: &Environment,
    ) -> Result<Self, SettingsError> {
        let prefix = naming.tag_prefix.clone().unwrap_or_default();
        let version = naming.version.as_deref().map(str::trim);
        if version == Some("") {
            return Err(SettingsError::new("--version is empty").hint("write it as in --version 1.4.2"));
        }
        let bare = version.map(|version| version.strip_prefix(prefix.as_str()).unwrap_or(version).to_owned());
        let rules = rules.iter().map(|text| Rule::parse_all(text)).collect::<Result<Vec<_>, _>>()?.concat();
        Ok(Self {
            asked: !rules.is_empty()
                || !naming.flavor.is_empty()
                || naming.version.is_some()
                || naming.tag_prefix.is_some(),
            rules,
            flavor: Flavor::parse(&naming.flavor.join("\n"))?,
            version: bare,
            prefix,
            nameless: false,
            repositories: Vec::new(),
            directory,
            environment: environment.clone(),
        })
    }

    /// Resolves the flags of a build. Only a context of this machine has a git of its own.
    pub(super) fn of_build(
        flags: &TagRuleFlags,
        context: &MainContext,
        environment: &Environment,
    ) -> Result<Self, SettingsError> {
        let directory = match context {
            MainContext::Source(ContextSource::Directory(path)) => Some(path.clone()),
            _ => None,
        };
        Self::resolve(&flags.tag_rule, &flags.naming, directory, environment)
    }

    /// The same to plan with: for these repositories, where there are any, else for the spec's, else for none. With
    /// `rules`, there are always rules.
    pub(super) fn planning(self, repositories: Vec<Repository>, rules: bool) -> Self {
        let asked = self.asked || rules || !repositories.is_empty();
        Self { asked, nameless: true, repositories, ..self }
    }

    /// Reads names from flags. Where there are rules, one without a tag is a repository for them.
    pub(super) fn names_of_flags(&mut self, texts: &[&str]) -> Result<Vec<Reference>, SettingsError> {
        let mut names = Vec::new();
        for text in texts {
            let untagged =
                text.parse::<Reference>().ok().filter(|name| name.tag.is_none() && name.digest.is_none());
            match untagged.filter(|_| self.asked) {
                Some(name) => self.repositories.push(name.repository),
                None => names.push(parse_tag(text)?),
            }
        }
        Ok(names)
    }

    /// The names of an image: `given` is what flags name it. Without rules they are those of [`resolve_tags`].
    ///
    /// # Errors
    /// A rule of the spec is wrong, the CI's description of the event is, or tags have no name to go with.
    pub fn names(&self, given: &[Reference], defaults: &Defaults) -> Result<ResolvedNames, SettingsError> {
        let entries = Entries::read(&defaults.tags)?;
        if !self.asked && (!given.is_empty() || entries.rules.is_empty()) {
            return Ok(ResolvedNames { names: resolve_tags(given, defaults)?, ..ResolvedNames::default() });
        }
        let entries = if self.rules.is_empty() {
            entries
        } else {
            Entries { rules: self.rules.clone(), ..Entries::default() }
        };
        let planned = self.planned(&entries)?;
        let repositories = match &self.repositories[..] {
            [] => repositories(defaults)?,
            repositories => repositories.to_vec(),
        };
        if !self.nameless
            && repositories.is_empty()
            && given.is_empty()
            && let Some(tag) = planned.plan.tags.first()
        {
            return Err(SettingsError::new(format!("the tag {tag} has no name to go with"))
                .hint("name the repository, as in -t ghcr.io/me/app, or give the spec a `name`"));
        }
        let mut names: Vec<Reference> = Vec::new();
        let of_plan = repositories
            .iter()
            .flat_map(|repository| planned.plan.tags.iter().map(|tag| repository.tagged(&tag.tag)));
        let given = if given.is_empty() { &entries.references } else { given };
        for name in of_plan.chain(given.iter().cloned()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let Planned { plan, reasons, notes } = planned;
        Ok(ResolvedNames { names, plan: Some(plan), repositories, reasons, notes, levels: self.levels()? })
    }

    fn planned(&self, entries: &Entries) -> Result<Planned, SettingsError> {
        let of_version = self.version.is_some() || !self.prefix.is_empty();
        let rules = match () {
            () if !entries.rules.is_empty() => entries.rules.clone(),
            () if of_version => Rule::parse_all("semver")?,
            () if entries.is_empty() => Rule::defaults(),
            () => Vec::new(),
        };
        let event = tag_event::read(&self.environment, self.directory.as_deref(), &self.prefix)?;
        let event = event.of_part(&self.prefix);
        let event = match &self.version {
            Some(version) => event.of_version(version),
            None => event,
        };
        let mut planned = tags::plan(&rules, &self.flavor, &event)?;
        for tag in &entries.tags {
            planned.add(PlannedTag { tag: tag.clone(), movement: Movement::Free }, "as it is");
        }
        Ok(planned)
    }

    /// As metadata-action has it: on manifests, if its variable says nothing else. Levels within an index are one here.
    fn levels(&self) -> Result<Levels, SettingsError> {
        let name = env::DOCKER_METADATA_ANNOTATIONS_LEVELS;
        let Some(text) = self.environment.text(name) else { return Ok(Levels::default()) };
        let mut levels = Levels { manifest: false, index: false };
        for level in text.split(',').map(str::trim) {
            match level {
                "manifest" | "manifest-descriptor" => levels.manifest = true,
                "index" | "index-descriptor" => levels.index = true,
                _ => {
                    return Err(SettingsError::new(format!(
                        "{name}: {level:?} is neither `manifest` nor `index`"
                    ))
                    .did_you_mean(level, ["manifest", "index"]));
                }
            }
        }
        Ok(levels)
    }
}

/// A spec's list of tags.
#[derive(Default)]
struct Entries {
    rules: Vec<Rule>,
    tags: Vec<String>,
    references: Vec<Reference>,
}

impl Entries {
    fn read(texts: &[String]) -> Result<Self, SettingsError> {
        let mut entries = Self::default();
        for text in texts {
            if Rule::is_rule(text) {
                entries.rules.extend(Rule::parse_all(text)?);
            } else if text.contains([':', '/', '@']) {
                entries.references.push(parse_tag(text)?);
            } else {
                entries.tags.push(text.clone());
            }
        }
        Ok(entries)
    }

    fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.tags.is_empty() && self.references.is_empty()
    }
}
