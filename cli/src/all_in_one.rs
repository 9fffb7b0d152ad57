//! Both planes in one process, joined by pipes that carry the same gRPC as between machines.
//!
//! The control plane, the admin API and everything else that is not traffic run on a thread of their
//! own. Model servers are looked for when the listener is up: nothing waits for them.

mod administration;
mod background;
mod handshakes;
mod keeper;
mod listeners;
mod process_api;
mod shell;
mod views;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bitrouter_config::Document;
use bitrouter_control_plane::{Access, ControlPlane, link};
use bitrouter_data_plane::{DataPlane, Handle, StartError};
use bitrouter_runtime::tasks::Tasks;
use bitrouter_runtime::{Clock, Entropy};
use tokio::sync::{oneshot, watch};
use tonic::transport::Channel;

use crate::commands::Context;
use crate::commands::serve::ServeOptions;
use crate::daemon::{Launch, Lock, Running, remove_stale};
use crate::database;
use crate::discovery::Scan;
use crate::failure::{Failure, chain};
use crate::installation::{Elsewhere, Installation};
use crate::process::Reloaded;
use crate::serving::{self, Serving};
use administration::{Administration, Prepared};
use background::Background;
use keeper::Wish;
use listeners::Admin;
use shell::Shell;

/// How often model servers are looked for, so that one that starts later is found too.
const LOOK_AROUND: Duration = Duration::from_secs(30);
/// How often it is noticed that a port has opened; those who listen are asked nothing.
const GLANCE: Duration = Duration::from_secs(2);
/// A control plane that says nothing for so long is dialled anew.
const SILENCE: Duration = Duration::from_secs(10);
/// How long the admin API may take to finish its answers.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// A router that runs in this process.
#[derive(Debug)]
pub(crate) struct AllInOne {
    shell: Arc<Shell>,
    control_plane: ControlPlane,
    tasks: Tasks,
    scan: Scan,
    drain: Duration,
    background: Background,
    // Held until the control plane has ended: it would take the link's end for a failure.
    _link: Channel,
    // Dropped last: until then nobody else may serve this home.
    _lock: Lock,
}

impl AllInOne {
    /// Starts it; returns when it serves.
    pub(crate) async fn start(
        context: &Context,
        options: &ServeOptions,
        is_detached: bool,
    ) -> Result<Self, Failure> {
        context.places.scaffold()?;
        let lock = Lock::take(&context.places)?;
        let prepared = prepare(context, options)?;
        for warning in &prepared.configuration.warnings {
            context.output.warn(warning);
        }
        let (serving, background) = (prepared.serving.clone(), Background::start()?);
        let tasks = Tasks::default();
        let (channel, incoming) = link(SILENCE);
        let administration = Administration::start(prepared, incoming, tasks.clone());
        let data_plane = Box::pin(start_data_plane(
            &serving,
            channel.clone(),
            context.clock.clone(),
            &background,
        ));
        // Side by side: each waits for the disk. Requests that come before the first configuration
        // are told to come back.
        let (administration, data_plane) =
            tokio::try_join!(background.run(administration), data_plane)?;
        data_plane.ready().await;
        let running = running(context, &serving, &administration.admin, &data_plane, is_detached)?;
        let shell = Arc::new(Shell {
            running,
            skip_auth: serving.settings.skip_auth,
            in_force: administration.in_force.clone(),
            wishes: administration.wishes.clone(),
            stop: watch::Sender::new(None),
            looked_around: watch::Sender::new(serving.scan.is_empty()),
            data_plane,
        });
        let control_plane = administration.control_plane.clone();
        let scan = serving.scan;
        background.enter(|| open(&shell, administration, &tasks, scan.clone()));
        let args = std::env::args().skip(1).collect();
        lock.publish(&shell.running, Launch { args, cwd: context.env.cwd.clone() })?;
        let drain = serving.drain;
        Ok(Self {
            shell,
            control_plane,
            tasks,
            scan,
            drain,
            background,
            _link: channel,
            _lock: lock,
        })
    }

    /// What it is and where it listens.
    pub(crate) fn running(&self) -> &Running {
        &self.shell.running
    }

    /// True if requests without a key are served.
    pub(crate) fn skips_auth(&self) -> bool {
        self.shell.skip_auth
    }

    /// The configuration that is in force.
    pub(crate) fn document(&self) -> Arc<Document> {
        Arc::clone(&self.shell.in_force.borrow().document)
    }

    /// Waits until this machine was looked over for model servers.
    pub(crate) async fn looked_around(&self) {
        let mut looked_around = self.shell.looked_around.subscribe();
        let _ = looked_around.wait_for(|has_looked| *has_looked).await;
    }

    /// The model servers that were found on this machine.
    pub(crate) fn discovered(&self) -> Vec<String> {
        self.shell.in_force.borrow().discovered.clone()
    }

    /// Which model servers are looked for.
    pub(crate) const fn scan(&self) -> &Scan {
        &self.scan
    }

