//! zip archives, converted to tar once, so that everything behind reads tars only.

use std::io::{self, Read, Seek, Write};

use ::zip::ZipArchive;

use super::error::TarError;

/// The most bytes a symbolic link's target may have.
const MAX_LINK: u64 = 4096;
const MAX_TOTAL: u64 = 64 << 30;

/// Writes the entries of a zip as a tar, in the zip's order. Files without a Unix mode get 0644, directories 0755;
/// zip knows no owners.
pub(super) fn to_tar(archive: impl Read + Seek, out: impl Write) -> Result<(), TarError> {
    let mut archive = ZipArchive::new(archive).map_err(failed)?;
    let mut tar = tar::Builder::new(out);
    let mut total = 0u64;
    for number in 0..archive.len() {
        let mut file = archive.by_index(number).map_err(failed)?;
        let path = file.name_raw().to_vec();
        let refuse =
            |why: &str| TarError::Entry { path: String::from_utf8_lossy(&path).into(), why: why.into() };
        if file.encrypted() {
            return Err(refuse("is encrypted"));
        }
        let mode = file.unix_mode();
        let mut header = tar::Header::new_ustar();
        header.set_uid(0);
        header.set_gid(0);
        let mut pax = vec![("path", path.clone())];
        // Local time without a zone: read as UTC, so that it is the same everywhere.
        let time = file.last_modified().and_then(seconds).unwrap_or(0);
        header.set_mtime(time);
        if file.is_dir() {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(mode.unwrap_or(0o755) & 0o7777);
            header.set_size(0);
            append(&mut tar, &mut header, &pax, io::empty())?;
        } else if file.is_symlink() {
            let mut target = Vec::new();
            file.by_ref().take(MAX_LINK + 1).read_to_end(&mut target)?;
            if target.len() as u64 > MAX_LINK {
                return Err(refuse("is a symbolic link with a target of more than 4096 bytes"));
            }
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_mode(0o777);
            header.set_size(0);
            pax.push(("linkpath", target));
            append(&mut tar, &mut header, &pax, io::empty())?;
        } else {
            let size = file.size();
            total = total.saturating_add(size);
            if total > MAX_TOTAL {
                return Err(TarError::Limit("its files have more than 64 GiB together".into()));
            }
            header.set_entry_type(tar::EntryType::Regular);
            header.set_mode(mode.unwrap_or(0o644) & 0o7777);
            header.set_size(size);
            if size >= 1 << 33 {
                // More than the octal digits of the header can tell.
                header.set_size(0);
                pax.push(("size", size.to_string().into_bytes()));
            }
            // A file that is not as long as it says would shift all that follows.
            append(&mut tar, &mut header, &pax, Exactly { inner: file, left: size })?;
        }
    }
    tar.finish()?;
    Ok(())
}

fn append<W: Write>(
    tar: &mut tar::Builder<W>,
    header: &mut tar::Header,
    pax: &[(&str, Vec<u8>)],
    content: impl Read,
) -> Result<(), TarError> {
    tar.append_pax_extensions(pax.iter().map(|(key, value)| (*key, value.as_slice())))?;
    header.set_cksum();
    Ok(tar.append(header, content)?)
}

struct Exactly<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let rest = self.left.checked_sub(read as u64);
        match rest {
            Some(rest) if read > 0 || rest == 0 || buffer.is_empty() => self.left = rest,
            _ => return Err(io::Error::other("a file has not the size that the zip's directory tells")),
        }
        Ok(read)
    }
}

fn failed(error: ::zip::result::ZipError) -> TarError {
    match error {
        ::zip::result::ZipError::Io(error) => error.into(),
        other => TarError::Io(io::Error::other(other)),
    }
}

/// Seconds since the epoch, by the proleptic Gregorian calendar.
fn seconds(time: ::zip::DateTime) -> Option<u64> {
    let date = jiff::civil::date(i16::try_from(time.year()).ok()?, i8::try_from(time.month()).ok()?, 1);
    let date = date.checked_add(jiff::Span::new().days(i64::from(time.day()).checked_sub(1)?)).ok()?;
    let midnight = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    let within = u64::from(time.hour()) * 3600 + u64::from(time.minute()) * 60 + u64::from(time.second());
    Some(u64::try_from(midnight).ok()? + within)
}
