//! `audit`: who changed what.

use bitrouter_control_plane::api::types::{AuditRow, List};
use clap::Args;

use super::Context;
use crate::client::{Items, with_query};
use crate::failure::Failure;
use crate::{output, when};

/// List changes of the configuration, the newest first: who changed what, and when.
#[derive(Args, Debug)]
pub(crate) struct Audit {
    /// How many.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50)]
    limit: u32,
}

impl Audit {
    /// Does it.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let path = with_query("/v1/audit", &[("limit", Some(self.limit.to_string()))]);
        let page: List<AuditRow> = context.client()?.get(&path).await?;
        context.output.result(&Items { items: &page.items }, || {
            let rows = page.items.iter().map(row).collect();
            output::table(
                &["time", "revision", "who", "did", "kind", "id"],
                rows,
                "nothing was changed yet",
            )
        });
        Ok(())
    }
}

fn row(row: &AuditRow) -> Vec<String> {
    vec![
        when::local(row.at),
        row.revision.0.to_string(),
        row.actor.clone(),
        row.action.clone(),
        row.kind.clone(),
        row.id.clone(),
    ]
}
