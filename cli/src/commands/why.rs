//! `why`: everything about one request.

use bitrouter_control_plane::api::types::{AttemptView, RequestDetail, RequestRow};
use clap::Args;

use super::Context;
use crate::client::segment;
use crate::failure::Failure;
use crate::{output, text, when};

/// Show why a request went where it went: every attempt and every endpoint that was left out.
#[derive(Args, Debug)]
#[command(after_long_help = "Example:
  bitrouter why 0198c2a0-...     the id is in the answer's x-bitrouter-request-id header")]
pub(crate) struct Why {
    /// The request's id.
    #[arg(value_name = "REQUEST_ID")]
    id: String,
}

impl Why {
    /// Does it.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let path = format!("/v1/requests/{}", segment(&self.id));
        let client = context.client()?;
        client.flush().await;
        let detail: RequestDetail = client.get(&path).await?;
        context.output.result(&detail, || story(&detail));
        Ok(())
    }
}

/// The request, its attempts in their order, and what was left out.
pub(crate) fn story(detail: &RequestDetail) -> String {
    let row = &detail.row;
    let facts = output::facts(&[
        ("request", row.id.clone()),
        ("time", when::local(row.started_at)),
        ("asked for", asked_for(row)),
        ("by", by(row)),
        ("ended", text::ended(row.outcome, row.status, row.error_code.as_deref())),
        ("tokens", classes(row)),
        ("cost USD", text::cost(row.cost_micros, row.unpriced)),
        ("took", took(row)),
        ("config", versions(detail)),
    ]);
    let mut lines = vec![facts];
    if !detail.attempts.is_empty() {
        lines.push(format!("Attempts (ordered by {}):", detail.strategy));
    }
    for (index, attempt) in detail.attempts.iter().enumerate() {
        lines.push(format!("  {}. {}", index + 1, attempt_of(attempt)));
    }
    lines.extend(text::left_out(&detail.left_out));
    lines.join("\n")
}

fn versions(detail: &RequestDetail) -> String {
    format!("revision {}, prices of {}", detail.config_revision, detail.price_revision)
}

fn asked_for(row: &RequestRow) -> String {
    if row.requested_model.is_empty() {
        return "refused before the request was read".to_owned();
    }
    let how = if row.streamed { ", streamed" } else { "" };
    let dialect = row.dialect.map(|dialect| format!(" in {dialect}{how}")).unwrap_or_default();
    match &row.route {
        Some(route) if *route != row.requested_model => {
            format!("{}{dialect}, route {route}", row.requested_model)
        }
        _ => format!("{}{dialect}", row.requested_model),
    }
}

fn by(row: &RequestRow) -> String {
    match (&row.key_id, &row.user_id) {
        (Some(key), Some(user)) => format!("{user} ({key})"),
        (Some(who), None) | (None, Some(who)) => who.clone(),
        (None, None) => "nobody in particular: without a key".to_owned(),
    }
}

fn classes(row: &RequestRow) -> String {
    let used: Vec<_> = row
        .tokens
        .by_class()
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(class, count)| format!("{} {count}", class.as_str()))
        .collect();
    match (used.is_empty(), row.usage_unknown) {
        (true, true) => "unknown: the provider did not say".to_owned(),
        (true, false) => "none".to_owned(),
        (false, true) => format!("{} (incomplete)", used.join(", ")),
        (false, false) => used.join(", "),
    }
}

fn took(row: &RequestRow) -> String {
    let total = text::millis(u64::from(row.duration_ms));
    row.ttft_ms.map_or_else(
        || total.clone(),
        |first| format!("{total}, {} to the first byte", text::millis(u64::from(first))),
    )
}

fn attempt_of(attempt: &AttemptView) -> String {
    let account = attempt.account.as_ref().map(|label| format!(" ({label})")).unwrap_or_default();
    let ended = text::ended(attempt.outcome, attempt.status, attempt.error_code.as_deref());
    let billed = if attempt.may_have_been_billed { ", may have been billed" } else { "" };
    format!(
        "{}:{}{account}: {ended} after {}{billed}\n     {}",
        attempt.provider,
        attempt.model,
        text::millis(u64::from(attempt.duration_ms)),
        attempt.reason,
    )
}
