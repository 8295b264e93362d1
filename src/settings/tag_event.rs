//! What images are tagged for: what the CI says, else the working copy.

use std::{fs, io, path::Path};

use jiff::Timestamp;
use serde_json::Value;

use super::{Environment, SettingsError, env, git::WorkingCopy};
use crate::tags::{Event, Project};

/// What happened, as the CI tells it (GitHub Actions and those with the same variables, GitLab CI), else what is
/// checked out in the directory. Commits, tags and times that the CI does not tell come from there in any case.
///
/// `prefix` is what git tags of the image begin with: of several tags of a commit, one of those counts.
pub(super) fn read(
    environment: &Environment,
    directory: Option<&Path>,
    prefix: &str,
) -> Result<Event, SettingsError> {
    let copy = directory.map(WorkingCopy::of).unwrap_or_default();
    let epoch = source_date_epoch(environment)?;
    let mut event = match (environment.text("GITHUB_REF"), environment.text("GITLAB_CI")) {
        (Some(reference), _) => github(reference, environment)?,
        (None, Some(_)) => gitlab(environment),
        (None, None) => local(&copy, prefix),
    };
    let same = event.sha.is_none() || event.sha == copy.sha;
    event.sha = event.sha.or(copy.sha);
    event.committed = event.committed.or(copy.committed.filter(|_| same));
    event.default_branch = event.default_branch.or(copy.default_branch);
    event.git_tags = copy.tags;
    event.now = epoch.unwrap_or_else(Timestamp::now);
    event.created = epoch.or(event.committed);
    event.short_sha = short_sha(environment)?;
    Ok(event)
}

fn source_date_epoch(environment: &Environment) -> Result<Option<Timestamp>, SettingsError> {
    let Some(text) = environment.text(env::SOURCE_DATE_EPOCH) else { return Ok(None) };
    let time = text.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    let name = env::SOURCE_DATE_EPOCH;
    time.map(Some)
        .ok_or_else(|| SettingsError::new(format!("{name} is {text:?}, which is no number of seconds")))
}

fn short_sha(environment: &Environment) -> Result<Option<usize>, SettingsError> {
    let Some(text) = environment.text(env::DOCKER_METADATA_SHORT_SHA_LENGTH) else { return Ok(None) };
    let length = text.parse().ok().filter(|length| *length > 0);
    let name = env::DOCKER_METADATA_SHORT_SHA_LENGTH;
    length.map(Some).ok_or_else(|| SettingsError::new(format!("{name} is {text:?}, which is no length")))
}

/// What is checked out: a tag of the commit, else the branch.
fn local(copy: &WorkingCopy, prefix: &str) -> Event {
    let tags = copy.tags_here.iter().filter(|tag| tag.starts_with(prefix));
    let version = |tag: &str| {
        let tag = &tag[prefix.len()..];
        semver::Version::parse(tag.strip_prefix('v').unwrap_or(tag)).ok()
    };
    let tag = tags.max_by_key(|tag| (version(tag), tag.as_str())).map(|tag| format!("refs/tags/{tag}"));
    let reference = tag.or_else(|| copy.branch.as_ref().map(|branch| format!("refs/heads/{branch}")));
    let title = copy.url.as_deref().and_then(|url| url.rsplit('/').next()).map(str::to_owned);
    Event {
        name: "push".to_owned(),
        reference,
        project: Project { title, url: copy.url.clone(), ..Project::default() },
        ..Event::default()
    }
}

