//! Puts a data plane together, and takes it apart again: wiring only.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use bitrouter_runtime::{
    Clock, Entropy, drain,
    entropy::prepare_handshakes,
    readiness::{Gate, Readiness},
    tls::TlsError,
};
use tokio::runtime;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::transport::Channel;

use crate::{
    admit::Anonymous,
    exchange::{Exchange, Rules},
    front::Front,
    health::Health,
    limits::Limiter,
    metrics::Metrics,
    proxy::{detach::Detached, settle::Books},
    resolve::Turns,
    server::{Server, Tracked},
    settings::Settings,
    spool::{Spool, SpoolError, reporter::report},
    sync::{Tables, client::Follower, follow},
    table::Revision,
    upstream::client::Upstream,
};

/// How long each of the last steps may take once the requests have ended.
const LAST_MOMENTS: Duration = Duration::from_secs(2);

/// Why a data plane cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Somebody else has the address, or it is not this machine's.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address of the settings.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A certificate that providers are to be trusted by is missing or wrong.
    #[error("cannot use {}: {problem}", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The listener's certificate or key is missing or wrong.
    #[error(transparent)]
    Identity(#[from] TlsError),
    /// The client towards providers cannot be built.
    #[error("cannot set up TLS towards providers: {problem}")]
    Client {
        /// What the library said.
        problem: String,
    },
    /// The usage log cannot be opened.
    #[error("cannot open the usage log: {0}")]
    Spool(#[from] SpoolError),
}

/// A data plane that is being put together.
#[derive(Debug)]
pub struct DataPlane;

/// A running data plane. Dropping it does not stop it: [`Handle::drain`] does.
pub struct Handle {
    address: SocketAddr,
    exchange: Arc<Exchange>,
    readiness: Readiness,
    accepting: Gate,
    trigger: drain::Trigger,
    tasks: TaskTracker,
    link: Link,
}

/// The tasks that keep in touch with the control plane.
#[derive(Default)]
struct Link {
    tasks: TaskTracker,
    stop: CancellationToken,
    is_open: bool,
}

impl DataPlane {
    /// Serves, follows the control plane's configuration and reports usage to it. What does not stand
    /// on a request's path runs on `background`.
    pub async fn start(
        settings: Settings,
        channel: Channel,
        clock: Clock,
        entropy: Entropy,
        background: &runtime::Handle,
    ) -> Result<Handle, StartError> {
        let (tables, readiness) = (Tables::default(), Readiness::default());
        let configured = readiness.gate("configuration", "waiting for the control plane");
        let identity = settings.identity.clone();
        let mut handle =
            Self::serve(settings, tables.clone(), readiness, clock.clone(), entropy.clone())
                .await?;
        let link = Link { is_open: true, ..Link::default() };
        let spool = handle.spool().clone();
        let reporting = report(spool.clone(), channel.clone(), entropy.clone(), link.stop.clone());
        link.tasks.spawn_on(reporting, background);
        let follower = Follower { identity, tables: tables.clone(), spool, clock, entropy };
        link.tasks.spawn_on(follow(follower, channel, link.stop.clone()), background);
        let stop = link.stop.clone();
        let opening = async move {
            if stop.run_until_cancelled(tables.configured()).await.is_some() {
                configured.open();
                // After the start, and off the threads that serve.
                let _ = tokio::task::spawn_blocking(prepare_handshakes).await;
            }
        };
        link.tasks.spawn_on(opening, background);
        handle.link = link;
        Ok(handle)
    }

    /// Serves by tables that somebody else keeps current.
    pub async fn serve(
        settings: Settings,
        tables: Tables,
        readiness: Readiness,
        clock: Clock,
        entropy: Entropy,
    ) -> Result<Handle, StartError> {
        let (trigger, watcher) = drain::channel();
        let accepting = readiness.gate("listener", "starting");
        let server = Server::bind(&settings.listen, &settings.limits).await?;
        let spool = open_spool(&settings, &clock, &entropy).await?;
        // Connections to providers are not waited for: they end with the client that holds them.
        let dialled = Tracked::new(TaskTracker::new(), watcher.clone(), Duration::ZERO);
        let upstream = Upstream::new(&settings.outbound, dialled)?;
        let tasks = TaskTracker::new();
        let limits = settings.limits.clone();
        let exchange = Arc::new(Exchange {
            tables,
            health: Health::new(clock.instant()),
            limiter: Limiter::new(clock.instant()),
            turns: Turns::new(entropy.number()),
            upstream,
            detached: Detached::new(limits.max_detached, limits.detached_timeout, tasks.clone()),
            rules: Rules {
                anonymous: if settings.skip_auth { Anonymous::Local } else { Anonymous::Refused },
                limits,
                timeouts: settings.timeouts,
            },
            books: Books { clock, entropy, spool, metrics: Arc::new(Metrics::new()) },
            tasks: tasks.clone(),
            drain: watcher.clone(),
        });
        let address = server.address();
        let front = Front::new(Arc::clone(&exchange), &settings.listen, readiness.clone());
        tasks.spawn(server.run(front, tasks.clone(), watcher));
        accepting.open();
        tracing::info!(listen.address = %address, "serving model traffic");
        let link = Link::default();
        Ok(Handle { address, exchange, readiness, accepting, trigger, tasks, link })
    }
}

/// Opening reads what the last process left: off the threads that serve.
async fn open_spool(
    settings: &Settings,
    clock: &Clock,
    entropy: &Entropy,
) -> Result<Spool, StartError> {
    let (kept, clock, entropy) = (settings.spool.clone(), clock.clone(), entropy.clone());
    let opened = tokio::task::spawn_blocking(move || Spool::open(kept, clock, &entropy)).await;
    match opened {
        Ok(spool) => Ok(spool?),
        // Only a panic or the runtime's end cancels a blocking task.
        Err(error) => Err(SpoolError::Disk(std::io::Error::other(error)).into()),
    }
}

impl Handle {
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it may be given work.
    pub async fn ready(&self) {
        self.readiness.ready().await;
    }

    /// The revision that it serves.
    pub fn revision(&self) -> Revision {
        self.exchange.tables.load().revision()
    }

    /// The tables in force.
    pub fn tables(&self) -> &Tables {
        &self.exchange.tables
    }

    /// The usage log.
    pub fn spool(&self) -> &Spool {
        &self.exchange.books.spool
    }

    /// What requests share, to look into.
    pub(crate) const fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }

    /// The numbers, as text for Prometheus.
    pub fn metrics(&self) -> String {
        self.exchange.draw_metrics()
    }

    /// Finishes and leaves: no new connections, no new requests on the ones that stand, and the
    /// requests under way until the deadline; then what they used is reported. False if some of them
    /// had to be cut off.
    pub async fn drain(&self, patience: Duration) -> bool {
        self.accepting.close("shutting down");
        let clock = &self.exchange.books.clock;
        let deadline = clock.instant() + patience;
        self.trigger.drain(deadline);
        self.tasks.close();
        // What is cut off at the deadline settles in the moments after it.
        let ended = tokio::time::timeout(patience + LAST_MOMENTS, self.tasks.wait()).await.is_ok();
        let finished = ended && clock.instant() < deadline;
        if !finished {
            tracing::warn!(tasks = self.tasks.len(), "requests did not end in time");
        }
        self.leave().await;
        finished
    }

    /// Hands the usage over, or at least leaves it on the disk for the next start.
    async fn leave(&self) {
        let spool = self.spool().clone();
        let written = tokio::time::timeout(LAST_MOMENTS, spool.flushed()).await;
        if !matches!(written, Ok(Ok(()))) {
            tracing::warn!("the usage log could not be written to its end");
        }
        if self.link.is_open {
            let reported = tokio::time::timeout(LAST_MOMENTS, spool.acknowledged()).await;
            if reported.is_err() {
                tracing::info!("some usage is reported at the next start");
            }
        }
        self.link.stop.cancel();
        self.link.tasks.close();
        if tokio::time::timeout(LAST_MOMENTS, self.link.tasks.wait()).await.is_err() {
            tracing::warn!("the link to the control plane did not end in time");
        }
        if tokio::task::spawn_blocking(move || spool.close()).await.is_err() {
            tracing::warn!("the usage log could not be closed");
        }
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("address", &self.address).finish_non_exhaustive()
    }
}
