//! Stages as the checks see them, and what is wrong with `FROM`.

use std::{
    cell::Cell,
    collections::{HashMap, HashSet},
};

use super::{Checker, Surroundings, rule};
use crate::{
    dockerfile::{
        evaluate::variables::{Scope, automatic, globals, room},
        evaluate::{Evaluator, plan::Plan},
        syntax::{self, Word},
        word::{self, Expanded, MOST_WORK},
    },
    oci::{Config, Platform, Reference},
    recipe::{BaseConfigs, BaseImage, ImageSource},
};

/// A stage as the checks see it.
#[derive(Debug)]
pub(super) struct StageInfo<'a> {
    /// The stage of the file that it starts from.
    pub(super) parent: Option<usize>,
    /// The image that it starts from, as written with its variables replaced.
    pub(super) image: Option<String>,
    /// The config of that image, if it is known.
    pub(super) config: Option<&'a Config>,
    /// Whether the target needs it.
    pub(super) needed: bool,
}

/// The stages of a file, and the target's place among them.
pub(super) fn stages<'a>(
    file: &'a syntax::Dockerfile,
    around: &Surroundings<'a>,
    globals: &Scope,
    room: &Cell<usize>,
) -> (Vec<StageInfo<'a>>, usize) {
    let mut names: HashMap<String, usize> = HashMap::new();
    let mut stages = Vec::new();
    for (index, stage) in file.stages.iter().enumerate() {
        let from = &stage.from.node;
        let image = value(file, &from.image, globals, room);
        let parent = image.as_ref().and_then(|image| names.get(&image.to_lowercase()).copied());
        let image = image.filter(|image| parent.is_none() && image != "scratch" && !image.is_empty());
        let config = image.as_ref().and_then(|image| {
            let platform = from.platform.as_ref().and_then(|word| value(file, word, globals, room));
            let platform = platform.and_then(|text| text.parse::<Platform>().ok());
            config_of(around, image, platform.as_ref())
        });
        stages.push(StageInfo { parent, image, config, needed: false });
        if let Some(name) = &from.name {
            names.insert(name.text.to_lowercase(), index);
        }
    }
    let last = stages.len().saturating_sub(1);
    let target = around.request.target.as_ref().and_then(|target| {
        let number = target.strip_prefix("stage-").unwrap_or(target).parse::<usize>().ok();
        names.get(&target.to_lowercase()).copied().or(number.filter(|number| *number <= last))
    });
    let own = self::room();
    let evaluator = Evaluator { file, request: around.request, room: &own };
    let nothing = BaseConfigs::new();
    match Plan::new(evaluator, globals, around.configs.unwrap_or(&nothing)) {
        Ok(plan) => plan.needed().for_each(|planned| stages[planned.index].needed = true),
        // The build itself tells what is wrong.
        Err(_) => stages.iter_mut().for_each(|stage| stage.needed = true),
    }
    (stages, target.unwrap_or(last))
}

fn config_of<'a>(around: &Surroundings<'a>, image: &str, platform: Option<&Platform>) -> Option<&'a Config> {
    let reference: Reference = image.parse().ok()?;
    let platform = platform.unwrap_or(&around.request.platform).clone();
    let wanted = BaseImage { image: ImageSource::Reference(reference), platform };
    around.configs?.get(&wanted).map(|config| &config.config)
}

fn value(file: &syntax::Dockerfile, word: &Word, scope: &Scope, room: &Cell<usize>) -> Option<String> {
    expanded(file, word, scope, room).map(|expanded| expanded.text)
}

/// A word of `FROM`, if it can be expanded, and as long as there is room for what such words take.
fn expanded(
    file: &syntax::Dockerfile,
    word: &Word,
    scope: &Scope,
    room: &Cell<usize>,
) -> Option<Expanded<String>> {
    /// What cannot be expanded may have taken much, too.
    const FAILED: usize = MOST_WORK / 32;
    if room.get() == 0 {
        return None;
    }
    let expanded = word::expand(&word.text, scope, file.directives.escape).ok();
    let work = expanded.as_ref().map_or(FAILED, |expanded| expanded.work);
    room.set(room.get().saturating_sub(work));
    expanded
}

