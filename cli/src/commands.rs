//! The commands, one file each, and what all of them are given.

pub(crate) mod apply;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod config;
pub(crate) mod daemon;
pub(crate) mod demo;
pub(crate) mod init;
pub(crate) mod key;
pub(crate) mod models;
pub(crate) mod providers;
pub(crate) mod requests;
pub(crate) mod route;
pub(crate) mod serve;
pub(crate) mod status;
pub(crate) mod usage;
pub(crate) mod why;

use bitrouter_runtime::Clock;

use crate::args::Globals;
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::home::{Environment, Places};
use crate::output::Output;

/// What every command is given.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) globals: Globals,
    pub(crate) env: Environment,
    pub(crate) places: Places,
    pub(crate) output: Output,
    pub(crate) clock: Clock,
}

impl Context {
    /// Refuses to act on this machine where a server elsewhere was named.
    pub(crate) fn only_here(&self) -> Result<(), Failure> {
        match &self.globals.server {
            Some(server) if !server.is_empty() => Err(Failure::usage(format!(
                "this command acts on this machine, and `{server}` is named"
            ))
            .hint("leave out --server, or unset BITROUTER_SERVER")),
            _ => Ok(()),
        }
    }

    /// The admin API to talk to.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Client::find(&self.globals, &self.places, &self.env)
    }
}

/// Ends a command with exit code 1 after its result was printed, if that is not good.
fn end_with(is_good: bool) -> Result<(), Failure> {
    if is_good { Ok(()) } else { Err(Failure::already_told(Exit::Failed)) }
}
