//! The program `bitrouter`: reads the command line and the environment, does the command, and ends
//! with its exit code.

mod all_in_one;
mod announce;
mod args;
mod client;
mod commands;
mod daemon;
mod database;
mod demo;
mod discovery;
mod failure;
mod home;
mod installation;
mod output;
mod process;
mod serving;
mod text;
mod when;

use std::process::ExitCode;

use bitrouter_runtime::Clock;
use clap::Parser as _;
use clap::error::ErrorKind;
use serde_json::json;

use args::{Cli, Command, Globals};
use commands::Context;
use failure::{Doing as _, Exit, Failure};
use home::{Environment, Places};
use output::Output;

/// Gives memory back after a burst, which the system's allocator does not.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_understood(&error),
    };
    let vars = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let cwd = std::env::current_dir().unwrap_or_default();
    let env = Environment { vars, cwd };
    let output = output_of(&cli.globals, &env);
    let done = Places::find(&cli.globals, &env).and_then(|places| {
        let context = Context { globals: cli.globals, env, places, output, clock: Clock::system() };
        run(cli.command, &context)
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.exit() as u8)
        }
    }
}

fn output_of(globals: &Globals, env: &Environment) -> Output {
    Output::new(globals.json, globals.quiet, !globals.no_color && env.var("NO_COLOR").is_none())
}

fn run(command: Option<Command>, context: &Context) -> Result<(), Failure> {
    match command {
        None => commands::serve::Serve::default().run(context),
        Some(Command::Serve(serve)) => serve.run(context),
        Some(Command::Demo(_)) => commands::demo::run(context),
        Some(Command::Start(start)) => start.run(context),
        Some(Command::Init(init)) => init.run(context),
        Some(Command::Completions(completions)) => {
            let script = completions.script();
            if context.output.is_json() {
                let shell = completions.shell.to_string();
                context.output.result(&json!({ "shell": shell, "script": script }), String::new);
            } else {
                output::verbatim(&script);
            }
            Ok(())
        }
        Some(other) => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .doing("start the runtime")?
            .block_on(talk(other, context)),
    }
}

/// Commands that talk to a bitrouter, if one runs.
async fn talk(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Stop(stop) => stop.run(context).await,
        Command::Restart(restart) => restart.run(context).await,
        Command::Reload(reload) => reload.run(context).await,
        Command::Status(status) => status.run(context).await,
        Command::Config(config) => config.run(context).await,
        Command::Providers(providers) => providers.run(context).await,
        Command::Models(models) => models.run(context).await,
        Command::Route(route) => route.run(context).await,
        Command::Key(key) => key.run(context).await,
        Command::Usage(usage) => usage.run(context).await,
        Command::Requests(requests) => requests.run(context).await,
        Command::Why(why) => why.run(context).await,
        Command::Audit(audit) => audit.run(context).await,
        Command::Apply(apply) => apply.run(context).await,
        Command::Backup(backup) => backup.run(context).await,
        Command::Restore(restore) => restore.run(context).await,
        Command::Serve(_)
        | Command::Demo(_)
        | Command::Start(_)
        | Command::Init(_)
        | Command::Completions(_) => Ok(()),
    }
}

/// Help and version are asked for and go to standard output; the rest is an error. With `--json` each
/// of them is a document, as everything else.
fn not_understood(error: &clap::Error) -> ExitCode {
    let wants_json = std::env::args_os().any(|arg| arg == "--json");
    let exit = if error.use_stderr() { Exit::Usage as u8 } else { 0 };
    let output = Output::new(wants_json, false, false);
    if !wants_json {
        let _ = error.print();
    } else if error.use_stderr() {
        output.failure(&misused(error));
    } else if error.kind() == ErrorKind::DisplayVersion {
        output.result(&json!({ "version": env!("CARGO_PKG_VERSION") }), String::new);
    } else {
        output.result(&json!({ "help": error.to_string() }), String::new);
    }
    ExitCode::from(exit)
}

/// What clap says in several paragraphs, as what went wrong and what to do.
fn misused(error: &clap::Error) -> Failure {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Failure::usage("the command needs another word")
            .hint("with --help instead of --json it lists them");
    }
    let text = error.to_string();
    let ends = |line: &&str| line.starts_with("Usage:") || line.starts_with("For more information");
    let lines = text.lines().map(str::trim).take_while(|line| !ends(line));
    let (tips, what): (Vec<_>, Vec<_>) =
        lines.filter(|line| !line.is_empty()).partition(|line| line.starts_with("tip: "));
    let message = what.join(" ");
    let hint = match tips.first() {
        Some(tip) => tip.trim_start_matches("tip: "),
        None => "`bitrouter help` lists the commands",
    };
    Failure::usage(message.trim_start_matches("error: ")).hint(hint)
}
