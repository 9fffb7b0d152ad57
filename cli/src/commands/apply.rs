//! `apply`: many resources in one change.

use std::path::{Path, PathBuf};

use bitrouter_control_plane::api::types::{Applied, Change, ChangeOperation};
use clap::Args;
use http::Method;

use super::Context;
use crate::client::{Call, Client, with_query};
use crate::failure::{Doing as _, Failure};
use crate::text;

/// Apply the providers, models, presets and variants of a file in one change.
///
/// The file is written as bitrouter.yaml is. What it declares is stored and survives restarts; it
/// must not clash with what bitrouter.yaml declares. Either all of it is applied or nothing.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  bitrouter apply -f models.yaml --dry-run
  bitrouter apply -f models.yaml --prune
  generate-config | bitrouter apply -f -")]
pub(crate) struct Apply {
    /// The file; `-` is standard input.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Only show what would change.
    #[arg(long)]
    dry_run: bool,
    /// Remove what was applied earlier and is not in the file.
    #[arg(long)]
    prune: bool,
    /// Do not ask before removing.
    #[arg(long, short)]
    yes: bool,
}

impl Apply {
    /// Does it.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let text = read(&self.file, &context.env.cwd)?;
        let client = context.client()?;
        if self.prune && !self.dry_run && !self.yes {
            self.confirm_removals(context, &client, &text).await?;
        }
        let applied = self.send(&client, text, self.dry_run).await?;
        for warning in &applied.warnings {
            context.output.warn(warning);
        }
        context.output.result(&applied, || summary(&applied));
        Ok(())
    }

    /// Shows what would go, and asks.
    async fn confirm_removals(
        &self,
        context: &Context,
        client: &Client,
        text: &str,
    ) -> Result<(), Failure> {
        let planned = self.send(client, text.to_owned(), true).await?;
        let gone: Vec<_> = planned
            .changes
            .iter()
            .filter(|change| change.operation == ChangeOperation::Delete)
            .map(line)
            .collect();
        if gone.is_empty() {
            return Ok(());
        }
        context.output.note(&gone.join("\n"));
        context.output.confirm(&format!("Remove {}?", text::plural(gone.len(), "resource")), false)
    }

    async fn send(&self, client: &Client, text: String, dry_run: bool) -> Result<Applied, Failure> {
        let path = with_query(
            "/v1/apply",
            &[("dry_run", Some(dry_run.to_string())), ("prune", Some(self.prune.to_string()))],
        );
        client.change(Call::new(Method::POST, path).yaml(text)).await?.read()
    }
}

fn read(file: &Path, cwd: &Path) -> Result<String, Failure> {
    if file == Path::new("-") {
        return std::io::read_to_string(std::io::stdin()).doing("read standard input");
    }
    let path = cwd.join(file);
    std::fs::read_to_string(&path).doing(format_args!("read {}", path.display()))
}

fn summary(applied: &Applied) -> String {
    let mut lines: Vec<_> = applied.changes.iter().map(line).collect();
    let n = lines.len();
    lines.push(match (n, applied.dry_run) {
        (0, _) => "nothing to change".to_owned(),
        (n, true) => format!("{} would be made", text::plural(n, "change")),
        (n, false) => {
            format!("{} made, revision {}", text::plural(n, "change"), applied.revision.0)
        }
    });
    lines.join("\n")
}

fn line(change: &Change) -> String {
    let sign = match change.operation {
        ChangeOperation::Create => '+',
        ChangeOperation::Update => '~',
        ChangeOperation::Delete => '-',
    };
    format!("{sign} {} {}", text::name_of(&change.kind), change.id)
}
