//! Reads entries back, to report them: in order, with the log's hash, only what lies on the medium.

use std::io;

use bytes::Bytes;

use super::{
    Inner,
    frame::{self, Head, Kind},
    log::{Hash, chain, segment_name},
};

/// What one message carries at most.
const MAX_ENTRIES: usize = 1_000;
/// What is read at a time.
const WINDOW_BYTES: u64 = 1 << 20;
/// A frame is never longer, so that a reading of so much holds at least one.
const MAX_BYTES: u64 = 9 << 20;

/// A place between two entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    segment: u64,
    offset: u64,
    /// Of the next entry.
    pub(super) seq: u64,
    /// The log's hash before it.
    pub(super) hash: Hash,
}

/// A gapless run of entries.
#[derive(Debug)]
pub(super) struct Run {
    /// As they were encoded.
    pub(super) entries: Vec<Bytes>,
    /// Behind them.
    pub(super) next: Cursor,
}

impl Inner {
    /// The place behind an entry. `None`: the log does not reach there, or no longer does.
    pub(super) fn seek(&self, after: u64) -> io::Result<Option<Cursor>> {
        let number = {
            let state = self.state.lock();
            let mut from_behind = state.log.segments().rev();
            from_behind.find(|segment| segment.first_seq <= after + 1).map(|it| it.number)
        };
        let Some(number) = number else { return Ok(None) };
        let bytes = self.fs.read(&segment_name(number), 0, 1_024)?;
        let (head, end) =
            Head::read(&bytes).ok_or_else(|| io::Error::other("a segment has lost its head"))?;
        let mut cursor = Cursor {
            segment: number,
            offset: end as u64,
            seq: head.first_seq,
            hash: head.prev_hash,
        };
        while cursor.seq <= after {
            let wanted = usize::try_from(after + 1 - cursor.seq).unwrap_or(usize::MAX);
            let run = self.read(cursor, wanted)?;
            if run.entries.is_empty() {
                return Ok(None);
            }
            cursor = run.next;
        }
        Ok(Some(cursor))
    }

    /// The next entries, as many as one message carries. Empty: there are none yet.
    pub(super) fn next_run(&self, cursor: Cursor) -> io::Result<Run> {
        self.read(cursor, MAX_ENTRIES)
    }

    fn read(&self, mut cursor: Cursor, at_most: usize) -> io::Result<Run> {
        let (last, durable_bytes) = self.durable.borrow().segment;
        let mut entries = Vec::new();
        let mut budget = MAX_BYTES / 4;
        let mut window = WINDOW_BYTES;
        while entries.len() < at_most && budget > 0 {
            if cursor.segment > last {
                // Nothing of it is on the medium yet.
                break;
            }
            let is_last = cursor.segment == last;
            let end = if is_last { durable_bytes } else { u64::MAX };
            let bytes = self.fs.read(
                &segment_name(cursor.segment),
                cursor.offset,
                end.saturating_sub(cursor.offset).min(window),
            )?;
            if bytes.is_empty() {
                if is_last {
                    break;
                }
                let head = self.fs.read(&segment_name(cursor.segment + 1), 0, 1_024)?;
                let end = Head::read(&head).map_or(0, |(_, end)| end as u64);
                cursor = Cursor { segment: cursor.segment + 1, offset: end, ..cursor };
                continue;
            }
            let before = cursor.offset;
            for frame in frame::frames(&bytes, 0) {
                if entries.len() == at_most || budget == 0 {
                    break;
                }
                if frame.kind == Kind::Entry {
                    entries.push(Bytes::copy_from_slice(frame.payload));
                    cursor.hash = chain(&cursor.hash, frame.payload);
                    cursor.seq += 1;
                    budget = budget.saturating_sub(frame.payload.len() as u64);
                }
                cursor.offset = before + frame.end as u64;
            }
            if cursor.offset == before && window < MAX_BYTES {
                window = MAX_BYTES;
            } else if cursor.offset == before {
                return Err(io::Error::other("a frame cannot be read back"));
            }
        }
        Ok(Run { entries, next: cursor })
    }
}
