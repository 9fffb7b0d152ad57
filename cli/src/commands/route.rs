//! `route`: where a name goes, and the names that are made for it.

use bitrouter_config::resource::{DataPolicy, Fidelity, Route as Spec, RouteEndpoint, Strategy};
use bitrouter_control_plane::api::types::{RoutePut, RouteView};
use bitrouter_control_plane::resource::Owner;
use bitrouter_translate::Dialect;
use clap::{Args, Subcommand, ValueEnum};
use http::Method;

use super::Context;
use crate::client::{Call, Client, Items, all, segment};
use crate::failure::{Exit, Failure};
use crate::process::{CandidateView, EphemeralRoute, PlanView, ResolveRequest};
use crate::{output, text};

/// Show where a model name goes, or add and remove routes.
///
/// `bitrouter route MODEL` shows the whole plan for a name without sending anything: the endpoints in
/// their order, and for each one that is left out, why.
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_long_help = "Examples:
  bitrouter route gpt-4o
  bitrouter route @coder:cheap --dialect messages
  bitrouter route add fast openai:gpt-4o-mini ollama:llama3.1:8b --strategy local-first
  bitrouter route rm fast"
)]
pub(crate) struct Route {
    /// The name as a client would send it.
    #[arg(value_name = "MODEL", required = true)]
    model: Option<String>,
    /// The dialect that the client speaks.
    #[arg(long, value_enum, default_value = "chat-completions")]
    dialect: ClientDialect,
    /// Only what this virtual key may use (its id, key_...).
    #[arg(long, value_name = "KEY_ID")]
    key: Option<String>,
    #[command(subcommand)]
    command: Option<RouteCommand>,
}

/// What is to be done with routes.
#[derive(Debug, Subcommand)]
enum RouteCommand {
    List(List),
    Add(Add),
    Rm(Rm),
}

/// List the routes.
#[derive(Args, Debug)]
struct List {}

/// Add a route: one public name for several endpoints.
///
/// It is stored and survives restarts, unless --ephemeral is given. A route of the same name is
/// replaced, unless bitrouter.yaml declares it.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  bitrouter route add fast openai:gpt-4o-mini groq:llama-3.3-70b-versatile
  bitrouter route add big openai:gpt-4o@3 azure:gpt-4o@1 --strategy load-balance
  bitrouter route add private ollama:llama3.1:8b --local-only --ephemeral")]
struct Add {
    /// The public name.
    #[arg(value_name = "NAME")]
    name: String,
    /// Where it goes, as PROVIDER:MODEL, in order; with @N for a weight.
    #[arg(value_name = "ENDPOINT", required = true)]
    endpoints: Vec<String>,
    /// How the endpoints are ordered. Every strategy fails over to the rest.
    #[arg(long, value_enum, default_value = "priority")]
    strategy: StrategyName,
    /// A sentence about it, shown in listings.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Only providers on one's own hardware may serve it.
    #[arg(long)]
    local_only: bool,
    /// Forget it when the running bitrouter ends.
    #[arg(long)]
    ephemeral: bool,
}

/// Remove a route that was added.
#[derive(Args, Debug)]
struct Rm {
    /// The public name.
    #[arg(value_name = "NAME")]
    name: String,
}

/// The dialects that clients speak.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ClientDialect {
    ChatCompletions,
    Responses,
    Messages,
    GenerateContent,
}

/// How a route's endpoints are ordered.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum StrategyName {
    /// In the order given
    Priority,
    /// Weighted round robin
    LoadBalance,
    /// Fewest requests in flight first
    LeastBusy,
    /// Shortest time to the first token first
    LowestLatency,
    /// Cheapest list price first
    LowestCost,
    /// Local providers first
    LocalFirst,
}

