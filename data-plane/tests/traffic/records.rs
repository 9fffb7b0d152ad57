//! However a request ends, it leaves exactly one record that says how.

use bitrouter_proto::v1::{self, Outcome};
use bitrouter_testkit::{Answer, FakeProvider, Gate, Usage};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};

use crate::harness::{CHAT, GEMINI, MESSAGES, RESPONSES, Router, adjust, provider};

const BODY: &str = r#"{"model":"m","messages":[],"input":"x"}"#;
const STREAM: &str = r#"{"model":"m","messages":[],"input":"x","stream":true}"#;

fn only(mut records: Vec<v1::Usage>) -> v1::Usage {
    assert_eq!(records.len(), 1, "{records:#?}");
    records.remove(0)
}

#[tokio::test]
async fn an_answer_is_counted_by_class_and_priced_once() {
    for path in [CHAT, RESPONSES, MESSAGES, GEMINI, "/v1beta/models/m:streamGenerateContent"] {
        for body in [BODY, STREAM] {
            let fake = FakeProvider::start().await;
            let router = Router::of(&[&fake]).await;
            let used = Usage { input: 1_000, cache_read: 400, output: 50, ..Usage::default() };
            fake.script([Answer::text("one two").usage(used)]);
            let tags = [("x-bitrouter-tags", "nightly")];
            let got = router.call(Method::POST, path, &tags, body).await;
            let record = only(router.records().await);
            assert_eq!(record.outcome(), Outcome::Completed, "{path} {body}");
            let tokens = record.tokens.unwrap();
            let counts = (tokens.input_uncached, tokens.cache_read, tokens.output);
            assert_eq!(counts, (600, 400, 50), "{path} {body}");
            // 600 at 1 USD, 400 at 0.1 USD, 50 at 10 USD per million.
            assert_eq!(record.cost_micros, 1_140, "{path} {body}");
            assert!(!record.unpriced && !record.usage_unknown && !record.anomaly, "{path}");
            assert_eq!((record.status, record.config_revision), (200, 7));
            assert_eq!(record.event_id, got.header("x-bitrouter-request-id"));
            assert_eq!(record.response_bytes, u64::try_from(got.body.len()).unwrap(), "{path}");
            assert_eq!(record.tags, ["nightly"]);
            assert!(record.ttft_ms.is_some());
            assert_eq!(record.attempts.len(), 1);
            assert_eq!(record.attempts[0].status, 200);
        }
    }
}

#[tokio::test]
async fn every_attempt_is_told_with_its_reason() {
    let (bad, good) = (FakeProvider::start().await, FakeProvider::start().await);
    let router = Router::of(&[&bad, &good]).await;
    bad.script([Answer::error(429, "rate_limit_exceeded", "slow down")]);
    router.post(CHAT, STREAM).await;
    let record = only(router.records().await);
    let told: Vec<_> = record.attempts.iter().map(|it| (it.outcome(), it.status)).collect();
    assert_eq!(told, [(Outcome::UpstreamError, 429), (Outcome::Completed, 200)]);
    assert_eq!(record.attempts[0].provider_id, "p0");
    assert!(record.attempts[1].reason.starts_with("after p0:m"), "{record:?}");
    assert_eq!(record.outcome(), Outcome::Completed);
    assert!(!record.usage_unknown, "a refused attempt used nothing");
}

