//! `providers`: the model sources.

use bitrouter_control_plane::api::types::ProviderView;
use bitrouter_control_plane::resource::Owner;
use clap::{Args, Subcommand};
use futures::future::join_all;

use super::Context;
use crate::client::{Items, all, segment};
use crate::failure::Failure;
use crate::process::ProviderTest;
use crate::{output, text};

/// List or test the model sources.
#[derive(Debug, Subcommand)]
pub(crate) enum Providers {
    List(List),
    Test(Test),
}

/// List the providers: which are active, and what the others need.
#[derive(Args, Debug)]
pub(crate) struct List {
    /// The built-in providers that nothing is configured for, too.
    #[arg(long, short)]
    all: bool,
}

/// Ask active providers for their model listing, which costs nothing, to see that address and key are
/// right.
///
/// Exits with 1 if one of them fails.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  bitrouter providers test
  bitrouter providers test openai")]
pub(crate) struct Test {
    /// Only these. Default: every active one.
    #[arg(value_name = "PROVIDER")]
    providers: Vec<String>,
}

impl Providers {
    /// Does it.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(context).await,
            Self::Test(test) => test.run(context).await,
        }
    }
}

impl List {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let mut providers: Vec<ProviderView> = all(&context.client()?, "/v1/providers").await?;
        let hidden = providers.iter().filter(|it| !is_of_interest(it)).count();
        providers.retain(|provider| self.all || is_of_interest(provider));
        context.output.result(&Items { items: &providers }, || {
            let rows = providers.iter().map(row).collect();
            output::table(&["id", "state", "dialects", "models", "base url"], rows, NONE)
        });
        if hidden > 0 && !self.all {
            context
                .output
                .aside(&format!("and {hidden} built in that need a key: --all lists them"));
        }
        Ok(())
    }
}

const NONE: &str = "no provider is active: set a provider's key (such as OPENAI_API_KEY) and \
                    `bitrouter reload`, or start a model server on this machine";

impl Test {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let names = if self.providers.is_empty() {
            let providers: Vec<ProviderView> = all(&client, "/v1/providers").await?;
            providers.into_iter().filter(|it| it.is_active).map(|it| it.id).collect()
        } else {
            self.providers
        };
        let asked = names.iter().map(|name| {
            let (client, path) = (&client, format!("/v1/providers/{}/test", segment(name)));
            async move { client.post::<Vec<ProviderTest>>(&path, &serde_json::json!({})).await }
        });
        let answers = join_all(asked).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        let tests: Vec<ProviderTest> = answers.into_iter().flatten().collect();
        let failed = tests.iter().filter(|test| !test.is_ok).count();
        context.output.result(&Items { items: &tests }, || {
            let rows = tests.iter().map(test_row).collect();
            output::table(&["provider", "account", "answer", "took"], rows, NONE)
        });
        super::end_with(failed == 0)
    }
}

/// What is active, or was asked for; the built-in ones without a key are only a list of offers.
fn is_of_interest(provider: &ProviderView) -> bool {
    provider.is_active || provider.meta.owner != Owner::Env
}

fn row(provider: &ProviderView) -> Vec<String> {
    let dialects: Vec<_> = provider
        .spec
        .dialects
        .iter()
        .flat_map(|rule| rule.dialects.iter().map(ToString::to_string))
        .collect();
    let state = match &provider.spec.inactive_reason {
        Some(reason) => format!("inactive: {reason}"),
        None if provider.is_active => "active".to_owned(),
        None => "inactive".to_owned(),
    };
    vec![
        provider.id.clone(),
        state,
        dialects.join(" "),
        provider.spec.models.len().to_string(),
        provider.spec.base_urls.first().map_or_else(|| "-".to_owned(), |base| base.url.to_string()),
    ]
}

fn test_row(test: &ProviderTest) -> Vec<String> {
    vec![
        test.provider.clone(),
        text::or_dash(test.account.as_deref()),
        test.outcome.clone(),
        text::millis(test.duration_ms),
    ]
}
