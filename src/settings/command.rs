//! What RUN steps are given: flags to options.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    net::IpAddr,
    path::{Path, PathBuf},
};

use super::{
    CommandFlags, Environment, GlobalSettings, RegistrySettings, SettingsError,
    emulators::emulators,
    limits::limits,
    pairs::{Form, split_csv},
};
use crate::{
    recipe::Network,
    solve::{Allowed, CommandOptions, Secret},
};

/// The largest secret (BuildKit's limit).
const LARGEST_SECRET: u64 = 500 << 10;

/// Proxy variables (Dockerfile reference, "Predefined ARGs"); tools look for them in lower case, upper case, or both.
const PROXIES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

/// Variables by which users tell tools of a bundle of certificates, the most general first.
const BUNDLES: [&str; 6] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
];

/// Where systems have their certificates in one file.
const SYSTEM_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
];

/// Resolves what all commands of a build are given, but for how many run at once.
pub(super) fn resolve(
    flags: &CommandFlags,
    args: &BTreeMap<String, String>,
    registry: &RegistrySettings,
    global: &GlobalSettings,
    environment: &Environment,
) -> Result<CommandOptions, SettingsError> {
    let proxies = proxies(args, environment);
    let mode = flags.sandbox.as_deref().map(str::parse).transpose();
    Ok(CommandOptions {
        mode: mode.map_err(|error| SettingsError::new(format!("--sandbox: {error}")))?,
        network: network(flags.network.as_deref())?,
        allowed: allowed(&flags.allow)?,
        hosts: flags.add_host.iter().map(|text| host(text)).collect::<Result<_, _>>()?,
        limits: limits(flags)?,
        secrets: flags.secret.iter().map(|text| secret(text, environment)).collect::<Result<_, _>>()?,
        agents: flags.ssh.iter().map(|text| agent(text, environment)).collect::<Result<_, _>>()?,
        certificates: match flags.no_host_ca {
            true => None,
            false => certificates(&registry.ca, !proxies.is_empty(), environment)?.map(Into::into),
        },
        proxies,
        emulators: emulators(&flags.emulator, &global.config, environment)?,
        ..CommandOptions::default()
    })
}

fn network(text: Option<&str>) -> Result<Network, SettingsError> {
    match text {
        None | Some("default") => Ok(Network::Default),
        Some("none") => Ok(Network::None),
        Some("host") => Ok(Network::Host),
        Some(other) => Err(SettingsError::new(format!("--network {other:?} is none of default, none, host"))
            .did_you_mean(other, ["default", "none", "host"])),
    }
}

fn allowed(texts: &[String]) -> Result<Allowed, SettingsError> {
    const NAMES: [&str; 2] = ["security.insecure", "network.host"];
    let mut allowed = Allowed::default();
    for text in texts {
        match text.as_str() {
            "security.insecure" => allowed.insecure = true,
            "network.host" => allowed.host_network = true,
            other => {
                return Err(SettingsError::new(format!("--allow {other:?} is none of {}", NAMES.join(", ")))
                    .did_you_mean(other, NAMES));
            }
        }
    }
    Ok(allowed)
}

const HOST: Form = Form { flag: "--add-host", form: "NAME:IP", example: "db.internal:10.0.0.7" };

/// `NAME:IP`, `NAME=IP`, and the address in brackets, as docker's flag.
fn host(text: &str) -> Result<(String, IpAddr), SettingsError> {
    let parts = text.split_once('=').or_else(|| text.split_once(':'));
    let wrong = || HOST.wrong(text);
    let (name, address) = parts.filter(|(name, _)| !name.is_empty()).ok_or_else(wrong)?;
    if name.contains(|c: char| c.is_whitespace() || c == '#') {
        return Err(wrong());
    }
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    match bare {
        // The network is this machine's own.
        "host-gateway" => Ok((name.to_owned(), IpAddr::from([127, 0, 0, 1]))),
        bare => Ok((name.to_owned(), bare.parse().map_err(|_| wrong())?)),
    }
}

