//! Rules and an event give a plan.

use std::{cell::RefCell, collections::BTreeMap};

use super::{
    Event, Flavor, Latest, Rule, TagsError,
    error::Problem,
    matcher::Matcher,
    movement::{Found, ends, in_git, shared},
    pep440::Pep440,
    plan::{Movement, PlannedTag, Scheme, TagPlan},
    rule::{Kind, Versions},
    scope::Names,
    template::Template,
    version,
};

/// A plan, and how it came about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Planned {
    /// The plan.
    pub plan: TagPlan,
    /// For each tag of the plan the rule that gave it, as it is written.
    pub reasons: Vec<String>,
    /// What is to be said of rules: in their order.
    pub notes: Vec<Note>,
}

/// Something to be said of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The rule as it is written.
    pub rule: String,
    /// What is to be said: `there is no git tag`.
    pub text: String,
    /// Whether the rule looks wrong, and not only unfit for the event.
    pub warning: bool,
}

/// What a rule gives for the event.
struct Given {
    /// The tag, before characters that tags cannot have are replaced.
    text: String,
    movement: Movement,
    /// Whether there is a `latest` if nothing else is said.
    latest: bool,
    found: Option<Found>,
}

/// Why a rule gives nothing.
enum Nothing {
    /// It is for other events.
    Unfit(String),
    /// What it was to be made of has another form.
    Warning(String),
    Wrong(Problem),
}

impl From<Problem> for Nothing {
    fn from(problem: Problem) -> Self {
        Self::Wrong(problem)
    }
}

/// The tags, labels and annotations that the rules give for the event: those of metadata-action, each tag once.
///
/// # Errors
/// A rule comes to something that is no tag, or its `enable` to neither `true` nor `false`; a time zone does not exist.
pub fn plan(rules: &[Rule], flavor: &Flavor, event: &Event) -> Result<Planned, TagsError> {
    let mut ordered: Vec<&Rule> = rules.iter().collect();
    // Those of the same priority stay as they are written.
    ordered.sort_by(|a, b| b.priority.total_cmp(&a.priority));
    let mut planned = Planned::default();
    // What the first rule that gives a tag says of `latest` counts.
    let mut first: Option<(&Rule, bool, Option<Found>)> = None;
    for rule in ordered {
        let empty = RefCell::new(Vec::new());
        let maker = Maker { rule, flavor, event, names: Names::global(event, &empty) };
        let made = maker.make();
        let wrong = |problem| TagsError::rule(&rule.line, problem);
        let idle = rule.idle.iter().map(|key| format!("`{key}` means nothing to a rule of this type"));
        let empty = empty.into_inner().into_iter().map(|name| format!("`{{{{{name}}}}}` is empty here"));
        idle.chain(empty).for_each(|text| planned.note(rule, text, true));
        match made {
            Ok(given) if given.text.is_empty() => {
                planned.note(rule, "it gives an empty text".to_owned(), false)
            }
            Ok(given) => {
                let tag = checked(&given.text).map_err(wrong)?;
                planned.add(PlannedTag { tag, movement: given.movement }, &rule.line);
                first.get_or_insert((rule, given.latest, given.found));
            }
            Err(Nothing::Unfit(text)) => planned.note(rule, text, false),
            Err(Nothing::Warning(text)) => planned.note(rule, text, true),
            Err(Nothing::Wrong(problem)) => return Err(wrong(problem)),
        }
    }
    planned.plan.version = planned.plan.tags.first().map(|tag| tag.tag.clone());
    if let Some((rule, auto, found)) = first {
        let is_asked_for = match flavor.latest {
            Latest::Auto => auto,
            Latest::Always => true,
            Latest::Never => false,
        };
        if is_asked_for {
            let text = format!("{}latest{}", flavor.latest_prefix, flavor.latest_suffix);
            let tag = checked(&text).map_err(|problem| TagsError::flavor(&text, problem))?;
            let movement = found.map_or(Movement::Free, |found| Movement::Line(found.line(0)));
            let reason = if auto { format!("latest=auto, {}", rule.line) } else { "latest=true".to_owned() };
            planned.add(PlannedTag { tag, movement }, &reason);
        }
    }
    planned.plan.labels = labels(event, planned.plan.version.as_deref());
    planned.plan.annotations = planned.plan.labels.clone();
    Ok(planned)
}

