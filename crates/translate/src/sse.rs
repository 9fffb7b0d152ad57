//! Incremental framing of server-sent events.
//!
//! Bytes may be cut anywhere: the events that come out do not depend on where. An event that lies
//! within one chunk is not copied; one that does not is collected, up to a bound.

use std::borrow::Cow;

use memchr::memchr2;

/// What the largest event may be, unless configured otherwise.
pub const DEFAULT_MAX_EVENT: usize = 16 * 1024 * 1024;

const BOM: &[u8] = "\u{feff}".as_bytes();

/// Finds where events end: at every empty line, whichever of the three line ends is used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SseScanner {
    at_line_start: bool,
    after_cr: bool,
}

impl SseScanner {
    pub(crate) const fn new() -> Self {
        Self { at_line_start: true, after_cr: false }
    }

    /// The offset behind the next event that ends in `bytes[from..]`, or `None` if none does.
    ///
    /// A line feed that belongs to a carriage return of the chunk before counts as the start of the
    /// next event, where it means nothing.
    pub(crate) fn next_end(&mut self, bytes: &[u8], from: usize) -> Option<usize> {
        let mut at = from;
        if self.after_cr && at < bytes.len() {
            self.after_cr = false;
            at += usize::from(bytes.get(at) == Some(&b'\n'));
        }
        while let Some(length) = memchr2(b'\n', b'\r', bytes.get(at..)?) {
            let is_empty = self.at_line_start && length == 0;
            let mut end = at + length + 1;
            if bytes.get(end - 1) == Some(&b'\r') {
                match bytes.get(end) {
                    Some(b'\n') => end += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            self.at_line_start = true;
            if is_empty {
                return Some(end);
            }
            at = end;
        }
        self.at_line_start = self.at_line_start && at >= bytes.len();
        None
    }

    /// True if the last byte seen was a carriage return, whose line feed may follow.
    pub(crate) const fn awaits_line_feed(self) -> bool {
        self.after_cr
    }
}

/// One event: its name, if it has one, and its data.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event<'a> {
    /// The value of the last `event` line; empty if there is none.
    pub name: &'a [u8],
    /// The `data` lines, joined by line feeds; borrowed if there is one.
    pub data: Cow<'a, [u8]>,
}

impl<'a> Event<'a> {
    /// Reads the lines of an event. `None` if there is no data: comments and blank lines.
    pub fn parse(block: &'a [u8]) -> Option<Self> {
        let mut name: &[u8] = b"";
        let mut data: Option<Cow<'a, [u8]>> = None;
        let mut rest = block.strip_prefix(BOM).unwrap_or(block);
        while !rest.is_empty() {
            let length = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            let (line, after) = rest.split_at(length);
            rest = after.get(1..).unwrap_or(b"");
            if let Some(value) = field(line, b"data") {
                match &mut data {
                    None => data = Some(Cow::Borrowed(value)),
                    Some(lines) => {
                        let lines = lines.to_mut();
                        lines.push(b'\n');
                        lines.extend_from_slice(value);
                    }
                }
            } else if let Some(value) = field(line, b"event") {
                name = value;
            }
        }
        data.map(|data| Self { name, data })
    }
}

/// The value of a line, if the line is of that field. One space after the colon is not part of it.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let rest = line.strip_prefix(name)?;
    match rest.split_first() {
        None => Some(b""),
        Some((b':', value)) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        Some(_) => None,
    }
}

/// An event was larger than allowed; it was skipped, and the stream goes on behind it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an event of the stream is larger than {limit} bytes")]
pub struct EventTooLarge {
    /// The bound.
    pub limit: usize,
}

/// Reads the events of a stream.
#[derive(Debug)]
pub struct EventReader {
    scanner: SseScanner,
    carry: Carry,
}

impl EventReader {
    /// Makes a reader that holds no event larger than `max_event` bytes.
    pub const fn new(max_event: usize) -> Self {
        Self { scanner: SseScanner::new(), carry: Carry::new(max_event) }
    }

