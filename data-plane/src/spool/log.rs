//! The log itself: what is written where, what is still open, what may be deleted.
//!
//! Synchronous and without a clock; the caller holds the one lock around it. Sequence numbers have
//! no gap, and are given only to what is on the disk. Segments are deleted from the front only, so
//! that what is left is always one piece of the log.

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::digest::{Context, SHA256};
use bitrouter_proto::v1;
use bitrouter_runtime::Timestamp;
use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint},
};
use uuid::Uuid;

use super::{
    disk::{Append, Fs},
    frame::{self, Head, Kind},
};

/// The hash of a log up to some entry.
pub(super) type Hash = [u8; 32];

/// A log that is being written.
#[derive(Debug)]
pub(super) struct Log {
    fs: Arc<dyn Fs>,
    segment_bytes: u64,
    id: Uuid,
    next_seq: u64,
    hash: Hash,
    /// The last one is being written.
    segments: VecDeque<Segment>,
    file: Arc<dyn Append>,
    /// What nobody has waited for yet, but for the last segment.
    unsynced: Unsynced,
    /// Where the intents lie whose requests have not ended.
    open: HashMap<Uuid, Place>,
    /// Bytes of all segments.
    bytes: u64,
    /// Bytes ever written, for waiting on them.
    position: u64,
    /// True if an append failed half-way and its beginning is still there.
    is_torn: bool,
    buffer: Vec<u8>,
}

/// What is to be waited for.
#[derive(Debug, Default)]
pub(super) struct Unsynced {
    files: Vec<Arc<dyn Append>>,
    has_new_names: bool,
}

impl Unsynced {
    /// Blocks on the disk: not to be called with the lock held.
    pub(super) fn sync(&self, fs: &dyn Fs) -> io::Result<()> {
        self.files.iter().try_for_each(|file| file.sync())?;
        if self.has_new_names { fs.sync_names() } else { Ok(()) }
    }
}

/// One file of the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) bytes: u64,
    pub(super) first_seq: u64,
    /// Set when it is full.
    pub(super) closed: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    segment: u64,
    offset: u64,
    bytes: u64,
}

/// How far the log reaches.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Reach {
    /// Bytes ever written.
    pub(super) position: u64,
    /// The last entry.
    pub(super) seq: u64,
    /// The segment that is being written, and how long it is.
    pub(super) segment: (u64, u64),
}

/// Where a new log begins, or an old one goes on.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) log_id: Uuid,
    pub(super) next_seq: u64,
    pub(super) hash: Hash,
    /// What is there already, all of it full.
    pub(super) segments: VecDeque<Segment>,
}

pub(super) fn segment_name(number: u64) -> String {
    format!("{number:016x}.log")
}

/// The hash after one more entry.
pub(super) fn chain(hash: &Hash, entry: &[u8]) -> Hash {
    let mut next = Context::new(&SHA256);
    next.update(hash);
    next.update(entry);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(next.finish().as_ref());
    bytes
}

impl Log {
    /// Begins a segment behind those that are there.
    pub(super) fn open(fs: Arc<dyn Fs>, segment_bytes: u64, origin: Origin) -> io::Result<Self> {
        let Origin { log_id, next_seq, hash, segments } = origin;
        let number = segments.back().map_or(1, |last| last.number + 1);
        let (file, first) =
            begin(&*fs, number, &Head { log_id, first_seq: next_seq, prev_hash: hash })?;
        let mut segments = segments;
        segments.push_back(first);
        let bytes = segments.iter().map(|segment| segment.bytes).sum();
        Ok(Self {
            fs,
            segment_bytes,
            id: log_id,
            next_seq,
            hash,
            segments,
            file,
            unsynced: Unsynced { has_new_names: true, ..Unsynced::default() },
            open: HashMap::new(),
            bytes,
            position: first.bytes,
            is_torn: false,
            buffer: Vec::new(),
        })
    }

