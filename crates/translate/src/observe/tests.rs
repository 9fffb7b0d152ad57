//! The facts about each dialect, one by one.

use bytes::Bytes;
use proptest::prelude::*;

use super::{
    Progress::{Ended, Flowing, Waiting},
    *,
};
use crate::error::ArrayPosition;

const CHAT: Surface = Surface::ChatCompletions;
const GEMINI: Surface = Surface::GenerateContent { stream: true };

fn end(surface: Surface, stream: &str) -> StreamEnd {
    let mut observer = StreamObserver::new(surface);
    observer.push(stream.as_bytes());
    observer.finish()
}

fn counts(tokens: Option<Tokens>) -> [u64; 9] {
    tokens.unwrap().by_class().map(|(_, count)| count)
}

fn body(surface: Surface, body: &str) -> Observed {
    observe_body(surface, 200, body.as_bytes())
}

fn chat_usage(usage: &str) -> Observed {
    body(CHAT, &format!(r#"{{"id":"c","choices":[{{"finish_reason":"stop"}}],"usage":{usage}}}"#))
}

// In, cache read, cache written (5 minutes, 1 hour), out, reasoning, audio in, audio out, image.
#[test]
fn chat_usage_is_taken_apart() {
    let cases = [
        (
            "reasoning and cache lie inside",
            r#"{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,"prompt_tokens_details":{"cached_tokens":40},"completion_tokens_details":{"reasoning_tokens":30}}"#,
            [60, 40, 0, 0, 20, 30, 0, 0, 0],
            false,
        ),
        (
            "xAI's reasoning lies outside",
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":45,"completion_tokens_details":{"reasoning_tokens":30}}"#,
            [10, 0, 0, 0, 5, 30, 0, 0, 0],
            false,
        ),
        (
            "a total above the sum is reasoning that is not named",
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":45}"#,
            [10, 0, 0, 0, 5, 30, 0, 0, 0],
            false,
        ),
        (
            "DeepSeek's cache hits",
            r#"{"prompt_tokens":100,"completion_tokens":1,"total_tokens":101,"prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":36}"#,
            [36, 64, 0, 0, 1, 0, 0, 0, 0],
            false,
        ),
        (
            "audio, images and cache writes",
            r#"{"prompt_tokens":100,"completion_tokens":50,"prompt_tokens_details":{"audio_tokens":30,"cached_tokens":10,"cache_write_tokens":20},"completion_tokens_details":{"audio_tokens":25,"image_tokens":5}}"#,
            [40, 10, 20, 0, 20, 0, 30, 25, 5],
            false,
        ),
        (
            "more cached than prompted",
            r#"{"prompt_tokens":10,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":40}}"#,
            [0, 40, 0, 0, 1, 0, 0, 0, 0],
            true,
        ),
        (
            "a total below the sum",
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":3}"#,
            [10, 0, 0, 0, 5, 0, 0, 0, 0],
            true,
        ),
        (
            "numbers that are none",
            r#"{"prompt_tokens":10.0,"completion_tokens":"5","total_tokens":null,"prompt_tokens_details":null}"#,
            [10, 0, 0, 0, 0, 0, 0, 0, 0],
            true,
        ),
        (
            "a negative number",
            r#"{"prompt_tokens":-5,"completion_tokens":5}"#,
            [0, 0, 0, 0, 5, 0, 0, 0, 0],
            true,
        ),
    ];
    for (case, usage, expected, anomaly) in cases {
        let observed = chat_usage(usage);
        assert_eq!(counts(observed.tokens), expected, "{case}");
        assert_eq!(observed.anomaly, anomaly, "{case}");
    }
}

#[test]
fn messages_usage_excludes_the_cache_and_splits_its_writes() {
    let usage = |usage| body(Surface::Messages, &format!(r#"{{"content":[],"usage":{usage}}}"#));
    let split = usage(
        r#"{"input_tokens":5,"output_tokens":9,"cache_read_input_tokens":100,"cache_creation_input_tokens":30,"cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20},"output_tokens_details":{"thinking_tokens":4},"inference_geo":"x"}"#,
    );
    assert_eq!(counts(split.tokens), [5, 100, 10, 20, 5, 4, 0, 0, 0]);
    assert!(!split.anomaly);
    let whole = usage(r#"{"input_tokens":5,"output_tokens":9,"cache_creation_input_tokens":30}"#);
    assert_eq!(counts(whole.tokens), [5, 0, 30, 0, 9, 0, 0, 0, 0]);
    let odd = usage(
        r#"{"input_tokens":5,"cache_creation_input_tokens":30,"cache_creation":{"ephemeral_1h_input_tokens":20}}"#,
    );
    assert_eq!(counts(odd.tokens), [5, 0, 10, 20, 0, 0, 0, 0, 0]);
    assert!(odd.anomaly);
    let advised = usage(
        r#"{"input_tokens":5,"output_tokens":9,"iterations":[{"type":"message","input_tokens":5,"output_tokens":9},{"type":"advisor_message","model":"x","input_tokens":7,"output_tokens":2}]}"#,
    );
    assert_eq!(counts(advised.tokens), [12, 0, 0, 0, 11, 0, 0, 0, 0]);
    assert!(advised.anomaly, "the advisor has another price");
}

#[test]
fn gemini_usage_has_thoughts_and_tool_prompts_beside_the_counts() {
    let usage = |usage| body(GEMINI, &format!(r#"{{"candidates":[],"usageMetadata":{usage}}}"#));
    let observed = usage(
        r#"{"promptTokenCount":100,"cachedContentTokenCount":40,"candidatesTokenCount":20,"thoughtsTokenCount":30,"toolUsePromptTokenCount":7,"totalTokenCount":157,"promptTokensDetails":[{"modality":"TEXT","tokenCount":70},{"modality":"AUDIO","tokenCount":30}],"cacheTokensDetails":[{"modality":"AUDIO","tokenCount":10}],"candidatesTokensDetails":[{"modality":"IMAGE","tokenCount":15},{"modality":"NEW","tokenCount":1}]}"#,
    );
    assert_eq!(counts(observed.tokens), [47, 40, 0, 0, 5, 30, 20, 0, 15]);
    assert_eq!(observed.tokens.unwrap().total(), 157);
    assert!(!observed.anomaly);
    assert!(
        usage(r#"{"promptTokenCount":1,"candidatesTokenCount":1,"totalTokenCount":9}"#).anomaly
    );
}

#[test]
fn the_other_surfaces_report_usage_too() {
    let embedding = r#"{"object":"list","data":[],"usage":{"prompt_tokens":8,"total_tokens":8}}"#;
    assert_eq!(counts(body(Surface::Embeddings, embedding).tokens), [8, 0, 0, 0, 0, 0, 0, 0, 0]);
    let completion = r#"{"choices":[{"text":"x","finish_reason":"length"}],"usage":{"prompt_tokens":8,"completion_tokens":2,"total_tokens":10}}"#;
    let completion = body(Surface::Completions, completion);
    assert_eq!(completion.tokens.unwrap().total(), 10);
    assert_eq!(completion.finish.as_deref(), Some("length"));
    let batch = r#"{"embeddings":[{"values":[0.1]}],"usageMetadata":{"promptTokenCount":3}}"#;
    let batch = body(Surface::EmbedContent { batch: true }, batch);
    assert_eq!(batch.tokens.unwrap().total(), 3);
    let response = r#"{"id":"resp_1","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"output":[],"error":null,"usage":{"input_tokens":10,"output_tokens":5,"total_tokens":15,"input_tokens_details":{"cached_tokens":4},"output_tokens_details":{"reasoning_tokens":2}}}"#;
    let response = body(Surface::Responses, response);
    assert_eq!(counts(response.tokens), [6, 4, 0, 0, 3, 2, 0, 0, 0]);
    assert_eq!(response.finish.as_deref(), Some("max_output_tokens"));
    assert_eq!(response.fault, None);
}

#[test]
fn a_success_that_is_none_is_seen() {
    let cases = [
        (CHAT, r#"{"error":{"message":"slow","code":429}}"#, FaultKind::RateLimited),
        (CHAT, r#"{"error":"model crashed"}"#, FaultKind::Server),
        (CHAT, r#"{"choices":[{"error":{"code":502,"message":"x"}}]}"#, FaultKind::Server),
        (CHAT, "{}", FaultKind::Malformed),
        (CHAT, "<html></html>", FaultKind::Malformed),
        (CHAT, "", FaultKind::Malformed),
        (CHAT, r#"{"object":"error","message":"boom","type":"x"}"#, FaultKind::Server),
        (
            Surface::Messages,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#,
            FaultKind::Overloaded,
        ),
        (
            Surface::Responses,
            r#"{"status":"failed","output":[],"error":{"code":"server_error","message":"x"}}"#,
            FaultKind::Server,
        ),
        (
            GEMINI,
            r#"{"error":{"code":503,"message":"x","status":"UNAVAILABLE"}}"#,
            FaultKind::Overloaded,
        ),
        (GEMINI, r#"[{"error":{"code":429,"message":"x"}}]"#, FaultKind::RateLimited),
    ];
    for (surface, text, expected) in cases {
        let fault = body(surface, text).fault;
        assert_eq!(fault.map(|fault| fault.kind), Some(expected), "{text}");
    }
    let blocked = body(GEMINI, r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#);
    assert_eq!((blocked.fault, blocked.finish.as_deref()), (None, Some("SAFETY")));
    let twice = body(CHAT, r#"{"id":"a","id":"b","choices":[]}"#);
    assert_eq!((twice.fault, twice.response_id.as_deref()), (None, Some("b")));
}

const CHAT_STREAM: &str = concat!(
    ": PROCESSING\n\n",
    "data: {\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n\n",
    "data: {\"id\":\"c1\",\"choices\":[{\"delta\":{\"content\":\"say \\\"error\\\": 1\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"c1\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: {\"id\":\"c1\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\n",
    "data: [DONE]\n\n",
);

#[test]
fn a_chat_stream_is_followed() {
    let mut observer = StreamObserver::new(CHAT);
    let mut progress = Vec::new();
    for event in CHAT_STREAM.split_inclusive("\n\n") {
        progress.push(observer.push(event.as_bytes()));
    }
    assert_eq!(progress, [Waiting, Waiting, Flowing, Flowing, Flowing, Ended]);
    let end = observer.finish();
    assert_eq!(end.outcome, StreamOutcome::Complete);
    assert_eq!(end.observed.tokens.unwrap().total(), 5);
    assert_eq!(end.observed.finish.as_deref(), Some("stop"));
    assert_eq!(end.observed.response_id.as_deref(), Some("c1"));
    assert!(!end.observed.anomaly);
}

#[test]
fn the_end_of_a_chat_stream_is_done_or_a_finish_reason() {
    let events: Vec<&str> = CHAT_STREAM.split_inclusive("\n\n").collect();
    for (kept, expected) in [
        (6, StreamOutcome::Complete),
        (5, StreamOutcome::Complete),
        (4, StreamOutcome::Complete),
        (3, StreamOutcome::Truncated),
        (0, StreamOutcome::Truncated),
    ] {
        assert_eq!(end(CHAT, &events[..kept].concat()).outcome, expected, "{kept} events");
    }
    let unfinished = format!("{}data: {{\"id\":\"c1\",\"cho", events[..3].concat());
    let cut = end(CHAT, &unfinished);
    assert_eq!((cut.outcome, cut.observed.anomaly), (StreamOutcome::Truncated, false));
    assert_eq!(end(CHAT, CHAT_STREAM.trim_end()).outcome, StreamOutcome::Complete);
}

fn relay(observer: &mut StreamObserver, stream: &str, size: usize) -> String {
    let whole = Bytes::from(stream.to_owned());
    let mut out = Vec::new();
    for chunk in whole.chunks(size) {
        observer.relay(whole.slice_ref(chunk), &mut out);
    }
    String::from_utf8(out.concat()).unwrap()
}

#[test]
fn only_the_usage_event_is_stripped() {
    let crs = CHAT_STREAM.replace('\n', "\r\n");
    let bare = CHAT_STREAM.replace('\n', "\r");
    for stream in [CHAT_STREAM, &crs, &bare] {
        let expected: String = {
            let end = if stream == bare {
                "\r\r"
            } else if stream == crs {
                "\r\n\r\n"
            } else {
                "\n\n"
            };
            stream.split_inclusive(end).filter(|event| !event.contains("\"usage\":{")).collect()
        };
        assert!(expected.len() < stream.len());
        for size in [1, 2, 7, 61, 200, usize::MAX] {
            let mut observer = StreamObserver::new(CHAT).stripping_usage();
            let sent = relay(&mut observer, stream, size);
            assert_eq!(sent, expected, "by {size}");
            let end = observer.finish();
            assert_eq!(end.rest, Vec::<Bytes>::new());
            assert_eq!(end.observed.tokens.unwrap().total(), 5);
        }
    }
    let with_choices = CHAT_STREAM.replace("\"choices\":[],", "\"choices\":[{\"delta\":{}}],");
    let mut observer = StreamObserver::new(CHAT).stripping_usage();
    assert_eq!(relay(&mut observer, &with_choices, 50), with_choices);
}

#[test]
fn a_cut_stream_leaves_no_half_event() {
    let at = CHAT_STREAM.find("say").unwrap();
    let mut observer = StreamObserver::new(CHAT);
    let sent = relay(&mut observer, &CHAT_STREAM[..at], 10);
    assert!(sent.ends_with("\n\n"), "{sent}");
    assert!(!observer.position().mid_event);
    assert_eq!(observer.finish().rest, Vec::<Bytes>::new());

    let mut looking = StreamObserver::new(CHAT);
    looking.push(&CHAT_STREAM.as_bytes()[..at]);
    assert!(looking.position().mid_event);
}

#[test]
fn a_chunk_of_whole_events_passes_uncopied() {
    let chunk = Bytes::from_static(CHAT_STREAM.as_bytes());
    let mut out = Vec::new();
    StreamObserver::new(CHAT).relay(chunk.clone(), &mut out);
    assert_eq!(out.len(), 1);
    assert_eq!(out[0].as_ptr(), chunk.as_ptr());
}

#[test]
fn an_event_too_large_to_read_still_passes() {
    let large = format!(
        "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n",
        "x".repeat(500)
    );
    let stream = format!("{large}{CHAT_STREAM}");
    let mut observer = StreamObserver::new(CHAT).with_max_event(200);
    let sent = relay(&mut observer, &stream, 64);
    assert_eq!(sent, stream);
    let end = observer.finish();
    assert!(end.observed.anomaly);
    assert_eq!(end.outcome, StreamOutcome::Complete);
}

#[test]
fn messages_usage_is_cumulative_and_pings_mean_nothing() {
    let stream = concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"m\",\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":5,\"output_tokens\":1}}}\n\n",
        "event: ping\ndata: {\"type\":\"ping\"}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"x\"}}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"input_tokens\":12,\"output_tokens\":9}}\n\n",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    );
    let mut observer = StreamObserver::new(Surface::Messages);
    let progress: Vec<_> =
        stream.split_inclusive("\n\n").map(|event| observer.push(event.as_bytes())).collect();
    assert_eq!(progress, [Waiting, Waiting, Flowing, Flowing, Ended]);
    let whole = observer.finish();
    assert_eq!(counts(whole.observed.tokens), [12, 5, 0, 0, 9, 0, 0, 0, 0]);
    assert_eq!(whole.observed.finish.as_deref(), Some("end_turn"));
    let cut = &stream[..stream.find("event: message_stop").unwrap()];
    assert_eq!(end(Surface::Messages, cut).outcome, StreamOutcome::Truncated);
    let nameless = stream.replace("event: content_block_delta\n", "").replace("event: ping\n", "");
    assert_eq!(end(Surface::Messages, &nameless).outcome, StreamOutcome::Complete);
}

#[test]
fn an_error_inside_a_stream_is_a_fault() {
    let cases = [
        (
            CHAT,
            "data: {\"error\":{\"code\":502,\"message\":\"x\"}}\n\ndata: [DONE]\n\n",
            FaultKind::Server,
        ),
        (
            CHAT,
            "event: error\ndata: {\"message\":\"x\",\"code\":\"rate_limit_exceeded\"}\n\n",
            FaultKind::RateLimited,
        ),
        (
            Surface::Messages,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}\n\n",
            FaultKind::Overloaded,
        ),
        (
            Surface::Responses,
            "event: error\ndata: {\"type\":\"error\",\"sequence_number\":2,\"error\":{\"code\":\"insufficient_quota\",\"message\":\"x\"}}\n\n",
            FaultKind::Credit,
        ),
        (
            Surface::Responses,
            "event: error\ndata: {\"type\":\"error\",\"code\":\"insufficient_quota\",\"message\":\"x\"}\n\n",
            FaultKind::Credit,
        ),
        (
            Surface::Responses,
            "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"status\":\"failed\",\"error\":{\"code\":\"server_error\",\"message\":\"x\"}}}\n\n",
            FaultKind::Server,
        ),
        (GEMINI, "data: {\"error\":{\"code\":429,\"message\":\"x\"}}\n\n", FaultKind::RateLimited),
        (GEMINI, "[{\n \"error\": {\"code\": 503, \"message\": \"x\"}}\n]", FaultKind::Overloaded),
        (CHAT, "{\"error\":{\"code\":400,\"message\":\"x\"}}", FaultKind::Invalid),
    ];
    for (surface, stream, expected) in cases {
        match end(surface, stream).outcome {
            StreamOutcome::Failed(fault) => assert_eq!(fault.kind, expected, "{stream}"),
            other => panic!("{stream}: {other:?}"),
        }
    }
}

#[test]
fn a_responses_stream_counts_its_events() {
    let stream = concat!(
        "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\",\"status\":\"in_progress\",\"usage\":null}}\n\n",
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":4,\"delta\":\"x\"}\n\n",
    );
    let mut observer = StreamObserver::new(Surface::Responses);
    let mut progress = Vec::new();
    for event in stream.split_inclusive("\n\n") {
        progress.push(observer.push(event.as_bytes()));
    }
    assert_eq!(progress, [Progress::Waiting, Progress::Flowing]);
    let position = observer.position();
    assert_eq!((position.next_sequence, position.response_id.as_deref()), (5, Some("resp_1")));
    observer.push(b"event: response.incomplete\ndata: {\"type\":\"response.incomplete\",\"response\":{\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":\"content_filter\"},\"usage\":{\"input_tokens\":1,\"output_tokens\":2,\"total_tokens\":3}}}\n\n");
    let end = observer.finish();
    assert_eq!(end.outcome, StreamOutcome::Complete);
    assert_eq!(end.observed.tokens.unwrap().total(), 3);
    assert_eq!(end.observed.finish.as_deref(), Some("content_filter"));
}

const GEMINI_ARRAY: &str = "[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a}]\\\\\\\"{\"}]}}],\"usageMetadata\":{\"promptTokenCount\":1,\"candidatesTokenCount\":1,\"totalTokenCount\":2}}\n,\r\n{\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":1,\"candidatesTokenCount\":4,\"totalTokenCount\":5}}\n]\n";

#[test]
fn gemini_streams_in_both_framings() {
    let events = GEMINI_ARRAY.trim().trim_matches(['[', ']']).replace("\n,\r\n", "\r\n\r\ndata: ");
    let events = format!("data: {events}\r\n\r\n");
    for stream in [GEMINI_ARRAY, &events] {
        for size in [1, 7, 61, usize::MAX] {
            let mut observer = StreamObserver::new(GEMINI);
            let mut sent = relay(&mut observer, stream, size);
            let end = observer.finish();
            assert_eq!(end.outcome, StreamOutcome::Complete, "by {size}");
            assert_eq!(counts(end.observed.tokens), [1, 0, 0, 0, 4, 0, 0, 0, 0]);
            sent.push_str(&String::from_utf8(end.rest.concat()).unwrap());
            assert_eq!(sent, stream);
        }
    }
    let mut observer = StreamObserver::new(GEMINI);
    let cut = GEMINI_ARRAY.find("\"STOP\"").unwrap();
    let sent = relay(&mut observer, &GEMINI_ARRAY[..cut], 9);
    assert_eq!(observer.position().array, Some(ArrayPosition::AfterElement));
    let error = crate::error::ApiError::new(crate::error::ErrorKind::Upstream, "cut", "cut");
    let frames = error.frames(Dialect::GenerateContent, &observer.position());
    let whole = format!("{sent}{}", String::from_utf8(frames.to_vec()).unwrap());
    let list: Vec<serde_json::Value> = serde_json::from_str(&whole).unwrap();
    assert_eq!((list.len(), &list[1]["error"]["code"]), (2, &502.into()));
    assert_eq!(observer.finish().outcome, StreamOutcome::Truncated);
    let blocked = "data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}\n\n";
    assert_eq!(end(GEMINI, blocked).outcome, StreamOutcome::Complete);
}

#[test]
fn a_whole_answer_in_place_of_a_stream_is_read() {
    let whole = r#"{"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    let end = end(CHAT, whole);
    assert_eq!(end.outcome, StreamOutcome::Complete);
    assert_eq!(end.observed.tokens.unwrap().total(), 3);
}

proptest! {
    #[test]
    fn any_bytes_are_survived(
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b'{'), Just(b'}'), Just(b'"'), Just(b'[')], 0..300),
        prefix in prop_oneof![Just(""), Just("data: {\"choices\":["), Just("event: error\ndata: "), Just("[{")],
        sizes in proptest::collection::vec(1_usize..30, 1..20),
    ) {
        let stream = Bytes::from([prefix.as_bytes(), &bytes].concat());
        for surface in [CHAT, Surface::Messages, Surface::Responses, GEMINI] {
            let _ = observe_body(surface, 200, &stream);
            let _ = observe_body(surface, 500, &stream);
            let mut whole = StreamObserver::new(surface);
            whole.push(&stream);
            let mut observer = StreamObserver::new(surface);
            let (mut rest, mut out) = (stream.clone(), Vec::new());
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                observer.relay(rest.split_to((*size).min(rest.len())), &mut out);
            }
            let sent = out.concat();
            prop_assert!(stream.starts_with(&sent));
            let (one, other) = (observer.finish(), whole.finish());
            prop_assert_eq!(&one.outcome, &other.outcome);
            prop_assert_eq!(&one.observed, &other.observed);
            if one.outcome != StreamOutcome::Truncated {
                prop_assert_eq!([sent, one.rest.concat()].concat(), stream.to_vec());
            }
        }
    }
}
