use bitrouter_proto::v1::{self, resource::Spec};

use super::*;
use crate::{
    fixtures::{
        account, key, of_key, of_provider, of_route, provider, resource, route, start, table,
    },
    health::{Failure, Resort},
    table::{Change, Incoming, Kind, ResourceRef, Revision},
};

/// Two priced hosts, an aggregator, a local server, one that is not set up and one of Anthropic's
/// dialect.
fn world() -> Vec<v1::Resource> {
    let priced = |mut provider: v1::Provider, price: u64| {
        for model in &mut provider.models {
            let rate = Some(price);
            let base = v1::Rates { input_uncached: rate, output: rate, ..v1::Rates::default() };
            model.price = Some(v1::Price { base: Some(base), ..v1::Price::default() });
        }
        provider
    };
    let local = v1::Provider {
        billing: v1::Billing::Local.into(),
        tags: vec!["home".to_owned()],
        ..provider("ollama", 4, &["llama3.1:8b", "gpt-4o"])
    };
    let inactive = v1::Provider {
        inactive_reason: "set DEEPSEEK_API_KEY".to_owned(),
        ..provider("deepseek", 5, &[])
    };
    let anthropic = v1::Provider {
        dialects: vec![v1::DialectRule {
            glob: "*".to_owned(),
            dialects: vec![v1::Dialect::Messages.into()],
        }],
        ..provider("anthropic", 2, &["claude-sonnet-4"])
    };
    vec![
        of_provider("openai", priced(provider("openai", 1, &["gpt-4o", "gpt-4o-mini"]), 9)),
        of_provider("anthropic", anthropic),
        of_provider(
            "router",
            priced(provider("router", 3, &["openai/gpt-4o", "gpt-4o", "x:free"]), 3),
        ),
        of_provider("ollama", local),
        of_provider("deepseek", inactive),
        of_route("smart", route(v1::Strategy::Priority, &["openai:gpt-4o", "router:gpt-4o"])),
    ]
}

fn preset(name: &str, preset: v1::Preset) -> v1::Resource {
    resource(v1::Kind::Preset, name, 1, Spec::Preset(preset))
}

fn variant(name: &str, routing: v1::Routing) -> v1::Resource {
    let variant = v1::Variant { routing: Some(routing), ..v1::Variant::default() };
    resource(v1::Kind::Variant, name, 1, Spec::Variant(variant))
}

fn with(more: impl IntoIterator<Item = v1::Resource>) -> RoutingTable {
    table(world().into_iter().chain(more))
}

fn ask<'a>(model: &'a str, principal: &'a Principal) -> Ask<'a> {
    Ask {
        model,
        dialect: Dialect::ChatCompletions,
        operation: Operation::Generate,
        principal,
        input_tokens: 0,
        max_output_tokens: None,
    }
}

fn plan(model: &str, table: &RoutingTable) -> Result<Plan, Box<Unresolved>> {
    let now = start();
    resolve(&ask(model, &Principal::Local), table, &Health::new(now), now, 0)
}

fn shown(plan: &Plan) -> Vec<String> {
    plan.candidates.iter().map(|candidate| candidate.endpoint().to_string()).collect()
}

fn error(model: &str, table: &RoutingTable) -> ResolveError {
    plan(model, table).unwrap_err().error
}

fn keyed(key: v1::VirtualKey) -> Principal {
    let table = table([of_key(1, key)]);
    let key = table.key(&format!("key_{:032x}", 1)).unwrap();
    Principal::Key(Arc::clone(key))
}

