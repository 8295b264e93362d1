//! When tags may be moved, and what is said of rules that give none.

use crate::tags::{Event, Flavor, Line, Movement, Planned, Rule, Scheme, plan};

/// The plan for a git tag, where git has these tags.
fn planned(tag: &str, rules: &str, flavor: &str, git_tags: &[&str]) -> Planned {
    let event = Event {
        name: "push".to_owned(),
        reference: Some(format!("refs/tags/{tag}")),
        sha: Some("860c1904a1ce19322e91ac35af1ab07466440c37".to_owned()),
        git_tags: git_tags.iter().map(|&tag| tag.to_owned()).collect(),
        ..Event::default()
    };
    plan(&Rule::parse_all(&rules.replace(" | ", "\n")).unwrap(), &Flavor::parse(flavor).unwrap(), &event)
        .unwrap()
}

/// How each tag moves: `fixed`, `free`, its line; and what outranks it in git and among the registry's tags.
fn movements(planned: &Planned, registry: &[&str]) -> String {
    let told = planned.plan.tags.iter().map(|tag| {
        let movement = match &tag.movement {
            Movement::Free => "free".to_owned(),
            Movement::Fixed => "fixed".to_owned(),
            Movement::Line(line) => match line.outranked_by(registry.iter().copied()) {
                Some(by) => format!("{line} < {by}"),
                None => line.to_string(),
            },
        };
        format!("{tag}: {movement}")
    });
    told.collect::<Vec<_>>().join("; ")
}

