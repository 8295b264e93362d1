//! Resolution, as tables.

use std::{fs, path::Path};

use clap::Parser;

use super::*;
use crate::{
    error::Explain,
    oci::{Platform, Reference},
    output::Output,
    recipe::{ContextSource, Defaults, ImageSource},
    registry::Ecr,
    source::SourceFile,
};

#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    global: GlobalFlags,
    #[command(flatten)]
    build: BuildFlags,
}

struct Project {
    folder: tempfile::TempDir,
    vars: Vec<(&'static str, &'static str)>,
}

impl Project {
    fn new(files: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        Self { folder, vars: vec![("HOME", "/home/me")] }
    }

    fn environment(&self) -> Environment {
        Environment::of(self.folder.path(), self.vars.iter().copied())
    }

    fn global(&self, arguments: &str) -> Result<GlobalSettings, String> {
        let flags = parse(arguments)?;
        GlobalSettings::resolve(&flags.global, &self.environment()).map_err(|error| error.to_string())
    }

    fn build(&self, arguments: &str) -> Result<BuildSettings, String> {
        let flags = parse(arguments)?;
        let global = self.global(arguments)?;
        BuildSettings::resolve(&flags.build, &global, &self.environment()).map_err(|error| {
            [error.to_string()].into_iter().chain(error.hints()).collect::<Vec<_>>().join(" | ")
        })
    }
}

fn parse(arguments: &str) -> Result<Flags, String> {
    Flags::try_parse_from(["imgbuild"].into_iter().chain(arguments.split_whitespace()))
        .map_err(|error| error.to_string())
}

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

#[test]
fn outputs_are_spelled_as_in_buildx() {
    let here = Path::new("/w");
    let oci = |dest: &str, tar| Some(Output::Oci { dest: dest.into(), tar });
    for (text, expected) in [
        ("out", Some(Output::Local { dest: "/w/out".into() })),
        ("-", Some(Output::Tar { dest: None })),
        ("type=local,dest=/o", Some(Output::Local { dest: "/o".into() })),
        ("type=oci,dest=out", oci("/w/out", false)),
        ("type=oci,dest=out.tar", oci("/w/out.tar", true)),
        ("type=oci,dest=out.tar,tar=false", oci("/w/out.tar", false)),
        ("type=oci,\"dest=a,b\"", oci("/w/a,b", false)),
        ("\"type=oci\",\"dest=a\"\"b\"", oci("/w/a\"b", false)),
        ("type=docker,dest=d.tar", Some(Output::Docker { dest: "/w/d.tar".into() })),
        ("type=docker", Some(Output::Load)),
        ("type=tar,dest=-", Some(Output::Tar { dest: None })),
        ("type=tar,dest=r.tar", Some(Output::Tar { dest: Some("/w/r.tar".into()) })),
        ("type=registry", Some(Output::Registry)),
        ("type=image,push=true", Some(Output::Registry)),
        ("type=image", None),
    ] {
        assert_eq!(parse_output(text, here).map(|flag| flag.output), Ok(expected), "{text}");
    }
    let full =
        parse_output("type=image,name=a:1,push=true,compression=zstd,compression-level=9", here).unwrap();
    assert_eq!(full.names, ["a:1"]);
    assert_eq!((full.compression, full.compression_level), (Some(CompressionKind::Zstd), Some(9)));
}

