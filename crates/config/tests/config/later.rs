//! Sections whose feature is not active: checked, and named one by one.

use crate::{document, lines, load, problems};

#[test]
fn every_inactive_section_is_named_once() {
    let text = include_str!("files/later.yaml");
    let document = document(text, &[]);
    let named: Vec<(&str, bool)> =
        document.not_active.iter().map(|it| (it.section.as_str(), it.protects)).collect();
    assert_eq!(
        named,
        [
            ("providers.github-mcp", false),
            ("guardrails", true),
            ("tools", false),
            ("mcp_servers", false),
            ("mcp", false),
            ("server_tools", false),
            ("agents", false),
            ("wallet", false),
            ("mpp", false),
            ("solana_rpc_url", false),
            ("telemetry", false),
            ("policies", true),
            ("budgets", true),
        ]
    );
    assert_eq!(
        document.not_active[1].to_string(),
        "guardrails is not active in this version: nothing is inspected, redacted or blocked"
    );
}

#[test]
fn plugins_are_older_spellings() {
    let text = "plugins: {bitrouter-guardrails: {custom_patterns: [{name: a, pattern: 'x+'}]}, bitrouter-observe: {otlp: {}}}";
    let document = document(text, &[]);
    let named: Vec<(&str, bool)> =
        document.not_active.iter().map(|it| (it.section.as_str(), it.protects)).collect();
    assert_eq!(
        named,
        [("plugins.bitrouter-guardrails", true), ("plugins.bitrouter-observe", false)]
    );
    let both = "guardrails: {}\nplugins: {bitrouter-guardrails: {}}";
    assert!(problems(both)[0].contains("which is the same"));
}

#[test]
fn guardrails_that_are_off_protect_nothing() {
    assert_eq!(document("guardrails: {enabled: false}\nbudgets: []", &[]).not_active, []);
}

#[test]
fn their_form_is_checked() {
    let text = "guardrails:\n  upgoing: {api_key: redact, private_keys: shred}\n  disabled_patterns: [ip_adresses]\n  \
                custom_patterns: [{name: a, regex: '('}, {name: b}]\n  custom_upgoing: {c: block}\n\
                budgets: [{owner: everybody, limit: -1, window: fortnight}]\n\
                mcp_servers: {x: {}}\n";
    assert_eq!(
        problems(text),
        [
            "bitrouter.yaml:2:22: guardrails.upgoing.api_key: no pattern is named `api_key` here; did you mean `api_keys`?",
            "bitrouter.yaml:2:44: guardrails.upgoing.private_keys: `shred` is none of `warn`, `redact`, `block`",
            "bitrouter.yaml:3:23: guardrails.disabled_patterns[0]: no pattern is named `ip_adresses` here; did you mean `ip_addresses`?",
            "bitrouter.yaml:4:38: guardrails.custom_patterns[0].regex: not a regular expression: unclosed group",
            "bitrouter.yaml:4:44: guardrails.custom_patterns[1]: `regex` is missing",
            "bitrouter.yaml:5:23: guardrails.custom_upgoing.c: no pattern is named `c` here; did you mean `a`?",
            "bitrouter.yaml:6:19: budgets[0].owner: not an owner; `key:ID`, `user:ID`, `team:ID`, `provider:ID`, `model:PATTERN` or `all`",
            "bitrouter.yaml:6:37: budgets[0].limit: must be at least 0",
            "bitrouter.yaml:6:49: budgets[0].window: not a window; `total`, `day`, `week`, `month`, `session`, `every:1h`, `duration:30d` or `rounds:10`",
            "bitrouter.yaml:7:15: mcp_servers.x: give either `url` or `command`",
        ]
    );
}

#[test]
fn exa_is_a_provider_of_tools() {
    let text = "tools: {web_search: {endpoints: [{provider: exa, service_id: search}]}}\nproviders: {exa: {api_key: k}}";
    let loaded = load(text, &[]);
    assert_eq!(lines(&loaded.warnings), Vec::<String>::new());
    let named = loaded.document.unwrap().not_active;
    assert_eq!(named[0].section, "providers.exa");
    assert!(!named[0].protects);
}

#[test]
fn references_to_nothing_are_warned_of() {
    let text = "tools: {t: {endpoints: [{provider: nobody, service_id: s}]}}\n\
                policies: [{over_cost: {use: cheap}}]\n";
    let loaded = load(text, &[]);
    assert_eq!(lines(&loaded.problems), Vec::<String>::new());
    assert_eq!(
        lines(&loaded.warnings),
        [
            "bitrouter.yaml:1:36: tools.t.endpoints[0].provider: no provider is named `nobody`",
            "bitrouter.yaml:2:30: policies[0].over_cost.use: no route is named `cheap`",
        ]
    );
}
