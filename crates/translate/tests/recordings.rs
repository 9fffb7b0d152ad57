//! Recorded provider traffic and real clients' requests, where the recordings are at hand.
//!
//! They are not part of the repository: they are looked for in `$BITROUTER_SHARED`, else in
//! `../shared` beside the repository, and each test is skipped by name where they are absent.

#![expect(clippy::panic, clippy::print_stdout, clippy::unwrap_used, reason = "these are tests")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use bitrouter_translate::{
    Surface,
    observe::{Observed, StreamEnd, StreamObserver, StreamOutcome, observe_body},
    scan::{Rewrite, rewrite, scan, with_model},
    surface::{Accent, recognise},
};
use bytes::Bytes;
use serde_json::Value;

#[expect(clippy::disallowed_methods, reason = "tests find the recordings by the environment")]
fn shared(test: &str, part: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var("BITROUTER_SHARED").map_or_else(|_| beside(), PathBuf::from);
    let path = root.join(part);
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: {test} needs {part} in the shared recordings");
    None
}

struct Recording {
    name: String,
    surface: Surface,
    status: u16,
    is_stream: bool,
    answer: Vec<u8>,
    request: Option<Value>,
}

fn surface_of(folder: &str, is_stream: bool, name: &str, request: Option<&Value>) -> Surface {
    match folder {
        "openai-chat" => Surface::ChatCompletions,
        "openai-responses" => Surface::Responses,
        "anthropic-messages" => Surface::Messages,
        "gemini" => Surface::GenerateContent { stream: is_stream },
        _ => {
            let path = request.and_then(|request| request["path"].as_str()).unwrap_or(name);
            let batch = path.contains("batchEmbed");
            let is_gemini = path.contains("EmbedContent") || path.contains("embedContent");
            if is_gemini { Surface::EmbedContent { batch } } else { Surface::Embeddings }
        }
    }
}

fn recordings(root: &Path) -> Vec<Recording> {
    let manifest: Vec<Value> =
        serde_json::from_slice(&fs::read(root.join("manifest.json")).unwrap()).unwrap();
    let mut all = Vec::new();
    for entry in &manifest {
        let (folder, name) = (entry["protocol"].as_str().unwrap(), entry["name"].as_str().unwrap());
        let known =
            ["openai-chat", "openai-responses", "anthropic-messages", "gemini", "embeddings"];
        if !known.contains(&folder) || entry["kind"] == "txt" {
            continue;
        }
        let kind = entry["kind"].as_str().unwrap();
        let is_stream = kind == "sse";
        let file = |suffix: &str| root.join(folder).join(format!("{name}.{suffix}"));
        let request = fs::read(file("request.json")).ok();
        let request = request.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        all.push(Recording {
            name: format!("{folder}/{name}"),
            surface: surface_of(folder, is_stream, name, request.as_ref()),
            status: entry["status"].as_u64().map_or(200, |status| u16::try_from(status).unwrap()),
            is_stream,
            answer: fs::read(file(&format!("response.{kind}"))).unwrap(),
            request,
        });
    }
    assert!(all.len() > 500, "only {} recordings", all.len());
    all
}

fn watch(recording: &Recording, piece: usize) -> StreamEnd {
    let mut observer = StreamObserver::new(recording.surface);
    for chunk in recording.answer.chunks(piece) {
        observer.push(chunk);
    }
    observer.finish()
}

/// The total that the provider states itself, where it states one.
fn stated_total(surface: Surface, usage: &Value) -> Option<u64> {
    let sum = |names: &[&str]| names.iter().map(|name| usage[*name].as_u64().unwrap_or(0)).sum();
    match surface.dialect()?.as_str() {
        "messages" if usage["iterations"].is_null() => Some(sum(&[
            "input_tokens",
            "cache_read_input_tokens",
            "cache_creation_input_tokens",
            "output_tokens",
        ])),
        "messages" => None,
        "generate_content" => usage["totalTokenCount"].as_u64(),
        _ => usage["total_tokens"].as_u64(),
    }
}

