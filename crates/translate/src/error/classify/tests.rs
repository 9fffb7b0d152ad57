use super::*;

fn kind(dialect: Dialect, status: u16, body: &str) -> FaultKind {
    classify(dialect, status, None, body.as_bytes()).kind
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn faults_are_told_apart() {
    use Dialect::{ChatCompletions as Chat, GenerateContent as Gemini, Messages};
    let cases = [
        (
            Chat,
            429,
            r#"{"error":{"message":"slow down","code":"rate_limit_exceeded"}}"#,
            FaultKind::RateLimited,
        ),
        (
            Chat,
            429,
            r#"{"error":{"message":"quota","type":"insufficient_quota","code":"insufficient_quota"}}"#,
            FaultKind::Credit,
        ),
        (
            Chat,
            429,
            r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details."}}"#,
            FaultKind::Credit,
        ),
        (
            Gemini,
            429,
            r#"{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details.","status":"RESOURCE_EXHAUSTED"}}"#,
            FaultKind::RateLimited,
        ),
        (
            Messages,
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the API"}}"#,
            FaultKind::Credit,
        ),
        (Chat, 402, "", FaultKind::Credit),
        (Chat, 403, r#"{"error":"Your team has used all available credits"}"#, FaultKind::Credit),
        (Chat, 401, r#"{"error":{"message":"Insufficient balance"}}"#, FaultKind::Credit),
        (Chat, 401, r#"{"error":{"message":"bad key","code":"invalid_api_key"}}"#, FaultKind::Auth),
        (
            Gemini,
            400,
            r#"{"error":{"code":400,"message":"API key not valid.","details":[{"reason":"API_KEY_INVALID"}]}}"#,
            FaultKind::Auth,
        ),
        (
            Messages,
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 3333404 tokens > 200000 maximum"}}"#,
            FaultKind::ContextWindow,
        ),
        (
            Chat,
            400,
            r#"{"error":{"code":"context_length_exceeded","message":"no"}}"#,
            FaultKind::ContextWindow,
        ),
        (
            Chat,
            400,
            r#"{"error":{"type":"exceed_context_size_error","message":"no","n_ctx":4096}}"#,
            FaultKind::ContextWindow,
        ),
        (Chat, 400, r#"{"error":{"message":"bad temperature"}}"#, FaultKind::Invalid),
        (Chat, 404, r#"{"error":{"message":"no such model"}}"#, FaultKind::NotFound),
        (
            Messages,
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            FaultKind::Overloaded,
        ),
        (
            Messages,
            200,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            FaultKind::Overloaded,
        ),
        (
            Chat,
            200,
            r#"{"error":{"code":429,"message":"Provider returned error"}}"#,
            FaultKind::RateLimited,
        ),
        (
            Chat,
            200,
            r#"{"error":{"code":400,"message":"tool_use_failed","type":"invalid_request_error"}}"#,
            FaultKind::Invalid,
        ),
        (
            Gemini,
            200,
            r#"[{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}]"#,
            FaultKind::Overloaded,
        ),
        (Chat, 408, "", FaultKind::Timeout),
        (Chat, 500, "<html>oops</html>", FaultKind::Server),
        (Chat, 302, "", FaultKind::Malformed),
        (Chat, 422, r#"{"detail":[{"msg":"field required"}]}"#, FaultKind::Invalid),
        (
            Chat,
            429,
            r#"{"object":"error","message":"Requests rate limit exceeded","type":"rate_limited","code":"1300"}"#,
            FaultKind::RateLimited,
        ),
    ];
    for (dialect, status, body, expected) in cases {
        assert_eq!(kind(dialect, status, body), expected, "{status} {body}");
    }
}

#[test]
fn only_what_another_endpoint_can_mend_is_retried() {
    for (status, expected) in [
        (400, Retry::Never),
        (401, Retry::Never),
        (404, Retry::Never),
        (402, Retry::NextEndpoint),
        (408, Retry::NextEndpoint),
        (429, Retry::NextEndpoint),
        (500, Retry::NextEndpoint),
        (529, Retry::NextEndpoint),
    ] {
        let fault = classify(Dialect::ChatCompletions, status, None, b"{}");
        assert_eq!(fault.retry(), expected, "{status}");
    }
}

#[test]
fn the_wait_comes_from_the_header_or_the_body() {
    assert_eq!(parse_retry_after("7", 0), Some(Duration::from_secs(7)));
    assert_eq!(parse_retry_after(" 1.5 ", 0), Some(Duration::from_millis(1500)));
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    assert_eq!(parse_retry_after(date, 784_111_770), Some(Duration::from_secs(7)));
    assert_eq!(parse_retry_after(date, 784_111_999), Some(Duration::ZERO));
    for bad in ["", "soon", "-3", "nan", "inf", "Sun, 99 Foo 1994 08:49:37 GMT"] {
        assert_eq!(parse_retry_after(bad, 0), None, "{bad}");
    }
    assert_eq!(parse_retry_after("1e300", 0), Some(LONGEST_WAIT));

    let body = br#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[
        {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.5s"}]}}"#;
    let fault = classify(Dialect::GenerateContent, 429, None, body);
    assert_eq!(fault.retry_after, Some(Duration::from_millis(34_500)));
    assert_eq!(fault.code.as_deref(), Some("RESOURCE_EXHAUSTED"));
    let header = Some(Duration::from_secs(1));
    assert_eq!(classify(Dialect::GenerateContent, 429, header, body).retry_after, header);
}

#[test]
fn a_message_is_short_and_holds_no_credential() {
    let body = format!(
        r#"{{"error":{{"message":"Incorrect API key provided: sk-proj-abcdefghijklmnop. {}"}}}}"#,
        "word ".repeat(1_000)
    );
    let fault = classify(Dialect::ChatCompletions, 401, None, body.as_bytes());
    assert!(!fault.message.contains("sk-proj"), "{}", fault.message);
    assert!(fault.message.contains("[redacted]"));
    assert!(fault.message.len() <= MAX_MESSAGE + 3);
}

#[test]
fn a_code_is_short_too() {
    let code = "c".repeat(10_000);
    let body = format!(r#"{{"error":{{"message":"no","code":"a word {code}"}}}}"#);
    let fault = classify(Dialect::ChatCompletions, 422, None, body.as_bytes());
    assert_eq!(fault.code.as_deref(), Some("a word …"));
}
