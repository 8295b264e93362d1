//! The key of a command: all that its result is meant to depend on.

use super::super::{StepError, key::KeyBuilder, run::Run};
use crate::{
    graph::{Node, Tree},
    oci::Digest,
    recipe::{self, Mount, Network, Security, Sharing},
};

const VERSION: &[u8] = b"imgbuild run key 1";

/// The key of a node's command. `sources` are the digests of what its bind mounts, and the beginnings of its caches,
/// hold, in their order.
pub(super) fn run_key(
    run: &Run,
    node: &Node,
    command: &recipe::Run,
    sources: &[Digest],
) -> Result<Digest, StepError> {
    let mut key = KeyBuilder::new(VERSION);
    // What runs its programs does not count, be it a processor or an emulator.
    key.part(node.runs_on.to_string().as_bytes());
    tree(&mut key, run, &node.below)?;
    list(&mut key, command.argv.iter().map(String::as_bytes));
    // How this machine reaches the network does not count, also where a front end hands it on.
    let proxies = &run.commands.options.proxies;
    let env = command.env.iter().filter(|pair| !proxies.contains(pair));
    list(&mut key, env.flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]));
    key.part(command.workdir.as_bytes());
    key.part(command.user.as_bytes());
    // Being cut off is meant to be seen: what was found with a network is no answer then.
    key.part(match (command.network, run.commands.options.network) {
        (Network::None, _) | (Network::Default, Network::None) => b"none",
        (Network::Default, _) => b"default",
        (Network::Host, _) => b"host",
    });
    key.part(match command.security {
        Security::Sandbox => b"sandbox",
        Security::Insecure => b"insecure",
    });
    // Commands see it, and the times of what they change depend on it.
    key.part(run.source_date_epoch.map(|seconds| seconds.to_string()).unwrap_or_default().as_bytes());
    list(&mut key, sources.iter().map(Digest::as_bytes));
    key.number(command.mounts.len() as u64);
    command.mounts.iter().for_each(|mount| self::mount(&mut key, mount));
    // Commands see them in a file, whatever they do with the network. Most builds have none.
    let hosts = &run.commands.options.hosts;
    if !hosts.is_empty() {
        let texts: Vec<_> = hosts.iter().map(|(name, address)| format!("{name}={address}")).collect();
        key.part(b"hosts");
        list(&mut key, texts.iter().map(String::as_bytes));
    }
    Ok(key.finish())
}

/// The digest that stands for all of a tree.
pub(super) fn tree_key(run: &Run, tree: &Tree) -> Result<Digest, StepError> {
    let mut key = KeyBuilder::new(b"imgbuild tree key 1");
    self::tree(&mut key, run, tree)?;
    Ok(key.finish())
}

fn tree(key: &mut KeyBuilder, run: &Run, tree: &Tree) -> Result<(), StepError> {
    let layers = tree.base.map(|id| run.bases[id.0].layers()).unwrap_or_default();
    list(key, layers.iter().map(|layer| layer.diff_id.as_bytes()));
    key.number(tree.nodes.len() as u64);
    for id in &tree.nodes {
        // Nodes wait for those below them before they begin.
        if let Some(made) = run.made(*id) {
            key.part(made.content_key()?.as_bytes());
        }
    }
    Ok(())
}

fn list<'a>(key: &mut KeyBuilder, parts: impl Iterator<Item = &'a [u8]>) {
    let parts: Vec<_> = parts.collect();
    key.number(parts.len() as u64);
    parts.into_iter().for_each(|part| key.part(part));
}

/// What a mount says, without what is in it.
fn mount(key: &mut KeyBuilder, mount: &Mount) {
    match mount {
        Mount::Bind(bind) => {
            key.part(b"bind");
            key.part(bind.target.as_bytes());
            key.part(bind.source.as_bytes());
            key.number(u64::from(bind.writable));
        }
        Mount::Cache(cache) => {
            key.part(b"cache");
            key.part(cache.target.as_bytes());
            key.part(cache.id.as_deref().unwrap_or_default().as_bytes());
            key.part(cache.from.as_ref().map_or("", |(_, path)| path).as_bytes());
            key.part(match cache.sharing {
                Sharing::Shared => b"shared",
                Sharing::Private => b"private",
                Sharing::Locked => b"locked",
            });
            key.number(u64::from(cache.read_only));
            key.part(format!("{:?}", cache.mode).as_bytes());
            key.number(u64::from(cache.uid) << 32 | u64::from(cache.gid));
        }
        Mount::Tmpfs(tmpfs) => {
            key.part(b"tmpfs");
            key.part(tmpfs.target.as_bytes());
            key.number(tmpfs.size.unwrap_or(0));
        }
        Mount::Secret(secret) => {
            key.part(b"secret");
            for text in [Some(&secret.id), secret.file.as_ref(), secret.env.as_ref()] {
                key.part(text.map(String::as_str).unwrap_or_default().as_bytes());
            }
            key.part(format!("{:?}", secret.mode).as_bytes());
            key.number(u64::from(secret.uid) << 32 | u64::from(secret.gid));
        }
        // Who is asked for a signature does not matter, nor whether it is there: a step that needs it fails without.
        Mount::Ssh(ssh) => {
            key.part(b"ssh");
            key.part(ssh.target.as_bytes());
            key.part(format!("{:?}", ssh.mode).as_bytes());
            key.number(u64::from(ssh.uid) << 32 | u64::from(ssh.gid));
        }
    }
}
