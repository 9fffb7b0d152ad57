//! Measures gateways: a stand-in upstream that answers at once, and a load generator that puts any
//! HTTP endpoint through the same runs. `bench/run.py` pins both and the gateway to cores.

mod clock;
mod http1;
mod load;
mod stats;
mod upstream;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures gateways.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answers Chat Completions requests at once, whole or streamed.
    Upstream(upstream::Arguments),
    /// Sends requests and prints one JSON object of figures.
    Load(load::Arguments),
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match arguments.command {
        Command::Upstream(arguments) => runtime.block_on(upstream::serve(arguments)),
        Command::Load(arguments) => runtime.block_on(load::run(arguments)),
    }
}
