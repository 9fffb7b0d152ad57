//! Both streams, as a data plane sees them: over a pipe in memory, with the real gRPC.

use std::{io, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use axum::http::Method;
use bitrouter_config::resource::{Preset, Route, RouteEndpoint};
use bitrouter_proto::v1::{
    self as wire, discovery_service_client::DiscoveryServiceClient,
    ledger_service_client::LedgerServiceClient, sync_request, sync_response::Message,
};
use bitrouter_runtime::Clock;
use hyper_util::rt::TokioIo;
use prost::Message as _;
use serde_json::json;
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Streaming,
    transport::{Channel, Endpoint},
};
use tower::service_fn;

use crate::{
    ControlPlane,
    resource::{Declared, Owner, Spec},
    snapshot::publisher::Urgency,
    store::{Actor, AuditRow, Change, Expect},
    testing::Stage,
};

const PATIENCE: Duration = Duration::from_secs(10);

fn connect(plane: &ControlPlane) -> Channel {
    let (dialled, incoming) = mpsc::channel::<io::Result<tokio::io::DuplexStream>>(4);
    plane.serve_sync(ReceiverStream::new(incoming));
    let dial = service_fn(move |_| {
        let dialled = dialled.clone();
        async move {
            let (ours, theirs) = tokio::io::duplex(1 << 16);
            dialled.send(Ok(theirs)).await.map_err(io::Error::other)?;
            Ok::<_, io::Error>(TokioIo::new(ours))
        }
    });
    Endpoint::from_static("http://control-plane").connect_with_connector_lazy(dial)
}

/// A data plane's side of the configuration stream.
struct Node {
    requests: mpsc::Sender<wire::SyncRequest>,
    responses: Streaming<wire::SyncResponse>,
}

impl Node {
    async fn open(channel: Channel, applied_revision: u64, state_hash: Vec<u8>) -> Self {
        let (requests, queued) = mpsc::channel(8);
        let hello = wire::Hello {
            node_id: "node-1".to_owned(),
            log_id: "log-1".to_owned(),
            schema_min: 1,
            schema_max: 1,
            applied_revision,
            state_hash: state_hash.into(),
            ..wire::Hello::default()
        };
        let message = Some(sync_request::Message::Hello(hello));
        requests.send(wire::SyncRequest { message }).await.unwrap();
        let mut client = DiscoveryServiceClient::new(channel);
        let responses = client.sync(ReceiverStream::new(queued)).await.unwrap().into_inner();
        Self { requests, responses }
    }

    async fn any(&mut self) -> Message {
        let next = timeout(PATIENCE, self.responses.message()).await.expect("a message in time");
        next.unwrap().unwrap().message.unwrap()
    }

    /// The next message that is no heartbeat.
    async fn next(&mut self) -> Message {
        loop {
            match self.any().await {
                Message::Heartbeat(_) => {}
                message => return message,
            }
        }
    }

    async fn welcome(&mut self) -> wire::Welcome {
        let Message::Welcome(welcome) = self.next().await else { panic!("a welcome comes first") };
        welcome
    }

    async fn snapshot(&mut self) -> wire::SnapshotChunk {
        let Message::SnapshotChunk(chunk) = self.next().await else { panic!("a snapshot") };
        assert!(chunk.last);
        self.ack(chunk.revision, Vec::new()).await;
        chunk
    }

    async fn delta(&mut self, rejections: Vec<wire::Rejection>) -> wire::Delta {
        let Message::Delta(delta) = self.next().await else { panic!("a delta") };
        self.ack(delta.to_revision, rejections).await;
        delta
    }

    async fn ack(&self, revision: u64, rejections: Vec<wire::Rejection>) {
        let status = wire::ack::Status::Applied.into();
        let ack = sync_request::Message::Ack(wire::Ack { revision, status, rejections });
        self.requests.send(wire::SyncRequest { message: Some(ack) }).await.unwrap();
    }
}

fn ids(resources: &[wire::Resource]) -> Vec<&str> {
    resources.iter().map(|resource| resource.r#ref.as_ref().unwrap().id.as_str()).collect()
}

fn preset(id: &str) -> Declared {
    Declared { id: id.to_owned(), spec: Spec::Preset(Preset::default()), secret: None }
}

async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let waited = timeout(PATIENCE, async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    });
    waited.await.expect("the condition holds in time");
}

