//! `start`, `stop`, `restart`, `reload`: a bitrouter in the background.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser as _};

use super::Context;
use super::serve::ServeOptions;
use crate::all_in_one;
use crate::args::{Cli, Command, Globals};
use crate::client::Client;
use crate::daemon::{self, Launch};
use crate::failure::Failure;
use crate::home::{Environment, Places};
use crate::installation::Installation;
use crate::process::{Process, ReloadRequest, Reloaded, StopRequest, Stopping};

/// What ending takes beside the drain: storing the last usage, closing the database.
const WIND_UP: Duration = Duration::from_secs(10);

/// Serve in the background.
///
/// Returns when it serves, or says why it does not. It logs to logs/bitrouter.log in the home; its
/// process number and control socket are in run/.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  bitrouter start
  bitrouter start --listen 127.0.0.1:9000 --no-discovery")]
pub(crate) struct Start {
    #[command(flatten)]
    options: ServeOptions,
}

/// Stop the running bitrouter; requests that are under way may end.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  bitrouter stop
  bitrouter stop --drain 0     at once; streams break off")]
pub(crate) struct Stop {
    /// How long requests that are under way may take to end, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    drain: u32,
}

/// Stop the bitrouter in the background and start it again as it was started.
///
/// Takes a new program version and a changed `server` section into use. What else is in
/// bitrouter.yaml is taken into use by `reload`, without interruption. Starts one if none runs. What
/// would not start is said first, and the running one goes on. The new one has the environment of this
/// command: provider keys that `reload` handed over are forgotten unless they are in it or in .env.
#[derive(Args, Debug)]
pub(crate) struct Restart {
    /// How long requests that are under way may take to end, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    drain: u32,
}

/// Take the changed bitrouter.yaml, .env and provider keys into use, without interruption.
///
/// Provider keys and base URLs in the environment of this command (`OPENAI_API_KEY`, ...) are handed
/// to the running bitrouter where they differ from its own. A config with problems changes nothing:
/// all of them are listed, and the configuration in force stays. SIGHUP does the same, without the
/// keys.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  bitrouter reload
  OPENAI_API_KEY=sk-new... bitrouter reload     change a key")]
pub(crate) struct Reload {}

impl Start {
    /// Does it.
    pub(crate) fn run(self, context: &Context) -> Result<(), Failure> {
        if daemon::is_alive(&context.places) {
            let at = daemon::running(&context.places)
                .map(|running| format!(" (process {}) on {}", running.pid, running.listen))
                .unwrap_or_default();
            return Err(Failure::failed(format!("bitrouter already runs{at}"))
                .kind("already_running")
                .hint("use `bitrouter reload`, `restart` or `stop`"));
        }
        let mut args = vec!["serve".to_owned(), "--detached".to_owned()];
        args.extend(self.options.to_args());
        args.extend(globals_as_args(&context.globals));
        launch(context, &Launch { args, cwd: context.env.cwd.clone() })
    }
}

impl Stop {
    /// Does it.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        context.only_here()?;
        let pid = stop(context, self.drain).await?;
        context.output.result(&Stopped { pid }, || format!("process {pid} has ended"));
        Ok(())
    }
}

/// What `stop` shows.
#[derive(Debug, serde::Serialize)]
struct Stopped {
    pid: u32,
}

impl Restart {
    /// Does it.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        context.only_here()?;
        let known = daemon::running(&context.places).zip(daemon::launched(&context.places));
        let Some((running, launched)) = known else {
            return Start { options: ServeOptions::default() }.run(context);
        };
        if !running.detached {
            return Err(Failure::refused(format!(
                "process {} runs in the foreground, started by something else",
                running.pid
            ))
            .hint("restart it where it was started; `bitrouter reload` works from here"));
        }
        check(context, &launched).map_err(|mut failure| {
            failure.message.push_str("\nthe running bitrouter was not stopped");
            failure
        })?;
        stop(context, self.drain).await?;
        launch(context, &launched)
    }
}

