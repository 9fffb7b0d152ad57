//! Taking usage in: once each, whatever is repeated, lost or reordered.

use aws_lc_rs::digest::{SHA256, digest};
use bitrouter_metering::{Micros, Tokens};
use bytes::Bytes;
use uuid::Uuid;

use super::{backend::count, config::NOW};
use crate::store::{Asked, Batch, Ended, LogEntry, Marks, Outcome, Served, Store, UsageRecord};

/// The `n`th request of a log, a second after the one before.
pub(super) fn record(log: u8, n: u64) -> UsageRecord {
    let ms = NOW + n * 1000;
    let mut random = [log; 10];
    random[2..].copy_from_slice(&n.to_be_bytes());
    UsageRecord {
        event_id: uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid(),
        start_us: ms * 1000,
        asked: Asked {
            key_id: format!("key_{:032x}", n % 2),
            user_id: "ada".into(),
            model: "smart".into(),
            route: "smart".into(),
            dialect: "chat_completions".into(),
            streamed: true,
        },
        served: Served { provider: "openai".into(), model: "gpt-4o".into(), attempts: 1 },
        tokens: Tokens { input_uncached: 100, output: 10, ..Tokens::default() },
        cost: Micros::new(500).unwrap(),
        marks: Marks::default(),
        ended: Ended {
            outcome: Outcome::Completed,
            status: 200,
            error_code: String::new(),
            duration_ms: 1234,
            ttft_ms: Some(321),
        },
    }
}

pub(super) fn entry(record: UsageRecord) -> LogEntry {
    let encoded = Bytes::from(format!("entry of {}", record.event_id));
    LogEntry { record: Some(record), encoded }
}

pub(super) fn entries(log: u8, seqs: std::ops::RangeInclusive<u64>) -> Vec<LogEntry> {
    seqs.map(|n| entry(record(log, n))).collect()
}

pub(super) fn hash_after(entries: &[LogEntry]) -> [u8; 32] {
    entries.iter().fold([0; 32], |hash, entry| {
        let bytes = [hash.as_slice(), entry.encoded.as_ref()].concat();
        digest(&SHA256, &bytes).as_ref().try_into().unwrap()
    })
}

/// Entries `first..=last` of a log whose entries before are those of [`entries`].
pub(super) fn batch(log: u8, first: u64, last: u64) -> Batch {
    Batch {
        log_id: format!("log{log}"),
        first_seq: first,
        prev_hash: hash_after(&entries(log, 1..=first - 1)),
        entries: entries(log, first..=last),
    }
}

async fn requests(store: &Store) -> u64 {
    let verdict = store.verify_usage().await.unwrap();
    assert!(verdict.agrees(), "{verdict:?}");
    verdict.from_sums.requests
}

pub(super) async fn a_repeated_batch_changes_nothing(store: Store) {
    let first = store.ingest(&batch(1, 1, 3), NOW).await.unwrap();
    assert_eq!((first.acked_seq, first.inserted, first.quarantined), (3, 3, false));
    assert_eq!(first.tail_hash, hash_after(&entries(1, 1..=3)));
    // The answer was lost after the commit: the data plane sends it all again.
    let again = store.ingest(&batch(1, 1, 3), NOW).await.unwrap();
    assert_eq!((again.acked_seq, again.inserted), (3, 0));
    assert_eq!(again.tail_hash, first.tail_hash);
    // An older one that was on its way for long.
    let older = store.ingest(&batch(1, 1, 2), NOW).await.unwrap();
    assert_eq!((older.acked_seq, older.quarantined), (3, false));
    assert_eq!(requests(&store).await, 3);
}

pub(super) async fn a_gap_waits_for_the_resend(store: Store) {
    store.ingest(&batch(1, 1, 2), NOW).await.unwrap();
    let gap = store.ingest(&batch(1, 4, 5), NOW).await.unwrap();
    assert_eq!((gap.acked_seq, gap.inserted, gap.quarantined), (2, 0, false));
    let resent = store.ingest(&batch(1, 3, 5), NOW).await.unwrap();
    assert_eq!((resent.acked_seq, resent.inserted), (5, 3));
    let asks = Batch { log_id: "log1".into(), first_seq: 0, prev_hash: [0; 32], entries: vec![] };
    assert_eq!(store.ingest(&asks, NOW).await.unwrap().acked_seq, 5);
    assert_eq!(requests(&store).await, 5);
}

pub(super) async fn an_overlap_stores_only_what_is_new(store: Store) {
    store.ingest(&batch(1, 1, 4), NOW).await.unwrap();
    let overlap = store.ingest(&batch(1, 3, 7), NOW).await.unwrap();
    assert_eq!((overlap.acked_seq, overlap.inserted), (7, 3));
    assert_eq!(overlap.tail_hash, hash_after(&entries(1, 1..=7)));
    assert_eq!(requests(&store).await, 7);
}