impl Route {
    /// Does it.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match (self.command, self.model) {
            (Some(RouteCommand::List(_)), _) => list(context).await,
            (Some(RouteCommand::Add(add)), _) => add.run(context).await,
            (Some(RouteCommand::Rm(rm)), _) => rm.run(context).await,
            (None, Some(model)) => {
                let dialect = self.dialect.into();
                plan(context, ResolveRequest { model, dialect, key: self.key }).await
            }
            (None, None) => Err(Failure::usage("name a model, or one of list, add, rm")),
        }
    }
}

async fn plan(context: &Context, request: ResolveRequest) -> Result<(), Failure> {
    let plan: PlanView = context.client()?.post("/v1/resolve", &request).await?;
    context.output.result(&plan, || plan_text(&plan));
    if plan.problem.is_some() { Err(Failure::already_told(Exit::NotFound)) } else { Ok(()) }
}

async fn list(context: &Context) -> Result<(), Failure> {
    let routes: Vec<RouteView> = all(&context.client()?, "/v1/routes").await?;
    context.output.result(&Items { items: &routes }, || {
        let rows = routes.iter().map(row).collect();
        output::table(
            &["name", "goes to", "strategy", "from"],
            rows,
            "no routes; add one with `bitrouter route add NAME PROVIDER:MODEL...`",
        )
    });
    Ok(())
}

impl Add {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let is_ephemeral = self.ephemeral;
        let (name, spec) = self.spec()?;
        if is_ephemeral {
            let path = format!("/v1/ephemeral-routes/{}", segment(&name));
            let call = Call::new(Method::PUT, path).json(&EphemeralRoute { spec })?;
            let view: EphemeralRoute = client.change(call).await?.read()?;
            context.output.result(&view, || format!("{name} is routable until bitrouter ends"));
            return Ok(());
        }
        let path = format!("/v1/routes/{}", segment(&name));
        let mut call = Call::new(Method::PUT, path.as_str()).json(&RoutePut { spec })?;
        if let Some(standing) = find(&client, &path).await? {
            call = call.if_match(standing.meta.resource_version.0);
        }
        let view: RouteView = client.change(call).await?.read()?;
        context.output.result(&view, || format!("{} is routable", view.name));
        Ok(())
    }

    fn spec(self) -> Result<(String, Spec), Failure> {
        let endpoints =
            self.endpoints.iter().map(|text| endpoint(text)).collect::<Result<_, _>>()?;
        let spec = Spec {
            strategy: self.strategy.into(),
            endpoints,
            display_name: None,
            description: self.description,
            max_input_tokens: None,
            max_output_tokens: None,
            fidelity: Fidelity::default(),
            data: if self.local_only { DataPolicy::LocalOnly } else { DataPolicy::Any },
        };
        Ok((self.name, spec))
    }
}

impl Rm {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let path = format!("/v1/routes/{}", segment(&self.name));
        let call = match find(&client, &path).await? {
            Some(standing) if standing.meta.owner != Owner::Env => {
                Call::new(Method::DELETE, path).if_match(standing.meta.resource_version.0)
            }
            _ => Call::new(Method::DELETE, format!("/v1/ephemeral-routes/{}", segment(&self.name))),
        };
        let revision = client.change(call).await?.revision();
        let document = serde_json::json!({ "name": self.name, "revision": revision });
        context.output.result(&document, || format!("{} is removed", self.name));
        Ok(())
    }
}

