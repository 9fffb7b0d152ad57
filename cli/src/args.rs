//! The command line as clap reads it. Its help texts are the documentation: `docs/cli.md` is made
//! from them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    apply, audit, backup, config, daemon, demo, init, key, models, providers, requests, route,
    serve, status, usage, why,
};

/// One endpoint in front of every model source, for agents.
///
/// Without a command, bitrouter serves: it listens on 127.0.0.1:4356, takes the provider keys that
/// it finds in the environment and the model servers that it finds on this machine, and routes
/// requests of the OpenAI, Anthropic and Gemini dialects to them. No config file is needed.
#[derive(Debug, Parser)]
#[command(
    name = "bitrouter",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_long_help = "Examples:
  OPENAI_API_KEY=sk-... bitrouter        serve in the foreground
  bitrouter start                        serve in the background
  bitrouter demo                         see what it does; needs nothing
  bitrouter route gpt-4o                 where a request would go, and why

Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 refused, 5 unreachable."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Flags that every command takes.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// The home directory. Default: the current directory if it holds bitrouter.yaml, else
    /// `$BITROUTER_HOME` if that exists, else ~/.bitrouter.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) home_dir: Option<PathBuf>,
    /// The config file. Default: bitrouter.yaml in the home. Does not move the home.
    #[arg(short, long, global = true, visible_alias = "config-file", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Variables to load beside the process environment, which wins. Default: .env in the home.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
    /// Where the process number and the control socket are. Default: run/ in the home.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) run_dir: Option<PathBuf>,
    /// Where log files go. Default: logs/ in the home.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) logs_dir: Option<PathBuf>,
    /// The database, as `sqlite://PATH` or `postgres://...`. Default: `$BITROUTER_DATABASE_URL`, then
    /// database.url in the config, then bitrouter.db in the home.
    #[arg(long, global = true, visible_alias = "database-url", value_name = "URL")]
    pub(crate) db: Option<String>,
    /// The control socket. Default: run/bitrouter.sock in the home.
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// The admin API of a control plane elsewhere, as `http://HOST:PORT` or `https://...`; its token
    /// is read from `$BITROUTER_ADMIN_KEY`. Default: the control socket on this machine.
    #[arg(long, global = true, value_name = "URL", env = "BITROUTER_SERVER")]
    pub(crate) server: Option<String>,
    /// PEM certificates that `--server https://...` is trusted by, besides the well-known ones.
    /// Default: `$SSL_CERT_FILE`.
    #[arg(long, global = true, value_name = "FILE", env = "BITROUTER_CA")]
    pub(crate) ca: Option<PathBuf>,
    /// Print one JSON document on standard output, errors included.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say only what was asked for, and what went wrong.
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Log more; twice, still more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// No colours. `$NO_COLOR` does the same.
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(serve::Serve),
    Start(daemon::Start),
    Stop(daemon::Stop),
    Restart(daemon::Restart),
    Reload(daemon::Reload),
    Status(status::Status),
    Init(init::Init),
    #[command(subcommand)]
    Config(config::Config),
    #[command(subcommand)]
    Providers(providers::Providers),
    Models(models::Models),
    Route(route::Route),
    #[command(subcommand)]
    Key(key::Key),
    Usage(usage::Usage),
    Requests(requests::Requests),
    Why(why::Why),
    Audit(audit::Audit),
    Apply(apply::Apply),
    Backup(backup::Backup),
    Restore(backup::Restore),
    Demo(demo::Demo),
    Completions(Completions),
}

/// Print a completion script for a shell.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  bitrouter completions bash > ~/.local/share/bash-completion/completions/bitrouter
  bitrouter completions zsh > \"${fpath[1]}/_bitrouter\"
  bitrouter completions fish > ~/.config/fish/completions/bitrouter.fish")]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

impl Completions {
    /// The script.
    pub(crate) fn script(&self) -> String {
        let mut script = Vec::new();
        let mut command = <Cli as clap::CommandFactory>::command();
        clap_complete::generate(self.shell, &mut command, "bitrouter", &mut script);
        String::from_utf8_lossy(&script).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// The committed document, from this package's directory.
    const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "`{}` has no help", command.get_name());
            for argument in command.get_arguments() {
                let has_help = argument.get_help().is_some() || argument.get_long_help().is_some();
                assert!(
                    has_help,
                    "`{}` of `{}` has no help",
                    argument.get_id(),
                    command.get_name()
                );
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    /// The examples are indented text in the terminal; in Markdown they are code.
    fn fence_examples(markdown: &str) -> String {
        let (mut made, mut is_fenced) = (String::new(), false);
        for line in markdown.trim_end().lines() {
            if is_fenced && !line.starts_with("  ") {
                made.push_str("```\n");
                is_fenced = false;
            }
            made.push_str(line.strip_prefix("  ").filter(|_| is_fenced).unwrap_or(line));
            made.push('\n');
            if line == "Examples:" || line == "Example:" {
                made.push_str("\n```sh\n");
                is_fenced = true;
            }
        }
        made
    }

    #[test]
    fn the_document_is_what_the_commands_say() {
        let options = clap_markdown::MarkdownOptions::new()
            .title("The command line".to_owned())
            .show_footer(false);
        let made = fence_examples(&clap_markdown::help_markdown_custom::<Cli>(&options));
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs")).unwrap();
            std::fs::write(DOCUMENT, &made).unwrap();
        }
        let kept = std::fs::read_to_string(DOCUMENT).unwrap_or_default();
        assert!(
            kept == made,
            "docs/cli.md is not what the commands say; regenerate it with\n  \
             UPDATE_DOCS=1 cargo test -p bitrouter --bin bitrouter the_document"
        );
    }
}
