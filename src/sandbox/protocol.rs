//! What the program, the worker, and the processes of a step say to each other: values with their length in front, and
//! file descriptors.

use std::{
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::PathBuf,
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    Captured, Emulator, Execution, Exit, Mode, fault::Fault, ground::Ground, probe::Examined, tree::Flavour,
};
use crate::layer::Entry;

/// The first message to a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    /// The rung to use; the best if not given.
    pub(super) mode: Option<Mode>,
    /// Where trees are: trials take place there.
    pub(super) scratch: PathBuf,
    /// Whether to try all rungs, tell, and end.
    pub(super) examine: bool,
    /// Whether the program has switched huge pages off, for itself and so for the worker.
    pub(super) small_pages: bool,
}

/// The worker's answer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Welcome {
    /// The rungs that were tried, best first.
    pub(super) examined: Vec<Examined>,
    /// What the worker stands on now.
    pub(super) ground: Option<Ground>,
}

/// What a process that the worker forked is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Job {
    /// Run a command.
    Run(Box<Execution>),
    /// Unpack a layer.
    Unpack(Unpack),
    /// Give a tree its final name.
    Settle(PathBuf, PathBuf),
    /// Remove a tree.
    Remove(PathBuf),
    /// Tell what a directory holds.
    List(List),
    /// Write entries that were listed as a tar.
    Pack(Vec<Entry>, PathBuf),
}

/// A layer to unpack.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Unpack {
    pub(super) entries: Vec<Entry>,
    pub(super) dir: PathBuf,
    pub(super) lowers: Vec<PathBuf>,
    pub(super) flavour: Flavour,
}

/// A directory to list.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct List {
    pub(super) dir: PathBuf,
    /// Whose files are that nobody has recorded an owner of.
    pub(super) owner: (u32, u32),
    pub(super) flavour: Flavour,
}

/// The emulator that a command is given on a ground: its file then comes before the job's locks.
pub(super) fn emulator<'a>(execution: &'a Execution, ground: &Ground) -> Option<&'a Emulator> {
    execution.emulator.as_ref().filter(|_| ground.facts.emulation)
}

/// What comes back.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// The command has ended: all that it wrote is in the pipes.
    Ended,
    /// The job is done.
    Done(Result<Done, Fault>),
}

/// The outcome of a job.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) exit: Exit,
    pub(super) captured: Option<Captured>,
    /// What was listed.
    pub(super) entries: Vec<Entry>,
    pub(super) warnings: Vec<String>,
}

impl Done {
    /// A job without a command.
    pub(super) fn plain(warnings: Vec<String>) -> Self {
        Self { exit: Exit::Code(0), captured: None, entries: Vec::new(), warnings }
    }
}

/// The longest message that is read: more entries than any layer has.
const LONGEST: usize = 1 << 30;

/// A value as it goes over the wire.
pub(super) fn encode<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let bytes = postcard::to_extend(value, vec![0; 4]).map_err(io::Error::other)?;
    let mut bytes = bytes;
    let length = u32::try_from(bytes.len() - 4).map_err(io::Error::other)?;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

/// Takes one value off the front of what was read, if it is there as a whole.
pub(super) fn decode<T: DeserializeOwned>(bytes: &mut Vec<u8>) -> io::Result<Option<T>> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let length = length_of(*length)?;
    let Some(message) = rest.get(..length) else { return Ok(None) };
    let value = postcard::from_bytes(message).map_err(io::Error::other)?;
    bytes.drain(..4 + length);
    Ok(Some(value))
}

fn length_of(bytes: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_le_bytes(bytes) as usize;
    if length > LONGEST { Err(io::ErrorKind::InvalidData.into()) } else { Ok(length) }
}

/// Sends a value.
pub(super) fn send<T: Serialize>(to: &mut impl Write, value: &T) -> io::Result<()> {
    to.write_all(&encode(value)?)
}

/// Receives a value; `None` if the other side has ended.
pub(super) fn receive<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let mut bytes = vec![0; length_of(length)?];
    from.read_exact(&mut bytes)?;
    postcard::from_bytes(&bytes).map(Some).map_err(io::Error::other)
}

/// What a job is given: file descriptors.
#[derive(Debug)]
pub(super) struct Descriptors {
    /// The socket to the program.
    pub(super) socket: OwnedFd,
    /// Where the command's standard output goes.
    pub(super) out: OwnedFd,
    /// Where the command's standard error goes.
    pub(super) err: OwnedFd,
    /// What is only to be kept open.
    pub(super) locks: Vec<OwnedFd>,
}

/// The most locks of a job.
pub(super) const LOCKS: usize = 64;
const MOST: usize = 3 + LOCKS;

/// Hands a job's file descriptors to the worker: those of [`Descriptors`] in their order.
pub(super) fn send_descriptors(socket: impl AsFd, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(b"j")], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Waits for a job's file descriptors; `None` if the program has ended.
pub(super) fn receive_descriptors(socket: impl AsFd) -> io::Result<Option<Descriptors>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let got = rustix::net::recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut byte)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    if got.bytes == 0 {
        return Ok(None);
    }
    let mut descriptors = Vec::with_capacity(MOST);
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    let mut descriptors = descriptors.into_iter();
    let (Some(socket), Some(out), Some(err)) = (descriptors.next(), descriptors.next(), descriptors.next())
    else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    Ok(Some(Descriptors { socket, out, err, locks: descriptors.collect() }))
}

/// Bytes as bytes: a sequence would be written and read one by one.
pub(super) mod bytes {
    use std::fmt;

    use serde::{Deserializer, Serializer, de};

    pub(in crate::sandbox) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(in crate::sandbox) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Vec<u8>, D::Error> {
        from.deserialize_byte_buf(Bytes)
    }

    struct Bytes;

    impl de::Visitor<'_> for Bytes {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes")
        }

        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }

        fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
            Ok(bytes)
        }
    }
}