#[tokio::test]
async fn refusals_are_recorded_without_attempts() {
    let fake = FakeProvider::start().await;
    let resources = provider("p0", 0, &fake, &["m"]);
    let router = Router::start(resources, |settings| settings.limits.max_body = 1_000).await;
    let bad_key = [("authorization", "Bearer brvk_bad")];
    assert_eq!(router.call(Method::POST, CHAT, &bad_key, BODY).await.status, 401);
    assert_eq!(router.post(CHAT, "{").await.status, 400);
    assert_eq!(router.post(CHAT, r#"{"model":"none"}"#).await.status, 404);
    assert_eq!(router.post(CHAT, vec![b' '; 2_000]).await.status, 413);
    let records = router.records().await;
    let told: Vec<_> = records.iter().map(|it| (it.status, it.outcome())).collect();
    let refused = Outcome::Refused;
    assert_eq!(told, [(401, refused), (400, refused), (404, refused), (413, refused)]);
    assert!(records.iter().all(|it| it.attempts.is_empty() && !it.error_code.is_empty()));
    assert!(fake.requests().is_empty());
}

#[tokio::test]
async fn requests_refused_by_a_full_log_leave_nothing_in_it() {
    let fake = FakeProvider::start().await;
    let resources = provider("p0", 0, &fake, &["m"]);
    let router = Router::start(resources, |settings| settings.spool.max_bytes = 1).await;
    let before = router.handle.spool().status();
    let bad_key = [("authorization", "Bearer brvk_bad")];
    for _ in 0..5 {
        let got = router.call(Method::POST, CHAT, &bad_key, BODY).await;
        assert_eq!(
            (got.status.as_u16(), &got.json()["error"]["code"]),
            (503, &"spool_full".into())
        );
    }
    let text = router.until(|text| text.contains("bitrouter_requests_in_flight 0\n")).await;
    assert!(text.contains("bitrouter_requests_unrecorded_total 5\n"), "{text}");
    assert_eq!(router.handle.spool().status(), before);
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_is_billed_for_the_rest() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    let gate = Gate::closed();
    fake.script([Answer::text("one two three four").gate(3, &gate)]);
    let request = Request::post(router.url(CHAT)).body(Full::new(STREAM.into())).unwrap();
    let mut body = router.client.request(request).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    gate.open();
    let record = only(router.records().await);
    assert_eq!(record.outcome(), Outcome::ClientGone);
    assert_eq!((record.tokens.unwrap().output, record.usage_unknown), (5, false));
}

#[tokio::test]
async fn a_client_that_leaves_after_the_end_has_a_complete_answer() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    let end = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}],\
               \"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1,\"total_tokens\":4}}\n\ndata: [DONE]\n\n";
    let pieces = vec![Bytes::from_static(end.as_bytes()), Bytes::from_static(b": never sent\n\n")];
    fake.script([Answer::raw("text/event-stream", pieces).gate(1, &Gate::closed())]);
    let request = Request::post(router.url(CHAT)).body(Full::new(STREAM.into())).unwrap();
    let mut body = router.client.request(request).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    let record = only(router.records().await);
    assert_eq!(record.outcome(), Outcome::Completed);
    assert_eq!((record.tokens.unwrap().output, record.usage_unknown), (1, false));
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_is_billed_too() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    for body in [BODY, STREAM] {
        let gate = Gate::closed();
        fake.script([Answer::text("one").gate(0, &gate)]);
        let before = fake.requests().len();
        let request = Request::post(router.url(CHAT)).body(Full::new(Bytes::from(body))).unwrap();
        tokio::select! {
            _ = router.client.request(request) => panic!("the gate is closed"),
            _ = fake.received(before + 1) => {}
        }
        router.until(|text| text.contains("bitrouter_detached_answers 1\n")).await;
        gate.open();
        router.until(|text| text.contains("bitrouter_detached_answers 0\n")).await;
    }
    for record in router.records().await {
        assert_eq!(record.outcome(), Outcome::ClientGone);
        assert_eq!((record.tokens.unwrap().output, record.usage_unknown), (5, false));
    }
}

#[tokio::test]
async fn what_breaks_off_is_told_as_it_was() {
    let cases = [
        (Answer::text("one two three four").cut_after(3), STREAM, Outcome::Interrupted, true),
        (Answer::text("one two").without_usage(), BODY, Outcome::Completed, true),
        (Answer::error(400, "bad", "no"), BODY, Outcome::UpstreamError, false),
        (Answer::close(), BODY, Outcome::TransportError, true),
    ];
    for (answer, body, outcome, is_unknown) in cases {
        let fake = FakeProvider::start().await;
        let router = Router::of(&[&fake]).await;
        fake.script([answer]);
        router.post(CHAT, body).await;
        let record = only(router.records().await);
        assert_eq!((record.outcome(), record.usage_unknown), (outcome, is_unknown), "{record:#?}");
    }
}

