//! A data plane's whole life: it waits for its configuration, serves by it, reports, and leaves.

use std::time::Duration;

use bitrouter_data_plane::{
    DataPlane, Settings,
    table::{Incoming, Revision, RoutingTable},
};
use bitrouter_proto::v1::{self, sync_response::Message};
use bitrouter_runtime::{Clock, Entropy};
use bitrouter_testkit::FakeProvider;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::{
    harness::{CHAT, provider},
    planes::{self, Discovery, Ledger},
};

#[tokio::test]
async fn it_serves_by_what_the_control_plane_sends_and_reports_before_it_leaves() {
    let fake = FakeProvider::start().await;
    let (ledger, discovery, tasks) = (Ledger::default(), Discovery::default(), TaskTracker::new());
    let (orders, session) = mpsc::channel(4);
    discovery.lock().sessions.push_back(session);
    let channel = planes::serve(&ledger, &discovery, &tasks);
    let home = tempfile::tempdir().unwrap();
    let mut settings = Settings::new(home.path());
    settings.listen.address.set_port(0);
    settings.skip_auth = true;
    let (clock, entropy) = (Clock::system(), Entropy::system());
    let here = tokio::runtime::Handle::current();
    let plane = DataPlane::start(settings, channel, clock, entropy, &here).await.unwrap();
    assert_eq!(post(plane.address()).await, 503, "nothing is configured yet");

    let welcome = v1::Welcome { session_epoch: 1, head_revision: 7, ..v1::Welcome::default() };
    orders.send(sync(Message::Welcome(welcome))).await.unwrap();
    orders.send(sync(Message::SnapshotChunk(snapshot(&fake)))).await.unwrap();
    let ready = tokio::time::timeout(Duration::from_secs(10), plane.ready()).await;
    assert!(ready.is_ok(), "it becomes ready");
    assert_eq!((plane.revision(), post(plane.address()).await), (Revision(7), 200));

    assert!(plane.drain(Duration::from_secs(5)).await);
    let statuses: Vec<_> = ledger.lock().usages.iter().map(|it| it.status).collect();
    assert_eq!(statuses, [503, 200]);
}

fn sync(message: Message) -> v1::SyncResponse {
    v1::SyncResponse { message: Some(message) }
}

fn snapshot(fake: &FakeProvider) -> v1::SnapshotChunk {
    let resources = provider("p0", 0, fake, &["m"]);
    let incoming = resources.iter().cloned().filter_map(Incoming::from_wire).collect();
    let table = RoutingTable::empty().replace(Revision(7), incoming);
    v1::SnapshotChunk {
        revision: 7,
        index: 0,
        last: true,
        state_hash: table.state_hash().as_bytes().to_vec().into(),
        resources,
    }
}

async fn post(address: std::net::SocketAddr) -> u16 {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let body = Full::new(Bytes::from_static(br#"{"model":"m","messages":[]}"#));
    let request = Request::post(format!("http://{address}{CHAT}")).body(body).unwrap();
    client.request(request).await.unwrap().status().as_u16()
}
