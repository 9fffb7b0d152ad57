//! Routes, presets and variants.

use bitrouter_translate::Dialect;
use indexmap::IndexMap;

use crate::{
    base_url,
    context::{Context, Given},
    document::{Entry, Origin},
    provider::{Providers, credential},
    raw::route as raw,
    report::{Place, did_you_mean},
    resource::{
        DataPolicy, DeclaredAccount, Fidelity, Preset, Route, RouteEndpoint, Routing, Sort,
        Strategy, Variant,
    },
};

/// Makes the routes; their private accounts are added to the providers'.
pub(crate) fn routes(
    cx: &mut Context<'_>,
    raw: &IndexMap<String, raw::Route>,
    providers: &mut Providers,
    place: &Place,
) -> Vec<Entry<Route>> {
    let mut routes = Vec::new();
    for (name, raw) in raw {
        let place = place.key(name);
        if name.is_empty() || name.starts_with('@') || name.contains(char::is_whitespace) {
            let message = "a route's name is not empty, begins with no `@`, and holds no space";
            cx.report.problem(&place, message, None);
        }
        let endpoints = match &raw.endpoints {
            Some(given) if !given.is_empty() => endpoints(cx, name, given, providers, &place),
            _ if raw.strategy == Some(raw::Strategy::Cascade) => sources(name, providers),
            _ => Vec::new(),
        };
        if endpoints.is_empty() && raw.endpoints.as_ref().is_none_or(Vec::is_empty) {
            let message = "a route needs at least one endpoint";
            let hint = (raw.strategy == Some(raw::Strategy::Cascade))
                .then(|| "no active provider declares a model of this name".to_owned());
            cx.report.problem(&place, message, hint);
        }
        let spec = Route {
            strategy: raw.strategy.map_or_else(Strategy::default, strategy),
            endpoints,
            display_name: raw.name.clone(),
            description: raw.description.clone(),
            max_input_tokens: raw.max_input_tokens,
            max_output_tokens: raw.max_output_tokens,
            fidelity: match raw.fidelity {
                Some(raw::Fidelity::Strict) => Fidelity::Strict,
                Some(raw::Fidelity::Report) | None => Fidelity::Report,
            },
            data: match raw.data {
                Some(raw::Data::LocalOnly) => DataPolicy::LocalOnly,
                Some(raw::Data::Any) | None => DataPolicy::Any,
            },
        };
        routes.push(Entry { id: name.clone(), origin: Origin::File, spec });
    }
    routes
}

const fn strategy(raw: raw::Strategy) -> Strategy {
    match raw {
        raw::Strategy::Priority | raw::Strategy::Cascade => Strategy::Priority,
        raw::Strategy::LoadBalance => Strategy::LoadBalance,
        raw::Strategy::LeastBusy => Strategy::LeastBusy,
        raw::Strategy::LowestLatency => Strategy::LowestLatency,
        raw::Strategy::LowestCost => Strategy::LowestCost,
        raw::Strategy::LocalFirst => Strategy::LocalFirst,
    }
}

/// Every active provider that declares the name, in the order of bare names.
fn sources(name: &str, providers: &Providers) -> Vec<RouteEndpoint> {
    let mut found: Vec<(i32, u32, &str)> = providers
        .entries
        .iter()
        .filter(|it| it.spec.inactive_reason.is_none() && it.spec.models.contains_key(name))
        .map(|it| (it.spec.priority, it.spec.position, it.id.as_str()))
        .collect();
    found.sort_unstable();
    let endpoint = |provider: &str| RouteEndpoint {
        provider: provider.to_owned(),
        model: name.to_owned(),
        account: None,
        base_url: None,
        weight: 1,
    };
    found.into_iter().map(|(_, _, provider)| endpoint(provider)).collect()
}

fn endpoints(
    cx: &mut Context<'_>,
    route: &str,
    raw: &[raw::Endpoint],
    providers: &mut Providers,
    place: &Place,
) -> Vec<RouteEndpoint> {
    let mut endpoints = Vec::new();
    for (index, raw) in raw.iter().enumerate() {
        let place = place.key("endpoints").index(index);
        let model = model_of(cx, raw, &place);
        let Some(name) = &raw.provider else { continue };
        let at = place.key("provider");
        let Some(provider) = providers.find_or_report(cx, name, &at) else { continue };
        let Some(model) = model else { continue };
        let endpoint = RouteEndpoint {
            provider,
            model,
            account: None,
            base_url: None,
            weight: raw.weight.unwrap_or(1),
        };
        let endpoint = with_own_base(cx, endpoint, raw, providers, &place);
        endpoints.push(with_own_key(cx, endpoint, raw, (route, index), providers, &place));
    }
    endpoints
}

