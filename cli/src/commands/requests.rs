//! `requests`: what was asked, newest first.

use std::collections::VecDeque;
use std::time::Duration;

use bitrouter_control_plane::api::types::{List, RequestRow, Time};
use clap::{Args, ValueEnum};

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
    /// Only those that ended so.
    #[arg(long, value_enum)]
    outcome: Option<Ended>,
    /// From when on: a time or ago (90m, 24h, 7d).
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Go on with new ones as they end. With --json, a document on each line.
    #[arg(long, short)]
    follow: bool,
}

/// How often new requests are looked for.
const LOOK: Duration = Duration::from_millis(500);
/// A streamed request may take long: one that ends now may have begun that long ago.
const LONGEST: Duration = Duration::from_hours(1);
/// The longest page that is asked for.
const PAGE: u32 = 200;

/// How requests end.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Ended {
    Completed,
    Refused,
    UpstreamError,
    TransportError,
    Timeout,
    Interrupted,
    ClientGone,
    NodeCrashed,
}

impl Requests {
    /// Does it.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        client.flush().await;
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
            rows.sort_by_key(|row| row.started_at);
            for row in rows.drain(..).filter(|row| !seen.contains(&row.id)).collect::<Vec<_>>() {
                context.output.line(&row, || line(&row));
                seen.push_back(row.id);
            }
            while seen.len() > 4 * usize::try_from(PAGE).unwrap_or_default() {
                seen.pop_front();
            }
            tokio::time::sleep(LOOK).await;
            let since = Time::from_millis(context.clock.now().saturating_sub(LONGEST).as_millis());
            rows = self.page(client, PAGE, Some(since), None).await?.items;
        }
    }

    async fn page(
        &self,
        client: &Client,
        limit: u32,
        since: Option<Time>,
        after: Option<String>,
    ) -> Result<List<RequestRow>, Failure> {
        let outcome = self.outcome.and_then(|outcome| outcome.to_possible_value());
        let outcome = outcome.map(|outcome| outcome.get_name().to_owned());
        let path = with_query(
            "/v1/requests",
            &[
                ("limit", Some(limit.to_string())),
                ("after", after),
                ("key", self.key.clone()),
                ("model", self.model.clone()),
                ("provider", self.provider.clone()),
                ("outcome", outcome),
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
        text::ended(row.outcome, row.status, row.error_code.as_deref()),
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
fn went_to(row: &RequestRow) -> String {
    let Some(provider) = &row.provider else { return "-".to_owned() };
    let model = row.model.as_deref().unwrap_or("?");
    match row.attempt_count {
        0 | 1 => format!("{provider}:{model}"),
        n => format!("{provider}:{model} (attempt {n})"),
    }
}