#[tokio::test]
async fn a_data_plane_follows_every_change() {
    let stage = Stage::open().await;
    let mut node = Node::open(connect(&stage.plane), 0, Vec::new()).await;
    assert_eq!(node.welcome().await.session_epoch, 1);
    let snapshot = node.snapshot().await;
    assert_eq!(ids(&snapshot.resources), ["1"], "the digest key and nothing else");

    let provider = json!({
        "spec": { "dialects": [], "base_urls": [], "needs_account": true },
        "accounts": [{ "label": "main", "secret": "sk-1" }],
    });
    stage.call(Method::PUT, "/v1/providers/acme", &provider.to_string()).await;
    let delta = node.delta(Vec::new()).await;
    assert_eq!(delta.from_revision, snapshot.revision);
    assert_eq!(ids(&delta.upserts), ["acme", "acme/main"]);
    let Some(wire::resource::Spec::Account(account)) = &delta.upserts[1].spec else { panic!() };
    assert_eq!(account.secret.as_ref(), b"sk-1");

    let minted = stage.call(Method::POST, "/v1/keys", r#"{ "user": "ana" }"#).await;
    let id = minted.body["id"].as_str().unwrap();
    assert_eq!(ids(&node.delta(Vec::new()).await.upserts), [id]);

    let path = format!("/v1/keys/{id}/revoke");
    let (revoked, delta) =
        tokio::join!(stage.call(Method::POST, &path, ""), node.delta(Vec::new()));
    assert_eq!(delta.removals[0].id, id);
    assert_eq!(revoked.body["unconfirmed_nodes"], json!([]), "{}", revoked.body);
    assert_eq!(revoked.body["revision"], delta.to_revision);
    assert!(stage.plane.shutdown(PATIENCE).await);
}

#[tokio::test]
async fn what_a_data_plane_refuses_is_seen() {
    let stage = Stage::open().await;
    let mut node = Node::open(connect(&stage.plane), 0, Vec::new()).await;
    node.welcome().await;
    node.snapshot().await;
    stage.plane.reconcile(vec![preset("bad")]).await.unwrap();
    let refused = wire::ResourceRef { kind: wire::Kind::Preset.into(), id: "bad".to_owned() };
    let reason = "no such parameter".to_owned();
    let rejection = wire::Rejection { r#ref: Some(refused), kept_version: 0, reason };
    node.delta(vec![rejection]).await;
    let status = async || stage.call(Method::GET, "/v1/status", "").await.body["nodes"][0].clone();
    until(async || status().await["rejections"][0]["reason"] == "no such parameter").await;
    assert_eq!(status().await["is_in_sync"], false);
    stage.plane.reconcile(Vec::new()).await.unwrap();
    node.delta(Vec::new()).await;
    until(async || status().await["is_in_sync"] == true).await;
    drop(node);
    until(async || status().await["is_connected"] == false).await;
}

#[tokio::test]
async fn a_returning_data_plane_gets_only_what_it_lacks() {
    let stage = Stage::open().await;
    let channel = connect(&stage.plane);
    let mut node = Node::open(channel.clone(), 0, Vec::new()).await;
    node.welcome().await;
    let snapshot = node.snapshot().await;
    let hash = snapshot.state_hash.to_vec();

    let mut current = Node::open(channel.clone(), snapshot.revision, hash.clone()).await;
    assert_eq!(current.welcome().await.session_epoch, 2);
    assert!(matches!(current.any().await, Message::Heartbeat(_)), "it has everything");
    let closed = timeout(PATIENCE, async {
        while node.responses.message().await.is_ok_and(|m| m.is_some()) {}
    });
    closed.await.expect("the older session of the same node is closed");

    stage.plane.reconcile(vec![preset("new")]).await.unwrap();
    let mut behind = Node::open(channel.clone(), snapshot.revision, hash).await;
    behind.welcome().await;
    assert_eq!(ids(&behind.delta(Vec::new()).await.upserts), ["new"]);

    let mut strange = Node::open(channel, snapshot.revision + 1, vec![7; 32]).await;
    strange.welcome().await;
    assert_eq!(strange.snapshot().await.resources.len(), 2);
}

#[tokio::test]
async fn an_overlay_is_in_force_but_gives_way_and_is_not_stored() {
    let stage = Stage::open().await;
    let mut node = Node::open(connect(&stage.plane), 0, Vec::new()).await;
    node.welcome().await;
    node.snapshot().await;
    let ours = Preset { model: Some("ours".to_owned()), ..Preset::default() };
    let overlaid = || Declared { spec: Spec::Preset(ours.clone()), ..preset("p") };
    stage.plane.set_overlay(vec![overlaid(), preset("q")]).await.unwrap();
    assert_eq!(ids(&node.delta(Vec::new()).await.upserts), ["p", "q"]);
    let audit = stage.call(Method::GET, "/v1/audit", "").await;
    let kinds: Vec<_> =
        audit.body["items"].as_array().unwrap().iter().map(|row| &row["kind"]).collect();
    assert_eq!(kinds, ["overlay", "admin_token"], "one row for all of it");

    stage.plane.reconcile(vec![preset("p")]).await.unwrap();
    let delta = node.delta(Vec::new()).await;
    let Some(wire::resource::Spec::Preset(stored)) = &delta.upserts[0].spec else { panic!() };
    assert_eq!(stored.model, "", "what is stored takes precedence");
    stage.plane.reconcile(Vec::new()).await.unwrap();
    let delta = node.delta(Vec::new()).await;
    let Some(wire::resource::Spec::Preset(back)) = &delta.upserts[0].spec else { panic!() };
    assert_eq!(back.model, "ours");

    stage.plane.set_overlay(vec![overlaid()]).await.unwrap();
    assert_eq!(node.delta(Vec::new()).await.removals[0].id, "q");
    let before = stage.plane.revision();
    assert_eq!(stage.plane.set_overlay(vec![overlaid()]).await.unwrap(), before);
    stage.plane.shutdown(PATIENCE).await;
    let again = crate::testing::open(&stage.directory, Clock::system()).await;
    let (_, stored) = again.shared.store.load_all().await.unwrap();
    assert!(stored.is_empty());
}

#[tokio::test]
async fn a_file_and_its_overlay_are_one_revision_or_nothing() {
    let stage = Stage::open().await;
    let mut node = Node::open(connect(&stage.plane), 0, Vec::new()).await;
    node.welcome().await;
    node.snapshot().await;
    let before = stage.plane.revision();
    let adopted = stage.plane.adopt(vec![preset("file")], vec![preset("env")]).await.unwrap();
    assert_eq!(adopted.0, before.0 + 1);
    let delta = node.delta(Vec::new()).await;
    assert_eq!((delta.to_revision, ids(&delta.upserts)), (adopted.0, vec!["env", "file"]));

    let actor = Actor::File("elsewhere".to_owned());
    let theirs = Change::Put { declared: preset("theirs"), owner: Owner::Api, expect: Expect::Any };
    stage.plane.shared.store.commit(&actor, vec![theirs], 0).await.unwrap();
    stage.plane.shared.publisher.notify(Urgency::Immediate);
    stage.plane.adopt(vec![preset("theirs")], vec![preset("other")]).await.unwrap_err();
    assert_eq!(ids(&node.delta(Vec::new()).await.upserts), ["theirs"]);
    let same = stage.plane.adopt(vec![preset("file")], vec![preset("env")]).await.unwrap();
    assert_eq!(same.0, adopted.0 + 1, "what was refused left the overlay alone");
}

#[tokio::test]
async fn a_restart_with_the_same_overlay_makes_no_revision_and_no_audit_row() {
    let stage = Stage::open().await;
    let waits = |id: &str| {
        let spec = json!({
            "dialects": [], "base_urls": [], "needs_account": true, "inactive_reason": "set A_KEY"
        });
        let spec = Spec::Provider(serde_json::from_value(spec).unwrap());
        Declared { id: id.to_owned(), spec, secret: None }
    };
    let all = || vec![waits("a"), waits("b"), preset("p")];
    let revision = stage.plane.set_overlay(all()).await.unwrap();
    let rows = |audit: Vec<AuditRow>| {
        let of_overlays = audit.into_iter().filter(|row| row.kind == "overlay");
        of_overlays.map(|row| row.after).collect::<Vec<_>>()
    };
    let audit = stage.plane.shared.store.audit(None, 10).await.unwrap();
    let before = audit.len();
    assert_eq!(rows(audit), [Some(r#"["preset p"]"#.to_owned())]);
    stage.plane.shutdown(PATIENCE).await;

    let again = crate::testing::open(&stage.directory, Clock::system()).await;
    assert_eq!(again.set_overlay(all()).await.unwrap(), revision);
    assert_eq!(again.shared.store.audit(None, 10).await.unwrap().len(), before);
    let mut node = Node::open(connect(&again), 0, Vec::new()).await;
    node.welcome().await;
    let snapshot = node.snapshot().await;
    assert_eq!(snapshot.revision, revision.0);
    assert!(ids(&snapshot.resources).contains(&"p"), "{snapshot:?}");

    let fewer = again.set_overlay(vec![waits("a"), preset("p")]).await.unwrap();
    assert!(fewer > revision);
    assert_eq!(again.shared.store.audit(None, 10).await.unwrap().len(), before, "`b` waited");
    assert_eq!(node.delta(Vec::new()).await.removals[0].id, "b");
    again.set_overlay(vec![waits("a")]).await.unwrap();
    assert_eq!(rows(again.shared.store.audit(None, 1).await.unwrap()), [Some("[]".to_owned())]);
}

#[tokio::test]
async fn a_file_does_not_take_names_that_belong_to_the_api() {
    let stage = Stage::open().await;
    let provider = json!({ "spec": { "dialects": [], "base_urls": [], "needs_account": false } });
    stage.call(Method::PUT, "/v1/providers/acme", &provider.to_string()).await;
    let route = r#"{ "spec": { "endpoints": [{ "provider": "acme", "model": "m" }] } }"#;
    stage.call(Method::PUT, "/v1/routes/smart", route).await;
    let endpoint = RouteEndpoint {
        provider: "acme".to_owned(),
        model: "other".to_owned(),
        account: None,
        base_url: None,
        weight: 1,
    };
    let spec: Route = serde_json::from_value(json!({ "endpoints": [endpoint] })).unwrap();
    let declared = Declared { id: "smart".to_owned(), spec: Spec::Route(spec), secret: None };
    let revision = stage.plane.revision();
    let refused = stage.plane.reconcile(vec![declared, preset("fine")]).await.unwrap_err();
    assert!(refused.to_string().contains("route `smart`"), "{refused}");
    let (stored, _) = stage.plane.shared.store.load_all().await.unwrap();
    assert!(stored >= revision);
    let preset = stage.plane.shared.store.resource(crate::resource::Kind::Preset, "fine").await;
    assert!(preset.unwrap().is_none(), "nothing of the document is taken");
}

fn usage() -> Vec<u8> {
    let attempt = wire::Attempt {
        provider_id: "acme".to_owned(),
        model: "small".to_owned(),
        reason: "first by priority".to_owned(),
        outcome: wire::Outcome::Completed.into(),
        ..wire::Attempt::default()
    };
    let usage = wire::Usage {
        event_id: "018bcfe5-6800-7000-8000-000000000001".to_owned(),
        requested_model: "smart".to_owned(),
        client_dialect: wire::Dialect::Messages.into(),
        outcome: wire::Outcome::Completed.into(),
        status: 200,
        cost_micros: 42,
        start_us: 1_700_000_000_000_000,
        seed: u64::MAX,
        attempts: vec![attempt],
        ..wire::Usage::default()
    };
    wire::Entry { seq: 1, payload: Some(wire::entry::Payload::Usage(usage)) }.encode_to_vec()
}

#[tokio::test]
async fn usage_is_acknowledged_once_it_is_stored() {
    let stage = Stage::open().await;
    let (requests, queued) = mpsc::channel(8);
    let mut client = LedgerServiceClient::new(connect(&stage.plane));
    let report = async |first_seq, prev_hash: Vec<u8>, entries: Vec<Vec<u8>>| {
        let report = wire::ReportRequest {
            log_id: "log-1".to_owned(),
            first_seq,
            prev_hash: prev_hash.into(),
            entries: entries.into_iter().map(Into::into).collect(),
        };
        requests.send(report).await.unwrap();
    };
    report(0, Vec::new(), Vec::new()).await;
    let mut answers = client.report(ReceiverStream::new(queued)).await.unwrap().into_inner();
    let mut answer =
        async || timeout(PATIENCE, answers.message()).await.expect("an answer").unwrap().unwrap();
    assert_eq!(answer().await.acked_seq, 0);

    let tail = digest(&SHA256, &[vec![0; 32], usage()].concat());
    for _ in 0..2 {
        report(1, vec![0; 32], vec![usage()]).await;
        let stored = answer().await;
        assert_eq!((stored.acked_seq, stored.quarantined), (1, false));
        assert_eq!(stored.tail_hash.as_ref(), tail.as_ref());
    }
    let listed = stage.call(Method::GET, "/v1/requests", "").await;
    assert_eq!(listed.body["items"].as_array().unwrap().len(), 1, "a repeat counts once");
    let id = listed.body["items"][0]["id"].as_str().unwrap();
    let detail = stage.call(Method::GET, &format!("/v1/requests/{id}"), "").await;
    insta::assert_snapshot!(detail.shown());
    let sums = stage.call(Method::GET, "/v1/usage?by=provider", "").await;
    insta::assert_snapshot!(sums.shown());

    report(2, vec![9; 32], vec![usage()]).await;
    let refused = timeout(PATIENCE, answers.message()).await.expect("an answer");
    assert_eq!(refused.unwrap_err().code(), tonic::Code::InvalidArgument, "its number is 1");
}

#[tokio::test]
async fn the_first_token_is_private_and_made_once() {
    let stage = Stage::open().await;
    let path = stage.directory.path().join("keys").join(crate::TOKEN_FILE);
    let first = std::fs::read_to_string(&path).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    stage.plane.shutdown(PATIENCE).await;
    let again = crate::testing::open(&stage.directory, Clock::system()).await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), first);
    again.shutdown(PATIENCE).await;
}