#[test]
fn every_recorded_body_is_understood() {
    let Some(root) = shared("every_recorded_body_is_understood", "fixtures") else { return };
    let mut seen = 0;
    for recording in recordings(&root).iter().filter(|recording| !recording.is_stream) {
        let name = &recording.name;
        let observed = observe_body(recording.surface, recording.status, &recording.answer);
        let body: Value = serde_json::from_slice(&recording.answer).unwrap();
        if recording.surface == Surface::Responses && body.get("choices").is_some() {
            assert!(observed.fault.is_some(), "{name}: another dialect's body");
            continue;
        }
        let body = body.as_array().and_then(|list| list.last()).unwrap_or(&body).clone();
        let has_error = body.get("error").is_some_and(|error| !error.is_null());
        assert_eq!(observed.fault.is_some(), has_error || recording.status >= 400, "{name}");
        let usage = [&body["usage"], &body["usageMetadata"]].into_iter().find(|u| u.is_object());
        let Some(usage) = usage else { continue };
        let Some(tokens) = observed.tokens else { panic!("{name}: no usage") };
        if let Some(total) = stated_total(recording.surface, usage) {
            assert_eq!(tokens.total(), total, "{name}: {usage}");
        }
        seen += 1;
    }
    assert!(seen > 400, "only {seen} bodies with usage");
}

/// Recordings that do not end as their dialect says.
fn ends_badly(recording: &Recording) -> bool {
    let text = String::from_utf8_lossy(&recording.answer);
    match recording.surface {
        Surface::ChatCompletions => {
            !text.contains("[DONE]") && !text.contains("\"finish_reason\":\"")
        }
        Surface::Messages => !text.contains("message_stop"),
        Surface::Responses => {
            !text.contains("\"response.completed\"") && !text.contains("\"response.incomplete\"")
        }
        _ => !text.contains("\"finishReason\"") && !text.contains("blockReason"),
    }
}

