//! What the last process left: checked, completed, and made into a log to go on with.
//!
//! A tail that was cut off is cut clean; a request that never ended becomes a record that says so. If
//! the log is damaged, or the control plane no longer follows it, everything readable that may not
//! have arrived is written to a new log, and the old files are set aside: the records' own ids keep
//! any of them from counting twice.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    io,
    sync::Arc,
};

use bitrouter_proto::v1;
use bitrouter_runtime::Timestamp;
use prost::Message as _;
use uuid::Uuid;

use super::{
    disk::Fs,
    frame::{self, Head, Kind, Tail},
    log::{self, Hash, Log, Origin, Segment, chain, decode_entry, segment_name},
};

/// Holds the last acknowledged number: `<log id> <seq>`.
const ACKED: &str = "acked";
/// While it is there, the next start begins a new log.
const RENEW: &str = "renew";

/// A log that can be written again.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) log: Log,
    pub(super) acked: u64,
    /// Records written for requests that died with the last process.
    pub(super) crashed: usize,
    /// Set if the old files were set aside: why.
    pub(super) renewed: Option<String>,
}

/// What stands in the files, in order.
#[derive(Debug, Default)]
struct Survey {
    segments: VecDeque<Segment>,
    log_id: Option<Uuid>,
    next_seq: u64,
    hash: Hash,
    /// What was begun and not ended, and in which segment that stands.
    open: BTreeMap<Uuid, (u64, Vec<u8>)>,
}

pub(super) fn recover(
    fs: &Arc<dyn Fs>,
    segment_bytes: u64,
    new_log_id: Uuid,
    now: Timestamp,
) -> io::Result<Recovered> {
    let names = fs.list()?;
    let mut numbers: Vec<_> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    let wish = names.iter().any(|name| name == RENEW);
    let survey = if wish {
        let reason = fs.read(RENEW, 0, 1_024)?;
        Err(String::from_utf8_lossy(&reason).into_owned())
    } else {
        survey(&**fs, &numbers, now)?
    };
    let acked = read_acked(&**fs, &names)?;
    match survey {
        Ok(survey) => resume(fs, segment_bytes, survey, acked, new_log_id, now),
        Err(reason) => renew(fs, segment_bytes, &numbers, acked, new_log_id, reason, now),
    }
}

/// Notes what is acknowledged, so that a start without the control plane knows it.
pub(super) fn write_acked(fs: &dyn Fs, log_id: Uuid, acked: u64) -> io::Result<()> {
    fs.replace(ACKED, format!("{log_id} {acked}").as_bytes())
}

/// Lets the next start begin a new log.
pub(super) fn wish_renewal(fs: &dyn Fs, reason: &str) -> io::Result<()> {
    fs.replace(RENEW, reason.as_bytes())
}

fn read_acked(fs: &dyn Fs, names: &[String]) -> io::Result<Option<(Uuid, u64)>> {
    if !names.iter().any(|name| name == ACKED) {
        return Ok(None);
    }
    let bytes = fs.read(ACKED, 0, 128)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.split_once(' ').and_then(|(id, seq)| Some((id.parse().ok()?, seq.parse().ok()?))))
}

fn segment_number(name: &str) -> Option<u64> {
    u64::from_str_radix(name.strip_suffix(".log")?, 16).ok()
}

fn read_segment(fs: &dyn Fs, number: u64) -> io::Result<Vec<u8>> {
    fs.read(&segment_name(number), 0, u64::MAX)
}

