//! Both planes in one process: the control plane on `SQLite`, the data plane on a free port, and a
//! link between them that a test can stall, cut and mend.
//!
//! Either plane can be ended and started again on what it has kept. Nothing here sleeps: every wait
//! is for a condition and has an end.

mod client;
mod link;
mod node;

use std::{fmt::Write as _, future::Future, time::Duration};

use axum::{Router, body::Body};
use bitrouter_control_plane::{
    Access, ControlPlane, ControlPlaneSettings,
    api::types::{
        List, MintRequest, Minted, RequestDetail, RequestRow, Status, UsageBy, UsageReport,
    },
};
use bitrouter_data_plane::{Handle, table::Revision};
use bitrouter_keys::Secret;
use bitrouter_runtime::{Clock, Entropy};
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt as _;

pub use client::{Client, Got};
pub use link::State as LinkState;

use self::{link::Link, node::Node};
use crate::FakeProvider;

/// How long a wait may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the control plane may take to end.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Both planes.
#[derive(Debug)]
pub struct Planes {
    node: Option<Node>,
    control_plane: ControlPlane,
    link: Link,
    silence: Duration,
    clock: Clock,
    home: TempDir,
}

/// What the admin API answers.
#[derive(Clone, Debug)]
pub struct Told {
    /// The status.
    pub status: StatusCode,
    /// The revision that a change has made. Zero: the answer names none.
    pub revision: u64,
    /// The body.
    pub body: Value,
}

impl Planes {
    /// Starts both on the system's clock.
    pub async fn start() -> Self {
        Self::with(Clock::system(), PATIENCE).await
    }

    /// Starts both on this clock; the link counts as dead when it was silent for so long.
    pub async fn with(clock: Clock, silence: Duration) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let link = Link::default();
        let control_plane = open(&home, &clock).await;
        control_plane.serve_sync(link.control_plane());
        let node = Node::start(&home.path().join("data"), clock.clone(), silence, &link).await;
        let planes = Self { node: Some(node), control_plane, link, silence, clock, home };
        within("a first configuration", planes.data_plane().ready()).await;
        planes
    }

    /// Starts both; these providers serve the model `m`, in their order, and a key is minted.
    pub async fn serving(providers: &[&FakeProvider]) -> (Self, Minted) {
        let planes = Self::start().await;
        planes.apply(&providers_yaml(providers)).await;
        let minted = planes.mint("ann").await;
        (planes, minted)
    }

    /// The control plane.
    pub const fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// The data plane.
    ///
    /// # Panics
    /// If it was ended.
    pub fn data_plane(&self) -> &Handle {
        &self.node.as_ref().expect("the data plane runs").handle
    }

    /// Lets the link behave so from now on.
    pub fn set_link(&self, state: LinkState) {
        self.link.set(state);
    }

    /// How many bytes the control plane's messages had that reached the data plane.
    pub fn received(&self) -> u64 {
        self.link.received()
    }

    /// How often the data plane has connected so far.
    pub fn dials(&self) -> usize {
        *self.link.dials().borrow()
    }

    /// Waits until the data plane has connected more than so many times.
    pub async fn dialled(&self, more_than: usize) {
        let mut dials = self.link.dials();
        let dialled = dials.wait_for(|dials| *dials > more_than);
        within("a new connection", dialled).await.expect("the link stands");
    }
}

