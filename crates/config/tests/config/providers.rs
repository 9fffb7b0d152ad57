//! Built-ins, derivation, keys, base URLs, and what keeps a provider from serving.

use bitrouter_catalog::Catalog;
use bitrouter_config::{
    Discovered, DiscoveredKind, Document, Origin, SourceText, Sources,
    resource::{AccountStrategy, Auth, Billing},
};

use crate::{
    Find as _, dialects, document, environment, lines, load, problems, sources, urls, warnings,
};

fn reason<'d>(document: &'d Document, id: &str) -> Option<&'d str> {
    document.provider(id).inactive_reason.as_deref()
}

#[track_caller]
fn without_file(sources: &Sources) -> Document {
    let loaded = bitrouter_config::load(sources, Catalog::builtin());
    assert_eq!(lines(&loaded.problems), Vec::<String>::new());
    loaded.document.unwrap()
}

#[test]
fn a_key_in_the_environment_is_enough() {
    let environment = environment(&[("OPENAI_API_KEY", "sk-1")]);
    let document = without_file(&Sources { environment, ..Sources::default() });
    assert_eq!(reason(&document, "openai"), None);
    assert!(document.provider("openai").models.contains_key("gpt-4o"));
    let account = document.accounts_of("openai")[0];
    assert_eq!((account.id.as_str(), account.origin), ("openai/env", Origin::Env));
    assert_eq!(reason(&document, "anthropic"), Some("set ANTHROPIC_API_KEY"));
    assert!(document.provider("anthropic").models.is_empty());
    assert!(document.providers.iter().all(|it| it.origin == Origin::Env));
}

#[test]
fn an_empty_file_is_no_file() {
    for text in ["", "# nothing\n", "providers:\nmodels:\n"] {
        let document = document(text, &[("OPENAI_API_KEY", "sk-1")]);
        assert_eq!(reason(&document, "openai"), None, "{text:?}");
    }
}

#[test]
fn keys_are_looked_up_in_order() {
    let all = [
        ("BITROUTER_GOOGLE_API_KEY", "own"),
        ("GEMINI_API_KEY", "gemini"),
        ("GOOGLE_API_KEY", "google"),
    ];
    for from in 0..all.len() {
        let document = document("", &all[from..]);
        assert_eq!(document.keys("google")[0].1, all[from].1);
    }
    let text = "providers: {google: {api_key: explicit}}";
    let document = document(text, &all);
    assert_eq!(document.keys("google"), [("google/default".to_owned(), "explicit".to_owned())]);
    assert_eq!(document.accounts_of("google")[0].origin, Origin::File);
}

#[test]
fn a_prefix_replaces_the_id() {
    let text = "providers: {custom-llm: {api_base: 'https://h', env_prefix: MINE}}";
    let variables = [("CUSTOM_LLM_API_KEY", "no"), ("MINE_API_KEY", "yes")];
    assert_eq!(document(text, &variables).keys("custom-llm")[0].1, "yes");
    let own = [("BITROUTER_CUSTOM_LLM_API_KEY", "own"), ("MINE_API_KEY", "yes")];
    assert_eq!(document(text, &own).keys("custom-llm")[0].1, "own");
    assert_eq!(reason(&document(text, &[]), "custom-llm"), Some("set MINE_API_KEY"));
}

#[test]
fn a_base_url_comes_from_the_file_or_the_environment() {
    let variables = [("OPENAI_API_KEY", "k"), ("OPENAI_BASE_URL", "https://proxy.example.com")];
    assert_eq!(urls(document("", &variables).provider("openai")), ["https://proxy.example.com/v1"]);
    let text = "providers: {openai: {api_base: 'https://other.example.com'}}";
    assert_eq!(
        urls(document(text, &variables).provider("openai")),
        ["https://other.example.com/v1"]
    );
    let own =
        [variables[0], variables[1], ("BITROUTER_OPENAI_BASE_URL", "https://own.example.com")];
    assert_eq!(urls(document("", &own).provider("openai")), ["https://own.example.com/v1"]);
}

