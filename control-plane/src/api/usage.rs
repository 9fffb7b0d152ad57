//! Sums over requests.

use std::time::Duration;

use axum::{Json, extract::State};

use crate::{
    api::{
        Api,
        endpoint::Endpoint,
        error::ApiError,
        extract::Params,
        types::{Time, UsageBy, UsageQuery, UsageReport, UsageRow, UsageTotals},
    },
    store::{By, Group, Totals},
};

/// What is summed if the query does not say.
const PERIOD: Duration = Duration::from_hours(30 * 24);
const HOUR_MS: u64 = 3_600_000;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/usage", report)
            .says("usage", "Requests, tokens and cost in a period, by model, key, user, …")
            .query::<UsageQuery>()
            .answers::<UsageReport>(),
    ]
}

async fn report(
    State(api): State<Api>,
    Params(query): Params<UsageQuery>,
) -> Result<Json<UsageReport>, ApiError> {
    let now = api.clock.now();
    let since_ms =
        query.since.map_or_else(|| now.saturating_sub(PERIOD).as_millis(), Time::as_millis);
    let until_ms = query.until.map_or(now.as_millis() + 1, Time::as_millis);
    if until_ms <= since_ms {
        return Err(ApiError::Invalid("`until` must be later than `since`".to_owned()));
    }
    let by = match query.by {
        UsageBy::Model => By::Model,
        UsageBy::Key => By::Key,
        UsageBy::User => By::User,
        UsageBy::Provider => By::Provider,
        UsageBy::Route => By::Route,
        UsageBy::Day => By::Day,
        UsageBy::Hour => By::Hour,
    };
    let found = api.store.usage(by, since_ms, until_ms).await?;
    let mut rows: Vec<UsageRow> = found
        .into_iter()
        .map(|row| UsageRow { group: group(row.group, query.by), totals: totals(&row.totals) })
        .collect();
    if matches!(query.by, UsageBy::Day | UsageBy::Hour) {
        rows.sort_by(|one, other| one.group.cmp(&other.group));
    } else {
        rows.sort_by_key(|row| std::cmp::Reverse((row.totals.cost_micros, row.totals.requests)));
    }
    let mut total = UsageTotals::default();
    for row in &rows {
        add(&mut total, &row.totals);
    }
    let since = Time::from_millis(since_ms - since_ms % HOUR_MS);
    let until = Time::from_millis(until_ms);
    Ok(Json(UsageReport { by: query.by, since, until, rows, total }))
}

fn group(group: Group, by: UsageBy) -> String {
    match group {
        Group::Named(name) => name,
        Group::From(seconds) => {
            let text = Time::from_millis(seconds.saturating_mul(1_000)).to_string();
            let day = text.split('T').next().unwrap_or_default();
            if by == UsageBy::Hour { text } else { day.to_owned() }
        }
    }
}

const fn totals(totals: &Totals) -> UsageTotals {
    UsageTotals {
        requests: totals.requests,
        failed: totals.errors,
        tokens: totals.tokens,
        cost_micros: totals.cost,
        unpriced: totals.unpriced,
    }
}

fn add(sum: &mut UsageTotals, row: &UsageTotals) {
    sum.requests = sum.requests.saturating_add(row.requests);
    sum.failed = sum.failed.saturating_add(row.failed);
    sum.tokens += row.tokens;
    sum.cost_micros = sum.cost_micros.saturating_add(row.cost_micros);
    sum.unpriced = sum.unpriced.saturating_add(row.unpriced);
}