#[test]
fn outputs_that_are_wrong() {
    for (text, words) in [
        ("", "it is empty"),
        ("type=oci", "dest is missing"),
        ("type=oci,dest=", "dest is missing"),
        ("type=oci,dest=-", "needs a path"),
        ("type=oic,dest=x", "type \"oic\" is not known"),
        ("dest=x", "type is missing"),
        ("type=oci,dest=a,b", "\"b\" is not of the form key=value"),
        ("type=oci,\"dest=a", "a quote is not closed"),
        ("type=oci,\"dest=a\"b", "a quote is not closed"),
        ("type=oci,dets=a", "\"dets\" is not known"),
        ("type=local,dest=a,push=true", "push goes with type=image"),
        ("type=registry,dest=a", "has no dest"),
        ("type=oci,dest=a,tar=maybe", "neither true nor false"),
        ("type=image,compression=lzma", "none of gzip, zstd, none"),
        ("type=image,oci-mediatypes=false", "OCI media types"),
    ] {
        let error = parse_output(text, Path::new("/w")).expect_err(text).to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn what_is_built_is_found_in_this_order() {
    let everything =
        ["imgbuild.yaml", "imgbuild.yml", "build-specs/b.yaml", "build-specs/a.yml", "Dockerfile"];
    let ignored = ["build-specs/notes.txt", "build-specs/.hidden.yaml"];
    for (from, expected) in [
        (0, &["imgbuild.yaml"][..]),
        (1, &["imgbuild.yml"]),
        (2, &["build-specs/a.yml", "build-specs/b.yaml"]),
    ] {
        let project = Project::new(&[&everything[from..], &ignored].concat());
        let expected: Vec<_> =
            expected.iter().map(|name| BuildFile::Spec(project.folder.path().join(name))).collect();
        assert_eq!(discover(project.folder.path()), Ok(expected), "{from}");
    }
    for (files, expected) in
        [(&["Dockerfile", "Containerfile"][..], "Dockerfile"), (&["Containerfile"], "Containerfile")]
    {
        let project = Project::new(files);
        let dockerfile = project.folder.path().join(expected);
        assert_eq!(discover(project.folder.path()), Ok(vec![BuildFile::Dockerfile(dockerfile)]));
    }
    let error = discover(Project::new(&[]).folder.path()).expect_err("empty");
    assert!(
        error
            .to_string()
            .contains("no imgbuild.yaml, no build-specs/*.yaml, no Dockerfile and no Containerfile")
    );
    assert_eq!(error.kind(), crate::error::Kind::NotFound);
}

#[test]
fn a_file_is_taken_from_where_it_is() {
    let project = Project::new(&["app/main.py", "specs/x.yaml", "imgbuild.yaml", "docker/prod"]);
    let settings = project.build("-f specs/x.yaml -f docker/prod -f - app").unwrap();
    let at = |name: &str| project.folder.path().join(name);
    let expected = [
        BuildFile::Spec(at("specs/x.yaml")),
        BuildFile::Dockerfile(at("docker/prod")),
        BuildFile::StandardInput,
    ];
    assert_eq!(settings.files, expected);
    let context = ContextSource::Directory(project.folder.path().join("app"));
    assert_eq!(settings.request.contexts[""], context);
}

#[test]
fn what_is_for_one_image_goes_with_one_spec() {
    let project = Project::new(&["build-specs/a.yaml", "build-specs/b.yaml"]);
    assert_eq!(project.build("--push --load").map(|settings| settings.files.len()), Ok(2));
    for flag in ["-t x", "-o out", "-o -", "--iidfile x", "--metadata-file x"] {
        let error = project.build(flag).expect_err(flag);
        assert!(error.contains("there are 2 files to build | choose one of them with -f"), "{error}");
        assert!(project.build(&format!("{flag} -f build-specs/a.yaml")).is_ok(), "{flag}");
    }
}

#[test]
fn flags_become_settings() {
    let mut project = Project::new(&["imgbuild.yaml", "lib/x"]);
    project.vars.extend([("TOKEN", "t"), ("EMPTY", ""), ("SOURCE_DATE_EPOCH", "12")]);
    let settings = project
        .build(
            "--platform linux/amd64,linux/arm64 --platform linux/x86_64 --target app --build-arg A=1=2 --build-arg \
             TOKEN --build-arg EMPTY --build-arg UNSET --build-context lib=lib --build-context \
             base=docker-image://alpine:3 -t app -t ghcr.io/me/app:1 --label a=b --annotation k=v --annotation \
             index:i=j --annotation manifest,index:both=1 --push -o type=registry -o out --compression zstd \
             --compression-level 9 -j 3 --no-cache-filter a,b --pull",
        )
        .unwrap();
    let request = &settings.request;
    let platforms: Vec<_> = request.platforms.iter().map(Platform::to_string).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    assert_eq!(request.target.as_deref(), Some("app"));
    let args: Vec<_> = request.args.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(args, ["A=1=2", "EMPTY=", "TOKEN=t"]);
    assert_eq!(request.contexts["lib"], ContextSource::Directory(project.folder.path().join("lib")));
    assert_eq!(request.contexts["base"], ContextSource::Image(ImageSource::Reference(reference("alpine:3"))));
    assert_eq!(request.source_date_epoch, Some(12));
    assert_eq!(settings.image.tags, [reference("app:latest"), reference("ghcr.io/me/app:1")]);
    let keys = |map: &std::collections::BTreeMap<String, String>| map.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&settings.image.annotations.manifest), ["both", "k"]);
    assert_eq!(keys(&settings.image.annotations.index), ["both", "i"]);
    let local = Output::Local { dest: project.folder.path().join("out") };
    assert_eq!(settings.outputs, [Output::Registry, local]);
    assert_eq!(settings.compression, Compression { kind: CompressionKind::Zstd, level: Some(9) });
    assert_eq!(settings.jobs.get(), 3);
    assert!(settings.cache.pull && settings.cache.no_cache_filter.contains("b") && !settings.cache.no_cache);
}

