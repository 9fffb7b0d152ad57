//! Sums over requests, kept by the hour; they outlive the requests themselves.

use std::collections::BTreeMap;

use bitrouter_metering::{Micros, Tokens};

use crate::store::{
    Outcome, Store, StoreError, UsageRecord,
    event::{TokenColumns, text},
    number,
    pool::{Tx, execute, reading, within},
    requests::first_id_of,
};

/// What usage is grouped by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum By {
    /// The virtual key.
    Key,
    /// The user.
    User,
    /// The provider that served.
    Provider,
    /// The provider's own model id.
    Model,
    /// The route.
    Route,
    /// The day, UTC.
    Day,
    /// The hour.
    Hour,
}

/// What one row of usage is about.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Group {
    /// A key, user, provider, model or route. Empty: requests without one.
    Named(String),
    /// A day or an hour: unix seconds of its start.
    From(u64),
}

/// The usage of one group.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageRow {
    /// Which.
    pub group: Group,
    /// How much.
    pub totals: Totals,
}

/// Sums over requests.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Totals {
    /// How many.
    pub requests: u64,
    /// How many of them did not end with a whole answer.
    pub errors: u64,
    /// Their tokens.
    pub tokens: Tokens,
    /// Their cost; a lower bound where some are unpriced.
    pub cost: Micros,
    /// How many had no price.
    pub unpriced: u64,
    /// How many reported no usage.
    pub usage_unknown: u64,
}

/// What a comparison of the requests with their sums found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UsageVerdict {
    /// From the requests that are kept.
    pub from_requests: Totals,
    /// From the sums of the same hours.
    pub from_sums: Totals,
}

impl UsageVerdict {
    /// True if they agree.
    pub fn agrees(&self) -> bool {
        self.from_requests == self.from_sums
    }
}

const HOUR_S: u64 = 3600;

macro_rules! sums {
    () => {
        "CAST(COALESCE(SUM(requests), 0) AS BIGINT) AS requests, \
         CAST(COALESCE(SUM(errors), 0) AS BIGINT) AS errors, \
         CAST(COALESCE(SUM(input_uncached), 0) AS BIGINT) AS input_uncached, \
         CAST(COALESCE(SUM(cache_read), 0) AS BIGINT) AS cache_read, \
         CAST(COALESCE(SUM(cache_write_5m), 0) AS BIGINT) AS cache_write_5m, \
         CAST(COALESCE(SUM(cache_write_1h), 0) AS BIGINT) AS cache_write_1h, \
         CAST(COALESCE(SUM(output), 0) AS BIGINT) AS output, \
         CAST(COALESCE(SUM(reasoning), 0) AS BIGINT) AS reasoning, \
         CAST(COALESCE(SUM(audio_in), 0) AS BIGINT) AS audio_in, \
         CAST(COALESCE(SUM(audio_out), 0) AS BIGINT) AS audio_out, \
         CAST(COALESCE(SUM(image), 0) AS BIGINT) AS image, \
         CAST(COALESCE(SUM(cost_micros), 0) AS BIGINT) AS cost_micros, \
         CAST(COALESCE(SUM(unpriced), 0) AS BIGINT) AS unpriced, \
         CAST(COALESCE(SUM(usage_unknown), 0) AS BIGINT) AS usage_unknown "
    };
}
macro_rules! grouped_by {
    ($group:literal) => {
        concat!(
            "SELECT ",
            $group,
            " AS name, ",
            sums!(),
            "FROM usage_hour WHERE hour_s >= $1 AND hour_s < $2 GROUP BY 1 ORDER BY 1"
        )
    };
}

const TOTALS_SINCE: &str =
    concat!("SELECT ", sums!(), "FROM usage_hour WHERE hour_s >= $1 AND hour_s < $2");