#[test]
fn a_variable_that_points_to_the_router_itself_is_not_used() {
    let variables = [("OPENAI_API_KEY", "k"), ("OPENAI_BASE_URL", "http://localhost:4356")];
    let loaded = load("", &variables);
    assert_eq!(urls(loaded.document.unwrap().provider("openai")), ["https://api.openai.com/v1"]);
    assert!(loaded.warnings[0].to_string().contains("points to bitrouter itself"));
    let text =
        "server: {listen: '127.0.0.1:9000'}\nproviders: {p: {api_base: 'http://127.0.0.1:9000'}}";
    assert_eq!(reason(&document(text, &[]), "p"), Some("its base URL points to bitrouter itself"));
}

#[test]
fn derives_copies_all_but_the_key() {
    let text = "providers:\n  mine: {derives: openai, api_base: 'https://llm.example.com/v1', api_key: mine}\n  \
                child: {derives: mine, api_key: '${CHILD}', default_headers: {x-team: a}}\n  \
                keyless: {derives: openai, api_base: 'https://third.example.com'}\n";
    let document = document(text, &[("OPENAI_API_KEY", "sk-openai"), ("CHILD", "c")]);
    for id in ["mine", "child"] {
        let provider = document.provider(id);
        assert_eq!(dialects(provider), ["*=chat_completions,responses"], "{id}");
        assert_eq!(urls(provider), ["https://llm.example.com/v1"], "{id}");
        assert!(provider.models.contains_key("gpt-4o"), "{id}");
    }
    assert_eq!(document.keys("child"), [("child/default".to_owned(), "c".to_owned())]);
    assert_eq!(document.provider("child").default_headers["x-team"], "a");
    assert_eq!(reason(&document, "keyless"), Some("set KEYLESS_API_KEY"));
}

#[test]
fn derives_does_not_run_in_circles() {
    let text = "providers:\n  a: {derives: b}\n  b: {derives: c}\n  c: {derives: a}\n  d: {derives: nowhere}\n";
    assert_eq!(
        problems(text),
        [
            "bitrouter.yaml:4:16: providers.c.derives: derives in a circle: a → b → c → a",
            "bitrouter.yaml:5:16: providers.d.derives: no provider is named `nowhere`",
        ]
    );
}

#[test]
fn without_defaults_only_what_is_declared_exists() {
    let text = "inherit_defaults: false\nproviders: {openai: {api_key: k}, mine: {derives: anthropic, api_key: k}}";
    let document = document(text, &[("ANTHROPIC_API_KEY", "k")]);
    let ids: Vec<&str> = document.providers.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids, ["openai", "mine"]);
    assert!(reason(&document, "openai").unwrap().contains("no base URL"));
    assert_eq!(reason(&document, "mine"), None);
}

#[test]
fn a_declared_alias_takes_the_place_of_its_built_in() {
    let document = document("providers: {qwen: {api_key: k}}", &[("ALIBABA_API_KEY", "other")]);
    assert_eq!(reason(&document, "qwen"), None);
    assert!(document.providers.iter().all(|it| it.id != "alibaba"));
    assert_eq!(document.provider("qwen").aliases, ["alibaba"]);
    let text = "models: {r: {endpoints: [{provider: moonshot, model_id: k}]}}";
    let document = crate::document(text, &[]);
    assert_eq!(document.route("r").endpoints[0].provider, "moonshotai");
    assert_eq!(document.provider("moonshotai").aliases, ["moonshot"]);
    let of_ones_own = "providers: {qwen: {derives: alibaba, api_key: k}}";
    assert!(crate::document(of_ones_own, &[]).provider("alibaba").aliases.is_empty());
}

#[test]
fn every_variable_that_is_asked_for_is_named() {
    let text = "providers: {mine: {api_base: 'https://${HOST}', env_prefix: LAB}}";
    let variables = document(text, &[]).variables;
    for name in [
        "HOST",
        "LAB_API_KEY",
        "BITROUTER_MINE_API_KEY",
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "AZURE_OPENAI_RESOURCE",
    ] {
        assert!(variables.contains(name), "{name}");
    }
    assert!(!variables.contains("PATH"));
}