#[test]
fn contexts_come_from_anywhere() {
    let project = Project::new(&["imgbuild.yaml", "github.com/me/app/imgbuild.yaml"]);
    let awaited = |text: &str| {
        let settings = project.build(text).unwrap();
        assert!(settings.files.is_empty() == settings.awaited.is_some(), "{text}");
        settings.awaited.map(|awaited| awaited.context)
    };
    let git = |text: &str| match awaited(text) {
        Some(MainContext::Source(ContextSource::Git(git))) => (git.remote, git.reference, git.subdirectory),
        other => panic!("{text}: {other:?}"),
    };
    let (main, sub) = (Some("main".to_owned()), Some("sub".to_owned()));
    assert_eq!(git("https://h/x.git#main:sub"), ("https://h/x.git".into(), main, sub));
    assert_eq!(git("github.com/me/x").0, "https://github.com/me/x");
    assert_eq!(git("git@h:x").0, "git@h:x");
    assert_eq!(awaited("-"), Some(MainContext::StandardInput));
    let url = "https://h/x.tgz".to_owned();
    assert_eq!(awaited(&url), Some(MainContext::Source(ContextSource::Url(url.clone()))));
    // A directory of this name is one.
    assert_eq!(awaited("github.com/me/app"), None);
    assert_eq!(awaited("."), None);
    let settings = project.build(&format!("--build-context a={url} --build-context b=git://h/x")).unwrap();
    assert_eq!(settings.request.contexts["a"], ContextSource::Url(url));
    assert!(matches!(settings.request.contexts["b"], ContextSource::Git(_)));
}

