//! The config of an image.

use serde_json::json;

use super::{TestContext, history};

#[test]
fn every_config_instruction_is_in_the_config() {
    let ctx = TestContext::new();
    let image = ctx.image_of_dockerfile(
        r#"# syntax=docker/dockerfile:1
ARG VERSION=1.0
FROM scratch AS base
ARG VERSION
ENV A=1 B="x y"
LABEL version=$VERSION
FROM base
MAINTAINER A. U. Thor
ENV C=$A
EXPOSE 8000-8001 53/udp
VOLUME /data
USER 5:6
WORKDIR /w
WORKDIR sub
STOPSIGNAL SIGINT
SHELL ["/bin/ash", "-c"]
HEALTHCHECK --interval=30s --retries=3 CMD check it
CMD run $C
ENTRYPOINT ["/e"]
ONBUILD COPY . /
"#,
        &["--build-arg", "VERSION=2.0"],
    );
    let expected = json!({
        "User": "5:6",
        "ExposedPorts": {"53/udp": {}, "8000/tcp": {}, "8001/tcp": {}},
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "A=1", "B=x y", "C=1"],
        "Entrypoint": ["/e"],
        "Cmd": ["/bin/ash", "-c", "run $C"],
        "Volumes": {"/data": {}},
        "WorkingDir": "/w/sub",
        "Labels": {"version": "2.0"},
        "StopSignal": "SIGINT",
        "Healthcheck": {"Test": ["CMD-SHELL", "check it"], "Interval": 30_000_000_000_u64, "Retries": 3},
        "OnBuild": ["COPY . /"],
        "Shell": ["/bin/ash", "-c"],
    });
    assert_eq!(image.config["config"], expected);
    assert_eq!(image.config["author"], "A. U. Thor");
    assert_eq!(
        history(&image),
        [
            "- ARG VERSION=2.0",
            "- ENV A=1 B=x y",
            "- LABEL version=2.0",
            "- MAINTAINER A. U. Thor",
            "- ENV C=1",
            "- EXPOSE [8000/tcp 8001/tcp 53/udp]",
            "- VOLUME [/data]",
            "- USER 5:6",
            "WORKDIR /w",
            "WORKDIR /w/sub",
            "- STOPSIGNAL SIGINT",
            "- SHELL [/bin/ash -c]",
            "- HEALTHCHECK --interval=30s --retries=3 CMD check it",
            "- CMD [\"/bin/ash\" \"-c\" \"run $C\"]",
            "- ENTRYPOINT [\"/e\"]",
        ]
    );
    // Made for the user of there.
    assert_eq!(image.member("w/sub").line(), "w/sub d 755 5:6");
}

#[test]
fn healthcheck_none_and_empty_commands_take_away() {
    let ctx = TestContext::new();
    ctx.image_of_dockerfile(
        "FROM scratch\nHEALTHCHECK CMD x\nCMD [\"c\"]\nENTRYPOINT [\"e\"]\n",
        &["-t", "base"],
    );
    let image = ctx.image_of_dockerfile("FROM base\nHEALTHCHECK NONE\nENTRYPOINT []\n", &[]);
    assert_eq!(image.run("Healthcheck"), &json!({"Test": ["NONE"]}));
    assert!(image.run("Cmd").is_null() && image.run("Entrypoint").is_null());
}

#[test]
fn working_directories_that_are_there_stay_as_they_are() {
    let ctx = TestContext::new();
    ctx.write("x", "");
    let image = ctx.image_of_dockerfile(
        "FROM scratch\nCOPY --chown=7:8 --chmod=700 x /app/x\nWORKDIR /app\nUSER 5\nWORKDIR /new/deep\nWORKDIR /\n",
        &[],
    );
    let layers: Vec<Vec<String>> =
        image.layers.iter().map(|layer| layer.iter().map(|member| member.line()).collect()).collect();
    assert_eq!(layers[1], [""; 0]);
    assert_eq!(layers[2], ["new d 755 5:5", "new/deep d 755 5:5"]);
    assert_eq!((layers.len(), image.run("WorkingDir").as_str()), (3, Some("/")));
}