    /// Reads config, environment file and manifests again.
    pub(crate) async fn reload(&self) -> Result<Reloaded, Failure> {
        let (done, answer) = oneshot::channel();
        self.shell.ask(Wish::Reload { env: BTreeMap::new(), done }, answer).await?
    }

    /// Waits until somebody asks for its end over the admin API, and returns the time that requests
    /// under way have.
    pub(crate) async fn stop_asked(&self) -> Duration {
        let mut asked = self.shell.stop.subscribe();
        match asked.wait_for(Option::is_some).await {
            Ok(stop) => stop.and_then(|stop| stop.drain).unwrap_or(self.drain),
            Err(_) => self.drain,
        }
    }

    /// How long requests that are under way may take at the end, unless somebody says otherwise.
    pub(crate) const fn patience(&self) -> Duration {
        self.drain
    }

    /// Ends it: traffic first, so that nothing that was served goes unrecorded.
    pub(crate) async fn stop(self, patience: Duration) -> Result<(), Failure> {
        let finished = self.shell.data_plane.drain(patience).await;
        if !finished {
            tracing::warn!("some requests were cut off");
        }
        self.tasks.finish(LAST_ANSWERS).await;
        let control_plane = self.control_plane;
        let closing = async move {
            control_plane.shutdown(LAST_ANSWERS).await;
            Ok(())
        };
        self.background.run(closing).await?;
        remove_stale(&self.shell.running.socket)
    }
}

/// Fails as a start would for what the config, the flags and the environment say.
pub(crate) fn check(context: &Context, options: &ServeOptions) -> Result<(), Failure> {
    prepare(context, options).map(drop)
}

/// Everything that is decided before anything is started.
fn prepare(context: &Context, options: &ServeOptions) -> Result<Prepared, Failure> {
    let (places, env) = (&context.places, &context.env);
    let has_config = places.existing_config()?.is_some();
    let installation = Installation::new(places.clone(), env);
    let configuration = installation.load(&[], Elsewhere::Presumed)?;
    let document = &configuration.document;
    let variables = &configuration.read.sources.environment;
    let serving = serving::decide(options, document, places, variables, has_config)?;
    let database_url = database::url(&context.globals, variables, document, places)?;
    let clock = context.clock.clone();
    Ok(Prepared { installation, configuration, serving, database_url, clock })
}

async fn start_data_plane(
    serving: &Serving,
    channel: Channel,
    clock: Clock,
    background: &Background,
) -> Result<Handle, Failure> {
    let (entropy, background) = (Entropy::system(), background.handle());
    let started =
        DataPlane::start(serving.settings.clone(), channel, clock, entropy, background).await;
    started.map_err(|error| match &error {
        StartError::Bind { address, source } if source.kind() == io::ErrorKind::AddrInUse => {
            Failure::failed(format!("cannot listen on {address}: the port is in use"))
                .kind("address_in_use")
                .hint("is another bitrouter running? name another port with --listen")
        }
        _ => Failure::failed(chain(&error)),
    })
}

fn running(
    context: &Context,
    serving: &Serving,
    admin: &Admin,
    data_plane: &Handle,
    detached: bool,
) -> Result<Running, Failure> {
    Ok(Running {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        home: context.places.home.clone(),
        config: context.places.existing_config()?.map(PathBuf::from),
        listen: data_plane.address(),
        tls: serving.settings.listen.tls.is_some(),
        admin: admin.address(),
        socket: serving.socket.clone(),
        detached,
    })
}

/// Serves the admin API and begins to look for model servers.
fn open(shell: &Arc<Shell>, administration: Administration, tasks: &Tasks, scan: Scan) {
    let own = process_api::router(Arc::clone(shell));
    let control_plane = administration.control_plane;
    let names = Arc::new([shell.running.admin.ip().to_string()].into());
    let certificate = administration.admin.certificate().cloned();
    let access = Access::Network { names, certificate };
    let over_tcp = control_plane.admin_router(access, own.clone());
    let over_socket = control_plane.admin_router(Access::Socket, own);
    administration.admin.serve(over_tcp, tasks);
    listeners::serve("control socket", administration.socket, over_socket, tasks);
    if scan.is_empty() {
        return;
    }
    let (shell, stop) = (Arc::clone(shell), tasks.stopping().clone());
    tasks.spawn("model servers", async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = look_around(scan, shell) => {}
        }
    });
}

/// Looks for model servers, again and again. Between two looks it only notices ports that open.
async fn look_around(scan: Scan, shell: Arc<Shell>) {
    loop {
        let servers = scan.run().await;
        let (done, answer) = oneshot::channel();
        if shell.ask(Wish::Found { servers, done }, answer).await.is_err() {
            return;
        }
        shell.looked_around.send_replace(true);
        let _ = tokio::time::timeout(LOOK_AROUND, a_port_opens(&scan)).await;
    }
}

async fn a_port_opens(scan: &Scan) {
    let mut before = scan.open_ports().await;
    loop {
        tokio::time::sleep(GLANCE).await;
        let open = scan.open_ports().await;
        if !open.is_subset(&before) {
            return;
        }
        before = open;
    }
}
