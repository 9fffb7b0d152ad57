//! Converts the control plane's resources to those of the contract; the contract's types for
//! configuration stop here.

use bitrouter_config::resource::{
    Account, AccountStrategy, Auth, Billing, DataPolicy, Fidelity, Model, Preset, Provider, Route,
    Routing, Sort, Strategy, Timeouts, Variant,
};
use bitrouter_keys::{Digest, Secret};
use bitrouter_metering::{PicoUsd, Price, Rates};
use bitrouter_proto::v1 as wire;
use bitrouter_translate::Dialect;
use bytes::Bytes;
use url::Url;

use crate::{
    resource::{KeyDigest, Kind, Limits, Revision, Spec, VirtualKey},
    store::DigestKeyRow,
};

/// The kind's number in the contract; `None` if it is never sent.
pub(crate) const fn wire_kind(kind: Kind) -> Option<wire::Kind> {
    match kind {
        Kind::Provider => Some(wire::Kind::Provider),
        Kind::Account => Some(wire::Kind::Account),
        Kind::Route => Some(wire::Kind::Route),
        Kind::Preset => Some(wire::Kind::Preset),
        Kind::Variant => Some(wire::Kind::Variant),
        Kind::VirtualKey => Some(wire::Kind::VirtualKey),
        Kind::User => None,
    }
}

/// The kind's name, as people read it.
pub(crate) fn kind_name(kind: i32) -> &'static str {
    match wire::Kind::try_from(kind) {
        Ok(wire::Kind::Provider) => "provider",
        Ok(wire::Kind::Account) => "account",
        Ok(wire::Kind::Route) => "route",
        Ok(wire::Kind::Preset) => "preset",
        Ok(wire::Kind::Variant) => "variant",
        Ok(wire::Kind::VirtualKey) => "virtual_key",
        Ok(wire::Kind::DigestKey) => "digest_key",
        Ok(wire::Kind::Unspecified) | Err(_) => "unknown",
    }
}

/// Compiles a resource. `None`: data planes do not get it (a user, a revoked or expired key).
pub(crate) fn compile(
    id: &str,
    version: Revision,
    spec: &Spec,
    secret: Option<&Secret>,
    now_ms: u64,
) -> Option<wire::Resource> {
    use wire::resource::Spec as Wire;
    let compiled = match spec {
        Spec::Provider(spec) => Wire::Provider(provider(spec)),
        Spec::Account(spec) => Wire::Account(account(spec, secret)),
        Spec::Route(spec) => Wire::Route(route(spec)),
        Spec::Preset(spec) => Wire::Preset(preset(spec)),
        Spec::Variant(spec) => Wire::Variant(variant(spec)),
        Spec::VirtualKey(spec) => Wire::VirtualKey(virtual_key(spec, now_ms)?),
        Spec::User(_) => return None,
    };
    let kind = wire_kind(spec.kind())?;
    Some(wire::Resource {
        r#ref: Some(wire::ResourceRef { kind: kind.into(), id: id.to_owned() }),
        version: version.0,
        spec: Some(compiled),
    })
}

/// Compiles the key that virtual keys are digested with.
pub(crate) fn digest_key(row: &DigestKeyRow) -> wire::Resource {
    let kind = wire::Kind::DigestKey.into();
    wire::Resource {
        r#ref: Some(wire::ResourceRef { kind, id: row.version.to_string() }),
        version: u64::from(row.version),
        spec: Some(wire::resource::Spec::DigestKey(wire::DigestKey {
            key: Bytes::copy_from_slice(row.key.as_slice()),
        })),
    }
}