/// Fails if what was started so would not start now.
fn check(context: &Context, launched: &Launch) -> Result<(), Failure> {
    let words = std::iter::once("bitrouter").chain(launched.args.iter().map(String::as_str));
    let cli = Cli::try_parse_from(words).map_err(|_| {
        Failure::failed("this version does not understand the flags it was started with")
            .hint("`bitrouter stop`, and `bitrouter start` with the flags of this version")
    })?;
    let Some(Command::Serve(serve)) = cli.command else { return Ok(()) };
    let env = Environment { vars: context.env.vars.clone(), cwd: launched.cwd.clone() };
    let places = Places::find(&cli.globals, &env)?;
    let clock = context.clock.clone();
    let next = Context { globals: cli.globals, env, places, output: context.output, clock };
    all_in_one::check(&next, &serve.options)
}

impl Reload {
    /// Does it.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        context.only_here()?;
        let client = Client::local(&context.places);
        let process: Process = client.get("/v1/process").await?;
        let mut names = process.env_names;
        names.extend(on_disk(context, process.running.config)?);
        let env = names
            .into_iter()
            .filter_map(|name| context.env.var(&name).map(|value| (name.clone(), value.to_owned())))
            .collect();
        let reloaded: Reloaded = client.post("/v1/reload", &ReloadRequest { env }).await?;
        for warning in &reloaded.warnings {
            context.output.warn(warning);
        }
        context.output.result(&reloaded, || {
            let mut said = format!("reloaded, revision {}", reloaded.revision);
            if !reloaded.changed_env.is_empty() {
                said.push_str("; changed: ");
                said.push_str(&reloaded.changed_env.join(", "));
            }
            said
        });
        Ok(())
    }
}

/// The variables that the changed files speak of, which the running process has not read yet. Files
/// with problems speak of none: they are refused anyway.
fn on_disk(context: &Context, config: Option<PathBuf>) -> Result<BTreeSet<String>, Failure> {
    let mut places = context.places.clone();
    if let Some(config) = config {
        places.config = config;
    }
    Installation::new(places, &context.env).env_names()
}

fn launch(context: &Context, launch: &Launch) -> Result<(), Failure> {
    let running = daemon::start_detached(&context.places, launch)?;
    context.output.result(&running, || {
        format!("bitrouter serves on {} (process {})", running.traffic_url(), running.pid)
    });
    context.output.aside(&format!(
        "home {}, log {}",
        running.home.display(),
        daemon::log_path(&context.places).display()
    ));
    Ok(())
}

/// Asks the running process to end, over its socket or else by a signal, and waits until it has.
async fn stop(context: &Context, drain_s: u32) -> Result<u32, Failure> {
    if !daemon::is_alive(&context.places) {
        return Err(Failure::unreachable(format!(
            "no bitrouter runs for {}",
            context.places.home.display()
        ))
        .kind("not_running"));
    }
    let request = StopRequest { drain_s: Some(drain_s) };
    let asked: Result<Stopping, _> =
        Client::local(&context.places).post("/v1/stop", &request).await;
    let pid = match asked {
        Ok(stopping) => stopping.pid,
        Err(_) => daemon::terminate(&context.places)?,
    };
    let within = Duration::from_secs(u64::from(drain_s)) + WIND_UP;
    if daemon::gone(&context.places, within).await {
        return Ok(pid);
    }
    Err(Failure::failed(format!("process {pid} was told to end and has not, after {within:?}"))
        .hint(format!("look at its log, or end it with `kill -9 {pid}`: no record is lost by it")))
}

/// The flags as they were given, so that the process in the background sees the same
/// installation.
fn globals_as_args(globals: &Globals) -> Vec<String> {
    let paths = [
        ("--home-dir", &globals.home_dir),
        ("--config", &globals.config),
        ("--env-file", &globals.env_file),
        ("--run-dir", &globals.run_dir),
        ("--logs-dir", &globals.logs_dir),
        ("--socket", &globals.socket),
    ];
    let mut args = Vec::new();
    for (flag, path) in paths {
        args.extend(path.iter().map(|path| format!("{flag}={}", path.display())));
    }
    args.extend(globals.db.iter().map(|url| format!("--db={url}")));
    args.extend(std::iter::repeat_n("-v".to_owned(), usize::from(globals.verbose)));
    args.extend(globals.quiet.then(|| "-q".to_owned()));
    args.push("--json".to_owned());
    args
}
