//! From a request of the usage stream to a batch that can be stored. Pure.

use bitrouter_proto::v1 as wire;
use prost::Message as _;

use crate::{
    ledger::convert::record,
    store::{Batch, LogEntry},
};

/// The most entries that one request may hold.
const MOST_ENTRIES: usize = 10_000;

/// Why a request of the usage stream is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BadReport {
    #[error("the report names no usage log")]
    Nameless,
    #[error("the report holds more than {MOST_ENTRIES} entries")]
    TooMany,
    #[error("the hash before the first entry must have 32 bytes")]
    Hash,
    #[error("entry {0} of the log does not say that it is that entry")]
    OutOfSequence(u64),
}

/// Reads a report. What an entry says may be newer than this version; that it is an entry, and which
/// one, may not.
pub(crate) fn batch(report: wire::ReportRequest) -> Result<Batch, BadReport> {
    if report.log_id.is_empty() {
        return Err(BadReport::Nameless);
    }
    if report.entries.len() > MOST_ENTRIES {
        return Err(BadReport::TooMany);
    }
    let prev_hash = match report.prev_hash.as_ref().try_into() {
        Ok(hash) => hash,
        Err(_) if report.entries.is_empty() => [0; 32],
        Err(_) => return Err(BadReport::Hash),
    };
    let mut entries = Vec::with_capacity(report.entries.len());
    for (seq, encoded) in (report.first_seq..).zip(report.entries) {
        let entry = wire::Entry::decode(encoded.clone())
            .ok()
            .filter(|entry| entry.seq == seq)
            .ok_or(BadReport::OutOfSequence(seq))?;
        entries.push(LogEntry { record: record(&entry), encoded });
    }
    Ok(Batch { log_id: report.log_id, first_seq: report.first_seq, prev_hash, entries })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::store::Outcome;

    fn usage() -> wire::Usage {
        wire::Usage {
            event_id: "01890a5d-ac96-774b-bcce-b302099a8057".to_owned(),
            client_dialect: wire::Dialect::Messages.into(),
            outcome: wire::Outcome::Completed.into(),
            cost_micros: 12,
            ..wire::Usage::default()
        }
    }

    fn entry(seq: u64, usage: Option<wire::Usage>) -> Bytes {
        let payload = usage.map(wire::entry::Payload::Usage);
        wire::Entry { seq, payload }.encode_to_vec().into()
    }

    fn report(first_seq: u64, entries: Vec<Bytes>) -> wire::ReportRequest {
        let prev_hash = vec![0; 32].into();
        wire::ReportRequest { log_id: "log".to_owned(), first_seq, prev_hash, entries }
    }

    #[test]
    fn entries_keep_their_bytes() {
        let encoded = entry(4, Some(usage()));
        let batch = batch(report(4, vec![encoded.clone()])).unwrap();
        assert_eq!(batch.entries[0].encoded, encoded);
        let record = batch.entries[0].record.as_ref().unwrap();
        assert_eq!(record.asked.dialect, "messages");
        assert_eq!(record.ended.outcome, Outcome::Completed);
        assert_eq!(record.cost.get(), 12);
    }

    #[test]
    fn what_is_not_understood_is_kept() {
        let newer = wire::Usage { outcome: 99, ..usage() };
        let nameless = wire::Usage { event_id: "7".to_owned(), ..usage() };
        for payload in [None, Some(newer), Some(nameless)] {
            let batch = batch(report(1, vec![entry(1, payload)])).unwrap();
            assert_eq!(batch.entries[0].record, None);
        }
    }

    #[test]
    fn a_report_must_be_one() {
        let nameless = wire::ReportRequest::default();
        let hashless = wire::ReportRequest {
            prev_hash: Bytes::new(),
            ..report(1, vec![entry(1, Some(usage()))])
        };
        let cases = [
            (nameless, BadReport::Nameless),
            (hashless, BadReport::Hash),
            (report(1, vec![entry(2, None)]), BadReport::OutOfSequence(1)),
            (report(5, vec![Bytes::from_static(b"\xff")]), BadReport::OutOfSequence(5)),
            (report(1, vec![Bytes::new(); MOST_ENTRIES + 1]), BadReport::TooMany),
        ];
        for (report, expected) in cases {
            assert_eq!(batch(report).unwrap_err(), expected);
        }
        assert!(batch(report(0, Vec::new())).unwrap().entries.is_empty());
    }
}