#[test]
fn an_unset_variable_means_what_its_place_says() {
    let text = "providers:\n  openai:\n    name: '${NAME}'\n    api_key: '${KEY}'\n  \
                mine:\n    api_base: 'https://${HOST}/v1'\n    api_key: k\n  \
                other: {api_base: 'http://localhost:1', default_headers: {x-a: '${A}'}}\n";
    let loaded = load(text, &[("OPENAI_API_KEY", "must not be used instead")]);
    let document = loaded.document.unwrap();
    assert_eq!(document.provider("openai").display_name.as_deref(), Some("OpenAI"));
    assert_eq!(reason(&document, "openai"), Some("set KEY"));
    assert_eq!(reason(&document, "mine"), Some("set HOST"));
    assert_eq!(reason(&document, "other"), None);
    assert!(document.provider("other").default_headers.is_empty());
    assert_eq!(
        lines(&loaded.warnings),
        [
            "bitrouter.yaml:2:3: providers.openai: the provider is inactive: set KEY",
            "bitrouter.yaml:5:3: providers.mine: the provider is inactive: set HOST",
        ]
    );
    let required = "models:\n  r:\n    endpoints:\n      - {provider: '${P}', model_id: m}\n";
    assert_eq!(
        problems(required),
        [
            "bitrouter.yaml:4:20: models.r.endpoints[0].provider: the variable `P` is not set, and a value is required here; set it, or write `${P:-default}`",
        ]
    );
}

#[test]
fn a_provider_without_a_base_is_inactive() {
    let text = "providers: {example: {api_key: sk-1}}";
    let document = document(text, &[]);
    assert_eq!(
        reason(&document, "example"),
        Some("it has no base URL: set `api_base` or `derives`")
    );
    assert_eq!(warnings(text, &[]).len(), 1);
}

#[test]
fn a_server_of_ones_own_needs_no_key() {
    let text = "providers:\n  lan: {api_base: 'http://192.168.1.5:8000', models: [m]}\n  \
                openai: {api_base: 'http://localhost:8000'}\n  ollama: {models: [{id: llama3.1}]}\n";
    let document = document(text, &[]);
    for id in ["lan", "openai", "ollama"] {
        assert_eq!(reason(&document, id), None, "{id}");
        assert!(!document.provider(id).needs_account, "{id}");
    }
    assert_eq!(document.provider("ollama").billing, Billing::Local);
}

#[test]
fn a_key_in_the_open_is_warned_of() {
    let text = "providers:\n  a: {api_base: 'http://api.example.com', api_key: k}\n  \
                b: {api_base: 'http://10.0.0.1', api_key: k}\n  c: {api_base: 'http://api.example.com'}\n";
    assert_eq!(
        warnings(text, &[]),
        [
            "bitrouter.yaml:2:17: providers.a.api_base: the key would travel unencrypted to a public address; use `https://`",
        ]
    );
}

#[test]
fn several_accounts_have_labels_and_weights() {
    let text = "providers:\n  openai:\n    account_strategy: balance\n    accounts:\n      \
                - {label: a, api_key: ka, weight: 3}\n      - {api_key: '${KB}', api_base: 'https://b.example.com'}\n      \
                - {label: c, api_key: '${UNSET}'}\n";
    let loaded = load(text, &[("KB", "kb"), ("OPENAI_API_KEY", "not this one")]);
    let document = loaded.document.unwrap();
    assert_eq!(document.provider("openai").account_strategy, AccountStrategy::Balance);
    assert_eq!(
        document.keys("openai"),
        [
            ("openai/a".to_owned(), "ka".to_owned()),
            ("openai/account-2".to_owned(), "kb".to_owned()),
        ]
    );
    let accounts = document.accounts_of("openai");
    assert_eq!(accounts[0].spec.account.weight, 3);
    assert_eq!(
        accounts[1].spec.account.base_url.as_ref().unwrap().as_str(),
        "https://b.example.com/v1"
    );
    assert!(loaded.warnings[0].to_string().contains("`UNSET` is not set"));
}