    /// Takes the next bytes and gives every event that they complete.
    ///
    /// An error means that an event was skipped; the other events are given all the same.
    pub fn push(
        &mut self,
        chunk: &[u8],
        mut on_event: impl FnMut(Event<'_>),
    ) -> Result<(), EventTooLarge> {
        let mut from = 0;
        let mut outcome = Ok(());
        while let Some(end) = self.scanner.next_end(chunk, from) {
            match self.carry.complete(&chunk[from..end]) {
                Some(block) => {
                    if let Some(event) = Event::parse(block) {
                        on_event(event);
                    }
                }
                None => outcome = Err(self.carry.too_large()),
            }
            from = end;
        }
        if !self.carry.hold(&chunk[from..]) {
            outcome = Err(self.carry.too_large());
        }
        outcome
    }

    /// Gives the event that was not ended by an empty line, if there is one.
    pub fn finish(mut self, on_event: impl FnOnce(Event<'_>)) {
        if let Some(event) = self.carry.complete(b"").and_then(Event::parse) {
            on_event(event);
        }
    }
}

/// The beginning of something whose end has not come yet, bounded.
#[derive(Debug)]
pub(crate) struct Carry {
    held: Vec<u8>,
    is_spent: bool,
    is_skipping: bool,
    limit: usize,
}

/// A larger buffer than this is given back after use, so that one large event does not stay.
const KEPT_CAPACITY: usize = 64 * 1024;

impl Carry {
    pub(crate) const fn new(limit: usize) -> Self {
        Self { held: Vec::new(), is_spent: false, is_skipping: false, limit }
    }

    /// The whole of what ends with `last`; `None` if it was too large.
    pub(crate) fn complete<'a>(&'a mut self, last: &'a [u8]) -> Option<&'a [u8]> {
        self.recycle();
        let fits = self.held.len().saturating_add(last.len()) <= self.limit;
        if std::mem::take(&mut self.is_skipping) || !fits {
            self.is_spent = true;
            return None;
        }
        if self.held.is_empty() {
            return Some(last);
        }
        self.held.extend_from_slice(last);
        self.is_spent = true;
        Some(&self.held)
    }

    /// Keeps what has not ended yet. False if that just became too large.
    pub(crate) fn hold(&mut self, part: &[u8]) -> bool {
        self.recycle();
        if self.is_skipping || part.is_empty() {
            return true;
        }
        if self.held.len().saturating_add(part.len()) > self.limit {
            self.is_skipping = true;
            self.held = Vec::new();
            return false;
        }
        self.held.extend_from_slice(part);
        true
    }

    /// True if something has begun and not ended.
    pub(crate) fn is_open(&self) -> bool {
        self.is_skipping || (!self.is_spent && !self.held.is_empty())
    }

    pub(crate) const fn is_skipping(&self) -> bool {
        self.is_skipping
    }

    pub(crate) const fn too_large(&self) -> EventTooLarge {
        EventTooLarge { limit: self.limit }
    }

    fn recycle(&mut self) {
        if std::mem::take(&mut self.is_spent) {
            if self.held.capacity() > KEPT_CAPACITY {
                self.held = Vec::new();
            }
            self.held.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(stream: &[u8], pieces: impl Iterator<Item = usize>) -> Vec<(String, String)> {
        let mut reader = EventReader::new(DEFAULT_MAX_EVENT);
        let mut events = Vec::new();
        let mut keep = |event: Event<'_>| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            events.push((text(event.name), text(&event.data)));
        };
        let mut rest = stream;
        for length in pieces {
            let (piece, after) = rest.split_at(length.clamp(1, rest.len().max(1)).min(rest.len()));
            reader.push(piece, &mut keep).unwrap();
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        reader.push(rest, &mut keep).unwrap();
        reader.finish(&mut keep);
        events
    }

    fn whole(stream: &[u8]) -> Vec<(String, String)> {
        read(stream, std::iter::once(usize::MAX))
    }

    fn event(name: &str, data: &str) -> (String, String) {
        (name.to_owned(), data.to_owned())
    }

    #[test]
    fn every_line_end_and_field_form_is_understood() {
        let cases = [
            ("line feeds", "data: a\n\ndata: b\n\n", vec![event("", "a"), event("", "b")]),
            ("both", "data: a\r\n\r\ndata: b\r\n\r\n", vec![event("", "a"), event("", "b")]),
            ("carriage returns", "data: a\r\rdata: b\r\r", vec![event("", "a"), event("", "b")]),
            ("names", "event: x\ndata: a\n\n", vec![event("x", "a")]),
            ("comments", ": PING\n\n: x\ndata: a\n\n", vec![event("", "a")]),
            ("several data lines", "data: a\ndata:b\ndata\n\n", vec![event("", "a\nb\n")]),
            ("a byte order mark", "\u{feff}data: a\n\n", vec![event("", "a")]),
            (
                "extra blank lines",
                "\n\ndata: a\n\n\n\ndata: b\n\n",
                vec![event("", "a"), event("", "b")],
            ),
            ("no last blank line", "data: [DONE]", vec![event("", "[DONE]")]),
            ("other fields", "id: 1\nretry: 5\ndatax: no\ndata:  two\n\n", vec![event("", " two")]),
        ];
        for (case, stream, expected) in cases {
            assert_eq!(whole(stream.as_bytes()), expected, "{case}");
        }
    }

    #[test]
    fn the_events_do_not_depend_on_the_cuts() {
        let stream = "\u{feff}: hi\r\n\r\nevent: ä\r\ndata: {\"t\":\"größe 🦀\"}\r\n\r\ndata: 1\r\rdata: 2\ndata: 3\n\n: x\n\ndata: [DONE]\r\n\r\n";
        let expected = whole(stream.as_bytes());
        assert_eq!(expected.len(), 4);
        for size in [1, 7, 61] {
            assert_eq!(
                read(stream.as_bytes(), std::iter::repeat(size)),
                expected,
                "pieces of {size}"
            );
        }
        for cut in 0..stream.len() {
            let got = read(stream.as_bytes(), [cut, usize::MAX].into_iter());
            assert_eq!(got, expected, "cut at {cut}");
        }
    }

    #[test]
    fn an_event_within_one_chunk_is_borrowed() {
        let chunk = b"data: {\"a\":1}\n\n";
        let mut reader = EventReader::new(100);
        let range = chunk.as_ptr_range();
        let is_inside = |event: Event<'_>| assert!(range.contains(&event.data.as_ptr()));
        reader.push(chunk, is_inside).unwrap();
    }

    #[test]
    fn a_large_event_passes_and_a_larger_one_is_skipped() {
        let large = format!("data: {}\n\n", "x".repeat(5_000_000));
        assert_eq!(read(large.as_bytes(), std::iter::repeat(65_536))[0].1.len(), 5_000_000);

        let mut reader = EventReader::new(100);
        let mut seen = Vec::new();
        let mut keep = |event: Event<'_>| seen.push(event.data.into_owned());
        let mut failures = 0;
        for piece in [&b"data: "[..], &[b'x'; 90], &[b'y'; 90], &[b'z'; 90], b"\n\ndata: ok\n\n"] {
            failures += usize::from(reader.push(piece, &mut keep).is_err());
        }
        assert_eq!((failures, seen), (2, vec![b"ok".to_vec()]));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_give_the_same(
            stream in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), Just(b' '), Just(b'd'), any::<u8>()], 0..200),
            lines in proptest::collection::vec("(data|event|id|)(: |:|)[a-z\r\n]{0,6}", 0..12),
            sizes in proptest::collection::vec(1_usize..20, 1..40),
        ) {
            let text = lines.join("\n");
            for bytes in [stream.as_slice(), text.as_bytes()] {
                prop_assert_eq!(read(bytes, sizes.iter().copied().cycle()), whole(bytes));
            }
        }
    }
}