/// `id=ID[,type=file|env][,src=FILE][,env=NAME]`, as docker's flag.
fn secret(text: &str, environment: &Environment) -> Result<(String, Secret), SettingsError> {
    // The text is not repeated: it may have a value in it that was put there by mistake.
    let wrong = |why: &str| SettingsError::new(format!("--secret: {why}"));
    let (mut id, mut kind, mut file, mut variable) = (None, None, None, None);
    for field in split_csv(text).ok_or_else(|| wrong("a quote is not closed"))? {
        let (key, value) =
            field.split_once('=').ok_or_else(|| wrong("write id=ID,src=FILE or id=ID,env=NAME"))?;
        let place = match key.to_ascii_lowercase().as_str() {
            "id" => &mut id,
            "type" => &mut kind,
            "src" | "source" => &mut file,
            "env" => &mut variable,
            other => {
                return Err(SettingsError::new(format!("--secret: unknown key {other:?}"))
                    .did_you_mean(other, ["id", "type", "src", "env"]));
            }
        };
        *place = Some(value.to_owned());
    }
    let id = id.filter(|id| !id.is_empty()).ok_or_else(|| wrong("it has no id"))?;
    match kind.as_deref() {
        None | Some("file" | "env") => {}
        Some(_) => return Err(wrong("the type is file or env")),
    }
    if kind.as_deref() == Some("env") {
        // With this type, the source is a variable, too.
        variable = variable.or_else(|| file.take());
    }
    let value = match (file, variable) {
        (Some(_), Some(_)) => return Err(wrong("it has both a file and a variable")),
        (Some(file), None) => from_file(&id, &environment.current_dir().join(file))?,
        (None, Some(name)) => from_variable(&id, &name, environment)?,
        (None, None) if kind.is_none() && environment.get_even_empty(&id).is_some() => {
            from_variable(&id, &id, environment)?
        }
        (None, None) if kind.as_deref() == Some("env") => from_variable(&id, &id, environment)?,
        (None, None) => from_file(&id, &environment.current_dir().join(&id))?,
    };
    Ok((id, value))
}

fn from_file(id: &str, path: &Path) -> Result<Secret, SettingsError> {
    let failed = |error: io::Error| {
        let message = format!("--secret {id}: failed to read {}: {error}", path.display());
        match error.kind() {
            io::ErrorKind::NotFound => SettingsError::not_found(message),
            _ => SettingsError::new(message),
        }
    };
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(LARGEST_SECRET + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST_SECRET {
        return Err(SettingsError::new(format!("--secret {id}: {} has more than 500 KiB", path.display())));
    }
    Ok(Secret::new(bytes))
}

fn from_variable(id: &str, name: &str, environment: &Environment) -> Result<Secret, SettingsError> {
    use std::os::unix::ffi::OsStrExt;
    match environment.get_even_empty(name) {
        Some(value) => Ok(Secret::new(value.as_bytes().to_vec())),
        None => Err(SettingsError::not_found(format!("--secret {id}: the variable {name} is not set"))),
    }
}

/// `ID` for the agent of `SSH_AUTH_SOCK`, or `ID=SOCKET`.
fn agent(text: &str, environment: &Environment) -> Result<(String, PathBuf), SettingsError> {
    let (id, socket) = match text.split_once('=') {
        Some((id, socket)) => (id, Some(environment.current_dir().join(socket))),
        None => (text, environment.get("SSH_AUTH_SOCK").map(PathBuf::from)),
    };
    if id.is_empty() {
        return Err(SettingsError::new(format!("--ssh {text:?} has no id")).hint("write --ssh default"));
    }
    let Some(socket) = socket else {
        return Err(SettingsError::not_found(format!("--ssh {id}: SSH_AUTH_SOCK is not set"))
            .hint("start an agent: eval $(ssh-agent) && ssh-add"));
    };
    use std::os::unix::fs::FileTypeExt;
    match fs::metadata(&socket) {
        Ok(metadata) if metadata.file_type().is_socket() => Ok((id.to_owned(), socket)),
        Ok(_) => {
            Err(SettingsError::new(format!("--ssh {id}: {} is not an agent's socket", socket.display()))
                .hint("for a key in a file, start an agent with it: eval $(ssh-agent) && ssh-add FILE"))
        }
        Err(error) => Err(SettingsError::not_found(format!(
            "--ssh {id}: failed to look at {}: {error}",
            socket.display()
        ))),
    }
}

/// The proxies of the build arguments, else of the environment, each under both of its names.
fn proxies(args: &BTreeMap<String, String>, environment: &Environment) -> Vec<(String, String)> {
    let mut proxies = Vec::new();
    for name in PROXIES {
        let lower = name.to_ascii_lowercase();
        let names = [name, lower.as_str()];
        let given = names.iter().find_map(|name| args.get(*name).map(String::as_str));
        let value = given.or_else(|| names.iter().find_map(|name| environment.text(name)));
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            proxies.extend(names.map(|name| (name.to_owned(), value.to_owned())));
        }
    }
    proxies
}

