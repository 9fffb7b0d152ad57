//! `init`: a config file to start from.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::Context;
use crate::failure::{Doing as _, Failure};
use crate::home::{CONFIG_FILE, private_dir, write_private};

/// Write a commented bitrouter.yaml to start from.
///
/// Goes to the current directory, which thereby becomes a home; or to the file named with -c, or to
/// the home named with --home-dir or `$BITROUTER_HOME`. An existing file is only overwritten with
/// --yes.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  bitrouter init
  bitrouter init -c /etc/bitrouter/bitrouter.yaml")]
pub(crate) struct Init {
    /// Overwrite an existing file without asking.
    #[arg(long, short)]
    yes: bool,
}

/// What `init` shows.
#[derive(Debug, Serialize)]
struct Written {
    config: PathBuf,
}

impl Init {
    /// Does it.
    pub(crate) fn run(self, context: &Context) -> Result<(), Failure> {
        let path = target(context);
        if fs::exists(&path).doing(format_args!("look at {}", path.display()))? {
            let question = format!("{} is there already. Overwrite it?", path.display());
            context.output.confirm(&question, self.yes)?;
        }
        if let Some(dir) = path.parent() {
            private_dir(dir)?;
        }
        write_private(&path, bitrouter_config::starter_file().as_bytes())
            .doing(format_args!("write {}", path.display()))?;
        let written = Written { config: path };
        context.output.result(&written, || format!("wrote {}", written.config.display()));
        context
            .output
            .aside("edit it, check it with `bitrouter config validate`, then `bitrouter serve`");
        Ok(())
    }
}

/// Where the file goes: where somebody said, else here.
fn target(context: &Context) -> PathBuf {
    let places = &context.places;
    let is_home_named =
        context.globals.home_dir.is_some() || context.env.var("BITROUTER_HOME").is_some();
    if places.is_config_named || is_home_named {
        return places.config.clone();
    }
    context.env.cwd.join(CONFIG_FILE)
}
