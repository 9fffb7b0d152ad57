//! Sections whose feature is not active yet: their form is checked, and each is named.
//!
//! References that lead nowhere are warnings here, since nothing follows them.

use std::time::Duration;

use bitrouter_metering::Micros;
use indexmap::IndexMap;

use crate::{
    context::Context,
    provider::Providers,
    raw::{
        File,
        guardrail::{Action, Guardrails},
        later::{Budget, Policy, Tool},
        scalar::Money,
    },
    report::{Place, did_you_mean},
    route,
};

const UPGOING: &[&str] =
    &["api_keys", "private_keys", "credentials", "pii_emails", "pii_phone_numbers", "ip_addresses"];
const DOWNGOING: &[&str] = &["suspicious_commands"];

/// Checks the sections and notes which of them are there.
pub(crate) fn sections(
    cx: &mut Context<'_>,
    file: &File,
    providers: &Providers,
    routes: &[String],
    root: &Place,
) {
    guarded(cx, file, providers, root);
    if let Some(tools) = &file.tools {
        check_tools(cx, tools, providers, &root.key("tools"));
        cx.not_active("tools", "no tool is served", false);
    }
    if let Some(servers) = &file.mcp_servers {
        for (name, server) in servers {
            if server.url.is_some() == server.command.is_some() {
                let place = root.key("mcp_servers").key(name);
                cx.report.problem(&place, "give either `url` or `command`", None);
            }
        }
        cx.not_active("mcp_servers", "no MCP server is connected", false);
    }
    let plain = [
        ("mcp", file.mcp.is_some(), "the MCP gateway is closed"),
        ("server_tools", file.server_tools.is_some(), "no tool is run"),
        ("agents", file.agents.is_some(), "no agent is started"),
        ("wallet", file.wallet.is_some(), "nothing is paid"),
        ("mpp", file.mpp.as_ref().is_some_and(|it| it.enabled != Some(false)), "nobody is charged"),
        ("solana_rpc_url", file.solana_rpc_url.is_some(), "nothing is paid"),
        ("telemetry", file.telemetry.is_some(), "nothing is exported"),
    ];
    for (section, is_there, what) in plain {
        if is_there {
            cx.not_active(section, what, false);
        }
    }
    if let Some(plugins) = &file.plugins
        && plugins.bitrouter_observe.is_some()
    {
        let place = root.key("plugins").key("bitrouter-observe");
        if file.telemetry.is_some() {
            cx.report.problem(&place, "`telemetry` is given as well, which is the same", None);
        }
        cx.not_active("plugins.bitrouter-observe", "nothing is exported", false);
    }
    if let Some(policies) = file.policies.as_ref().filter(|it| !it.is_empty()) {
        check_policies(cx, policies, routes, &root.key("policies"));
        cx.not_active("policies", "no request is refused or redirected by them", true);
    }
    if let Some(budgets) = file.budgets.as_ref().filter(|it| !it.is_empty()) {
        for (index, budget) in budgets.iter().enumerate() {
            check_budget(cx, budget, &root.key("budgets").index(index));
        }
        cx.not_active("budgets", "spending is recorded, but not limited", true);
    }
}

fn guarded(cx: &mut Context<'_>, file: &File, providers: &Providers, root: &Place) {
    let older = file.plugins.as_ref().and_then(|it| it.bitrouter_guardrails.as_ref());
    let spelled = [
        ("guardrails", file.guardrails.as_ref(), root.key("guardrails")),
        ("plugins.bitrouter-guardrails", older, root.key("plugins").key("bitrouter-guardrails")),
    ];
    if spelled.iter().all(|(_, it, _)| it.is_some()) {
        let message = "`guardrails` is given as well, which is the same";
        cx.report.problem(&spelled[1].2, message, None);
    }
    for (section, guardrails, place) in spelled {
        let Some(guardrails) = guardrails else { continue };
        check_guardrails(cx, guardrails, providers, &place);
        if guardrails.enabled != Some(false) {
            cx.not_active(section, "nothing is inspected, redacted or blocked", true);
        }
    }
}