fn provider(spec: &Provider) -> wire::Provider {
    let dialects = spec.dialects.iter().map(|rule| wire::DialectRule {
        glob: rule.glob.as_str().to_owned(),
        dialects: rule.dialects.iter().copied().map(dialect).map(i32::from).collect(),
    });
    let base_urls = spec.base_urls.iter().map(|base| wire::BaseUrl {
        dialect: base.dialect.map_or(wire::Dialect::Unspecified, dialect).into(),
        url: base_url(Some(&base.url)),
    });
    wire::Provider {
        display_name: spec.display_name.clone().unwrap_or_default(),
        dialects: dialects.collect(),
        base_urls: base_urls.collect(),
        auth: Some(auth(&spec.auth)),
        default_headers: spec.default_headers.clone().into_iter().collect(),
        models: spec.models.iter().map(|(id, spec)| model(id, spec)).collect(),
        priority: spec.priority,
        position: spec.position,
        billing: billing(spec.billing).into(),
        account_strategy: account_strategy(spec.account_strategy).into(),
        timeouts: timeouts(&spec.timeouts),
        inactive_reason: spec.inactive_reason.clone().unwrap_or_default(),
        needs_account: spec.needs_account,
        stream_usage_unasked: spec.stream_usage_unasked,
        tags: spec.tags.clone(),
        aliases: spec.aliases.clone(),
    }
}

fn auth(spec: &Auth) -> wire::Auth {
    let scheme = match spec {
        Auth::Bearer => wire::auth::Scheme::Bearer(wire::auth::Bearer {}),
        Auth::Header { header_name } => {
            wire::auth::Scheme::Header(wire::auth::HeaderAuth { name: header_name.clone() })
        }
    };
    wire::Auth { scheme: Some(scheme) }
}

fn model(id: &str, spec: &Model) -> wire::Model {
    wire::Model {
        id: id.to_owned(),
        display_name: spec.display_name.clone().unwrap_or_default(),
        description: spec.description.clone().unwrap_or_default(),
        max_input_tokens: spec.max_input_tokens.unwrap_or(0),
        max_output_tokens: spec.max_output_tokens.unwrap_or(0),
        input_modalities: spec.input_modalities.clone(),
        output_modalities: spec.output_modalities.clone(),
        price: spec.price.as_ref().map(price),
        timeouts: timeouts(&spec.timeouts),
    }
}

fn price(spec: &Price) -> wire::Price {
    let tiers = spec.tiers.iter().map(|tier| wire::PriceTier {
        above_input_tokens: tier.above_input_tokens,
        rates: Some(rates(&tier.rates)),
    });
    wire::Price {
        base: Some(rates(&spec.base)),
        tiers: tiers.collect(),
        per_request: pico(spec.per_request),
    }
}

fn rates(spec: &Rates) -> wire::Rates {
    wire::Rates {
        input_uncached: pico(spec.input_uncached),
        cache_read: pico(spec.cache_read),
        cache_write_5m: pico(spec.cache_write_5m),
        cache_write_1h: pico(spec.cache_write_1h),
        output: pico(spec.output),
        reasoning: pico(spec.reasoning),
        audio_in: pico(spec.audio_in),
        audio_out: pico(spec.audio_out),
        image: pico(spec.image),
    }
}

fn account(spec: &Account, secret: Option<&Secret>) -> wire::Account {
    wire::Account {
        provider_id: spec.provider.clone(),
        label: spec.label.clone(),
        secret: secret.map(|text| text.expose().to_owned().into()).unwrap_or_default(),
        base_url: base_url(spec.base_url.as_ref()),
        weight: spec.weight.max(1),
        position: spec.position,
        route_name: spec.route.clone().unwrap_or_default(),
    }
}

fn route(spec: &Route) -> wire::Route {
    let endpoints = spec.endpoints.iter().map(|endpoint| wire::RouteEndpoint {
        provider_id: endpoint.provider.clone(),
        model: endpoint.model.clone(),
        account_id: endpoint
            .account
            .as_ref()
            .map(|named| account_id(&endpoint.provider, named))
            .unwrap_or_default(),
        base_url: base_url(endpoint.base_url.as_ref()),
        weight: endpoint.weight.max(1),
    });
    wire::Route {
        strategy: strategy(spec.strategy).into(),
        endpoints: endpoints.collect(),
        display_name: spec.display_name.clone().unwrap_or_default(),
        description: spec.description.clone().unwrap_or_default(),
        max_input_tokens: spec.max_input_tokens.unwrap_or(0),
        max_output_tokens: spec.max_output_tokens.unwrap_or(0),
        strict_fidelity: spec.fidelity == Fidelity::Strict,
        local_only: spec.data == DataPolicy::LocalOnly,
    }
}

