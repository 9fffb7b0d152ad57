//! Sums over requests, kept by the hour; they outlive the requests themselves.

use bitrouter_metering::{Micros, Tokens};

use crate::store::{Store, StoreError};

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

impl Store {
    /// Usage in the hours that `since_ms..until_ms` touches, by group.
    pub async fn usage(
        &self,
        by: By,
        since_ms: u64,
        until_ms: u64,
    ) -> Result<Vec<UsageRow>, StoreError> {
        todo!()
    }

    /// Usage of all time.
    pub async fn usage_totals(&self) -> Result<Totals, StoreError> {
        todo!()
    }

    /// Deletes up to `limit` requests that started before the hour of `before_ms`, and says how
    /// many; the sums are kept. Call it until it says zero.
    pub async fn prune_requests(&self, before_ms: u64, limit: u32) -> Result<u64, StoreError> {
        todo!()
    }

    /// Compares the requests that are kept with the sums of their hours.
    pub async fn verify_usage(&self) -> Result<UsageVerdict, StoreError> {
        todo!()
    }
}