#[test]
fn flags_that_are_wrong() {
    let mut project = Project::new(&["imgbuild.yaml", "folder/Dockerfile", "notes.txt"]);
    for (arguments, words) in [
        ("--platform arm64", "did you mean `linux/arm64`?"),
        ("-t App", "did you mean `app`?"),
        ("-t app@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "it has a digest"),
        ("--label x", "--label \"x\" is not of the form KEY=VALUE"),
        ("--annotation indx:a=b", "did you mean `index`?"),
        ("--build-arg =x", "not of the form NAME[=VALUE] | write it as in --build-arg VERSION=1.0"),
        ("--build-context a=nowhere", "nowhere is not a directory"),
        ("--build-context a=oci-layout://nowhere", "nowhere does not exist"),
        ("-f folder", "is a directory, not a file to build"),
        ("-f - -f -", "standard input can be read once"),
        ("-f missing.yaml", "missing.yaml does not exist"),
        ("nowhere", "the context nowhere does not exist"),
        ("notes.txt", "the context notes.txt is not a directory"),
        (
            "ftp://me:hidden@example.com/x",
            "a Git repository, an http or https URL or `-`, not ftp://example.com/x",
        ),
        ("https://example.com/x.git?depth=1", "the query of https://example.com/x.git may say"),
        ("- -f -", "cannot both be standard input"),
        ("--jobs 0", "--jobs must be at least 1"),
        ("--compression-level 13", "not between 0 and 12"),
        ("--compression zstd --compression-level 23", "not between 1 and 22"),
        ("-o a -o a", "two outputs go to one place"),
        ("-q -o -", "both write to standard output"),
        ("-o type=image,compression=gzip -o type=image,compression=zstd", "different compressions"),
        (
            "--registry-mirror foo",
            "--registry-mirror \"foo\" is not of the form HOST=MIRROR | write it as in --registry-mirror docker.io=",
        ),
        ("--registry-mirror docker.io=a/b?c", "is not HOST"),
        ("--insecure-registry http://host:1", "write `host:1`"),
        ("--ca nowhere.pem", "failed to read the CA file"),
    ] {
        let error = project.build(arguments).expect_err(arguments);
        assert!(error.contains(words), "{arguments}: {error}");
    }
    project.vars.push(("SOURCE_DATE_EPOCH", "yesterday"));
    assert!(project.build("").expect_err("no number").contains("SOURCE_DATE_EPOCH is \"yesterday\""));
}

#[test]
fn the_home_is_the_first_that_is_named() {
    let mut project = Project::new(&[]);
    let home = |project: &Project, arguments: &str| project.global(arguments).map(|global| global.home);
    assert_eq!(home(&project, ""), Ok("/home/me/.cache/imgbuild".into()));
    project.vars.push(("XDG_CACHE_HOME", "/cache"));
    assert_eq!(home(&project, ""), Ok("/cache/imgbuild".into()));
    fs::write(project.folder.path().join("c.toml"), "home = 'from-file'").unwrap();
    let from_file = project.folder.path().join("from-file");
    assert_eq!(home(&project, "--config c.toml"), Ok(from_file));
    project.vars.push(("IMGBUILD_HOME", "/env"));
    assert_eq!(home(&project, "--config c.toml"), Ok("/env".into()));
    assert_eq!(home(&project, "--home /flag"), Ok("/flag".into()));
    project.vars.clear();
    assert!(home(&project, "").expect_err("nowhere").contains("HOME is not set"));
}

#[test]
fn progress_comes_from_flags_then_the_environment() {
    let mut project = Project::new(&[]);
    let progress = |project: &Project, arguments: &str| {
        project.global(arguments).map(|global| (global.progress, global.quiet))
    };
    assert_eq!(progress(&project, ""), Ok((Progress::Auto, false)));
    assert_eq!(progress(&project, "-q"), Ok((Progress::Quiet, true)));
    assert_eq!(progress(&project, "-q --progress plain"), Ok((Progress::Plain, true)));
    project.vars.push(("IMGBUILD_PROGRESS", "json"));
    assert_eq!(progress(&project, ""), Ok((Progress::Json, false)));
    assert_eq!(progress(&project, "--progress tty"), Ok((Progress::Tty, false)));
    project.vars.push(("IMGBUILD_PROGRESS", "pretty"));
    assert!(progress(&project, "").expect_err("wrong").contains("none of auto, tty"));
}

#[test]
fn tags_come_from_flags_then_the_spec() {
    let defaults = |tags: &[&str], registries: &[&str], name: Option<&str>| Defaults {
        name: name.map(str::to_owned),
        tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
        registries: registries.iter().map(|&registry| registry.to_owned()).collect(),
        ..Defaults::default()
    };
    let resolve = |flags: &[Reference], defaults: &Defaults| {
        resolve_tags(flags, defaults)
            .map(|tags| tags.iter().map(Reference::familiar).collect::<Vec<_>>())
            .map_err(|error| error.to_string())
    };
    let two = ["docker.io/me", "ghcr.io/me"];
    for (defaults, expected) in [
        (defaults(&[], &[], None), &[][..]),
        (defaults(&[], &[], Some("app")), &["app:latest"]),
        (defaults(&["1.0", "1"], &[], Some("app")), &["app:1.0", "app:1"]),
        (defaults(&["1.0"], &two, Some("app")), &["me/app:1.0", "ghcr.io/me/app:1.0"]),
        (defaults(&["quay.io/x/y:2", "2"], &two[..1], Some("app")), &["quay.io/x/y:2", "me/app:2"]),
    ] {
        assert_eq!(resolve(&[], &defaults), Ok(expected.iter().map(|&tag| tag.to_owned()).collect()));
        assert_eq!(resolve(&[reference("z:1")], &defaults), Ok(vec!["z:1".to_owned()]));
    }
    assert!(
        resolve(&[], &defaults(&["1.0"], &[], None)).expect_err("no name").contains("no name to go with")
    );
    assert!(resolve(&[], &defaults(&["a b"], &[], Some("x"))).is_err());
}

#[test]
fn registries_from_flags_are_put_on_those_of_the_file() {
    let project = Project::new(&["imgbuild.yaml", "ca.pem"]);
    let text = "[registry.'docker.io']\nmirrors = ['file:1', 'http://plain/prefix']\n[registry.'r:5000']\ninsecure = true\nca = 'ca.pem'\n";
    fs::write(project.folder.path().join("c.toml"), text).unwrap();
    let settings = project
        .build(
            "--config c.toml --registry-mirror docker.io=a --registry-mirror docker.io=b --insecure-registry \
             [::1]:5000 --ca ca.pem",
        )
        .unwrap();
    let hub = &settings.registry.hosts["docker.io"];
    assert_eq!(hub.mirrors, ["a", "b", "file:1", "http://plain/prefix"]);
    let ca = project.folder.path().join("ca.pem");
    let own = HostSettings { insecure: true, ca: vec![ca.clone()], ..HostSettings::default() };
    assert_eq!(settings.registry.hosts["r:5000"], own);
    assert!(settings.registry.hosts["[::1]:5000"].insecure);
    assert_eq!(settings.registry.ca, [ca]);
}

#[test]
fn images_are_references_or_layouts() {
    let project = Project::new(&["out/index.json", "a:b/index.json"]);
    let at = |path: &str, name: Option<&str>| ImageSource::Layout {
        path: project.folder.path().join(path),
        name: name.map(str::to_owned),
    };
    let environment = project.environment();
    for (text, expected) in [
        ("alpine:3", ImageSource::Reference(reference("alpine:3"))),
        ("oci:out", at("out", None)),
        ("oci:out:v1", at("out", Some("v1"))),
        ("oci:out:docker.io/x/y:1", at("out", Some("docker.io/x/y:1"))),
        ("oci:a:b", at("a:b", None)),
        ("oci:a:b:c", at("a:b", Some("c"))),
        ("oci-layout://out@sha256:00", at("out", Some("sha256:00"))),
    ] {
        assert_eq!(parse_target(text, &environment), Ok(expected), "{text}");
    }
    for bad in ["oci:", "oci:nowhere", "Not/A/Reference", ""] {
        assert!(parse_target(bad, &environment).is_err(), "{bad}");
    }
}

#[test]
fn configuration_files_that_are_wrong() {
    let mut all = String::new();
    for text in [
        "[build\n",
        "hone = 1\n",
        "something = 1\n",
        "home = 1\n",
        "[build]\njobs = 0\n",
        "[build]\njobz = 1\n",
        "[build]\ncompression = \"xz\"\n",
        "[registry.\"a/b\"]\n",
        "[registry.host]\nmirror = []\n",
        "[registry.host]\nmirrors = [\"ok\", \"not ok\"]\n",
        "[registry.host]\ninsecure = \"yes\"\n",
        "registry = 3\n",
    ] {
        let file = SourceFile::new("imgbuild.toml", text);
        let error = ConfigFile::parse(&file, Path::new("/c")).expect_err(text);
        let rendered = crate::report::render_failure(&error);
        all.push_str(&format!("{}\n", anstream::adapter::strip_str(&rendered)));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn a_whole_configuration_file() {
    let text = "home = 'h'\n[build]\njobs = 0x4\ncompression = 'zstd'\n[registry.'docker.io']\nmirrors = ['m:1']\nca = '/x.pem'\n";
    let config = ConfigFile::parse(&SourceFile::new("imgbuild.toml", text), Path::new("/c")).unwrap();
    assert_eq!(config.home, Some("/c/h".into()));
    assert_eq!(
        config.build,
        BuildConfig { jobs: Some(4), compression: Some(CompressionKind::Zstd), emulators: Vec::new() }
    );
    let hub = RegistryConfig {
        mirrors: vec!["m:1".into()],
        insecure: false,
        ca: Some("/x.pem".into()),
        chunk: None,
        ecr: None,
    };
    assert_eq!(config.registries["docker.io"], hub);
}

#[test]
fn registries_of_ecr_under_other_names() {
    let parse = |keys: &str| {
        let text = format!("[registry.'images.example:5000']\n{keys}\n");
        ConfigFile::parse(&SourceFile::new("imgbuild.toml", text), Path::new("/c"))
    };
    let ecr = |account: Option<&str>| Ecr::Private {
        account: account.map(str::to_owned),
        region: "eu-west-1".into(),
        fips: false,
        dual_stack: false,
    };
    for (keys, expected) in [
        ("insecure = true", None),
        ("kind = 'ecr'\nregion = 'eu-west-1'", Some(ecr(None))),
        ("account = '123456789012'\nregion = 'eu-west-1'\nkind = 'ecr'", Some(ecr(Some("123456789012")))),
        ("kind = 'ecr-public'", Some(Ecr::Public)),
    ] {
        assert_eq!(parse(keys).unwrap().registries["images.example:5000"].ecr, expected, "{keys}");
    }
    for keys in [
        "kind = 'ecr'",
        "kind = 'acr'",
        "region = 'eu-west-1'",
        "kind = 'ecr'\nregion = 'a.b'",
        "kind = 'ecr'\nregion = 'eu-west-1'\naccount = 'me'",
        "kind = 1",
    ] {
        assert!(parse(keys).is_err(), "{keys}");
    }
}

#[test]
fn the_closest_word() {
    let words = ["platform", "target", "tag"];
    assert_eq!(closest("platfrom", words), Some("platform"));
    assert_eq!(closest("plat", words), Some("platform"));
    assert_eq!(closest("tga", words), Some("tag"));
    assert_eq!(closest("network", words), None);
}
