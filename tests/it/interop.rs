//! The sample, built for two platforms, in the hands of other people's tools: from a layout, from an archive and from
//! a real registry. A tool that is not installed is a failure.

use std::{fs, os::unix::fs::MetadataExt, path::Path, process::Command};

use tempfile::TempDir;

use crate::{
    docker::Docker,
    tools::{PlainRegistry, imgbuild, joined, repository, run, run_json, tool},
};

const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

/// Builds the sample with these further arguments.
#[track_caller]
fn build(home: &Path, arguments: &[&str]) {
    let mut command = imgbuild(home);
    command.args(["build", "-f", "build-specs/hello.yaml"]).args(arguments).arg(".");
    run(command.current_dir(repository()));
}

/// Builds the sample as a layout in `folder/layout`.
fn layout(folder: &Path) -> std::path::PathBuf {
    let layout = folder.join("layout");
    let output = format!("type=oci,dest={}", layout.display());
    build(folder, &["--platform", "linux/amd64,linux/arm64", "-o", &output]);
    layout
}

/// Pushes the sample to a registry and gives its reference.
fn pushed(folder: &Path, registry: &PlainRegistry) -> String {
    let reference = format!("{}/sample/hello:1", registry.host());
    build(folder, &["-t", &reference, "--push", "--insecure-registry", registry.host()]);
    reference
}

/// What the program says when it runs as the image wants it to.
fn greeting(architecture: &str) -> String {
    format!(
        "hello from imgbuild on linux/{architecture}\ngreeting: good morning\nversion: 0.1.0 (linux/{architecture})\n\
         uid: 10001\ngid: 10001\n"
    )
}

fn skopeo() -> Command {
    tool("skopeo", "skopeo")
}

/// Checks what skopeo tells of each platform's image.
#[track_caller]
fn inspected(transport: &std::ffi::OsStr) {
    for architecture in ARCHITECTURES {
        let mut command = skopeo();
        command.args(["--override-arch", architecture, "inspect", "--no-tags"]).arg(transport);
        if transport.to_string_lossy().starts_with("docker:") {
            command.arg("--tls-verify=false");
        }
        let told = run_json(&mut command);
        assert_eq!(told["Architecture"], architecture);
        assert_eq!(told["Os"], "linux");
        assert_eq!(told["Labels"]["org.opencontainers.image.version"], "0.1.0");
        let env = told["Env"].as_array().expect("an array of variables");
        assert!(env.iter().any(|variable| variable == "GREETING=good morning"), "{env:?}");
    }
}

#[test]
fn skopeo_reads_the_layout() {
    let folder = TempDir::new().unwrap();
    let from = joined("oci:", &layout(folder.path()));
    inspected(&from);
    // A copy recomputes every digest, and one as Docker's archive unpacks every layer and checks its diff ID.
    run(skopeo()
        .args(["copy", "--quiet", "--all"])
        .arg(&from)
        .arg(joined("dir:", &folder.path().join("copy"))));
    for architecture in ARCHITECTURES {
        let archive = joined("docker-archive:", &folder.path().join(format!("{architecture}.tar")));
        run(skopeo().args(["--override-arch", architecture, "copy", "--quiet"]).arg(&from).arg(archive));
    }
}

#[test]
fn skopeo_reads_the_registry() {
    let folder = TempDir::new().unwrap();
    let registry = PlainRegistry::start();
    let reference = format!("docker://{}", pushed(folder.path(), &registry));
    inspected(reference.as_ref());
    let to = joined("dir:", &folder.path().join("copy"));
    run(skopeo().args(["copy", "--quiet", "--all", "--src-tls-verify=false", &reference]).arg(to));
}

#[test]
fn umoci_unpacks_what_runs_on_both_platforms() {
    let folder = TempDir::new().unwrap();
    let from = joined("oci:", &layout(folder.path()));
    for architecture in ARCHITECTURES {
        // umoci takes no index: each platform gets a layout of its own.
        let single = folder.path().join(architecture);
        let mut to = joined("oci:", &single);
        to.push(":sample");
        run(skopeo().args(["--override-arch", architecture, "copy", "--quiet"]).arg(&from).arg(&to));

        let bundle = folder.path().join(format!("{architecture}-bundle"));
        let root = rustix::process::geteuid().is_root();
        let mut umoci = tool("umoci", "umoci");
        umoci.arg("unpack").args((!root).then_some("--rootless"));
        run(umoci.arg("--image").arg(folder.path().join(format!("{architecture}:sample"))).arg(&bundle));

        let rootfs = bundle.join("rootfs");
        let version = fs::read_to_string(rootfs.join("app/VERSION")).unwrap();
        assert_eq!(version, format!("0.1.0 (linux/{architecture})\n"));
        assert_eq!(fs::read_link(rootfs.join("hello")).unwrap(), Path::new("usr/bin/hello"));
        let text = fs::metadata(rootfs.join("app/site/about.txt")).unwrap();
        assert_eq!(text.mode() & 0o7777, 0o640);
        assert_eq!(fs::metadata(rootfs.join("app/site")).unwrap().mode() & 0o7777, 0o750);
        if root {
            assert_eq!((text.uid(), text.gid()), (10001, 10001));
        }

        let program = rootfs.join("usr/bin/hello");
        let mut command = match architecture {
            "arm64" if cfg!(target_arch = "x86_64") => tool("qemu-aarch64-static", "qemu-user-static"),
            "amd64" if cfg!(target_arch = "aarch64") => tool("qemu-x86_64-static", "qemu-user-static"),
            _ => Command::new("env"),
        };
        let said = run(command.arg(program));
        let first = said.lines().next();
        assert_eq!(first, Some(format!("hello from imgbuild on linux/{architecture}").as_str()));
    }
}