impl Checker<'_> {
    /// The rules for `FROM`.
    pub(super) fn froms(&mut self) {
        self.names();
        let declared: HashSet<&str> = self
            .file
            .args
            .iter()
            .flat_map(|statement| &statement.node.args)
            .map(|arg| arg.name.text.as_str())
            .chain(self.globals.pairs().iter().map(|(name, _)| name.as_str()))
            .collect();
        let declared: HashSet<String> = declared.into_iter().map(str::to_owned).collect();
        let defaults = self.defaults();
        for index in 0..self.file.stages.len() {
            let from = &self.file.stages[index].from.node;
            for word in [Some(&from.image), from.platform.as_ref()].into_iter().flatten() {
                self.undefined(word, &declared);
            }
            if let Some(word) = &from.platform {
                self.platform(word, from.name.as_ref());
            }
            let image =
                defaults.as_ref().and_then(|defaults| value(self.file, &from.image, defaults, &self.room));
            if let Some(image) = image
                && image != "scratch"
                && image.to_lowercase().parse::<Reference>().is_err()
            {
                let message = format!("without --build-arg, `{}` is no image", from.image.text);
                let hint = "give the arguments in it defaults that make one";
                self.find(rule::INVALID_DEFAULT_ARG_IN_FROM, &from.image.span, message, hint);
            }
            self.pinned(index);
        }
    }

    fn names(&mut self) {
        let mut seen: HashSet<&str> = HashSet::new();
        for stage in &self.file.stages {
            let from = &stage.from.node;
            let Some(name) = &from.name else { continue };
            if name.text.chars().any(char::is_uppercase) {
                let message = format!("the stage name {:?} has upper-case letters", name.text);
                let hint = format!("write `{}`: names are compared without case", name.text.to_lowercase());
                self.find(rule::STAGE_NAME_CASING, &name.span, message, hint);
            }
            if matches!(name.text.to_lowercase().as_str(), "scratch" | "context") {
                let message = format!("the stage name {:?} is reserved", name.text);
                self.find(rule::RESERVED_STAGE_NAME, &name.span, message, "choose another name");
            }
            if !seen.insert(name.text.as_str()) {
                let message = format!("the stage name {:?} is given twice", name.text);
                let hint = "rename one of them: `--target` and `--from` mean the last one";
                self.find(rule::DUPLICATE_STAGE_NAME, &name.span, message, hint);
            }
            if let Some(keyword) = &from.as_keyword {
                let written = &stage.from.keyword.text;
                let both = |case: fn(&str) -> String| {
                    case(written) == *written && case(&keyword.text) == keyword.text
                };
                if !both(str::to_lowercase) && !both(str::to_uppercase) {
                    let message = format!("`{}` and `{written}` differ in case", keyword.text);
                    self.find(rule::FROM_AS_CASING, &keyword.span, message, "write both in one case");
                }
            }
        }
    }

    /// The values of global arguments if none is given.
    fn defaults(&self) -> Option<Scope> {
        let room = room();
        let evaluator = Evaluator { file: self.file, request: self.around.request, room: &room };
        let mut request = self.around.request.clone();
        request.args.clear();
        let scope = automatic(&request, None);
        globals(&evaluator, &self.file.args, scope, &std::collections::BTreeMap::new()).ok()
    }

    fn undefined(&mut self, word: &Word, declared: &HashSet<String>) {
        let Some(expanded) = expanded(self.file, word, &self.globals, &self.room) else { return };
        for name in expanded.unset.iter().filter(|name| !declared.contains(*name)) {
            let message = format!("FROM uses the argument {name}, which is not declared before it");
            let hint = match self.near(name, declared.iter()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("declare it before the first FROM: `ARG {name}=…`"),
            };
            self.find(rule::UNDEFINED_ARG_IN_FROM, &word.span, message, hint);
        }
    }

    fn platform(&mut self, word: &Word, name: Option<&Word>) {
        let Some(expanded) = expanded(self.file, word, &self.globals, &self.room) else { return };
        if !expanded.unset.is_empty() {
            return;
        }
        if expanded.used.is_empty() {
            let Ok(platform) = expanded.text.parse::<Platform>() else { return };
            let name = name.map(|name| name.text.to_lowercase()).unwrap_or_default();
            let (os, architecture) = (platform.os.to_string(), platform.architecture.to_string());
            // A stage that says so in its name is meant for one platform.
            if !name.contains(&os) && !name.contains(&architecture) {
                let message = format!("the stage is for {} whatever platform is asked for", expanded.text);
                let hint = "leave --platform out, or write $BUILDPLATFORM or $TARGETPLATFORM; a stage that is meant \
                            for one platform has that in its name";
                self.find(rule::FROM_PLATFORM_FLAG_CONST_DISALLOWED, &word.span, message, hint);
            }
            return;
        }
        let target = self.globals.get("TARGETPLATFORM") == Some(&expanded.text);
        if target && expanded.used.len() == 1 && expanded.used.contains("TARGETPLATFORM") {
            let message = format!("`--platform={}` is what a stage is for anyway", word.text);
            self.find(rule::REDUNDANT_TARGET_PLATFORM, &word.span, message, "leave it out");
        }
    }

    fn pinned(&mut self, index: usize) {
        let Some(image) = self.stages[index].image.clone() else { return };
        let Ok(reference) = image.parse::<Reference>() else { return };
        if reference.digest.is_some() {
            return;
        }
        // Every version has a digit in it; a tag without one (`alpine`, `lts`, `latest`) is moved on.
        let floating = match reference.tag.as_deref() {
            None => "no tag".to_owned(),
            Some(tag) if tag.bytes().any(|b| b.is_ascii_digit()) => return,
            Some(tag) => format!("the tag `{tag}`, which says no version"),
        };
        let span = self.file.stages[index].from.node.image.span.clone();
        let message = format!("the base {image} has {floating}: it means another image from day to day");
        let hint = "write a tag with a version, as in image:1.2 or image:1.2-slim, or a digest (`imgbuild inspect` shows \
                    it): image:1.2@sha256:…";
        self.find(rule::PINNED_BASE, &span, message, hint);
    }
}
