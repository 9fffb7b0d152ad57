//! A real model server, and the official client that asks it through the real binary.
//!
//! Needs a Python with `openai`, `xllamacpp`, `gguf` and `numpy`, named by `BITROUTER_TEST_PYTHON`;
//! `.ci/run` makes one. Without it the test says that it is skipped.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::harness::{Home, eventually};

/// A Python that has these modules, or nothing and a line that says so.
fn python_with(modules: &str) -> Option<PathBuf> {
    let why = match std::env::var_os("BITROUTER_TEST_PYTHON") {
        None => "BITROUTER_TEST_PYTHON is not set".to_owned(),
        Some(python) => {
            let import = format!("import {modules}");
            let found = Command::new(&python).args(["-c", &import]).output();
            if found.is_ok_and(|output| output.status.success()) {
                return Some(python.into());
            }
            format!("{} cannot import {modules}", python.display())
        }
    };
    eprintln!("skipped: a real model server behind the router: {why}");
    None
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real").join(name)
}

/// llama.cpp's own server with a model made on the spot; ended when dropped.
struct ModelServer {
    child: Child,
    port: u16,
    _directory: tempfile::TempDir,
}

impl ModelServer {
    fn start(python: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        // The server takes no port 0: one that was free a moment ago has to do.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut child = Command::new(python)
            .arg(script("model_server.py"))
            .arg(directory.path())
            .arg(port.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        let is_ready = said.map_while(Result::ok).any(|line| line.starts_with("ready"));
        let server = Self { child, port, _directory: directory };
        assert!(is_ready, "the model server does not start");
        server
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ask(python: &Path, base_url: &str, key: &str, model: &str) -> Value {
    let output = Command::new(python)
        .arg(script("openai_client.py"))
        .args([base_url, key, model])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_official_client_talks_to_a_real_model_through_the_router() {
    let Some(python) = python_with("openai, xllamacpp, gguf, numpy") else { return };
    let server = ModelServer::start(&python);
    let home = Home::with_config(&format!(
        "server: {{ skip_auth: false }}
inherit_defaults: false
providers:
  local:
    api_base: http://127.0.0.1:{}
    api_protocol: [chat_completions, responses]
    billing: local
    models: [tiny]
",
        server.port
    ));
    let serving = home.serve(&[]);
    let key = home.json(&["key", "sign", "--user", "tester"])["key"].as_str().unwrap().to_owned();
    let base_url = format!("http://{}/v1", serving.listen());

    let seen = ask(&python, &base_url, &key, "local:tiny");
    for exchange in
        ["chat", "chat_stream", "chat_stream_without_usage", "responses", "responses_stream"]
    {
        assert!(!seen[exchange]["text"].as_str().unwrap().is_empty(), "{exchange}: {seen}");
    }
    assert_eq!(seen["chat_stream_without_usage"]["usage"], Value::Null, "nobody asked for it");
    assert_eq!(seen["unknown_model"]["code"], "model_not_found");
    assert_eq!(seen["models"], json!(["tiny"]));

    // Every request is on record, with what the server itself counted.
    let requests = eventually("six requests are recorded", || {
        let requests = home.json(&["requests"])["items"].as_array().cloned()?;
        (requests.len() == 6).then_some(requests)
    });
    let completed: Vec<_> = requests.iter().filter(|it| it["outcome"] == "completed").collect();
    assert_eq!(completed.len(), 5, "{requests:?}");
    for record in completed {
        assert_eq!(record["provider"], "local");
        assert!(record["tokens"]["output"].as_u64().unwrap() > 0, "{record}");
        assert_eq!((&record["cost_micros"], &record["unpriced"]), (&json!(0), &json!(false)));
    }
    let counted = &seen["chat"]["usage"];
    // The newest comes first, and the first request was the whole answer.
    let first = requests.last().unwrap();
    assert_eq!(first["tokens"]["output"], counted["completion_tokens"], "{first}");
}
