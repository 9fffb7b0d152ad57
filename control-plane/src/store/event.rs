//! The row of one request, and how it is written: many at once, since that is what ingest lives by.

use std::collections::HashSet;

use bitrouter_metering::{Micros, Tokens};
use sqlx::{PgConnection, QueryBuilder, Sqlite, SqliteConnection};
use uuid::Uuid;

use crate::store::{
    Asked, Ended, LogEntry, Marks, Served, StoreError, UsageRecord, number, pool::Tx,
    requests::UnknownOutcome,
};

/// The columns that are queried, in the order of [`EventRow`].
macro_rules! columns {
    () => {
        "event_id, start_us, key_id, user_id, requested_model, route, dialect, streamed, provider, \
         model, attempts, input_uncached, cache_read, cache_write_5m, cache_write_1h, output, \
         reasoning, audio_in, audio_out, image, cost_micros, unpriced, usage_unknown, anomaly, \
         outcome, status, error_code, duration_ms, ttft_ms"
    };
}
pub(super) use columns;

const INSERT: &str = concat!("INSERT INTO usage_event (", columns!(), ", entry) ");
/// How many rows a statement of `SQLite` inserts: each statement wakes the connection's thread and
/// waits for it.
const ROWS: usize = 64;
// One statement for the whole batch: over a network, a statement for each row would take too long.
const INSERT_MANY: &str = concat!(
    "INSERT INTO usage_event (",
    columns!(),
    ", entry) SELECT * FROM UNNEST($1::TEXT[], $2::BIGINT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], \
     $6::TEXT[], $7::TEXT[], $8::BOOLEAN[], $9::TEXT[], $10::TEXT[], $11::BIGINT[], \
     $12::BIGINT[], $13::BIGINT[], $14::BIGINT[], $15::BIGINT[], $16::BIGINT[], $17::BIGINT[], \
     $18::BIGINT[], $19::BIGINT[], $20::BIGINT[], $21::BIGINT[], $22::BOOLEAN[], \
     $23::BOOLEAN[], $24::BOOLEAN[], $25::TEXT[], $26::BIGINT[], $27::TEXT[], $28::BIGINT[], \
     $29::BIGINT[], $30::BYTEA[]) ON CONFLICT DO NOTHING RETURNING event_id"
);

/// Stores the records that are not there yet, and gives those.
pub(super) async fn insert_new<'a>(
    tx: &mut Tx,
    entries: &'a [LogEntry],
) -> Result<Vec<&'a UsageRecord>, StoreError> {
    let mut rows: Vec<(&UsageRecord, &[u8])> = entries
        .iter()
        .filter_map(|entry| Some((entry.record.as_ref()?, entry.encoded.as_ref())))
        .collect();
    // In one order everywhere, so that two batches with the same records cannot wait for each other.
    rows.sort_by_key(|(record, _)| record.event_id);
    rows.dedup_by_key(|(record, _)| record.event_id);
    match tx {
        Tx::Sqlite(tx) => insert_in_runs(tx, rows).await,
        Tx::Postgres(tx) => insert_many(tx, rows).await,
    }
}

macro_rules! bind_event {
    ($query:expr, $rows:expr, |$row:ident| [$($column:expr),+ $(,)?]) => {{
        let query = $query;
        $(let query = query.bind($rows.iter().map(|$row| $column).collect::<Vec<_>>());)+
        query
    }};
}

async fn insert_in_runs<'a>(
    connection: &mut SqliteConnection,
    rows: Vec<(&'a UsageRecord, &'a [u8])>,
) -> Result<Vec<&'a UsageRecord>, StoreError> {
    let mut inserted = Vec::with_capacity(rows.len());
    for run in rows.chunks(ROWS) {
        if insert_run(connection, run).await? {
            inserted.extend(run.iter().map(|(record, _)| *record));
            continue;
        }
        for row in run {
            if insert_run(connection, std::slice::from_ref(row)).await? {
                inserted.push(row.0);
            }
        }
    }
    Ok(inserted)
}