const TOTALS_OF_REQUESTS: &str = concat!(
    "SELECT ",
    sums!(),
    "FROM (SELECT 1 AS requests, CASE WHEN outcome = 'completed' THEN 0 ELSE 1 END AS errors, \
     input_uncached, cache_read, cache_write_5m, cache_write_1h, output, reasoning, audio_in, \
     audio_out, image, cost_micros, CASE WHEN unpriced THEN 1 ELSE 0 END AS unpriced, \
     CASE WHEN usage_unknown THEN 1 ELSE 0 END AS usage_unknown FROM usage_event \
     WHERE start_us >= $1) AS event"
);
const UPSERT_HOUR: &str = "\
    INSERT INTO usage_hour (hour_s, key_id, user_id, provider, model, route, requests, errors, \
    input_uncached, cache_read, cache_write_5m, cache_write_1h, output, reasoning, audio_in, \
    audio_out, image, cost_micros, unpriced, usage_unknown) VALUES ($1, $2, $3, $4, $5, $6, $7, \
    $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20) \
    ON CONFLICT (hour_s, key_id, user_id, provider, model, route) DO UPDATE SET \
    requests = usage_hour.requests + excluded.requests, \
    errors = usage_hour.errors + excluded.errors, \
    input_uncached = usage_hour.input_uncached + excluded.input_uncached, \
    cache_read = usage_hour.cache_read + excluded.cache_read, \
    cache_write_5m = usage_hour.cache_write_5m + excluded.cache_write_5m, \
    cache_write_1h = usage_hour.cache_write_1h + excluded.cache_write_1h, \
    output = usage_hour.output + excluded.output, \
    reasoning = usage_hour.reasoning + excluded.reasoning, \
    audio_in = usage_hour.audio_in + excluded.audio_in, \
    audio_out = usage_hour.audio_out + excluded.audio_out, \
    image = usage_hour.image + excluded.image, \
    cost_micros = usage_hour.cost_micros + excluded.cost_micros, \
    unpriced = usage_hour.unpriced + excluded.unpriced, \
    usage_unknown = usage_hour.usage_unknown + excluded.usage_unknown";
const SET_KEPT_FROM: &str = "\
    UPDATE usage_retention SET kept_from_s = $1 WHERE id = 1 AND kept_from_s < $1";
const KEPT_FROM: &str = "SELECT kept_from_s FROM usage_retention WHERE id = 1";
const DELETE_REQUESTS: &str = "\
    DELETE FROM usage_event WHERE event_id IN (SELECT event_id FROM usage_event \
    WHERE event_id < $1 AND start_us < $2 ORDER BY event_id LIMIT $3)";

impl By {
    const fn sql(self) -> &'static str {
        match self {
            Self::Key => grouped_by!("key_id"),
            Self::User => grouped_by!("user_id"),
            Self::Provider => grouped_by!("provider"),
            Self::Model => grouped_by!("model"),
            Self::Route => grouped_by!("route"),
            Self::Day => grouped_by!("hour_s / 86400 * 86400"),
            Self::Hour => grouped_by!("hour_s"),
        }
    }
}

impl Store {
    /// Usage in the hours that `since_ms..until_ms` touches, by group.
    pub async fn usage(
        &self,
        by: By,
        since_ms: u64,
        until_ms: u64,
    ) -> Result<Vec<UsageRow>, StoreError> {
        let since = number::stored(hour_of(since_ms / 1000));
        let until = number::stored(until_ms.div_ceil(1000));
        match by {
            By::Day | By::Hour => {
                let rows: Vec<TimeRow> = reading!(self, |pool| sqlx::query_as(by.sql())
                    .bind(since)
                    .bind(until)
                    .fetch_all(pool)
                    .await?);
                Ok(rows.into_iter().map(UsageRow::from).collect())
            }
            By::Key | By::User | By::Provider | By::Model | By::Route => {
                let rows: Vec<NamedRow> = reading!(self, |pool| sqlx::query_as(by.sql())
                    .bind(since)
                    .bind(until)
                    .fetch_all(pool)
                    .await?);
                Ok(rows.into_iter().map(UsageRow::from).collect())
            }
        }
    }

    /// Usage of all time.
    pub async fn usage_totals(&self) -> Result<Totals, StoreError> {
        let row: TotalsRow = reading!(self, |pool| sqlx::query_as(TOTALS_SINCE)
            .bind(0_i64)
            .bind(i64::MAX)
            .fetch_one(pool)
            .await?);
        Ok(row.into())
    }

    /// Deletes up to `limit` requests that started before the hour of `before_ms`, and says how
    /// many; the sums are kept. Call it until it says zero.
    pub async fn prune_requests(&self, before_ms: u64, limit: u32) -> Result<u64, StoreError> {
        let kept_from_s = hour_of(before_ms / 1000);
        let mut tx = self.begin_write().await?;
        execute!(&mut tx, sqlx::query(SET_KEPT_FROM).bind(number::stored(kept_from_s)));
        let deleted = execute!(
            &mut tx,
            sqlx::query(DELETE_REQUESTS)
                .bind(first_id_of(kept_from_s.saturating_mul(1000)))
                .bind(number::stored(kept_from_s.saturating_mul(1_000_000)))
                .bind(i64::from(limit))
        );
        tx.commit().await?;
        Ok(deleted)
    }