#[test]
fn tags_move_with_their_lines() {
    let none: &[&str] = &[];
    for (tag, rules, flavor, git, registry, expected) in [
        (
            "v1.4.2",
            "semver | sha",
            "",
            none,
            none,
            "1.4.2: fixed; 1.4: 1.4.x; 1: 1.x; sha-860c190: free; latest: all versions",
        ),
        // A patch of an old line moves that line alone.
        (
            "v1.3.9",
            "semver",
            "",
            &["v1.3.8", "v1.3.9", "v1.4.2"],
            none,
            "1.3.9: fixed; 1.3: 1.3.x; 1: 1.x < 1.4.2; latest: all versions < 1.4.2",
        ),
        (
            "v1.3.9",
            "semver",
            "",
            none,
            &["1.3.8", "1.4.2", "1", "latest", "2.0.0-rc.1"],
            "1.3.9: fixed; 1.3: 1.3.x; 1: 1.x < 1.4.2; latest: all versions < 1.4.2",
        ),
        (
            "v1.4.3",
            "semver",
            "",
            &["v1.4.2", "v2.0.0-rc.1"],
            &["v1.4.2"],
            "1.4.3: fixed; 1.4: 1.4.x; 1: 1.x; latest: all versions",
        ),
        // A prerelease moves nothing.
        ("v2.0.0-rc.1", "semver", "", &["v1.4.2"], none, "2.0.0-rc.1: fixed"),
        (
            "v2.0.0-rc.1",
            "semver",
            "latest=true",
            &["v1.4.2"],
            none,
            "2.0.0-rc.1: fixed; latest: all versions < 1.4.2",
        ),
        (
            "v2.0.8-beta.67",
            "type=ref,event=tag",
            "",
            none,
            &["v1.0.0"],
            "v2.0.8-beta.67: fixed; latest: all versions < 1.0.0",
        ),
        // Tags with another suffix or prefix are of other lines; git's count for all.
        (
            "v1.3.9",
            "semver",
            "suffix=-alpine",
            none,
            &["1.4.0", "1.3.10-alpine", "1.5.0-debian"],
            "1.3.9-alpine: fixed; 1.3-alpine: 1.3.x < 1.3.10; 1-alpine: 1.x < 1.3.10; latest: all versions < 1.3.10",
        ),
        (
            "v1.3.9",
            "type=semver,pattern={{major}}-alpine",
            "latest=false",
            none,
            &["1.4.0", "1.3.1-alpine"],
            "1-alpine: 1.x",
        ),
        ("v1.3.9", "type=semver,pattern=v{{major}}", "latest=false", none, &["1.4.0"], "v1: 1.x < 1.4.0"),
        (
            "v1.3.9",
            "type=semver,pattern={{major}},prefix=api-",
            "latest=false",
            none,
            &["1.4.0", "api-v1.3.2"],
            "api-1: 1.x",
        ),
        (
            "v1.3.9",
            "semver",
            "",
            none,
            &["1.4.0-alpine"],
            "1.3.9: fixed; 1.3: 1.3.x; 1: 1.x; latest: all versions",
        ),
        // Parts of repositories.
        (
            "api/v1.2.3",
            "type=semver,pattern={{major}},match=^api/(.*)$",
            "",
            &["web/v9.0.0", "api/v1.1.0"],
            none,
            "1: 1.x; latest: all versions",
        ),
        (
            "api/v1.2.3",
            "type=match,pattern=api/v(\\d+)\\.,group=1",
            "",
            &["web/v9.0.0", "api/v1.4.0", "v7.0.0"],
            none,
            "1: 1.x < 1.4.0; latest: all versions < 1.4.0",
        ),
        (
            "api/v1.2.3",
            "type=ref,event=tag",
            "",
            &["web/v9.0.0", "api/v1.1.0"],
            &["9.0.0", "api-v1.2.2"],
            "api-v1.2.3: fixed; latest: all versions",
        ),
        // Cut out of the tag.
        (
            "v2.0.8-beta.67",
            r"type=match,pattern=\d.\d.\d",
            "",
            none,
            &["2.0.7"],
            "2.0.8: 2.0.8.x; latest: all versions < 2.0.7",
        ),
        (
            "v2.0.8",
            r"type=match,pattern=\d.\d | type=match,pattern=v(.*),group=1",
            "",
            none,
            none,
            "2.0: 2.0.x; 2.0.8: fixed; latest: all versions",
        ),
        ("20200110-RC2", r"type=match,pattern=\d+", "", none, none, "20200110: free; latest: free"),
        // Others.
        (
            "v1.2.3",
            "type=semver,pattern=stable | type=raw,value=x | type=edge",
            "latest=false",
            none,
            &["2.0.0"],
            "stable: all versions < 2.0.0; x: free",
        ),
        (
            "v1.2.3",
            "type=semver,pattern={{minor}}",
            "latest=false",
            none,
            &["1.3.0"],
            "2: all versions < 1.3.0",
        ),
        (
            "v1.2.3",
            "type=raw,priority=1000,value=latest | semver",
            "",
            none,
            none,
            "latest: free; 1.2.3: fixed; 1.2: 1.2.x; 1: 1.x",
        ),
        (
            "v1.2.3",
            "semver | type=raw,value=latest",
            "",
            none,
            none,
            "1.2.3: fixed; 1.2: 1.2.x; 1: 1.x; latest: all versions",
        ),
        ("sometag", "type=ref,event=tag", "", none, none, "sometag: free; latest: free"),
        ("v0.3.1", "semver", "", none, none, "0.3.1: fixed; 0.3: 0.3.x; latest: all versions"),
        (
            "v1.0.0+b.1",
            "type=semver,pattern={{raw}}",
            "",
            none,
            &["1.0.0"],
            "v1.0.0-b.1: fixed; latest: all versions",
        ),
        // Python's.
        ("1.2", "pep440", "", none, none, "1.2: 1.2.x; 1: 1.x; latest: all versions"),
        (
            "1.2.3",
            "pep440",
            "",
            &["1.2.3.post1", "1.3rc1"],
            &["1.2", "20260101"],
            "1.2.3: fixed; 1.2: 1.2.x < 1.2.3+0.1; 1: 1.x < 1.2.3+0.1; latest: all versions < 1.2.3+0.1",
        ),
        ("1.2.4rc1", "pep440", "", none, none, "1.2.4rc1: fixed"),
        ("1.2.3.post1", "pep440", "", none, none, "1.2.3.post1: fixed"),
    ] {
        let planned = planned(tag, rules, flavor, git);
        assert_eq!(movements(&planned, registry), expected, "{tag}: {rules} ({flavor})");
    }
}

