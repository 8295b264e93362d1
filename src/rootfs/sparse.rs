//! Where the parts of sparse files lie: old GNU headers and the three PAX formats of GNU tar.

use std::io::Read;

use super::{
    error::TarError,
    tar_reader::{Member, TarReader, field, truncated},
};

/// The most parts one sparse file may have.
const MAX_SEGMENTS: usize = 1 << 18;

/// A part of a sparse file that is not a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    /// Where it begins in the file.
    pub(super) offset: u64,
    /// How many bytes it has.
    pub(super) size: u64,
}

/// A sparse file's map.
#[derive(Debug)]
pub(super) struct Map {
    pub(super) segments: Vec<Segment>,
    /// The size of the whole file.
    pub(super) size: u64,
}

/// The map of an `S` header, which goes on in further blocks.
pub(super) fn old_gnu<R: Read>(tar: &mut TarReader<R>, at: u64, block: &[u8; 512]) -> Result<Map, TarError> {
    let wrong = |why: &str| TarError::Header { offset: at, why: why.into() };
    let mut numbers = Vec::new();
    let mut take = |bytes: &[u8]| {
        for pair in bytes.chunks_exact(24) {
            if pair[0] == 0 || pair[12] == 0 {
                continue;
            }
            numbers.push([field(&pair[..12]), field(&pair[12..])]);
        }
        if numbers.len() > MAX_SEGMENTS { Err(wrong("its sparse map is too long")) } else { Ok(()) }
    };
    take(&block[386..482])?;
    let mut more = block[482] != 0;
    while more {
        let extra = tar.extra_block()?;
        take(&extra[..504])?;
        more = extra[504] != 0;
    }
    let number = |value: Option<i128>| {
        value.and_then(|v| u64::try_from(v).ok()).ok_or_else(|| wrong("its sparse map is damaged"))
    };
    let mut segments = Vec::with_capacity(numbers.len());
    for [offset, size] in numbers {
        segments.push(Segment { offset: number(offset)?, size: number(size)? });
    }
    checked(segments, number(field(&block[483..495]))?, tar.remaining(), at)
}

/// The map that PAX records tell, if they do; formats 0.0, 0.1 and 1.0. In the last it stands before the content.
pub(super) fn pax<R: Read>(
    tar: &mut TarReader<R>,
    at: u64,
    member: &mut Member,
) -> Result<Option<Map>, TarError> {
    let records = std::mem::take(&mut member.pax.sparse);
    if records.is_empty() {
        return Ok(None);
    }
    let wrong = || TarError::Header { offset: at, why: "its sparse map is damaged".into() };
    let parse =
        |bytes: &[u8]| std::str::from_utf8(bytes).ok().and_then(|t| t.parse::<u64>().ok()).ok_or_else(wrong);
    let (mut numbers, mut size, mut in_content) = (Vec::new(), None, false);
    for (key, value) in records {
        match key.as_slice() {
            b"major" => in_content = value == b"1",
            b"name" => member.path = value,
            b"realsize" | b"size" => size = Some(parse(&value)?),
            b"offset" | b"numbytes" => numbers.push(parse(&value)?),
            b"map" => {
                for number in value.split(|b| *b == b',') {
                    numbers.push(parse(number)?);
                }
            }
            _ => {}
        }
    }
    if in_content {
        numbers = map_in_content(tar).map_err(|error| error.unwrap_or_else(wrong))?;
    }
    let (pairs, rest) = numbers.as_chunks::<2>();
    if !rest.is_empty() || pairs.len() > MAX_SEGMENTS {
        return Err(wrong());
    }
    let segments = pairs.iter().map(|[offset, size]| Segment { offset: *offset, size: *size }).collect();
    checked(segments, size.ok_or_else(wrong)?, tar.remaining(), at).map(Some)
}

/// Decimal numbers, one a line, padded to a block: how many pairs, then the pairs.
fn map_in_content<R: Read>(tar: &mut TarReader<R>) -> Result<Vec<u64>, Option<TarError>> {
    let mut block = [0; 512];
    let (mut numbers, mut wanted, mut current, mut digits) = (Vec::new(), None, 0u64, 0);
    loop {
        tar.read_exact(&mut block).map_err(|error| Some(truncated(error, "a sparse map")))?;
        for byte in block {
            match byte {
                b'0'..=b'9' if digits < 20 => {
                    current = current
                        .checked_mul(10)
                        .and_then(|n| n.checked_add(u64::from(byte - b'0')))
                        .ok_or(None)?;
                    digits += 1;
                }
                b'\n' if digits > 0 => {
                    let number = std::mem::take(&mut current);
                    digits = 0;
                    match wanted {
                        None if number as usize > MAX_SEGMENTS => return Err(None),
                        None => wanted = Some(number as usize * 2),
                        Some(_) => numbers.push(number),
                    }
                    if wanted == Some(numbers.len()) {
                        return Ok(numbers);
                    }
                }
                _ => return Err(None),
            }
        }
    }
}

fn checked(segments: Vec<Segment>, size: u64, stored: u64, at: u64) -> Result<Map, TarError> {
    let (mut end, mut total) = (0u64, 0u64);
    for segment in &segments {
        let next = segment.offset.checked_add(segment.size);
        match next {
            Some(next) if segment.offset >= end && next <= size => end = next,
            _ => {
                return Err(TarError::Header {
                    offset: at,
                    why: "the parts of its sparse map overlap or lie outside".into(),
                });
            }
        }
        total += segment.size;
    }
    if total != stored {
        return Err(TarError::Header {
            offset: at,
            why: format!("its sparse map tells of {total} bytes, but {stored} are stored"),
        });
    }
    Ok(Map { segments, size })
}
