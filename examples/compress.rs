//! The floor of a benchmark: reads the files of a directory and compresses their bytes on all cores, and does nothing
//! else: no tar, no digests, no store.
//!
//! `cargo run --release --example compress DIR [LEVEL]` prints how many bytes became how many.

use std::{
    error::Error,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
};

use libdeflater::{CompressionLvl, Compressor};

/// Bytes that are compressed at a time, each a gzip member of its own.
const CHUNK: usize = 1 << 20;
/// The level that comes closest to the size of `gzip -6`.
const LEVEL: i32 = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("usage: compress DIR [LEVEL]")?);
    let level = arguments.next().map_or(Ok(LEVEL), |text| text.to_string_lossy().parse())?;
    let level = CompressionLvl::new(level).map_err(|_| "the level is 0 to 12")?;

    let mut files = Vec::new();
    list(&folder, &mut files)?;
    // A run of files for each turn of a thread: small enough to share the work, large enough to fill chunks.
    let runs: Vec<&[PathBuf]> = files.chunks(64).collect();
    let (next, read, written) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let failure = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let mut compressor = Compressor::new(level);
                while let Some(run) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match compress(&mut compressor, run) {
                        Ok((before, after)) => {
                            read.fetch_add(before, Ordering::Relaxed);
                            written.fetch_add(after, Ordering::Relaxed);
                        }
                        Err(error) => {
                            if let Ok(mut failure) = failure.lock() {
                                *failure = Some(error);
                            }
                        }
                    }
                }
            });
        }
    });
    if let Ok(Some(error)) = failure.into_inner() {
        return Err(error.into());
    }
    writeln!(io::stdout(), "{} {}", read.into_inner(), written.into_inner())?;
    Ok(())
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            list(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

fn compress(compressor: &mut Compressor, run: &[PathBuf]) -> io::Result<(u64, u64)> {
    let mut chunk = Vec::with_capacity(CHUNK);
    let mut out = vec![0; compressor.gzip_compress_bound(CHUNK)];
    let (mut before, mut after) = (0, 0);
    let mut flush = |chunk: &mut Vec<u8>| -> io::Result<()> {
        before += chunk.len() as u64;
        after += compressor.gzip_compress(chunk, &mut out).map_err(io::Error::other)? as u64;
        chunk.clear();
        Ok(())
    };
    for path in run {
        let mut file = File::open(path)?;
        loop {
            let room = (CHUNK - chunk.len()) as u64;
            if (&mut file).take(room).read_to_end(&mut chunk)? == 0 {
                break;
            }
            if chunk.len() == CHUNK {
                flush(&mut chunk)?;
            }
        }
    }
    if !chunk.is_empty() {
        flush(&mut chunk)?;
    }
    Ok((before, after))
}
