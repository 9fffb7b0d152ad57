//! What real clients send arrives at the provider as they sent it, but for the model's name.
//!
//! The recordings are not part of the repository: they are looked for in `$BITROUTER_SHARED`, else in
//! `../shared` beside the repository.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bitrouter_testkit::FakeProvider;
use http::Method;
use serde_json::Value;

use crate::harness::{Router, adjust, provider};

/// Replaced or withheld; see the header policy.
const NOT_COMPARED: [&str; 9] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "host",
    "transfer-encoding",
    "x-api-key",
    "x-goog-api-key",
    "sec-fetch-mode",
];

struct Capture {
    name: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Value,
}

#[tokio::test]
async fn requests_of_real_clients_pass_byte_for_byte() {
    let captures = captures("requests_of_real_clients_pass_byte_for_byte");
    let fake = FakeProvider::start().await;
    let resources = adjust(provider("p0", 0, &fake, &["m"]), |p| p.stream_usage_unasked = true);
    let router = Router::start(resources, |_| {}).await;
    for Capture { name, path, headers, mut body } in captures {
        let sent = body.to_string();
        // The pin is what routing takes away again.
        let path = path.replace("/models/", "/models/p0:");
        if let Some(model) = body.get("model").and_then(Value::as_str).map(str::to_owned) {
            body["model"] = format!("p0:{model}").into();
        }
        let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let got = router.call(Method::POST, &path, &headers, body.to_string()).await;
        assert_eq!(got.status, 200, "{name}: {}", got.text());
        let seen = fake.requests().pop().unwrap();
        assert_eq!(String::from_utf8_lossy(&seen.body), sent, "{name}");
        for (header, value) in headers {
            let header = header.to_ascii_lowercase();
            if !NOT_COMPARED.contains(&header.as_str()) {
                assert_eq!(seen.header(&header), value, "{name}: {header}");
            }
        }
    }
}

/// The recorded calls of the four dialects that go to providers as they are.
fn captures(test: &str) -> Vec<Capture> {
    let Some(root) = shared() else {
        println!("skipped: {test} needs captures in the shared recordings");
        return Vec::new();
    };
    let clients =
        fs::read_dir(root).unwrap().filter_map(|entry| fs::read_dir(entry.unwrap().path()).ok());
    let files = clients.flatten().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|it| it == "json"))
        .filter_map(|file| capture(&file))
        .collect()
}

#[expect(clippy::disallowed_methods, reason = "tests find the recordings by the environment")]
fn shared() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let root = std::env::var("BITROUTER_SHARED").map_or_else(|_| beside(), PathBuf::from);
    Some(root.join("captures")).filter(|path| path.is_dir())
}

fn capture(file: &Path) -> Option<Capture> {
    let recorded: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let path = recorded["path"].as_str()?.to_owned();
    let asked = path.split('?').next()?;
    let is_served = ["/chat/completions", "/responses", "/messages", "/embeddings"]
        .iter()
        .any(|end| asked.ends_with(end))
        || ["generateContent", "streamGenerateContent"].iter().any(|end| asked.ends_with(end));
    if !is_served || !recorded["body"].is_object() {
        return None;
    }
    let headers = recorded["headers"].as_array()?.iter();
    let headers = headers
        .filter_map(|pair| Some((pair[0].as_str()?.to_owned(), pair[1].as_str()?.to_owned())));
    let headers = headers.filter(|(name, _)| {
        !matches!(
            name.to_ascii_lowercase().as_str(),
            "content-length" | "host" | "connection" | "transfer-encoding"
        )
    });
    Some(Capture {
        name: file.display().to_string(),
        path,
        headers: headers.collect(),
        body: recorded["body"].clone(),
    })
}