#[test]
fn names_are_read_in_their_order() {
    let coder = v1::Preset { model: "smart".to_owned(), ..v1::Preset::default() };
    let cheap = v1::Routing { sort: v1::Sort::Price.into(), ..v1::Routing::default() };
    let table = with([
        preset("coder", coder),
        variant("cheap", cheap),
        of_route("a:cheap", route(v1::Strategy::Priority, &["ollama:gpt-4o"])),
    ]);
    let cases: [(&str, &[&str], &str); 13] = [
        ("smart", &["openai:gpt-4o", "router:gpt-4o"], "priority"),
        ("@coder", &["openai:gpt-4o", "router:gpt-4o"], "priority"),
        ("@coder:cheap", &["router:gpt-4o", "openai:gpt-4o"], "sort: price"),
        ("@coder/gpt-4o-mini", &["openai:gpt-4o-mini"], "cascade"),
        ("smart:cheap", &["router:gpt-4o", "openai:gpt-4o"], "sort: price"),
        ("a:cheap", &["ollama:gpt-4o"], "priority"),
        ("openai:gpt-4o", &["openai:gpt-4o"], "pinned"),
        ("openai:gpt-99", &["openai:gpt-99"], "pinned"),
        ("openai/gpt-4o", &["openai:gpt-4o"], "pinned"),
        ("router:openai/gpt-4o", &["router:openai/gpt-4o"], "pinned"),
        ("gpt-4o", &["openai:gpt-4o", "router:gpt-4o", "ollama:gpt-4o"], "cascade"),
        ("llama3.1:8b", &["ollama:llama3.1:8b"], "cascade"),
        ("x:free", &["router:x:free"], "cascade"),
    ];
    for (name, expected, strategy) in cases {
        let plan = plan(name, &table).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(shown(&plan), expected, "{name}");
        assert_eq!(plan.strategy, strategy, "{name}");
    }
    let pinned = plan("openai:gpt-99", &table).unwrap();
    assert!(pinned.candidates[0].price().is_none(), "passed through unpriced");
    let local = plan("ollama:unlisted", &table).unwrap();
    assert!(local.candidates[0].price().is_some(), "free by declaration");
}

#[test]
fn a_provider_is_meant_by_its_other_names_too() {
    let named = |id: &str, position, aliases: &[&str]| {
        let aliases = aliases.iter().map(|it| (*it).to_owned()).collect();
        of_provider(id, v1::Provider { aliases, ..provider(id, position, &["max"]) })
    };
    let table = table([named("alibaba", 1, &["qwen"]), named("other", 2, &["qwen", "mine"])]);
    for name in ["qwen:max", "qwen/max", "qwen:unlisted", "alibaba:max"] {
        let plan = plan(name, &table).unwrap();
        assert_eq!(plan.candidates[0].provider.id.as_ref(), "alibaba", "{name}");
        assert_eq!(plan.candidates.len(), 1, "{name}");
    }
    assert_eq!(shown(&plan("mine:max", &table).unwrap()), ["other:max"]);
    let listed = listed("qwen:max", &table, &Principal::Local).unwrap();
    assert!(matches!(listed, Listed::Model { provider, .. } if &*provider.id == "alibaba"));
    // The own name of a provider goes before the other name of one.
    let own = Incoming::from_wire(named("qwen", 3, &[]));
    let change = Change {
        revision: Revision(2),
        upserts: own.into_iter().collect(),
        removals: vec![ResourceRef { kind: Kind::Provider, id: "other".into() }],
    };
    let table = table.apply(change);
    assert_eq!(shown(&plan("qwen:max", &table).unwrap()), ["qwen:max"]);
    assert!(plan("mine:max", &table).is_err());
}

#[test]
fn a_key_for_a_provider_opens_its_other_names() {
    let aliased =
        v1::Provider { aliases: vec!["qwen".to_owned()], ..provider("alibaba", 1, &["max"]) };
    let table = table([of_provider("alibaba", aliased)]);
    let may = |patterns: &[&str], providers: &[&str], model: &str| {
        let texts = |all: &[&str]| all.iter().map(|it| (*it).to_owned()).collect();
        let key = v1::VirtualKey { models: texts(patterns), providers: texts(providers), ..key(1) };
        let now = start();
        resolve(&ask(model, &keyed(key)), &table, &Health::new(now), now, 0).is_ok()
    };
    assert!(may(&["alibaba:*"], &[], "qwen:max"));
    assert!(may(&["qwen:*"], &[], "qwen:max"));
    assert!(may(&[], &["alibaba"], "qwen:max"));
    assert!(!may(&["openai:*"], &[], "qwen:max"));
    assert!(!may(&[], &["openai"], "qwen:max"));
}

#[test]
fn an_aggregator_serves_what_the_inactive_provider_would() {
    let mut resources = world();
    let inactive = v1::Provider {
        inactive_reason: "set OPENAI_API_KEY".to_owned(),
        ..provider("openai", 1, &[])
    };
    resources[0] = of_provider("openai", inactive);
    let table = table(resources);
    assert_eq!(shown(&plan("openai/gpt-4o", &table).unwrap()), ["router:openai/gpt-4o"]);
    let error = error("openai/gpt-4o-mini", &table).to_string();
    assert!(error.contains("set OPENAI_API_KEY"), "{error}");
    let plan = plan("smart", &table).unwrap();
    assert_eq!(plan.left_out[0].reason.to_string(), "the provider is inactive: set OPENAI_API_KEY");
}

