//! `key`: what agents present instead of provider keys.

use bitrouter_control_plane::api::types::{
    KeyState, KeyView, MintRequest, Minted, Revoked, RotateRequest, Time,
};
use bitrouter_control_plane::resource::Limits;
use bitrouter_keys::Pattern;
use bitrouter_runtime::Entropy;
use clap::{Args, Subcommand};
use uuid::Uuid;

use super::Context;
use crate::client::{Items, all, segment};
use crate::failure::Failure;
use crate::{output, text, when};

/// Make, list, revoke and rotate virtual keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    Sign(Sign),
    List(List),
    Show(Show),
    Revoke(Revoke),
    Rotate(Rotate),
}

/// Make a virtual key and print it. It is shown this once and kept nowhere.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  bitrouter key sign --user alice
  bitrouter key sign --user ci --models 'gpt-4o*,fast' --expires 30d --rpm 60
  KEY=$(bitrouter key sign --user ci --json | jq -r .key)")]
pub(crate) struct Sign {
    /// The user that it belongs to; made if new.
    #[arg(long, value_name = "USER", default_value = "default")]
    user: String,
    /// What people call it.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Only these model names; `*` stands for anything. Separated by commas.
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    models: Vec<String>,
    /// Only these providers. Separated by commas.
    #[arg(long, value_name = "PROVIDER", value_delimiter = ',')]
    providers: Vec<String>,
    /// When it ends: a time (2027-01-31, 2027-01-31T12:00:00Z) or from now (12h, 30d).
    #[arg(long, alias = "exp", value_name = "WHEN")]
    expires: Option<String>,
    /// Requests per minute.
    #[arg(long, value_name = "N")]
    rpm: Option<u32>,
    /// Tokens per minute, input and output.
    #[arg(long, value_name = "N")]
    tpm: Option<u64>,
    /// Requests at the same time.
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
}

/// List the virtual keys.
#[derive(Args, Debug)]
pub(crate) struct List {
    /// Revoked and expired ones, too.
    #[arg(long, short)]
    all: bool,
}

/// Show one virtual key.
#[derive(Args, Debug)]
pub(crate) struct Show {
    /// Its id.
    #[arg(value_name = "KEY_ID")]
    id: String,
}

/// Revoke a virtual key: it is refused from now on, everywhere.
#[derive(Args, Debug)]
pub(crate) struct Revoke {
    /// Its id.
    #[arg(value_name = "KEY_ID")]
    id: String,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

/// Give a virtual key a new secret and print it. The old one is accepted for a while.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  bitrouter key rotate key_0198...
  bitrouter key rotate key_0198... --grace 0s     the old one is refused at once")]
pub(crate) struct Rotate {
    /// Its id.
    #[arg(value_name = "KEY_ID")]
    id: String,
    /// How long the old secret is still accepted.
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    grace: String,
}

impl Key {
    /// Does it.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Sign(sign) => sign.run(context).await,
            Self::List(list) => list.run(context).await,
            Self::Show(show) => show.run(context).await,
            Self::Revoke(revoke) => revoke.run(context).await,
            Self::Rotate(rotate) => rotate.run(context).await,
        }
    }
}

impl Sign {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let expires_at = self
            .expires
            .as_deref()
            .map(|text| when::future(text, context.clock.now()))
            .transpose()?;
        let models = self.models.iter().map(Pattern::new).collect();
        let request = MintRequest {
            user: self.user,
            name: self.name,
            models,
            providers: self.providers,
            expires_at,
            limits: Limits { rpm: self.rpm, tpm: self.tpm, concurrency: self.concurrency },
        };
        let minted: Minted =
            context.client()?.make_once("/v1/keys", &request, fresh(context)).await?;
        context.output.result(&minted, || minted.key.clone());
        context
            .output
            .aside(&format!("{} for {}; it is not shown again", minted.view.id, minted.view.user));
        Ok(())
    }
}

impl List {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let mut keys: Vec<KeyView> = all(&client, "/v1/keys").await?;
        keys.retain(|key| self.all || key.state == KeyState::Active);
        context.output.result(&Items { items: &keys }, || {
            let rows = keys.iter().map(row).collect();
            output::table(
                &["id", "ends in", "user", "name", "state", "models", "expires"],
                rows,
                "no keys; make one with `bitrouter key sign --user NAME`",
            )
        });
        Ok(())
    }
}

impl Show {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let path = format!("/v1/keys/{}", segment(&self.id));
        let key: KeyView = context.client()?.get(&path).await?;
        context.output.result(&key, || facts_of(&key));
        Ok(())
    }
}

impl Revoke {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let question = format!("Revoke {}? It is refused from then on, for good.", self.id);
        context.output.confirm(&question, self.yes)?;
        let path = format!("/v1/keys/{}/revoke", segment(&self.id));
        let revoked: Revoked = context.client()?.make(&path, &serde_json::json!({})).await?;
        context.output.result(&revoked, || format!("{} is revoked", revoked.view.id));
        if !revoked.unconfirmed_nodes.is_empty() {
            context.output.warn(&format!(
                "not confirmed yet by {}: a data plane that is cut off may still accept it",
                revoked.unconfirmed_nodes.join(", ")
            ));
        }
        Ok(())
    }
}

impl Rotate {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let grace = when::duration(&self.grace)?;
        let path = format!("/v1/keys/{}/rotate", segment(&self.id));
        let request = RotateRequest { grace_s: grace.as_secs() };
        let minted: Minted = context.client()?.make_once(&path, &request, fresh(context)).await?;
        context.output.result(&minted, || minted.key.clone());
        let old = minted.view.previous_until.map_or_else(
            || "the old one is refused from now on".to_owned(),
            |until| format!("the old one is accepted until {}", when::local(until)),
        );
        context.output.aside(&format!("{} has this new secret; {old}", minted.view.id));
        Ok(())
    }
}

/// A key that no other request has.
fn fresh(context: &Context) -> Uuid {
    Entropy::system().uuid(context.clock.now())
}

fn row(key: &KeyView) -> Vec<String> {
    vec![
        key.id.clone(),
        key.last4.clone(),
        key.user.clone(),
        text::or_dash(key.name.as_deref()),
        text::name_of(&key.state),
        patterns(&key.models),
        key.expires_at.map_or_else(|| "-".to_owned(), when::local),
    ]
}

fn patterns(models: &[Pattern]) -> String {
    if models.is_empty() {
        return "all".to_owned();
    }
    models.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn facts_of(key: &KeyView) -> String {
    let limit = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let time = |time: Option<Time>| time.map_or_else(|| "-".to_owned(), when::local);
    let providers =
        if key.providers.is_empty() { "all".to_owned() } else { key.providers.join(" ") };
    output::facts(&[
        ("id", key.id.clone()),
        ("name", text::or_dash(key.name.as_deref())),
        ("user", key.user.clone()),
        ("state", text::name_of(&key.state)),
        ("ends in", key.last4.clone()),
        ("models", patterns(&key.models)),
        ("providers", providers),
        ("requests/min", limit(key.limits.rpm.map(u64::from))),
        ("tokens/min", limit(key.limits.tpm)),
        ("at a time", limit(key.limits.concurrency.map(u64::from))),
        ("made", when::local(key.meta.created_at)),
        ("expires", time(key.expires_at)),
        ("revoked", time(key.revoked_at)),
        ("public key", key.public_key.clone()),
    ])
}
