//! `serve`: both planes in this process, in the foreground.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use bitrouter_runtime::telemetry::{Format, Telemetry};
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Context;
use crate::all_in_one::AllInOne;
use crate::failure::{Doing as _, Failure};
use crate::{announce, daemon};

/// Serve model traffic in the foreground until interrupted.
///
/// Listens on 127.0.0.1:4356 and needs no config file: provider keys in the environment
/// (`OPENAI_API_KEY`, `ANTHROPIC_API_KEY`, `GEMINI_API_KEY`, ...) and model servers on
/// this machine (Ollama, LM Studio, vLLM, llama.cpp) are routable at once. SIGTERM and SIGINT let
/// requests that are under way end, for up to 30 seconds; SIGHUP reloads.
#[derive(Args, Clone, Debug, Default)]
#[command(after_long_help = "Examples:
  OPENAI_API_KEY=sk-... bitrouter serve
  curl localhost:4356/v1/chat/completions \\
    -d '{\"model\":\"openai:gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}'
  bitrouter serve -c ./bitrouter.yaml --listen 127.0.0.1:8000")]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) options: ServeOptions,
    /// Leave the terminal's session: this is what `start` starts.
    #[arg(long, hide = true)]
    pub(crate) detached: bool,
}

/// How to serve.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ServeOptions {
    /// Where model traffic is served; port 0 lets the system choose one. Default: server.listen in
    /// the config, then 127.0.0.1:4356.
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// Where the admin API is served, beside the control socket. Default: 127.0.0.1:4357.
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin_listen: Option<SocketAddr>,
    /// Do not look for model servers on their usual ports of this machine.
    #[arg(long)]
    pub(crate) no_discovery: bool,
    /// Look for a model server of any kind on this port of this machine too. May be repeated.
    #[arg(long, value_name = "PORT")]
    pub(crate) discover: Vec<u16>,
    /// Serve beyond this machine without asking for keys: for use behind a proxy that does.
    #[arg(long)]
    pub(crate) allow_open: bool,
    /// Serve although the config asks for protection that this version does not give.
    #[arg(long)]
    pub(crate) accept_inactive: bool,
}

impl ServeOptions {
    /// As they are written on a command line.
    pub(crate) fn to_args(&self) -> Vec<String> {
        let mut args = Vec::new();
        for (flag, address) in [("--listen", self.listen), ("--admin-listen", self.admin_listen)] {
            args.extend(address.map(|address| format!("{flag}={address}")));
        }
        args.extend(self.discover.iter().map(|port| format!("--discover={port}")));
        for (flag, is_given) in [
            ("--no-discovery", self.no_discovery),
            ("--allow-open", self.allow_open),
            ("--accept-inactive", self.accept_inactive),
        ] {
            args.extend(is_given.then(|| flag.to_owned()));
        }
        args
    }
}

impl Serve {
    /// Does it.
    pub(crate) fn run(self, context: &Context) -> Result<(), Failure> {
        if self.detached {
            daemon::new_session()?;
        }
        daemon::keep_files_private();
        let telemetry =
            Telemetry::init(log_level(context), Format::Auto).doing("set up logging")?;
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .doing("start the runtime")?
            .block_on(Box::pin(self.serve(context, &telemetry)))
    }

    async fn serve(self, context: &Context, telemetry: &Telemetry) -> Result<(), Failure> {
        // From here on a signal ends it in order.
        let mut signals = Signals::listen()?;
        let router = AllInOne::start(context, &self.options, self.detached).await?;
        take_level(context, telemetry, &router);
        announce(context, &router);
        let patience = until_stopped(context, telemetry, &router, &mut signals).await;
        context.output.note("bitrouter ends; requests that are under way may finish");
        tokio::select! {
            ended = router.stop(patience) => ended,
            () = signals.end() => Err(Failure::failed("ended at once, as was asked a second time")),
        }
    }
}

/// Serves until a signal or the admin API ends it; says how long requests under way may take.
async fn until_stopped(
    context: &Context,
    telemetry: &Telemetry,
    router: &AllInOne,
    signals: &mut Signals,
) -> Duration {
    let mut looked_around = pin!(router.looked_around());
    let mut has_looked = false;
    loop {
        tokio::select! {
            biased;
            () = &mut looked_around, if !has_looked => {
                has_looked = true;
                say_what_was_found(context, router);
            }
            patience = router.stop_asked() => return patience,
            said = signals.next() => match said {
                Said::End => return router.patience(),
                Said::Reload => reload(context, telemetry, router).await,
            }
        }
    }
}

async fn reload(context: &Context, telemetry: &Telemetry, router: &AllInOne) {
    match router.reload().await {
        Ok(reloaded) => {
            take_level(context, telemetry, router);
            for warning in &reloaded.warnings {
                context.output.warn(warning);
            }
            context.output.note(&format!("reloaded, revision {}", reloaded.revision));
        }
        Err(failure) => context.output.warn(&failure.message),
    }
}

fn announce(context: &Context, router: &AllInOne) {
    let running = router.running();
    context.output.machine_line(running);
    context.output.note(&announce::listening(running, &context.places, router.skips_auth()));
    for line in announce::sources(&router.document()) {
        context.output.note(&line);
    }
}

/// When this machine has been looked over.
fn say_what_was_found(context: &Context, router: &AllInOne) {
    let document = router.document();
    if document.providers.iter().any(|provider| announce::is_active(&provider.spec)) {
        for server in router.discovered() {
            context.output.note(&format!("  found      {server}"));
        }
        return;
    }
    context.output.note(&announce::nothing_to_serve(&context.places, router.scan()));
}

/// What -v and -q ask for; the config's level applies where neither is given.
fn log_level(context: &Context) -> &'static str {
    match (context.globals.verbose, context.globals.quiet) {
        (0, true) => "error",
        (0, false) => "warn",
        (1, _) => "info",
        (2, _) => "debug",
        _ => "trace",
    }
}

fn take_level(context: &Context, telemetry: &Telemetry, router: &AllInOne) {
    let is_given = context.globals.verbose > 0 || context.globals.quiet;
    let declared = router.document().server.log_level.filter(|_| !is_given);
    let level = declared.map_or_else(|| log_level(context), |level| level.as_str());
    if let Err(error) = telemetry.set_level(level) {
        context.output.warn(&error.to_string());
    }
}

/// What the system tells the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let on = |kind| signal(kind).doing("listen for signals");
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hang_up: on(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Said {
        tokio::select! {
            _ = self.terminate.recv() => Said::End,
            _ = self.interrupt.recv() => Said::End,
            _ = self.hang_up.recv() => Said::Reload,
        }
    }

    /// Waits for a wish to end; others are not heard any more.
    async fn end(&mut self) {
        while !matches!(self.next().await, Said::End) {}
    }
}

/// What a signal stands for.
enum Said {
    End,
    Reload,
}