/// Inserts all of them, or gives false and inserts none: one is there already.
async fn insert_run(
    connection: &mut SqliteConnection,
    run: &[(&UsageRecord, &[u8])],
) -> Result<bool, StoreError> {
    let mut statement = QueryBuilder::<Sqlite>::new(INSERT);
    statement.push_values(run, |mut columns, (record, entry)| {
        let row = EventRow::from(*record);
        columns
            .push_bind(row.event_id)
            .push_bind(row.start_us)
            .push_bind(row.key_id)
            .push_bind(row.user_id)
            .push_bind(row.requested_model)
            .push_bind(row.route)
            .push_bind(row.dialect)
            .push_bind(row.streamed)
            .push_bind(row.provider)
            .push_bind(row.model)
            .push_bind(row.attempts)
            .push_bind(row.tokens.input_uncached)
            .push_bind(row.tokens.cache_read)
            .push_bind(row.tokens.cache_write_5m)
            .push_bind(row.tokens.cache_write_1h)
            .push_bind(row.tokens.output)
            .push_bind(row.tokens.reasoning)
            .push_bind(row.tokens.audio_in)
            .push_bind(row.tokens.audio_out)
            .push_bind(row.tokens.image)
            .push_bind(row.cost_micros)
            .push_bind(row.unpriced)
            .push_bind(row.usage_unknown)
            .push_bind(row.anomaly)
            .push_bind(row.outcome)
            .push_bind(row.status)
            .push_bind(row.error_code)
            .push_bind(row.duration_ms)
            .push_bind(row.ttft_ms)
            .push_bind(*entry);
    });
    // Only two lengths come again and again; a statement of another is not worth keeping.
    let is_usual = run.len() == ROWS || run.len() == 1;
    match statement.build().persistent(is_usual).execute(connection).await {
        Ok(_) => Ok(true),
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn insert_many<'a>(
    connection: &mut PgConnection,
    rows: Vec<(&'a UsageRecord, &'a [u8])>,
) -> Result<Vec<&'a UsageRecord>, StoreError> {
    let events: Vec<EventRow> = rows.iter().map(|(record, _)| EventRow::from(*record)).collect();
    let query = bind_event!(sqlx::query_scalar(INSERT_MANY), events, |row| [
        row.event_id.as_str(),
        row.start_us,
        row.key_id.as_str(),
        row.user_id.as_str(),
        row.requested_model.as_str(),
        row.route.as_str(),
        row.dialect.as_str(),
        row.streamed,
        row.provider.as_str(),
        row.model.as_str(),
        row.attempts,
        row.tokens.input_uncached,
        row.tokens.cache_read,
        row.tokens.cache_write_5m,
        row.tokens.cache_write_1h,
        row.tokens.output,
        row.tokens.reasoning,
        row.tokens.audio_in,
        row.tokens.audio_out,
        row.tokens.image,
        row.cost_micros,
        row.unpriced,
        row.usage_unknown,
        row.anomaly,
        row.outcome.as_str(),
        row.status,
        row.error_code.as_str(),
        row.duration_ms,
        row.ttft_ms,
    ]);
    let entries: Vec<&[u8]> = rows.iter().map(|(_, entry)| *entry).collect();
    let inserted: Vec<String> = query.bind(entries).fetch_all(connection).await?;
    let inserted: HashSet<String> = inserted.into_iter().collect();
    let records = rows.iter().zip(&events).filter(|(_, row)| inserted.contains(&row.event_id));
    Ok(records.map(|((record, _), _)| *record).collect())
}

#[derive(sqlx::FromRow)]
#[expect(clippy::struct_excessive_bools, reason = "a row has the columns that it has")]
pub(super) struct EventRow {
    event_id: String,
    start_us: i64,
    key_id: String,
    user_id: String,
    requested_model: String,
    route: String,
    dialect: String,
    streamed: bool,
    provider: String,
    model: String,
    attempts: i64,
    #[sqlx(flatten)]
    tokens: TokenColumns,
    cost_micros: i64,
    unpriced: bool,
    usage_unknown: bool,
    anomaly: bool,
    outcome: String,
    status: i64,
    error_code: String,
    duration_ms: i64,
    ttft_ms: Option<i64>,
}

/// Tokens by class, of a request or of a sum.
#[derive(Clone, Copy, sqlx::FromRow)]
pub(super) struct TokenColumns {
    pub(super) input_uncached: i64,
    pub(super) cache_read: i64,
    pub(super) cache_write_5m: i64,
    pub(super) cache_write_1h: i64,
    pub(super) output: i64,
    pub(super) reasoning: i64,
    pub(super) audio_in: i64,
    pub(super) audio_out: i64,
    pub(super) image: i64,
}

