//! Flags of `docker build`, `buildx build` and `podman build` that scripts pass and that this program has no use for:
//! those that ask for what it does anyhow are taken, and of all others it is said why not, and what to do instead.

use clap::{ArgAction, Args};

use super::{SettingsError, pairs::split_csv};

/// Flags of other builders. None is in the help.
#[derive(Debug, Clone, Default, Args)]
pub struct ForeignFlags {
    /// What to do in place of building.
    #[arg(long, hide = true, value_name = "METHOD")]
    pub call: Option<String>,
    /// As `--call check`.
    #[arg(long, hide = true)]
    pub check: bool,

    // What is so anyhow.
    #[arg(long, hide = true)]
    rm: bool,
    #[arg(long, hide = true)]
    force_rm: bool,
    #[arg(long, hide = true)]
    compress: bool,
    #[arg(long, hide = true)]
    disable_content_trust: bool,
    #[arg(short = 'D', long, hide = true)]
    debug: bool,
    #[arg(long, hide = true)]
    builder: Option<String>,

    // What is so for one value.
    #[arg(long, hide = true)]
    provenance: Option<String>,
    #[arg(long, hide = true)]
    sbom: Option<String>,
    #[arg(long, hide = true)]
    attest: Vec<String>,
    #[arg(long, hide = true)]
    isolation: Option<String>,
    #[arg(long, hide = true)]
    format: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    tls_verify: Option<String>,

    // What is not there.
    #[arg(long, hide = true)]
    squash: bool,
    #[arg(long, hide = true)]
    squash_all: bool,
    #[arg(long, hide = true, action = ArgAction::Append)]
    security_opt: Vec<String>,
    #[arg(long, hide = true)]
    cgroup_parent: Option<String>,
    #[arg(short = 'c', long, hide = true)]
    cpu_shares: Option<String>,
    #[arg(long, hide = true)]
    cpu_period: Option<String>,
    #[arg(long, hide = true)]
    cpu_quota: Option<String>,
    #[arg(long, hide = true)]
    cpuset_cpus: Option<String>,
    #[arg(long, hide = true)]
    cpuset_mems: Option<String>,
    #[arg(short = 'v', long, hide = true)]
    volume: Vec<String>,
}

/// What is done with the file that says what to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// It is built.
    Build,
    /// It is checked.
    Check {
        /// Whether the findings are printed as JSON.
        json: bool,
    },
}

impl ForeignFlags {
    /// What to do with the file. An error if a flag asks for what this program does not have.
    pub fn resolve(&self) -> Result<Call, SettingsError> {
        self.attestations()?;
        self.absent()?;
        match self.isolation.as_deref() {
            None | Some("" | "default") => {}
            Some(other) => {
                return Err(SettingsError::new(format!("--isolation {other:?} is not known"))
                    .hint("--sandbox chooses how steps are kept apart: root, userns, single-id or chroot"));
            }
        }
        match self.format.as_deref() {
            None | Some("oci") => {}
            Some(_) => {
                return Err(SettingsError::new(
                    "--format: images have OCI media types; Docker's are not written",
                )
                .hint("leave it away: Docker and podman read OCI images, with their HEALTHCHECK and SHELL"));
            }
        }
        if self.tls_verify.as_deref().is_some_and(|text| is_true(text) != Some(true)) {
            return Err(SettingsError::new("--tls-verify is for all registries, and that is not there")
                .hint("name the one that may be plain: --insecure-registry HOST[:PORT]"));
        }
        self.called()
    }

    fn attestations(&self) -> Result<(), SettingsError> {
        let wanted = |text: &str| is_true(text) != Some(false);
        let flag = if self.provenance.as_deref().is_some_and(wanted) {
            "--provenance"
        } else if self.sbom.as_deref().is_some_and(wanted) {
            "--sbom"
        } else if !self.attest.iter().all(|text| is_disabled(text)) {
            "--attest"
        } else {
            return Ok(());
        };
        Err(SettingsError::new(format!("{flag}: attestations (provenance, SBOMs) are not made yet")).hint(
            "leave it away, or make them of the pushed image with a tool for that, such as syft and cosign",
        ))
    }

