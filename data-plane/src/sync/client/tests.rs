use std::time::Duration;

use bitrouter_proto::v1::{
    Delta, SnapshotChunk, Welcome, sync_request::Message as Asked, sync_response::Message,
};
use tokio_util::task::TaskTracker;

use super::*;
use crate::{
    fixtures::{
        self, of_provider, of_route,
        planes::{Discovery, serve},
        provider, route,
    },
    table::{Revision, RoutingTable},
};

const PATIENCE: Duration = Duration::from_secs(10);

fn message(message: Message) -> SyncResponse {
    SyncResponse { message: Some(message) }
}

fn welcome() -> SyncResponse {
    message(Message::Welcome(Welcome { heartbeat_ms: 50, ..Welcome::default() }))
}

fn snapshot(revision: u64, resources: Vec<bitrouter_proto::v1::Resource>) -> SyncResponse {
    let state_hash = fixtures::table(resources.clone()).state_hash().as_bytes().to_vec().into();
    let chunk = SnapshotChunk { revision, index: 0, last: true, resources, state_hash };
    message(Message::SnapshotChunk(chunk))
}

async fn reached(tables: &Tables, revision: u64) {
    let reached = tables.reached(Revision(revision));
    tokio::time::timeout(PATIENCE, reached).await.expect("the revision comes");
}

#[tokio::test]
async fn a_table_follows_and_outlives_its_control_plane() {
    let directory = tempfile::tempdir().unwrap();
    let spool = fixtures::spool(directory.path());
    let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
    let discovery = Discovery::default();
    let (first, receiver) = mpsc::channel(8);
    discovery.lock().sessions.push_back(receiver);
    let (second, receiver) = mpsc::channel(8);
    discovery.lock().sessions.push_back(receiver);
    let channel = serve(&Arc::default(), &discovery, &tasks);
    let tables = Tables::new(RoutingTable::empty());
    let follower = Follower {
        identity: NodeIdentity { node_id: "node".to_owned(), ..NodeIdentity::default() },
        tables: tables.clone(),
        spool: spool.clone(),
        clock: Clock::system(),
        entropy: Entropy::seeded(1),
    };
    tasks.spawn(follow(follower, channel, stopping.clone()));
    let resources = vec![of_provider("p", provider("p", 1, &["m"]))];
    first.send(welcome()).await.unwrap();
    first.send(snapshot(3, resources.clone())).await.unwrap();
    reached(&tables, 3).await;
    tokio::time::timeout(PATIENCE, tables.configured()).await.unwrap();

    // The control plane goes away; what it said stays, and the next one continues from there.
    drop(first);
    assert_eq!(tables.load().revision(), Revision(3));
    let more = of_route("r", route(bitrouter_proto::v1::Strategy::Priority, &["p:m"]));
    let all: Vec<_> = resources.into_iter().chain([more.clone()]).collect();
    let delta = Delta {
        from_revision: 3,
        to_revision: 4,
        upserts: vec![more],
        removals: Vec::new(),
        state_hash: fixtures::table(all).state_hash().as_bytes().to_vec().into(),
    };
    second.send(welcome()).await.unwrap();
    second.send(message(Message::Delta(delta))).await.unwrap();
    reached(&tables, 4).await;
    assert!(tables.load().route("r").is_some());
    let hellos: Vec<_> = discovery
        .lock()
        .heard
        .iter()
        .filter_map(|it| match &it.message {
            Some(Asked::Hello(hello)) => Some(hello.applied_revision),
            _ => None,
        })
        .collect();
    assert_eq!(hellos, [0, 3]);
    stopping.cancel();
    spool.close();
}
