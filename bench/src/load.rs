//! The load generator: closed loops, fixed rates and streams over keep-alive connections.

mod rate;
mod request;
mod streams;

use std::{cell::Cell, rc::Rc, time::Duration};

use crate::{clock::now_us, http1::Connection, stats::Samples};

/// What to send where.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// `host:port` of the gateway or of the upstream itself.
    #[arg(long)]
    target: String,
    /// The path to post to.
    #[arg(long, default_value = "/v1/chat/completions")]
    path: String,
    /// Sent as `authorization: Bearer`, if given.
    #[arg(long)]
    key: Option<String>,
    /// The model to ask for.
    #[arg(long, default_value = "bench:bench")]
    model: String,
    /// The kind of run.
    #[arg(long, value_enum, default_value = "closed")]
    mode: Mode,
    /// The size of the request.
    #[arg(long, value_enum, default_value = "small")]
    body: request::Size,
    /// How many connections.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// How long to measure, in seconds; a tenth of it goes before as warm-up.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Requests per second (`--mode rate`).
    #[arg(long, default_value_t = 1000)]
    rate: u64,
    /// Pause of the upstream between chunks, in microseconds (`--mode stream` and `hold`).
    #[arg(long, default_value_t = 0)]
    pace_us: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
enum Mode {
    /// Each connection sends the next request when the answer is there.
    Closed,
    /// Requests start at fixed times; latency counts from then.
    Rate,
    /// Each connection streams, one answer after the other.
    Stream,
    /// Opens one slow stream on every connection and holds them all.
    Hold,
}

/// Runs and prints one JSON object.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let local = tokio::task::LocalSet::new();
    let figures = local
        .run_until(async {
            match arguments.mode {
                Mode::Closed => closed(&arguments).await,
                Mode::Rate => rate::run(&arguments).await,
                Mode::Stream | Mode::Hold => streams::run(&arguments).await,
            }
        })
        .await?;
    #[expect(clippy::print_stdout, reason = "the figures are the output")]
    {
        println!("{figures}");
    }
    Ok(())
}

/// What the connections of one run share.
#[derive(Debug)]
struct Window {
    starts_us: u64,
    ends_us: u64,
    failed: Cell<u64>,
}

impl Window {
    fn open(seconds: f64) -> Rc<Self> {
        let measured = Duration::from_secs_f64(seconds);
        let starts_us = now_us() + u64::try_from(measured.as_micros() / 10).unwrap_or(0);
        let ends_us = starts_us + u64::try_from(measured.as_micros()).unwrap_or(0);
        Rc::new(Self { starts_us, ends_us, failed: Cell::new(0) })
    }

    fn is_over(&self) -> bool {
        now_us() >= self.ends_us
    }

    fn counts(&self, at_us: u64) -> bool {
        (self.starts_us..self.ends_us).contains(&at_us)
    }

    fn fail(&self) {
        self.failed.set(self.failed.get() + 1);
    }

    fn seconds(&self) -> f64 {
        Duration::from_micros(self.ends_us - self.starts_us).as_secs_f64()
    }
}

async fn closed(arguments: &Arguments) -> anyhow::Result<serde_json::Value> {
    let window = Window::open(arguments.seconds);
    let request = Rc::new(request::build(arguments));
    let mut workers = Vec::new();
    for _ in 0..arguments.connections {
        let (window, request) = (Rc::clone(&window), Rc::clone(&request));
        let mut connection = Connection::open(&arguments.target).await?;
        workers.push(tokio::task::spawn_local(async move {
            let mut samples = Samples::default();
            while !window.is_over() {
                let began = now_us();
                let status = connection.exchange(&request, |_| {}).await?;
                let ended = now_us();
                if status != 200 {
                    window.fail();
                } else if window.counts(ended) {
                    samples.push(ended.saturating_sub(began));
                }
            }
            Ok::<_, std::io::Error>(samples)
        }));
    }
    let mut all = Samples::default();
    for worker in workers {
        all.extend(worker.await??);
    }
    #[expect(clippy::cast_precision_loss, reason = "for people; far below 2^52")]
    let per_second = all.len() as f64 / window.seconds();
    Ok(serde_json::json!({
        "requests_per_second": per_second.round(),
        "failed": window.failed.get(),
        "latency_ms": all.summary(),
    }))
}
