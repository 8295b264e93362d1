//! Rules as they are written, versions, templates, times.

mod movements;
mod random;

use super::{
    Flavor, Latest, Rule, csv, date,
    error::Problem,
    pep440::Pep440,
    template::{Call, Scope, Template},
    version,
};
use crate::error::Explain;

/// What a mistake is told as.
fn told(error: &impl Explain) -> String {
    let mut text = error.to_string();
    for hint in error.hints() {
        text.push_str(&format!(" | {hint}"));
    }
    text
}

#[test]
fn lines_are_split_at_commas() {
    for (line, expected) in [
        ("a", Ok(vec!["a"])),
        ("type=raw, value=x ", Ok(vec!["type=raw", "value=x"])),
        ("a,", Ok(vec!["a", ""])),
        (r#"a,"b,c""#, Ok(vec!["a", "b,c"])),
        (r#""a""b""#, Ok(vec![r#"a"b"#])),
        (r#""type=match,""pattern=a,b"",group=1""#, Ok(vec!["type=match", "pattern=a,b", "group=1"])),
        (r#""a,b""#, Ok(vec!["a", "b"])),
        (r#"a,b"c"#, Err(r#"the quote in `b"c` is not at its beginning"#)),
        (r#""a"#, Err("a quote is not closed")),
        (r#""a"b,c"#, Err("`b,c` follows a closing quote")),
    ] {
        let fields = csv::fields(line).map_err(|problem| problem.to_string());
        let expected =
            expected.map(|fields| fields.into_iter().map(str::to_owned).collect()).map_err(str::to_owned);
        assert_eq!(fields, expected, "{line}");
    }
}

#[test]
fn mistakes_in_rules_are_explained() {
    let all: String = [
        "type=semvr,pattern={{version}}",
        "type=unlike",
        "type=semver",
        "type=semver,patern={{version}}",
        "type=semver,pattern={{versoin}}",
        "type=semver,pattern={{version",
        "type=semver,pattern={{#if major}}x",
        "type=semver,pattern={{#each x}}{{/each}}",
        "type=raw,value={{date}}",
        "type=raw,value={{date 'YYYY' zone='UTC'}}",
        "type=ref",
        "type=ref,event=branches",
        "type=sha,format=lng",
        "type=match,pattern=v(.*",
        "type=match,pattern=v(?=1)",
        "type=match,pattern=/v/x",
        "type=match,pattern=v,group=one",
        "type=raw",
        "type=raw,value=x,priority=high",
        "type=raw,value=x,enable=${{ github.ref == 'x' }}",
        "type=raw,\"value=x",
    ]
    .iter()
    .map(|line| format!("{}\n", told(&Rule::parse_all(line).expect_err(line))))
    .collect();
    insta::assert_snapshot!(all);
}

#[test]
fn flavors_are_read_and_their_mistakes_explained() {
    let flavor = Flavor::parse("# all\nlatest=true\nprefix=a-,onlatest=true\nsuffix=-b\n").unwrap();
    assert_eq!((flavor.latest, flavor.latest_prefix.as_str()), (Latest::Always, "a-"));
    assert_eq!(flavor.latest_suffix, "");
    assert_eq!(Flavor::parse("").unwrap(), Flavor::default());
    for (text, expected) in [
        ("lates=auto", "flavor `lates=auto`: there is no attribute `lates` | did you mean `latest`?"),
        ("latest=yes", "flavor `latest=yes`: latest is `yes`, which is none of auto, true, false"),
        (
            "latest",
            "flavor `latest`: `latest` is not of the form KEY=VALUE | write latest=auto, prefix=TEXT or suffix=TEXT",
        ),
        ("onlatest=true", "flavor `onlatest=true`: onlatest follows neither a prefix nor a suffix"),
        (
            "suffix=a,onlatest=1",
            "flavor `suffix=a,onlatest=1`: onlatest is `1`, which is neither true nor false",
        ),
        ("prefix={{x}}", "flavor `prefix={{x}}`: there is no expression `{{x}}`"),
    ] {
        let error = told(&Flavor::parse(text).expect_err(text));
        assert!(error.starts_with(expected), "{error}");
    }
}

/// Every name is its own value, in angle brackets; `none` is nothing.
struct Echo;

impl Scope for Echo {
    fn value(&self, call: &Call) -> Result<String, Problem> {
        Ok(match call.name.as_str() {
            "none" => String::new(),
            "major" => "0".to_owned(),
            name => format!("<{name}{}{}>", call.arguments.concat(), call.named.len()),
        })
    }
}

#[test]
fn templates_are_rendered() {
    for (text, expected) in [
        ("plain", "plain"),
        ("{{a}}", "&lt;a0&gt;"),
        ("{{{a}}}", "<a0>"),
        ("{{{!--x--}}}", ""),
        ("{{& a }}", "<a0>"),
        ("x{{{ a 'b c' \"d\" k='v' }}}y", "x<ab cd1>y"),
        ("{{{this.a}}}", "<a0>"),
        ("a{{! no }}b{{!-- }} --}}c", "abc"),
        ("{{#if a}}yes{{else}}no{{/if}}", "yes"),
        ("{{#if none}}yes{{else}}no{{/if}}", "no"),
        ("{{#if major}}yes{{else}}no{{/if}}", "no"),
        ("{{#unless none}}yes{{/unless}}", "yes"),
        ("{{#if a}}{{#unless a}}x{{else}}{{{b}}}{{/unless}}{{/if}}", "<b0>"),
        ("a {{~{none}~}} b", "a {{~{none}~}} b"),
        ("a  {{~none~}}  b", "ab"),
        (r"\{{a}} {{none}}", "{{a}} "),
        (r"\\{{none}}x", r"\x"),
        ("{{{ a '}}}' }}}", "<a}}}0>"),
        ("}}", "}}"),
    ] {
        let rendered = Template::parse(text).and_then(|template| template.render(&Echo));
        match expected.contains("{{~{") {
            true => assert!(rendered.is_err(), "{text}"),
            false => assert_eq!(rendered.as_deref(), Ok(expected), "{text}"),
        }
    }
    for text in [
        "{{",
        "{{{!--x--}}",
        "{{}}",
        "{{a",
        "{{'a'}}",
        "{{a 'b}}",
        "{{/if}}",
        "{{else}}",
        "{{#if}}x{{/if}}",
        "{{a=b}}",
    ] {
        assert!(Template::parse(text).is_err(), "{text}");
    }
    assert!(Template::parse(&"{{#if a}}".repeat(1000)).is_err());
}

#[test]
fn times_are_written_as_moment_writes_them() {
    let time = "2020-01-10T15:25:50.123456Z".parse().unwrap();
    for (format, zone, expected) in [
        ("YYYYMMDD", None, "20200110"),
        ("dddd, MMMM Do YYYY, h:mm:ss a", None, "Friday, January 10th 2020, 3:25:50 pm"),
        ("YYYYMMDD-HHmmss", Some("Asia/Tokyo"), "20200111-002550"),
        ("YYYY-MM-DDTHH:mm:ss.SSS[Z]", None, "2020-01-10T15:25:50.123Z"),
        ("SSSSSS S", None, "123000 1"),
        ("[YYYY] \\YYYY YY Y", None, "YYYY YYYY 20 2020"),
        ("M Mo MM MMM Q Qo", None, "1 1st 01 Jan 1 1st"),
        ("D Do DD DDD DDDo DDDD", None, "10 10th 10 10 10th 010"),
        ("d do dd ddd e E", None, "5 5th Fr Fri 5 5"),
        ("w wo ww gg gggg W Wo WW GG GGGG", None, "2 2nd 02 20 2020 2 2nd 02 20 2020"),
        ("H HH h hh k kk A a", None, "15 15 3 03 15 15 PM pm"),
        ("hmm hmmss Hmm Hmmss", None, "325 32550 1525 152550"),
        ("X x", None, "1578669950 1578669950123"),
        ("Z ZZ", Some("America/St_Johns"), "-03:30 -0330"),
        ("z", Some("Asia/Tokyo"), "JST"),
        ("z", None, "UTC"),
        ("LT L LL", None, "3:25 PM 01/10/2020 January 10, 2020"),
        ("YYYY.MM.DD_x[x]", None, "2020.01.10_1578669950123x"),
    ] {
        let text = date::format(time, format, zone).unwrap();
        assert_eq!(text, expected, "{format}");
    }
    for (day, week) in [
        ("2022-12-31", "2022 53"),
        ("2023-01-01", "2023 1"),
        ("2020-12-27", "2021 1"),
        ("2021-01-03", "2021 2"),
    ] {
        let time = format!("{day}T00:00:00Z").parse().unwrap();
        assert_eq!(date::format(time, "gggg w", None).unwrap(), week, "{day}");
    }
    let error = date::format(time, "YYYY", Some("Mars/Olympus")).expect_err("no zone");
    assert_eq!(error.to_string(), "there is no time zone `Mars/Olympus`");
}

#[test]
fn python_versions_have_a_normal_form() {
    for (text, expected) in [
        ("1.2.3", Some("1.2.3")),
        ("v1.2", Some("1.2")),
        (" 1.0 ", Some("1.0")),
        ("1!2.0", Some("1!2.0")),
        ("1.0alpha1", Some("1.0a1")),
        ("1.0-beta.2", Some("1.0b2")),
        ("1.0c", Some("1.0rc0")),
        ("1.0-preview3", Some("1.0rc3")),
        ("1.2.3rc2", Some("1.2.3rc2")),
        ("1.0-1", Some("1.0.post1")),
        ("1.0.rev4", Some("1.0.post4")),
        ("1.0post", Some("1.0.post0")),
        ("1.0a2.post3.dev4+ubuntu_1", Some("1.0a2.post3.dev4+ubuntu.1")),
        ("1.0DEV4", Some("1.0.dev4")),
        ("1.0+", None),
        ("1.0-", None),
        ("1.0x", None),
        ("", None),
        ("main", None),
        ("99999999999999999999999", None),
    ] {
        assert_eq!(Pep440::parse(text).map(|version| version.to_string()).as_deref(), expected, "{text}");
    }
    let order = ["1.0.dev1", "1.0rc1", "1.0", "1.0.post1", "1.0.0.1", "1.0.1", "1.10"];
    let ranks: Vec<_> = order.iter().map(|text| Pep440::parse(text).unwrap().rank()).collect();
    assert!(ranks.is_sorted(), "{ranks:?}");
}

#[test]
fn semantic_versions_are_found_at_the_end() {
    for (text, expected) in [
        ("v1.2.3", Some(("", "1.2.3"))),
        ("api/v1.2.3", Some(("api/", "1.2.3"))),
        ("web2-1.2.3-rc.1", Some(("web2-", "1.2.3-rc.1"))),
        ("dev1.2.3", Some(("dev", "1.2.3"))),
        ("1.2", None),
        ("v1.2.3.4", None),
        ("sometag", None),
    ] {
        let found = version::at_end(text).map(|(before, version)| (before, version.to_string()));
        assert_eq!(found, expected.map(|(before, version)| (before, version.to_owned())), "{text}");
    }
    assert_eq!(version::parse("9007199254740992.0.0"), None);
    assert_eq!(version::parse("=1.2.3"), None);
}
