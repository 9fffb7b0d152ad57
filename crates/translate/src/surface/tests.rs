use super::*;

fn recognised(method: &str, path: &str) -> Result<(Surface, Dialect, Option<String>), NoSurface> {
    recognise(method, path, Accent::default()).map(|call| (call.surface, call.dialect, call.model))
}

#[test]
fn every_path_is_served_with_and_without_its_version() {
    let cases = [
        ("chat/completions", Surface::ChatCompletions),
        ("completions", Surface::Completions),
        ("embeddings", Surface::Embeddings),
        ("responses", Surface::Responses),
        ("messages", Surface::Messages),
        ("models/m:generateContent", Surface::GenerateContent { stream: false }),
        ("models/m:streamGenerateContent", Surface::GenerateContent { stream: true }),
        ("models/m:embedContent", Surface::EmbedContent { batch: false }),
        ("models/m:batchEmbedContents", Surface::EmbedContent { batch: true }),
        ("messages/count_tokens", Surface::NotYet("token counting")),
        ("rerank", Surface::NotYet("reranking")),
        ("audio/speech", Surface::NotYet("audio")),
        ("images/generations", Surface::NotYet("images")),
    ];
    for (path, surface) in cases {
        for prefix in ["/", "/v1/", "/v1beta/"] {
            let path = format!("{prefix}{path}");
            assert_eq!(recognised("POST", &path).unwrap().0, surface, "{path}");
        }
    }
    assert_eq!(recognised("POST", "/v1/messages/").unwrap().0, Surface::Messages);
}

#[test]
fn a_model_id_may_hold_slashes_colons_and_escapes() {
    let model = |path: &str| recognised("POST", path).unwrap().2.unwrap();
    assert_eq!(model("/v1beta/models/gemini-2.5-pro:generateContent"), "gemini-2.5-pro");
    assert_eq!(model("/models/org/llama3.1:8b:generateContent"), "org/llama3.1:8b");
    assert_eq!(model("/v1/models/org%2Fm%3Afree:streamGenerateContent"), "org/m:free");
    assert_eq!(recognised("GET", "/v1/models/org/m:free").unwrap().2.unwrap(), "org/m:free");
    for bad in
        ["/v1/models/%zz:generateContent", "/v1/models/a%00b", "/v1/models/%ff", "/v1/models/%+1"]
    {
        let method = if bad.contains(':') { "POST" } else { "GET" };
        assert!(matches!(recognised(method, bad), Err(NoSurface::UnknownPath { .. })), "{bad}");
    }
}

#[test]
fn a_shared_path_answers_in_the_callers_dialect() {
    let dialect = |path, accent| recognise("GET", path, accent).unwrap().dialect;
    let anthropic = Accent { anthropic: true, google: false };
    let google = Accent { anthropic: false, google: true };
    assert_eq!(dialect("/v1/models", Accent::default()), Dialect::ChatCompletions);
    assert_eq!(dialect("/v1/models", anthropic), Dialect::Messages);
    assert_eq!(dialect("/v1/models", google), Dialect::GenerateContent);
    assert_eq!(dialect("/v1beta/models", Accent::default()), Dialect::GenerateContent);
    assert_eq!(dialect("/models/x", anthropic), Dialect::Messages);
}

#[test]
fn what_is_not_served_says_so() {
    for (method, path, status) in [
        ("GET", "/v1/chat/completions", 405),
        ("GET", "/v1/models/m:generateContent", 405),
        ("POST", "/v1/models", 405),
        ("POST", "/v1/nothing", 404),
        ("GET", "/", 404),
        ("POST", "/v1/models/:generateContent", 404),
        ("POST", "/v1/v1/chat/completions", 404),
    ] {
        let error = recognised(method, path).unwrap_err();
        assert_eq!(error.to_api_error().status, status, "{method} {path}");
    }
    let websocket = recognised("GET", "/v1/responses").unwrap();
    assert_eq!(websocket.0, Surface::NotYet("responses over a WebSocket"));
    assert_eq!(recognised("GET", "/v1/responses/resp_1").unwrap().1, Dialect::Responses);
}

#[test]
fn the_upstream_target_keeps_the_query_but_no_credential() {
    let gemini = Surface::GenerateContent { stream: true };
    let target = |surface, model, query| upstream_target("/v1beta/", surface, model, query);
    assert_eq!(
        target(gemini, "gemini-2.5-pro", Some("key=secret&alt=sse&k%65y=x")).unwrap(),
        "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse"
    );
    assert_eq!(
        target(gemini, "a b/ü", None).unwrap(),
        "/v1beta/models/a%20b/%C3%BC:streamGenerateContent"
    );
    assert_eq!(
        target(gemini, "../../secrets", None).unwrap(),
        "/v1beta/models/..%2F..%2Fsecrets:streamGenerateContent"
    );
    assert_eq!(
        target(gemini, "tunedModels/x", Some("key=s")).unwrap(),
        "/v1beta/tunedModels/x:streamGenerateContent"
    );
    assert_eq!(
        upstream_target("/v1", Surface::Messages, "m", Some("beta=true")).unwrap(),
        "/v1/messages?beta=true"
    );
    assert_eq!(
        upstream_target("", Surface::ChatCompletions, "m", None).unwrap(),
        "/chat/completions"
    );
    assert_eq!(upstream_target("/v1", Surface::ListModels, "m", None), None);
}