impl TokenColumns {
    /// Of one request.
    pub(super) fn counted(tokens: &Tokens) -> Self {
        Self::new(tokens, number::counted)
    }

    /// Of a sum over requests.
    pub(super) fn summed(tokens: &Tokens) -> Self {
        Self::new(tokens, number::stored)
    }

    fn new(tokens: &Tokens, column: fn(u64) -> i64) -> Self {
        Self {
            input_uncached: column(tokens.input_uncached),
            cache_read: column(tokens.cache_read),
            cache_write_5m: column(tokens.cache_write_5m),
            cache_write_1h: column(tokens.cache_write_1h),
            output: column(tokens.output),
            reasoning: column(tokens.reasoning),
            audio_in: column(tokens.audio_in),
            audio_out: column(tokens.audio_out),
            image: column(tokens.image),
        }
    }
}

impl From<TokenColumns> for Tokens {
    fn from(row: TokenColumns) -> Self {
        Self {
            input_uncached: number::loaded(row.input_uncached),
            cache_read: number::loaded(row.cache_read),
            cache_write_5m: number::loaded(row.cache_write_5m),
            cache_write_1h: number::loaded(row.cache_write_1h),
            output: number::loaded(row.output),
            reasoning: number::loaded(row.reasoning),
            audio_in: number::loaded(row.audio_in),
            audio_out: number::loaded(row.audio_out),
            image: number::loaded(row.image),
        }
    }
}

impl From<&UsageRecord> for EventRow {
    fn from(record: &UsageRecord) -> Self {
        Self {
            event_id: record.event_id.to_string(),
            start_us: number::stored(record.start_us),
            key_id: text(&record.asked.key_id),
            user_id: text(&record.asked.user_id),
            requested_model: text(&record.asked.model),
            route: text(&record.asked.route),
            dialect: text(&record.asked.dialect),
            streamed: record.asked.streamed,
            provider: text(&record.served.provider),
            model: text(&record.served.model),
            attempts: i64::from(record.served.attempts),
            tokens: TokenColumns::counted(&record.tokens),
            cost_micros: number::counted_cost(record.cost).get(),
            unpriced: record.marks.unpriced,
            usage_unknown: record.marks.usage_unknown,
            anomaly: record.marks.anomaly,
            outcome: record.ended.outcome.as_str().to_owned(),
            status: i64::from(record.ended.status),
            error_code: text(&record.ended.error_code),
            duration_ms: i64::from(record.ended.duration_ms),
            ttft_ms: record.ended.ttft_ms.map(i64::from),
        }
    }
}

impl TryFrom<EventRow> for UsageRecord {
    type Error = StoreError;

    fn try_from(row: EventRow) -> Result<Self, StoreError> {
        let undecodable = |source: Box<dyn std::error::Error + Send + Sync>| {
            StoreError::Undecodable { what: "request", id: row.event_id.clone(), source }
        };
        Ok(Self {
            event_id: Uuid::parse_str(&row.event_id).map_err(|error| undecodable(error.into()))?,
            start_us: number::loaded(row.start_us),
            tokens: row.tokens.into(),
            cost: Micros::new(row.cost_micros).unwrap_or_default(),
            marks: Marks {
                unpriced: row.unpriced,
                usage_unknown: row.usage_unknown,
                anomaly: row.anomaly,
            },
            ended: Ended {
                outcome: row
                    .outcome
                    .parse()
                    .map_err(|error: UnknownOutcome| undecodable(error.into()))?,
                status: number::small(row.status),
                error_code: row.error_code,
                duration_ms: number::small(row.duration_ms),
                ttft_ms: row.ttft_ms.map(number::small),
            },
            asked: Asked {
                key_id: row.key_id,
                user_id: row.user_id,
                model: row.requested_model,
                route: row.route,
                dialect: row.dialect,
                streamed: row.streamed,
            },
            served: Served {
                provider: row.provider,
                model: row.model,
                attempts: number::small(row.attempts),
            },
        })
    }
}

/// `PostgreSQL` refuses NUL in texts; a client that sends one must not stop its log.
pub(super) fn text(text: &str) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text.to_owned() }
}
