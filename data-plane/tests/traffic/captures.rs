//! What real clients send arrives at the provider as they sent it, but for the model's name.
//!
//! The recordings are not part of the repository: they are looked for in `$BITROUTER_SHARED`, else in
//! `../shared` beside the repository, and in the directories that `$BITROUTER_CAPTURES` lists.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bitrouter_testkit::FakeProvider;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

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

/// What is added at the end of a Chat stream's body where usage has to be asked for.
const ASKS_FOR_USAGE: &str = r#","stream_options":{"include_usage":true}}"#;

#[derive(Deserialize)]
struct Capture {
    #[serde(default)]
    name: String,
    path: String,
    headers: Vec<(String, String)>,
    /// As it stands in the recording, white space and all.
    body: Box<RawValue>,
}

impl Capture {
    /// The request with its model pinned to a provider, which routing takes away again.
    fn pinned(&self) -> (String, String) {
        let path = self.path.replace("/models/", "/models/p0:");
        let body: Value = serde_json::from_str(self.body.get()).unwrap();
        let text = self.body.get().to_owned();
        let Some(model) = body.get("model").and_then(Value::as_str) else { return (path, text) };
        let named = |model: &str| format!(r#""model": "{model}""#);
        (path, text.replacen(&named(model), &named(&format!("p0:{model}")), 1))
    }

    /// What the provider gets if usage has to be asked for.
    fn asking(&self) -> String {
        let (body, sent) = (self.body.get(), &self.body);
        let told: Value = serde_json::from_str(sent.get()).unwrap();
        let is_asked = self.path.ends_with("/chat/completions")
            && told["stream"] == true
            && told.get("stream_options").is_none();
        match body.strip_suffix('}') {
            Some(rest) if is_asked => format!("{rest}{ASKS_FOR_USAGE}"),
            _ => body.to_owned(),
        }
    }
}

#[tokio::test]
async fn requests_of_real_clients_pass_byte_for_byte() {
    let captures = captures("requests_of_real_clients_pass_byte_for_byte");
    let fake = FakeProvider::start().await;
    for is_told_unasked in [true, false] {
        let resources = adjust(provider("p0", 0, &fake, &["m"]), |provider| {
            provider.stream_usage_unasked = is_told_unasked;
        });
        let router = Router::start(resources, |_| {}).await;
        for capture in &captures {
            let name = &capture.name;
            let (path, body) = capture.pinned();
            let headers: Vec<_> =
                capture.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let got = router.call(Method::POST, &path, &headers, body).await;
            assert_eq!(got.status, 200, "{name}: {}", got.text());
            let seen = fake.requests().pop().unwrap();
            let sent =
                if is_told_unasked { capture.body.get().to_owned() } else { capture.asking() };
            assert!(seen.body == sent, "{name}: {}", String::from_utf8_lossy(&seen.body));
            for (header, value) in headers {
                let header = header.to_ascii_lowercase();
                if !NOT_COMPARED.contains(&header.as_str()) {
                    assert_eq!(seen.header(&header), value, "{name}: {header}");
                }
            }
        }
    }
}

/// Every recorded call that can be replayed.
fn captures(test: &str) -> Vec<Capture> {
    let directories = directories();
    if directories.is_empty() {
        println!("skipped: {test} needs captures in the shared recordings");
    }
    let files = directories.iter().filter_map(|directory| fs::read_dir(directory).ok()).flatten();
    files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "json"))
        .filter_map(|file| capture(&file))
        .collect()
}

#[expect(clippy::disallowed_methods, reason = "tests find the recordings by the environment")]
fn directories() -> Vec<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let root = std::env::var("BITROUTER_SHARED").map_or_else(|_| beside(), PathBuf::from);
    let shared = fs::read_dir(root.join("captures")).into_iter().flatten();
    let mut found: Vec<_> = shared.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.is_dir());
    let more = std::env::var_os("BITROUTER_CAPTURES").unwrap_or_default();
    found.extend(std::env::split_paths(&more).filter(|path| path.is_dir()));
    found
}

/// A recorded call of the four dialects that goes to a provider as it is.
fn capture(file: &Path) -> Option<Capture> {
    let mut capture: Capture = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let asked = capture.path.split('?').next()?;
    let is_served = ["/chat/completions", "/responses", "/messages", "/embeddings"]
        .into_iter()
        .chain([":generateContent", ":streamGenerateContent"])
        .any(|end| asked.ends_with(end));
    if !is_served || !capture.body.get().starts_with('{') {
        return None;
    }
    capture.headers.retain(|(name, _)| {
        !matches!(
            name.to_ascii_lowercase().as_str(),
            "content-length" | "host" | "connection" | "transfer-encoding"
        )
    });
    capture.name = file.display().to_string();
    Some(capture)
}