#[test]
fn unknown_names_are_told_the_nearest_and_inactive_providers_what_to_set() {
    let table = with([preset("coder", v1::Preset::default())]);
    let ResolveError::NotFound { nearest, .. } = error("gpt-4o-mimi", &table) else { panic!() };
    assert_eq!(nearest[0], "gpt-4o-mini");
    assert!(nearest.len() <= 3);
    assert!(
        matches!(error("zzz", &table), ResolveError::NotFound { nearest, .. } if nearest.is_empty())
    );
    let text = error("deepseek:deepseek-chat", &table).to_string();
    assert!(text.contains("set DEEPSEEK_API_KEY"), "{text}");
    assert!(matches!(error("deepseek/x", &table), ResolveError::Inactive { .. }));
    let text = error("@codr", &table).to_string();
    assert!(text.contains("`@coder`"), "{text}");
    assert!(matches!(error("@coder", &table), ResolveError::PresetWithoutModel { .. }));
    for name in ["", ":", "/", "@", "openai:", "gpt-4o:"] {
        assert!(plan(name, &table).is_err(), "{name}");
    }
}

#[test]
fn another_dialect_is_left_out_and_alone_is_an_error_of_its_own() {
    let both = route(v1::Strategy::Priority, &["anthropic:claude-sonnet-4", "openai:gpt-4o"]);
    let table = with([of_route("both", both)]);
    let plan = plan("both", &table).unwrap();
    assert_eq!(shown(&plan), ["openai:gpt-4o"]);
    let reason = plan.left_out[0].reason.to_string();
    assert_eq!(reason, "would need translation (chat_completions → messages)");
    let expected = ResolveError::NeedsTranslation {
        model: "claude-sonnet-4".to_owned(),
        asked: Dialect::ChatCompletions,
        speaks: Dialect::Messages,
    };
    assert_eq!(error("claude-sonnet-4", &table), expected);
}

#[test]
fn a_key_gets_what_its_patterns_and_providers_allow() {
    let patterns = |models: &[&str]| {
        let models = models.iter().map(|it| (*it).to_owned()).collect();
        keyed(v1::VirtualKey { models, ..crate::fixtures::key(1) })
    };
    let providers = |ids: &[&str]| {
        let providers = ids.iter().map(|it| (*it).to_owned()).collect();
        keyed(v1::VirtualKey { providers, ..crate::fixtures::key(1) })
    };
    let table = with([]);
    let now = start();
    let health = Health::new(now);
    let cases: [(&str, Principal, &[&str]); 7] = [
        ("smart", patterns(&["smart"]), &["openai:gpt-4o", "router:gpt-4o"]),
        ("smart", patterns(&["router:*"]), &["router:gpt-4o"]),
        ("gpt-4o", patterns(&["ollama:*"]), &["ollama:gpt-4o"]),
        ("openai:gpt-4o", patterns(&["gpt-4*"]), &["openai:gpt-4o"]),
        ("smart", providers(&["router"]), &["router:gpt-4o"]),
        ("smart", patterns(&["other"]), &[]),
        ("smart", providers(&["ollama"]), &[]),
    ];
    for (name, principal, expected) in cases {
        match resolve(&ask(name, &principal), &table, &health, now, 0) {
            Ok(plan) => assert_eq!(shown(&plan), expected, "{name}"),
            Err(unresolved) => {
                assert!(expected.is_empty(), "{name}");
                assert!(matches!(unresolved.error, ResolveError::Forbidden { .. }));
                assert!(!unresolved.left_out.is_empty());
            }
        }
    }
    let narrow = patterns(&["llama*"]);
    let unknown = resolve(&ask("gpt-4o-mimi", &narrow), &table, &health, now, 0).unwrap_err();
    assert!(!unknown.to_string().contains("gpt-4o-mini"), "{unknown}");
    let names: Vec<_> = listing(&table, &narrow).iter().map(|it| it.name().to_string()).collect();
    assert_eq!(names, ["llama3.1:8b"]);
    assert!(listed("smart", &table, &narrow).is_none());
    assert!(listed("smart", &table, &Principal::Local).is_some());
}

