//! What RUN steps are given: flags to options.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    CommandFlags, Environment, RegistrySettings, SettingsError,
    pairs::{pair, split_csv},
};
use crate::{
    recipe::Network,
    sandbox::Limits,
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

/// `NAME:IP`, `NAME=IP`, and the address in brackets, as docker's flag.
fn host(text: &str) -> Result<(String, IpAddr), SettingsError> {
    let parts = text.split_once('=').or_else(|| text.split_once(':'));
    let wrong = || SettingsError::new(format!("--add-host {text:?} is not of the form NAME:IP"));
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

fn limits(flags: &CommandFlags) -> Result<Limits, SettingsError> {
    let size = |flag: &str, text: &Option<String>| text.as_ref().map(|text| bytes(flag, text)).transpose();
    Ok(Limits {
        memory: size("--memory", &flags.memory)?,
        cpus: flags.cpus.as_ref().map(|text| cpus(text)).transpose()?,
        shm_size: size("--shm-size", &flags.shm_size)?,
        ulimits: flags.ulimit.iter().map(|text| ulimit(text)).collect::<Result<_, _>>()?,
        timeout: flags.step_timeout.as_ref().map(|text| duration(text)).transpose()?,
    })
}

/// A number of bytes with docker's units: powers of 1024.
fn bytes(flag: &str, text: &str) -> Result<u64, SettingsError> {
    let lower = text.trim().to_ascii_lowercase();
    let end = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(end);
    let shift = match unit.trim() {
        "" | "b" => Some(0),
        "k" | "kb" | "kib" => Some(10),
        "m" | "mb" | "mib" => Some(20),
        "g" | "gb" | "gib" => Some(30),
        "t" | "tb" | "tib" => Some(40),
        _ => None,
    };
    let size = shift.and_then(|shift| Some(number.parse::<f64>().ok()? * f64::from(2_u32).powi(shift)));
    // Sizes beyond 2⁵³ are no memory of anything.
    let size = size.filter(|size| (1.0..9e15).contains(size)).map(|size| size as u64);
    size.ok_or_else(|| {
        SettingsError::new(format!("{flag} {text:?} is no number of bytes")).hint("write it as in 512m or 2g")
    })
}

/// Cores, in thousandths.
fn cpus(text: &str) -> Result<u64, SettingsError> {
    let cores = text.trim().parse::<f64>().ok().filter(|cores| (0.01..1e6).contains(cores));
    let wrong = || SettingsError::new(format!("--cpus {text:?} is no number of cores from 0.01"));
    Ok((cores.ok_or_else(wrong)? * 1000.0).round() as u64)
}

/// What the kernel calls limits, as docker's flag has it.
const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

fn ulimit(text: &str) -> Result<(String, Option<u64>, Option<u64>), SettingsError> {
    let (name, values) = pair("--ulimit", text)?;
    if !ULIMITS.contains(&name) {
        let error = SettingsError::new(format!("--ulimit: there is no limit {name:?}"));
        return Err(error.did_you_mean(name, ULIMITS));
    }
    let value = |text: &str| match text {
        "-1" | "unlimited" => Ok(None),
        number => number
            .parse()
            .map(Some)
            .map_err(|_| SettingsError::new(format!("--ulimit {name}: {number:?} is no number"))),
    };
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let (soft, hard) = (value(soft)?, value(hard)?);
    let above = match (soft, hard) {
        (Some(soft), Some(hard)) => soft > hard,
        (None, hard) => hard.is_some(),
        _ => false,
    };
    if above {
        return Err(SettingsError::new(format!("--ulimit {text}: the soft limit is above the hard one")));
    }
    Ok((name.to_owned(), soft, hard))
}

/// A time as Go writes it (`1h30m`, `90s`, `1.5m`), or seconds.
fn duration(text: &str) -> Result<Duration, SettingsError> {
    let wrong = || {
        SettingsError::new(format!("--step-timeout {text:?} is no duration"))
            .hint("write it as in 90s or 10m")
    };
    let mut seconds = 0.0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..end].parse().map_err(|_| wrong())?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        seconds += number
            * match &rest[..end] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" | "" => 1.0,
                "ms" => 0.001,
                _ => return Err(wrong()),
            };
        rest = &rest[end..];
    }
    Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero()).ok_or_else(wrong)
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
    fn sizes_durations_and_limits_as_docker_has_them() {
        for (text, expected) in
            [("512m", 512 << 20), ("1.5g", 3 << 29), ("64KB", 64 << 10), ("100", 100), ("2GiB", 2 << 30)]
        {
            assert_eq!(bytes("--memory", text), Ok(expected), "{text}");
        }
        for text in ["", "m", "-1", "0", "1x", "1..2", "9999999999t"] {
            assert!(bytes("--memory", text).is_err(), "{text}");
        }
        for (text, millis) in
            [("90s", 90_000), ("1h30m", 5_400_000), ("1.5m", 90_000), ("5", 5000), ("7ms", 7)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "1d", "0s", "-1s", "1e400"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!((cpus("1.5"), cpus("0.05")), (Ok(1500), Ok(50)));
        assert!(["0", "-1", "x", ""].iter().all(|text| cpus(text).is_err()));
        assert_eq!(ulimit("nofile=1024:2048"), Ok(("nofile".into(), Some(1024), Some(2048))));
        assert_eq!(ulimit("core=-1"), Ok(("core".into(), None, None)));
        assert_eq!(ulimit("nofiles=1").unwrap_err().hints(), ["did you mean `nofile`?"]);
        assert!(["nofile", "nofile=2:1", "nofile=x", "nofile=-1:5"].iter().all(|text| ulimit(text).is_err()));
    }

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
