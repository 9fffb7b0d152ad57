//! The frames of a segment: length, checksum, kind, payload. Pure.
//!
//! A segment is its head and then intents and entries in the order in which they were written. A
//! frame that was cut off by a crash is told from one that was damaged later by whether anything
//! readable follows it.

use uuid::Uuid;

/// Length and checksum.
const HEADER: usize = 8;
/// No record comes near this; a longer frame is damage.
const MAX_PAYLOAD: usize = 8 << 20;
const FORMAT: u8 = 1;

/// What stands in a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// The first of a segment.
    Head = 1,
    /// What a request is about to do; never leaves this machine.
    Intent = 2,
    /// What is reported.
    Entry = 3,
}

/// One frame, where it lies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Frame<'a> {
    pub(super) kind: Kind,
    pub(super) payload: &'a [u8],
    /// Of its first byte.
    pub(super) offset: usize,
    /// Of the byte after its last.
    pub(super) end: usize,
}

/// How a log continues from the segment before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Head {
    pub(super) log_id: Uuid,
    /// Of the first entry in the segment.
    pub(super) first_seq: u64,
    /// The log's hash before that entry.
    pub(super) prev_hash: [u8; 32],
}

/// What follows the readable frames from the start.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Tail {
    /// Nothing.
    Clean,
    /// The beginning of a frame that was never finished.
    Torn,
    /// Damage, with readable frames behind it.
    Damaged,
}

/// Appends a frame to a buffer.
pub(super) fn put(buffer: &mut Vec<u8>, kind: Kind, pieces: &[&[u8]]) {
    let length: usize = pieces.iter().map(|piece| piece.len()).sum::<usize>() + 1;
    let mut sum = crc32fast::Hasher::new();
    sum.update(&[kind as u8]);
    for piece in pieces {
        sum.update(piece);
    }
    buffer.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    buffer.extend_from_slice(&sum.finalize().to_le_bytes());
    buffer.push(kind as u8);
    for piece in pieces {
        buffer.extend_from_slice(piece);
    }
}

/// The frame at an offset, if a whole and undamaged one begins there.
pub(super) fn read(bytes: &[u8], offset: usize) -> Option<Frame<'_>> {
    let header = bytes.get(offset..offset.checked_add(HEADER)?)?;
    let (length, sum) = header.split_at(4);
    let length = usize::try_from(u32::from_le_bytes(length.try_into().ok()?)).ok()?;
    if length == 0 || length > MAX_PAYLOAD {
        return None;
    }
    let end = offset + HEADER + length;
    let body = bytes.get(offset + HEADER..end)?;
    if crc32fast::hash(body) != u32::from_le_bytes(sum.try_into().ok()?) {
        return None;
    }
    let (kind, payload) = body.split_first()?;
    let kind = [Kind::Head, Kind::Intent, Kind::Entry].into_iter().find(|it| *it as u8 == *kind)?;
    Some(Frame { kind, payload, offset, end })
}

/// The frames from an offset on, up to the first that cannot be read.
pub(super) fn frames(bytes: &[u8], mut offset: usize) -> impl Iterator<Item = Frame<'_>> {
    std::iter::from_fn(move || {
        let frame = read(bytes, offset)?;
        offset = frame.end;
        Some(frame)
    })
}

/// What stands at an offset where no frame can be read.
pub(super) fn tail(bytes: &[u8], offset: usize) -> Tail {
    if offset >= bytes.len() {
        Tail::Clean
    } else if next_readable(bytes, offset).is_some() {
        Tail::Damaged
    } else {
        Tail::Torn
    }
}

/// Where the next readable frame behind damage begins.
pub(super) fn next_readable(bytes: &[u8], damaged: usize) -> Option<usize> {
    (damaged + 1..bytes.len()).find(|&offset| read(bytes, offset).is_some())
}

impl Head {
    /// As it is written.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        bytes.extend_from_slice(self.log_id.as_bytes());
        bytes.extend_from_slice(&self.first_seq.to_le_bytes());
        bytes.extend_from_slice(&self.prev_hash);
        bytes
    }

    /// The head of a segment, if it begins with one.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let frame = read(bytes, 0).filter(|frame| frame.kind == Kind::Head)?;
        let (format, rest) = frame.payload.split_first()?;
        if *format != FORMAT || rest.len() != 56 {
            return None;
        }
        let head = Self {
            log_id: Uuid::from_slice(&rest[..16]).ok()?,
            first_seq: u64::from_le_bytes(rest[16..24].try_into().ok()?),
            prev_hash: rest[24..].try_into().ok()?,
        };
        Some((head, frame.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Vec<u8> {
        let mut bytes = Vec::new();
        for text in ["one", "two", "three"] {
            put(&mut bytes, Kind::Entry, &[text.as_bytes()]);
        }
        bytes
    }

    #[test]
    fn a_cut_anywhere_keeps_the_whole_frames_before_it() {
        let bytes = three();
        let ends: Vec<_> = frames(&bytes, 0).map(|frame| frame.end).collect();
        assert_eq!(ends.last(), Some(&bytes.len()));
        for cut in 0..bytes.len() {
            let kept = frames(&bytes[..cut], 0).count();
            assert_eq!(kept, ends.iter().filter(|end| **end <= cut).count(), "cut at {cut}");
            let good = ends.get(kept.wrapping_sub(1)).copied().unwrap_or(0);
            let expected = if good == cut { Tail::Clean } else { Tail::Torn };
            assert_eq!(tail(&bytes[..cut], good), expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_flipped_bit_is_damage_where_something_follows() {
        let ends: Vec<_> = frames(&three(), 0).map(|frame| frame.end).collect();
        for at in 0..ends[1] {
            let mut bytes = three();
            bytes[at] ^= 0x10;
            let good = frames(&bytes, 0).last().map_or(0, |frame| frame.end);
            assert!(good <= at);
            assert_eq!(tail(&bytes, good), Tail::Damaged, "bit in byte {at}");
            let mut survivors = frames(&bytes, next_readable(&bytes, good).unwrap());
            assert!(survivors.any(|frame| frame.payload == b"three"), "bit in byte {at}");
        }
    }

    #[test]
    fn a_head_is_read_back() {
        let head = Head { log_id: Uuid::from_u128(7), first_seq: 42, prev_hash: [9; 32] };
        let mut bytes = Vec::new();
        put(&mut bytes, Kind::Head, &[&head.encode()]);
        assert_eq!(Head::read(&bytes), Some((head, bytes.len())));
        assert_eq!(Head::read(&three()), None);
    }
}