#[test]
fn each_strategy_orders_and_keeps_the_rest_for_failover() {
    let all = &["openai:gpt-4o*3", "router:gpt-4o*1", "ollama:gpt-4o*1"];
    let cases: [(v1::Strategy, &str); 6] = [
        (v1::Strategy::Priority, "openai router ollama"),
        (v1::Strategy::LowestCost, "ollama router openai"),
        (v1::Strategy::LocalFirst, "ollama openai router"),
        (v1::Strategy::LeastBusy, "router ollama openai"),
        (v1::Strategy::LowestLatency, "ollama router openai"),
        (v1::Strategy::LoadBalance, "openai router ollama"),
    ];
    for (strategy, expected) in cases {
        let table = with([of_route("all", route(strategy, all))]);
        let now = start();
        let health = Health::new(now);
        let of = |provider: &str| health.endpoint(&provider.into(), &"gpt-4o".into());
        let mut busy = of("openai").begin(now, Resort::Usual).unwrap();
        busy.answered(Some(Duration::from_millis(500)), now);
        of("router")
            .begin(now, Resort::Usual)
            .unwrap()
            .answered(Some(Duration::from_millis(100)), now);
        let plan = resolve(&ask("all", &Principal::Local), &table, &health, now, 0).unwrap();
        let order: Vec<_> = plan.candidates.iter().map(|it| &*it.provider.id).collect();
        assert_eq!(order.join(" "), expected, "{strategy:?}");
        let placed = plan.candidates[0].placed.to_string();
        assert_eq!(placed, format!("first by {}", plan.strategy));
    }
}

#[test]
fn balance_spreads_over_endpoints_and_accounts_by_turns() {
    let balanced = v1::Provider {
        account_strategy: v1::AccountStrategy::Balance.into(),
        ..provider("two", 9, &["m"])
    };
    let table = with([
        of_provider("two", balanced),
        account("two", "a", 1),
        account("two", "b", 2),
        of_route("r", route(v1::Strategy::LoadBalance, &["two:m", "openai:gpt-4o"])),
    ]);
    let now = start();
    let health = Health::new(now);
    let mut firsts = std::collections::BTreeMap::new();
    for seed in 0..8 {
        let plan = resolve(&ask("r", &Principal::Local), &table, &health, now, seed).unwrap();
        assert_eq!(plan.candidates.len(), 3);
        *firsts.entry(plan.candidates[0].endpoint().to_string()).or_insert(0) += 1;
    }
    let expected = [("openai:gpt-4o", 4), ("two:m (a)", 2), ("two:m (b)", 2)];
    assert!(firsts.iter().map(|(name, count)| (&**name, *count)).eq(expected), "{firsts:?}");
}

#[test]
fn what_cools_down_goes_last_and_what_is_paused_goes_out() {
    let table = with([]);
    let now = start();
    let health = Health::new(now);
    let of = |provider: &str| health.endpoint(&provider.into(), &"gpt-4o".into());
    for _ in 0..3 {
        of("openai").begin(now, Resort::Usual).unwrap().failed(Failure::Broken, now, 0);
    }
    let retry_after = Some(Duration::from_secs(9));
    of("ollama").begin(now, Resort::Usual).unwrap().failed(
        Failure::RateLimited { retry_after },
        now,
        0,
    );
    let ask = ask("gpt-4o", &Principal::Local);
    let plan = resolve(&ask, &table, &health, now, 0).unwrap();
    assert_eq!(shown(&plan), ["router:gpt-4o", "openai:gpt-4o"]);
    assert_eq!(plan.candidates[1].placed.to_string(), "second by cooling down, tried last");
    let reason = plan.left_out[0].reason.to_string();
    assert_eq!(reason, "paused for another 9 s, as the provider asked");
    let later = resolve(&ask, &table, &health, now + Duration::from_secs(2), 0).unwrap();
    assert_eq!(shown(&later)[0], "openai:gpt-4o", "the next request probes");
    let only = Ask { model: "ollama:gpt-4o", ..ask };
    let paused = resolve(&only, &table, &health, now, 0).unwrap_err();
    assert!(matches!(paused.error, ResolveError::Paused { .. }), "{paused}");
}

