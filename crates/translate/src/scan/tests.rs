use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::Surface;

const CHAT: Surface = Surface::ChatCompletions;
const GEMINI: Surface = Surface::GenerateContent { stream: true };

fn head(surface: Surface, body: &str) -> RequestHead {
    scan(surface, Some("g"), body.as_bytes()).unwrap()
}

fn refused(surface: Surface, body: &str) -> ScanError {
    scan(surface, None, body.as_bytes()).unwrap_err()
}

#[test]
fn the_head_is_read_in_every_dialect() {
    let chat = head(
        CHAT,
        r#"{"messages":[{"model":"inner"}],"model":"gpt\u002d4o","stream":true,"max_tokens":5,
            "max_completion_tokens":9,"n":2,"tools":[{}],"user":"u","prompt_cache_key":"p",
            "metadata":{"team":"red","size":3},"stream_options":{"include_usage":true}}"#,
    );
    assert_eq!(chat.model, "gpt-4o");
    assert!(chat.stream && chat.has_tools && chat.wants_stream_usage);
    assert_eq!((chat.max_output_tokens, chat.choices), (Some(9), 2));
    assert_eq!(chat.session.user.as_deref(), Some("u"));
    assert_eq!(chat.session.prompt_cache_key.as_deref(), Some("p"));
    assert_eq!(chat.session.metadata, [("team".to_owned(), "red".to_owned())]);

    let responses = head(
        Surface::Responses,
        r#"{"model":"m","max_output_tokens":7.0,"tools":[],"input":"x","stream":null}"#,
    );
    assert_eq!(responses.max_output_tokens, Some(7));
    assert!(!responses.stream && !responses.has_tools);

    let messages =
        head(Surface::Messages, r#"{"model":"m","max_tokens":8,"metadata":{"user_id":"s"}}"#);
    assert_eq!(messages.max_output_tokens, Some(8));
    assert_eq!(messages.session.metadata_user_id.as_deref(), Some("s"));

    for config in [
        r#"{"generationConfig":{"maxOutputTokens":6,"candidateCount":2}}"#,
        r#"{"generation_config":{"max_output_tokens":6,"candidate_count":2}}"#,
    ] {
        let gemini = head(GEMINI, config);
        assert_eq!((gemini.model.as_str(), gemini.stream), ("g", true));
        assert_eq!((gemini.max_output_tokens, gemini.choices), (Some(6), 2), "{config}");
    }
    assert_eq!(head(Surface::Completions, r#"{"model":"m","n":2,"best_of":4}"#).choices, 4);
    assert_eq!(head(Surface::Embeddings, r#"{"model":"m","input":["a"]}"#).model, "m");
}

#[test]
fn what_cannot_be_routed_says_what_to_do() {
    let cases = [
        ("", "the body is empty: send a JSON object"),
        (" \n", "the body is empty: send a JSON object"),
        ("[1]", "the body is an array: send a JSON object"),
        ("null", "the body is null: send a JSON object"),
        ("{}", "the request names no model: set `model`"),
        (r#"{"model":null}"#, "the request names no model: set `model`"),
        (r#"{"model":""}"#, "the request names no model: set `model`"),
        (r#"{"model":5}"#, "`model` must be a text"),
        (r#"{"model":"m","stream":"yes"}"#, "`stream` must be true or false"),
        (
            r#"{"model":"m","max_tokens":-1}"#,
            "`max_tokens` must be a whole number that is not negative",
        ),
        (r#"{"model":"m","stream_options":5}"#, "`stream_options` must be an object"),
        (
            "{\"model\":\"m\",\n \"x\":}",
            "the body is not valid JSON: expected value at line 2, column 6",
        ),
        (
            r#"{"model":"m"} x"#,
            "the body is not valid JSON: trailing characters at line 1, column 15",
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(refused(CHAT, body).to_string(), expected, "{body}");
    }
    assert_eq!(scan(CHAT, None, b"{\"a\":\"\xff\"}"), Err(ScanError::NotUtf8 { at: 6 }));
    assert!(refused(CHAT, "\u{feff}{\"model\":\"m\"}").to_string().contains("byte order mark"));
    let missing = refused(GEMINI, "{}").to_api_error();
    assert_eq!((missing.status, missing.code), (400, "model_required"));
}

#[test]
fn an_ambiguous_request_is_refused() {
    let duplicate = |field: &str| ScanError::Duplicate { field: field.to_owned() };
    assert_eq!(refused(CHAT, r#"{"model":"a","model":"b"}"#), duplicate("model"));
    assert_eq!(refused(CHAT, r#"{"model":"a","mod\u0065l":"b"}"#), duplicate("model"));
    let twice = r#"{"model":"a","max_tokens":1,"max_tokens":100000}"#;
    assert_eq!(refused(Surface::Messages, twice), duplicate("max_tokens"));
    let nested = r#"{"generationConfig":{"maxOutputTokens":1,"max_output_tokens":9}}"#;
    let refused_config = scan(GEMINI, Some("g"), nested.as_bytes()).unwrap_err();
    assert_eq!(refused_config, duplicate("maxOutputTokens"));
    let both = r#"{"generationConfig":{},"generation_config":{}}"#;
    assert_eq!(scan(GEMINI, Some("g"), both.as_bytes()), Err(duplicate("generationConfig")));
    // Fields that decide nothing may be there twice: that is between client and provider.
    assert_eq!(head(CHAT, r#"{"x":1,"x":2,"model":"a"}"#).model, "a");
}

#[test]
fn a_field_that_differs_in_case_only_is_refused() {
    for field in ["Model", "MODEL", "\u{17f}tream", "max_to\u{212a}ens"] {
        let body = format!(r#"{{"model":"a","{field}":"b"}}"#);
        let error = refused(CHAT, &body);
        assert!(matches!(error, ScanError::Misspelt { .. }), "{field}: {error}");
    }
    assert_eq!(head(CHAT, r#"{"model":"a","modèle":"b","models":"c"}"#).model, "a");
}

#[test]
fn nothing_but_the_model_changes() {
    let body = "\n{ \"a\" : 1.10 , \"model\" :\t\"old\",\"z\":\"\\u00e9\", \"b\":[ ]} \n";
    let head = head(CHAT, body);
    let body = Bytes::from(body);
    let spliced = with_model(&body, &head, "new \"x\"");
    let expected =
        "\n{ \"a\" : 1.10 , \"model\" :\t\"new \\\"x\\\"\",\"z\":\"\\u00e9\", \"b\":[ ]} \n";
    assert_eq!(spliced, expected);
    let same = with_model(&body, &head, "old");
    assert_eq!(same.as_ptr(), body.as_ptr(), "nothing is copied where nothing changes");
}

#[test]
fn gemini_bodies_that_name_the_model_follow_the_path() {
    let body =
        r#"{"requests":[{"model":"models/old","content":{}},{"content":{}},{"model":"old"}]}"#;
    let surface = Surface::EmbedContent { batch: true };
    let head = head(surface, body);
    let spliced = with_model(&Bytes::from(body), &head, "new");
    let expected =
        r#"{"requests":[{"model":"models/new","content":{}},{"content":{}},{"model":"new"}]}"#;
    assert_eq!(spliced, expected);
}

#[test]
fn usage_is_asked_for_with_the_smallest_change() {
    let cases = [
        (
            r#"{"model":"m","stream":true}"#,
            r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"stream_options":null,"model":"m","stream":true} "#,
            r#"{"stream_options":{"include_usage":true},"model":"m","stream":true} "#,
        ),
        (
            r#"{"stream_options":{ },"model":"m","stream":true}"#,
            r#"{"stream_options":{"include_usage":true },"model":"m","stream":true}"#,
        ),
        (
            r#"{"stream_options":{"x": 1},"model":"m","stream":true}"#,
            r#"{"stream_options":{"include_usage":true,"x": 1},"model":"m","stream":true}"#,
        ),
        (
            r#"{"stream_options":{"include_usage": false},"model":"m","stream":true}"#,
            r#"{"stream_options":{"include_usage": true},"model":"m","stream":true}"#,
        ),
        (r#"{"model":"m"}"#, r#"{"model":"m"}"#),
    ];
    for (body, expected) in cases {
        let head = head(CHAT, body);
        let asking = with_stream_usage(&Bytes::from(body), &head);
        assert_eq!(asking, expected);
        assert!(!head.stream || self::head(CHAT, expected).wants_stream_usage);
    }
}

fn preset(surface: Surface, body: &str, parameters: &Value, prompt: Option<&str>) -> String {
    let parameters = parameters.as_object().unwrap();
    let preset = Preset { parameters, system_prompt: prompt };
    let applied = apply_preset(surface, &Bytes::from(body.to_owned()), preset).unwrap();
    String::from_utf8(applied.to_vec()).unwrap()
}

#[test]
fn a_preset_adds_only_what_the_request_does_not_say() {
    let parameters = json!({"temperature": 0.2, "max_tokens": 100});
    let cases = [
        (
            CHAT,
            r#"{"model":"m","temperature":1.0,"max_completion_tokens":5}"#,
            r#"{"model":"m","temperature":1.0,"max_completion_tokens":5}"#,
        ),
        (CHAT, r#"{"model":"m"}"#, r#"{"model":"m","temperature":0.2,"max_tokens":100}"#),
        (
            Surface::Responses,
            r#"{"model":"m"}"#,
            r#"{"model":"m","temperature":0.2,"max_output_tokens":100}"#,
        ),
        (Surface::Messages, r#"{"max_tokens":1}"#, r#"{"max_tokens":1,"temperature":0.2}"#),
        (GEMINI, "{}", r#"{"generationConfig":{"temperature":0.2,"maxOutputTokens":100}}"#),
        (
            GEMINI,
            r#"{"generation_config":{"max_output_tokens":7}}"#,
            r#"{"generation_config":{"max_output_tokens":7,"temperature":0.2}}"#,
        ),
    ];
    for (surface, body, expected) in cases {
        assert_eq!(preset(surface, body, &parameters, None), expected);
    }
}

#[test]
fn a_presets_system_prompt_comes_first() {
    let cases = [
        (
            CHAT,
            r#"{"messages": [{"role":"user","content":"x"}]}"#,
            r#"{"messages": [{"role":"system","content":"Be brief."},{"role":"user","content":"x"}]}"#,
        ),
        (
            Surface::Responses,
            r#"{"instructions":"Mine."}"#,
            r#"{"instructions":"Be brief.\n\nMine."}"#,
        ),
        (Surface::Responses, r#"{"input":"x"}"#, r#"{"input":"x","instructions":"Be brief."}"#),
        (Surface::Messages, r#"{"system":null}"#, r#"{"system":"Be brief."}"#),
        (
            Surface::Messages,
            r#"{"system":[{"type":"text","text":"a","cache_control":{}}]}"#,
            r#"{"system":[{"type":"text","text":"Be brief."},{"type":"text","text":"a","cache_control":{}}]}"#,
        ),
        (
            GEMINI,
            r#"{"system_instruction":{"parts":[{"text":"a"}]}}"#,
            r#"{"system_instruction":{"parts":[{"text":"Be brief."},{"text":"a"}]}}"#,
        ),
        (GEMINI, "{}", r#"{"systemInstruction":{"parts":[{"text":"Be brief."}]}}"#),
    ];
    for (surface, body, expected) in cases {
        assert_eq!(preset(surface, body, &json!({}), Some("Be brief.")), expected);
    }
    let nothing = Preset { parameters: &Map::new(), system_prompt: Some("x") };
    let bad = apply_preset(CHAT, &Bytes::from_static(br#"{"messages":5}"#), nothing);
    assert_eq!(bad.unwrap_err().to_string(), "`messages` must be an array");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..100)) {
        for surface in [CHAT, Surface::Messages, GEMINI, Surface::EmbedContent { batch: true }] {
            let _ = scan(surface, Some("m"), &body);
        }
    }

    #[test]
    fn a_spliced_body_reads_back(
        before in "[ \n]{0,3}",
        key in "[a-z]{1,8}[0-9]",
        value in any::<f64>().prop_filter("finite", |value| value.is_finite()),
        model in ".{1,20}",
        new in ".{1,20}",
    ) {
        let body = format!("{{{before}{}:{value},\"model\":{},\"stream\":true}}{before}", json!(key), json!(model));
        let head = scan(CHAT, None, body.as_bytes()).unwrap();
        prop_assert_eq!(&head.model, &model);
        let body = Bytes::from(body);
        let spliced = rewrite(&body, &head, Rewrite { model: Some(&new), stream_usage: true });
        let again = scan(CHAT, None, &spliced).unwrap();
        prop_assert_eq!(&again.model, &new);
        prop_assert!(again.wants_stream_usage);
        prop_assert_eq!(with_model(&spliced, &again, &model).len(), body.len() + r#","stream_options":{"include_usage":true}"#.len());
    }
}
