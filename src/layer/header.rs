//! Tar headers: POSIX ustar, with a PAX extended header only for what ustar cannot say.
//!
//! The `tar` crate is the codec of the header block. What goes into it is decided here: its own path and link setters
//! normalise names and fall back to GNU extensions, and it writes neither large numbers nor extended attributes as
//! PAX.

use tar::{EntryType, Header};

use super::{Content, Entry, Kind, LayerError};

/// The unit of a tar archive.
pub(super) const BLOCK: usize = 512;

/// What seven octal digits can say: ids and device numbers.
const MAX_SHORT: u64 = 0o7_777_777;
/// What eleven octal digits can say: sizes and times.
const MAX_LONG: u64 = 0o77_777_777_777;

/// Appends the header blocks of an entry to `out`. The content of a file, which is to follow, is not.
pub(super) fn encode(entry: &Entry, out: &mut Vec<u8>) -> Result<(), LayerError> {
    let refuse = |reason| LayerError::Unrepresentable { path: entry.path.clone(), reason };
    let mut pax = Pax::default();
    let mut header = Header::new_ustar();
    header.set_mode(entry.mode & 0o7777);

    // Zeros where there is no device: an empty field is no number to strict readers.
    let (major, minor) = match entry.kind {
        Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => (major, minor),
        _ => (0, 0),
    };
    if u64::from(major.max(minor)) > MAX_SHORT {
        return Err(refuse("its device numbers are too large"));
    }
    if let Some(ustar) = header.as_ustar_mut() {
        ustar.set_device_major(major);
        ustar.set_device_minor(minor);
    }

    let (kind, name) = name(entry);
    if !matches!(entry.kind, Kind::Whiteout | Kind::Opaque)
        && entry.path.as_bytes().split(|b| *b == b'/').any(|part| part.starts_with(b".wh."))
    {
        // Every reader would take it for a whiteout (image-spec `layer.md`, "Whiteouts").
        return Err(refuse("in a layer, names that begin with `.wh.` say that something is removed"));
    }
    if name.contains(&0) {
        return Err(refuse("its name contains a zero byte"));
    }
    header.set_entry_type(kind);
    if !put_name(&mut header, &name) {
        pax.add(b"path", &name);
        put_placeholder(&mut header, &name);
    }

    match &entry.kind {
        Kind::Symlink(target) => {
            if target.is_empty() || target.contains(&0) {
                return Err(refuse("its target is empty or contains a zero byte"));
            }
            put_link(&mut header, &mut pax, target);
        }
        Kind::Hardlink(target) => put_link(&mut header, &mut pax, target.as_bytes()),
        _ => {}
    }

    let size = content(entry).map_or(0, Content::size);
    header.set_size(pax.number(b"size", size, MAX_LONG));
    header.set_uid(pax.number(b"uid", entry.uid, MAX_SHORT));
    header.set_gid(pax.number(b"gid", entry.gid, MAX_SHORT));
    match u64::try_from(entry.mtime) {
        Ok(mtime) => header.set_mtime(pax.number(b"mtime", mtime, MAX_LONG)),
        Err(_) => {
            pax.add(b"mtime", entry.mtime.to_string().as_bytes());
            header.set_mtime(0);
        }
    }
    for (name, value) in &entry.xattrs {
        if name.is_empty() || name.iter().any(|b| matches!(b, b'=' | 0)) {
            return Err(refuse("the name of an extended attribute is empty or contains `=`"));
        }
        pax.add(&[b"SCHILY.xattr.", name.as_slice()].concat(), value);
    }
    pax.write(out);
    header.set_cksum();
    out.extend_from_slice(header.as_bytes());
    Ok(())
}

/// The bytes that follow the header, if the entry has any.
pub(super) fn content(entry: &Entry) -> Option<&Content> {
    match &entry.kind {
        Kind::File(content) => Some(content),
        _ => None,
    }
}

/// How many zero bytes fill the last block of a content of `size` bytes.
pub(super) fn padding(size: u64) -> usize {
    let rest = (size % BLOCK as u64) as usize;
    if rest == 0 { 0 } else { BLOCK - rest }
}

