//! Taking usage in: exactly once, in the order of each data plane's log.

use std::array::TryFromSliceError;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;

use crate::store::{
    Store, StoreError, UsageRecord,
    event::insert_new,
    number,
    pool::{Tx, execute, reading, within},
    usage::add_to_sums,
};

/// How far a data plane's log is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UsageLog {
    /// The log's id.
    pub log_id: String,
    /// Everything up to here is stored. Zero: nothing yet.
    pub acked_seq: u64,
    /// The log's hash at `acked_seq`.
    pub tail_hash: [u8; 32],
    /// Counts the data plane's hellos.
    pub session_epoch: u64,
    /// True if its hashes contradicted what was stored; nothing more is accepted.
    pub quarantined: bool,
}

/// A gapless run of a log.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The log's id.
    pub log_id: String,
    /// The number of the first entry.
    pub first_seq: u64,
    /// The log's hash before the first entry.
    pub prev_hash: [u8; 32],
    /// In order. Empty: only asks how far the log is stored.
    pub entries: Vec<LogEntry>,
}

/// One entry of a log.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// What it says. Absent: this version does not understand it; it is kept as it is.
    pub record: Option<UsageRecord>,
    /// As the data plane encoded it: what the hash is taken over.
    pub encoded: Bytes,
}

/// The answer to a batch, once it is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ingested {
    /// Everything up to here is stored.
    pub acked_seq: u64,
    /// The log's hash at `acked_seq`.
    pub tail_hash: [u8; 32],
    /// True if the log's hashes contradict what is stored; nothing was taken in.
    pub quarantined: bool,
    /// How many records were new.
    pub inserted: u64,
}

const OPEN_LOG: &str = "\
    INSERT INTO usage_log (log_id, acked_seq, tail_hash, session_epoch, quarantined, seen_at_ms) \
    VALUES ($1, 0, $2, 1, FALSE, $3) \
    ON CONFLICT (log_id) DO UPDATE SET session_epoch = usage_log.session_epoch + 1, \
    seen_at_ms = excluded.seen_at_ms \
    RETURNING log_id, acked_seq, tail_hash, session_epoch, quarantined";
// Makes other batches of the same log wait until this transaction ends.
const LOCK_LOG: &str = "\
    INSERT INTO usage_log (log_id, acked_seq, tail_hash, session_epoch, quarantined, seen_at_ms) \
    VALUES ($1, 0, $2, 0, FALSE, $3) \
    ON CONFLICT (log_id) DO UPDATE SET seen_at_ms = excluded.seen_at_ms \
    RETURNING log_id, acked_seq, tail_hash, session_epoch, quarantined";
const ALL_LOGS: &str = "\
    SELECT log_id, acked_seq, tail_hash, session_epoch, quarantined FROM usage_log \
    ORDER BY log_id";
const QUARANTINE: &str = "UPDATE usage_log SET quarantined = TRUE WHERE log_id = $1";
const ADVANCE: &str = "UPDATE usage_log SET acked_seq = $2, tail_hash = $3 WHERE log_id = $1";
const INSERT_UNREAD: &str = "\
    INSERT INTO usage_unread (log_id, seq, entry) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";

impl Store {
    /// Notes that a data plane has said hello for this log, and says how far it is stored.
    pub async fn open_log(&self, log_id: &str, now_ms: u64) -> Result<UsageLog, StoreError> {
        let mut tx = self.begin_write().await?;
        let log = touch_log(&mut tx, OPEN_LOG, log_id, now_ms).await?;
        tx.commit().await?;
        Ok(log)
    }

    /// Every log, by id.
    pub async fn logs(&self) -> Result<Vec<UsageLog>, StoreError> {
        let rows: Vec<LogRow> =
            reading!(self, |pool| sqlx::query_as(ALL_LOGS).fetch_all(pool).await?);
        rows.into_iter().map(UsageLog::try_from).collect()
    }

    /// Stores a batch, in one transaction. A repeated one changes nothing.
    pub async fn ingest(&self, batch: &Batch, now_ms: u64) -> Result<Ingested, StoreError> {
        let mut tx = self.begin_write().await?;
        let log = touch_log(&mut tx, LOCK_LOG, &batch.log_id, now_ms).await?;
        match batch.after(&log) {
            Continuation::Nothing => Ok(Ingested::unchanged(&log)),
            Continuation::Contradiction => {
                execute_for(&mut tx, QUARANTINE, &log.log_id).await?;
                tx.commit().await?;
                Ok(Ingested { quarantined: true, ..Ingested::unchanged(&log) })
            }
            Continuation::New { entries, tail_hash } => {
                let records = insert_new(&mut tx, entries).await?;
                let inserted = records.len() as u64;
                keep_unread(&mut tx, &log, entries).await?;
                add_to_sums(&mut tx, &records).await?;
                let acked_seq = log.acked_seq + entries.len() as u64;
                advance(&mut tx, &log.log_id, acked_seq, &tail_hash).await?;
                tx.commit().await?;
                Ok(Ingested { acked_seq, tail_hash, quarantined: false, inserted })
            }
        }
    }
}

