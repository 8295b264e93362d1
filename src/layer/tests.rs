//! What every layer must be, whatever wrote it: seen from outside, through other readers.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    num::NonZeroUsize,
    path::Path,
};

use proptest::prelude::*;
use tempfile::TempDir;

mod contents;
mod readers;

use super::*;
use crate::{
    error::Explain,
    oci::{Digest, media_type},
    store::Store,
};

/// A store in a temporary folder, and room for the files of a context.
struct Bench {
    folder: TempDir,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        Self { folder, store }
    }

    fn write_with(&self, threads: usize, entries: &[Entry], options: &Options<'_>) -> Written {
        let pool = Pool::new(NonZeroUsize::new(threads).unwrap()).unwrap();
        write_layer(&self.store, &pool, entries, options).unwrap()
    }

    fn write(&self, entries: &[Entry]) -> Written {
        self.write_with(2, entries, &Options::default())
    }

    fn fail(&self, entries: &[Entry]) -> LayerError {
        let pool = Pool::new(NonZeroUsize::MIN).unwrap();
        let error = write_layer(&self.store, &pool, entries, &Options::default()).unwrap_err();
        assert_eq!(self.store.blobs().unwrap(), [], "nothing is left behind");
        error
    }

    /// The tar bytes of a layer, with all that its record says of them checked.
    fn tar(&self, layer: &Layer) -> Vec<u8> {
        let blob = self.store.open_blob(&layer.descriptor.digest).unwrap();
        let mut tar = Vec::new();
        Decoder::new(blob).unwrap().read_to_end(&mut tar).unwrap();
        assert_eq!(tar.len() as u64, layer.size);
        assert_eq!(Digest::of(&tar), layer.diff_id);
        let blob = fs::read(self.store.blob_path(&layer.descriptor.digest)).unwrap();
        assert_eq!(Digest::of(&blob), layer.descriptor.digest);
        assert_eq!(blob.len() as u64, layer.descriptor.size);
        tar
    }

    /// A file on disk as the content of an entry.
    fn file(&self, name: &str, bytes: &[u8]) -> Content {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        on_disk(&path)
    }
}

fn on_disk(path: &Path) -> Content {
    let stat = FileStat::from(&fs::symlink_metadata(path).unwrap());
    Content::File { path: path.to_owned(), stat, digest: None }
}

fn path(path: &str) -> EntryPath {
    EntryPath::new(path).unwrap()
}

fn text(name: &str, bytes: impl Into<Vec<u8>>) -> Entry {
    Entry::new(path(name), Kind::File(Content::Bytes(bytes.into().into())), 0o644)
}

/// Bytes that compress a little and never repeat.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 59) as u8 + b'a'
        })
        .collect()
}

/// One of everything.
fn everything() -> Vec<Entry> {
    let deep = format!("deep/{}", ["a-rather-long-directory-name"; 12].join("/"));
    let mut entries = vec![
        Entry::new(path("bin"), Kind::Directory, 0o755),
        text("bin/tool", "#!/bin/sh\n"),
        Entry::new(path("bin/alias"), Kind::Hardlink(path("bin/tool")), 0o755),
        Entry::new(path("bin/link"), Kind::Symlink(b"../a//b/./tool".to_vec()), 0o777),
        Entry::new(path("bin/far"), Kind::Symlink([b'x'; 200].to_vec()), 0o777),
        Entry::new(path("gone"), Kind::Whiteout, 0o644),
        Entry::new(path("dir"), Kind::Directory, 0o1777),
        Entry::new(path("dir/gone"), Kind::Whiteout, 0o644),
        Entry::new(path("opaque"), Kind::Directory, 0o755),
        Entry::new(path("opaque"), Kind::Opaque, 0o644),
        Entry::new(path("dev-null"), Kind::CharDevice { major: 1, minor: 3 }, 0o666),
        Entry::new(path("dev-disk"), Kind::BlockDevice { major: 259, minor: 1_048_575 }, 0o660),
        Entry::new(path("pipe"), Kind::Fifo, 0o600),
        text(&"prefix/".repeat(20), "fits into ustar"),
        text(&deep, "needs a PAX path"),
        text("ünïcode", "u"),
        Entry::new(EntryPath::new(b"raw-\xff\xfe").unwrap(), Kind::File(Content::Bytes("raw".into())), 0o644),
    ];
    let mut special = text("special", "s");
    special.mode = 0o4755;
    special.uid = 4_000_000_000;
    special.gid = 2_097_152;
    special.mtime = -1;
    special.xattrs.insert(b"user.note".to_vec(), b"a=b\0end".to_vec());
    special.xattrs.insert(b"security.capability".to_vec(), vec![1, 0, 0, 2, 0, 0x20]);
    entries.push(special);
    entries
}

