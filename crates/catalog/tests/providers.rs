//! Every built-in provider, field by field: a change of the data must be meant.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::HashSet, fmt::Write as _};

use bitrouter_catalog::{Access, Auth, Billing, Catalog, CatalogProvider, Service};
use bitrouter_translate::Dialect;

/// `id aliases | credential | base URLs | dialects | billing`, in the order of preference.
const EXPECTED: &str = include_str!("providers.txt");

#[test]
fn every_provider_is_as_listed() {
    let mut rows = String::new();
    for provider in Catalog::builtin().providers() {
        writeln!(rows, "{}", row(provider)).unwrap();
    }
    let all: HashSet<_> = EXPECTED.lines().collect();
    let unexpected: Vec<_> = rows.lines().filter(|row| !all.contains(row)).collect();
    assert!(rows == EXPECTED, "tests/providers.txt differs in order or in these: {unexpected:#?}");
}

fn row(provider: &CatalogProvider) -> String {
    let mut names = vec![provider.id.clone()];
    names.extend(provider.aliases.iter().cloned());
    let credential = match &provider.access {
        Access::Key => provider.api_key_env.join(" "),
        Access::Open => "open".to_owned(),
        Access::Login(name) => format!("login:{name}"),
    };
    let credential = match &provider.auth {
        Auth::Bearer => credential,
        Auth::Header(name) => format!("{credential} in {name}"),
    };
    let urls = provider.base_urls.iter().map(|base| match base.dialect {
        Some(dialect) => format!("{dialect}@{}", base.url),
        None => base.url.clone(),
    });
    let dialects = provider.dialects.iter().map(|rule| {
        let names: Vec<_> = rule.dialects.iter().map(|dialect| dialect.as_str()).collect();
        format!("{}={}", rule.glob, names.join("/"))
    });
    let billing = match (provider.service, provider.billing) {
        (Service::Rest, _) => "rest",
        (Service::Models, Billing::Token) => "token",
        (Service::Models, Billing::Subscription) => "subscription",
        (Service::Models, Billing::Local) => "local",
    };
    let urls = urls.collect::<Vec<_>>().join(" ");
    let dialects = dialects.collect::<Vec<_>>().join(" ");
    [names.join(" "), credential, urls, dialects, billing.to_owned()].join(" | ")
}

#[test]
fn every_entry_can_be_used() {
    let mut names = HashSet::new();
    for provider in Catalog::builtin().providers() {
        let id = &provider.id;
        for name in provider.aliases.iter().chain([id]) {
            assert!(names.insert(name), "{name} is taken twice");
            assert_eq!(Catalog::builtin().provider(name).unwrap().id, *id);
        }
        match &provider.access {
            Access::Key => assert!(!provider.api_key_env.is_empty(), "{id} names no variable"),
            Access::Open => {
                assert_eq!(provider.billing, Billing::Local, "{id} is open but not local");
            }
            Access::Login(_) => assert_eq!(provider.billing, Billing::Subscription, "{id}"),
        }
        let is_env_name =
            |name: &String| name.bytes().all(|b| matches!(b, b'A'..=b'Z' | b'0'..=b'9' | b'_'));
        assert!(provider.api_key_env.iter().all(is_env_name), "{id}: {:?}", provider.api_key_env);
        check_base_urls(provider);
        check_dialects(provider);
    }
}

fn check_base_urls(provider: &CatalogProvider) {
    let id = &provider.id;
    let rest = provider.base_urls.iter().filter(|base| base.dialect.is_none()).count();
    assert_eq!(rest, 1, "{id} needs one base URL that serves the dialects without their own");
    let mut dialects = HashSet::new();
    for base in &provider.base_urls {
        let url = &base.url;
        let loopback = url.starts_with("http://127.0.0.1:");
        assert!(url.starts_with("https://") != loopback, "{id}: {url}");
        assert_eq!(loopback, provider.billing == Billing::Local, "{id}: {url}");
        assert!(!url.ends_with('/'), "{id}: {url}");
        assert_eq!(url.matches("${").count(), url.matches('}').count(), "{id}: {url}");
        assert!(base.dialect.is_none_or(|it| dialects.insert(it)), "{id}: a dialect has two");
    }
}

fn check_dialects(provider: &CatalogProvider) {
    let id = &provider.id;
    if provider.service == Service::Rest {
        assert!(provider.dialects.is_empty(), "{id} serves no models");
        return;
    }
    assert_eq!(provider.dialects.last().unwrap().glob, "*", "{id}: some model has no dialect");
    let mut spoken: HashSet<Dialect> = HashSet::new();
    for rule in &provider.dialects {
        assert!(!rule.dialects.is_empty(), "{id}: `{}` speaks nothing", rule.glob);
        spoken.extend(&rule.dialects);
    }
    for dialect in provider.base_urls.iter().filter_map(|base| base.dialect) {
        assert!(spoken.contains(&dialect), "{id} has a base URL for {dialect}, never spoken");
    }
}

#[test]
fn other_names_lead_to_the_same_provider() {
    let catalog = Catalog::builtin();
    assert_eq!(catalog.provider("moonshot").unwrap().id, "moonshotai");
    assert_eq!(catalog.provider("qwen").unwrap().id, "alibaba");
    assert!(catalog.provider("OpenAI").is_none());
    assert!(std::ptr::eq(catalog.models_of("moonshot"), catalog.models_of("moonshotai")));
}

#[test]
fn who_refuses_stream_options_is_known() {
    let unasked: Vec<_> = Catalog::builtin()
        .providers()
        .filter(|provider| provider.stream_usage_unasked)
        .map(|provider| (provider.id.as_str(), provider.note.is_some()))
        .collect();
    assert_eq!(unasked, [("mistral", true)], "each with a note that says why");
}
