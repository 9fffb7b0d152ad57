//! `demo`: what bitrouter does, with nothing but this program.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use bitrouter_control_plane::api::types::{
    List, MintRequest, Minted, RequestDetail, RequestRow, Revoked, UsageReport,
};
use bitrouter_runtime::tasks::Tasks;
use clap::Args;

use super::serve::ServeOptions;
use super::{Context, usage, why};
use crate::all_in_one::AllInOne;
use crate::args::Globals;
use crate::client::{Client, segment};
use crate::demo::agent::{Agent, Reply};
use crate::demo::provider::{self, ANSWER, Behaviour};
use crate::demo::{self, Scene};
use crate::failure::{Doing as _, Failure};
use crate::home::{CONFIG_FILE, Environment, Places};
use crate::output;

/// How often records are looked for, and how long between.
const LOOKS: u32 = 200;
const LOOK: Duration = Duration::from_millis(20);
/// How long anything may take to end.
const PATIENCE: Duration = Duration::from_secs(2);
/// The requests that were sent; the refused one is recorded too.
const SENT: usize = 4;

/// Show what bitrouter does, in a few seconds and without any key or server.
///
/// Starts the router with providers that are built in for this, in a directory of its own, sends a
/// request, lets a provider fail, streams an answer, revokes a key, and shows usage and reasons. It
/// touches nothing else and leaves nothing behind.
#[derive(Args, Debug)]
pub(crate) struct Demo {}

/// Shows it.
pub(crate) fn run(context: &Context) -> Result<(), Failure> {
    let home = tempfile::Builder::new()
        .prefix("bitrouter-demo-")
        .tempdir()
        .doing("make a directory for the demo")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .doing("start the runtime")?;
    let shown = runtime.block_on(Box::pin(play(context, home.path())));
    // Whatever came of it, nothing is left behind.
    runtime.shutdown_timeout(Duration::from_secs(1));
    home.close().doing("remove the demo's directory")?;
    let scenes = shown?;
    if context.output.is_json() {
        context.output.result(&serde_json::json!({ "scenes": scenes }), String::new);
    }
    Ok(())
}

/// Everything that runs for the demo.
struct Stage {
    router: AllInOne,
    client: Client,
    tasks: Tasks,
}

async fn play(context: &Context, home: &Path) -> Result<Vec<Scene>, Failure> {
    let stage = Box::pin(set_up(context, home)).await?;
    let scenes = Script { context, stage: &stage, scenes: Vec::new() }.run().await;
    stage.router.stop(PATIENCE).await?;
    stage.tasks.finish(PATIENCE).await;
    scenes
}

async fn set_up(context: &Context, home: &Path) -> Result<Stage, Failure> {
    let tasks = Tasks::default();
    let shaky = provider::start(Behaviour::IsOverloaded, &tasks).await.doing("start a provider")?;
    let steady = provider::start(Behaviour::Answers, &tasks).await.doing("start a provider")?;
    std::fs::write(home.join(CONFIG_FILE), demo::config(shaky, steady))
        .doing("write its config")?;
    let globals = Globals { home_dir: Some(home.to_owned()), ..Globals::default() };
    // Nothing of the caller's environment: neither keys nor proxies.
    let env = Environment { cwd: home.to_owned(), ..Environment::default() };
    let places = Places::find(&globals, &env)?;
    let any_port = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let options = ServeOptions {
        listen: any_port,
        admin_listen: any_port,
        no_discovery: true,
        ..ServeOptions::default()
    };
    let own =
        Context { globals, env, places, output: context.output, clock: context.clock.clone() };
    let router = AllInOne::start(&own, &options, false).await?;
    let client = Client::local(&own.places);
    Ok(Stage { router, client, tasks })
}

/// Shows one thing after the other.
struct Script<'a> {
    context: &'a Context,
    stage: &'a Stage,
    scenes: Vec<Scene>,
}