    fn absent(&self) -> Result<(), SettingsError> {
        let one_file =
            "write the steps that belong together as one RUN, or copy the result into a last stage";
        let limits = "--cpus N and --memory BYTES limit steps";
        let flags: [(&str, bool, &str, &str); 10] = [
            ("--squash", self.squash, "layers are not joined", one_file),
            ("--squash-all", self.squash_all, "layers are not joined", one_file),
            (
                "--security-opt",
                !self.security_opt.is_empty(),
                SANDBOXED,
                "--sandbox chooses how, and --allow what",
            ),
            (
                "--cgroup-parent",
                self.cgroup_parent.is_some(),
                "steps run in groups of imgbuild's own",
                limits,
            ),
            ("--cpu-shares", self.cpu_shares.is_some(), "steps have no shares", limits),
            ("--cpu-period", self.cpu_period.is_some(), "there is one flag for cores", limits),
            ("--cpu-quota", self.cpu_quota.is_some(), "there is one flag for cores", limits),
            ("--cpuset-cpus", self.cpuset_cpus.is_some(), "steps are not bound to cores", limits),
            ("--cpuset-mems", self.cpuset_mems.is_some(), "steps are not bound to memory nodes", limits),
            (
                "--volume",
                !self.volume.is_empty(),
                "steps see no directories of this machine, but those of a context",
                "write RUN --mount=type=bind,from=NAME with --build-context NAME=DIR, or --mount=type=cache",
            ),
        ];
        match flags.into_iter().find(|(_, given, ..)| *given) {
            None => Ok(()),
            Some((flag, _, why, hint)) => Err(SettingsError::new(format!("{flag}: {why}")).hint(hint)),
        }
    }

    fn called(&self) -> Result<Call, SettingsError> {
        let Some(text) = &self.call else {
            return Ok(if self.check { Call::Check { json: false } } else { Call::Build });
        };
        let mut call = None;
        let mut json = false;
        for field in text.split(',') {
            match field.split_once('=').unwrap_or(("method", field)) {
                ("method", "build") => call = Some(Call::Build),
                ("method", "check" | "lint") => call = Some(Call::Check { json: false }),
                ("method", "outline" | "targets") => {
                    return Err(SettingsError::new(format!("--call {field} is not there"))
                        .hint("--call check is; stages and arguments are in the file's FROM and ARG lines"));
                }
                ("format", "json") => json = true,
                ("format", "text") => {}
                _ => {
                    let error = SettingsError::new(format!("--call {text:?}: {field:?} is not known"));
                    return Err(error.hint("write --call check, or --call check,format=json"));
                }
            }
        }
        Ok(match call {
            Some(Call::Build) if !self.check => Call::Build,
            _ => Call::Check { json },
        })
    }
}

const SANDBOXED: &str = "the sandbox has no such options";

/// A boolean as Go's `strconv.ParseBool` reads it.
fn is_true(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Whether an `--attest` asks for no attestation: `type=sbom,disabled=true`.
fn is_disabled(text: &str) -> bool {
    let fields = split_csv(text).unwrap_or_default();
    let value = fields.iter().find_map(|field| match field.as_str() {
        "disabled" => Some("true"),
        field => field.strip_prefix("disabled="),
    });
    value.and_then(is_true) == Some(true)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::error::Explain;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        foreign: ForeignFlags,
    }

    fn resolve(arguments: &str) -> Result<Call, SettingsError> {
        let all = ["x"].into_iter().chain(arguments.split_whitespace());
        Flags::try_parse_from(all).unwrap_or_else(|error| panic!("{error}")).foreign.resolve()
    }

    #[test]
    fn what_is_so_anyhow_is_taken() {
        for arguments in [
            "",
            "--rm --force-rm --compress --disable-content-trust -D --builder mine",
            "--provenance=false --sbom=false",
            "--provenance 0 --sbom False --attest type=sbom,disabled=true --attest type=provenance,disabled",
            "--isolation default --format oci --tls-verify",
            "--tls-verify=true",
            "--call build",
        ] {
            assert_eq!(resolve(arguments), Ok(Call::Build), "{arguments}");
        }
    }

    #[test]
    fn what_is_not_there_says_why_and_what_to_do() {
        for (arguments, words) in [
            ("--provenance=true", "--provenance: attestations"),
            ("--provenance mode=max", "--provenance: attestations"),
            ("--sbom=true", "--sbom: attestations"),
            ("--attest type=sbom", "--attest: attestations"),
            ("--squash", "--squash: layers are not joined"),
            ("--isolation hyperv", "--isolation \"hyperv\" is not known"),
            ("--format docker", "--format: images have OCI media types"),
            ("--tls-verify=false", "--tls-verify is for all registries"),
            ("-v /a:/b", "--volume: steps see no directories"),
            ("-c 512", "--cpu-shares: steps have no shares"),
            ("--call outline", "--call outline is not there"),
            ("--call chekc", "--call \"chekc\": \"chekc\" is not known"),
        ] {
            let error = resolve(arguments).expect_err(arguments);
            assert!(error.to_string().starts_with(words), "{arguments}: {error}");
            assert_eq!(error.hints().len(), 1, "{arguments}");
        }
    }

    #[test]
    fn a_file_can_be_checked() {
        for (arguments, json) in [
            ("--check", false),
            ("--call check", false),
            ("--call=lint", false),
            ("--call check,format=json", true),
            ("--check --call build", false),
        ] {
            assert_eq!(resolve(arguments), Ok(Call::Check { json }), "{arguments}");
        }
    }
}
