//! `requests`: what was asked, newest first.

use std::collections::VecDeque;
use std::time::Duration;

use bitrouter_control_plane::api::types::{List, Outcome, RequestRow, Time};
use clap::Args;

use super::Context;
use crate::client::{Client, Items, with_query};
use crate::failure::Failure;
use crate::{output, text, when};

/// List requests, the newest first.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  bitrouter requests
  bitrouter requests --follow
  bitrouter requests --model gpt-4o --since 1h --json")]
pub(crate) struct Requests {
    /// How many.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    limit: u32,
    /// Only of this virtual key (its id).
    #[arg(long, value_name = "KEY_ID")]
    key: Option<String>,
    /// Only with this model name, as it was asked for.
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Only those that this provider took part in.
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<String>,
    /// Only those that ended so: completed, refused, upstream_error, transport_error, timeout,
    /// interrupted, client_gone, node_crashed.
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<String>,
    /// From when on: a time or ago (90m, 24h, 7d).
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Go on with new ones as they end. With --json, a document on each line.
    #[arg(long, short)]
    follow: bool,
}

/// How often new requests are looked for.
const LOOK: Duration = Duration::from_millis(500);
/// The longest page that is asked for.
const PAGE: u32 = 200;

impl Requests {
    /// Does it.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let since =
            self.since.as_deref().map(|text| when::past(text, context.clock.now())).transpose()?;
        let mut rows = self.newest(&client, since).await?;
        if self.follow {
            return self.follow(context, &client, rows).await;
        }
        rows.truncate(usize::try_from(self.limit).unwrap_or(usize::MAX));
        context.output.result(&Items { items: &rows }, || {
            let cells = rows.iter().map(row).collect();
            output::table(&HEADINGS, cells, "no requests")
        });
        Ok(())
    }

    /// As many as asked for, the newest first.
    async fn newest(
        &self,
        client: &Client,
        since: Option<Time>,
    ) -> Result<Vec<RequestRow>, Failure> {
        let wanted = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let mut rows: Vec<RequestRow> = Vec::new();
        let mut after = None;
        while rows.len() < wanted {
            let left = u32::try_from(wanted - rows.len()).unwrap_or(PAGE);
            let page = self.page(client, left.min(PAGE), since, after).await?;
            rows.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(rows)
    }

    /// Prints what is there, the oldest first, and then what comes, until interrupted.
    async fn follow(
        &self,
        context: &Context,
        client: &Client,
        mut rows: Vec<RequestRow>,
    ) -> Result<(), Failure> {
        // Requests are recorded when they end, and may then be older than one that was seen; those
        // that are printed are remembered for as long as a page reaches back.
        let mut seen = VecDeque::new();
        loop {
            rows.sort_by(|a, b| a.started_at.cmp(&b.started_at));
            for row in rows.drain(..).filter(|row| !seen.contains(&row.id)).collect::<Vec<_>>() {
                context.output.line(&row, || line(&row));
                seen.push_back(row.id);
            }
            while seen.len() > 4 * usize::try_from(PAGE).unwrap_or_default() {
                seen.pop_front();
            }
            tokio::time::sleep(LOOK).await;
            rows = self
                .page(client, PAGE, Some(Time::from_millis(self.from(context))), None)
                .await?
                .items;
        }
    }

    /// A streamed request may take long: one that ends now may have begun an hour ago.
    fn from(&self, context: &Context) -> u64 {
        context.clock.now().saturating_sub(Duration::from_secs(3600)).as_millis()
    }

    async fn page(
        &self,
        client: &Client,
        limit: u32,
        since: Option<Time>,
        after: Option<String>,
    ) -> Result<List<RequestRow>, Failure> {
        let path = with_query(
            "/v1/requests",
            &[
                ("limit", Some(limit.to_string())),
                ("after", after),
                ("key", self.key.clone()),
                ("model", self.model.clone()),
                ("provider", self.provider.clone()),
                ("outcome", self.outcome.clone()),
                ("since", since.map(|since| since.to_string())),
            ],
        );
        client.get(&path).await
    }
}

const HEADINGS: [&str; 8] =
    ["time", "model", "went to", "outcome", "tokens", "cost USD", "took", "id"];

fn row(row: &RequestRow) -> Vec<String> {
    vec![
        when::local(row.started_at),
        row.requested_model.clone(),
        went_to(row),
        outcome(row),
        text::tokens(&row.tokens),
        text::cost(row.cost_micros, row.unpriced),
        text::millis(u64::from(row.duration_ms)),
        row.id.clone(),
    ]
}

fn line(request: &RequestRow) -> String {
    row(request).join("  ")
}

/// The endpoint of the last attempt, with how many it took.
pub(super) fn went_to(row: &RequestRow) -> String {
    let Some(provider) = &row.provider else { return "-".to_owned() };
    let model = row.model.as_deref().unwrap_or("?");
    match row.attempt_count {
        0 | 1 => format!("{provider}:{model}"),
        n => format!("{provider}:{model} (attempt {n})"),
    }
}

/// How it ended, with the status and code that the client saw.
pub(super) fn outcome(row: &RequestRow) -> String {
    let mut said = text::name_of(&row.outcome);
    if row.outcome != Outcome::Completed {
        if let Some(status) = row.status {
            said.push_str(&format!(" {status}"));
        }
        if let Some(code) = &row.error_code {
            said.push_str(&format!(" {code}"));
        }
    }
    said
}
