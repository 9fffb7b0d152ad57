//! What one request was, did and cost, as it is stored and read back.

use std::{fmt, str::FromStr};

use bitrouter_metering::{Micros, Tokens};
use uuid::Uuid;

use crate::store::{
    Store, StoreError,
    event::{EventRow, columns},
    pool::reading,
};

/// A parameter that is NULL filters nothing. The casts tell `PostgreSQL` the type.
macro_rules! filters {
    () => {
        "AND (CAST($3 AS TEXT) IS NULL OR user_id = $3) \
         AND (CAST($4 AS TEXT) IS NULL OR requested_model = $4 OR model = $4) \
         AND (CAST($5 AS TEXT) IS NULL OR provider = $5) \
         AND (CAST($6 AS TEXT) IS NULL OR outcome = $6)"
    };
}

/// One request. Texts are empty where there is nothing to say.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageRecord {
    /// The request's id. `UUIDv7`: the order of ids is the order of time.
    pub event_id: Uuid,
    /// Unix microseconds.
    pub start_us: u64,
    /// Who asked, for what.
    pub asked: Asked,
    /// Who answered.
    pub served: Served,
    /// Sums over all attempts.
    pub tokens: Tokens,
    /// Sum over all attempts.
    pub cost: Micros,
    /// What is doubtful about it.
    pub marks: Marks,
    /// How it ended.
    pub ended: Ended,
}

/// Who asked, for what.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// Empty: the request came without a virtual key.
    pub key_id: String,
    /// The user whom it is attributed to.
    pub user_id: String,
    /// As the client wrote it.
    pub model: String,
    /// The route that it resolved to. Empty: none.
    pub route: String,
    /// The client's dialect.
    pub dialect: String,
    /// True if a stream was asked for.
    pub streamed: bool,
}

/// Who answered: the endpoint of the last attempt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Served {
    /// Empty: nothing was attempted.
    pub provider: String,
    /// The provider's own model id.
    pub model: String,
    /// How many attempts there were.
    pub attempts: u32,
}

/// What is doubtful about a record.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Marks {
    /// Part of the usage had no price: the cost is a lower bound.
    pub unpriced: bool,
    /// The provider did not report usage.
    pub usage_unknown: bool,
    /// The provider reported numbers that contradict each other.
    pub anomaly: bool,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// In one word.
    pub outcome: Outcome,
    /// The HTTP status that the client saw. Zero: it left before one was sent.
    pub status: u16,
    /// The code of the error that the client saw. Empty: none.
    pub error_code: String,
    /// From accepting the request to its end.
    pub duration_ms: u32,
    /// To the first byte of the answer's body. Absent: there was none.
    pub ttft_ms: Option<u32>,
}

/// How a request ended, in one word.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// A whole answer.
    Completed,
    /// Refused before anything was sent.
    Refused,
    /// The provider answered with an error.
    UpstreamError,
    /// The provider could not be reached, or broke off before the answer began.
    TransportError,
    /// Nothing came in time.
    Timeout,
    /// The answer broke off after it began.
    Interrupted,
    /// The client left.
    ClientGone,
    /// The data plane's process ended while the request was running.
    NodeCrashed,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 8] = [
        Self::Completed,
        Self::Refused,
        Self::UpstreamError,
        Self::TransportError,
        Self::Timeout,
        Self::Interrupted,
        Self::ClientGone,
        Self::NodeCrashed,
    ];

    /// Its name in records and filters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Refused => "refused",
            Self::UpstreamError => "upstream_error",
            Self::TransportError => "transport_error",
            Self::Timeout => "timeout",
            Self::Interrupted => "interrupted",
            Self::ClientGone => "client_gone",
            Self::NodeCrashed => "node_crashed",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Outcome {
    type Err = UnknownOutcome;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == name).ok_or(UnknownOutcome)
    }
}

/// The name is not one of an outcome.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not an outcome")]
pub struct UnknownOutcome;

/// Which requests to read.
#[derive(Clone, Debug, Default)]
pub struct RequestFilter {
    /// Of this virtual key.
    pub key_id: Option<String>,
    /// Of this user.
    pub user_id: Option<String>,
    /// For this model: as the client wrote it, or the provider's own id.
    pub model: Option<String>,
    /// Served by this provider.
    pub provider: Option<String>,
    /// That ended so.
    pub outcome: Option<Outcome>,
    /// Not before; unix milliseconds.
    pub since_ms: Option<u64>,
    /// Before this one, in the order of time: the last of the page before.
    pub before: Option<Uuid>,
}

/// A request with everything that was recorded of it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredUsage {
    /// What is queried.
    pub record: UsageRecord,
    /// The log's entry, as the data plane encoded it: attempts, endpoints left out, and the rest.
    pub entry: Vec<u8>,
}

const FIRST: &str = "";

const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM usage_event WHERE event_id < $1 AND event_id >= $2 ",
    filters!(),
    " ORDER BY event_id DESC LIMIT $7",
);
// Apart, so that it can use the index over keys.
const LIST_OF_KEY: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM usage_event WHERE event_id < $1 AND event_id >= $2 ",
    filters!(),
    " AND key_id = $8 ORDER BY event_id DESC LIMIT $7",
);
const SELECT: &str = concat!("SELECT entry, ", columns!(), " FROM usage_event WHERE event_id = $1");

impl Store {
    /// Requests, the newest first.
    pub async fn requests(
        &self,
        filter: &RequestFilter,
        limit: u32,
    ) -> Result<Vec<UsageRecord>, StoreError> {
        let sql = if filter.key_id.is_some() { LIST_OF_KEY } else { LIST };
        let before = filter.before.unwrap_or(Uuid::max()).to_string();
        let since = filter.since_ms.map_or_else(|| FIRST.to_owned(), first_id_of);
        let rows: Vec<EventRow> = reading!(self, |pool| {
            let mut query = sqlx::query_as(sql)
                .bind(before)
                .bind(since)
                .bind(filter.user_id.as_deref())
                .bind(filter.model.as_deref())
                .bind(filter.provider.as_deref())
                .bind(filter.outcome.map(Outcome::as_str))
                .bind(i64::from(limit));
            if let Some(key) = filter.key_id.as_deref() {
                query = query.bind(key);
            }
            query.fetch_all(pool).await?
        });
        rows.into_iter().map(UsageRecord::try_from).collect()
    }

    /// One request, if it is there.
    pub async fn request(&self, id: Uuid) -> Result<Option<StoredUsage>, StoreError> {
        let row: Option<EntryRow> = reading!(self, |pool| sqlx::query_as(SELECT)
            .bind(id.to_string())
            .fetch_optional(pool)
            .await?);
        row.map(|row| Ok(StoredUsage { record: row.event.try_into()?, entry: row.entry }))
            .transpose()
    }
}

#[derive(sqlx::FromRow)]
struct EntryRow {
    entry: Vec<u8>,
    #[sqlx(flatten)]
    event: EventRow,
}

/// The least `UUIDv7` of a millisecond.
pub(super) fn first_id_of(unix_ms: u64) -> String {
    let ms = u128::from(unix_ms & ((1 << 48) - 1));
    Uuid::from_u128((ms << 80) | (0x7 << 76) | (0x2 << 62)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_id_of_a_millisecond_comes_before_its_others() {
        let at = |ms: u64| {
            uuid::Builder::from_unix_timestamp_millis(ms, &[7; 10]).into_uuid().to_string()
        };
        assert!(first_id_of(1_700_000_000_000) <= at(1_700_000_000_000));
        assert!(first_id_of(1_700_000_000_000) > at(1_699_999_999_999));
    }
}
