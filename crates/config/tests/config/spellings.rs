//! Every spelling of either generation means the same.

use bitrouter_config::{
    LogLevel, MetricsAccess,
    resource::{Billing, Strategy},
};
use bitrouter_metering::PicoUsd;

use crate::{Find as _, dialects, document, find, urls};

/// A provider entry, in flow style.
fn provider(entry: &str) -> String {
    format!("providers: {{p: {entry}}}")
}

#[test]
fn a_protocol_is_a_name_a_list_or_rules() {
    let base = "api_base: 'https://h/v1', api_key: k";
    let cases = [
        ("chat_completions", vec!["*=chat_completions"]),
        ("[chat_completions]", vec!["*=chat_completions"]),
        ("['*': chat_completions]", vec!["*=chat_completions"]),
        ("['*': [chat_completions]]", vec!["*=chat_completions"]),
        ("openai", vec!["*=chat_completions"]),
        ("anthropic", vec!["*=messages"]),
        ("google", vec!["*=generate_content"]),
        ("messages", vec!["*=messages"]),
        ("generate_content", vec!["*=generate_content"]),
        ("responses", vec!["*=responses"]),
        ("[messages, chat_completions, openai]", vec!["*=messages,chat_completions"]),
        (
            "['claude-*': messages, '*': [responses, openai]]",
            vec!["claude-*=messages", "*=responses,chat_completions"],
        ),
    ];
    for (spelling, expected) in cases {
        let text = provider(&format!("{{{base}, api_protocol: {spelling}}}"));
        assert_eq!(dialects(document(&text, &[]).provider("p")), expected, "{spelling}");
    }
}

#[test]
fn openai_itself_serves_responses_too() {
    let text = provider("{api_base: 'https://api.openai.com', api_protocol: openai, api_key: k}");
    assert_eq!(dialects(document(&text, &[]).provider("p")), ["*=chat_completions,responses"]);
}

#[test]
fn a_protocol_is_inferred_from_the_host() {
    let cases = [
        ("https://api.anthropic.com", "*=messages", "https://api.anthropic.com/v1"),
        ("https://api.anthropic.com/v1", "*=messages", "https://api.anthropic.com/v1"),
        (
            "https://generativelanguage.googleapis.com",
            "*=generate_content",
            "https://generativelanguage.googleapis.com/v1beta",
        ),
        ("http://localhost:11434/v1", "*=chat_completions", "http://localhost:11434/v1"),
        ("http://localhost:11434", "*=chat_completions", "http://localhost:11434/v1"),
        ("http://192.168.1.7:8000/", "*=chat_completions", "http://192.168.1.7:8000/v1"),
    ];
    for (base, dialect, url) in cases {
        let document = document(&provider(&format!("{{api_base: '{base}'}}")), &[]);
        let provider = document.provider("p");
        assert_eq!(dialects(provider), [dialect], "{base}");
        assert_eq!(urls(provider), [url], "{base}");
        assert_eq!(provider.inactive_reason, None, "{base}");
    }
}

#[test]
fn a_catalogue_is_a_map_or_a_list() {
    let cases = [
        "{m: {name: M}, n: {}}",
        "{m: {name: M}, n: }",
        "{m: {id: m, name: M}, n: {}}",
        "[{id: m, name: M}, {id: n}]",
        "[{id: m, name: M}, n]",
    ];
    for spelling in cases {
        let text = provider(&format!("{{api_base: 'http://localhost:1', models: {spelling}}}"));
        let document = document(&text, &[]);
        let models = &document.provider("p").models;
        let ids: Vec<&str> = models.keys().map(String::as_str).collect();
        assert_eq!(ids, ["m", "n"], "{spelling}");
        assert_eq!(models["m"].display_name.as_deref(), Some("M"), "{spelling}");
    }
}

#[test]
fn an_upstream_model_has_three_names() {
    for key in ["service_id", "model_id", "tool_id"] {
        let text = format!("models: {{r: {{endpoints: [{{provider: openai, {key}: gpt-4o}}]}}}}");
        let document = document(&text, &[]);
        assert_eq!(document.route("r").endpoints[0].model, "gpt-4o", "{key}");
    }
}

#[test]
fn a_strategy_has_its_name_and_cascade_is_priority() {
    let cases = [
        ("priority", Strategy::Priority),
        ("cascade", Strategy::Priority),
        ("load_balance", Strategy::LoadBalance),
        ("least_busy", Strategy::LeastBusy),
        ("lowest_latency", Strategy::LowestLatency),
        ("lowest_cost", Strategy::LowestCost),
        ("local_first", Strategy::LocalFirst),
    ];
    for (name, strategy) in cases {
        let text = format!(
            "models: {{r: {{strategy: {name}, endpoints: [{{provider: openai, model_id: m}}]}}}}"
        );
        assert_eq!(document(&text, &[]).route("r").strategy, strategy, "{name}");
    }
}

#[test]
fn a_price_is_the_same_in_both_spellings() {
    let nested = "{input_tokens: {no_cache: 0.075, cache_read: 0.1, cache_write: 3.75}, \
                  output_tokens: {text: 15, reasoning: 1.10}}";
    let flat = "{input_micro_usd_per_token: 0.075, cache_read_micro_usd_per_token: 0.1, \
                cache_write_micro_usd_per_token: 3.75, output_micro_usd_per_token: 15.0, \
                reasoning_micro_usd_per_token: 1.1}";
    let prices = [nested, flat].map(|pricing| {
        let text = provider(&format!(
            "{{api_base: 'http://localhost:1', models: [{{id: m, pricing: {pricing}}}]}}"
        ));
        document(&text, &[]).provider("p").models["m"].price.clone().unwrap()
    });
    assert_eq!(prices[0], prices[1]);
    let rates = prices[0].base;
    assert_eq!(rates.input_uncached, Some(PicoUsd(75_000)));
    assert_eq!(rates.cache_read, Some(PicoUsd(100_000)));
    assert_eq!(rates.cache_write_5m, Some(PicoUsd(3_750_000)));
    assert_eq!(rates.cache_write_1h, Some(PicoUsd(3_750_000)));
    assert_eq!(rates.output, Some(PicoUsd(15_000_000)));
    assert_eq!(rates.reasoning, Some(PicoUsd(1_100_000)));
}