/// Desired state.
impl Planes {
    /// Calls the admin API as the control socket does.
    ///
    /// # Panics
    /// If the call has not the form of one.
    pub async fn call(&self, method: Method, path: &str, body: &str) -> Told {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_owned()))
            .expect("a request");
        let router = self.control_plane.admin_router(Access::Socket, Router::new());
        let (head, body) = router.oneshot(request).await.expect("an answer").into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let revision = head.headers.get("x-config-revision");
        let revision = revision.and_then(|it| it.to_str().ok()?.parse().ok()).unwrap_or_default();
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        Told { status: head.status, revision, body }
    }

    /// Reads from the admin API.
    ///
    /// # Panics
    /// If it refuses.
    pub async fn read<T: DeserializeOwned>(&self, path: &str) -> T {
        let told = self.call(Method::GET, path, "").await;
        assert_eq!(told.status, 200, "{path}: {}", told.body);
        serde_json::from_value(told.body).expect("the documented answer")
    }

    /// Changes something and waits until the data plane serves by it.
    ///
    /// # Panics
    /// If it is refused or does not get there.
    pub async fn change(&self, method: Method, path: &str, body: &str) -> Told {
        let told = self.call(method, path, body).await;
        assert!(told.status.is_success(), "{path}: {}: {}", told.status, told.body);
        self.reached(told.revision).await;
        told
    }

    /// Declares what a document says, and waits until the data plane serves by it.
    pub async fn apply(&self, yaml: &str) -> u64 {
        self.change(Method::POST, "/v1/apply", yaml).await.revision
    }

    /// Mints a key and waits until the data plane takes it.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn mint(&self, user: &str) -> Minted {
        let request = MintRequest { user: user.to_owned(), ..MintRequest::default() };
        let request = serde_json::to_string(&request).expect("texts");
        let told = self.change(Method::POST, "/v1/keys", &request).await;
        serde_json::from_value(told.body).expect("the documented answer")
    }

    /// Waits until the data plane serves by at least this revision.
    pub async fn reached(&self, revision: u64) {
        let what = format!("revision {revision}");
        within(&what, self.data_plane().tables().reached(Revision(revision))).await;
    }

    /// How the control plane sees the data plane.
    pub async fn status(&self) -> Status {
        self.read("/v1/status").await
    }

    /// Waits until the control plane sees it so.
    pub async fn until_status(&self, wanted: impl Fn(&Status) -> bool) -> Status {
        within("a status", async {
            loop {
                let status = self.status().await;
                if wanted(&status) {
                    return status;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }
}

/// Traffic and what is kept of it.
impl Planes {
    /// A client with this key, of the data plane that runs now.
    pub fn client(&self, key: &str) -> Client {
        Client::new(format!("http://{}", self.data_plane().address()), key)
    }

    /// Waits until no request is under way.
    pub async fn idle(&self) {
        within("an idle data plane", async {
            while !self.data_plane().metrics().contains("bitrouter_requests_in_flight 0\n") {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Waits until every request has ended and its record is stored.
    pub async fn settled(&self) {
        self.idle().await;
        within("records that are stored", self.data_plane().spool().acknowledged()).await;
    }

    /// Every record that the control plane has, the oldest request first.
    pub async fn records(&self) -> Vec<RequestRow> {
        let (mut records, mut path) = (Vec::new(), "/v1/requests?limit=1000".to_owned());
        loop {
            let page: List<RequestRow> = self.read(&path).await;
            records.extend(page.items);
            let Some(next) = page.next else { break };
            path = format!("/v1/requests?limit=1000&after={next}");
        }
        records.reverse();
        records
    }

    /// Everything about one request.
    pub async fn record(&self, id: &str) -> RequestDetail {
        self.read(&format!("/v1/requests/{id}")).await
    }

    /// The sums that the control plane keeps.
    ///
    /// # Panics
    /// If they cannot be read.
    pub async fn usage(&self, by: UsageBy) -> UsageReport {
        let by = serde_json::to_value(by).expect("a name");
        self.read(&format!("/v1/usage?by={}", by.as_str().unwrap_or_default())).await
    }
}

/// Ends and beginnings.
impl Planes {
    /// Ends the data plane in the middle of whatever it does.
    pub async fn kill_data_plane(&mut self) {
        if let Some(node) = self.node.take() {
            node.kill().await;
        }
    }

    /// Ends the data plane once its requests have ended; false if some had to be cut off.
    ///
    /// # Panics
    /// If it was ended before.
    pub async fn drain_data_plane(&mut self, patience: Duration) -> bool {
        let node = self.node.take().expect("the data plane runs");
        node.drain(patience).await
    }

    /// Starts a data plane on what the last one has left.
    pub async fn start_data_plane(&mut self) {
        let directory = self.home.path().join("data");
        self.node =
            Some(Node::start(&directory, self.clock.clone(), self.silence, &self.link).await);
    }

    /// Ends the control plane and starts another one on its database.
    pub async fn restart_control_plane(&mut self) {
        self.link.without_control_plane();
        self.control_plane.shutdown(LAST_ANSWERS).await;
        self.control_plane = open(&self.home, &self.clock).await;
        self.control_plane.serve_sync(self.link.control_plane());
    }
}

/// Declares these providers as `p0`, `p1`, …, each with the model `m` at 1 USD for a million input
/// tokens and 10 USD for a million output tokens.
pub fn providers_yaml(providers: &[&FakeProvider]) -> String {
    let mut yaml = "providers:\n".to_owned();
    for (at, provider) in providers.iter().enumerate() {
        let _ = write!(
            yaml,
            "  p{at}:\n    api_base: {}\n    api_key: secret-of-p{at}\n    \
             api_protocol: [chat_completions, responses, messages]\n    models:\n      - id: m\n        \
             pricing: {{input_tokens: {{no_cache: 1}}, output_tokens: {{text: 10}}}}\n",
            provider.url(),
        );
    }
    yaml
}

/// Waits for something that is bound to happen.
///
/// # Panics
/// If it does not.
pub async fn within<T>(what: &str, waiting: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, waiting).await;
    done.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

async fn open(home: &TempDir, clock: &Clock) -> ControlPlane {
    let database = home.path().join("bitrouter.db");
    let settings = ControlPlaneSettings {
        database_url: Secret::new(format!("sqlite://{}", database.display())),
        keys_dir: home.path().join("keys"),
        retention: Duration::from_hours(24),
    };
    let opened = ControlPlane::open(settings, clock.clone(), Entropy::system()).await;
    opened.expect("the control plane opens")
}
