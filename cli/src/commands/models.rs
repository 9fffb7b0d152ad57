//! `models`: what can be asked for.

use bitrouter_config::resource::Billing;
use bitrouter_control_plane::api::types::{ModelSource, ModelView};
use bitrouter_metering::{PicoUsd, TokenClass};
use clap::Args;

use super::Context;
use crate::client::{Items, all};
use crate::failure::Failure;
use crate::{output, text};

/// List the models that can be asked for.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  bitrouter models
  bitrouter models -p ollama")]
pub(crate) struct Models {
    /// Only those of this provider.
    #[arg(short, long, value_name = "PROVIDER")]
    provider: Option<String>,
}

impl Models {
    /// Does it.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let mut models: Vec<ModelView> = all(&client, "/v1/models").await?;
        if let Some(provider) = &self.provider {
            models.retain(|model| model.provider.as_ref() == Some(provider));
        }
        models.retain(|model| model.is_active || self.provider.is_some());
        context.output.result(&Items { items: &models }, || {
            let rows = models.iter().map(row).collect();
            output::table(
                &["name", "from", "context", "output", "$/M in", "$/M out"],
                rows,
                &nothing(&self),
            )
        });
        Ok(())
    }
}

fn nothing(asked: &Models) -> String {
    asked.provider.as_ref().map_or_else(
        || "no models: `bitrouter providers list --all` shows what each provider needs".to_owned(),
        |provider| format!("no models of a provider `{provider}`"),
    )
}

fn row(model: &ModelView) -> Vec<String> {
    let size = |tokens: Option<u64>| tokens.map_or_else(|| "-".to_owned(), text::count);
    let from = match (model.source, &model.provider) {
        (ModelSource::Route, _) => "route".to_owned(),
        (ModelSource::Provider, provider) => text::or_dash(provider.as_deref()),
    };
    let price = |class: TokenClass| match (&model.price, model.billing) {
        (_, Some(Billing::Local)) => "local".to_owned(),
        (_, Some(Billing::Subscription)) => "flat".to_owned(),
        (Some(price), _) => {
            price.base.of(class).map_or_else(|| "?".to_owned(), PicoUsd::usd_per_million)
        }
        (None, None) => "-".to_owned(),
        (None, Some(_)) => "?".to_owned(),
    };
    vec![
        model.name.clone(),
        from,
        size(model.max_input_tokens),
        size(model.max_output_tokens),
        price(TokenClass::InputUncached),
        price(TokenClass::Output),
    ]
}