/// The upstream's model id, whichever way it is spelled.
pub(crate) fn model_of(cx: &mut Context<'_>, raw: &raw::Endpoint, place: &Place) -> Option<String> {
    let given =
        [("service_id", &raw.service_id), ("model_id", &raw.model_id), ("tool_id", &raw.tool_id)];
    let mut given = given.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
    let Some((first_key, first)) = given.next() else {
        report_missing_model(cx, place);
        return None;
    };
    for (key, value) in given {
        if value != first {
            let message = format!("differs from `{first_key}`, which is the same");
            cx.report.problem(&place.key(key), message, None);
        }
    }
    if first.trim().is_empty() {
        cx.report.problem(&place.key(first_key), "must not be empty", None);
        return None;
    }
    Some(first.clone())
}

fn report_missing_model(cx: &mut Context<'_>, place: &Place) {
    let mut places = ["service_id", "model_id", "tool_id"].map(|key| place.key(key)).into_iter();
    if let Some(at) = places.clone().find(|it| cx.unset.contains_key(it)) {
        let variable = cx.unset.get(&at).cloned().unwrap_or_default();
        cx.report.required_variable(&variable, &at);
    } else if !places.any(|it| cx.report.has_problem(&it)) {
        let hint = "`service_id`, `model_id` and `tool_id` are the same".to_owned();
        cx.report.problem(place, "`service_id` is missing", Some(hint));
    }
}

fn with_own_base(
    cx: &mut Context<'_>,
    mut endpoint: RouteEndpoint,
    raw: &raw::Endpoint,
    providers: &Providers,
    place: &Place,
) -> RouteEndpoint {
    let place = place.key("api_base");
    match cx.given(raw.api_base.as_ref(), &place) {
        Given::Value(text) => {
            let rules = providers.get(&endpoint.provider).map(|it| &it.dialects[..]);
            let rule = rules.into_iter().flatten().find(|it| it.glob.matches(&endpoint.model));
            let dialect = rule.and_then(|it| it.dialects.first()).copied();
            if let Some(url) = cx.base_url(text, &place) {
                let url = base_url::normalise(&url, dialect.unwrap_or(Dialect::ChatCompletions));
                credential::warn_of_plain_text(cx, &url, &place);
                endpoint.base_url = Some(url);
            }
        }
        Given::Unset(variable) => {
            // The endpoint must not fall back to the provider's own base: it is told to use an
            // account that does not exist, so that it is left out.
            let message = format!("the endpoint is left out: the variable `{variable}` is not set");
            cx.report.warning(&place, message, None);
            endpoint.account = Some(format!("{}/unset:{variable}", endpoint.provider));
        }
        Given::Absent => {}
    }
    endpoint
}

/// A key of its own makes an account that belongs to the endpoint. Without its variable the account
/// is missing, and the endpoint is left out of every plan.
fn with_own_key(
    cx: &mut Context<'_>,
    mut endpoint: RouteEndpoint,
    raw: &raw::Endpoint,
    (route, index): (&str, usize),
    providers: &mut Providers,
    place: &Place,
) -> RouteEndpoint {
    let place = place.key("api_key");
    let label = format!("route:{route}:{index}");
    match cx.given(raw.api_key.as_ref(), &place) {
        Given::Absent => {}
        Given::Unset(variable) => {
            let message = format!("the endpoint is left out: the variable `{variable}` is not set");
            cx.report.warning(&place, message, None);
            endpoint.account = Some(format!("{}/{label}", endpoint.provider));
        }
        Given::Value(text) => match credential::secret(text) {
            Ok(secret) => {
                let position = u32::try_from(index).unwrap_or(u32::MAX);
                let mut account = credential::account(&endpoint.provider, &label, position);
                account.route = Some(route.to_owned());
                let id = format!("{}/{label}", endpoint.provider);
                endpoint.account.get_or_insert_with(|| id.clone());
                let spec = DeclaredAccount { account, secret };
                providers.accounts.push(Entry { id, origin: Origin::File, spec });
            }
            Err(problem) => cx.report.problem(&place, problem, None),
        },
    }
    endpoint
}