#[test]
fn a_key_travels_as_it_is_told() {
    let text = "providers:\n  a: {api_base: 'https://a.example.com', auth: {type: header, header_name: X-Key, api_key: k}}\n  \
                b: {api_base: 'https://b.example.com', auth: {type: bearer}, api_key: k}\n  \
                c: {derives: openai, auth: {type: mpp}}\n  \
                d: {api_base: 'https://d.example.com', auth: {type: custom, method: siwx, params: {chain_id: 1}}}\n";
    let loaded = load(text, &[]);
    let document = loaded.document.unwrap();
    assert_eq!(document.provider("a").auth, Auth::Header { header_name: "x-key".to_owned() });
    assert_eq!(document.keys("a")[0].1, "k");
    assert_eq!(document.provider("b").auth, Auth::Bearer);
    assert!(reason(&document, "c").unwrap().contains("not active in this version"));
    assert!(reason(&document, "d").unwrap().contains("not active in this version"));
    assert_eq!(loaded.warnings.len(), 2);
}

#[test]
fn the_catalogue_is_laid_over_the_built_in_one() {
    let text = "providers: {openai: {api_key: k, timeouts: {first_token: 2m}, models: {gpt-4o: \
                {max_output_tokens: 5, pricing: {input_tokens: {no_cache: 1}}, timeouts: {idle: 500ms}}, my-tune: {}}}}";
    let document = document(text, &[]);
    let provider = document.provider("openai");
    assert!(provider.models.len() > 2 && provider.models.contains_key("my-tune"));
    let model = &provider.models["gpt-4o"];
    assert_eq!(model.max_output_tokens, Some(5));
    assert!(model.max_input_tokens.is_some());
    assert_eq!(model.price.as_ref().unwrap().base.output, None);
    assert_eq!(model.timeouts.idle_ms, Some(500));
    assert_eq!(provider.timeouts.first_token_ms, Some(120_000));
}

#[test]
fn two_ways_to_write_a_base_url_are_one() {
    let of = |base: &str| {
        let text = format!("providers: {{deepseek: {{api_base: '{base}', api_key: k}}}}");
        urls(document(&text, &[]).provider("deepseek"))
    };
    assert_eq!(of("https://api.deepseek.com"), of("https://api.deepseek.com/v1/"));
    assert_eq!(of("https://proxy.example.com"), of("https://proxy.example.com/v1"));
    assert_eq!(of("https://proxy.example.com"), ["https://proxy.example.com/v1"]);
}

#[test]
fn a_protocol_may_have_a_base_of_its_own() {
    let text = "providers: {p: {api_key: k, api_base: {chat_completions: 'https://h.example.com', messages: 'https://h.example.com/anthropic'}}}";
    let document = document(text, &[]);
    assert_eq!(
        urls(document.provider("p")),
        [
            "chat_completions@https://h.example.com/v1",
            "messages@https://h.example.com/anthropic/v1",
        ]
    );
}

#[test]
fn a_found_server_is_a_provider() {
    let server = |kind, url: &str| Discovered {
        kind,
        base_url: url.parse().unwrap(),
        models: vec!["llama3.1:8b".to_owned()],
    };
    let discovered = vec![
        server(DiscoveredKind::Ollama, "http://127.0.0.1:11434"),
        server(DiscoveredKind::Vllm, "http://127.0.0.1:8000/v1"),
        server(DiscoveredKind::Vllm, "http://127.0.0.1:8001/v1"),
    ];
    let document = without_file(&Sources { discovered: discovered.clone(), ..Sources::default() });
    for (id, url) in
        [("ollama", "http://127.0.0.1:11434/v1"), ("vllm-8001", "http://127.0.0.1:8001/v1")]
    {
        let provider = document.provider(id);
        assert_eq!(reason(&document, id), None);
        assert_eq!(urls(provider), [url]);
        assert!(provider.models.contains_key("llama3.1:8b") && !provider.needs_account);
        assert_eq!(provider.billing, Billing::Local);
    }
    assert_eq!(reason(&document, "lmstudio"), Some("it was not found on this machine"));

    let text = "providers: {mine: {api_base: 'http://localhost:8000'}}";
    let document = without_file(&Sources { discovered, ..sources(text, &[]) });
    assert!(document.providers.iter().any(|it| it.id == "mine"));
    let at_8000 = |it: &&bitrouter_config::Entry<_>| {
        urls(&it.spec).iter().any(|url| url.contains(":8000")) && it.spec.inactive_reason.is_none()
    };
    assert_eq!(document.providers.iter().filter(at_8000).count(), 1);
}