#[test]
fn every_recorded_stream_ends_as_it_should() {
    let Some(root) = shared("every_recorded_stream_ends_as_it_should", "fixtures") else { return };
    let mut outcomes: BTreeMap<&str, u32> = BTreeMap::new();
    for recording in recordings(&root).iter().filter(|recording| recording.is_stream) {
        let name = &recording.name;
        let end = watch(recording, usize::MAX);
        let text = String::from_utf8_lossy(&recording.answer);
        let has_error = text.lines().any(|line| {
            (line.starts_with("data: {") && line.contains("\"error\":{"))
                || line.trim() == "event: error"
        }) || text.contains("\"type\":\"response.failed\"");
        match &end.outcome {
            StreamOutcome::Failed(_) => assert!(has_error, "{name}: {:?}", end.observed.fault),
            StreamOutcome::Truncated => assert!(ends_badly(recording), "{name} is whole"),
            StreamOutcome::Complete => {
                assert!(!has_error && !ends_badly(recording), "{name} is not whole");
            }
        }
        let outcome = match end.outcome {
            StreamOutcome::Failed(_) => "failed",
            StreamOutcome::Truncated => "truncated",
            StreamOutcome::Complete => "complete",
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    println!("{outcomes:?}");
    assert!(outcomes["complete"] > 180, "{outcomes:?}");
}

#[test]
fn the_last_usage_of_a_recorded_stream_is_what_counts() {
    let test = "the_last_usage_of_a_recorded_stream_is_what_counts";
    let Some(root) = shared(test, "fixtures") else { return };
    let mut seen = 0;
    for recording in recordings(&root).iter().filter(|recording| recording.is_stream) {
        if matches!(recording.surface, Surface::Messages) {
            continue;
        }
        let stream = String::from_utf8_lossy(&recording.answer);
        let pieces = stream.lines().filter_map(|line| line.strip_prefix("data:"));
        let events = pieces.filter_map(|data| serde_json::from_str::<Value>(data).ok());
        let mut usages = events.filter_map(|event| {
            let places = [&event["usage"], &event["usageMetadata"], &event["response"]["usage"]];
            places.into_iter().find(|usage| usage.is_object()).cloned()
        });
        let Some(usage) = usages.next_back() else { continue };
        let observed = watch(recording, usize::MAX).observed;
        let Some(tokens) = observed.tokens else { panic!("{}: no usage", recording.name) };
        if let Some(total) = stated_total(recording.surface, &usage) {
            assert_eq!(tokens.total(), total, "{}: {usage}", recording.name);
        }
        seen += 1;
    }
    assert!(seen > 100, "only {seen} streams with usage");
}

#[test]
fn the_usage_of_a_recorded_message_is_the_last_of_each_count() {
    let test = "the_usage_of_a_recorded_message_is_the_last_of_each_count";
    let Some(root) = shared(test, "fixtures") else { return };
    let mut seen = 0;
    for recording in recordings(&root).iter().filter(|recording| recording.is_stream) {
        // What an advisor or a compaction used comes on top of the counts.
        let has_more = ["advisor", "compaction"].iter().any(|kind| recording.name.contains(kind));
        if recording.surface != Surface::Messages || has_more {
            continue;
        }
        let stream = String::from_utf8_lossy(&recording.answer);
        let mut last: BTreeMap<String, u64> = BTreeMap::new();
        for data in stream.lines().filter_map(|line| line.strip_prefix("data:")) {
            let Ok(event) = serde_json::from_str::<Value>(data) else { continue };
            for usage in [&event["usage"], &event["message"]["usage"]] {
                for (name, count) in usage.as_object().into_iter().flatten() {
                    last.extend(count.as_u64().map(|count| (name.clone(), count)));
                }
            }
        }
        let Some(tokens) = watch(recording, usize::MAX).observed.tokens else { continue };
        let count = |name: &str| last.get(name).copied().unwrap_or(0);
        let input = count("input_tokens")
            + count("cache_read_input_tokens")
            + count("cache_creation_input_tokens");
        let name = &recording.name;
        assert_eq!(
            (tokens.input_total(), tokens.output_total()),
            (input, count("output_tokens")),
            "{name}"
        );
        seen += 1;
    }
    assert!(seen > 50, "only {seen} messages");
}

#[test]
fn a_recorded_stream_that_is_cut_is_never_whole() {
    let Some(root) = shared("a_recorded_stream_that_is_cut_is_never_whole", "fixtures") else {
        return;
    };
    for recording in recordings(&root).iter().filter(|recording| recording.is_stream) {
        for part in [4, 2] {
            let mut observer = StreamObserver::new(recording.surface);
            let cut = &recording.answer[..recording.answer.len() / part];
            observer.push(cut);
            let text = String::from_utf8_lossy(cut);
            // Some recordings are several streams joined: the first of them may be whole.
            let ends = [
                "finish_reason\":\"",
                "finish_reason\": \"",
                "finishReason",
                "blockReason",
                "message_stop",
                "response.completed",
            ];
            let may_be_whole = ends.iter().any(|end| text.contains(end));
            let end = observer.finish();
            let is_whole = end.outcome == StreamOutcome::Complete;
            assert!(!is_whole || may_be_whole, "{} at 1/{part}", recording.name);
        }
    }
}

#[test]
fn no_recording_contradicts_itself() {
    let Some(root) = shared("no_recording_contradicts_itself", "fixtures") else { return };
    for recording in recordings(&root) {
        let observed = if recording.is_stream {
            watch(&recording, usize::MAX).observed
        } else {
            observe_body(recording.surface, recording.status, &recording.answer)
        };
        // Tokens of a second model, more reasoning than output, and another dialect's body.
        let known = ["advisor", "fallback", "openrouter_stream_error", "azure-deepseek-reasoning"];
        let is_known = known.iter().any(|known| recording.name.contains(known));
        assert!(!observed.anomaly || is_known, "{}: {observed:?}", recording.name);
    }
}

#[test]
fn a_stream_is_read_alike_however_it_is_cut() {
    let Some(root) = shared("a_stream_is_read_alike_however_it_is_cut", "fixtures") else { return };
    let strip = |end: StreamEnd| -> (StreamOutcome, Observed) { (end.outcome, end.observed) };
    for recording in recordings(&root).iter().filter(|recording| recording.is_stream) {
        let expected = strip(watch(recording, usize::MAX));
        for piece in [1, 7, 61] {
            assert_eq!(strip(watch(recording, piece)), expected, "{} by {piece}", recording.name);
        }
    }
}

#[test]
fn a_relayed_stream_is_the_same_stream() {
    let Some(root) = shared("a_relayed_stream_is_the_same_stream", "fixtures") else { return };
    for recording in recordings(&root).iter().filter(|recording| recording.is_stream) {
        for piece in [usize::MAX, 7, 1024] {
            let mut observer = StreamObserver::new(recording.surface);
            let mut out = Vec::new();
            let whole = Bytes::from(recording.answer.clone());
            for chunk in whole.chunks(piece) {
                observer.relay(whole.slice_ref(chunk), &mut out);
            }
            let end = observer.finish();
            if end.outcome == StreamOutcome::Truncated {
                continue;
            }
            out.extend(end.rest);
            assert!(out.concat() == recording.answer, "{} by {piece}", recording.name);
        }
    }
}

#[test]
fn only_the_model_changes_in_a_real_clients_request() {
    let test = "only_the_model_changes_in_a_real_clients_request";
    let Some(root) = shared(test, "captures") else { return };
    let mut seen = 0;
    for folder in fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()) {
        if !folder.is_dir() {
            continue;
        }
        for file in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let capture: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
            let path = capture["path"].as_str().unwrap();
            let path = path.split('?').next().unwrap();
            let method = capture["method"].as_str().unwrap();
            let Ok(call) = recognise(method, path, Accent::default()) else {
                assert!(path.starts_with("/api/"), "{path} of {}", file.display());
                continue;
            };
            if method != "POST" || call.surface.dialect().is_none() {
                continue;
            }
            let body = serde_json::to_vec_pretty(&capture["body"]).unwrap();
            check_splice(&file.display().to_string(), call.surface, call.model.as_deref(), body);
            seen += 1;
        }
    }
    assert!(seen > 100, "only {seen} captures");
}