/// Makes the presets.
pub(crate) fn presets(
    cx: &mut Context<'_>,
    raw: &IndexMap<String, raw::Preset>,
    providers: &Providers,
    routes: &[Entry<Route>],
    place: &Place,
) -> Vec<Entry<Preset>> {
    let mut presets = Vec::new();
    for (name, raw) in raw {
        let place = place.key(name);
        check_name(cx, name, "preset", &place);
        if let Some(model) = &raw.model {
            check_model(cx, model, providers, routes, &place.key("model"));
        }
        let routing = raw.routing.clone().unwrap_or_default();
        let variant = raw::Variant {
            sort: routing.sort,
            require_tags: routing.require_tags,
            only: routing.only,
            ignore: routing.ignore,
            parameters: None,
        };
        let spec = Preset {
            model: raw.model.clone(),
            system_prompt: raw.system_prompt.clone(),
            parameters: raw.parameters.clone().unwrap_or_default(),
            routing: routing_of(cx, &variant, providers, &place.key("routing")),
        };
        presets.push(Entry { id: name.clone(), origin: Origin::File, spec });
    }
    presets
}

/// Makes the variants.
pub(crate) fn variants(
    cx: &mut Context<'_>,
    raw: &IndexMap<String, raw::Variant>,
    providers: &Providers,
    place: &Place,
) -> Vec<Entry<Variant>> {
    let mut variants = Vec::new();
    for (name, raw) in raw {
        let place = place.key(name);
        check_name(cx, name, "variant", &place);
        let routing = routing_of(cx, raw, providers, &place);
        let spec = Variant { routing, parameters: raw.parameters.clone().unwrap_or_default() };
        variants.push(Entry { id: name.clone(), origin: Origin::File, spec });
    }
    variants
}

fn check_name(cx: &mut Context<'_>, name: &str, kind: &str, place: &Place) {
    if name.is_empty() || name.contains([':', '@', '/']) || name.contains(char::is_whitespace) {
        let message = format!("a {kind}'s name is not empty and holds no space, `:`, `@` or `/`");
        cx.report.problem(place, message, None);
    }
}

/// A model that nothing here declares may still come with a route made elsewhere or with a model
/// server that is not running now.
fn check_model(
    cx: &mut Context<'_>,
    model: &str,
    providers: &Providers,
    routes: &[Entry<Route>],
    place: &Place,
) {
    let is_pinned = |separator| {
        model.split_once(separator).is_some_and(|(provider, _)| providers.find(provider).is_some())
    };
    let is_declared = || providers.entries.iter().any(|it| it.spec.models.contains_key(model));
    let is_builtin = || {
        let catalog = cx.catalog;
        let mut known = providers.entries.iter().filter(|it| it.spec.inactive_reason.is_some());
        known.any(|it| catalog.models_of(&it.id).contains_key(model))
    };
    if is_pinned(':') || is_pinned('/') || routes.iter().any(|it| it.id == model) {
        return;
    }
    if !is_declared() && !is_builtin() {
        let hint = did_you_mean(model, routes.iter().map(|it| it.id.as_str()));
        cx.report.warning(place, format!("nothing here declares a model `{model}`"), hint);
    }
}

fn routing_of(
    cx: &mut Context<'_>,
    raw: &raw::Variant,
    providers: &Providers,
    place: &Place,
) -> Routing {
    let mut named = |names: &Option<Vec<String>>, key: &str| {
        let mut ids = Vec::new();
        for (index, name) in names.iter().flatten().enumerate() {
            ids.extend(providers.find_or_report(cx, name, &place.key(key).index(index)));
        }
        ids
    };
    Routing {
        only: named(&raw.only, "only"),
        ignore: named(&raw.ignore, "ignore"),
        sort: raw.sort.map(|sort| match sort {
            raw::Sort::Price => Sort::Price,
            raw::Sort::Latency => Sort::Latency,
            raw::Sort::Throughput => Sort::Throughput,
        }),
        require_tags: raw.require_tags.clone().unwrap_or_default(),
    }
}