/// How a batch continues what is stored of its log.
enum Continuation<'a> {
    /// It is all known, or something before it is missing.
    Nothing,
    /// What is known already of it is not what was stored: a cloned or restored disk.
    Contradiction,
    New {
        entries: &'a [LogEntry],
        tail_hash: [u8; 32],
    },
}

impl Batch {
    fn after(&self, log: &UsageLog) -> Continuation<'_> {
        let next = log.acked_seq + 1;
        let known = next.checked_sub(self.first_seq).and_then(|known| usize::try_from(known).ok());
        let Some(known) = known else { return Continuation::Nothing };
        if log.quarantined || self.first_seq == 0 || self.entries.is_empty() {
            return Continuation::Nothing;
        }
        // Ends before what is stored: there is no hash to compare with, and nothing new.
        let Some((known, new)) = self.entries.split_at_checked(known) else {
            return Continuation::Nothing;
        };
        if known.iter().fold(self.prev_hash, chain) != log.tail_hash {
            return Continuation::Contradiction;
        }
        if new.is_empty() {
            return Continuation::Nothing;
        }
        Continuation::New { entries: new, tail_hash: new.iter().fold(log.tail_hash, chain) }
    }
}

impl Ingested {
    fn unchanged(log: &UsageLog) -> Self {
        Self {
            acked_seq: log.acked_seq,
            tail_hash: log.tail_hash,
            quarantined: log.quarantined,
            inserted: 0,
        }
    }
}

/// h(n) = SHA-256(h(n-1), entry n as encoded).
fn chain(before: [u8; 32], entry: &LogEntry) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(&before);
    context.update(&entry.encoded);
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

async fn touch_log(
    tx: &mut Tx,
    sql: &'static str,
    log_id: &str,
    now_ms: u64,
) -> Result<UsageLog, StoreError> {
    let row: LogRow = within!(tx, |connection| sqlx::query_as(sql)
        .bind(log_id)
        .bind([0_u8; 32].as_slice())
        .bind(number::stored(now_ms))
        .fetch_one(connection)
        .await?);
    row.try_into()
}

async fn execute_for(tx: &mut Tx, sql: &'static str, log_id: &str) -> Result<(), StoreError> {
    execute!(tx, sqlx::query(sql).bind(log_id));
    Ok(())
}

async fn advance(
    tx: &mut Tx,
    log_id: &str,
    acked_seq: u64,
    tail_hash: &[u8; 32],
) -> Result<(), StoreError> {
    execute!(
        tx,
        sqlx::query(ADVANCE)
            .bind(log_id)
            .bind(number::stored(acked_seq))
            .bind(tail_hash.as_slice())
    );
    Ok(())
}

async fn keep_unread(tx: &mut Tx, log: &UsageLog, entries: &[LogEntry]) -> Result<(), StoreError> {
    for (seq, entry) in (log.acked_seq + 1..).zip(entries) {
        if entry.record.is_some() {
            continue;
        }
        execute!(
            tx,
            sqlx::query(INSERT_UNREAD)
                .bind(&log.log_id)
                .bind(number::stored(seq))
                .bind(entry.encoded.as_ref())
        );
    }
    Ok(())
}

#[derive(sqlx::FromRow)]
struct LogRow {
    log_id: String,
    acked_seq: i64,
    tail_hash: Vec<u8>,
    session_epoch: i64,
    quarantined: bool,
}

impl TryFrom<LogRow> for UsageLog {
    type Error = StoreError;

    fn try_from(row: LogRow) -> Result<Self, StoreError> {
        let tail_hash = row.tail_hash.as_slice().try_into().map_err(|error| {
            let (id, source) = (row.log_id.clone(), Box::<TryFromSliceError>::new(error));
            StoreError::Undecodable { what: "usage log", id, source }
        })?;
        Ok(Self {
            log_id: row.log_id,
            acked_seq: number::loaded(row.acked_seq),
            tail_hash,
            session_epoch: number::loaded(row.session_epoch),
            quarantined: row.quarantined,
        })
    }
}
