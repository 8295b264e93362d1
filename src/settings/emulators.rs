//! What runs programs of other platforms: flags, environment and configuration file to options.

use super::{ConfigFile, Environment, SettingsError, env};
use crate::{
    sandbox::Architecture,
    solve::{EMULATORS, EmulatorOptions, EmulatorSource},
};

/// Resolves where emulators are looked for: flags go before the environment, and that before the configuration file.
///
/// # Errors
/// A text that names no emulator.
pub fn emulators(
    flags: &[String],
    config: &ConfigFile,
    environment: &Environment,
) -> Result<EmulatorOptions, SettingsError> {
    let mut given = Vec::new();
    for text in &config.build.emulators {
        given.push(one("build.emulators", text, environment)?);
    }
    let variable = environment.text(env::IMGBUILD_EMULATOR).unwrap_or_default();
    for text in variable.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        given.push(one(env::IMGBUILD_EMULATOR, text, environment)?);
    }
    for text in flags {
        given.push(one("--emulator", text, environment)?);
    }
    let path = environment.get("PATH").map(|path| std::env::split_paths(path).collect()).unwrap_or_default();
    Ok(EmulatorOptions { given, path, image: EMULATORS.parse().ok() })
}

fn one(
    what: &str,
    text: &str,
    environment: &Environment,
) -> Result<(Option<Architecture>, EmulatorSource), SettingsError> {
    let wrong = |reason: &str| {
        SettingsError::new(format!("{what} {text:?}: {reason}"))
            .hint("write it as in qemu-aarch64-static, arm64=/opt/qemu or docker-image://REF")
    };
    let (architecture, source) = match text.split_once('=') {
        Some((name, source)) if !name.contains('/') => {
            let known = Architecture::of_platform(name.strip_prefix("linux/").unwrap_or(name));
            (Some(known.ok_or_else(|| wrong(&format!("no architecture {name:?} is known")))?), source)
        }
        _ => (None, text),
    };
    let source = match source.strip_prefix("docker-image://") {
        Some(reference) => {
            EmulatorSource::Image(reference.parse().map_err(|error| wrong(&format!("{error}")))?)
        }
        None if source.is_empty() => return Err(wrong("there is no file in it")),
        None => EmulatorSource::File(environment.current_dir().join(source)),
    };
    Ok((architecture, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read() {
        let variables = [("PATH", "/a:/b"), (env::IMGBUILD_EMULATOR, "s390x=/s,/q")];
        let environment = Environment::of("/project", variables);
        let flags = ["arm64=qemu".to_owned(), "docker-image://example.com/q:1".to_owned()];
        let options = emulators(&flags, &ConfigFile::default(), &environment).unwrap();
        let file = |path: &str| EmulatorSource::File(path.into());
        assert_eq!(
            options.given,
            [
                (Some(Architecture::S390x), file("/s")),
                (None, file("/q")),
                (Some(Architecture::Arm64), file("/project/qemu")),
                (None, EmulatorSource::Image("example.com/q:1".parse().unwrap())),
            ]
        );
        assert_eq!(options.path, [std::path::PathBuf::from("/a"), "/b".into()]);
        assert_eq!(options.image.unwrap().to_string(), EMULATORS);
        for wrong in ["vax=/q", "arm64=", "docker-image://A B"] {
            let error = emulators(&[wrong.to_owned()], &ConfigFile::default(), &environment).unwrap_err();
            assert!(error.to_string().contains("--emulator"), "{error}");
        }
    }
}
