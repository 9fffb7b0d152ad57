//! `config`: the config file, checked, described, shown.

use bitrouter_config::{NotActive, Problem};
use bitrouter_control_plane::api::types::ProviderView;
use bitrouter_control_plane::reconcile::Elsewhere;
use bitrouter_control_plane::resource::Owner;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::Context;
use crate::client::{Client, all};
use crate::daemon;
use crate::failure::Failure;
use crate::installation::{self, Installation};
use crate::{output, text};

/// Check, describe or show the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    Validate(Validate),
    Schema(Schema),
    Show(Show),
}

/// Check the config file exactly as `serve` does.
///
/// Lists every problem with its file, line, column and a hint. Exits with 1 if there is one;
/// warnings and sections that are not active in this version do not count.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  bitrouter config validate
  bitrouter config validate -c ./bitrouter.yaml --json")]
pub(crate) struct Validate {}

/// Print the JSON Schema of bitrouter.yaml, for editors.
#[derive(Args, Debug)]
#[command(after_long_help = "Example:
  bitrouter config schema > bitrouter.schema.json")]
pub(crate) struct Schema {}

/// Print the configuration in force after defaults, variables and inheritance; secrets are hidden.
#[derive(Args, Debug)]
pub(crate) struct Show {}

/// What `validate` shows.
#[derive(Debug, Serialize)]
struct Validated {
    is_valid: bool,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    not_active: Vec<NotActive>,
}

impl Config {
    /// Does it.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Validate(_) => validate(context).await,
            Self::Schema(_) => {
                output::verbatim(&format!("{:#}", bitrouter_config::schema()));
                Ok(())
            }
            Self::Show(_) => show(context),
        }
    }
}

/// The providers of the API, if a bitrouter runs here: who else would know?
async fn elsewhere(context: &Context) -> Elsewhere {
    let client = Client::local(&context.places);
    let providers = match daemon::running(&context.places) {
        Some(_) => all::<ProviderView>(&client, "/v1/providers").await.unwrap_or_default(),
        None => Vec::new(),
    };
    let made = providers.into_iter().filter(|provider| provider.meta.owner == Owner::Api);
    Elsewhere { made: made.map(|provider| provider.id).collect(), ..Elsewhere::default() }
}

async fn validate(context: &Context) -> Result<(), Failure> {
    let (loaded, notes) = installation(context).check(&elsewhere(context).await)?;
    for note in &notes {
        context.output.warn(note);
    }
    let validated = Validated {
        is_valid: loaded.document.is_some(),
        problems: loaded.problems,
        warnings: loaded.warnings,
        not_active: loaded.document.map(|document| document.not_active).unwrap_or_default(),
    };
    for problem in &validated.problems {
        context.output.problem(&problem.to_string());
    }
    for warning in &validated.warnings {
        context.output.warn(&warning.to_string());
    }
    for section in &validated.not_active {
        context.output.note(&section.to_string());
    }
    context.output.result(&validated, || verdict(context, &validated));
    super::end_with(validated.is_valid)
}

fn verdict(context: &Context, validated: &Validated) -> String {
    let path = context.places.config.display();
    match (validated.is_valid, context.places.config.is_file()) {
        (true, true) => format!("{path} is valid"),
        (true, false) => format!("there is no {path}: the defaults are valid"),
        (false, _) => {
            format!("{path} is not valid: {}", text::plural(validated.problems.len(), "problem"))
        }
    }
}

fn show(context: &Context) -> Result<(), Failure> {
    let configuration = installation(context).load(&[], installation::Elsewhere::Presumed)?;
    let shown = configuration.document.to_redacted_json();
    context.output.result(&shown, || format!("{shown:#}"));
    Ok(())
}

fn installation(context: &Context) -> Installation {
    Installation::new(context.places.clone(), &context.env)
}
