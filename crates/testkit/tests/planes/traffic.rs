//! Providers that fail, and whether every request is accounted for.

use bitrouter_control_plane::api::types::Outcome;
use bitrouter_testkit::{
    Answer, FakeProvider, Planes,
    planes::{Client, within},
};
use futures::future::join_all;
use serde_json::json;

use crate::books::balanced;

const CONNECTIONS: usize = 16;
const REQUESTS: usize = 1_000;

#[tokio::test]
async fn a_provider_that_dies_in_a_stream_leaves_an_error_and_a_record() {
    let fake = FakeProvider::start().await;
    let (planes, minted) = Planes::serving(&[&fake]).await;
    let client = planes.client(&minted.key);
    // Path, the error's mark, the dialect's own end, and how much comes before the content.
    let dialects = [
        ("/v1/chat/completions", "\"error\"", "[DONE]", 0),
        ("/v1/responses", "response.failed", "response.completed", 4),
        ("/v1/messages", "event: error", "message_stop", 0),
    ];
    let ask =
        json!({ "model": "m", "stream": true, "max_tokens": 9, "messages": [], "input": "x" });
    for (at, (path, error, end, before)) in dialects.into_iter().enumerate() {
        fake.script([Answer::text("one two three four five").cut_after(before + 3)]);
        let got = client.post(path, &ask).await;
        assert_eq!(got.status, 200, "{path}");
        assert!(got.text().contains(error) && !got.text().contains(end), "{path}: {}", got.text());
        planes.settled().await;
        let record = planes.record(&got.request_id()).await;
        assert_eq!(record.row.outcome, Outcome::Interrupted, "{path}");
        assert!(record.row.usage_unknown, "{path}");
        assert_eq!(record.attempts.len(), 1, "{path}");
        assert_eq!(planes.records().await.len(), at + 1);
    }
}

#[tokio::test]
async fn a_thousand_requests_leave_a_thousand_records() {
    let (poor, good) = (FakeProvider::start().await, FakeProvider::start().await);
    let (planes, minted) = Planes::serving(&[&poor, &good]).await;
    poor.script((0..REQUESTS).map(|at| match at % 11 {
        3 => Answer::error(500, "server_error", "oops"),
        5 => Answer::close(),
        7 => Answer::text("one two three").cut_after(2),
        9 => Answer::error(400, "bad_thing", "no"),
        _ => Answer::default(),
    }));
    let clients: Vec<Client> = (0..CONNECTIONS).map(|_| planes.client(&minted.key)).collect();
    let stranger = planes.client("brvk_nobody");
    let asked = join_all(clients.iter().enumerate().map(|(at, client)| {
        let (share, stranger) = (share(at), &stranger);
        async move {
            for turn in 0..share {
                match turn % 10 {
                    0..5 => drop(client.chat().await),
                    5..8 => drop(client.chat_stream().await),
                    // It leaves without reading.
                    8 => drop(client.open_stream().await),
                    _ => assert_eq!(stranger.chat().await.status, 401),
                }
            }
            share
        }
    }));
    let asked: usize = within("the requests", asked).await.into_iter().sum();
    assert_eq!(asked, REQUESTS);
    let records = balanced(&planes, &[&poor, &good], REQUESTS).await;
    let ended = |outcome| records.iter().filter(|record| record.outcome == outcome).count();
    assert!(ended(Outcome::Completed) > REQUESTS / 2);
    assert!(ended(Outcome::Refused) >= REQUESTS / 11, "{}", ended(Outcome::Refused));
    assert!(records.iter().any(|record| record.attempt_count > 1), "some were failed over");
}

/// How many of the requests go over one connection.
fn share(connection: usize) -> usize {
    REQUESTS / CONNECTIONS + usize::from(connection < REQUESTS % CONNECTIONS)
}