#[test]
fn podman_loads_and_pulls() {
    let folder = TempDir::new().unwrap();
    let (root, run_root) = (folder.path().join("podman"), folder.path().join("podman-run"));
    let podman = || {
        let mut command = tool("podman", "podman");
        command.arg("--root").arg(&root).arg("--runroot").arg(&run_root).args(["--storage-driver", "vfs"]);
        command
    };
    let architecture = |image: &str| {
        let told = run_json(podman().args(["image", "inspect"]).arg(image));
        assert_eq!(told[0]["Config"]["User"], "app");
        assert_eq!(told[0]["Config"]["Entrypoint"][0], "/usr/bin/hello");
        told[0]["Architecture"].as_str().expect("an architecture").to_owned()
    };

    let registry = PlainRegistry::start();
    let reference = pushed(folder.path(), &registry);
    for wanted in ARCHITECTURES {
        let platform = format!("--platform=linux/{wanted}");
        let id = run(podman().args(["pull", "--quiet", "--tls-verify=false", &platform, &reference]));
        assert_eq!(architecture(id.trim()), wanted);
    }

    // podman names the image after the path, which must then be one that a name can be: no capitals.
    layout(folder.path());
    let id = run(podman().args(["pull", "--quiet", "oci:layout"]).current_dir(folder.path()));
    architecture(id.trim());

    let archive = folder.path().join("hello.tar");
    let output = format!("type=docker,dest={}", archive.display());
    build(folder.path(), &["--platform", "linux/arm64", "-t", "localhost/loaded:1", "-o", &output]);
    run(podman().args(["load", "--quiet", "--input"]).arg(&archive));
    assert_eq!(architecture("localhost/loaded:1"), "arm64");
}

/// Runs the sample; by emulation if the platform is not this machine's.
fn says(docker: &Docker, image: &str, architecture: &str) -> String {
    let emulator = match architecture {
        "arm64" if cfg!(target_arch = "x86_64") => Some("qemu-aarch64-static"),
        "amd64" if cfg!(target_arch = "aarch64") => Some("qemu-x86_64-static"),
        _ => None,
    };
    let platform = format!("--platform=linux/{architecture}");
    let mut command = docker.client();
    command.args(["run", "--rm", "--network=none", &platform]);
    match emulator {
        None => run(command.arg(image)),
        // The kernel need not know the emulator: it is the entry point, and static.
        Some(name) => {
            let path = tool(name, "qemu-user-static").get_program().to_owned();
            let mut mount = path;
            mount.push(":/emulator:ro");
            run(command.arg("-v").arg(mount).args(["--entrypoint=/emulator", image, "/usr/bin/hello"]))
        }
    }
}

#[test]
fn docker_loads_pulls_and_runs() {
    let folder = TempDir::new().unwrap();
    let docker = Docker::start();
    let registry = PlainRegistry::start();
    let reference = pushed(folder.path(), &registry);
    for architecture in ARCHITECTURES {
        let platform = format!("--platform=linux/{architecture}");
        run(docker.client().args(["pull", "--quiet", &platform, &reference]));
        assert_eq!(
            says(&docker, &reference, architecture),
            greeting(architecture),
            "pulled for {architecture}"
        );
    }
    for architecture in ARCHITECTURES {
        let archive = folder.path().join(format!("{architecture}.tar"));
        let (tag, output) =
            (format!("loaded:{architecture}"), format!("type=docker,dest={}", archive.display()));
        build(folder.path(), &["--platform", &format!("linux/{architecture}"), "-t", &tag, "-o", &output]);
        run(docker.client().args(["load", "--quiet", "--input"]).arg(&archive));
        assert_eq!(says(&docker, &tag, architecture), greeting(architecture), "loaded for {architecture}");
    }
    let told = run_json(docker.client().args(["image", "inspect", "loaded:amd64"]));
    assert_eq!(
        told[0]["Config"]["Healthcheck"]["Test"],
        serde_json::json!(["CMD", "/usr/bin/hello", "check"])
    );
    assert_eq!(told[0]["Config"]["Healthcheck"]["Retries"], 3);
    assert_eq!(told[0]["Config"]["User"], "app");
}