fn check_guardrails(cx: &mut Context<'_>, raw: &Guardrails, providers: &Providers, place: &Place) {
    let builtin: Vec<&str> = UPGOING.iter().chain(DOWNGOING).copied().collect();
    for (index, name) in raw.disabled_patterns.iter().flatten().enumerate() {
        let place = place.key("disabled_patterns").index(index);
        check_pattern_name(cx, name, &builtin, &place);
    }
    let rules =
        |cx: &mut Context<'_>, rules: &Option<IndexMap<String, Action>>, key, names: &[&str]| {
            for name in rules.iter().flat_map(IndexMap::keys) {
                check_pattern_name(cx, name, names, &place.key(key).key(name));
            }
        };
    rules(cx, &raw.upgoing, "upgoing", UPGOING);
    rules(cx, &raw.downgoing, "downgoing", DOWNGOING);
    let custom = raw.custom_patterns.as_deref().unwrap_or_default();
    let names: Vec<&str> = custom.iter().filter_map(|it| it.name.as_deref()).collect();
    rules(cx, &raw.custom_upgoing, "custom_upgoing", &names);
    rules(cx, &raw.custom_downgoing, "custom_downgoing", &names);
    for (index, pattern) in custom.iter().enumerate() {
        let place = place.key("custom_patterns").index(index);
        let (key, text) = match (&pattern.regex, &pattern.pattern) {
            (Some(one), Some(other)) if one != other => {
                let message = "differs from `regex`, which is the same";
                cx.report.problem(&place.key("pattern"), message, None);
                continue;
            }
            (Some(text), _) => ("regex", text),
            (None, Some(text)) => ("pattern", text),
            (None, None) => {
                cx.report.problem(&place, "`regex` is missing", None);
                continue;
            }
        };
        if let Err(error) = regex_syntax::Parser::new().parse(text) {
            let reason = match &error {
                regex_syntax::Error::Parse(error) => error.kind().to_string(),
                regex_syntax::Error::Translate(error) => error.kind().to_string(),
                _ => "it cannot be read".to_owned(),
            };
            cx.report.problem(&place.key(key), format!("not a regular expression: {reason}"), None);
        }
    }
    let tools = raw.tools.as_ref().and_then(|tools| tools.providers.as_ref());
    for name in tools.into_iter().flat_map(IndexMap::keys) {
        if providers.find(name).is_none() {
            let place = place.key("tools").key("providers").key(name);
            providers.report_unknown(cx, name, &place, false);
        }
    }
}

fn check_pattern_name(cx: &mut Context<'_>, name: &str, names: &[&str], place: &Place) {
    if !names.contains(&name) {
        let hint = did_you_mean(name, names.iter().copied());
        cx.report.problem(place, format!("no pattern is named `{name}` here"), hint);
    }
}

fn check_tools(
    cx: &mut Context<'_>,
    tools: &IndexMap<String, Tool>,
    providers: &Providers,
    place: &Place,
) {
    for (name, tool) in tools {
        for (index, endpoint) in tool.endpoints.iter().flatten().enumerate() {
            let place = place.key(name).key("endpoints").index(index);
            route::model_of(cx, endpoint, &place);
            if let Some(provider) = &endpoint.provider
                && providers.find(provider).is_none()
            {
                providers.report_unknown(cx, provider, &place.key("provider"), false);
            }
        }
    }
}

fn check_policies(cx: &mut Context<'_>, policies: &[Policy], routes: &[String], place: &Place) {
    for (index, policy) in policies.iter().enumerate() {
        let place = place.index(index);
        check_money(cx, policy.max_cost_per_request.as_ref(), &place.key("max_cost_per_request"));
        let target = policy.over_cost.as_ref().and_then(|it| it.route.as_ref());
        if let Some(route) = target
            && !routes.contains(route)
        {
            let place = place.key("over_cost").key("use");
            let hint = did_you_mean(route, routes.iter().map(String::as_str));
            cx.report.warning(&place, format!("no route is named `{route}`"), hint);
        }
    }
}

fn check_budget(cx: &mut Context<'_>, budget: &Budget, place: &Place) {
    if let Some(owner) = &budget.owner {
        let kinds = ["key", "user", "team", "provider", "model"];
        let is_owner = owner == "all"
            || owner
                .split_once(':')
                .is_some_and(|(kind, id)| kinds.contains(&kind) && !id.trim().is_empty());
        if !is_owner {
            let hint = "`key:ID`, `user:ID`, `team:ID`, `provider:ID`, `model:PATTERN` or `all`";
            cx.report.problem(&place.key("owner"), "not an owner", Some(hint.to_owned()));
        }
    }
    check_money(cx, budget.limit.as_ref(), &place.key("limit"));
    if let Some(window) = &budget.window
        && !is_window(window)
    {
        let hint =
            "`total`, `day`, `week`, `month`, `session`, `every:1h`, `duration:30d` or `rounds:10`";
        cx.report.problem(&place.key("window"), "not a window", Some(hint.to_owned()));
    }
}

fn check_money(cx: &mut Context<'_>, money: Option<&Money>, place: &Place) {
    if let Some(Err(error)) = money.map(|money| money.text().parse::<Micros>()) {
        cx.report.problem(place, format!("not an amount of money: {error}"), None);
    }
}

fn is_window(text: &str) -> bool {
    match text.split_once(':') {
        None => matches!(text, "total" | "day" | "week" | "month" | "session"),
        Some(("rounds", count)) => count.parse::<u32>().is_ok_and(|count| count > 0),
        Some(("every" | "duration", length)) => crate::raw::scalar::Span::new(length)
            .milliseconds()
            .map(Duration::from_millis)
            .is_some(),
        Some(_) => false,
    }
}
