//! Where a layer is cut into chunks.
//!
//! A cut is a function of the sequence of entries, their paths and their sizes alone, never of history, time or core
//! count. It comes back into step after a change: apart from the bounds, whether there is a cut in front of an entry
//! depends on that entry's path only. So one changed file changes its own chunk, and, where a bound was hit, a few
//! behind it.

use super::EntryPath;

/// No cut at a path's wish before a chunk has this many bytes: short chunks compress worse.
const MIN: usize = 512 << 10;
/// No chunk grows beyond this, apart from header blocks.
const MAX: usize = 2 << 20;
/// One path in this many wishes for a cut in front of it.
const RARITY: u32 = 16;
/// Large files are cut at multiples of this from their own start.
pub(super) const PIECE: u64 = 1 << 20;

/// Whether the chunk ends in front of an entry, when it has `length` bytes so far and the entry needs `needed`.
pub(super) fn in_front_of(path: &EntryPath, length: usize, needed: u64) -> bool {
    if length == 0 {
        return false;
    }
    let first = first_piece(needed);
    if length as u64 + first > MAX as u64 {
        return true;
    }
    length >= MIN && (first < needed || crc32fast::hash(path.as_bytes()).is_multiple_of(RARITY))
}

/// How many bytes of a file with `left` bytes left go into one chunk: a piece, or all that is left if that is not much
/// more.
pub(super) fn first_piece(left: u64) -> u64 {
    if left > PIECE + PIECE / 2 { PIECE } else { left }
}