#[test]
fn presets_and_variants_filter_and_add() {
    let parameters = |json: &str| json.to_owned();
    let home = v1::Preset {
        model: "gpt-4o".to_owned(),
        system_prompt: "be brief".to_owned(),
        parameters_json: parameters(r#"{"temperature":0.1}"#),
        routing: Some(v1::Routing {
            require_tags: vec!["home".to_owned()],
            ..v1::Routing::default()
        }),
    };
    let ignore = v1::Routing { ignore: vec!["openai".to_owned()], ..v1::Routing::default() };
    let only = v1::Routing { only: vec!["nobody".to_owned()], ..v1::Routing::default() };
    let table = with([preset("home", home), variant("other", ignore), variant("none", only)]);
    let plan_home = plan("@home", &table).unwrap();
    assert_eq!(shown(&plan_home), ["ollama:gpt-4o"]);
    assert_eq!(plan_home.effects.system_prompt(), Some("be brief"));
    assert_eq!(plan_home.effects.parameters().next().unwrap()["temperature"], 0.1);
    assert_eq!(shown(&plan("gpt-4o:other", &table).unwrap()), ["router:gpt-4o", "ollama:gpt-4o"]);
    let nothing = error("gpt-4o:none", &table).to_string();
    assert!(nothing.contains("excluded by the variant"), "{nothing}");
}

#[test]
fn a_route_keeps_its_limits_and_its_data_at_home() {
    let limited = v1::Route {
        max_input_tokens: 100,
        max_output_tokens: 10,
        local_only: true,
        ..route(v1::Strategy::Priority, &["openai:gpt-4o", "ollama:gpt-4o"])
    };
    let table = with([of_route("home", limited)]);
    let now = start();
    let health = Health::new(now);
    let ask = ask("home", &Principal::Local);
    let plan = resolve(&ask, &table, &health, now, 0).unwrap();
    assert_eq!(shown(&plan), ["ollama:gpt-4o"]);
    assert_eq!(plan.left_out[0].reason, Reason::NotLocal);
    let long = Ask { input_tokens: 101, ..ask };
    let error = resolve(&long, &table, &health, now, 0).unwrap_err().error;
    assert!(matches!(error, ResolveError::InputTooLong { limit: 100, .. }));
    let wordy = Ask { max_output_tokens: Some(11), ..ask };
    let error = resolve(&wordy, &table, &health, now, 0).unwrap_err().error;
    assert!(matches!(error, ResolveError::OutputTooLong { limit: 10, .. }));
}

#[test]
fn accounts_lend_their_secret_and_are_needed_where_the_provider_says_so() {
    let needy = v1::Provider { needs_account: true, ..provider("needy", 9, &["m"]) };
    let table = with([of_provider("needy", needy.clone())]);
    let text = error("needy:m", &table).to_string();
    assert!(text.contains("has no account"), "{text}");
    let table = with([of_provider("needy", needy), account("needy", "main", 0)]);
    let plan = plan("needy:m", &table).unwrap();
    assert_eq!(plan.candidates[0].secret().unwrap().expose(), "secret-of-main");
    let explained =
        Explained::new(&ask("needy:m", &Principal::Local), table.revision(), &Ok(plan), start());
    let json = serde_json::to_string(&explained).unwrap();
    assert!(json.contains("\"account\":\"main\"") && !json.contains("secret-of"), "{json}");
}

#[test]
fn the_same_arguments_give_the_same_plan() {
    let spread = route(v1::Strategy::LoadBalance, &["openai:gpt-4o*5", "router:gpt-4o*3"]);
    let table = with([of_route("r", spread)]);
    let now = start();
    let health = Health::new(now);
    for seed in [0, 1, 7, u64::MAX] {
        let once = resolve(&ask("r", &Principal::Local), &table, &health, now, seed).unwrap();
        let again = resolve(&ask("r", &Principal::Local), &table, &health, now, seed).unwrap();
        assert_eq!(shown(&once), shown(&again));
        assert_eq!(once.seed, seed);
    }
}

#[test]
#[ignore = "measures; run with --release or --profile fast"]
fn resolving_takes_microseconds() {
    let table = with([]);
    let now = start();
    let health = Health::new(now);
    let clock = bitrouter_runtime::Clock::system();
    for name in ["smart", "openai:gpt-4o", "gpt-4o"] {
        let begin = clock.instant();
        for seed in 0..100_000 {
            resolve(&ask(name, &Principal::Local), &table, &health, now, seed).unwrap();
        }
        println!("{name}: {:?}", (clock.instant() - begin) / 100_000);
    }
}
