//! The link between the planes breaks, falls silent, or loses an answer.

use std::time::Duration;

use bitrouter_control_plane::api::types::Outcome;
use bitrouter_runtime::Clock;
use bitrouter_testkit::{
    FakeProvider, Planes,
    planes::{LinkState, providers_yaml, within},
};
use http::Method;

use crate::books::balanced;

/// A link that is silent for so long counts as dead.
const SILENCE: Duration = Duration::from_millis(200);
const REQUESTS: usize = 20;

#[tokio::test]
async fn without_a_control_plane_traffic_goes_on_and_its_records_arrive_later() {
    let fake = FakeProvider::start().await;
    let (planes, minted) = Planes::serving(&[&fake]).await;
    let client = planes.client(&minted.key);
    client.chat().await;
    balanced(&planes, &[&fake], 1).await;
    planes.set_link(LinkState::Cut);
    planes.until_status(|status| !status.nodes[0].is_connected).await;
    // What is changed meanwhile is not known to the data plane.
    let path = format!("/v1/keys/{}/rotate", minted.view.id);
    let changed = planes.call(Method::POST, &path, r#"{"grace_s":0}"#).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let mut asked = vec![planes.records().await[0].id.clone()];
    for _ in 0..REQUESTS {
        let got = client.chat().await;
        assert_eq!(got.status, 200, "{}", got.text());
        asked.push(got.request_id());
    }
    planes.idle().await;
    assert_eq!(planes.records().await.len(), 1, "nothing can arrive");
    assert_eq!(planes.data_plane().spool().status().unacked, REQUESTS as u64);

    planes.set_link(LinkState::Open);
    planes.reached(changed.revision).await;
    assert_eq!(client.chat().await.status, 401);
    let records = balanced(&planes, &[&fake], REQUESTS + 2).await;
    // All but the refusal, which came last. Ids of one millisecond are in no order.
    asked.sort();
    let came = records.iter().filter(|record| record.outcome == Outcome::Completed);
    let came: Vec<&str> = came.map(|record| record.id.as_str()).collect();
    assert_eq!(came, asked, "each came, and once");
    // The log's hashes are those of its order: out of order, it would have been refused.
    assert!(!planes.status().await.nodes[0].is_quarantined);
}

#[tokio::test]
async fn a_control_plane_that_falls_silent_is_noticed_and_dialled_anew() {
    let fake = FakeProvider::start().await;
    let planes = Planes::with(Clock::system(), SILENCE).await;
    planes.apply(&providers_yaml(&[&fake])).await;
    let minted = planes.mint("ann").await;
    let client = planes.client(&minted.key);
    let dials = planes.dials();
    planes.set_link(LinkState::Stalled);
    assert_eq!(client.chat().await.status, 200);
    planes.dialled(dials).await;
    assert_eq!(client.chat().await.status, 200, "it serves by what it has");
    planes.set_link(LinkState::Open);
    let second = planes.mint("bob").await;
    assert_eq!(planes.client(&second.key).chat().await.status, 200);
    balanced(&planes, &[&fake], 3).await;
}

#[tokio::test]
async fn an_answer_that_is_lost_after_the_commit_doubles_nothing() {
    let fake = FakeProvider::start().await;
    let (planes, minted) = Planes::serving(&[&fake]).await;
    let client = planes.client(&minted.key);
    for round in 1..=3 {
        let before = planes.data_plane().spool().status().unacked;
        assert_eq!(before, 0, "round {round}");
        planes.set_link(LinkState::Deaf);
        client.chat().await;
        planes.idle().await;
        // It is stored, and the data plane cannot know.
        let stored = async {
            while planes.records().await.len() < round {
                tokio::task::yield_now().await;
            }
        };
        within("a stored record", stored).await;
        assert_eq!(planes.data_plane().spool().status().unacked, 1, "round {round}");
        planes.set_link(LinkState::Cut);
        planes.until_status(|status| !status.nodes[0].is_connected).await;
        planes.set_link(LinkState::Open);
        balanced(&planes, &[&fake], round).await;
    }
}