/// Reads everything through. The inner error says what is damaged.
fn survey(fs: &dyn Fs, numbers: &[u64], now: Timestamp) -> io::Result<Result<Survey, String>> {
    let mut survey = Survey { next_seq: 1, ..Survey::default() };
    for (at, &number) in numbers.iter().enumerate() {
        let is_last = at + 1 == numbers.len();
        let bytes = read_segment(fs, number)?;
        let name = segment_name(number);
        let Some((head, start)) = Head::read(&bytes) else {
            if is_last && frame::tail(&bytes, 0) != Tail::Damaged {
                // The process ended while it made the segment.
                fs.remove(&name)?;
                continue;
            }
            return Ok(Err(format!("{name} has no readable head")));
        };
        if let Err(problem) = survey.follow(&head) {
            return Ok(Err(format!("{name} {problem}")));
        }
        let end = match survey.read_frames(number, &bytes, start) {
            Ok(end) => end,
            Err(problem) => return Ok(Err(format!("{name} {problem}"))),
        };
        match frame::tail(&bytes, end) {
            Tail::Clean => {}
            Tail::Torn if is_last => fs.truncate(&name, end as u64)?,
            Tail::Torn | Tail::Damaged => {
                return Ok(Err(format!("{name} is damaged at byte {end}")));
            }
        }
        let (bytes, first_seq) = (end as u64, head.first_seq);
        survey.segments.push_back(Segment { number, bytes, first_seq, closed: Some(now) });
    }
    Ok(Ok(survey))
}

impl Survey {
    fn follow(&mut self, head: &Head) -> Result<(), &'static str> {
        let Some(log_id) = self.log_id else {
            self.log_id = Some(head.log_id);
            self.next_seq = head.first_seq;
            self.hash = head.prev_hash;
            return Ok(());
        };
        let continues =
            log_id == head.log_id && self.next_seq == head.first_seq && self.hash == head.prev_hash;
        if continues { Ok(()) } else { Err("does not continue the segment before it") }
    }

    /// Returns where the readable frames end.
    fn read_frames(
        &mut self,
        number: u64,
        bytes: &[u8],
        start: usize,
    ) -> Result<usize, &'static str> {
        let mut end = start;
        for frame in frame::frames(bytes, start) {
            match frame.kind {
                Kind::Head => return Err("has a head in its middle"),
                Kind::Intent => self.note_intent(number, frame.payload),
                Kind::Entry => {
                    let (seq, usage) =
                        decode_entry(frame.payload).ok_or("has an entry that makes no sense")?;
                    if seq != self.next_seq {
                        return Err("has an entry out of order");
                    }
                    self.next_seq += 1;
                    self.hash = chain(&self.hash, frame.payload);
                    self.close(&usage);
                }
            }
            end = frame.end;
        }
        Ok(end)
    }

    fn note_intent(&mut self, number: u64, payload: &[u8]) {
        if let Some((id, draft)) = payload.split_at_checked(16)
            && let Ok(id) = Uuid::from_slice(id)
        {
            self.open.insert(id, (number, draft.to_vec()));
        }
    }

    fn close(&mut self, usage: &v1::Usage) {
        if let Ok(id) = usage.event_id.parse() {
            self.open.remove(&id);
        }
    }
}

fn resume(
    fs: &Arc<dyn Fs>,
    segment_bytes: u64,
    survey: Survey,
    acked: Option<(Uuid, u64)>,
    new_log_id: Uuid,
    now: Timestamp,
) -> io::Result<Recovered> {
    let log_id = survey.log_id.unwrap_or(new_log_id);
    // What was deleted had been acknowledged.
    let deleted = survey.segments.front().map_or(0, |first| first.first_seq - 1);
    let noted = acked.filter(|(id, _)| *id == log_id).map_or(0, |(_, seq)| seq);
    let Survey { segments, next_seq, hash, open, .. } = survey;
    // Nothing goes that holds the only trace of a request.
    let before = open.values().map(|(number, _)| *number).min().unwrap_or(u64::MAX);
    let mut origin = Origin { log_id, next_seq, hash, segments };
    let opened = Log::open(Arc::clone(fs), segment_bytes, origin.clone());
    let mut log = opened.or_else(|error| {
        tracing::warn!(%error, "acknowledged usage is deleted to make room");
        log::shed(&**fs, &mut origin.segments, noted, before)?;
        Log::open(Arc::clone(fs), segment_bytes, origin)
    })?;
    let crashed = open.len();
    for (id, (_, draft)) in open {
        commit_crashed(&mut log, id, &draft, now).or_else(|_| {
            log.shed(noted, before)?;
            commit_crashed(&mut log, id, &draft, now)
        })?;
    }
    Ok(Recovered { log, acked: noted.max(deleted), crashed, renewed: None })
}