/// The certificates that commands are given: this machine's, with those of `--ca`; but only where something says that
/// the image's own will not do: a CA of the user's, a bundle that the environment names, or a proxy.
fn certificates(
    added: &[PathBuf],
    proxied: bool,
    environment: &Environment,
) -> Result<Option<Vec<u8>>, SettingsError> {
    let named = BUNDLES.iter().find_map(|name| environment.get(name)).map(PathBuf::from);
    if added.is_empty() && named.is_none() && !proxied {
        return Ok(None);
    }
    let read = |path: &Path| {
        fs::read(path).map_err(|error| {
            SettingsError::not_found(format!(
                "failed to read the certificates in {}: {error}",
                path.display()
            ))
        })
    };
    let mut bundle = match named {
        Some(path) => read(&environment.current_dir().join(path))?,
        None => SYSTEM_BUNDLES.iter().find_map(|path| fs::read(path).ok()).unwrap_or_default(),
    };
    for path in added {
        if !bundle.is_empty() && !bundle.ends_with(b"\n") {
            bundle.push(b'\n');
        }
        bundle.extend(read(path)?);
    }
    Ok(Some(bundle).filter(|bundle| !bundle.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Explain;

    #[test]
    fn hosts_are_names_and_addresses() {
        for (text, name, address) in [
            ("db:10.0.0.7", "db", "10.0.0.7"),
            ("db=10.0.0.7", "db", "10.0.0.7"),
            ("six:::1", "six", "::1"),
            ("six:[::1]", "six", "::1"),
            ("me:host-gateway", "me", "127.0.0.1"),
        ] {
            assert_eq!(host(text), Ok((name.to_owned(), address.parse().unwrap())), "{text}");
        }
        assert!(["db", ":1.2.3.4", "db:", "a b:1.2.3.4", "db:x"].iter().all(|text| host(text).is_err()));
    }

    #[test]
    fn secrets_come_from_files_and_variables() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "of the file").unwrap();
        let environment = Environment::of(folder.path(), [("VAR", "of the variable"), ("empty", "")]);
        for (text, id, value) in [
            ("id=a,src=file", "a", "of the file"),
            ("id=a,source=file,type=file", "a", "of the file"),
            ("id=a,env=VAR", "a", "of the variable"),
            ("type=env,id=a,src=VAR", "a", "of the variable"),
            ("id=VAR", "VAR", "of the variable"),
            ("id=VAR,type=env", "VAR", "of the variable"),
            ("id=file", "file", "of the file"),
            ("id=empty", "empty", ""),
        ] {
            let expected = (id.to_owned(), Secret::new(value.as_bytes().to_vec()));
            assert_eq!(secret(text, &environment), Ok(expected), "{text}");
        }
        for text in [
            "",
            "a",
            "src=file",
            "id=a,src=file,env=VAR",
            "id=a,src=none",
            "id=a,env=NONE",
            "id=a,typ=env",
            "id=a,type=x",
        ] {
            assert!(secret(text, &environment).is_err(), "{text}");
        }
        let error = secret("hunter2", &environment).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert_eq!(format!("{:?}", secret("id=VAR", &environment).unwrap().1), "Secret(***)");
    }

    #[test]
    fn proxies_have_both_names() {
        let environment = Environment::of("/", [("https_proxy", "http://env"), ("NO_PROXY", "")]);
        let args = BTreeMap::from([("HTTP_PROXY".to_owned(), "http://arg".to_owned())]);
        let expected = [
            ("HTTP_PROXY", "http://arg"),
            ("http_proxy", "http://arg"),
            ("HTTPS_PROXY", "http://env"),
            ("https_proxy", "http://env"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(proxies(&args, &environment), expected);
    }

    #[test]
    fn certificates_are_given_where_something_asks_for_them() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("env.pem"), "ENV").unwrap();
        fs::write(folder.path().join("own.pem"), "OWN\n").unwrap();
        let named = Environment::of(folder.path(), [("CURL_CA_BUNDLE", "env.pem")]);
        let own = [folder.path().join("own.pem")];
        assert_eq!(certificates(&[], false, &Environment::default()), Ok(None));
        assert_eq!(certificates(&[], false, &named), Ok(Some(b"ENV".to_vec())));
        assert_eq!(certificates(&own, false, &named), Ok(Some(b"ENV\nOWN\n".to_vec())));
        let alone = certificates(&own, true, &Environment::default()).unwrap().unwrap();
        assert!(alone.ends_with(b"OWN\n"));
        let missing = Environment::of(folder.path(), [("SSL_CERT_FILE", "none.pem")]);
        assert!(certificates(&[], false, &missing).is_err());
    }

    #[test]
    fn agents_are_sockets() {
        let folder = tempfile::tempdir().unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(folder.path().join("s")).unwrap();
        fs::write(folder.path().join("key"), "").unwrap();
        let socket = folder.path().join("s");
        let environment = Environment::of(folder.path(), [("SSH_AUTH_SOCK", socket.to_str().unwrap())]);
        assert_eq!(agent("default", &environment), Ok(("default".into(), socket.clone())));
        assert_eq!(agent("x=s", &environment), Ok(("x".into(), socket)));
        let error = agent("x=key", &environment).unwrap_err();
        assert!(error.hints()[0].contains("ssh-add FILE"), "{error}");
        assert!(agent("default", &Environment::default()).is_err());
        assert!(agent("=s", &environment).is_err());
    }
}