#[test]
fn only_the_model_changes_in_a_recorded_request() {
    let test = "only_the_model_changes_in_a_recorded_request";
    let Some(root) = shared(test, "fixtures") else { return };
    for recording in recordings(&root) {
        let Some(request) = recording.request else { continue };
        let Some(path) = request["path"].as_str() else { continue };
        let path = path.split('?').next().unwrap();
        let accent = Accent::default();
        let model = recognise("POST", path, accent).ok().and_then(|call| call.model);
        let body = &request["body"];
        if body.is_object() {
            let body = serde_json::to_vec(body).unwrap();
            let model = model.as_deref().or(Some("m"));
            check_splice(&recording.name, recording.surface, model, body);
        }
    }
}

/// Splices a marker in for the model, and back: everything else must have stayed.
fn check_splice(name: &str, surface: Surface, model: Option<&str>, body: Vec<u8>) {
    let body = Bytes::from(body);
    let head = scan(surface, model, &body).unwrap_or_else(|error| panic!("{name}: {error}"));
    let same = with_model(&body, &head, &head.model);
    if surface.dialect().is_some_and(|dialect| dialect.as_str() != "generate_content") {
        assert_eq!(same, body, "{name}");
    }
    let marked = with_model(&body, &head, "a \"marked\" model");
    let mut expected: Value = serde_json::from_slice(&body).unwrap();
    let marked_tree: Value = serde_json::from_slice(&marked).unwrap();
    for (place, value) in models_of(&mut expected) {
        let prefix = if value.as_str().unwrap().starts_with("models/") { "models/" } else { "" };
        *value = Value::from(format!("{prefix}a \"marked\" model"));
        assert!(!place.is_empty());
    }
    assert_eq!(marked_tree, expected, "{name}");
    if head.stream && surface == Surface::ChatCompletions {
        let both = Rewrite { model: Some(&head.model), stream_usage: true };
        let asking = rewrite(&body, &head, both);
        let mut expected: Value = serde_json::from_slice(&body).unwrap();
        expected["stream_options"]["include_usage"] = Value::from(true);
        assert_eq!(serde_json::from_slice::<Value>(&asking).unwrap(), expected, "{name}");
    }
}

fn models_of(body: &mut Value) -> Vec<(&'static str, &mut Value)> {
    let mut places = Vec::new();
    for (key, value) in body.as_object_mut().unwrap() {
        match key.as_str() {
            "model" => places.push(("model", value)),
            "requests" => {
                for request in value.as_array_mut().unwrap() {
                    places.extend(request.get_mut("model").map(|model| ("requests", model)));
                }
            }
            _ => {}
        }
    }
    places
}
