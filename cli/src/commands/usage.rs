//! `usage`: what was used, and what it cost.

use bitrouter_control_plane::api::types::{UsageReport, UsageTotals};
use clap::{Args, ValueEnum};

use super::Context;
use crate::client::with_query;
use crate::failure::Failure;
use crate::{output, text, when};

/// Show tokens and cost, summed up.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  bitrouter usage
  bitrouter usage --by key --since 24h
  bitrouter usage --by day --since 2026-11-01 --json")]
pub(crate) struct Usage {
    /// What to sum up by.
    #[arg(long, value_enum, default_value = "model")]
    by: By,
    /// From when on: a time (2026-11-01, 2026-11-01T12:00:00Z) or ago (90m, 24h, 7d).
    #[arg(long, value_name = "WHEN", default_value = "30d")]
    since: String,
    /// Until when. Default: now.
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
}

/// What usage is summed up by.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum By {
    Model,
    Provider,
    Key,
    User,
    Route,
    Day,
    Hour,
}

impl Usage {
    /// Does it.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let now = context.clock.now();
        let since = when::past(&self.since, now)?;
        let until = self.until.as_deref().map(|text| when::past(text, now)).transpose()?;
        let by = self.by.to_possible_value().map(|value| value.get_name().to_owned());
        let path = with_query(
            "/v1/usage",
            &[
                ("by", by),
                ("since", Some(since.to_string())),
                ("until", until.map(|until| until.to_string())),
            ],
        );
        let client = context.client()?;
        client.flush().await;
        let report: UsageReport = client.get(&path).await?;
        context.output.result(&report, || table_of(&report));
        Ok(())
    }
}

pub(super) fn table_of(report: &UsageReport) -> String {
    let by = text::name_of(&report.by);
    let headings = [by.as_str(), "requests", "failed", "in", "cached", "out", "cost USD"];
    let mut rows: Vec<_> = report
        .rows
        .iter()
        .map(|row| cells(&text::or_dash(Some(&row.group)), &row.totals))
        .collect();
    if rows.len() > 1 {
        rows.push(cells("total", &report.total));
    }
    output::table(&headings, rows, &format!("no requests since {}", when::local(report.since)))
}

fn cells(group: &str, totals: &UsageTotals) -> Vec<String> {
    vec![
        group.to_owned(),
        totals.requests.to_string(),
        totals.failed.to_string(),
        text::count(totals.tokens.input_total()),
        text::count(totals.tokens.cache_read),
        text::count(totals.tokens.output_total()),
        text::cost(totals.cost_micros, totals.unpriced > 0),
    ]
}
