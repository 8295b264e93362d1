//! The rules of docker/metadata-action by events, with the tags that its manual and its tests expect.

use imgbuild::tags::{Event, Flavor, Planned, Project, Rule, plan};

const SHA: &str = "860c1904a1ce19322e91ac35af1ab07466440c37";

/// An event, by its name and reference. The present is 2020-01-10 00:30 UTC.
fn event(text: &str) -> Event {
    let (name, reference) = text.split_once(' ').unwrap();
    let present = "2020-01-10T00:30:00Z".parse().unwrap();
    let is_branch = reference.starts_with("refs/heads/");
    Event {
        name: name.to_owned(),
        reference: (!reference.is_empty()).then(|| reference.to_owned()),
        sha: Some(SHA.to_owned()),
        base_ref: (!is_branch).then(|| "master".to_owned()),
        default_branch: Some("master".to_owned()),
        now: present,
        committed: Some(present),
        created: Some(present),
        project: Project {
            title: Some("Hello-World".to_owned()),
            description: Some("This your first repo!".to_owned()),
            url: Some("https://host.example/octocat/Hello-World".to_owned()),
            licenses: Some("MIT".to_owned()),
        },
        ..Event::default()
    }
}

fn planned(event_text: &str, rules: &str, flavor: &str) -> Planned {
    let rules = match rules {
        "" => Rule::defaults(),
        rules => Rule::parse_all(&rules.replace(" | ", "\n")).unwrap(),
    };
    let flavor = Flavor::parse(&flavor.replace(" | ", "\n")).unwrap();
    plan(&rules, &flavor, &event(event_text)).unwrap()
}

fn tags(planned: &Planned) -> String {
    planned.plan.tags.iter().map(|tag| tag.tag.as_str()).collect::<Vec<_>>().join(" ")
}