impl Planned {
    /// Adds a tag, unless it is there: then the stricter of the movements counts.
    pub fn add(&mut self, tag: PlannedTag, reason: &str) {
        let strictness = |movement: &Movement| match movement {
            Movement::Free => 0,
            Movement::Fixed => 1,
            // A tag that any rule moves is no version for ever: `1.2` is a full version of Python packages, too.
            Movement::Line(_) => 2,
        };
        match self.plan.tags.iter_mut().find(|known| known.tag == tag.tag) {
            Some(known) if strictness(&tag.movement) > strictness(&known.movement) => {
                known.movement = tag.movement
            }
            Some(_) => {}
            None => {
                self.plan.tags.push(tag);
                self.reasons.push(reason.to_owned());
            }
        }
    }

    fn note(&mut self, rule: &Rule, text: String, warning: bool) {
        self.notes.push(Note { rule: rule.line.clone(), text, warning });
    }
}

/// The text with everything that tags cannot have replaced.
fn sanitized(text: &str) -> String {
    let mut tag = String::new();
    let mut replaced = false;
    for character in text.chars() {
        let fits = character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
        if fits {
            tag.push(character);
        } else if !replaced {
            tag.push('-');
        }
        replaced = !fits;
    }
    tag
}

/// The text as a tag (OCI Distribution Specification, "Pulling manifests").
fn checked(text: &str) -> Result<String, Problem> {
    let tag = sanitized(text);
    let hint = "a tag is 1 to 128 of A-Z a-z 0-9 _ . - and starts with none of . -";
    if tag.len() > 128 {
        return Err(Problem::new(format!("it gives `{tag}`, which is too long for a tag")).hint(hint));
    }
    match tag.starts_with(['.', '-']) {
        true => Err(Problem::new(format!("it gives `{tag}`, which is no tag")).hint(hint)),
        false => Ok(tag),
    }
}

/// What images are to say of themselves (OCI Image Specification, "Annotations"). What is not known is left out.
fn labels(event: &Event, version: Option<&str>) -> BTreeMap<String, String> {
    let project = &event.project;
    let created = event.created.map(|time| time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string());
    [
        ("title", project.title.clone()),
        ("description", project.description.clone()),
        ("url", project.url.clone()),
        ("source", project.url.clone()),
        ("version", version.map(str::to_owned)),
        ("created", created),
        ("revision", event.sha.clone()),
        ("licenses", project.licenses.clone()),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((format!("org.opencontainers.image.{key}"), value?)))
    .collect()
}

/// Makes what one rule gives.
struct Maker<'a> {
    rule: &'a Rule,
    flavor: &'a Flavor,
    event: &'a Event,
    names: Names<'a>,
}

