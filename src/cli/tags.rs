//! `imgbuild tags`.

use std::{collections::BTreeMap, path::PathBuf};

use clap::{Args, ValueHint};

use super::{
    ExitStatus,
    build::{bytes_of, name_of},
    engine::client,
    printer::Printer,
    tags_text::{explained, json_of},
};
use crate::{
    error::{Explain, Failure, Kind},
    event::Sink,
    oci::{Reference, Repository},
    recipe::{Defaults, Frontend},
    settings::{
        BuildFile, Environment, GlobalSettings, RegistryFlags, RegistrySettings, ResolvedNames, TagsFlags,
        TagsSettings,
    },
    solve,
    spec::Spec,
    tags::Movement,
};

const EXAMPLES: &str = "\
Prints the names that a build gives its image here and now, by the git tag, the branch, the pull \
request or the schedule that the CI tells of, else by what is checked out. Rules are those of \
docker/metadata-action. `1`, `1.4` and `latest` are left out where git has a tag of a higher version \
of their line.

Examples:
  imgbuild tags
  imgbuild tags --image ghcr.io/me/app --rule semver --rule sha
  imgbuild tags --image me/app --rule 'type=semver,pattern={{major}}.{{minor}}'
  imgbuild tags --version 1.4.2 --explain
  imgbuild tags --check           look at the registries' tags, too
  imgbuild tags --json";

/// Print the tags that rules give
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct TagsArgs {
    /// The directory of the spec, in a working copy of git
    #[arg(value_name = "CONTEXT", default_value = ".", hide_default_value = true, value_hint = ValueHint::DirPath)]
    context: PathBuf,
    #[command(flatten)]
    flags: TagsFlags,
    /// Ask the registries which tags are there
    #[arg(long)]
    check: bool,
    /// Say which rule gives each tag, and when it moves
    #[arg(long)]
    explain: bool,
    /// Print JSON: tags, labels and annotations as metadata-action has them, and when tags move
    #[arg(long)]
    json: bool,
    #[command(flatten, next_help_heading = "Registries")]
    registry: RegistryFlags,
}

/// What would be named, and what is in the way.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) resolved: ResolvedNames,
    /// The tags of each repository, if the registries were asked.
    pub(super) known: BTreeMap<Repository, Vec<String>>,
}

pub(super) async fn run(
    args: TagsArgs,
    global: GlobalSettings,
    environment: Environment,
) -> Result<ExitStatus, Failure> {
    let settings = TagsSettings::resolve(&args.context, &args.flags, &environment)?;
    let mut plans = Vec::new();
    for defaults in specs(&settings)? {
        let resolved = settings.names(defaults.as_ref())?;
        plans.push(Plan { resolved, known: BTreeMap::new() });
    }
    if args.check {
        let registry = RegistrySettings::resolve(&args.registry, &global.config, &environment)?;
        let client = client(&registry, &Sink::silent())?;
        for plan in &mut plans {
            for repository in &plan.resolved.repositories {
                let tags = match client.tags(repository).await {
                    // It comes to be with the first push.
                    Err(error) if error.kind() == Kind::NotFound => Vec::new(),
                    tags => tags?,
                };
                plan.known.insert(repository.clone(), tags);
            }
        }
    }
    Printer::stdout(&match args.json {
        true => json_of(&plans),
        false => plans.iter().flat_map(Plan::names).map(|name| format!("{name}\n")).collect(),
    })?;
    for plan in &plans {
        Printer::stderr(&match args.explain {
            true => explained(plan),
            false => plan.warnings(),
        });
    }
    Ok(ExitStatus::Success)
}

/// What each spec says of its image; one without a spec if there is none.
fn specs(settings: &TagsSettings) -> Result<Vec<Option<Defaults>>, Failure> {
    let mut specs = Vec::new();
    for file in &settings.files {
        if let BuildFile::Spec(_) = file {
            let spec = Spec::from_bytes(&name_of(file), &bytes_of(file)?)?;
            specs.push(Some(spec.defaults(&settings.args)?));
        }
    }
    if specs.is_empty() {
        specs.push(None);
    }
    Ok(specs)
}

/// What keeps a tag from being moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    /// The higher version of the tag's line.
    pub(super) by: semver::Version,
    /// Who has it: `git`, or a repository.
    pub(super) known_by: String,
}

impl Plan {
    /// The names that may be given, and the tags alone where there is no repository.
    pub(super) fn names(&self) -> Vec<String> {
        let Some(plan) = &self.resolved.plan else {
            return self.resolved.names.iter().map(Reference::familiar).collect();
        };
        if self.resolved.names.is_empty() {
            let free = plan.tags.iter().filter(|tag| self.held(None, &tag.movement).is_none());
            return free.map(|tag| tag.tag.clone()).collect();
        }
        let may_be_given =
            |name: &&Reference| self.held(Some(&name.repository), self.resolved.movement(name)).is_none();
        self.resolved.names.iter().filter(may_be_given).map(Reference::familiar).collect()
    }

    /// What keeps a tag of a repository from being moved.
    pub(super) fn held(&self, repository: Option<&Repository>, movement: &Movement) -> Option<Held> {
        let Movement::Line(line) = movement else { return None };
        let known = repository.and_then(|repository| self.known.get(repository)).into_iter().flatten();
        let by = line.outranked_by(known.map(String::as_str))?;
        let known_by = match repository {
            Some(repository) if line.in_git.as_ref() != Some(&by) => repository.to_string(),
            _ => "git".to_owned(),
        };
        Some(Held { by, known_by })
    }

    fn warnings(&self) -> String {
        let mut text = String::new();
        for told in self.resolved.warnings() {
            text.push_str(&format!("warning: {told}\n"));
        }
        for (tag, held) in self.all_held() {
            text.push_str(&format!("{tag} stays where it is: {} has {}\n", held.known_by, held.by));
        }
        text
    }

    /// The tags that are held back, each once for everyone who knows a higher version.
    fn all_held(&self) -> Vec<(String, Held)> {
        let mut all = Vec::new();
        let repositories: Vec<_> = match &self.resolved.repositories[..] {
            [] => vec![None],
            repositories => repositories.iter().map(Some).collect(),
        };
        for tag in self.resolved.plan.iter().flat_map(|plan| &plan.tags) {
            for repository in &repositories {
                let held = self.held(*repository, &tag.movement).map(|held| (tag.tag.clone(), held));
                all.extend(held.filter(|held| !all.contains(held)));
            }
        }
        all
    }
}

/// Tells what looks wrong with rules, and why they give nothing if they do.
pub(super) fn tell(resolved: &ResolvedNames, sink: &Sink) {
    resolved.warnings().into_iter().for_each(|told| sink.warn(told));
}

/// The options with the labels and annotations of the plan; those that are there go before them.
pub(super) fn described(resolved: &ResolvedNames, options: solve::Options) -> solve::Options {
    let Some(plan) = &resolved.plan else { return options };
    let mut labels = plan.labels.clone();
    labels.extend(options.labels);
    let with = |is_on: bool, own| {
        let mut all = if is_on { plan.annotations.clone() } else { Default::default() };
        all.extend(own);
        all
    };
    solve::Options {
        labels,
        annotations: with(resolved.levels.manifest, options.annotations),
        index_annotations: with(resolved.levels.index, options.index_annotations),
        ..options
    }
}