/// Event, rules with ` | ` between them, flavor, tags.
const TABLE: &[(&str, &str, &str, &str)] = &[
    // "Basic": no rules.
    ("pull_request refs/pull/2/merge", "", "", "pr-2"),
    ("push refs/heads/master", "", "", "master"),
    ("push refs/heads/releases/v1", "", "", "releases-v1"),
    ("push refs/tags/v1.2.3", "", "", "v1.2.3 latest"),
    ("push refs/tags/v2.0.8-beta.67", "", "", "v2.0.8-beta.67 latest"),
    ("workflow_dispatch refs/heads/master", "", "", "master"),
    ("schedule refs/heads/master", "", "", "nightly master"),
    ("push ", "", "", ""),
    // "Semver".
    ("pull_request refs/pull/2/merge", SEMVER, "", "pr-2"),
    ("push refs/heads/master", SEMVER, "", "master"),
    ("push refs/heads/releases/v1", SEMVER, "", "releases-v1"),
    ("push refs/tags/v1.2.3", SEMVER, "", "1.2.3 1.2 latest"),
    ("push refs/tags/v2.0.8-beta.67", SEMVER, "", "2.0.8-beta.67"),
    // "Bake definition".
    ("push refs/tags/v1.2.3", BAKE, "", "1.2.3 1.2 sha-860c190 latest"),
    // `type=schedule`.
    ("schedule refs/heads/master", "type=schedule", "", "nightly"),
    ("schedule refs/heads/master", "type=schedule,pattern=nightly", "", "nightly"),
    ("schedule refs/heads/master", "type=schedule,pattern={{date 'YYYYMMDD'}}", "", "20200110"),
    (
        "schedule refs/heads/master",
        "type=schedule,pattern={{date 'YYYYMMDD-HHmmss' tz='Asia/Tokyo'}}",
        "",
        "20200110-093000",
    ),
    ("push refs/heads/master", "type=schedule", "", ""),
    // `type=semver`.
    ("push refs/tags/v1.2.3", "type=semver,pattern={{raw}}", "", "v1.2.3 latest"),
    ("push refs/tags/v1.2.3", "type=semver,pattern={{version}}", "", "1.2.3 latest"),
    ("push refs/tags/v1.2.3", "type=semver,pattern={{major}}.{{minor}}", "", "1.2 latest"),
    ("push refs/tags/v1.2.3", "type=semver,pattern=v{{major}}", "", "v1 latest"),
    ("push refs/tags/v1.2.3", "type=semver,pattern={{minor}}", "", "2 latest"),
    ("push refs/tags/v1.2.3", "type=semver,pattern={{patch}}", "", "3 latest"),
    ("push refs/tags/v2.0.8-beta.67", "type=semver,pattern={{raw}}", "", "v2.0.8-beta.67"),
    ("push refs/tags/v2.0.8-beta.67", "type=semver,pattern={{version}}", "", "2.0.8-beta.67"),
    ("push refs/tags/v2.0.8-beta.67", "type=semver,pattern={{major}}.{{minor}}", "", "2.0.8-beta.67"),
    ("push refs/heads/master", "type=semver,pattern={{version}},value=v1.0.0", "", "1.0.0 latest"),
    (
        "push refs/tags/v9.5.7+b.1",
        "type=semver,pattern={{version}} | type=semver,pattern={{raw}}",
        "",
        "9.5.7 v9.5.7-b.1 latest",
    ),
    ("push refs/tags/api/v1.2.3", "type=semver,pattern={{version}},match=api/(.*)", "", "1.2.3 latest"),
    ("push refs/tags/api/v1.2.3", "type=semver,pattern={{version}}", "", ""),
    // `type=pep440`.
    ("push refs/tags/1.2.3", "type=pep440,pattern={{raw}}", "", "1.2.3 latest"),
    ("push refs/tags/1.2.3", "type=pep440,pattern={{version}}", "", "1.2.3 latest"),
    ("push refs/tags/v1.2.3", "type=pep440,pattern={{version}}", "", "1.2.3 latest"),
    ("push refs/tags/1.2.3", "type=pep440,pattern={{major}}.{{minor}}", "", "1.2 latest"),
    ("push refs/tags/1.2.3", "type=pep440,pattern=v{{major}}", "", "v1 latest"),
    ("push refs/tags/v1.2.3rc2", "type=pep440,pattern={{raw}}", "", "v1.2.3rc2"),
    ("push refs/tags/1.2.3rc2", "type=pep440,pattern={{version}}", "", "1.2.3rc2"),
    ("push refs/tags/1.2.3rc2", "type=pep440,pattern={{major}}.{{minor}}", "", "1.2.3rc2"),
    ("push refs/tags/1.2.3post1", "type=pep440,pattern={{major}}.{{minor}}", "", "1.2.3.post1"),
    ("push refs/tags/1.2.3beta2", "type=pep440,pattern={{major}}.{{minor}}", "", "1.2.3b2"),
    ("push refs/tags/1.0dev4", "type=pep440,pattern={{major}}.{{minor}}", "", "1.0.dev4"),
    ("push refs/heads/master", "type=pep440,pattern={{version}},value=1.0.0", "", "1.0.0 latest"),
    ("push refs/tags/1.2", PEP440, "", "1.2 latest"),
    (
        "push refs/tags/v1.2.3rc2",
        "type=pep440,pattern={{raw}} | type=pep440,pattern={{major}}",
        "",
        "v1.2.3rc2 1.2.3rc2",
    ),
    // `type=match`.
    ("push refs/tags/v1.2.3", r"type=match,pattern=\d.\d.\d", "", "1.2.3 latest"),
    ("push refs/tags/v2.0.8-beta.67", "type=match,pattern=v(.*),group=1", "", "2.0.8-beta.67 latest"),
    ("push refs/tags/v2.0.8-beta.67", r"type=match,pattern=v(\d.\d),group=1", "", "2.0 latest"),
    ("push refs/tags/20200110-RC2", r"type=match,pattern=\d+", "", "20200110 latest"),
    ("push refs/tags/p1/v1.2.3", r"type=match,pattern=p1/v(\d.\d.\d),group=1", "", "1.2.3 latest"),
    ("push refs/heads/master", "type=match,pattern=v(.*),group=1,value=v1.0.0", "", "1.0.0 latest"),
    ("push refs/tags/20200110-RC2", "type=match,pattern=(.*)-RC,group=1", "latest=false", "20200110"),
    (
        "push refs/tags/v2.0.8-beta.67",
        r#"type=match,"pattern=\d.\d.\d-(alpha|beta).\d+""#,
        "",
        "2.0.8-beta.67 latest",
    ),
    ("push refs/tags/v2.0.8-beta.67", BETA, "", "2.0.8 67 latest"),
    ("push refs/tags/release1", r#"type=match,"pattern=^release\d{1,2}""#, "", "release1 latest"),
    ("push refs/tags/release1", r#""type=match,""pattern=^release\d{1,2}""""#, "", "release1 latest"),
    ("push refs/tags/sometag", r"type=match,pattern=\d.\d", "", ""),
    ("push refs/tags/v1.0.0", "type=match,pattern=V(.*),group=1", "", ""),
    ("push refs/tags/v1.0.0", "type=match,pattern=/V(.*)/i,group=1", "", "1.0.0 latest"),
    ("push refs/tags/p1/v1.0.0", P1, "", "1.0.0 1.0 sha-860c190 latest"),
    ("push refs/tags/p1/v1.0.0", P1_DEV, "suffix=-dev", "1.0.0-dev 1.0 sha-860c190-dev latest"),
    // `type=edge`.
    ("push refs/heads/master", "type=edge", "", "edge"),
    ("workflow_dispatch refs/heads/master", "type=edge", "", "edge"),
    ("push refs/heads/dev", "type=edge | type=sha", "", "sha-860c190"),
    ("push refs/heads/dev", "type=edge,branch=dev", "", "edge"),
    ("push refs/tags/v1.2.3", "type=edge", "", ""),
    // `type=ref`.
    ("pull_request refs/pull/2/merge", "type=ref,event=pr", "", "pr-2"),
    ("push refs/heads/master", "type=ref,event=branch", "", "master"),
    ("push refs/heads/my/branch", "type=ref,event=branch", "", "my-branch"),
    ("push refs/tags/v1.2.3", "type=ref,event=tag", "", "v1.2.3 latest"),
    ("push refs/tags/v2.0.8-beta.67", "type=ref,event=tag", "", "v2.0.8-beta.67 latest"),
    ("push refs/heads/a#b@c", "type=ref,event=branch", "", "a-b-c"),
    ("pull_request refs/pull/15/merge", "type=ref,event=pr", "prefix=glo- | suffix=-bal", "pr-15-bal"),
    ("pull_request refs/pull/15/merge", "type=ref,event=pr,prefix=", "prefix=glo- | suffix=-bal", "15-bal"),
    // `type=raw`.
    ("push refs/heads/master", "type=raw,value=foo | type=raw,bar | baz", "", "foo bar baz"),
    ("push refs/heads/master", "type=raw,value=foo", "latest=true", "foo latest"),
    // `type=sha`.
    ("push refs/heads/dev", "type=sha", "", "sha-860c190"),
    ("push refs/heads/dev", "type=sha,format=long", "", "sha-860c1904a1ce19322e91ac35af1ab07466440c37"),
    ("push refs/heads/dev", "type=sha,prefix=", "prefix=git-", "860c190"),
    // "Latest tag", "`priority` attribute".
    ("push refs/heads/master", "type=raw,value=latest,enable={{is_default_branch}}", "", "latest"),
    ("push refs/heads/dev", "type=raw,value=latest,enable={{is_default_branch}}", "", ""),
    ("push refs/heads/dev", "type=raw,value=dev,enable={{is_not_default_branch}}", "", "dev"),
    ("create refs/heads/dev", "type=raw,value=x,enable={{is_default_branch}}", "", "x"),
    ("push refs/heads/master", "type=ref,priority=2000,event=branch | type=edge", "", "master edge"),
    ("push refs/tags/v2.0.8-beta.67", RAW_FIRST, "", "foo 2.0.8-beta.67 2.0"),
    (
        "push refs/tags/v1.1.1",
        "type=raw,priority=2000,foo | type=ref,event=tag | type=edge",
        "",
        "foo v1.1.1",
    ),
    (
        "pull_request refs/pull/15/merge",
        "type=sha,priority=2000 | type=ref,event=pr",
        "",
        "sha-860c190 pr-15",
    ),
    ("push refs/heads/master", "type=match,enable=false,pattern=v(.*),value=v1.2.3 | type=edge", "", "edge"),
    // "Global expressions".
    ("push refs/heads/my/branch", "type=sha,prefix={{branch}}-", "", "my-branch-860c190"),
    ("push refs/heads/master", "type=raw,value=mytag-{{branch}}-{{sha}}", "", "mytag-master-860c190"),
    ("push refs/heads/master", "type=raw,value=mytag-tag-{{tag}}", "", "mytag-tag-"),
    ("push refs/heads/master", "type=raw,value=mytag-baseref-{{base_ref}}", "", "mytag-baseref-"),
    (
        "push refs/tags/v1.1.1",
        "type=raw,{{tag}}-{{sha}}-foo | type=raw,{{base_ref}}-foo",
        "",
        "v1.1.1-860c190-foo master-foo",
    ),
    ("pull_request refs/pull/2/merge", "type=raw,{{base_ref}}", "", "master"),
    ("pull_request refs/pull/2/merge", "type=raw,{{branch}}", "", ""),
    ("push refs/heads/master", "type=raw,value=cd-{{commit_date 'YYYYMMDD'}}", "", "cd-20200110"),
    (
        "push refs/heads/master",
        "type=raw,\"value={{date 'dddd, MMMM Do YYYY, h:mm:ss a'}}\"",
        "",
        "Friday-January-10th-2020-12-30-00-am",
    ),
    ("push refs/heads/it's=x", "type=raw,value={{branch}}", "", "it-x27-s-x3D-x"),
    ("push refs/heads/it's=x", "type=ref,event=branch", "", "it-s-x"),
    // Flavors.
    ("push refs/tags/v1.1.1", FULL, "suffix=-dev,onlatest=true", "1.1.1-dev latest-dev"),
    (
        "push refs/tags/v1.1.1",
        FULL,
        "prefix=foo-,onlatest=true | suffix=-dev,onlatest=true",
        "foo-1.1.1-dev foo-latest-dev",
    ),
    ("push refs/tags/v1.1.1", FULL, "prefix=foo- | suffix=-dev", "foo-1.1.1-dev latest"),
    (
        "push refs/tags/sometag",
        "type=ref,event=tag | type=pep440,pattern={{version}}",
        "latest=false",
        "sometag",
    ),
    (
        "push refs/heads/master",
        "type=semver,pattern={{version}},value=v1.2.3 | type=pep440,pattern={{version}},value=v1.2.3 | type=edge",
        "",
        "1.2.3 edge latest",
    ),
    // Words.
    ("push refs/tags/v1.4.2", "semver | branch | sha", "", "1.4.2 1.4 1 sha-860c190 latest"),
    ("push refs/tags/v0.4.2", "semver", "", "0.4.2 0.4 latest"),
    ("push refs/tags/v1.4.2-rc.1", "semver | pr", "", "1.4.2-rc.1"),
    ("push refs/tags/1.4.2", "pep440", "", "1.4.2 1.4 1 latest"),
    ("push refs/heads/my/branch", "semver | branch | sha", "", "my-branch sha-860c190"),
    ("pull_request refs/pull/7/merge", "semver | branch | pr", "", "pr-7"),
];

const SEMVER: &str = "type=ref,event=branch | type=ref,event=pr | type=semver,pattern={{version}} | \
                      type=semver,pattern={{major}}.{{minor}}";
const BAKE: &str = "type=ref,event=branch | type=ref,event=pr | type=semver,pattern={{version}} | \
                    type=semver,pattern={{major}}.{{minor}} | type=sha";
const PEP440: &str = "type=pep440,pattern={{version}} | type=pep440,pattern={{major}}.{{minor}}";
const BETA: &str =
    r#"type=match,"pattern=v(.*)-beta.(.*)",group=1 | type=match,"pattern=v(.*)-beta.(.*)",group=2"#;
const P1: &str = r"type=match,pattern=p1/v(\d.\d.\d),group=1 | type=match,pattern=p1/v(\d.\d),group=1 | type=match,pattern=p1/v(\d.\d),group=3 | type=ref,event=pr | type=sha";
const P1_DEV: &str = r"type=match,pattern=p1/v(\d.\d.\d),group=1 | type=match,pattern=p1/v(\d.\d),group=1,suffix= | type=sha,suffix=-dev";
const RAW_FIRST: &str =
    r#"type=raw,priority=2000,foo | type=semver,pattern={{version}} | type=match,"pattern=\d.\d""#;
const FULL: &str = "type=semver,pattern={{version}} | type=semver,pattern={{major}}.{{minor}}.{{patch}}";

#[test]
fn rules_give_the_tags_of_metadata_action() {
    let wrong: Vec<String> = TABLE
        .iter()
        .filter_map(|(event, rules, flavor, expected)| {
            let given = tags(&planned(event, rules, flavor));
            (given != *expected)
                .then(|| format!("{event}: {rules} ({flavor}): expected {expected:?}, got {given:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(TABLE.len() >= 40);
}

#[test]
fn labels_and_annotations_are_those_of_metadata_action() {
    let planned = planned("push refs/tags/v1.2.3", BAKE, "");
    let labels: Vec<_> = planned.plan.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(
        labels,
        [
            "org.opencontainers.image.created=2020-01-10T00:30:00.000Z",
            "org.opencontainers.image.description=This your first repo!",
            "org.opencontainers.image.licenses=MIT",
            "org.opencontainers.image.revision=860c1904a1ce19322e91ac35af1ab07466440c37",
            "org.opencontainers.image.source=https://host.example/octocat/Hello-World",
            "org.opencontainers.image.title=Hello-World",
            "org.opencontainers.image.url=https://host.example/octocat/Hello-World",
            "org.opencontainers.image.version=1.2.3",
        ]
    );
    assert_eq!(planned.plan.annotations, planned.plan.labels);
    assert_eq!(planned.plan.version.as_deref(), Some("1.2.3"));
}

/// The events of the columns of the manual's table.
const COLUMNS: [&str; 6] = [
    "push refs/heads/main",
    "push refs/heads/my/fix",
    "push refs/tags/v1.4.2",
    "push refs/tags/v2.0.0-rc.1",
    "pull_request refs/pull/7/merge",
    "schedule refs/heads/main",
];

#[test]
fn the_table_of_the_manual_is_true() {
    let manual = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tags.md")).unwrap();
    let section = manual.split("## Rules by events").nth(1).unwrap().split("\n## ").next().unwrap();
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let mut rows = 0;
    for line in section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| rule")) {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").collect();
        assert_eq!(cells.len(), 7, "{line}");
        let rules = quoted(cells[0]).concat();
        let rules = if rules.is_empty() { Rule::defaults() } else { Rule::parse_all(&rules).unwrap() };
        for (cell, text) in cells[1..].iter().zip(COLUMNS) {
            let now = "2026-01-21T12:00:00Z".parse().unwrap();
            let event = Event { default_branch: Some("main".to_owned()), now, ..event(text) };
            let planned = plan(&rules, &Flavor::default(), &event).unwrap();
            assert_eq!(tags(&planned), quoted(cell).join(" "), "{text}: {line}");
        }
        rows += 1;
    }
    assert_eq!(rows, 15);
}