#[test]
fn bytes_do_not_depend_on_threads() {
    let bench = Bench::new();
    let entries: Vec<Entry> =
        (0..40).map(|n| text(&format!("file-{n:03}"), noise(150_000 + n * 977, n as u64))).collect();
    for compression in [Compression::gzip(), Compression::zstd(), Compression::None] {
        let options = Options { compression, ..Options::default() };
        let layers = [1, 2, 7].map(|threads| bench.write_with(threads, &entries, &options).layer);
        assert_eq!(layers[0], layers[1]);
        assert_eq!(layers[0], layers[2]);
        assert_eq!(layers[0].descriptor.media_type, compression.media_type());
        bench.tar(&layers[0]);
    }
}

/// Pins the bytes of layers: if this fails, [`Compression::id`] has to say something new, since everybody's layers
/// get new digests.
#[test]
fn golden_digests() {
    let bench = Bench::new();
    let mut entries = everything();
    entries.extend((0..12).map(|n| text(&format!("noise-{n}"), noise(300_000, n))));
    entries.push(text("large", noise(4_000_000, 99)));
    let found = [Compression::gzip(), Compression::zstd(), Compression::None].map(|compression| {
        let options = Options { compression, ..Options::default() };
        let layer = bench.write_with(2, &entries, &options).layer;
        format!("{} {} {}\n", compression.id(), layer.diff_id.short(), layer.descriptor.digest.short())
    });
    insta::assert_snapshot!(found.concat(), @r"
    gzip/libdeflate-1.26/5/chunks-1 116586a34701 85cc58fde791
    zstd/zstd-1.5/3/chunks-1 116586a34701 8569b1cddcb3
    none 116586a34701 116586a34701
    ");
}

#[test]
fn an_empty_layer_is_two_blocks() {
    let bench = Bench::new();
    let written = bench.write(&[]);
    assert_eq!(bench.tar(&written.layer), [0; 1024]);
    assert_eq!(written.chunks, 1);
}

#[test]
fn the_tar_crate_reads_everything_back() {
    let bench = Bench::new();
    let entries = everything();
    let tar = bench.tar(&bench.write(&entries).layer);
    let mut archive = tar::Archive::new(tar.as_slice());
    let mut found = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let link = entry.link_name_bytes().map(|link| String::from_utf8_lossy(&link).into_owned());
        let header = entry.header().clone();
        let device = header.device_major().unwrap().zip(header.device_minor().unwrap());
        if name == "special" {
            let records: Vec<(String, Vec<u8>)> = entry
                .pax_extensions()
                .unwrap()
                .unwrap()
                .map(|record| record.unwrap())
                .map(|record| (record.key().unwrap().to_owned(), record.value_bytes().to_vec()))
                .collect();
            let expected: [(&str, &[u8]); 5] = [
                ("SCHILY.xattr.security.capability", &[1, 0, 0, 2, 0, 0x20]),
                ("SCHILY.xattr.user.note", b"a=b\0end"),
                ("gid", b"2097152"),
                ("mtime", b"-1"),
                ("uid", b"4000000000"),
            ];
            assert_eq!(records, expected.map(|(key, value)| (key.to_owned(), value.to_vec())));
            assert_eq!(header.mode().unwrap(), 0o4755);
        }
        found.push((header.entry_type(), name, link, device, content));
    }
    assert_eq!(found.len(), entries.len());
    let names: Vec<&str> = found.iter().map(|f| f.1.as_str()).collect();
    for name in ["bin/", ".wh.gone", "dir/.wh.gone", "opaque/.wh..wh..opq", "ünïcode", "raw-\u{fffd}\u{fffd}"]
    {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    let link = |name: &str| found.iter().find(|f| f.1 == name).unwrap().2.clone().unwrap();
    assert_eq!(link("bin/link"), "../a//b/./tool");
    assert_eq!(link("bin/far"), "x".repeat(200));
    assert_eq!(link("bin/alias"), "bin/tool");
    assert_eq!(found.iter().find(|f| f.1 == "dev-disk").unwrap().3, Some((259, 1_048_575)));
    assert!(found.iter().any(|f| f.1.len() == 139 && f.4 == b"fits into ustar"), "{names:?}");
}

#[test]
fn sizes_beyond_the_header_go_into_pax() {
    let size = 9 << 30;
    let content = Content::Range { file: Path::new("/nowhere").into(), offset: 0, size, digest: None };
    let entry = Entry::new(path("huge"), Kind::File(content), 0o644);
    let mut blocks = Vec::new();
    header::encode(&entry, &mut blocks).unwrap();
    assert_eq!(blocks.len(), 3 * header::BLOCK);
    let mut archive = tar::Archive::new(blocks.as_slice());
    let entry = archive.entries().unwrap().next().unwrap().unwrap();
    assert_eq!(entry.size(), size);
}

#[test]
fn refuses_what_tar_cannot_say() {
    let mut equals = text("f", "");
    equals.xattrs.insert(b"user.a=b".to_vec(), Vec::new());
    let cases = [
        (Entry::new(path("a\0b"), Kind::Fifo, 0), "failed to write a\0b into the layer: its name contains"),
        (
            Entry::new(path("l"), Kind::Symlink(Vec::new()), 0),
            "failed to write l into the layer: its target is",
        ),
        (
            Entry::new(path("d"), Kind::CharDevice { major: 1 << 22, minor: 0 }, 0),
            "its device numbers are too",
        ),
        (equals, "the name of an extended attribute is empty or contains `=`"),
    ];
    for (entry, message) in cases {
        let error = Bench::new().fail(&[entry]).to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn one_changed_file_costs_a_few_chunks_and_changes_no_digest() {
    let bench = Bench::new();
    let mut entries: Vec<Entry> =
        (0..600).map(|n| text(&format!("file-{n:03}"), noise(20_000 + n * 7, n as u64))).collect();
    let first = bench.write(&entries);
    assert!(first.chunks > 8, "{}", first.chunks);
    assert_eq!(first.reused, 0);
    let previous = [first.layer.descriptor.digest];
    let options = Options { previous: &previous, ..Options::default() };

    let same = bench.write_with(2, &entries, &options);
    assert_eq!(same, Written { reused: first.chunks, ..first.clone() });

    entries[300] = text("file-300", "now much shorter");
    let changed = bench.write_with(2, &entries, &options);
    assert!(changed.reused + 3 >= changed.chunks, "{} of {}", changed.reused, changed.chunks);
    assert_eq!(changed.layer, Bench::new().write(&entries).layer);

    // Another level shares nothing.
    let options = Options { compression: Compression::Gzip { level: 1 }, ..options };
    assert_eq!(bench.write_with(2, &entries, &options).reused, 0);
}

#[test]
fn a_damaged_or_missing_previous_blob_is_only_slower() {
    let bench = Bench::new();
    let entries: Vec<Entry> = (0..8).map(|n| text(&format!("f{n}"), noise(900_000, n))).collect();
    let first = bench.write(&entries);
    let digest = first.layer.descriptor.digest;
    let previous = [digest, Digest::of(b"never seen")];
    let options = Options { previous: &previous, ..Options::default() };
    let blob = bench.store.blob_path(&digest);
    let mut bytes = fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&blob, bytes).unwrap();
    let second = bench.write_with(2, &entries, &options);
    assert_eq!(second.layer, first.layer);
    assert_eq!(second.reused, first.chunks - 1);
    fs::remove_file(&blob).unwrap();
    let third = bench.write_with(2, &entries, &options);
    assert_eq!((third.layer, third.reused), (first.layer, 0));
}

#[test]
fn decompresses_by_what_it_sees() {
    let bench = Bench::new();
    let entries = everything();
    let tars = [Compression::gzip(), Compression::zstd(), Compression::None].map(|compression| {
        bench.tar(&bench.write_with(1, &entries, &Options { compression, ..Options::default() }).layer)
    });
    assert_eq!(tars[0], tars[1]);
    assert_eq!(tars[0], tars[2]);
    let mut empty = Vec::new();
    Decoder::new(std::io::empty()).unwrap().read_to_end(&mut empty).unwrap();
    assert!(empty.is_empty());
    let cut = &[0x1f, 0x8b, 8, 0, 0][..];
    assert!(Decoder::new(cut).unwrap().read_to_end(&mut empty).is_err());
    assert_eq!(Compression::default().media_type(), media_type::LAYER_GZIP);
}

/// The records of a PAX header. By their lengths, as POSIX has it: the tar crate splits them at line ends instead, and
/// so loses any value with a line end in it.
fn records(mut body: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut records = BTreeMap::new();
    while !body.is_empty() {
        let space = body.iter().position(|b| *b == b' ').unwrap();
        let length: usize = std::str::from_utf8(&body[..space]).unwrap().parse().unwrap();
        let record = body[space + 1..length].strip_suffix(b"\n").unwrap();
        let equals = record.iter().position(|b| *b == b'=').unwrap();
        assert_eq!(records.insert(record[..equals].to_vec(), record[equals + 1..].to_vec()), None);
        body = &body[length..];
    }
    records
}

/// Entries with distinct sorted paths, of all sorts.
fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let part = prop_oneof![4 => "[a-d]{1,3}", 1 => "[a-z]{60,120}", 1 => "\\PC{1,4}"];
    let parts = prop::collection::vec(part, 1..4).prop_map(|parts| parts.join("/"));
    let kind = prop_oneof![
        2 => Just(Kind::Directory),
        4 => prop::collection::vec(any::<u8>(), 0..3000).prop_map(|b| Kind::File(Content::Bytes(b.into()))),
        1 => (1usize..3_000_000, any::<u64>())
            .prop_map(|(length, seed)| Kind::File(Content::Bytes(noise(length, seed).into()))),
        1 => prop::collection::vec(1u8.., 1..150).prop_map(Kind::Symlink),
        1 => Just(Kind::Fifo),
    ];
    let numbers = (0u32..0o10000, any::<u64>(), 0u64..5_000_000, any::<i64>());
    let xattrs =
        prop::collection::btree_map("user\\.[a-z]{1,9}".prop_map(String::into_bytes), any::<Vec<u8>>(), 0..3);
    prop::collection::btree_map(parts, (kind, numbers, xattrs), 0..12).prop_map(|entries| {
        let mut entries: Vec<Entry> = entries
            .into_iter()
            .filter_map(|(name, (kind, (mode, uid, gid, mtime), xattrs))| {
                Some(Entry { path: EntryPath::new(name)?, kind, mode, uid, gid, mtime, xattrs })
            })
            .collect();
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        entries
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_entries_survive(entries in entries()) {
        let bench = Bench::new();
        let tar = bench.tar(&bench.write(&entries).layer);
        let mut archive = tar::Archive::new(tar.as_slice());
        let mut found = archive.entries().unwrap().raw(true);
        for expected in &entries {
            let mut entry = found.next().unwrap().unwrap();
            let mut pax = BTreeMap::new();
            if entry.header().entry_type() == tar::EntryType::XHeader {
                let mut body = Vec::new();
                entry.read_to_end(&mut body).unwrap();
                pax = records(&body);
                entry = found.next().unwrap().unwrap();
            }
            let name = pax.get(&b"path"[..]).cloned().unwrap_or_else(|| entry.path_bytes().into_owned());
            prop_assert_eq!(name.strip_suffix(b"/").unwrap_or(&name), expected.path.as_bytes());
            prop_assert_eq!(entry.header().mode().unwrap(), expected.mode);
            let number = |key: &str, field: i128| pax.get(key.as_bytes())
                .map_or(field, |value| String::from_utf8_lossy(value).parse().unwrap());
            prop_assert_eq!(number("uid", entry.header().uid().unwrap().into()), expected.uid.into());
            prop_assert_eq!(number("gid", entry.header().gid().unwrap().into()), expected.gid.into());
            prop_assert_eq!(number("mtime", entry.header().mtime().unwrap().into()), expected.mtime.into());
            for (name, value) in &expected.xattrs {
                prop_assert_eq!(pax.get(&[b"SCHILY.xattr.", name.as_slice()].concat()), Some(value));
            }
            if let Kind::Symlink(target) = &expected.kind {
                let link = pax.get(&b"linkpath"[..]).cloned()
                    .unwrap_or_else(|| entry.link_name_bytes().unwrap().into_owned());
                prop_assert_eq!(&link, target);
            }
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            match &expected.kind {
                Kind::File(Content::Bytes(bytes)) => prop_assert!(content == bytes.as_ref()),
                _ => prop_assert!(content.is_empty()),
            }
        }
        prop_assert!(found.next().is_none());
    }

    #[test]
    fn reuse_never_changes_a_layer(
        sizes in prop::collection::vec(1usize..400_000, 1..40),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..600_000), 0..4),
    ) {
        let bench = Bench::new();
        let mut entries: Vec<Entry> = sizes.iter().enumerate()
            .map(|(n, size)| text(&format!("d{}/f{n:02}", n / 9), noise(*size, n as u64)))
            .collect();
        let first = bench.write(&entries);
        for (at, size) in &edits {
            match entries.get_mut(at.index(sizes.len())) {
                Some(entry) if *size > 0 => entry.kind = Kind::File(Content::Bytes(noise(*size, 77).into())),
                Some(_) => { entries.remove(at.index(entries.len())); }
                None => {}
            }
        }
        let previous = [first.layer.descriptor.digest];
        let options = Options { previous: &previous, ..Options::default() };
        let again = bench.write_with(2, &entries, &options);
        prop_assert_eq!(&again.layer, &Bench::new().write(&entries).layer);
        if edits.is_empty() {
            prop_assert_eq!(again.reused, first.chunks);
        }
        bench.tar(&again.layer);
    }
}