impl Maker<'_> {
    fn make(&self) -> Result<Given, Nothing> {
        if let Some(enable) = &self.rule.enable {
            match enable.render(&self.names)?.as_str() {
                "true" => {}
                "false" => return Err(Nothing::Unfit("it is not enabled".to_owned())),
                other => {
                    let problem =
                        Problem::new(format!("enable is `{other}`, which is neither true nor false"));
                    return Err(problem.into());
                }
            }
        }
        match &self.rule.kind {
            Kind::Schedule { pattern } if self.event.is_schedule() => {
                self.free(&pattern.render(&self.names.times())?)
            }
            Kind::Schedule { .. } => Err(unfit("there is no schedule")),
            Kind::Semver(versions) => self.semver(versions),
            Kind::Pep440(versions) => self.pep440(versions),
            Kind::Match { matcher, group, value } => {
                let value = self.value(value.as_ref())?.ok_or_else(|| unfit("there is no git tag"))?;
                self.matched(matcher, *group, &value)
            }
            Kind::Edge { branch } => self.edge(branch.as_deref()),
            Kind::Branch => self.free(self.event.branch().ok_or_else(|| unfit("there is no branch"))?),
            Kind::Pull => self.free(self.event.pull().ok_or_else(|| unfit("there is no pull request"))?),
            Kind::Tag => self.git_tag(self.event.tag().ok_or_else(|| unfit("there is no git tag"))?),
            Kind::Raw { value } => self.free(&value.render(&self.names)?),
            Kind::Sha { long } => {
                let sha = if *long { self.event.sha.as_deref() } else { self.event.short_sha() };
                self.free(sha.ok_or_else(|| unfit("there is no commit"))?)
            }
        }
    }

    /// A tag that may be moved at any time.
    fn free(&self, text: &str) -> Result<Given, Nothing> {
        Ok(Given { text: self.affixed(text)?, movement: Movement::Free, latest: false, found: None })
    }

    fn edge(&self, branch: Option<&str>) -> Result<Given, Nothing> {
        let edge = branch.or(self.event.default_branch.as_deref());
        match (self.event.branch(), edge) {
            (None, _) => Err(unfit("there is no branch")),
            (_, None) => Err(unfit("the default branch is not known")),
            (Some(branch), Some(edge)) if branch == edge => self.free("edge"),
            (Some(_), Some(edge)) => Err(unfit(&format!("the branch is not `{edge}`"))),
        }
    }

    /// What is around the tag: the rule's own goes before the flavor's.
    fn affixes(&self) -> Result<(String, String), Problem> {
        let render = |own: &Option<Template>, common: &Option<Template>| {
            own.as_ref().or(common.as_ref()).map_or(Ok(String::new()), |text| text.render(&self.names))
        };
        Ok((render(&self.rule.prefix, &self.flavor.prefix)?, render(&self.rule.suffix, &self.flavor.suffix)?))
    }

    fn affixed(&self, text: &str) -> Result<String, Problem> {
        // Nothing with something around it is something, as in metadata-action.
        let (prefix, suffix) = self.affixes()?;
        Ok(format!("{prefix}{text}{suffix}"))
    }

    /// The value that is given, else the git tag.
    fn value(&self, value: Option<&Template>) -> Result<Option<String>, Problem> {
        match value {
            Some(value) => value.render(&self.names).map(Some),
            None => Ok(self.event.tag().map(str::to_owned)),
        }
    }

    /// The text that is to be a version.
    fn version_text(&self, versions: &Versions) -> Result<String, Nothing> {
        let value = self.value(versions.value.as_ref())?.ok_or_else(|| unfit("there is no git tag"))?;
        let part = versions.part.as_ref().and_then(|part| part.group(&value, 1));
        Ok(part.unwrap_or(&value).replace('/', "-"))
    }

    /// What is before and after versions in tags of the registry.
    fn around(&self, pattern: &Template) -> Result<(String, String), Problem> {
        let (prefix, suffix) = self.affixes()?;
        let (begins, ends) = ends(pattern);
        Ok((sanitized(&format!("{prefix}{begins}")), sanitized(&format!("{ends}{suffix}"))))
    }

    fn semver(&self, versions: &Versions) -> Result<Given, Nothing> {
        let text = self.version_text(versions)?;
        let Some(version) = version::parse(&text) else {
            return Err(Nothing::Warning(format!("`{text}` is no semantic version")));
        };
        let (prefix, suffix) = self.around(&versions.pattern)?;
        let read = |tag: &str| version::parse(&in_part(versions, tag)?);
        let is_final = version.pre.is_empty();
        let values = vec![
            ("raw", text.clone()),
            ("version", version::plain(&version)),
            ("major", version.major.to_string()),
            ("minor", version.minor.to_string()),
            ("patch", version.patch.to_string()),
            ("prerelease", version.pre.replace('.', ",")),
            ("build", version.build.replace('.', ",")),
        ];
        let normal = version::plain(&version);
        let in_git = in_git(self.event, read);
        let found = Found { version, scheme: Scheme::Semver, prefix, suffix, in_git };
        self.version(versions, is_final, values, &normal, found)
    }

    fn pep440(&self, versions: &Versions) -> Result<Given, Nothing> {
        let text = self.version_text(versions)?;
        let Some(version) = Pep440::parse(&text) else {
            return Err(Nothing::Warning(format!("`{text}` is no version of PEP 440")));
        };
        let (prefix, suffix) = self.around(&versions.pattern)?;
        let read = |tag: &str| Pep440::parse(&in_part(versions, tag)?).map(|version| version.rank());
        let normal = version.to_string();
        let values = vec![
            ("raw", text.clone()),
            ("version", normal.clone()),
            ("major", version.number(0).to_string()),
            ("minor", version.number(1).to_string()),
            ("patch", version.number(2).to_string()),
        ];
        let in_git = in_git(self.event, read);
        let found = Found { version: version.rank(), scheme: Scheme::Pep440, prefix, suffix, in_git };
        self.version(versions, version.is_final(), values, &normal, found)
    }

    /// The tag of a version: by the pattern if it is a release, else the whole of it.
    fn version(
        &self,
        versions: &Versions,
        is_final: bool,
        values: Vec<(&'static str, String)>,
        normal: &str,
        found: Found,
    ) -> Result<Given, Nothing> {
        let pattern = &versions.pattern;
        if is_final && versions.not_zero && found.version.major == 0 {
            return Err(unfit("versions 0.y.z promise nothing that one number could stand for"));
        }
        let text = match is_final || pattern.is_only("raw") {
            true => pattern.render(&self.names.version(values))?,
            false => normal.to_owned(),
        };
        let movement = match shared(pattern) {
            Some(shared) if is_final => Movement::Line(found.line(shared)),
            _ => Movement::Fixed,
        };
        Ok(Given { text: self.affixed(&text)?, movement, latest: is_final, found: Some(found) })
    }

    fn matched(&self, matcher: &Matcher, group: usize, value: &str) -> Result<Given, Nothing> {
        let Some(groups) = matcher.groups(value) else {
            return Err(Nothing::Warning(format!("the pattern does not match `{value}`")));
        };
        let Some(text) = groups.get(group).copied().flatten() else {
            return Err(Nothing::Warning(format!("the pattern has no group {group} in `{value}`")));
        };
        let found = self.found_at_end(value)?;
        let movement = match (&found, version::parse(text)) {
            (Some(found), _) => found.of_part(text),
            (None, Some(_)) => Movement::Fixed,
            (None, None) => Movement::Free,
        };
        Ok(Given { text: self.affixed(text)?, movement, latest: true, found })
    }

    fn git_tag(&self, tag: &str) -> Result<Given, Nothing> {
        let found = self.found_at_end(tag)?;
        let movement = if found.is_some() { Movement::Fixed } else { Movement::Free };
        Ok(Given { text: self.affixed(tag)?, movement, latest: true, found })
    }

    /// The version at the end of a git tag.
    fn found_at_end(&self, tag: &str) -> Result<Option<Found>, Problem> {
        let Some((before, version)) = version::at_end(tag) else { return Ok(None) };
        let (prefix, suffix) = self.affixes()?;
        // A match cuts the version out of the tag.
        let kept = if matches!(self.rule.kind, Kind::Match { .. }) { "" } else { before };
        let same = |tag: &str| {
            let (other, version) = version::at_end(tag)?;
            (other == before).then_some(version)
        };
        Ok(Some(Found {
            version,
            scheme: Scheme::Semver,
            prefix: sanitized(&format!("{prefix}{kept}")),
            suffix: sanitized(&suffix),
            in_git: in_git(self.event, same),
        }))
    }
}

fn unfit(text: &str) -> Nothing {
    Nothing::Unfit(text.to_owned())
}

/// The part of a git tag that is to be a version; `None` if it is a tag of something else.
fn in_part(versions: &Versions, tag: &str) -> Option<String> {
    let part = match &versions.part {
        Some(part) => part.group(tag, 1)?,
        None => tag,
    };
    Some(part.replace('/', "-"))
}