pub(super) async fn a_contradiction_quarantines_the_log(store: Store) {
    store.ingest(&batch(1, 1, 3), NOW).await.unwrap();
    let mut cloned = batch(1, 2, 4);
    cloned.entries[1] = entry(record(9, 3));
    let refused = store.ingest(&cloned, NOW).await.unwrap();
    assert_eq!((refused.acked_seq, refused.inserted, refused.quarantined), (3, 0, true));
    let honest = store.ingest(&batch(1, 4, 5), NOW).await.unwrap();
    assert!(honest.quarantined, "nothing more is accepted");
    assert!(store.open_log("log1", NOW).await.unwrap().quarantined);
    let mut wrong_start = batch(2, 1, 2);
    wrong_start.prev_hash = [1; 32];
    assert!(store.ingest(&wrong_start, NOW).await.unwrap().quarantined);
    assert_eq!(requests(&store).await, 3);
}

pub(super) async fn an_entry_that_is_not_understood_is_kept(store: Store) {
    let mut odd = batch(1, 1, 2);
    odd.entries[0] = LogEntry { record: None, encoded: Bytes::from_static(b"of a newer version") };
    let stored = store.ingest(&odd, NOW).await.unwrap();
    assert_eq!((stored.acked_seq, stored.inserted), (2, 1));
    let kept = "SELECT COUNT(*) FROM usage_unread WHERE log_id = 'log1' AND seq = 1";
    assert_eq!(count(&store, kept).await, 1);
}

pub(super) async fn a_record_counts_once_whatever_log_brings_it(store: Store) {
    store.ingest(&batch(1, 1, 3), NOW).await.unwrap();
    let mut other = Batch { log_id: "other".into(), ..batch(1, 1, 3) };
    let twice = other.entries[2].clone();
    other.entries.extend([entry(record(2, 4)), twice, entry(record(2, 4))]);
    let stored = store.ingest(&other, NOW).await.unwrap();
    assert_eq!((stored.acked_seq, stored.inserted), (6, 1));
    assert_eq!(requests(&store).await, 4);
}

pub(super) async fn a_hello_starts_a_session(store: Store) {
    let first = store.open_log("log1", NOW).await.unwrap();
    assert_eq!((first.acked_seq, first.session_epoch, first.tail_hash), (0, 1, [0; 32]));
    store.ingest(&batch(1, 1, 3), NOW).await.unwrap();
    let second = store.open_log("log1", NOW).await.unwrap();
    assert_eq!((second.acked_seq, second.session_epoch), (3, 2));
    assert_eq!(store.logs().await.unwrap(), [second]);
}

pub(super) async fn absurd_records_do_not_stop_a_log(store: Store) {
    let mut batch = batch(1, 1, 3);
    let most = Tokens { input_uncached: u64::MAX, output: u64::MAX, ..Tokens::default() };
    let absurd = UsageRecord { tokens: most, cost: Micros::MAX, ..record(1, 1) };
    let mut with_nul = record(1, 2);
    with_nul.asked.model = "a\0b".into();
    with_nul.asked.user_id = "\0".into();
    batch.entries[0] = entry(absurd);
    batch.entries[1] = entry(with_nul.clone());
    assert_eq!(store.ingest(&batch, NOW).await.unwrap().inserted, 3);
    let stored = store.request(with_nul.event_id).await.unwrap().unwrap();
    assert_eq!(stored.record.asked.model, "a\u{fffd}b");
    assert_eq!(requests(&store).await, 3);
    assert_eq!(store.request(Uuid::nil()).await.unwrap(), None);
}

pub(super) async fn a_hundred_parallel_batches_are_all_stored_once(store: Store) {
    let batches = (0..100_u8).map(|n| {
        let store = store.clone();
        // Ten logs, each batch sent by ten at once.
        async move { store.ingest(&batch(n % 10, 1, 5), NOW).await.unwrap() }
    });
    let reads = (0..20).map(|_| store.usage_totals());
    let (stored, read) =
        tokio::join!(futures::future::join_all(batches), futures::future::join_all(reads));
    assert!(read.iter().all(Result::is_ok), "readers are not locked out: {read:?}");
    assert!(stored.iter().all(|ingested| ingested.acked_seq == 5 && !ingested.quarantined));
    assert_eq!(stored.iter().map(|ingested| ingested.inserted).sum::<u64>(), 50);
    assert_eq!(requests(&store).await, 50);
}
