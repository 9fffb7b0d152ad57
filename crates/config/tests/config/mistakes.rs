//! A file with every mistake at once, and texts that nobody would write.

use proptest::prelude::*;

use crate::{load, problems, warnings};

#[test]
fn every_mistake_is_reported_at_once() {
    let loaded = load(include_str!("files/mistakes.yaml"), &[]);
    assert!(loaded.document.is_none());
    let report: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(report.join("\n"));
}

#[test]
fn what_is_no_yaml_is_told_once() {
    let loaded = load("providers:\n  a: [1\n  b: 2\n", &[]);
    assert_eq!(loaded.problems.len(), 1);
    assert!(loaded.problems[0].message.starts_with("not valid YAML"));
    assert_eq!(loaded.problems[0].position.unwrap().line, 3);
}

#[test]
fn a_mistake_says_what_to_write_instead() {
    let cases = [
        ("providers:\n  openai: {api_key: ${KEY}}\n", "put `${…}` in quotes"),
        ("server:\n\tlisten: 127.0.0.1:1\n", "indent with spaces"),
        (
            "models:\n  m: {endpoints: [{provider: openai, service_id: x, model: x}]}\n",
            "did you mean `model_id`?",
        ),
        ("providers:\n  p: {auth: {type: header, header: X-Key}}\n", "did you mean `header_name`?"),
        ("server: {tls: {cert: a, key: b, chain: c}}\n", "it is one of `cert`, `key`"),
        ("server: {log_level: warning}\n", "did you mean `warn`?"),
        (
            "providers:\n  p: {models: {m: {pricing: {per_request: \"0.01\"}}}}\n",
            "write it without quotes",
        ),
        ("inherit_defaults: \"true\"\n", "write it without quotes"),
        (
            "providers:\n  p: {api_key: \"${A:-${B}}\"}\n",
            "one variable cannot stand in for another",
        ),
    ];
    for (text, expected) in cases {
        let problems = problems(text);
        assert!(problems.iter().any(|it| it.contains(expected)), "{text}: {problems:?}");
    }
}

#[test]
fn a_variable_in_a_key_is_warned_of() {
    let text = "providers: {p: {api_base: http://h, models: {\"${MODEL}\": {}}}}";
    let warned = warnings(text, &[("MODEL", "m")]);
    assert!(warned.iter().any(|it| it.contains("only in values")), "{warned:?}");
}

const WORDS: &[&str] = &[
    "server",
    "providers",
    "openai",
    "models",
    "endpoints",
    "provider",
    "api_base",
    "api_key",
    "derives",
    "auth",
    "type",
    "header",
    "pricing",
    "listen",
    "accounts",
    "strategy",
    "<<",
    "*",
    "${X}",
    "${",
    "~",
    "-1",
    "1e400",
    "http://h",
    "messages",
    "guardrails",
    "budgets",
    "variants",
    "timeouts",
    "connect",
    "5s",
    "x-a",
    "",
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => proptest::sample::select(WORDS).prop_map(str::to_owned),
        1 => "[ -~]{0,8}",
    ]
}

fn tree() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        word().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
        any::<bool>().prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
    ];
    leaf.prop_recursive(6, 48, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            proptest::collection::vec((word(), inner), 0..6)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_tree_makes_it_panic(tree in tree()) {
        // JSON is YAML.
        load(&tree.to_string(), &[("X", "1")]);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[ -~\n]{0,120}") {
        load(&text, &[]);
    }
}