async fn find(client: &Client, path: &str) -> Result<Option<RouteView>, Failure> {
    match client.get(path).await {
        Ok(view) => Ok(Some(view)),
        Err(failure) if failure.exit() == Exit::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// `PROVIDER:MODEL`, with `@N` behind it for a weight.
fn endpoint(text: &str) -> Result<RouteEndpoint, Failure> {
    let (place, weight) = match text.rsplit_once('@') {
        Some((place, weight)) if weight.bytes().all(|byte| byte.is_ascii_digit()) => {
            (place, weight.parse().ok().filter(|weight| *weight > 0))
        }
        _ => (text, Some(1)),
    };
    let parts =
        place.split_once(':').filter(|(provider, model)| !provider.is_empty() && !model.is_empty());
    let (Some((provider, model)), Some(weight)) = (parts, weight) else {
        return Err(Failure::usage(format!("`{text}` is not an endpoint")).hint(
            "write it as PROVIDER:MODEL, or PROVIDER:MODEL@WEIGHT with a weight of 1 or more",
        ));
    };
    Ok(RouteEndpoint {
        provider: provider.to_owned(),
        model: model.to_owned(),
        account: None,
        base_url: None,
        weight,
    })
}

fn row(route: &RouteView) -> Vec<String> {
    let endpoints: Vec<_> = route
        .spec
        .endpoints
        .iter()
        .map(|endpoint| match endpoint.weight {
            1 => format!("{}:{}", endpoint.provider, endpoint.model),
            weight => format!("{}:{}@{weight}", endpoint.provider, endpoint.model),
        })
        .collect();
    let from = match route.meta.owner {
        Owner::File => "bitrouter.yaml",
        Owner::Api => "added",
        Owner::Env => "ephemeral",
    };
    vec![
        route.name.clone(),
        endpoints.join("\n"),
        text::name_of(&route.spec.strategy),
        from.to_owned(),
    ]
}

/// The plan, as people read it.
fn plan_text(plan: &PlanView) -> String {
    let route = plan.route.as_ref().map(|route| format!(", route {route}")).unwrap_or_default();
    let order = Some(&plan.strategy).filter(|strategy| !strategy.is_empty());
    let order = order.map(|strategy| format!(", ordered by {strategy}")).unwrap_or_default();
    let mut lines = vec![format!("{}{route}{order}:", plan.model)];
    lines.extend(plan.candidates.iter().enumerate().map(|(index, it)| line(index + 1, it)));
    lines.extend(plan.problem.iter().map(|problem| format!("  {problem}")));
    lines.extend(text::left_out(&plan.left_out));
    lines.join("\n")
}

fn line(place: usize, candidate: &CandidateView) -> String {
    let account = candidate.account.as_ref().map(|label| format!(" ({label})"));
    format!(
        "  {place}. {}:{}{} in {} at {}\n     {}",
        candidate.provider,
        candidate.model,
        account.unwrap_or_default(),
        candidate.dialect,
        candidate.base_url,
        candidate.reason
    )
}

impl From<ClientDialect> for Dialect {
    fn from(dialect: ClientDialect) -> Self {
        match dialect {
            ClientDialect::ChatCompletions => Self::ChatCompletions,
            ClientDialect::Responses => Self::Responses,
            ClientDialect::Messages => Self::Messages,
            ClientDialect::GenerateContent => Self::GenerateContent,
        }
    }
}

impl From<StrategyName> for Strategy {
    fn from(strategy: StrategyName) -> Self {
        match strategy {
            StrategyName::Priority => Self::Priority,
            StrategyName::LoadBalance => Self::LoadBalance,
            StrategyName::LeastBusy => Self::LeastBusy,
            StrategyName::LowestLatency => Self::LowestLatency,
            StrategyName::LowestCost => Self::LowestCost,
            StrategyName::LocalFirst => Self::LocalFirst,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_with_their_weights() {
        let cases = [
            ("openai:gpt-4o", Some(("openai", "gpt-4o", 1))),
            ("ollama:llama3.1:8b", Some(("ollama", "llama3.1:8b", 1))),
            ("azure:gpt-4o@3", Some(("azure", "gpt-4o", 3))),
            ("vertex:claude@20250514", Some(("vertex", "claude", 20_250_514))),
            ("x:m@latest", Some(("x", "m@latest", 1))),
            ("x:m@0", None),
            ("gpt-4o", None),
            (":m", None),
            ("x:", None),
        ];
        for (text, expected) in cases {
            let read = endpoint(text).ok();
            let read = read.as_ref().map(|it| (it.provider.as_str(), it.model.as_str(), it.weight));
            assert_eq!(read, expected, "{text}");
        }
    }
}