fn github(reference: &str, environment: &Environment) -> Result<Event, SettingsError> {
    let payload = payload(environment)?;
    let text = |pointer: &str| payload.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let variable = |name: &str| environment.text(name).map(str::to_owned);
    let name = variable("GITHUB_EVENT_NAME").unwrap_or_else(|| "push".to_owned());
    let mut reference = reference.to_owned();
    if name.contains("pull_request_target")
        && let Some(number) = payload.get("number").and_then(Value::as_u64)
    {
        // The reference of these is the branch that the pull request goes to.
        reference = format!("refs/pull/{number}/merge");
    }
    let mut sha = variable("GITHUB_SHA");
    let of_head = environment.text(env::DOCKER_METADATA_PR_HEAD_SHA).is_some_and(is_true);
    if of_head && name.contains("pull_request") {
        sha = text("/pull_request/head/sha").or(sha);
    }
    let base_ref = match () {
        () if reference.starts_with("refs/tags/") => {
            text("/base_ref").map(|base| base.strip_prefix("refs/heads/").unwrap_or(&base).to_owned())
        }
        () if reference.starts_with("refs/pull/") => {
            text("/pull_request/base/ref").or_else(|| variable("GITHUB_BASE_REF"))
        }
        () => None,
    };
    Ok(Event {
        committed: sha.as_deref().and_then(|sha| commit_time(&payload, sha)),
        default_branch: text("/repository/default_branch"),
        project: github_project(&payload, environment),
        name,
        reference: Some(reference),
        sha,
        base_ref,
        ..Event::default()
    })
}

/// What GitHub says of the event, as it sent it to webhooks.
fn payload(environment: &Environment) -> Result<Value, SettingsError> {
    let Some(path) = environment.get("GITHUB_EVENT_PATH") else { return Ok(Value::Null) };
    let path = environment.current_dir().join(path);
    let wrong = |error: &dyn std::fmt::Display| {
        SettingsError::new(format!("GITHUB_EVENT_PATH: failed to read {}: {error}", path.display()))
    };
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| wrong(&error)),
        // Steps in containers may have the variable and not the file.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Value::Null),
        Err(error) => Err(wrong(&error)),
    }
}

fn commit_time(payload: &Value, sha: &str) -> Option<Timestamp> {
    let commits = payload.get("commits").and_then(Value::as_array).into_iter().flatten();
    let mut commits = commits.chain(payload.get("head_commit"));
    let commit = commits.find(|commit| commit.get("id").and_then(Value::as_str) == Some(sha))?;
    commit.get("timestamp")?.as_str()?.parse().ok()
}

fn github_project(payload: &Value, environment: &Environment) -> Project {
    if let Some(repository) = payload.get("repository").filter(|repository| repository.is_object()) {
        // What is null is known to be nothing.
        let text = |pointer: &str| {
            Some(repository.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned())
        };
        return Project {
            title: text("/name"),
            description: text("/description"),
            url: text("/html_url"),
            licenses: text("/license/spdx_id"),
        };
    }
    let name = environment.text("GITHUB_REPOSITORY");
    let server = environment.text("GITHUB_SERVER_URL");
    Project {
        title: name.and_then(|name| name.rsplit('/').next()).map(str::to_owned),
        url: name.zip(server).map(|(name, server)| format!("{}/{name}", server.trim_end_matches('/'))),
        ..Project::default()
    }
}

/// GitLab's predefined variables.
fn gitlab(environment: &Environment) -> Event {
    let variable = |name: &str| environment.text(name).map(str::to_owned);
    let tag = variable("CI_COMMIT_TAG").map(|tag| format!("refs/tags/{tag}"));
    let merge = variable("CI_MERGE_REQUEST_IID").map(|number| format!("refs/pull/{number}/merge"));
    let branch = variable("CI_COMMIT_BRANCH").map(|branch| format!("refs/heads/{branch}"));
    Event {
        name: match environment.text("CI_PIPELINE_SOURCE") {
            Some("merge_request_event") => "pull_request".to_owned(),
            Some("schedule") => "schedule".to_owned(),
            // The names of other sources mean nothing to rules, and must not look as if they did.
            _ => "push".to_owned(),
        },
        reference: tag.or(merge).or(branch),
        sha: variable("CI_COMMIT_SHA"),
        base_ref: variable("CI_MERGE_REQUEST_TARGET_BRANCH_NAME"),
        default_branch: variable("CI_DEFAULT_BRANCH"),
        committed: environment.text("CI_COMMIT_TIMESTAMP").and_then(|time| time.parse().ok()),
        project: Project {
            title: variable("CI_PROJECT_TITLE").or_else(|| variable("CI_PROJECT_NAME")),
            description: variable("CI_PROJECT_DESCRIPTION"),
            url: variable("CI_PROJECT_URL"),
            licenses: None,
        },
        ..Event::default()
    }
}

fn is_true(text: &str) -> bool {
    text.eq_ignore_ascii_case("true")
}
