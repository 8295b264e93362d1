//! `imgbuild login` and `imgbuild logout`.

use std::io::{IsTerminal, Read};

use clap::Args;

use super::{
    ExitStatus,
    engine::client,
    printer::{HostError, Printer},
    prompt::{ask, ask_secretly},
};
use crate::{
    error::Failure,
    event::{Event, Sink},
    registry::{Checked, Credential, Credentials, Kept, RegistryError, Secret},
    settings::{Environment, GlobalSettings, LoginFlags, LoginSettings, SettingsError},
};

const LOGIN_EXAMPLES: &str = "\
The registry is asked whether it takes them before anything is written. \
They are kept by the helper that Docker's config.json names (credsStore, credHelpers), else in that file; Docker and \
podman find them there.

Examples:
  imgbuild login ghcr.io -u me            asks for the password
  imgbuild login ghcr.io -u me --password-stdin < token
  imgbuild login quay.io/team -u robot    for what is below quay.io/team";

/// Log in to a registry
#[derive(Debug, Args)]
#[command(after_help = LOGIN_EXAMPLES)]
pub(super) struct LoginArgs {
    #[command(flatten)]
    flags: LoginFlags,
}

/// Log out of a registry
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  imgbuild logout ghcr.io")]
pub(super) struct LogoutArgs {
    /// HOST[:PORT], perhaps with a path; Docker Hub if not given
    #[arg(value_name = "REGISTRY")]
    registry: Option<String>,
}

/// A password that is longer is none.
const LONGEST: u64 = 64 << 10;

pub(super) async fn login(
    args: LoginArgs,
    global: GlobalSettings,
    environment: Environment,
) -> Result<ExitStatus, Failure> {
    let flags = &args.flags;
    let settings = LoginSettings::resolve(flags, &global.config, &environment)?;
    let username = username(flags).await?;
    let password = match flags.password_stdin {
        true => from_stdin()?,
        false if std::io::stdin().is_terminal() => Secret::new(ask_secretly("Password: ").await?),
        false => {
            return Err(SettingsError::new("there is no password: standard input is not a terminal")
                .hint("write it to standard input, with --password-stdin")
                .into());
        }
    };
    if password.is_empty() {
        return Err(SettingsError::new("the password is empty").into());
    }
    let credential = Credential::Password { username: username.clone(), password: password.clone() };
    let client = client(&settings.connection, &warnings())?;
    if client.check(&settings.registry, &credential).await? == Checked::NotAsked {
        let registry = &settings.registry;
        warn(&format!("{registry} asks for no user and no password: whether these are right is not known"));
    }
    let kept = credentials().keep(&settings.name, &username, &password).await.map_err(RegistryError::from)?;
    if let Kept::File(file) = &kept {
        warn(&format!(
            "the password is not encrypted in {}: a helper would keep it better (credsStore)",
            file.display()
        ));
    }
    say(&global, &format!("logged in to {} as {username}, kept {}", settings.name, place(&kept)));
    Ok(ExitStatus::Success)
}

pub(super) async fn logout(args: LogoutArgs, global: GlobalSettings) -> Result<ExitStatus, Failure> {
    let name = LoginSettings::name_of(args.registry.as_deref())?;
    let credentials = credentials();
    let forgotten = credentials.forget(&name).await.map_err(RegistryError::from)?;
    match &forgotten[..] {
        [] => say(&global, &format!("not logged in to {name}")),
        places => {
            for kept in places {
                say(&global, &format!("logged out of {name}, which was kept {}", place(kept)));
            }
        }
    }
    // Other tools, and variables, may know one all the same.
    let (registry, path) = name.split_once('/').unwrap_or((&name, ""));
    let left = credentials.find(registry, path).await.map_err(RegistryError::from)?;
    if left.credential != Credential::Anonymous {
        warn(&format!("{name} is still known by {}", left.source));
    }
    Ok(ExitStatus::Success)
}

async fn username(flags: &LoginFlags) -> Result<String, Failure> {
    let username = match &flags.username {
        Some(username) => username.clone(),
        None if std::io::stdin().is_terminal() && !flags.password_stdin => ask("Username: ").await?,
        None => return Err(SettingsError::new("there is no user").hint("name one: -u USER").into()),
    };
    if username.is_empty() || username.contains(':') || username.chars().any(char::is_control) {
        return Err(SettingsError::new(format!("{username:?} is no user")).into());
    }
    Ok(username)
}

fn from_stdin() -> Result<Secret, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().take(LONGEST).read_to_string(&mut text);
    read.map_err(|error| HostError::new("read the password from standard input", error))?;
    // What ends the line is not part of it.
    Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
}

fn credentials() -> Credentials {
    Credentials::from_environment(std::env::vars())
}

fn place(kept: &Kept) -> String {
    match kept {
        Kept::File(file) => format!("in {}", file.display()),
        Kept::Helper { program, .. } => format!("by docker-credential-{program}"),
    }
}

fn say(global: &GlobalSettings, text: &str) {
    if !global.quiet {
        Printer::stderr(&format!("{text}\n"));
    }
}

fn warn(text: &str) {
    Printer::stderr(&format!("warning: {text}\n"));
}

/// Shows what a client has to say besides its results.
fn warnings() -> Sink {
    Sink::new(|event| match event {
        Event::Warning { message, .. } => warn(&message),
        Event::Retry { reason, after, .. } => {
            warn(&format!("{reason}; trying again in {:.1} s", after.as_secs_f64()));
        }
        _ => {}
    })
}
