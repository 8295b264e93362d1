//! Dockerfiles and the recipes they become, in words.

mod errors;
mod files;
mod robust;
mod run;
mod stages;
mod variables;

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{
    dockerfile::parse_bytes,
    error::Explain as _,
    oci::ImageConfig,
    recipe::{
        Base, BaseConfigs, BaseImage, Copy, CopySource, Destination, ImageSource, Mount, OwnerName, Recipe,
        Request, Step, StepKind,
    },
};

/// A question to the front end.
pub(super) fn request(target: Option<&str>, args: &[(&str, &str)]) -> Request {
    Request {
        platform: "linux/arm64".parse().unwrap(),
        build_platform: "linux/amd64".parse().unwrap(),
        target: target.map(str::to_owned),
        args: args.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        contexts: BTreeMap::new(),
        source_date_epoch: None,
    }
}

/// Configs for all images that a file starts from: a Python of sorts.
fn configs(images: &[BaseImage]) -> BaseConfigs {
    let config = |image: &BaseImage| {
        let mut config = ImageConfig::scratch(image.platform.clone());
        config.config.env = vec!["PATH=/usr/bin".into(), "LANG=C.UTF-8".into()];
        config.config.cmd = Some(vec!["python3".into()]);
        if image.image.to_string().starts_with("trigger") {
            config.config.on_build = vec!["COPY --from=other /x /y".into(), "RUN make".into()];
            config.config.working_dir = Some("/src/".into());
            config.config.user = Some("app".into());
        }
        config
    };
    images.iter().map(|image| (image.clone(), config(image))).collect()
}

pub(super) fn evaluated(text: &str, request: &Request) -> Result<Recipe, String> {
    let file = parse_bytes("Dockerfile", text.as_bytes()).map_err(|errors| errors.to_string())?;
    let shown = |error: crate::source::Diagnostic| {
        error.hints().iter().fold(error.to_string(), |text, hint| format!("{text} | {hint}"))
    };
    let mut known = configs(&super::bases(&file, request, &BaseConfigs::new()).map_err(shown)?);
    loop {
        let bases = super::bases(&file, request, &known).map_err(shown)?;
        if bases.iter().all(|base| known.contains_key(base)) {
            break;
        }
        known.extend(configs(&bases));
    }
    super::recipe(&file, request, &known).map_err(shown)
}

/// The recipe in words.
#[track_caller]
pub(super) fn told(text: &str) -> String {
    told_for(text, &request(None, &[]))
}

#[track_caller]
pub(super) fn told_for(text: &str, request: &Request) -> String {
    describe(&evaluated(text, request).unwrap())
}

fn describe(recipe: &Recipe) -> String {
    let mut text = String::new();
    for (number, stage) in recipe.stages.iter().enumerate() {
        let base = match &stage.base {
            Base::Scratch => "scratch".to_owned(),
            Base::Stage(earlier) => format!("#{earlier}"),
            Base::Image(image) => image.to_string(),
        };
        let _ = writeln!(text, "#{number} {} from {base} for {}", stage.name, stage.platform);
        for step in &stage.steps {
            let _ = writeln!(text, "  {}", step_words(step));
        }
    }
    text
}

fn step_words(step: &Step) -> String {
    let said = if step.created_by.is_empty() { "-" } else { &step.created_by };
    match &step.kind {
        StepKind::Config(changes) => {
            let changes: Vec<String> = changes.iter().map(|change| format!("{change:?}")).collect();
            format!("{said} => {}", changes.join(", "))
        }
        StepKind::Copy(copy) => format!("{said} => {}", copy_words(copy)),
        StepKind::Mkdir(mkdir) => {
            format!("{said} => mkdir /{}{}", mkdir.path, owner_words(mkdir.owner.as_ref()))
        }
        StepKind::Write(write) => {
            format!(
                "{said} => write /{} {:?} {:?}",
                write.path,
                write.mode.unwrap().to_string(),
                write.content
            )
        }
        StepKind::Run(run) => {
            let env: Vec<String> =
                run.env.iter().filter(|(name, _)| name != "PATH").map(|(n, v)| format!("{n}={v}")).collect();
            let mounts: Vec<String> = run.mounts.iter().map(mount_words).collect();
            let mut words = format!("{said} => {:?} in {}", run.argv, run.workdir);
            if !run.user.is_empty() {
                let _ = write!(words, " as {}", run.user);
            }
            let _ = write!(words, " [{}]", env.join(" "));
            for mount in mounts {
                let _ = write!(words, "\n    {mount}");
            }
            if run.network != Default::default() || run.security != Default::default() {
                let _ = write!(words, "\n    {:?} {:?}", run.network, run.security);
            }
            words
        }
        other => format!("{said} => {other:?}"),
    }
}

fn copy_words(copy: &Copy) -> String {
    let to = match &copy.to {
        Destination::Directory(None) => "/".to_owned(),
        Destination::Directory(Some(path)) => format!("/{path}/"),
        Destination::Path(path) => format!("/{path}"),
    };
    let mut words = format!("{} {:?} -> {to}", source_words(&copy.from), copy.sources);
    words.push_str(&owner_words(copy.owner.as_ref()));
    if let Some(mode) = &copy.modes.files {
        let _ = write!(words, " mode {:o}", mode.apply(0o644, false));
    }
    if !copy.exclude.is_empty() {
        let _ = write!(words, " without {:?}", copy.exclude);
    }
    let _ = write!(words, " {:?} {:?}", copy.timestamps, copy.archives);
    for (flag, name) in [(copy.independent, "independent"), (copy.parents, "parents")] {
        if flag {
            let _ = write!(words, " {name}");
        }
    }
    words
}

fn source_words(from: &CopySource) -> String {
    match from {
        CopySource::Context(name) => format!("context {name:?}"),
        CopySource::Stage(stage) => format!("#{stage}"),
        CopySource::Image(image) => format!("image {image}"),
        CopySource::Url(url) => format!("url {} {:?}", url.url, url.checksum.map(|d| d.short())),
        CopySource::Git(git) => format!(
            "git {} {:?} {:?} {} {:?}",
            git.remote, git.reference, git.subdirectory, git.keep_git_dir, git.checksum
        ),
    }
}

fn owner_words(owner: Option<&crate::recipe::Owner>) -> String {
    let name = |name: &OwnerName| match name {
        OwnerName::Id(id) => id.to_string(),
        OwnerName::Name(name) => name.clone(),
    };
    match owner {
        None => String::new(),
        Some(owner) => {
            let group = owner.group.as_ref().map(|group| format!(":{}", name(group))).unwrap_or_default();
            format!(" owner {}{group}", name(&owner.user))
        }
    }
}

fn mount_words(mount: &Mount) -> String {
    match mount {
        Mount::Bind(bind) => format!(
            "bind {} <- {} {:?}{}",
            bind.target,
            source_words(&bind.from),
            bind.source,
            if bind.writable { " rw" } else { "" }
        ),
        Mount::Cache(cache) => {
            let from = cache.from.as_ref().map(|(from, path)| format!(" <- {} {path:?}", source_words(from)));
            let mode = cache.mode.map(|mode| mode.to_string());
            format!(
                "cache {} {:?} {:?} {mode:?} {}:{} ro={}{}",
                cache.target,
                cache.id,
                cache.sharing,
                cache.uid,
                cache.gid,
                cache.read_only,
                from.unwrap_or_default()
            )
        }
        other => format!("{other:?}"),
    }
}

pub(super) fn image(name: &str) -> ImageSource {
    ImageSource::Reference(name.parse().unwrap())
}
