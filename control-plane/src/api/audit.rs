//! Who changed what.

use axum::{Json, extract::State};

use crate::{
    api::{
        Api,
        endpoint::Endpoint,
        error::ApiError,
        extract::Params,
        types::{AuditQuery, AuditRow, List, Time},
    },
    store,
};

const PAGE: u32 = 50;
const LONGEST_PAGE: u32 = 1_000;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/audit", list)
            .says("audit", "Changes of the configuration, the newest first")
            .query::<AuditQuery>()
            .answers::<List<AuditRow>>(),
    ]
}

async fn list(
    State(api): State<Api>,
    Params(query): Params<AuditQuery>,
) -> Result<Json<List<AuditRow>>, ApiError> {
    let limit = query.limit.unwrap_or(PAGE).clamp(1, LONGEST_PAGE);
    let before = query.after.map(|after| after.parse()).transpose();
    let before = before.map_err(|_| ApiError::Invalid("`after` is a number here".to_owned()))?;
    let mut found = api.store.audit(before, limit + 1).await?;
    let has_more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().filter(|_| has_more).map(|last| last.seq.to_string());
    Ok(Json(List { items: found.into_iter().map(view).collect(), next }))
}

fn view(row: store::AuditRow) -> AuditRow {
    AuditRow {
        seq: row.seq,
        at: Time::from_millis(row.time_ms),
        revision: row.revision,
        actor: row.actor,
        action: row.action,
        kind: row.kind,
        id: row.id,
        before: row.before.map(json),
        after: row.after.map(json),
    }
}

/// Shown as text if it is not JSON after all.
fn json(text: String) -> serde_json::Value {
    serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text))
}
