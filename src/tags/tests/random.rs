//! Whatever is written: a plan or a mistake, and no panic.

use proptest::prelude::*;

use super::Echo;
use crate::tags::{Event, Flavor, Line, Rule, csv, date, pep440::Pep440, plan, template::Template, version};

proptest! {
    #[test]
    fn any_line_is_read_or_refused(line in "[a-z=,\"{}'#\\\\/ .|()\\-]{0,60}", tag in "\\PC{0,20}") {
        if let Ok(rules) = Rule::parse_all(&line) {
            let event = Event { reference: Some(format!("refs/tags/{tag}")), ..Event::default() };
            let _ = plan(&rules, &Flavor::default(), &event);
        }
        let _ = Flavor::parse(&line);
    }

    #[test]
    fn any_rule_gives_tags_or_a_mistake(
        kind in "(type=(schedule|semver|pep440|match|raw|sha|edge|ref)(,event=(branch|tag|pr))?)",
        value in "\\PC{0,30}",
        event in "(refs/(heads|tags|pull)/)?\\PC{0,30}",
    ) {
        let value = value.replace('"', "\"\"");
        let line = format!("{kind},\"pattern={value}\",\"value={value}\",\"prefix={value}\"");
        if let Ok(rules) = Rule::parse_all(&line) {
            let event = Event { name: "schedule".to_owned(), reference: Some(event), sha: Some(value), ..Event::default() };
            if let Ok(planned) = plan(&rules, &Flavor::default(), &event) {
                for tag in &planned.plan.tags {
                    prop_assert!(format!("x:{tag}").parse::<crate::oci::Reference>().is_ok(), "{tag}");
                }
            }
        }
    }

    #[test]
    fn any_text_is_a_template_or_refused(text in "([a-z ~#/!&^.'\"=\\\\-]|\\{\\{\\{?|\\}\\}\\}?|else|if){0,30}") {
        if let Ok(template) = Template::parse(&text) {
            let _ = template.render(&Echo);
        }
    }

    #[test]
    fn text_without_braces_is_itself(text in "[^{\\\\]{0,40}") {
        prop_assert_eq!(Template::parse(&text).unwrap().render(&Echo).unwrap(), text);
    }

    #[test]
    fn quoted_fields_come_back(fields in proptest::collection::vec("[^\r\n]{0,12}", 2..5)) {
        let line: Vec<_> = fields.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect();
        prop_assert_eq!(csv::fields(&line.join(",")).unwrap(), fields);
    }

    #[test]
    fn any_format_is_written(format in "\\PC{0,40}", seconds in -62_000_000_000_i64..250_000_000_000) {
        let time = jiff::Timestamp::from_second(seconds).unwrap();
        prop_assert!(date::format(time, &format, None).is_ok());
    }

    #[test]
    fn the_highest_version_is_never_outranked(
        versions in proptest::collection::vec((0_u64..4, 0_u64..4, 0_u64..4), 1..12),
        shared in 0_usize..3,
    ) {
        let highest = *versions.iter().max().unwrap();
        let numbers = [highest.0, highest.1, highest.2];
        let tags: Vec<_> = versions.iter().map(|(a, b, c)| format!("{a}.{b}.{c}")).collect();
        let of = |(a, b, c): (u64, u64, u64)| Line::new(semver::Version::new(a, b, c), "", numbers[..shared].to_vec());
        prop_assert_eq!(of(highest).outranked_by(tags.iter().map(String::as_str)), None);
        for version in &versions {
            let outranked = of(*version).outranked_by(tags.iter().map(String::as_str));
            prop_assert_eq!(outranked.is_some(), *version < highest);
        }
    }

    #[test]
    fn any_text_is_a_version_or_none(text in "\\PC{0,30}") {
        let _ = (version::parse(&text), version::at_end(&text));
        if let Some(version) = Pep440::parse(&text) {
            prop_assert_eq!(Pep440::parse(&version.to_string()), Some(version));
        }
    }
}
