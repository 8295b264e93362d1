//! Measures compressors and the whole pipeline on a directory of the user's choice.
//!
//! ```text
//! cargo bench --bench compression -- candidates DIR   one core: size and speed of each candidate
//! cargo bench --bench compression -- layer DIR…       the whole pipeline, one layer a directory, cold, then rebuilt
//! ```
//!
//! `docs/compression.md` has the figures and how to compare with `tar | pigz | sha256sum`.

#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)] // A program for people, not part of the library.

use std::{
    fs,
    io::Read,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
    time::Instant,
};

use imgbuild::{
    layer::{Compression, Content, Entry, EntryPath, FileStat, Kind, Options, Pool, write_layer},
    oci::{Digest, Hasher},
    store::Store,
};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let mut arguments = arguments.iter().map(String::as_str);
    match (arguments.next(), arguments.collect::<Vec<_>>().as_slice()) {
        (Some("candidates"), [directory]) => candidates(Path::new(directory)),
        (Some("layer"), directories @ [_, ..]) => layers(directories),
        // Run by `cargo bench` without arguments, or by a test runner.
        _ => println!("usage: cargo bench --bench compression -- candidates DIR | layer DIR…"),
    }
}

/// Every candidate on the same tar, on one core, the tar in memory.
fn candidates(directory: &Path) {
    let store_folder = tempfile::tempdir().unwrap();
    let store = Store::open(store_folder.path()).unwrap();
    let entries = walk(directory);
    let pool = Pool::new(1.try_into().unwrap()).unwrap();
    let plain = Options { compression: Compression::None, ..Options::default() };
    let layer = write_layer(&store, &pool, &entries, &plain).unwrap().layer;
    let mut tar = Vec::new();
    store.open_blob(&layer.descriptor.digest).unwrap().read_to_end(&mut tar).unwrap();

    let report = |name: &str, packed: usize, seconds: f64| {
        println!("{name:<28} {:>12} bytes {:>7.0} MB/s", packed, tar.len() as f64 / seconds / 1e6);
    };
    let begin = Instant::now();
    Digest::of(&tar);
    report("sha256", 0, begin.elapsed().as_secs_f64());
    let begin = Instant::now();
    crc32fast::hash(&tar);
    report("crc32", 0, begin.elapsed().as_secs_f64());

    for block in [512 << 10, 1 << 20, 2 << 20, 4 << 20] {
        for level in [4, 5, 6, 7] {
            let mut compressor =
                libdeflater::Compressor::new(libdeflater::CompressionLvl::new(level).unwrap());
            let mut out = vec![0; compressor.gzip_compress_bound(block)];
            let begin = Instant::now();
            let packed: usize =
                tar.chunks(block).map(|chunk| compressor.gzip_compress(chunk, &mut out).unwrap()).sum();
            report(
                &format!("libdeflate -{level}, {} KiB", block >> 10),
                packed,
                begin.elapsed().as_secs_f64(),
            );
        }
    }
    for level in [4, 5, 6] {
        let begin = Instant::now();
        let packed = stitched(&tar, 1 << 20, level);
        report(&format!("zlib-rs -{level}, stitched 1 MiB"), packed, begin.elapsed().as_secs_f64());
    }
    for level in [1, 3] {
        let mut compressor = zstd::bulk::Compressor::new(level).unwrap();
        let begin = Instant::now();
        let packed: usize = tar.chunks(1 << 20).map(|chunk| compressor.compress(chunk).unwrap().len()).sum();
        report(&format!("zstd -{level}, 1024 KiB"), packed, begin.elapsed().as_secs_f64());
    }
}

/// pigz's way: one gzip member of blocks that end in a sync flush, each primed with the 32 KiB in front of it.
fn stitched(tar: &[u8], block: usize, level: u32) -> usize {
    use flate2::{Compress, FlushCompress};
    let mut total = 18; // The member's header and trailer.
    for start in (0..tar.len()).step_by(block) {
        let mut compress = Compress::new(flate2::Compression::new(level), false);
        if start > 0 {
            compress.set_dictionary(&tar[start.saturating_sub(32 << 10)..start]).unwrap();
        }
        let chunk = &tar[start..tar.len().min(start + block)];
        let mut out = Vec::with_capacity(chunk.len() + chunk.len() / 8 + 64);
        compress.compress_vec(chunk, &mut out, FlushCompress::Sync).unwrap();
        crc32fast::hash(chunk);
        total += out.len();
    }
    total
}

/// The whole pipeline: cold; then unchanged; then with the middle file changed. Contents come with their digests, as
/// from a stat cache; the time that hashing them takes is told apart.
fn layers(directories: &[&str]) {
    let pool = Pool::sized_to_cores().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    for directory in directories {
        let begin = Instant::now();
        let mut entries = walk(Path::new(directory));
        println!(
            "{directory}: {} entries, walk and stat {:.2} s",
            entries.len(),
            begin.elapsed().as_secs_f64()
        );
        let begin = Instant::now();
        add_digests(&mut entries);
        println!("  digests of all files          {:>6.2} s", begin.elapsed().as_secs_f64());

        let mut previous = Vec::new();
        for run in ["cold", "cold again", "all chunks known", "one file changed"] {
            if run == "one file changed" {
                let middle = entries.len() / 2;
                let file = entries[middle..].iter_mut().find(|e| matches!(e.kind, Kind::File(_))).unwrap();
                file.kind = Kind::File(Content::Bytes("changed".into()));
            }
            let reuse: &[Digest] = if run.starts_with("cold") { &[] } else { &previous };
            let begin = Instant::now();
            let options = Options { previous: reuse, ..Options::default() };
            let written = write_layer(&store, &pool, &entries, &options).unwrap();
            let seconds = begin.elapsed().as_secs_f64();
            let layer = &written.layer;
            println!(
                "  {run:<17} {:>12} bytes {seconds:>6.2} s {:>6.0} MB/s  {} of {} chunks reused",
                layer.descriptor.size,
                layer.size as f64 / seconds / 1e6,
                written.reused,
                written.chunks,
            );
            previous = vec![layer.descriptor.digest];
        }
    }
}

fn walk(root: &Path) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for found in fs::read_dir(&folder).unwrap() {
            let found = found.unwrap();
            let stat = found.metadata().unwrap();
            let path = found.path();
            let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes();
            let kind = if stat.is_dir() {
                folders.push(path.clone());
                Kind::Directory
            } else if stat.is_symlink() {
                Kind::Symlink(fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec())
            } else {
                Kind::File(Content::File { path: path.clone(), stat: FileStat::from(&stat), digest: None })
            };
            entries.push(Entry::new(EntryPath::new(name).unwrap(), kind, stat.mode() & 0o7777));
        }
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    entries
}

fn add_digests(entries: &mut [Entry]) {
    for entry in entries {
        if let Kind::File(Content::File { path, digest, .. }) = &mut entry.kind {
            // In pieces, so that this program's own memory says what the pipeline's is.
            let mut file = fs::File::open(path).unwrap();
            let (mut hasher, mut buffer) = (Hasher::new(), [0; 64 << 10]);
            loop {
                match file.read(&mut buffer).unwrap() {
                    0 => break,
                    read => hasher.update(&buffer[..read]),
                }
            }
            *digest = Some(hasher.finish());
        }
    }
}