#[test]
fn a_manifest_declares_one_provider() {
    let manifest =
        |path: &str, text: &str| SourceText { path: path.to_owned(), text: text.to_owned() };
    let manifests = vec![
        manifest(
            "/home/x/providers.d/acme.yaml",
            "api_base: https://llm.acme.example\nenv_prefix: ACME\nmodels: [a-1]\n",
        ),
        manifest("/home/x/providers.d/two.yaml", "id: acme-2\nderives: acme\n"),
    ];
    let sources = Sources { manifests, ..sources("", &[("ACME_API_KEY", "k")]) };
    let document = without_file(&sources);
    assert_eq!(reason(&document, "acme"), None);
    assert!(document.provider("acme-2").models.contains_key("a-1"));
    assert_eq!(document.providers[0].origin, Origin::File);

    let manifests =
        vec![manifest("p/openai.yaml", "nmae: x\n"), manifest("p/mine.yaml", "priority: high\n")];
    let loaded = bitrouter_config::load(
        &Sources {
            manifests,
            ..crate::sources("providers: {mine: {api_base: 'http://localhost:1'}}", &[])
        },
        Catalog::builtin(),
    );
    assert_eq!(
        lines(&loaded.problems),
        [
            "p/openai.yaml:1:1: nmae: unknown key; did you mean `name`?",
            "p/mine.yaml:1:1: the provider `mine` is declared twice; a provider is declared either in the file or by one manifest",
            "p/mine.yaml:1:11: priority: expected a whole number, found text",
        ]
    );
}

#[test]
fn a_secret_is_shown_nowhere() {
    let text = "database: {url: 'postgres://u:hunter2@h/db'}\nserver: {upstream: {proxy: 'http://u:hunter2@proxy:3128'}}\n\
                providers: {openai: {api_key: hunter2, default_headers: {x-cf-secret: hunter2}}}\n\
                models: {r: {endpoints: [{provider: openai, model_id: m, api_key: hunter2}]}}";
    let loaded = load(text, &[("ANTHROPIC_API_KEY", "hunter2")]);
    let document = loaded.document.as_ref().unwrap();
    assert_eq!(document.accounts.len(), 3);
    let shown = document.to_redacted_json().to_string();
    assert!(shown.contains("openai/") || shown.contains("\"default\""));
    assert!(!shown.contains("hunter2"), "{shown}");
    for debug in [
        format!("{:?}", document.accounts),
        format!("{:?}", document.database_url),
        lines(&loaded.warnings).join("\n"),
    ] {
        assert!(!debug.contains("hunter2"), "{debug}");
    }
}

#[test]
fn a_header_that_is_not_ours_to_set_is_refused() {
    let text = "providers:\n  p:\n    api_base: https://h\n    default_headers:\n      Authorization: Bearer x\n      host: h\n      'bad name': x\n";
    assert_eq!(
        problems(text),
        [
            "bitrouter.yaml:5:22: providers.p.default_headers.Authorization: a key belongs into `api_key`, its header into `auth`",
            "bitrouter.yaml:6:13: providers.p.default_headers.host: the header belongs to the connection and cannot be set",
            "bitrouter.yaml:7:19: providers.p.default_headers.\"bad name\": not the name of a header",
        ]
    );
}
