//! Keys, routes, usage: what commands make and show over the control socket.

use bitrouter_testkit::{Answer, FakeProvider};
use serde_json::Value;

use crate::harness::{Home, config, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_signed_used_rotated_and_revoked() {
    let provider = FakeProvider::start().await;
    let home = Home::with_config(&config(&provider.url(), false));
    let serving = home.serve(&[]);
    let signed =
        home.json(&["key", "sign", "--user", "alice", "--models", "steady:*", "--rpm", "600"]);
    let (id, key) = (text(&signed["id"]), text(&signed["key"]));
    assert!(key.starts_with("brvk_"), "{key}");
    let use_key = |key: &str| serving.chat("steady:parrot", Some(key)).status;
    eventually("the key is accepted", || (use_key(&key) == 200).then_some(()));

    let shown = home.json(&["key", "show", &id]);
    assert_eq!((&shown["user"], &shown["state"]), (&"alice".into(), &"active".into()));
    assert!(shown.get("key").is_none(), "the secret is shown once");

    let rotated = home.json(&["key", "rotate", &id, "--grace", "1h"]);
    let new_key = text(&rotated["key"]);
    eventually("the new secret is accepted", || (use_key(&new_key) == 200).then_some(()));
    assert_eq!(use_key(&key), 200, "the old one too, for a while");

    let unsure = home.run(&["key", "revoke", &id, "--json"]);
    assert_eq!((unsure.code, unsure.error()["kind"].as_str()), (4, Some("confirmation_needed")));
    home.json(&["key", "revoke", &id, "--yes"]);
    assert_eq!((use_key(&key), use_key(&new_key)), (401, 401));
    assert_eq!(home.json(&["key", "list"])["items"], serde_json::json!([]));
    assert_eq!(home.run(&["key", "show", "key_none"]).code, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_are_added_resolved_and_removed() {
    let provider = FakeProvider::start().await;
    let home = Home::with_config(&config(&provider.url(), true));
    let serving = home.serve(&[]);
    home.json(&["route", "add", "fast", "steady:parrot", "--description", "quick answers"]);
    eventually("it is served", || (serving.chat("fast", None).status == 200).then_some(()));
    let plan = home.json(&["route", "fast"]);
    assert_eq!(plan["candidates"][0]["provider"], "steady");
    assert_eq!(plan["route"], "fast");
    let hidden = home.run(&["route", "add", "fast", "steady:parrot", "--ephemeral", "--json"]);
    assert_eq!(hidden.error()["kind"], "name_clash");
    home.json(&["route", "add", "brief", "steady:parrot", "--ephemeral"]);
    eventually("it is served", || (serving.chat("brief", None).status == 200).then_some(()));
    drop(serving);

    let serving = home.serve(&[]);
    assert_eq!(serving.chat("fast", None).status, 200, "it survives a restart");
    assert_eq!(serving.chat("brief", None).status, 404, "an ephemeral one does not");
    home.json(&["route", "rm", "fast"]);
    eventually("it is gone", || (serving.chat("fast", None).status == 404).then_some(()));
    let unknown = home.run(&["route", "fast", "--json"]);
    assert_eq!(unknown.code, 3, "{}", unknown.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_recorded_counted_and_explained() {
    let provider = FakeProvider::start().await;
    let home = Home::with_config(&config(&provider.url(), true));
    let serving = home.serve(&[]);
    let reply = serving.chat("steady:parrot", None);
    assert_eq!(reply.status, 200, "{}", reply.body);
    let id = reply.header("x-bitrouter-request-id").unwrap();
    let row = eventually("it is recorded", || {
        home.json(&["requests"])["items"].as_array()?.first().cloned()
    });
    assert_eq!((&row["id"], &row["provider"]), (&id.as_str().into(), &"steady".into()));
    let why = home.json(&["why", &id]);
    assert_eq!(why["attempts"].as_array().unwrap().len(), 1, "{why}");
    let usage = home.json(&["usage", "--by", "provider"]);
    assert_eq!(usage["total"]["requests"], 1, "{usage}");
    assert!(home.run(&["why", &id]).stdout.contains("steady:parrot"));
    assert_eq!(home.run(&["why", "0198c2a0-0000-7000-8000-000000000000"]).code, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_are_listed_and_tested() {
    let (good, bad) = (FakeProvider::start().await, FakeProvider::start().await);
    bad.script([Answer::error(401, "invalid_api_key", "no such key")]);
    let second = config(&bad.url(), true).replace("steady:", "shut:");
    let second = second.split_once("providers:\n").unwrap().1.to_owned();
    let home = Home::with_config(&format!("{}{second}", config(&good.url(), true)));
    let _serving = home.serve(&[]);
    let listed = home.json(&["providers", "list"]);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2, "{listed}");
    let tested = home.run(&["providers", "test", "--json"]);
    assert_eq!(tested.code, 1, "{}", tested.stdout);
    let by_name = |name: &str| -> Value {
        let document = tested.document();
        let items = document["items"].as_array().unwrap();
        items.iter().find(|item| item["provider"] == name).unwrap()["is_ok"].clone()
    };
    assert_eq!((by_name("steady"), by_name("shut")), (true.into(), false.into()));
    assert_eq!(home.run(&["providers", "test", "nobody"]).code, 3);
}

#[test]
fn a_file_is_applied_as_one_change() {
    let home = Home::with_config("inherit_defaults: false\n");
    let _serving = home.serve(&[]);
    home.write(
        "more.yaml",
        "providers:\n  lab:\n    api_base: http://127.0.0.1:9/v1\n    api_key: k\n    models: [m]\nmodels:\n  big: { endpoints: [{ provider: lab, service_id: m }] }\n",
    );
    let file = home.path().join("more.yaml").display().to_string();
    let planned = home.json(&["apply", "-f", &file, "--dry-run"]);
    assert_eq!(planned["dry_run"], true);
    assert_eq!(home.json(&["route", "list"])["items"], serde_json::json!([]));
    home.json(&["apply", "-f", &file]);
    assert_eq!(home.json(&["route", "list"])["items"][0]["name"], "big");
    home.write("more.yaml", "providers: {}\n");
    let unsure = home.run(&["apply", "-f", &file, "--prune", "--json"]);
    assert_eq!(unsure.code, 4, "{}", unsure.stdout);
    home.json(&["apply", "-f", &file, "--prune", "--yes"]);
    assert_eq!(home.json(&["route", "list"])["items"], serde_json::json!([]));
    let audit = home.json(&["audit"]);
    assert!(audit["items"].as_array().unwrap().len() >= 4, "{audit}");
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_built_in_may_be_named_by_any_of_its_names() {
    let home = Home::new();
    let _serving = home.serve(&[]);
    let signed = home.json(&["key", "sign", "--providers", "qwen,alibaba"]);
    assert_eq!(signed["providers"], serde_json::json!(["alibaba"]));
    let added = home.json(&["route", "add", "fast", "qwen:qwen3-max"]);
    assert_eq!(added["spec"]["endpoints"][0]["provider"], "alibaba");
    home.json(&["route", "add", "brief", "qwen:qwen3-max", "--ephemeral"]);
    let routes = home.json(&["route", "list"]).to_string();
    assert!(!routes.contains("\"qwen\""), "{routes}");
    let commands: [&[&str]; 3] = [
        &["key", "sign", "--providers", "opnai", "--json"],
        &["route", "add", "x", "opnai:gpt-4o", "--json"],
        &["route", "add", "x", "opnai:gpt-4o", "--ephemeral", "--json"],
    ];
    for command in commands {
        let refused = home.run(command);
        assert_ne!(refused.code, 0, "{command:?}");
        let message = refused.error()["message"].to_string();
        assert!(message.contains("did you mean `openai`?"), "{command:?}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_summed_by_route_and_by_hour() {
    let provider = FakeProvider::start().await;
    let home = Home::with_config(&config(&provider.url(), true));
    let serving = home.serve(&[]);
    home.json(&["route", "add", "fast", "steady:parrot"]);
    eventually("it is served", || (serving.chat("fast", None).status == 200).then_some(()));
    let row = |by: &str| {
        eventually("usage is stored", || {
            let report = home.json(&["usage", "--by", by]);
            report["rows"].as_array()?.first().map(|row| text(&row["group"]))
        })
    };
    assert_eq!(row("route"), "fast");
    let hour = row("hour");
    assert!(hour.contains('T') && hour.contains(":00:00"), "{hour}");
}
