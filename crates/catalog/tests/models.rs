//! What the built-in data say about models.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bitrouter_catalog::{Catalog, CatalogModel, Modality, ModelKind};
use bitrouter_metering::{PicoUsd, Price, Rates};

fn model(provider: &str, name: &str) -> &'static CatalogModel {
    &Catalog::builtin().models_of(provider)[name]
}

fn price(provider: &str, name: &str) -> &'static Price {
    model(provider, name).price.as_ref().unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "as the rates are that it is compared with")]
fn usd(per_million: &str) -> Option<PicoUsd> {
    Some(PicoUsd::parse_usd_per_million(per_million).unwrap())
}

#[test]
fn well_known_models_cost_what_their_makers_publish() {
    // provider, model, input, cache read, output; USD per million tokens.
    let cases = [
        ("openai", "gpt-4o", "2.5", "1.25", "10"),
        ("openai", "gpt-4o-mini", "0.15", "0.075", "0.6"),
        ("openai", "gpt-4.1", "2", "0.5", "8"),
        ("anthropic", "claude-sonnet-4-5", "3", "0.3", "15"),
        ("anthropic", "claude-haiku-4-5", "1", "0.1", "5"),
        ("google", "gemini-2.5-flash", "0.3", "0.03", "2.5"),
        ("azure", "gpt-4o", "2.5", "1.25", "10"),
        ("openrouter", "openai/gpt-4o-mini", "0.15", "0.075", "0.6"),
    ];
    for (provider, name, input, cache_read, output) in cases {
        let base = Catalog::builtin().lookup_price(provider, name).unwrap().base;
        assert_eq!(base.input_uncached, usd(input), "{provider}:{name} input");
        assert_eq!(base.cache_read, usd(cache_read), "{provider}:{name} cache read");
        assert_eq!(base.output, usd(output), "{provider}:{name} output");
    }
}

#[test]
fn both_lives_of_a_cache_entry_are_priced() {
    let base = price("anthropic", "claude-sonnet-4-5").base;
    assert_eq!((base.cache_write_5m, base.cache_write_1h), (usd("3.75"), usd("6")));
}

#[test]
fn long_contexts_have_their_own_rates() {
    let pro = price("google", "gemini-2.5-pro");
    assert_eq!(pro.rates_for(200_000).input_uncached, usd("1.25"));
    assert_eq!(pro.rates_for(200_001).input_uncached, usd("2.5"));
    assert_eq!(pro.rates_for(200_001).output, usd("15"));
    let at = |tokens| price("alibaba", "qwen3-max").rates_for(tokens).input_uncached;
    assert_eq!((at(32_000), at(32_001), at(128_001)), (usd("1.2"), usd("2.4"), usd("3")));
}

#[test]
fn audio_and_images_have_a_price_where_text_has_one() {
    assert_eq!(price("google", "gemini-2.5-flash").base.audio_in, usd("1"), "its own");
    let pro = price("google", "gemini-2.5-pro");
    assert_eq!(pro.base.audio_in, pro.base.input_uncached, "that of plain input");
    assert_eq!(pro.rates_for(200_001).audio_in, usd("2.5"), "in a tier as well");
    for provider in Catalog::builtin().providers() {
        for (name, model) in Catalog::builtin().models_of(&provider.id) {
            let Some(Price { base, .. }) = &model.price else { continue };
            let takes = |modality| model.input_modalities.contains(&modality);
            let is_priced = base.input_uncached.is_some();
            assert!(!takes(Modality::Audio) || !is_priced || base.audio_in.is_some(), "{name}");
            assert!(!takes(Modality::Image) || !is_priced || base.image.is_some(), "{name}");
        }
    }
}

#[test]
fn limits_kinds_and_modalities_are_known() {
    let gpt = model("openai", "gpt-4o");
    assert_eq!((gpt.max_input_tokens, gpt.max_output_tokens), (Some(128_000), Some(16_384)));
    assert_eq!(gpt.input_modalities, [Modality::Text, Modality::Image, Modality::File]);
    assert_eq!(gpt.output_modalities, [Modality::Text]);
    assert_eq!(gpt.kind, ModelKind::Chat);
    let vectors = model("openai", "text-embedding-3-small");
    assert_eq!(vectors.kind, ModelKind::Embedding);
    assert!(vectors.output_modalities.is_empty());
    assert_eq!(price("openai", "text-embedding-3-small").base.input_uncached, usd("0.02"));
    assert_eq!(model("openai", "gpt-3.5-turbo-instruct").kind, ModelKind::Completion);
}

#[test]
fn what_is_not_known_is_empty_and_not_free() {
    let catalog = Catalog::builtin();
    assert!(catalog.models_of("nobody").is_empty());
    assert!(catalog.models_of("ollama").is_empty());
    assert_eq!(catalog.lookup_price("openai", "gpt-nonsense"), None);
    assert_eq!(catalog.lookup_price("nobody", "gpt-4o"), None);
}

#[test]
fn no_number_is_absurd() {
    let mut counted = 0;
    for provider in Catalog::builtin().providers() {
        let models = Catalog::builtin().models_of(&provider.id);
        counted += models.len();
        for (name, model) in models {
            let place = format!("{}:{name}", provider.id);
            assert!(!name.is_empty() && name.trim() == name, "`{place}`");
            for limit in [model.max_input_tokens, model.max_output_tokens].into_iter().flatten() {
                assert!((1..=20_000_000).contains(&limit), "{place}: {limit}");
            }
            if let Some(price) = &model.price {
                check_price(&place, price);
            }
        }
        let is_free = |model: &&CatalogModel| {
            model.price.as_ref().is_some_and(|price| price.base.input_uncached == usd("0"))
        };
        let free = models.values().filter(is_free).count();
        assert!(provider.id == "openrouter" || free <= 3, "{}: {free} free models", provider.id);
    }
    assert!(counted > 1_000, "only {counted} models");
}

fn check_price(place: &str, price: &Price) {
    let mut above = 0;
    for tier in &price.tiers {
        assert!(tier.above_input_tokens > above, "{place}: the tiers must rise");
        above = tier.above_input_tokens;
    }
    for rates in price.tiers.iter().map(|tier| &tier.rates).chain([&price.base]) {
        assert!(*rates != Rates::default(), "{place}: a price without rates");
        let rates = serde_json::to_value(rates).unwrap();
        for (class, rate) in rates.as_object().unwrap() {
            assert!(
                rate.as_u64().unwrap() <= 1_000_000_000,
                "{place}: {class} is above $1,000 per million"
            );
        }
    }
    let Rates { input_uncached, cache_read, .. } = price.base;
    assert!(cache_read <= input_uncached.or(cache_read), "{place}: a cache that costs more");
}