#[test]
fn every_price_is_kept_exactly() {
    for micros in [1_u64, 7, 1_000, 33_333, 123_456, 999_999, 1_000_001, 75_000_000] {
        let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
        let yaml = provider(&format!(
            "{{api_base: 'http://localhost:1', models: [{{id: m, pricing: {{output_tokens: {{text: {text}}}}}}}]}}"
        ));
        let price = document(&yaml, &[]).provider("p").models["m"].price.clone().unwrap();
        assert_eq!(price.base.output, Some(PicoUsd(micros)), "{text}");
    }
}

#[test]
fn tiers_and_requests_have_prices() {
    let text = provider(
        "{api_base: 'http://localhost:1', models: [{id: m, pricing: {input_tokens: {no_cache: 3}, \
         per_request: 0.005, context_tiers: [{above_input_tokens: 200000, input_tokens: {no_cache: 6}}]}}]}",
    );
    let price = document(&text, &[]).provider("p").models["m"].price.clone().unwrap();
    assert_eq!(price.per_request, Some(PicoUsd(5_000_000_000)));
    assert_eq!(price.tiers[0].above_input_tokens, 200_000);
    assert_eq!(price.rates_for(200_001).input_uncached, Some(PicoUsd(6_000_000)));
}

#[test]
fn billing_and_priority_are_told() {
    let cases = [
        ("token", Billing::Token),
        ("subscription", Billing::Subscription),
        ("local", Billing::Local),
    ];
    for (name, billing) in cases {
        let text =
            provider(&format!("{{api_base: 'http://localhost:1', billing: {name}, priority: -1}}"));
        let document = document(&text, &[]);
        assert_eq!(document.provider("p").billing, billing, "{name}");
        assert_eq!(document.provider("p").priority, -1, "{name}");
    }
}

#[test]
fn the_control_socket_has_two_spellings() {
    for text in ["server: {control_socket: s.sock}", "server: {control: {socket: s.sock}}"] {
        let document = document(text, &[]);
        assert_eq!(document.server.control.socket.as_deref(), Some("s.sock".as_ref()), "{text}");
    }
}

#[test]
fn a_size_is_a_number_or_a_text() {
    let cases = [("50000000", 50_000_000), ("50MB", 50_000_000), ("'1MiB'", 1_048_576)];
    for (spelling, bytes) in cases {
        let document = document(&format!("server: {{max_body: {spelling}}}"), &[]);
        assert_eq!(document.server.listener.max_body_bytes, bytes, "{spelling}");
    }
}

#[test]
fn levels_and_metrics_have_their_names() {
    let levels = [
        ("trace", LogLevel::Trace),
        ("debug", LogLevel::Debug),
        ("info", LogLevel::Info),
        ("warn", LogLevel::Warn),
        ("error", LogLevel::Error),
    ];
    for (name, level) in levels {
        let document = document(&format!("server: {{log_level: {name}}}"), &[]);
        assert_eq!(document.server.log_level, Some(level));
    }
    let access = [
        ("public", MetricsAccess::Public),
        ("loopback", MetricsAccess::Loopback),
        ("off", MetricsAccess::Off),
    ];
    for (name, expected) in access {
        let document = document(&format!("server: {{metrics: {name}}}"), &[]);
        assert_eq!(document.server.listener.metrics, expected);
    }
}

#[test]
fn a_variant_and_a_preset_route_alike() {
    let document = document(
        "presets: {p: {model: 'openai:gpt-4o', system_prompt: s, parameters: {temperature: 0.5}, \
         routing: {sort: price, require_tags: [eu], only: [openai], ignore: [google]}}}\n\
         variants: {v: {sort: price, require_tags: [eu], only: [openai], ignore: [google], parameters: {top_p: 1}}}",
        &[],
    );
    let preset = find(&document.presets, "p");
    let variant = find(&document.variants, "v");
    assert_eq!(preset.routing, variant.routing);
    assert_eq!(preset.routing.only, ["openai"]);
    assert_eq!(preset.parameters["temperature"], 0.5);
    assert_eq!(variant.parameters["top_p"], 1);
}

#[test]
fn a_substituted_text_may_stand_for_another_type() {
    let text = "server: {skip_auth: '${SKIP}', max_body: '${BODY}'}\n\
                providers: {p: {api_base: 'http://localhost:1', priority: '${PRIORITY}'}}";
    let variables = [("SKIP", "true"), ("BODY", "1MB"), ("PRIORITY", "-3")];
    let document = document(text, &variables);
    assert_eq!(document.server.auth.skip_auth, Some(true));
    assert_eq!(document.server.listener.max_body_bytes, 1_000_000);
    assert_eq!(document.provider("p").priority, -3);
}

#[test]
fn anchors_have_a_place_of_their_own() {
    let text = "x-common: &common {timeouts: {connect: 5s}}\n\
                providers:\n  a: {<<: *common, api_base: 'http://localhost:1'}\n";
    assert_eq!(document(text, &[]).provider("a").timeouts.connect_ms, Some(5_000));
}
