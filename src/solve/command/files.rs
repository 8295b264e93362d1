//! Files that every command sees and no layer has.

use std::{fs, net::IpAddr, path::Path};

use super::{certificates, options::CommandOptions};
use crate::{
    recipe::Network,
    sandbox::{FileContent, FileMount},
};

/// What the machine is called for a command.
const HOSTNAME: &str = "imgbuild";

/// `/etc/hosts`, `/etc/hostname`, `/etc/resolv.conf`, and the certificates.
pub(super) fn files(options: &CommandOptions, bundle: Option<&Path>, network: Network) -> Vec<FileMount> {
    let mut files = vec![
        public("/etc/hosts", hosts(&options.hosts).into_bytes()),
        public("/etc/hostname", format!("{HOSTNAME}\n").into_bytes()),
    ];
    // The network is the host's, and so its resolvers can be reached, those on a loopback address too.
    let resolvers = match network {
        Network::None => Some(Vec::new()),
        Network::Default | Network::Host => fs::read("/etc/resolv.conf").ok(),
    };
    files.extend(resolvers.map(|content| public("/etc/resolv.conf", content)));
    let copied = bundle.map(|bundle| file(certificates::BUNDLE, FileContent::Copy(bundle.to_owned())));
    files.extend(copied);
    files
}

fn public(target: &str, content: Vec<u8>) -> FileMount {
    file(target, FileContent::Bytes(content))
}

fn file(target: &str, content: FileContent) -> FileMount {
    FileMount { target: target.to_owned(), content, mode: 0o644, uid: 0, gid: 0 }
}

fn hosts(added: &[(String, IpAddr)]) -> String {
    let mut text = format!(
        "127.0.0.1\tlocalhost {HOSTNAME}\n::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\nff00::0\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
    );
    for (name, address) in added {
        text.push_str(&format!("{address}\t{name}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_added() {
        let text = hosts(&[("db".into(), "10.0.0.7".parse().unwrap())]);
        assert!(
            text.starts_with("127.0.0.1\tlocalhost imgbuild\n") && text.ends_with("10.0.0.7\tdb\n"),
            "{text}"
        );
    }
}