/// The type and the name in the archive.
fn name(entry: &Entry) -> (EntryType, Vec<u8>) {
    let path = entry.path.as_bytes();
    let kind = match &entry.kind {
        Kind::Directory => return (EntryType::Directory, [path, b"/"].concat()),
        Kind::Whiteout => {
            let cut = path.len() - entry.path.name().len();
            return (EntryType::Regular, [&path[..cut], b".wh.", &path[cut..]].concat());
        }
        Kind::Opaque => return (EntryType::Regular, [path, b"/.wh..wh..opq"].concat()),
        Kind::File(_) => EntryType::Regular,
        Kind::Symlink(_) => EntryType::Symlink,
        Kind::Hardlink(_) => EntryType::Link,
        Kind::CharDevice { .. } => EntryType::Char,
        Kind::BlockDevice { .. } => EntryType::Block,
        Kind::Fifo => EntryType::Fifo,
    };
    (kind, path.to_vec())
}

/// Puts the name into the ustar fields, if they can hold it. Only ASCII goes there: the encoding of these fields is
/// not defined, that of PAX records is the reader's "as it is".
fn put_name(header: &mut Header, name: &[u8]) -> bool {
    let Some(ustar) = header.as_ustar_mut() else { return false };
    if !name.is_ascii() {
        return false;
    }
    if name.len() <= ustar.name.len() {
        ustar.name[..name.len()].copy_from_slice(name);
        return true;
    }
    // The last slash that leaves a prefix of at most 155 bytes in front and a name of 1 to 100 bytes behind.
    let end = name.len().saturating_sub(1).min(ustar.prefix.len() + 1);
    let Some(slash) = name[..end].iter().rposition(|b| *b == b'/') else { return false };
    let (prefix, rest) = (&name[..slash], &name[slash + 1..]);
    if prefix.is_empty() || rest.len() > ustar.name.len() {
        return false;
    }
    ustar.prefix[..prefix.len()].copy_from_slice(prefix);
    ustar.name[..rest.len()].copy_from_slice(rest);
    true
}

/// What a reader that knows no PAX shows of a name that only PAX can say.
fn put_placeholder(header: &mut Header, name: &[u8]) {
    let Some(ustar) = header.as_ustar_mut() else { return };
    let ascii: Vec<u8> = name.iter().map(|b| if b.is_ascii() { *b } else { b'_' }).collect();
    let cut = &ascii[..ascii.len().min(ustar.name.len())];
    // Old readers take a file whose name ends in a slash for a directory.
    let cut = cut.strip_suffix(b"/").unwrap_or(cut);
    ustar.name[..cut.len()].copy_from_slice(cut);
}

/// Puts the target of a link into its field, or, where that cannot hold it, into the PAX header.
fn put_link(header: &mut Header, pax: &mut Pax, target: &[u8]) {
    let Some(ustar) = header.as_ustar_mut() else { return };
    if target.is_ascii() && target.len() <= ustar.linkname.len() {
        ustar.linkname[..target.len()].copy_from_slice(target);
    } else {
        pax.add(b"linkpath", target);
    }
}

/// The records of a PAX extended header (POSIX.1-2001 `pax`, "pax Extended Header").
#[derive(Default)]
struct Pax {
    records: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Pax {
    fn add(&mut self, key: &[u8], value: &[u8]) {
        self.records.push((key.to_vec(), value.to_vec()));
    }

    /// The number for the header's field: a number that does not fit there becomes a record, and the field zero.
    fn number(&mut self, key: &[u8], value: u64, max: u64) -> u64 {
        if value <= max {
            return value;
        }
        self.add(key, value.to_string().as_bytes());
        0
    }

    /// Appends the extended header: its own header block, then the records in the order of their keys.
    fn write(mut self, out: &mut Vec<u8>) {
        if self.records.is_empty() {
            return;
        }
        self.records.sort();
        let mut body = Vec::new();
        for (key, value) in &self.records {
            body.extend_from_slice(record_length(key.len() + value.len() + 3).to_string().as_bytes());
            body.push(b' ');
            body.extend_from_slice(key);
            body.push(b'=');
            body.extend_from_slice(value);
            body.push(b'\n');
        }
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::XHeader);
        if let Some(ustar) = header.as_ustar_mut() {
            let name = b"././@PaxHeader";
            ustar.name[..name.len()].copy_from_slice(name);
        }
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(body.len() as u64);
        header.set_cksum();
        out.extend_from_slice(header.as_bytes());
        let padding = padding(body.len() as u64);
        out.extend_from_slice(&body);
        out.resize(out.len() + padding, 0);
    }
}

/// The length of a record, which counts its own decimal digits; `rest` is all but those.
fn record_length(rest: usize) -> usize {
    let mut length = rest + 1;
    loop {
        let next = rest + length.to_string().len();
        if next == length {
            return length;
        }
        length = next;
    }
}
