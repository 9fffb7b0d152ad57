//! Who changed what: rows that are written with the change itself, chained by their hashes.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};

use crate::{
    resource::Revision,
    store::{
        Store, StoreError, number,
        pool::{Tx, execute, reading, within},
    },
};

/// Who makes a change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Actor {
    /// bitrouter itself.
    System,
    /// A configuration file, by its path.
    File(String),
    /// Somebody on this machine, through the control socket.
    Socket,
    /// The holder of an admin token, by the token's id.
    Token(String),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::File(path) => write!(f, "file:{path}"),
            Self::Socket => f.write_str("socket"),
            Self::Token(id) => write!(f, "token:{id}"),
        }
    }
}

/// One change that was made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuditRow {
    /// Counts from 1, without gaps.
    pub seq: u64,
    /// The revision that the change is part of; the current one if it made none.
    pub revision: Revision,
    /// Unix milliseconds.
    pub time_ms: u64,
    /// Who made it, as [`Actor`] is shown.
    pub actor: String,
    /// What was done: `put`, `delete`, `overlay`, …
    pub action: String,
    /// What it was done to.
    pub kind: String,
    /// What it was done to.
    pub id: String,
    /// JSON without secrets.
    pub before: Option<String>,
    /// JSON without secrets.
    pub after: Option<String>,
}

/// What an examination of the audit rows found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AuditVerdict {
    /// All rows are as they were written.
    Intact {
        /// How many there are.
        rows: u64,
    },
    /// From this row on they are not: it was changed, or rows are missing.
    Broken {
        /// The first bad row.
        seq: u64,
    },
}

const ADVANCE_HEAD: &str = "UPDATE audit_head SET seq = seq + 1 WHERE id = 1 RETURNING seq, hash";
const SET_HEAD: &str = "UPDATE audit_head SET hash = $1 WHERE id = 1";
const SELECT_HEAD: &str = "SELECT seq, hash FROM audit_head WHERE id = 1";
const INSERT: &str = "\
    INSERT INTO audit (seq, revision, time_ms, actor, action, kind, id, before_json, after_json, \
    prev_hash, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
const NEWEST_FIRST: &str = "\
    SELECT seq, revision, time_ms, actor, action, kind, id, before_json, after_json, prev_hash, \
    hash FROM audit WHERE seq < $1 ORDER BY seq DESC LIMIT $2";
const OLDEST_FIRST: &str = "\
    SELECT seq, revision, time_ms, actor, action, kind, id, before_json, after_json, prev_hash, \
    hash FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2";

const PAGE: i64 = 1000;

impl Store {
    /// The audit rows before `before` (absent: the newest), newest first.
    pub async fn audit(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let rows: Vec<ChainedRow> = reading!(self, |pool| sqlx::query_as(NEWEST_FIRST)
            .bind(before.map_or(i64::MAX, number::stored))
            .bind(i64::from(limit))
            .fetch_all(pool)
            .await?);
        Ok(rows.into_iter().map(AuditRow::from).collect())
    }

    /// Recomputes the chain of hashes.
    pub async fn verify_audit(&self) -> Result<AuditVerdict, StoreError> {
        let mut tx = self.begin_read().await?;
        let (mut seq, mut hash) = (0, vec![0; 32]);
        loop {
            let rows: Vec<ChainedRow> = within!(&mut tx, |connection| {
                sqlx::query_as(OLDEST_FIRST).bind(seq).bind(PAGE).fetch_all(connection).await?
            });
            if rows.is_empty() {
                break;
            }
            for row in rows {
                let follows = row.seq == seq + 1 && row.prev_hash == hash;
                if !follows || row.hash != row.computed_hash() {
                    return Ok(AuditVerdict::Broken { seq: number::loaded(seq + 1) });
                }
                (seq, hash) = (row.seq, row.hash);
            }
        }
        let head: (i64, Vec<u8>) = within!(&mut tx, |connection| {
            sqlx::query_as(SELECT_HEAD).fetch_one(connection).await?
        });
        let rows = number::loaded(seq);
        if head == (seq, hash) {
            Ok(AuditVerdict::Intact { rows })
        } else {
            Ok(AuditVerdict::Broken { seq: rows + 1 })
        }
    }
}

/// A change that is being made.
pub(super) struct Entry<'a> {
    pub(super) revision: Revision,
    pub(super) time_ms: u64,
    pub(super) actor: &'a Actor,
    pub(super) action: &'a str,
    pub(super) kind: &'a str,
    pub(super) id: &'a str,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

/// Writes the audit row of a change within the change's transaction.
pub(super) async fn append_audit(tx: &mut Tx, entry: Entry<'_>) -> Result<(), StoreError> {
    let (seq, prev_hash): (i64, Vec<u8>) =
        within!(tx, |connection| sqlx::query_as(ADVANCE_HEAD).fetch_one(connection).await?);
    let mut row = ChainedRow {
        seq,
        revision: number::stored(entry.revision.0),
        time_ms: number::stored(entry.time_ms),
        actor: entry.actor.to_string(),
        action: entry.action.to_owned(),
        kind: entry.kind.to_owned(),
        id: entry.id.to_owned(),
        before_json: entry.before,
        after_json: entry.after,
        prev_hash,
        hash: Vec::new(),
    };
    row.hash = row.computed_hash();
    execute!(
        tx,
        sqlx::query(INSERT)
            .bind(row.seq)
            .bind(row.revision)
            .bind(row.time_ms)
            .bind(&row.actor)
            .bind(&row.action)
            .bind(&row.kind)
            .bind(&row.id)
            .bind(&row.before_json)
            .bind(&row.after_json)
            .bind(&row.prev_hash)
            .bind(&row.hash)
    );
    execute!(tx, sqlx::query(SET_HEAD).bind(&row.hash));
    Ok(())
}

#[derive(sqlx::FromRow)]
struct ChainedRow {
    seq: i64,
    revision: i64,
    time_ms: i64,
    actor: String,
    action: String,
    kind: String,
    id: String,
    before_json: Option<String>,
    after_json: Option<String>,
    prev_hash: Vec<u8>,
    hash: Vec<u8>,
}

impl ChainedRow {
    /// SHA-256 over the hash before and every column, each with its length.
    fn computed_hash(&self) -> Vec<u8> {
        let mut bytes = self.prev_hash.clone();
        for number in [self.seq, self.revision, self.time_ms] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        let texts = [&self.actor, &self.action, &self.kind, &self.id].map(Some);
        let optional = [self.before_json.as_ref(), self.after_json.as_ref()];
        for text in texts.into_iter().chain(optional) {
            // No text is that long: it marks the absent one.
            let length = text.map_or(u64::MAX, |text| text.len() as u64);
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(text.map_or(b"".as_slice(), |text| text.as_bytes()));
        }
        digest(&SHA256, &bytes).as_ref().to_vec()
    }
}

impl From<ChainedRow> for AuditRow {
    fn from(row: ChainedRow) -> Self {
        Self {
            seq: number::loaded(row.seq),
            revision: Revision(number::loaded(row.revision)),
            time_ms: number::loaded(row.time_ms),
            actor: row.actor,
            action: row.action,
            kind: row.kind,
            id: row.id,
            before: row.before_json,
            after: row.after_json,
        }
    }
}