#[tokio::test]
async fn an_unlisted_model_is_unpriced_and_a_local_one_is_free() {
    let (paid, local) = (FakeProvider::start().await, FakeProvider::start().await);
    let mut resources = provider("paid", 0, &paid, &["m"]);
    let own = provider("own", 1, &local, &["m"]);
    resources.extend(adjust(own, |provider| provider.billing = v1::Billing::Local.into()));
    let router = Router::start(resources, |_| {}).await;
    let got = router.post(CHAT, r#"{"model":"paid:new","messages":[]}"#).await;
    assert_eq!((got.status.as_u16(), got.header("x-bitrouter-cost-usd")), (200, ""));
    let got = router.post(CHAT, r#"{"model":"own:m","messages":[]}"#).await;
    assert_eq!((got.status.as_u16(), got.header("x-bitrouter-cost-usd")), (200, "0.00"));
    let records = router.records().await;
    assert!(records[0].unpriced && !records[1].unpriced);
    assert_eq!(records[1].cost_micros, 0);
}

#[tokio::test]
async fn what_a_cut_off_stream_has_said_is_kept_and_is_not_all() {
    // No slot to read on in, or no time.
    let settings: [fn(&mut bitrouter_data_plane::Settings); 2] = [
        |it| it.limits.max_detached = 0,
        |it| it.limits.detached_timeout = std::time::Duration::from_millis(50),
    ];
    for adjust in settings {
        let fake = FakeProvider::start().await;
        let router = Router::start(provider("p0", 0, &fake, &["m"]), adjust).await;
        let gate = Gate::closed();
        let used = Usage { input: 1_000, output: 50, ..Usage::default() };
        fake.script([Answer::text("one two three four").usage(used).gate(5, &gate)]);
        let request = Request::post(router.url(MESSAGES)).body(Full::new(STREAM.into())).unwrap();
        let mut body = router.client.request(request).await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        drop(body);
        let record = only(router.records().await);
        assert_eq!(record.outcome(), Outcome::ClientGone);
        assert_eq!(record.tokens.unwrap().input_uncached, 1_000, "{record:#?}");
        assert!(record.cost_micros >= 1_000 && record.usage_unknown, "{record:#?}");
        assert!(record.attempts[0].may_have_been_billed, "{record:#?}");
    }
}

#[tokio::test]
async fn a_stream_that_ends_with_an_error_is_recorded_with_its_code() {
    let cases = [
        (Answer::text("one two three four").cut_after(3), "upstream_interrupted"),
        (Answer::error_in_stream(2, "server_error", "x"), "server_error"),
    ];
    for (answer, code) in cases {
        let fake = FakeProvider::start().await;
        let router = Router::of(&[&fake]).await;
        fake.script([answer]);
        router.post(CHAT, STREAM).await;
        let record = only(router.records().await);
        assert_eq!((record.outcome(), &*record.error_code), (Outcome::Interrupted, code));
    }
}

#[tokio::test]
async fn the_first_byte_of_a_whole_answer_is_not_its_last() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    let answer = r#"{"choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}]}"#;
    let (first, rest) = answer.split_at(10);
    let pieces = [first, rest].map(|piece| Bytes::from_static(piece.as_bytes())).to_vec();
    let slow = std::time::Duration::from_millis(200);
    fake.script([Answer::raw("application/json", pieces).delay_pieces(slow)]);
    assert_eq!(router.post(CHAT, BODY).await.status, 200);
    let record = only(router.records().await);
    assert!(record.ttft_ms.unwrap() + 100 < record.duration_ms, "{record:#?}");
    let plan = router.post("/v1/resolve", r#"{"model":"m"}"#).await.json();
    assert!(plan["candidates"][0]["first_token_ms"].is_null(), "no measure of streams: {plan}");
    router.post(CHAT, STREAM).await;
    let plan = router.post("/v1/resolve", r#"{"model":"m"}"#).await.json();
    assert!(plan["candidates"][0]["first_token_ms"].is_number(), "{plan}");
}
