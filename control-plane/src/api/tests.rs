//! What the admin API answers, as snapshots, and what it must withstand.

use std::path::PathBuf;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::openapi;
use crate::testing::{Answer, Stage};

const PROVIDER: &str = r#"{
    "spec": {
        "dialects": [{ "glob": "*", "dialects": ["chat_completions"] }],
        "base_urls": [{ "url": "https://api.example/v1" }],
        "models": { "small": { "max_input_tokens": 1000 } },
        "needs_account": true
    },
    "accounts": [{ "label": "main", "secret": "sk-very-secret" }]
}"#;
const ROUTE: &str = r#"{ "spec": { "endpoints": [{ "provider": "acme", "model": "small" }] } }"#;

async fn put(stage: &Stage, path: &str, body: &str) -> Answer {
    stage.call(Method::PUT, path, body).await
}

async fn get(stage: &Stage, path: &str) -> Answer {
    stage.call(Method::GET, path, "").await
}

#[tokio::test]
async fn the_life_of_a_provider_and_its_route() {
    let stage = Stage::open().await;
    let mut shown = Vec::new();
    let mut keep =
        |what: &str, answer: &Answer| shown.push(format!("# {what}\n{}", answer.shown()));
    keep("made", &put(&stage, "/v1/providers/acme", PROVIDER).await);
    keep("made again unseen", &put(&stage, "/v1/providers/acme", PROVIDER).await);
    keep("a route to nowhere", &put(&stage, "/v1/routes/x", &ROUTE.replace("acme", "no")).await);
    keep("a route", &put(&stage, "/v1/routes/team%2Fsmart", ROUTE).await);
    keep("models", &get(&stage, "/v1/models").await);
    let version = [("if-match", "\"2\"")];
    let path = "/v1/providers/acme";
    keep("in use", &stage.call_with(Method::DELETE, path, &version, "").await);
    let outdated = [("if-match", "\"1\"")];
    keep("stale", &stage.call_with(Method::DELETE, "/v1/routes/team%2Fsmart", &outdated, "").await);
    let seen = get(&stage, "/v1/routes/team%2Fsmart").await;
    let tag = seen.headers["etag"].to_str().unwrap();
    let seen = [("if-match", tag)];
    keep("gone", &stage.call_with(Method::DELETE, "/v1/routes/team%2Fsmart", &seen, "").await);
    keep("provider gone", &stage.call_with(Method::DELETE, path, &version, "").await);
    keep("audit", &get(&stage, "/v1/audit?limit=2").await);
    let text = shown.join("\n\n");
    assert!(!text.contains("sk-very-secret"), "a secret is shown");
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn the_life_of_a_key() {
    let stage = Stage::open().await;
    let mut shown = Vec::new();
    let mut keep =
        |what: &str, answer: &Answer| shown.push(format!("# {what}\n{}", answer.shown()));
    let body =
        r#"{ "user": "ana", "name": "laptop", "models": ["gpt-*"], "limits": { "rpm": 5 } }"#;
    let minted = stage.call(Method::POST, "/v1/keys", body).await;
    let key = minted.body["key"].as_str().unwrap().to_owned();
    let id = minted.body["id"].as_str().unwrap().to_owned();
    assert!(bitrouter_keys::VirtualKeySecret::parse(&key).is_ok());
    keep("minted", &minted);
    keep("users", &get(&stage, "/v1/users").await);
    keep("listed", &get(&stage, "/v1/keys").await);
    let delete = [("if-match", "\"2\"")];
    keep("its user", &stage.call_with(Method::DELETE, "/v1/users/ana", &delete, "").await);
    let path = format!("/v1/keys/{id}/rotate");
    let rotated = stage.call(Method::POST, &path, r#"{ "grace_s": 60 }"#).await;
    assert_ne!(rotated.body["key"].as_str().unwrap(), key);
    keep("rotated", &rotated);
    stage.hand.advance(std::time::Duration::from_mins(2));
    let seen = get(&stage, &format!("/v1/keys/{id}")).await;
    assert_eq!(seen.body.get("previous_until"), None, "the grace is over");
    let path = format!("/v1/keys/{id}/revoke");
    let revoked = stage.call(Method::POST, &path, "").await;
    keep("revoked", &revoked);
    let again = stage.call(Method::POST, &path, "").await;
    assert_eq!((again.status, &again.body), (StatusCode::OK, &revoked.body));
    let path = format!("/v1/keys/{id}/rotate");
    keep("rotated too late", &stage.call(Method::POST, &path, "").await);
    let audit = get(&stage, "/v1/audit").await.body.to_string();
    assert!(!audit.contains(&key), "the audit holds a key");
    let text = shown.join("\n\n");
    let secrets = [key.as_str(), rotated.body["key"].as_str().unwrap()];
    let text = secrets.iter().fold(text, |text, secret| text.replace(*secret, "brvk_…"));
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn a_lost_answer_is_given_again_without_a_second_key() {
    let stage = Stage::open().await;
    let key = [("idempotency-key", "once")];
    let mint = async |body| stage.call_with(Method::POST, "/v1/keys", &key, body).await;
    let first = mint(r#"{ "user": "ana" }"#).await;
    let second = mint(r#"{ "user": "ana" }"#).await;
    assert_eq!(first.status, StatusCode::CREATED);
    assert_eq!(first.body, second.body);
    let keys = get(&stage, "/v1/keys").await;
    assert_eq!(keys.body["items"].as_array().unwrap().len(), 1);
    let other = mint(r#"{ "user": "bob" }"#).await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(other.body["error"]["kind"], "idempotency_key_reused");
}

#[tokio::test]
async fn a_lost_answer_is_given_again_whatever_has_happened_since() {
    let stage = Stage::open().await;
    put(&stage, "/v1/users/ana", r#"{ "spec": { "display_name": "Ana" } }"#).await;
    let once = [("idempotency-key", "mint")];
    let body = r#"{ "user": "ana", "expires_at": "2023-11-14T22:14:20Z" }"#;
    let mint = async || stage.call_with(Method::POST, "/v1/keys", &once, body).await;
    let minted = mint().await;
    assert_eq!(minted.status, StatusCode::CREATED, "{}", minted.body);
    let path = format!("/v1/keys/{}", minted.body["id"].as_str().unwrap());
    let rotate = format!("{path}/rotate");
    let once = [("idempotency-key", "rotate")];
    let rotated = stage.call_with(Method::POST, &rotate, &once, "{}").await;
    assert_eq!(rotated.status, StatusCode::OK, "{}", rotated.body);
    stage.call(Method::POST, &format!("{path}/revoke"), "").await;
    stage.hand.advance(std::time::Duration::from_mins(5));
    assert_eq!(mint().await.body, minted.body, "its expiry has passed");
    let again = stage.call_with(Method::POST, &rotate, &once, "{}").await;
    assert_eq!(again.body, rotated.body, "it is revoked");
    let users = get(&stage, "/v1/users").await;
    assert_eq!(users.body["items"][0]["spec"]["display_name"], "Ana");
}

#[tokio::test]
async fn a_providers_headers_are_checked_and_shown_without_secrets() {
    let stage = Stage::open().await;
    let with = |name: &str| {
        let headers = format!(r#""default_headers": {{ "{name}": "hush" }}, "needs_account""#);
        PROVIDER.replace("\"needs_account\"", &headers)
    };
    let refused = put(&stage, "/v1/providers/acme", &with("Host")).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.body);
    let made = put(&stage, "/v1/providers/acme", &with("x-secret")).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.body);
    assert!(!made.body.to_string().contains("hush"), "{}", made.body);
}

#[tokio::test]
async fn a_providers_version_covers_its_accounts() {
    let stage = Stage::open().await;
    let path = "/v1/providers/acme";
    let tag = |answer: &Answer| answer.headers["etag"].to_str().unwrap().to_owned();
    let first = tag(&put(&stage, path, PROVIDER).await);
    let seen = [("if-match", first.as_str())];
    let other = PROVIDER.replace("sk-very-secret", "sk-another");
    let changed = stage.call_with(Method::PUT, path, &seen, &other).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.body);
    assert_ne!(tag(&changed), first);
    let outdated = stage.call_with(Method::PUT, path, &seen, PROVIDER).await;
    assert_eq!(outdated.status, StatusCode::PRECONDITION_FAILED, "it saw other accounts");
}

#[tokio::test]
async fn a_key_that_says_what_it_does_not_mean_is_refused() {
    let stage = Stage::open().await;
    let long = "x".repeat(201);
    let bodies = [
        json!({ "user": "ana", "limits": { "rpm": 0 } }),
        json!({ "user": "ana", "limits": { "tpm": 0 } }),
        json!({ "user": "ana", "limits": { "concurrency": 0 } }),
        json!({ "user": "ana", "name": "red \u{1b}[31m" }),
        json!({ "user": "ana", "name": "two\nlines" }),
        json!({ "user": "ana", "name": long }),
    ];
    for body in bodies {
        let refused = stage.call(Method::POST, "/v1/keys", &body.to_string()).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{body}");
    }
}

#[tokio::test]
async fn what_a_document_cannot_change_is_named() {
    let stage = Stage::open().await;
    let body = "server: { listen: 127.0.0.1:1 }\ndatabase: { url: 'sqlite:///tmp/x.db' }\n";
    let applied = stage.call(Method::POST, "/v1/apply", body).await;
    let warnings = applied.body["warnings"].to_string();
    assert!(warnings.contains("server:") && warnings.contains("database:"), "{warnings}");
}

#[tokio::test]
async fn names_are_only_data() {
    let stage = Stage::open().await;
    let names = [
        "'; DROP TABLE resource; --",
        "\" OR \"\"=\"",
        "../../etc/passwd",
        "${HOME}",
        "{{7*7}}",
        "<script>alert(1)</script>",
        "%00",
        "naïve 名前",
        "a\\b",
        "null",
        "$1",
    ];
    for name in names {
        let segment = percent_encoded(name);
        let path = format!("/v1/users/{segment}");
        let body = json!({ "spec": { "display_name": name } }).to_string();
        let made = put(&stage, &path, &body).await;
        assert_eq!(made.status, StatusCode::OK, "{name}: {}", made.body);
        assert_eq!(made.body["id"], name);
        assert_eq!(made.body["spec"]["display_name"], name);
        let mint = json!({ "user": name, "name": name }).to_string();
        let minted = stage.call(Method::POST, "/v1/keys", &mint).await;
        assert_eq!(minted.body["user"], name, "{}", minted.body);
        let filtered = format!("/v1/requests?model={segment}&key={segment}&provider={segment}");
        assert_eq!(get(&stage, &filtered).await.status, StatusCode::OK, "{name}");
    }
    let users = get(&stage, "/v1/users").await;
    assert_eq!(users.body["items"].as_array().unwrap().len(), names.len());
}

#[tokio::test]
async fn listings_come_in_pages() {
    let stage = Stage::open().await;
    for name in ["a", "b", "c"] {
        put(&stage, &format!("/v1/users/{name}"), r#"{ "spec": {} }"#).await;
    }
    let first = get(&stage, "/v1/users?limit=2").await;
    assert_eq!(first.body["next"], "b");
    let second = get(&stage, "/v1/users?limit=2&after=b").await;
    assert_eq!(second.body["items"][0]["id"], "c");
    assert_eq!(second.body.get("next"), None);
}

#[tokio::test]
async fn mistakes_are_answered_as_json() {
    let stage = Stage::open().await;
    let none: &[(&str, &str)] = &[];
    let bad_version = &[("if-match", "2")][..];
    let large = " ".repeat(5 * 1024 * 1024);
    let cases = [
        (Method::GET, "/v1/nothing", none, "", "unknown_path"),
        (Method::GET, "/", none, "", "unknown_path"),
        (Method::PATCH, "/v1/users", none, "", "unknown_method"),
        (Method::GET, "/v1/keys/key_0", none, "", "not_found"),
        (Method::GET, "/v1/routes/none", none, "", "not_found"),
        (Method::GET, "/v1/requests/7", none, "", "invalid_request"),
        (Method::GET, "/v1/usage?by=mood", none, "", "invalid_request"),
        (Method::GET, "/v1/usage?since=now", none, "", "invalid_request"),
        (Method::POST, "/v1/keys", none, "{", "invalid_request"),
        (Method::POST, "/v1/keys", none, r#"{ "user": "" }"#, "invalid_request"),
        (Method::POST, "/v1/keys", none, r#"{ "usr": "a" }"#, "invalid_request"),
        (
            Method::POST,
            "/v1/keys",
            none,
            r#"{ "user": "a", "providers": ["none"] }"#,
            "invalid_request",
        ),
        (
            Method::POST,
            "/v1/keys",
            none,
            r#"{ "user": "a", "expires_at": "2001-01-01T00:00:00Z" }"#,
            "invalid_request",
        ),
        (Method::POST, "/v1/keys", none, &large, "body_too_large"),
        (Method::PUT, "/v1/users/a", bad_version, r#"{ "spec": {} }"#, "invalid_request"),
        (Method::PUT, "/v1/users/%0A", none, r#"{ "spec": {} }"#, "invalid_request"),
        (Method::PUT, "/v1/providers/a:b", none, PROVIDER, "invalid_request"),
        (Method::PUT, "/v1/providers/@a", none, PROVIDER, "invalid_request"),
    ];
    for (method, path, headers, body, kind) in cases {
        let shown = format!("{method} {path} {}", body.get(..80).unwrap_or(body));
        let answer = stage.call_with(method, path, headers, body).await;
        assert!(answer.status.is_client_error(), "{shown}: {}", answer.status);
        assert_eq!(answer.body["error"]["kind"], kind, "{shown}: {}", answer.body);
        assert!(answer.body["error"]["message"].is_string(), "{shown}");
        assert!(answer.headers.contains_key("x-config-revision"), "{shown}");
    }
}

type Headers<'a> = &'a [(&'a str, &'a str)];

#[tokio::test]
async fn the_network_needs_a_token_and_the_right_host() {
    let stage = Stage::open().await;
    let bearer = format!("Bearer {}", stage.owner_token());
    let wrong = format!("Bearer {}", bitrouter_keys::AdminToken::from_entropy([9; 32]).as_str());
    let (host, token) = (("host", "127.0.0.1:4357"), ("authorization", bearer.as_str()));
    let evil = ("host", "evil.example");
    let origin = ("origin", "http://evil.example");
    let cases: &[(&str, Headers<'_>, StatusCode)] = &[
        ("all right", &[host, token], StatusCode::OK),
        ("no token", &[host], StatusCode::UNAUTHORIZED),
        ("an unknown token", &[host, ("authorization", &wrong)], StatusCode::UNAUTHORIZED),
        ("a rebound name", &[evil, token], StatusCode::MISDIRECTED_REQUEST),
        ("another site's page", &[host, token, origin], StatusCode::MISDIRECTED_REQUEST),
    ];
    for (case, headers, expected) in cases {
        for path in ["/v1/status", "/v1/openapi.json"] {
            let answer = stage.call_network(path, headers).await;
            assert_eq!(answer.status, *expected, "{case}: {}", answer.body);
        }
        let answer = stage.call_network("/v1/nothing", headers).await;
        assert_ne!(answer.status, StatusCode::OK);
    }
    let unknown = stage.call_network("/v1/nothing", &[host]).await;
    assert_eq!(unknown.status, StatusCode::UNAUTHORIZED, "paths are not told to strangers");
}

fn percent_encoded(name: &str) -> String {
    name.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02X}"))
}

const DOCUMENT: &str = "
providers:
  acme:
    api_protocol: chat_completions
    api_base: https://api.example/v1
    api_key: sk-very-secret
models:
  smart:
    endpoints:
      - { provider: acme, model_id: small }
";

#[tokio::test]
async fn applying_a_document_is_one_revision() {
    let stage = Stage::open().await;
    let apply = async |query: &str, text: &str| {
        stage.call(Method::POST, &format!("/v1/apply{query}"), text).await
    };
    let before = get(&stage, "/v1/revision").await.body["revision"].as_u64().unwrap();
    let dry = apply("?dry_run=true", DOCUMENT).await;
    assert_eq!(dry.status, StatusCode::OK, "{}", dry.body);
    let made = apply("", DOCUMENT).await;
    assert_eq!(made.body["changes"], dry.body["changes"]);
    assert_eq!(made.body["revision"], before + 1);
    let again = apply("", DOCUMENT).await;
    assert_eq!(again.body["changes"], json!([]));
    let pruned = apply("?prune=true", "{}").await;
    let operations: Vec<&Value> =
        pruned.body["changes"].as_array().unwrap().iter().map(|c| &c["operation"]).collect();
    assert!(!operations.is_empty() && operations.iter().all(|operation| *operation == "delete"));
    let bad = apply("", "modles: {}").await;
    assert_eq!(bad.body["error"]["kind"], "invalid_document", "{}", bad.body);
    assert!(!made.body.to_string().contains("sk-very-secret"));
}

fn committed_document() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json")
}

fn rendered() -> String {
    serde_json::to_string_pretty(&openapi::document()).unwrap() + "\n"
}

#[test]
fn the_openapi_document_is_committed() {
    let committed = std::fs::read_to_string(committed_document()).unwrap_or_default();
    let write = "cargo test -p bitrouter-control-plane -- --ignored writes_the_openapi_document";
    assert!(committed == rendered(), "docs/openapi.json is not up to date; run: {write}");
}

#[test]
#[ignore = "writes a file of the repository"]
fn writes_the_openapi_document() {
    std::fs::write(committed_document(), rendered()).unwrap();
}

#[test]
fn every_reference_of_the_openapi_document_resolves() {
    let document = openapi::document();
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer} is not there");
    }
    let operations = document["paths"].as_object().unwrap().values();
    let count: usize = operations.map(|path| path.as_object().unwrap().len()).sum();
    assert_eq!(count, super::endpoints().len());
}
