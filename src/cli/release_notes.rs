//! `imgbuild release notes`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::{
    ExitStatus,
    printer::Printer,
    publishing::{Said, Source, Work},
    release_notes_text::markdown,
};
use crate::{
    error::Failure,
    oci::{Digest, Reference, Repository},
    recipe::ImageSource,
    release::{
        Publisher, ReleaseError, Terms,
        notes::{Notes, Side, attach, compare, previous},
    },
    settings::{Commits, Environment, GlobalSettings, RegistryFlags, SettingsError, parse_target},
};

const EXAMPLES: &str = "\
The release before is the highest lower version among the repository's tags. Commits are those \
of the git repository that the current directory is in.

Examples:
  imgbuild release notes ghcr.io/me/app:1.4.2 > notes.md
  imgbuild release notes ghcr.io/me/app:1.4.2 --from ghcr.io/me/app:1.2.0
  imgbuild release notes ghcr.io/me/app:1.4.2 --attach";

/// Tell what has changed since the release before: commits, base, packages, sizes
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct NotesArgs {
    /// The image, in a registry; or oci:PATH[:NAME]
    #[arg(value_name = "REF")]
    image: String,
    /// The image of the release before [default: the highest lower version]
    #[arg(long, value_name = "REF")]
    from: Option<String>,
    /// Attach the notes to the image in its registry, too
    #[arg(long)]
    attach: bool,
    /// Print JSON instead of Markdown
    #[arg(long)]
    json: bool,
    #[command(flatten, next_help_heading = "Registries")]
    registry: RegistryFlags,
}

/// What `--json` prints. New fields may come; none changes its meaning.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    /// The image.
    pub(super) image: Named,
    /// The image of the release before; `null`: it is the first.
    pub(super) from: Option<Named>,
    /// `null`: the current directory is in no git repository, or in one that does not have both.
    pub(super) commits: Option<Commits>,
    #[serde(flatten)]
    pub(super) notes: Notes,
}

/// An image.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Named {
    /// Its reference.
    pub(super) name: String,
    /// Its version, as its tag or its label has it.
    pub(super) version: Option<String>,
    /// The digest of its manifest or index.
    pub(super) digest: Digest,
}

pub(super) async fn run(
    args: NotesArgs,
    global: GlobalSettings,
    environment: Environment,
) -> Result<ExitStatus, Failure> {
    let asked = Asked::read(&args, &environment)?;
    let work = Work::begin(global, &args.registry, Terms::default(), environment)?;
    let (text, ended) = match told(&work, &args, &asked).await {
        Ok((text, said)) => (text, Ok(said)),
        Err(failure) => (String::new(), Err(failure)),
    };
    let status = work.end(ended)?;
    Printer::stdout(&text)?;
    Ok(status)
}

/// What was asked for, read.
struct Asked {
    /// The image's reference, where it is in a registry.
    reference: Option<Reference>,
    directory: PathBuf,
}

impl Asked {
    fn read(args: &NotesArgs, environment: &Environment) -> Result<Self, SettingsError> {
        let reference = match parse_target(&args.image, environment)? {
            ImageSource::Reference(reference) => Some(reference),
            ImageSource::Layout { .. } => None,
        };
        if args.attach && reference.is_none() {
            return Err(SettingsError::new("--attach needs an image in a registry"));
        }
        Ok(Self { reference, directory: environment.current_dir().to_owned() })
    }
}

async fn told(work: &Work, args: &NotesArgs, asked: &Asked) -> Result<(String, Said), Failure> {
    let Publisher { store, registry, .. } = &work.publisher;
    let source = work.remote(&args.image).await?;
    let subject = source.contents.root.clone();
    let new = side(work, source, asked.reference.as_ref()).await?;
    let old = match &args.from {
        Some(from) => Some(other(work, from).await?),
        None => match before(work, &new, asked.reference.as_ref()).await? {
            Some(reference) => Some(other(work, &reference.to_string()).await?),
            None => None,
        },
    };
    let notes = compare(store, registry, &new, old.as_ref()).await?;
    let commits = old.as_ref().and_then(|old| commits(&asked.directory, old, &new));
    let mut said = Said::default();
    if old.is_some() && commits.is_none() {
        said.lines.push(
            "no commits are told: the current directory has no git repository with those of both".into(),
        );
    }
    let document = Document { image: named(&new), from: old.as_ref().map(named), commits, notes };
    let markdown = markdown(&document);
    if let (true, Some(reference)) = (args.attach, &asked.reference) {
        let repository: &Repository = &reference.repository;
        let digest = attach(store, registry, repository, &subject, &markdown).await?;
        said.lines.push(format!("attached the notes to {}: {digest}", new.name));
    }
    let text = match args.json {
        // Maps have string keys, and no value refuses.
        true => serde_json::to_string_pretty(&document).expect("notes serialise") + "\n",
        false => markdown,
    };
    Ok((text, said))
}

/// The image of the release before, by the repository's tags.
async fn before(
    work: &Work,
    new: &Side,
    reference: Option<&Reference>,
) -> Result<Option<Reference>, Failure> {
    let unknown = || ReleaseError::NoVersion(new.name.clone());
    let reference = reference.ok_or_else(unknown)?;
    let version = new.version.as_deref().ok_or_else(unknown)?;
    let tags = work.publisher.registry.tags(&reference.repository).await?;
    Ok(previous(version, tags.iter().map(String::as_str)).map(|tag| reference.repository.tagged(tag)))
}

async fn other(work: &Work, text: &str) -> Result<Side, Failure> {
    let source = work.remote(text).await?;
    let reference = source.repository().and_then(|_| text.parse().ok());
    side(work, source, reference.as_ref()).await
}

async fn side(work: &Work, source: Source, reference: Option<&Reference>) -> Result<Side, Failure> {
    let Publisher { store, registry, .. } = &work.publisher;
    let Source { name, origin, contents } = source;
    let tag = reference.filter(|reference| reference.digest.is_none()).and_then(Reference::tag_or_latest);
    Side::read(store, registry, (name, tag), origin, &contents).await
}

fn commits(directory: &Path, old: &Side, new: &Side) -> Option<Commits> {
    let [from, to] = [old.revision(), new.revision()];
    let version = |side: &Side| side.version.clone();
    Commits::between(
        directory,
        (from.as_deref(), version(old).as_deref()),
        (to.as_deref(), version(new).as_deref()),
    )
}

fn named(side: &Side) -> Named {
    Named { name: side.name.clone(), version: side.version.clone(), digest: side.digest() }
}