#[test]
fn a_line_tells_what_outranks_it() {
    let line = |prefix: &str| Line::new(semver::Version::new(1, 4, 2), prefix, vec![1]);
    for (prefix, tags, expected) in [
        ("", &["1.4.2", "v1.4.1", "2.0.0"][..], None),
        ("", &["v1.5.0", "1.6.0-rc.1", "1.4.9"], Some("1.5.0")),
        ("v", &["v1.5.0"], Some("1.5.0")),
        ("v", &["1.5.0"], Some("1.5.0")),
        ("api/v", &["api/v1.5.0", "1.6.0", "web/v1.7.0"], Some("1.5.0")),
        ("dev", &["dev1.5.0", "1.6.0"], Some("1.5.0")),
    ] {
        let outranked = line(prefix).outranked_by(tags.iter().copied()).map(|version| version.to_string());
        assert_eq!(outranked.as_deref(), expected, "{prefix}: {tags:?}");
    }
    assert_eq!(line("").scheme, Scheme::Semver);
}

#[test]
fn events_can_be_of_a_part_or_a_version() {
    let event = Event {
        reference: Some("refs/tags/api/v1.2.3".to_owned()),
        git_tags: vec!["api/v1.0.0".to_owned(), "web/v2.0.0".to_owned()],
        ..Event::default()
    };
    let part = event.clone().of_part("api/");
    assert_eq!((part.tag(), &part.git_tags[..]), (Some("v1.2.3"), &["v1.0.0".to_owned()][..]));
    assert_eq!(event.clone().of_part("web/").reference, None);
    assert_eq!(event.clone().of_part("").tag(), Some("api/v1.2.3"));
    assert_eq!(event.of_version("2.0.0").tag(), Some("2.0.0"));
}

#[test]
fn notes_say_why_there_is_no_tag() {
    let notes = |tag: &str, rules: &str| {
        let planned = planned(tag, rules, "", &[]);
        let told =
            planned.notes.iter().map(|note| format!("{}{}", if note.warning { "! " } else { "" }, note.text));
        told.collect::<Vec<_>>().join("; ")
    };
    for (tag, rules, expected) in [
        (
            "v1",
            "semver",
            "! `v1` is no semantic version; ! `v1` is no semantic version; ! `v1` is no semantic version",
        ),
        (
            "x",
            "branch | pr | type=schedule | type=edge",
            "there is no schedule; there is no branch; there is no branch; there is no pull request",
        ),
        ("x", "type=raw,value=y,enable=false", "it is not enabled"),
        ("x", "type=raw,value={{branch}}", "it gives an empty text"),
        ("x", "type=raw,value=a{{version}}", "! `{{version}}` is empty here"),
        ("v1.0.0", "type=semver,pattern={{version}}{{sha}}", "! `{{sha}}` is empty here"),
        ("x", "type=raw,value=a,branch=b", "! `branch` means nothing to a rule of this type"),
        ("x", "type=match,pattern=y", "! the pattern does not match `x`"),
        ("x", "type=match,pattern=x,group=2", "! the pattern has no group 2 in `x`"),
        ("v0.1.0", "semver", "versions 0.y.z promise nothing that one number could stand for"),
    ] {
        assert_eq!(notes(tag, rules), expected, "{tag}: {rules}");
    }
}

#[test]
fn what_is_no_tag_is_refused() {
    let long = "a".repeat(129);
    for (rule, expected) in [
        ("type=raw,value=-x".to_owned(), "it gives `-x`, which is no tag"),
        ("type=raw,value=.x".to_owned(), "it gives `.x`, which is no tag"),
        (format!("type=raw,value={long}"), "which is too long for a tag"),
        ("type=raw,value=x,enable={{branch}}".to_owned(), "enable is ``, which is neither true nor false"),
        ("type=raw,value={{date 'YYYY' tz='x/y'}}".to_owned(), "there is no time zone `x/y`"),
    ] {
        let rules = Rule::parse_all(&rule).unwrap();
        let error = plan(&rules, &Flavor::default(), &Event::default()).expect_err(&rule);
        assert!(error.to_string().contains(expected), "{error}");
    }
}
