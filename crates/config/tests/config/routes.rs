//! Routes, their private accounts, presets and what they refer to.

use bitrouter_catalog::Catalog;
use bitrouter_config::{
    Sources,
    resource::{DataPolicy, Fidelity},
};

use crate::{Find as _, document, lines, load, problems, sources, warnings};

#[test]
fn an_endpoint_may_have_a_key_and_a_base_of_its_own() {
    let text = "models:\n  fast:\n    strategy: load_balance\n    endpoints:\n      \
                - {provider: openai, model_id: gpt-4o-mini, api_key: key-a, weight: 2}\n      \
                - {provider: openai, model_id: gpt-4o-mini, api_key: key-b, api_base: 'https://b.example.com'}\n";
    let document = document(text, &[]);
    let endpoints = &document.route("fast").endpoints;
    assert_eq!(endpoints[0].account.as_deref(), Some("openai/route:fast:0"));
    assert_eq!(endpoints[0].weight, 2);
    assert_eq!(endpoints[1].base_url.as_ref().unwrap().as_str(), "https://b.example.com/v1");
    let accounts = document.accounts_of("openai");
    assert_eq!(accounts[1].id, "openai/route:fast:1");
    assert_eq!(accounts[1].spec.account.route.as_deref(), Some("fast"));
    assert_eq!(accounts[1].spec.secret.expose(), "key-b");
}

#[test]
fn a_key_at_an_endpoint_is_enough_for_it() {
    let text =
        "models: {fast: {endpoints: [{provider: openai, model_id: gpt-4o-mini, api_key: key-a}]}}";
    let document = document(text, &[]);
    let provider = document.provider("openai");
    assert_eq!(provider.inactive_reason, None);
    // Other requests still need an account, and there is none for them.
    assert!(provider.needs_account);
    assert!(document.accounts.iter().all(|it| it.spec.account.route.is_some()));
    assert!(provider.models["gpt-4o-mini"].price.is_some());
}

#[test]
fn an_endpoint_without_its_variable_uses_no_other_key() {
    let text = "models: {r: {endpoints: [{provider: openai, model_id: m, api_key: '${NOT_SET}'}]}}";
    let loaded = load(text, &[("OPENAI_API_KEY", "k")]);
    let document = loaded.document.unwrap();
    let account = document.route("r").endpoints[0].account.clone().unwrap();
    assert!(document.accounts.iter().all(|it| it.id != account));
    assert!(loaded.warnings[0].to_string().contains("`NOT_SET` is not set"));
}

#[test]
fn what_a_route_promises_is_kept() {
    let text = "models: {r: {name: R, description: d, max_input_tokens: 10, max_output_tokens: 5, \
                fidelity: strict, data: local_only, endpoints: [{provider: ollama, service_id: m}]}}";
    let document = document(text, &[]);
    let route = document.route("r");
    assert_eq!((route.max_input_tokens, route.max_output_tokens), (Some(10), Some(5)));
    assert_eq!((route.fidelity, route.data), (Fidelity::Strict, DataPolicy::LocalOnly));
    assert_eq!(route.display_name.as_deref(), Some("R"));
}

#[test]
fn a_cascade_finds_its_endpoints() {
    let text = "providers:\n  a: {api_base: 'http://localhost:1', models: [m], priority: 2}\n  \
                b: {api_base: 'http://localhost:2', models: [m]}\n  c: {models: [m]}\n\
                models: {m: {strategy: cascade}}\n";
    let document = document(text, &[]);
    let order: Vec<&str> =
        document.route("m").endpoints.iter().map(|it| it.provider.as_str()).collect();
    assert_eq!(order, ["b", "a"]);
}

#[test]
fn what_is_not_declared_is_an_error() {
    let text = "models:\n  r:\n    endpoints:\n      - {provider: opnai, model_id: m}\n      - {provider: openai}\n  s: {endpoints: []}\n\
                presets: {p: {routing: {only: [antropic]}}}\nvariants: {v: {ignore: [nobody]}}\n";
    assert_eq!(
        problems(text),
        [
            "bitrouter.yaml:4:20: models.r.endpoints[0].provider: no provider is named `opnai`; did you mean `openai`?",
            "bitrouter.yaml:5:9: models.r.endpoints[1]: `service_id` is missing; `service_id`, `model_id` and `tool_id` are the same",
            "bitrouter.yaml:6:3: models.s: a route needs at least one endpoint",
            "bitrouter.yaml:7:32: presets.p.routing.only[0]: no provider is named `antropic`; did you mean `anthropic`?",
            "bitrouter.yaml:8:25: variants.v.ignore[0]: no provider is named `nobody`",
        ]
    );
}

#[test]
fn a_provider_made_elsewhere_is_known() {
    let text = "models: {r: {endpoints: [{provider: from-api, model_id: m}]}}";
    let known_providers = vec!["from-api".to_owned()];
    let sources = Sources { known_providers, ..sources(text, &[]) };
    let loaded = bitrouter_config::load(&sources, Catalog::builtin());
    assert_eq!(lines(&loaded.problems), Vec::<String>::new());
}

#[test]
fn providers_are_presumed_while_nobody_can_say() {
    let text = "models: {r: {endpoints: [{provider: from-api, model_id: m}]}}\n\
                presets: {p: {routing: {only: [other, openai]}}}";
    let sources = Sources { presumes_providers: true, ..sources(text, &[]) };
    let loaded = bitrouter_config::load(&sources, Catalog::builtin());
    assert_eq!(lines(&loaded.problems), Vec::<String>::new());
    let presumed: Vec<_> = loaded.presumed_providers.iter().map(String::as_str).collect();
    assert_eq!(presumed, ["from-api", "other"]);
    let document = loaded.document.unwrap();
    assert_eq!(document.route("r").endpoints[0].provider, "from-api");
}

#[test]
fn a_preset_for_a_model_that_nobody_declares_is_warned_of() {
    let text = "models: {smart: {endpoints: [{provider: openai, model_id: gpt-4o}]}}\n\
                presets: {a: {model: smrt}, b: {model: smart}, c: {model: 'openai:x'}, d: {model: gpt-4o}}";
    assert_eq!(
        warnings(text, &[]),
        [
            "bitrouter.yaml:2:22: presets.a.model: nothing here declares a model `smrt`; did you mean `smart`?",
        ]
    );
}