impl Script<'_> {
    async fn run(mut self) -> Result<Vec<Scene>, Failure> {
        let running = self.stage.router.running();
        self.say(&format!(
            "bitrouter serves on {}, with two providers made for this:\n\
             `shaky` is always overloaded, `steady` answers; `smart` is a name for both, shaky first.",
            running.traffic_url()
        ));
        self.say("\n# A key for an agent, which never sees a provider's key\n$ bitrouter key sign --user demo");
        let request = MintRequest { user: "demo".to_owned(), ..MintRequest::default() };
        let minted: Minted = self.stage.client.make("/v1/keys", &request).await?;
        self.say(&format!("brvk_…{} ({})", minted.view.last4, minted.view.id));
        let agent =
            Agent { router: running.listen, key: minted.key, clock: self.context.clock.clone() };
        self.request(&agent).await?;
        self.failover(&agent).await?;
        self.stream(&agent).await?;
        self.refusal(&agent, &minted.view.id).await?;
        self.records().await?;
        self.say("\nThat was all; nothing is left behind. Next: `bitrouter serve`");
        Ok(self.scenes)
    }

    async fn request(&mut self, agent: &Agent) -> Result<(), Failure> {
        self.say(
            "\n# A request\n$ curl /v1/chat/completions -d '{\"model\":\"steady:parrot\",...}'",
        );
        let reply = agent.ask("steady:parrot", false).await?;
        expect("a request", reply.status == 200 && reply.text == ANSWER, &reply)?;
        self.say_reply(&reply);
        self.keep("a request", "steady:parrot", &reply);
        Ok(())
    }

    async fn failover(&mut self, agent: &Agent) -> Result<(), Failure> {
        self.say("\n# A failover: the first provider fails, the agent does not notice\n$ curl /v1/chat/completions -d '{\"model\":\"smart\",...}'");
        let reply = agent.ask("smart", false).await?;
        let is_good = reply.status == 200
            && reply.text == ANSWER
            && reply.header("x-bitrouter-provider") == "steady"
            && reply.header("x-bitrouter-attempts") == "2";
        expect("a failover", is_good, &reply)?;
        self.say_reply(&reply);
        self.keep("a failover", "smart", &reply);
        Ok(())
    }

    async fn stream(&mut self, agent: &Agent) -> Result<(), Failure> {
        self.say("\n# A streamed answer\n$ curl -N /v1/chat/completions -d '{\"model\":\"steady:parrot\",\"stream\":true,...}'");
        let reply = agent.ask("steady:parrot", true).await?;
        let is_good = reply.status == 200 && reply.text == ANSWER && reply.pieces > 1;
        expect("a streamed answer", is_good, &reply)?;
        self.say_reply(&reply);
        self.say(&format!(
            "in {} pieces, the first after {} ms, the last after {} ms",
            reply.pieces,
            reply.first.as_millis(),
            reply.whole.as_millis()
        ));
        self.keep("a streamed answer", "steady:parrot", &reply);
        Ok(())
    }

    async fn refusal(&mut self, agent: &Agent, key: &str) -> Result<(), Failure> {
        self.say(&format!("\n# A refused key\n$ bitrouter key revoke {key}"));
        let path = format!("/v1/keys/{}/revoke", segment(key));
        let revoked: Revoked = self.stage.client.make(&path, &serde_json::json!({})).await?;
        self.say(&format!(
            "{} is revoked\n$ curl /v1/chat/completions -d '{{\"model\":\"smart\",...}}'",
            revoked.view.id
        ));
        let reply = agent.ask("smart", false).await?;
        expect("a refused key", reply.status == 401, &reply)?;
        self.say_reply(&reply);
        self.keep("a refused key", "smart", &reply);
        Ok(())
    }

    /// Usage, and the reasons of each request that has a record.
    async fn records(&self) -> Result<(), Failure> {
        let rows = self.recorded(SENT).await?;
        self.say("\n# What it cost\n$ bitrouter usage");
        let report: UsageReport = self.stage.client.get("/v1/usage").await?;
        if report.total.requests < u64::try_from(SENT).unwrap_or(u64::MAX) {
            return Err(unexpected("the usage", "it does not count every request"));
        }
        self.say(&usage::table_of(&report));
        for row in rows.iter().rev() {
            self.say(&format!("\n$ bitrouter why {}", row.id));
            let path = format!("/v1/requests/{}", segment(&row.id));
            let detail: RequestDetail = self.stage.client.get(&path).await?;
            self.say(why::story(&detail).trim_end());
        }
        Ok(())
    }

    /// Records arrive a moment after their requests.
    async fn recorded(&self, wanted: usize) -> Result<Vec<RequestRow>, Failure> {
        let mut rows = Vec::new();
        for _ in 0..LOOKS {
            rows = self.stage.client.get::<List<RequestRow>>("/v1/requests").await?.items;
            if rows.len() >= wanted {
                return Ok(rows);
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(unexpected("the records", &format!("{} of {wanted} have arrived", rows.len())))
    }

    fn keep(&mut self, title: &'static str, model: &str, reply: &Reply) {
        self.scenes.push(Scene {
            title,
            model: model.to_owned(),
            status: reply.status.as_u16(),
            answer: reply.text.clone(),
            request_id: reply.header("x-bitrouter-request-id").to_owned(),
        });
    }

    fn say_reply(&self, reply: &Reply) {
        self.say(&format!("{} {}", reply.status.as_u16(), reply.text));
        let known = [
            "x-bitrouter-provider",
            "x-bitrouter-model",
            "x-bitrouter-attempts",
            "x-bitrouter-cost-usd",
        ];
        let shown: Vec<_> = known
            .iter()
            .filter(|name| !reply.header(name).is_empty())
            .map(|name| format!("{name}: {}", reply.header(name)))
            .collect();
        if !shown.is_empty() {
            self.say(&shown.join(", "));
        }
    }

    /// The transcript; programs get the scenes instead.
    fn say(&self, text: &str) {
        if !self.context.output.is_json() {
            output::verbatim(text);
        }
    }
}

fn expect(what: &str, is_good: bool, reply: &Reply) -> Result<(), Failure> {
    if is_good {
        return Ok(());
    }
    Err(unexpected(what, &format!("{} {}", reply.status, reply.text)))
}

fn unexpected(what: &str, seen: &str) -> Failure {
    Failure::failed(format!("the demo is not as it should be: {what}: {seen}")).kind("demo_failed")
}
