//! A control plane in a directory of its own, with time and randomness that tests decide.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode},
};
use bitrouter_keys::Secret;
use bitrouter_runtime::{Clock, Entropy, ManualClock, Timestamp};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::{Access, ControlPlane, ControlPlaneSettings};

/// A control plane on `SQLite`.
pub(crate) struct Stage {
    pub(crate) plane: ControlPlane,
    pub(crate) hand: ManualClock,
    pub(crate) directory: TempDir,
}

/// An answer of the admin API.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Stage {
    pub(crate) async fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (clock, hand) = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
        let plane = open(&directory, clock).await;
        Self { plane, hand, directory }
    }

    /// Through the control socket.
    pub(crate) async fn call(&self, method: Method, path: &str, body: &str) -> Answer {
        self.call_with(method, path, &[], body).await
    }

    pub(crate) async fn call_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let router = self.plane.admin_router(Access::Socket, Router::new());
        send(router, method, path, headers, body).await
    }

    /// Over the network.
    pub(crate) async fn call_network(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let access = Access::Network { names: Arc::new(BTreeSet::new()), certificate: None };
        let router = self.plane.admin_router(access, Router::new());
        send(router, Method::GET, path, headers, "").await
    }

    pub(crate) fn owner_token(&self) -> String {
        let path = self.directory.path().join("keys").join(crate::TOKEN_FILE);
        std::fs::read_to_string(path).unwrap().trim().to_owned()
    }
}

impl Answer {
    /// As people read it, for snapshots.
    pub(crate) fn shown(&self) -> String {
        let header = |name: &str| {
            let value = self.headers.get(name).and_then(|value| value.to_str().ok());
            value.map(|value| format!("{name}: {value}\n")).unwrap_or_default()
        };
        let (etag, revision) = (header("etag"), header("x-config-revision"));
        let body = serde_json::to_string_pretty(&self.body).unwrap();
        format!("{}\n{etag}{revision}\n{body}", self.status)
    }
}

/// Opens the control plane of a directory.
pub(crate) async fn open(directory: &TempDir, clock: Clock) -> ControlPlane {
    let database = directory.path().join("bitrouter.db");
    let settings = ControlPlaneSettings {
        database_url: Secret::new(format!("sqlite://{}", database.display())),
        keys_dir: directory.path().join("keys"),
        retention: Duration::from_hours(24),
    };
    ControlPlane::open(settings, clock, Entropy::seeded(1)).await.unwrap()
}

async fn send(
    router: Router,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let (head, body) = router.oneshot(request).await.unwrap().into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Answer { status: head.status, headers: head.headers, body }
}
