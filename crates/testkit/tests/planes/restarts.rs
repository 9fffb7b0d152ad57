//! Either plane ends and comes back on what it has kept.

use std::{fmt::Write as _, time::Duration};

use bitrouter_control_plane::api::types::Outcome;
use bitrouter_testkit::{
    Answer, FakeProvider, Gate, Planes,
    planes::{Got, LinkState, within},
};
use http_body_util::BodyExt as _;

use crate::books::balanced;

/// So many resources that all of them are much more than one.
const ROUTES: usize = 200;

#[tokio::test]
async fn a_control_plane_that_comes_back_sends_only_what_is_new() {
    let fake = FakeProvider::start().await;
    let (mut planes, minted) = Planes::serving(&[&fake]).await;
    let mut routes = "models:\n".to_owned();
    for at in 0..ROUTES {
        let _ = writeln!(routes, "  r{at}: {{endpoints: [{{provider: p0, model_id: m}}]}}");
    }
    let before = planes.received();
    planes.apply(&routes).await;
    let whole = planes.received() - before;
    let client = planes.client(&minted.key);
    client.chat().await;
    balanced(&planes, &[&fake], 1).await;

    planes.restart_control_plane().await;
    let before = planes.received();
    planes.until_status(|status| status.nodes.iter().any(|node| node.is_in_sync)).await;
    let second = planes.mint("bob").await;
    let sent = planes.received() - before;
    assert!(sent * 5 < whole, "{sent} bytes, where everything is more than {whole}");
    assert_eq!(client.chat().await.status, 200);
    assert_eq!(planes.client(&second.key).chat().await.status, 200);
    balanced(&planes, &[&fake], 3).await;
}

#[tokio::test]
async fn a_data_plane_that_comes_back_reports_what_it_had_not() {
    let fake = FakeProvider::start().await;
    let (mut planes, minted) = Planes::serving(&[&fake]).await;
    let client = planes.client(&minted.key);
    client.chat().await;
    balanced(&planes, &[&fake], 1).await;
    planes.set_link(LinkState::Cut);
    for _ in 0..10 {
        assert_eq!(client.chat().await.status, 200);
    }
    planes.idle().await;
    planes.kill_data_plane().await;
    assert_eq!(planes.records().await.len(), 1);

    planes.set_link(LinkState::Open);
    planes.start_data_plane().await;
    within("its configuration", planes.data_plane().ready()).await;
    let client = planes.client(&minted.key);
    for _ in 0..5 {
        assert_eq!(client.chat().await.status, 200);
    }
    balanced(&planes, &[&fake], 16).await;
}

#[tokio::test]
async fn a_data_plane_that_ends_during_a_stream_leaves_one_record() {
    let fake = FakeProvider::start().await;
    let (mut planes, minted) = Planes::serving(&[&fake]).await;
    let gate = Gate::closed();
    fake.script([Answer::text("one two three four").gate(3, &gate)]);
    let client = planes.client(&minted.key);
    let mut stream = client.open_stream().await;
    let first = stream.body_mut().frame().await;
    assert!(matches!(first, Some(Ok(_))));
    planes.kill_data_plane().await;
    // Whatever of it was still polled may have told the client in its dialect.
    let got = Got::read(stream).await;
    assert!(got.is_cut || got.text().contains("\"error\""), "{}", got.text());
    assert!(!got.text().contains("[DONE]"), "{}", got.text());
    planes.start_data_plane().await;
    within("its configuration", planes.data_plane().ready()).await;
    let records = balanced(&planes, &[&fake], 1).await;
    assert_ne!(records[0].outcome, Outcome::Completed);
    assert!(records[0].usage_unknown);
}

#[tokio::test]
async fn a_stream_that_is_under_way_ends_before_a_draining_data_plane_does() {
    let fake = FakeProvider::start().await;
    let (mut planes, minted) = Planes::serving(&[&fake]).await;
    let gate = Gate::closed();
    fake.script([Answer::text("one two three four").gate(3, &gate)]);
    let client = planes.client(&minted.key);
    let mut stream = client.open_stream().await;
    let first = stream.body_mut().frame().await;
    assert!(matches!(first, Some(Ok(_))));
    // It drains from its first step on, and this comes after that.
    let finishing = async {
        gate.open();
        Got::read(stream).await
    };
    let (is_whole, got) = tokio::join!(planes.drain_data_plane(Duration::from_secs(5)), finishing);
    assert!(is_whole, "nothing had to be cut off");
    assert!(got.text().contains("[DONE]") && !got.is_cut, "{}", got.text());
    planes.start_data_plane().await;
    within("its configuration", planes.data_plane().ready()).await;
    let records = balanced(&planes, &[&fake], 1).await;
    assert_eq!(records[0].outcome, Outcome::Completed);
}
