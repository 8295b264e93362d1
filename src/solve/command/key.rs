//! The key of a command: all that its result is meant to depend on.

use super::super::{
    StepError,
    journal::{BASE, LAYER, MOUNTED, VARIABLE, is_secret},
    key::{KeyBuilder, NamedParts, Part},
    run::Run,
};
use crate::{
    graph::{Node, Tree},
    oci::Digest,
    recipe::{self, Mount, Network, Security, Sharing},
};

const VERSION: &[u8] = b"imgbuild run key 2";

/// The key of a node's command, and its parts. `sources` are the digests of what its bind mounts, and the beginnings of
/// its caches, hold, in their order.
pub(super) fn run_key(
    run: &Run,
    node: &Node,
    command: &recipe::Run,
    sources: &[Digest],
) -> Result<(Digest, Vec<Part>), StepError> {
    let mut key = NamedParts::new(VERSION);
    // What runs its programs does not count, be it a processor or an emulator.
    key.shown("platform", &node.runs_on.to_string());
    let layers = node.below.base.map(|id| run.bases[id.0].layers()).unwrap_or_default();
    key.digest(BASE, &digest_of(layers.iter().map(|layer| layer.diff_id.as_bytes())));
    let mut below = 0;
    for content in contents(run, &node.below) {
        below += 1;
        key.digest(format!("{LAYER}{below}"), &content?);
    }
    let masks = &run.commands.masks;
    let hide = command.argv.iter().any(|word| masks.hide(word));
    key.words("command", &command.argv, hide);
    // How this machine reaches the network does not count, also where a front end hands it on.
    let proxies = &run.commands.options.proxies;
    for (name, value) in command.env.iter().filter(|pair| !proxies.contains(pair)) {
        let part = format!("{VARIABLE}{name}");
        match is_secret(name, value, masks) {
            true => key.hidden(part, value.as_bytes()),
            false => key.shown(part, value),
        }
    }
    key.shown("working directory", &command.workdir);
    key.shown("user", &command.user);
    // Being cut off is meant to be seen: what was found with a network is no answer then.
    let network = match (command.network, run.commands.options.network) {
        (Network::None, _) | (Network::Default, Network::None) => "none",
        (Network::Default, _) => "default",
        (Network::Host, _) => "host",
    };
    key.shown("network", network);
    let security = match command.security {
        Security::Sandbox => "sandbox",
        Security::Insecure => "insecure",
    };
    key.shown("security", security);
    // Commands see it, and the times of what they change depend on it.
    if let Some(seconds) = run.source_date_epoch {
        key.shown("SOURCE_DATE_EPOCH", &seconds.to_string());
    }
    // Commands see them in a file, whatever they do with the network. Most builds have none.
    for (name, address) in &run.commands.options.hosts {
        key.shown(format!("host {name}"), &address.to_string());
    }
    let mut sources = sources.iter();
    for mount in &command.mounts {
        let (target, text) = self::mount(mount);
        key.shown(format!("mount {target}"), &text);
        let takes = match mount {
            Mount::Bind(_) => true,
            Mount::Cache(cache) => cache.from.is_some(),
            Mount::Tmpfs(_) | Mount::Secret(_) | Mount::Ssh(_) => false,
        };
        if let Some(digest) = takes.then(|| sources.next()).flatten() {
            key.digest(format!("{MOUNTED}{target}"), digest);
        }
    }
    Ok(key.finish())
}

/// The digest that stands for all of a tree.
pub(in super::super) fn tree_key(run: &Run, tree: &Tree) -> Result<Digest, StepError> {
    let mut key = KeyBuilder::new(b"imgbuild tree key 2");
    let layers = tree.base.map(|id| run.bases[id.0].layers()).unwrap_or_default();
    key.part(digest_of(layers.iter().map(|layer| layer.diff_id.as_bytes())).as_bytes());
    for content in contents(run, tree) {
        key.part(content?.as_bytes());
    }
    Ok(key.finish())
}

/// What the steps of a tree gave, lowest first.
fn contents(run: &Run, tree: &Tree) -> impl Iterator<Item = Result<Digest, StepError>> {
    // Nodes wait for those below them before they begin.
    tree.nodes.iter().filter_map(|id| run.made(*id)).map(|made| made.content_key())
}

fn digest_of<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Digest {
    let mut key = KeyBuilder::new(b"imgbuild list 1");
    parts.for_each(|part| key.part(part));
    key.finish()
}

/// Where a mount is, and what it says, without what is in it.
fn mount(mount: &Mount) -> (String, String) {
    match mount {
        Mount::Bind(bind) => {
            let access = if bind.writable { "writable" } else { "read-only" };
            (bind.target.clone(), format!("bind {:?} {access}", bind.source))
        }
        Mount::Cache(cache) => {
            let sharing = match cache.sharing {
                Sharing::Shared => "shared",
                Sharing::Private => "private",
                Sharing::Locked => "locked",
            };
            let access = if cache.read_only { "read-only" } else { "writable" };
            let from = cache.from.as_ref().map_or("", |(_, path)| path);
            let mode = cache.mode.map(|mode| mode.to_string()).unwrap_or_default();
            let id = cache.id.as_deref().unwrap_or_default();
            let text = format!(
                "cache {id:?} {sharing} {access} from {from:?} mode {mode:?} owner {}:{}",
                cache.uid, cache.gid
            );
            (cache.target.clone(), text)
        }
        Mount::Tmpfs(tmpfs) => (tmpfs.target.clone(), format!("tmpfs {}", tmpfs.size.unwrap_or(0))),
        Mount::Secret(secret) => {
            let mode = secret.mode.map(|mode| mode.to_string()).unwrap_or_default();
            let text = format!(
                "secret {:?} file {:?} variable {:?} mode {mode:?} owner {}:{}",
                secret.id, secret.file, secret.env, secret.uid, secret.gid
            );
            (format!("secret {}", secret.id), text)
        }
        // Who is asked for a signature does not matter, nor whether it is there: a step that needs it fails without.
        Mount::Ssh(ssh) => {
            let mode = ssh.mode.map(|mode| mode.to_string()).unwrap_or_default();
            (ssh.target.clone(), format!("ssh mode {mode:?} owner {}:{}", ssh.uid, ssh.gid))
        }
    }
}