fn renew(
    fs: &Arc<dyn Fs>,
    segment_bytes: u64,
    numbers: &[u64],
    acked: Option<(Uuid, u64)>,
    log_id: Uuid,
    reason: String,
    now: Timestamp,
) -> io::Result<Recovered> {
    // On the way out the old files keep their names; the new log's come behind them.
    let last = numbers.last().copied().unwrap_or(0);
    let placeholder = Segment { number: last, bytes: 0, first_seq: 1, closed: Some(now) };
    let origin =
        Origin { log_id, next_seq: 1, hash: [0; 32], segments: VecDeque::from([placeholder]) };
    let mut log = Log::open(Arc::clone(fs), segment_bytes, origin)?;
    log.forget_first();
    let is_wished = fs.list()?.iter().any(|name| name == RENEW);
    let mut open = HashMap::new();
    for &number in numbers {
        let bytes = read_segment(&**fs, number)?;
        let of = Head::read(&bytes).map(|(head, _)| head.log_id);
        // After a wish, the control plane itself does not have what it once acknowledged.
        let arrived =
            acked.filter(|(id, _)| !is_wished && of == Some(*id)).map_or(0, |(_, seq)| seq);
        salvage(&mut log, &bytes, arrived, &mut open, now)?;
    }
    let crashed = open.len();
    for (id, draft) in open {
        commit_crashed(&mut log, id, &draft, now)?;
    }
    log.take_unsynced().0.sync(&**fs)?;
    let aside = format!("quarantine-{}", now.as_micros());
    for &number in numbers {
        fs.set_aside(&segment_name(number), &aside)?;
    }
    if is_wished {
        fs.remove(RENEW)?;
    }
    Ok(Recovered { log, acked: 0, crashed, renewed: Some(reason) })
}

/// Writes every readable entry of a segment anew that may not have arrived.
fn salvage(
    log: &mut Log,
    bytes: &[u8],
    arrived: u64,
    open: &mut HashMap<Uuid, Vec<u8>>,
    now: Timestamp,
) -> io::Result<()> {
    let mut from = 0;
    loop {
        for frame in frame::frames(bytes, from) {
            from = frame.end;
            if frame.kind == Kind::Intent {
                if let Some((id, draft)) = frame.payload.split_at_checked(16)
                    && let Ok(id) = Uuid::from_slice(id)
                {
                    open.insert(id, draft.to_vec());
                }
            } else if let Some((seq, usage)) = decode_entry(frame.payload)
                && let Ok(id) = usage.event_id.parse()
            {
                open.remove(&id);
                if seq > arrived {
                    log.commit(id, &usage.encode_to_vec(), now)?;
                }
            }
        }
        match frame::next_readable(bytes, from) {
            Some(next) => from = next,
            None => return Ok(()),
        }
    }
}

/// The record of a request that died with the process.
fn commit_crashed(log: &mut Log, id: Uuid, draft: &[u8], now: Timestamp) -> io::Result<()> {
    let Ok(mut usage) = v1::Usage::decode(draft) else { return Ok(()) };
    let crashed = i32::from(v1::Outcome::NodeCrashed);
    usage.outcome = crashed;
    usage.usage_unknown = true;
    for attempt in usage.attempts.iter_mut().filter(|it| it.outcome == 0) {
        attempt.outcome = crashed;
        attempt.usage_unknown = true;
        attempt.may_have_been_billed = true;
    }
    log.commit(id, &usage.encode_to_vec(), now).map(drop)
}