    pub(super) const fn log_id(&self) -> Uuid {
        self.id
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Requests that have not ended.
    pub(super) fn open_intents(&self) -> usize {
        self.open.len()
    }

    pub(super) fn reach(&self) -> Reach {
        let segment = self.segments.back().map_or((0, 0), |last| (last.number, last.bytes));
        Reach { position: self.position, seq: self.next_seq - 1, segment }
    }

    pub(super) fn segments(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        self.segments.iter()
    }

    /// Writes what a request is about to do; returns how far the log reaches with it.
    pub(super) fn intend(&mut self, id: Uuid, draft: &[u8], now: Timestamp) -> io::Result<u64> {
        let place = self.append(Kind::Intent, &[id.as_bytes(), draft], now)?;
        self.open.insert(id, place);
        Ok(self.position)
    }

    /// Writes what a request was; `usage` is the encoded message.
    pub(super) fn commit(&mut self, id: Uuid, usage: &[u8], now: Timestamp) -> io::Result<u64> {
        let mut head = Vec::with_capacity(16);
        encode_key(1, WireType::Varint, &mut head);
        encode_varint(self.next_seq, &mut head);
        encode_key(2, WireType::LengthDelimited, &mut head);
        encode_varint(usage.len() as u64, &mut head);
        self.append(Kind::Entry, &[&head, usage], now)?;
        let mut hash = Context::new(&SHA256);
        hash.update(&self.hash);
        hash.update(&head);
        hash.update(usage);
        self.hash.copy_from_slice(hash.finish().as_ref());
        self.next_seq += 1;
        self.open.remove(&id);
        Ok(self.position)
    }

    /// What to wait for, and how far the log reaches once that is done.
    pub(super) fn take_unsynced(&mut self) -> (Unsynced, Reach) {
        let mut unsynced = std::mem::take(&mut self.unsynced);
        unsynced.files.push(Arc::clone(&self.file));
        (unsynced, self.reach())
    }

    /// Leaves out a segment that stands for files of another log.
    pub(super) fn forget_first(&mut self) {
        self.segments.pop_front();
    }

    /// Gives back what could not be waited for.
    pub(super) fn not_synced(&mut self, mut unsynced: Unsynced) {
        unsynced.files.retain(|file| !Arc::ptr_eq(file, &self.file));
        self.unsynced.files.append(&mut unsynced.files);
        self.unsynced.has_new_names |= unsynced.has_new_names;
    }

    /// Makes room before anything is open: see [`shed`].
    pub(super) fn shed(&mut self, acked: u64, before: u64) -> io::Result<()> {
        shed(&*self.fs, &mut self.segments, acked, before)?;
        self.bytes = self.segments.iter().map(|segment| segment.bytes).sum();
        Ok(())
    }

    /// Deletes segments from the front whose entries are all acknowledged: old ones, or any while
    /// there are more than `most` bytes. Open intents in them are written anew first.
    pub(super) fn prune(
        &mut self,
        acked: u64,
        keep: Duration,
        most: u64,
        now: Timestamp,
    ) -> io::Result<()> {
        while let [first, second, ..] =
            &self.segments.iter().take(2).copied().collect::<Vec<_>>()[..]
        {
            let is_old = first.closed.is_some_and(|closed| now.since(closed) >= keep);
            if second.first_seq > acked + 1 || !(is_old || self.bytes > most) {
                return Ok(());
            }
            self.carry_over(first.number, now)?;
            remove(&*self.fs, first.number)?;
            self.bytes -= first.bytes;
            self.segments.pop_front();
        }
        Ok(())
    }

    fn carry_over(&mut self, segment: u64, now: Timestamp) -> io::Result<()> {
        let of = |(id, place): (&Uuid, &Place)| (place.segment == segment).then_some((*id, *place));
        let still_open: Vec<_> = self.open.iter().filter_map(of).collect();
        for (id, place) in still_open {
            let bytes = self.fs.read(&segment_name(segment), place.offset, place.bytes)?;
            let draft = frame::read(&bytes, 0).and_then(|frame| frame.payload.get(16..));
            let draft = draft.ok_or_else(|| io::Error::other("an intent cannot be read back"))?;
            self.intend(id, draft, now)?;
        }
        Ok(())
    }

    fn append(&mut self, kind: Kind, pieces: &[&[u8]], now: Timestamp) -> io::Result<Place> {
        self.mend()?;
        if self.segments.back().is_some_and(|last| last.bytes >= self.segment_bytes) {
            self.rotate(now)?;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        frame::put(&mut buffer, kind, pieces);
        let written = self.file.append(&buffer);
        let bytes = buffer.len() as u64;
        self.buffer = buffer;
        let Some(last) = self.segments.back_mut() else {
            return Err(io::Error::other("the log has no segment"));
        };
        if let Err(error) = written {
            self.is_torn = true;
            return Err(error);
        }
        let place = Place { segment: last.number, offset: last.bytes, bytes };
        last.bytes += bytes;
        self.bytes += bytes;
        self.position += bytes;
        Ok(place)
    }

    /// Cuts off the beginning of a frame that could not be written to its end.
    fn mend(&mut self) -> io::Result<()> {
        if let Some(last) = self.segments.back().filter(|_| self.is_torn) {
            self.fs.truncate(&segment_name(last.number), last.bytes)?;
            self.is_torn = false;
        }
        Ok(())
    }

    fn rotate(&mut self, now: Timestamp) -> io::Result<()> {
        let number = self.segments.back().map_or(1, |last| last.number + 1);
        let head = Head { log_id: self.id, first_seq: self.next_seq, prev_hash: self.hash };
        let (file, segment) = begin(&*self.fs, number, &head)?;
        if let Some(last) = self.segments.back_mut() {
            last.closed = Some(now);
        }
        self.unsynced.files.push(std::mem::replace(&mut self.file, file));
        self.unsynced.has_new_names = true;
        self.segments.push_back(segment);
        self.bytes += segment.bytes;
        self.position += segment.bytes;
        Ok(())
    }
}

/// Deletes segments from the front whose entries are all acknowledged, up to one of that number; the
/// last one stays, since the log's identity is in it.
pub(super) fn shed(
    fs: &dyn Fs,
    segments: &mut VecDeque<Segment>,
    acked: u64,
    before: u64,
) -> io::Result<()> {
    while let (Some(first), Some(second)) = (segments.front(), segments.get(1)) {
        if second.first_seq > acked + 1 || first.number >= before {
            break;
        }
        remove(fs, first.number)?;
        segments.pop_front();
    }
    Ok(())
}

/// Deletes a segment. One that somebody else has deleted is gone as well.
fn remove(fs: &dyn Fs, number: u64) -> io::Result<()> {
    match fs.remove(&segment_name(number)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Makes a segment with its head; one that cannot be finished is taken away again.
fn begin(fs: &dyn Fs, number: u64, head: &Head) -> io::Result<(Arc<dyn Append>, Segment)> {
    let name = segment_name(number);
    let file = match fs.create(&name) {
        // Numbers only grow: it is the beginning of one that could not be taken away.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs.remove(&name)?;
            fs.create(&name)?
        }
        created => created?,
    };
    let mut bytes = Vec::new();
    frame::put(&mut bytes, Kind::Head, &[&head.encode()]);
    if let Err(error) = file.append(&bytes) {
        if let Err(leftover) = fs.remove(&name) {
            tracing::warn!(error = %leftover, name, "the beginning of a usage log's segment stays");
        }
        return Err(error);
    }
    let bytes = bytes.len() as u64;
    Ok((file, Segment { number, bytes, first_seq: head.first_seq, closed: None }))
}

/// The usage in an encoded entry, with its number.
pub(super) fn decode_entry(payload: &[u8]) -> Option<(u64, v1::Usage)> {
    let entry = v1::Entry::decode(payload).ok()?;
    let v1::entry::Payload::Usage(usage) = entry.payload?;
    Some((entry.seq, usage))
}
