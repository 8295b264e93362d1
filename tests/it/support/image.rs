//! Reads built images back, with nothing of imgbuild's own: an OCI layout as other tools see it.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// An image of one platform.
#[derive(Debug)]
pub struct Image {
    /// `os/architecture[/variant]`, as the index has it; empty without an index.
    pub platform: String,
    pub manifest: Value,
    pub config: Value,
    /// The members of each layer's tar.
    pub layers: Vec<Vec<Member>>,
}

/// A member of a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Without a slash at its end.
    pub path: Vec<u8>,
    /// `f`ile, `d`irectory, symbolic `l`ink, `h`ard link, `p`ipe, or something `e`lse.
    pub kind: char,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub mtime: u64,
    pub xattrs: BTreeMap<String, Vec<u8>>,
    pub link: Vec<u8>,
    pub content: Vec<u8>,
}

impl Member {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.content).unwrap()
    }

    pub fn owner(&self) -> (u64, u64) {
        (self.uid, self.gid)
    }

    /// `path kind mode uid:gid`, for tables.
    pub fn line(&self) -> String {
        let path = String::from_utf8_lossy(&self.path);
        format!("{path} {} {:o} {}:{}", self.kind, self.mode, self.uid, self.gid)
    }
}

impl Image {
    /// The member of the highest layer that has this path.
    #[track_caller]
    pub fn member(&self, path: impl AsRef<[u8]>) -> &Member {
        let wanted = path.as_ref();
        let found = self.layers.iter().rev().flatten().find(|member| member.path == wanted);
        found.unwrap_or_else(|| panic!("no {}; there is {:?}", String::from_utf8_lossy(wanted), self.paths()))
    }

    pub fn has(&self, path: &str) -> bool {
        self.layers.iter().flatten().any(|member| member.path == path.as_bytes())
    }

    /// All paths, layer by layer.
    pub fn paths(&self) -> Vec<String> {
        self.layers.iter().flatten().map(|m| String::from_utf8_lossy(&m.path).into_owned()).collect()
    }

    /// The last layer's members as [`Member::line`]s.
    pub fn top(&self) -> Vec<String> {
        self.layers.last().unwrap().iter().map(Member::line).collect()
    }

    /// The digests of the layers' blobs.
    pub fn layer_digests(&self) -> Vec<String> {
        let layers = self.manifest["layers"].as_array().unwrap();
        layers.iter().map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
    }

    /// A field of the config's `config`.
    pub fn run(&self, field: &str) -> &Value {
        &self.config["config"][field]
    }
}

/// The document `index.json`.
pub fn index(layout: &Path) -> Value {
    json(&fs::read(layout.join("index.json")).unwrap())
}

/// The images of the layout's only entry, in the index's order.
pub fn images(layout: &Path) -> Vec<Image> {
    let index = index(layout);
    let [root] = &index["manifests"].as_array().unwrap()[..] else { panic!("one image: {index}") };
    images_of(layout, root)
}

/// The image of the layout's only entry.
pub fn image(layout: &Path) -> Image {
    let mut images = images(layout);
    assert_eq!(images.len(), 1);
    images.remove(0)
}

/// The images of an entry.
pub fn images_of(layout: &Path, root: &Value) -> Vec<Image> {
    let document = json(&blob(layout, root));
    match document["manifests"].as_array() {
        Some(manifests) => manifests.iter().flat_map(|entry| images_of(layout, entry)).collect(),
        None => vec![one(layout, root, document)],
    }
}

fn one(layout: &Path, root: &Value, manifest: Value) -> Image {
    let platform = &root["platform"];
    let parts = ["os", "architecture", "variant"].map(|part| platform[part].as_str());
    let platform = parts.into_iter().flatten().collect::<Vec<_>>().join("/");
    let config = json(&blob(layout, &manifest["config"]));
    let layers = manifest["layers"].as_array().unwrap();
    let layers = layers.iter().map(|layer| members(&decompressed(blob(layout, layer)))).collect();
    Image { platform, manifest, config, layers }
}

/// The bytes of a blob.
pub fn blob(layout: &Path, descriptor: &Value) -> Vec<u8> {
    fs::read(blob_path(layout, descriptor["digest"].as_str().unwrap())).unwrap()
}

pub fn blob_path(layout: &Path, digest: &str) -> PathBuf {
    layout.join("blobs").join(digest.replace(':', "/"))
}

fn decompressed(blob: Vec<u8>) -> Vec<u8> {
    let mut out = Vec::new();
    match blob[..] {
        [0x1f, 0x8b, ..] => _ = flate2::read::MultiGzDecoder::new(&blob[..]).read_to_end(&mut out).unwrap(),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => out = zstd::decode_all(&blob[..]).unwrap(),
        _ => out = blob,
    }
    out
}

/// The members of a tar.
pub fn members(tar: &[u8]) -> Vec<Member> {
    let mut archive = tar::Archive::new(tar);
    let mut members = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut xattrs = BTreeMap::new();
        if let Some(extensions) = entry.pax_extensions().unwrap() {
            for extension in extensions {
                let extension = extension.unwrap();
                if let Some(name) = extension.key().unwrap().strip_prefix("SCHILY.xattr.") {
                    xattrs.insert(name.to_owned(), extension.value_bytes().to_vec());
                }
            }
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let kind = match entry.header().entry_type() {
            tar::EntryType::Regular => 'f',
            tar::EntryType::Directory => 'd',
            tar::EntryType::Symlink => 'l',
            tar::EntryType::Link => 'h',
            tar::EntryType::Fifo => 'p',
            _ => 'e',
        };
        let path = entry.path_bytes();
        members.push(Member {
            path: path.strip_suffix(b"/").unwrap_or(&path).to_vec(),
            kind,
            mode: entry.header().mode().unwrap(),
            uid: entry.header().uid().unwrap(),
            gid: entry.header().gid().unwrap(),
            mtime: entry.header().mtime().unwrap(),
            xattrs,
            link: entry.link_name_bytes().map(|link| link.into_owned()).unwrap_or_default(),
            content,
        });
    }
    members
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}