/// An endpoint may name its account by label or by id.
pub(crate) fn account_id(provider: &str, named: &str) -> String {
    let is_id = named.strip_prefix(provider).is_some_and(|rest| rest.starts_with('/'));
    if is_id { named.to_owned() } else { format!("{provider}/{named}") }
}

fn preset(spec: &Preset) -> wire::Preset {
    wire::Preset {
        model: spec.model.clone().unwrap_or_default(),
        system_prompt: spec.system_prompt.clone().unwrap_or_default(),
        parameters_json: json(&spec.parameters),
        routing: Some(routing(&spec.routing)),
    }
}

fn variant(spec: &Variant) -> wire::Variant {
    wire::Variant { routing: Some(routing(&spec.routing)), parameters_json: json(&spec.parameters) }
}

fn routing(spec: &Routing) -> wire::Routing {
    let sort = match spec.sort {
        None => wire::Sort::Unspecified,
        Some(Sort::Price) => wire::Sort::Price,
        Some(Sort::Latency) => wire::Sort::Latency,
        Some(Sort::Throughput) => wire::Sort::Throughput,
    };
    wire::Routing {
        sort: sort.into(),
        only: spec.only.clone(),
        ignore: spec.ignore.clone(),
        require_tags: spec.require_tags.clone(),
    }
}

/// `None` if nobody may use the key any more.
fn virtual_key(spec: &VirtualKey, now_ms: u64) -> Option<wire::VirtualKey> {
    let is_over = spec.expires_at_ms.is_some_and(|end| end <= now_ms);
    if spec.revoked_at_ms.is_some() || is_over {
        return None;
    }
    Some(wire::VirtualKey {
        digests: spec.digests.iter().filter_map(|digest| key_digest(digest, now_ms)).collect(),
        public_key: public_key(&spec.public_key),
        name: spec.name.clone().unwrap_or_default(),
        user_id: spec.user.clone(),
        models: spec.models.iter().map(|pattern| pattern.as_str().to_owned()).collect(),
        providers: spec.providers.clone(),
        expires_at_ms: spec.expires_at_ms.unwrap_or(0),
        limits: Some(limits(spec.limits)),
    })
}

/// `None` if its time is over, or it is not a digest, which lets nobody in.
fn key_digest(spec: &KeyDigest, now_ms: u64) -> Option<wire::KeyDigest> {
    let Digest(bytes) = spec.digest.parse().ok()?;
    let is_over = spec.not_after_ms.is_some_and(|end| end <= now_ms);
    let digest = Bytes::copy_from_slice(&bytes);
    (!is_over).then(|| wire::KeyDigest { digest, not_after_ms: spec.not_after_ms.unwrap_or(0) })
}

fn public_key(text: &str) -> Bytes {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    BASE64_URL_SAFE_NO_PAD.decode(text).unwrap_or_default().into()
}

fn limits(spec: Limits) -> wire::Limits {
    wire::Limits {
        rpm: spec.rpm.unwrap_or(0),
        tpm: spec.tpm.unwrap_or(0),
        concurrency: spec.concurrency.unwrap_or(0),
    }
}

const fn dialect(dialect: Dialect) -> wire::Dialect {
    match dialect {
        Dialect::ChatCompletions => wire::Dialect::ChatCompletions,
        Dialect::Responses => wire::Dialect::Responses,
        Dialect::Messages => wire::Dialect::Messages,
        Dialect::GenerateContent => wire::Dialect::GenerateContent,
    }
}

const fn billing(billing: Billing) -> wire::Billing {
    match billing {
        Billing::Token => wire::Billing::Token,
        Billing::Subscription => wire::Billing::Subscription,
        Billing::Local => wire::Billing::Local,
    }
}

const fn account_strategy(strategy: AccountStrategy) -> wire::AccountStrategy {
    match strategy {
        AccountStrategy::Failover => wire::AccountStrategy::Failover,
        AccountStrategy::Balance => wire::AccountStrategy::Balance,
    }
}

