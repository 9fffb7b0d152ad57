use std::{fmt::Write as _, time::Duration};

use super::*;

fn error() -> ApiError {
    ApiError::new(ErrorKind::RateLimit, "rate_limited", "too fast: wait")
        .with_param("model")
        .with_retry_after(Some(Duration::from_millis(1_200)))
        .with_request_id("req_1")
}

fn body(dialect: Dialect) -> Value {
    serde_json::from_slice(&error().body(dialect)).unwrap()
}

#[test]
fn every_dialect_draws_its_own_body() {
    let openai = json!({"error": {
        "message": "too fast: wait", "type": "rate_limit_error", "param": "model",
        "code": "rate_limited",
    }});
    assert_eq!(body(Dialect::ChatCompletions), openai);
    assert_eq!(body(Dialect::Responses), openai);
    assert_eq!(
        body(Dialect::Messages),
        json!({"type": "error", "request_id": "req_1",
            "error": {"type": "rate_limit_error", "message": "too fast: wait"}})
    );
    let gemini = body(Dialect::GenerateContent);
    assert_eq!(gemini["error"]["code"], 429);
    assert_eq!(gemini["error"]["status"], "RESOURCE_EXHAUSTED");
    assert_eq!(gemini["error"]["details"][1]["retryDelay"], "2s");
}

#[test]
fn a_stream_ends_with_its_dialects_own_error() {
    let position = StreamPosition {
        next_sequence: 7,
        response_id: Some("resp_1".to_owned()),
        ..StreamPosition::default()
    };
    let frames = |dialect| String::from_utf8(error().frames(dialect, &position).to_vec()).unwrap();
    assert!(frames(Dialect::ChatCompletions).starts_with("data: {\"error\":{"));
    assert!(!frames(Dialect::ChatCompletions).contains("[DONE]"));
    assert!(frames(Dialect::Messages).starts_with("event: error\ndata: {\"type\":\"error\""));
    assert!(frames(Dialect::GenerateContent).starts_with("data: {\"error\":{\"code\":429"));

    let responses = frames(Dialect::Responses);
    let data: Vec<Value> = responses
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    assert_eq!(
        (data[0]["type"].as_str(), data[0]["sequence_number"].as_u64()),
        (Some("error"), Some(7))
    );
    assert_eq!(data[1]["type"], "response.failed");
    assert_eq!(data[1]["sequence_number"], 8);
    assert_eq!(data[1]["response"]["id"], "resp_1");
    assert_eq!(data[1]["response"]["error"]["code"], "rate_limited");
}

#[test]
fn an_error_closes_what_is_open() {
    let in_event = StreamPosition { mid_event: true, ..StreamPosition::default() };
    let frames = error().frames(Dialect::ChatCompletions, &in_event);
    assert!(frames.starts_with(b"\n\ndata: "));
    for (array, sent) in [
        (ArrayPosition::Unopened, ""),
        (ArrayPosition::Empty, "["),
        (ArrayPosition::AfterElement, "[{\"candidates\":[]}"),
    ] {
        let position = StreamPosition { array: Some(array), ..StreamPosition::default() };
        let frames = error().frames(Dialect::GenerateContent, &position);
        let whole = format!("{sent}{}", String::from_utf8(frames.to_vec()).unwrap());
        let list: Vec<Value> = serde_json::from_str(&whole).unwrap();
        assert_eq!(list.last().unwrap()["error"]["code"], 429);
    }
}

#[test]
fn every_kind_has_a_word_in_every_dialect() {
    use ErrorKind as Kind;
    for kind in [
        Kind::Authentication,
        Kind::Permission,
        Kind::NotFound,
        Kind::InvalidRequest,
        Kind::TooLarge,
        Kind::RateLimit,
        Kind::Quota,
        Kind::Overloaded,
        Kind::Timeout,
        Kind::Upstream,
        Kind::Internal,
    ] {
        let error = ApiError::new(kind, "code", "message");
        assert!((400..600).contains(&error.status), "{kind:?}");
        for dialect in Dialect::ALL {
            let value: Value = serde_json::from_slice(&error.body(dialect)).unwrap();
            assert!(value["error"].is_object(), "{kind:?} {dialect}");
        }
    }
}

#[test]
fn errors_look_like_this() {
    let position = StreamPosition {
        next_sequence: 3,
        response_id: Some("resp_1".to_owned()),
        model: Some("m".to_owned()),
        ..StreamPosition::default()
    };
    let mut shown = String::new();
    for dialect in Dialect::ALL {
        let body = error().body(dialect);
        let frames = error().frames(dialect, &position);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (body, frames) = (text(&body), text(&frames));
        write!(shown, "== {dialect}\n{body}\n-- stream\n{frames}").unwrap();
    }
    insta::assert_snapshot!(shown);
}