    /// Compares the requests that are kept with the sums of their hours.
    pub async fn verify_usage(&self) -> Result<UsageVerdict, StoreError> {
        let mut tx = self.begin_read().await?;
        let kept_from: i64 = within!(&mut tx, |connection| {
            sqlx::query_scalar(KEPT_FROM).fetch_one(connection).await?
        });
        let from_sums: TotalsRow = within!(&mut tx, |connection| {
            let query = sqlx::query_as(TOTALS_SINCE).bind(kept_from).bind(i64::MAX);
            query.fetch_one(connection).await?
        });
        let from_requests: TotalsRow = within!(&mut tx, |connection| {
            let query =
                sqlx::query_as(TOTALS_OF_REQUESTS).bind(kept_from.saturating_mul(1_000_000));
            query.fetch_one(connection).await?
        });
        Ok(UsageVerdict { from_requests: from_requests.into(), from_sums: from_sums.into() })
    }
}

/// Adds new records to the sums of their hours.
pub(super) async fn add_to_sums(tx: &mut Tx, records: &[&UsageRecord]) -> Result<(), StoreError> {
    // In the order of keys, so that two batches cannot wait for each other.
    let mut hours: BTreeMap<HourKey<'_>, Totals> = BTreeMap::new();
    for record in records {
        hours.entry(HourKey::of(record)).or_default().add(record);
    }
    for (key, totals) in hours {
        let tokens = TokenColumns::summed(&totals.tokens);
        execute!(
            tx,
            sqlx::query(UPSERT_HOUR)
                .bind(number::stored(key.hour_s))
                .bind(text(key.names[0]))
                .bind(text(key.names[1]))
                .bind(text(key.names[2]))
                .bind(text(key.names[3]))
                .bind(text(key.names[4]))
                .bind(number::stored(totals.requests))
                .bind(number::stored(totals.errors))
                .bind(tokens.input_uncached)
                .bind(tokens.cache_read)
                .bind(tokens.cache_write_5m)
                .bind(tokens.cache_write_1h)
                .bind(tokens.output)
                .bind(tokens.reasoning)
                .bind(tokens.audio_in)
                .bind(tokens.audio_out)
                .bind(tokens.image)
                .bind(totals.cost.get())
                .bind(number::stored(totals.unpriced))
                .bind(number::stored(totals.usage_unknown))
        );
    }
    Ok(())
}

const fn hour_of(unix_s: u64) -> u64 {
    unix_s / HOUR_S * HOUR_S
}

/// What sums are kept by: the hour, then key, user, provider, model and route.
#[derive(Eq, Ord, PartialEq, PartialOrd)]
struct HourKey<'a> {
    hour_s: u64,
    names: [&'a str; 5],
}

impl<'a> HourKey<'a> {
    fn of(record: &'a UsageRecord) -> Self {
        let (asked, served) = (&record.asked, &record.served);
        Self {
            hour_s: hour_of(record.start_us / 1_000_000),
            names: [&asked.key_id, &asked.user_id, &served.provider, &served.model, &asked.route],
        }
    }
}

impl Totals {
    fn add(&mut self, record: &UsageRecord) {
        self.requests += 1;
        self.errors += u64::from(record.ended.outcome != Outcome::Completed);
        // Exactly what the request's own row says, limits included.
        self.tokens += Tokens::from(TokenColumns::counted(&record.tokens));
        self.cost = self.cost.saturating_add(number::counted_cost(record.cost));
        self.unpriced += u64::from(record.marks.unpriced);
        self.usage_unknown += u64::from(record.marks.usage_unknown);
    }
}

#[derive(sqlx::FromRow)]
struct NamedRow {
    name: String,
    #[sqlx(flatten)]
    totals: TotalsRow,
}

#[derive(sqlx::FromRow)]
struct TimeRow {
    name: i64,
    #[sqlx(flatten)]
    totals: TotalsRow,
}

#[derive(sqlx::FromRow)]
struct TotalsRow {
    requests: i64,
    errors: i64,
    #[sqlx(flatten)]
    tokens: TokenColumns,
    cost_micros: i64,
    unpriced: i64,
    usage_unknown: i64,
}

impl From<NamedRow> for UsageRow {
    fn from(row: NamedRow) -> Self {
        Self { group: Group::Named(row.name), totals: row.totals.into() }
    }
}

impl From<TimeRow> for UsageRow {
    fn from(row: TimeRow) -> Self {
        Self { group: Group::From(number::loaded(row.name)), totals: row.totals.into() }
    }
}

impl From<TotalsRow> for Totals {
    fn from(row: TotalsRow) -> Self {
        Self {
            requests: number::loaded(row.requests),
            errors: number::loaded(row.errors),
            tokens: row.tokens.into(),
            cost: Micros::new(row.cost_micros).unwrap_or_default(),
            unpriced: number::loaded(row.unpriced),
            usage_unknown: number::loaded(row.usage_unknown),
        }
    }
}