const fn strategy(strategy: Strategy) -> wire::Strategy {
    match strategy {
        Strategy::Priority => wire::Strategy::Priority,
        Strategy::LoadBalance => wire::Strategy::LoadBalance,
        Strategy::LeastBusy => wire::Strategy::LeastBusy,
        Strategy::LowestLatency => wire::Strategy::LowestLatency,
        Strategy::LowestCost => wire::Strategy::LowestCost,
        Strategy::LocalFirst => wire::Strategy::LocalFirst,
    }
}

/// Absent where nothing is set, so that a model without its own does not override its provider's.
fn timeouts(spec: &Timeouts) -> Option<wire::Timeouts> {
    (!spec.is_empty()).then(|| wire::Timeouts {
        connect_ms: spec.connect_ms.unwrap_or(0),
        first_token_ms: spec.first_token_ms.unwrap_or(0),
        idle_ms: spec.idle_ms.unwrap_or(0),
        total_ms: spec.total_ms.unwrap_or(0),
    })
}

/// A parsed URL without a path always ends in a slash, which the contract does not have.
fn base_url(url: Option<&Url>) -> String {
    url.map(|url| url.as_str().trim_end_matches('/').to_owned()).unwrap_or_default()
}

fn pico(price: Option<PicoUsd>) -> Option<u64> {
    price.map(|price| price.0)
}

fn json(parameters: &serde_json::Map<String, serde_json::Value>) -> String {
    if parameters.is_empty() {
        return String::new();
    }
    serde_json::Value::Object(parameters.clone()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::User;

    fn key() -> VirtualKey {
        VirtualKey {
            name: None,
            user: "ana".to_owned(),
            models: Vec::new(),
            providers: Vec::new(),
            expires_at_ms: None,
            limits: Limits { rpm: Some(60), ..Limits::default() },
            digests: vec![
                KeyDigest { digest: Digest([1; 32]).to_string(), not_after_ms: None },
                KeyDigest { digest: Digest([2; 32]).to_string(), not_after_ms: Some(2_000) },
            ],
            public_key: String::new(),
            last4: "abcd".to_owned(),
            revoked_at_ms: None,
        }
    }

    fn digests_at(spec: VirtualKey, now_ms: u64) -> Option<usize> {
        let compiled = compile("key_1", Revision(3), &Spec::VirtualKey(spec), None, now_ms)?;
        let Some(wire::resource::Spec::VirtualKey(key)) = compiled.spec else { return None };
        assert_eq!(key.limits.unwrap().rpm, 60);
        Some(key.digests.len())
    }

    #[test]
    fn only_what_still_opens_something_is_sent() {
        let revoked = VirtualKey { revoked_at_ms: Some(1), ..key() };
        let expiring = VirtualKey { expires_at_ms: Some(1_500), ..key() };
        let cases = [
            ("both digests", key(), 1_000, Some(2)),
            ("the grace is over", key(), 2_000, Some(1)),
            ("revoked", revoked, 1_000, None),
            ("not yet expired", expiring.clone(), 1_499, Some(2)),
            ("expired", expiring, 1_500, None),
        ];
        for (case, spec, now_ms, expected) in cases {
            assert_eq!(digests_at(spec, now_ms), expected, "{case}");
        }
    }

    #[test]
    fn users_stay_at_home() {
        let user = Spec::User(User::default());
        assert!(compile("ana", Revision(1), &user, None, 0).is_none());
    }

    #[test]
    fn base_urls_have_no_trailing_slash() {
        let url: Url = "http://127.0.0.1:8080".parse().unwrap();
        assert_eq!(base_url(Some(&url)), "http://127.0.0.1:8080");
    }

    #[test]
    fn accounts_are_named_by_label_or_id() {
        assert_eq!(account_id("openai", "main"), "openai/main");
        assert_eq!(account_id("openai", "openai/route:smart:0"), "openai/route:smart:0");
        assert_eq!(account_id("openai", "openai-eu"), "openai/openai-eu");
    }
}
