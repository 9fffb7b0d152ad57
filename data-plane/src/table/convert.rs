//! From the wire to the table: the schema's messages made into resources that can be relied on.
//!
//! Nothing is repaired in silence: what cannot be used is an error that says what is wrong with it,
//! and the resource is rejected with that reason.

use std::sync::Arc;

use bitrouter_keys::{Digest, DigestKey as KeyBytes, Pattern, Secret};
use bitrouter_metering::{PicoUsd, Price, Rates, Tier};
use bitrouter_proto::v1;
use bitrouter_runtime::Timestamp;
use bitrouter_translate::Dialect;
use url::Url;

use super::{
    Account, AccountStrategy, Auth, Billing, DigestKey, Incoming, Kind, Limits, Model, Parameters,
    Preset, Provider, Rejection, Resource, ResourceRef, Revision, Route, RouteEndpoint, Routing,
    Sort, Strategy, Timeouts, Variant, VirtualKey,
    resource::{DialectRule, KeyDigest, Wire},
};

type Parsed<T> = Result<T, String>;

impl Incoming {
    /// Reads a resource; one without a name is an error of the whole change.
    pub fn from_wire(resource: v1::Resource) -> Option<Self> {
        let reference = ResourceRef::from_wire(&resource.r#ref?);
        let version = Revision(resource.version);
        let resource = read(&reference, version, resource.spec);
        Some(Self { reference, version, resource })
    }
}

impl ResourceRef {
    /// Reads a name.
    pub fn from_wire(reference: &v1::ResourceRef) -> Self {
        let kind = match v1::Kind::try_from(reference.kind) {
            Ok(v1::Kind::Provider) => Kind::Provider,
            Ok(v1::Kind::Account) => Kind::Account,
            Ok(v1::Kind::Route) => Kind::Route,
            Ok(v1::Kind::Preset) => Kind::Preset,
            Ok(v1::Kind::Variant) => Kind::Variant,
            Ok(v1::Kind::VirtualKey) => Kind::VirtualKey,
            Ok(v1::Kind::DigestKey) => Kind::DigestKey,
            Ok(v1::Kind::Unspecified) | Err(_) => Kind::Unknown(reference.kind),
        };
        Self { kind, id: reference.id.as_str().into() }
    }

    /// As it travels.
    pub fn to_wire(&self) -> v1::ResourceRef {
        v1::ResourceRef { kind: self.kind.number(), id: self.id.to_string() }
    }
}

impl Rejection {
    /// As it travels.
    pub fn to_wire(&self) -> v1::Rejection {
        v1::Rejection {
            r#ref: Some(self.reference.to_wire()),
            kept_version: self.kept.map_or(0, |kept| kept.0),
            reason: self.reason.clone(),
        }
    }
}

fn read(
    reference: &ResourceRef,
    version: Revision,
    spec: Option<v1::resource::Spec>,
) -> Parsed<Resource> {
    use v1::resource::Spec;
    let id = Arc::clone(&reference.id);
    if id.is_empty() {
        return Err("it has no id".to_owned());
    }
    match (reference.kind, spec) {
        (Kind::Provider, Some(Spec::Provider(it))) => {
            Ok(Resource::Provider(Arc::new(provider(id, version, it)?)))
        }
        (Kind::Account, Some(Spec::Account(it))) => {
            Ok(Resource::Account(Arc::new(account(id, version, &it)?)))
        }
        (Kind::Route, Some(Spec::Route(it))) => {
            Ok(Resource::Route(Arc::new(route(id, version, it)?)))
        }
        (Kind::Preset, Some(Spec::Preset(it))) => {
            Ok(Resource::Preset(Arc::new(preset(id, version, it)?)))
        }
        (Kind::Variant, Some(Spec::Variant(it))) => {
            Ok(Resource::Variant(Arc::new(variant(id, version, it)?)))
        }
        (Kind::VirtualKey, Some(Spec::VirtualKey(it))) => {
            Ok(Resource::VirtualKey(Arc::new(virtual_key(id, version, it)?)))
        }
        (Kind::DigestKey, Some(Spec::DigestKey(it))) => {
            let key = KeyBytes::new(bytes_32("key", &it.key)?);
            Ok(Resource::DigestKey(Arc::new(DigestKey { id, version, key })))
        }
        (Kind::Unknown(_), _) => Err("this version does not know its kind".to_owned()),
        (_, None) => Err("this version does not know its form".to_owned()),
        (_, Some(_)) => Err("its kind and its form are not the same".to_owned()),
    }
}

fn provider(id: Arc<str>, version: Revision, it: v1::Provider) -> Parsed<Provider> {
    let mut models = indexmap::IndexMap::with_capacity(it.models.len());
    for wire in it.models {
        let (id, model) = model(wire);
        models.insert(id, model);
    }
    Ok(Provider {
        id,
        version,
        models,
        order: (it.priority, it.position),
        billing: billing(it.billing)?,
        account_strategy: account_strategy(it.account_strategy)?,
        inactive_reason: text(it.inactive_reason),
        needs_account: it.needs_account,
        tags: texts(it.tags),
        aliases: texts(it.aliases),
        display_name: it.display_name.into(),
        wire: Wire {
            dialects: it.dialects.into_iter().map(dialect_rule).collect::<Parsed<_>>()?,
            base_urls: it.base_urls.iter().map(base_url).collect::<Parsed<_>>()?,
            auth: auth(it.auth)?,
            default_headers: it.default_headers.iter().map(header).collect::<Parsed<_>>()?,
            timeouts: timeouts(it.timeouts),
            stream_usage_unasked: it.stream_usage_unasked,
        },
    })
}

fn model(it: v1::Model) -> (Arc<str>, Model) {
    let model = Model {
        display_name: it.display_name.into(),
        description: it.description.into(),
        max_input_tokens: limit(it.max_input_tokens),
        max_output_tokens: limit(it.max_output_tokens),
        input_modalities: texts(it.input_modalities),
        output_modalities: texts(it.output_modalities),
        price: it.price.as_ref().map(price),
        timeouts: timeouts(it.timeouts),
    };
    (it.id.into(), model)
}

fn price(it: &v1::Price) -> Price {
    Price {
        base: it.base.as_ref().map(rates).unwrap_or_default(),
        tiers: it.tiers.iter().map(tier).collect(),
        per_request: it.per_request.map(PicoUsd),
    }
}

fn tier(it: &v1::PriceTier) -> Tier {
    Tier {
        above_input_tokens: it.above_input_tokens,
        rates: it.rates.as_ref().map(rates).unwrap_or_default(),
    }
}

fn rates(it: &v1::Rates) -> Rates {
    Rates {
        input_uncached: it.input_uncached.map(PicoUsd),
        cache_read: it.cache_read.map(PicoUsd),
        cache_write_5m: it.cache_write_5m.map(PicoUsd),
        cache_write_1h: it.cache_write_1h.map(PicoUsd),
        output: it.output.map(PicoUsd),
        reasoning: it.reasoning.map(PicoUsd),
        audio_in: it.audio_in.map(PicoUsd),
        audio_out: it.audio_out.map(PicoUsd),
        image: it.image.map(PicoUsd),
    }
}

fn dialect_rule(it: v1::DialectRule) -> Parsed<DialectRule> {
    let dialects = it.dialects.into_iter().map(dialect).collect::<Parsed<_>>()?;
    Ok(DialectRule { glob: Pattern::new(it.glob), dialects })
}

fn base_url(it: &v1::BaseUrl) -> Parsed<(Option<Dialect>, Arc<Url>)> {
    let dialect = if it.dialect == 0 { None } else { Some(dialect(it.dialect)?) };
    Ok((dialect, url(&it.url)?))
}

fn header((name, value): (&String, &String)) -> Parsed<(http::HeaderName, http::HeaderValue)> {
    let name = header_name(name)?;
    let value = http::HeaderValue::try_from(value)
        .map_err(|_| format!("default header `{name}` has characters that cannot be sent"))?;
    Ok((name, value))
}

fn header_name(name: &str) -> Parsed<http::HeaderName> {
    http::HeaderName::try_from(name).map_err(|_| format!("`{name}` is not a header name"))
}

fn auth(it: Option<v1::Auth>) -> Parsed<Auth> {
    match it.and_then(|it| it.scheme) {
        None | Some(v1::auth::Scheme::Bearer(_)) => Ok(Auth::Bearer),
        Some(v1::auth::Scheme::Header(it)) => Ok(Auth::Header(header_name(&it.name)?)),
    }
}

fn account(id: Arc<str>, version: Revision, it: &v1::Account) -> Parsed<Account> {
    let secret = std::str::from_utf8(&it.secret)
        .ok()
        .filter(|secret| http::HeaderValue::from_str(secret).is_ok())
        .ok_or("its secret has characters that cannot be sent in a header")?;
    Ok(Account {
        id,
        version,
        provider_id: it.provider_id.as_str().into(),
        label: it.label.as_str().into(),
        secret: Secret::new(secret.to_owned()),
        base_url: optional_url(&it.base_url)?,
        weight: it.weight.max(1),
        position: it.position,
        route_name: text(it.route_name.clone()),
    })
}

fn route(name: Arc<str>, version: Revision, it: v1::Route) -> Parsed<Route> {
    if it.endpoints.is_empty() {
        return Err("it has no endpoints".to_owned());
    }
    Ok(Route {
        name,
        version,
        strategy: strategy(it.strategy)?,
        endpoints: it.endpoints.into_iter().map(route_endpoint).collect::<Parsed<_>>()?,
        display_name: it.display_name.into(),
        description: it.description.into(),
        max_input_tokens: limit(it.max_input_tokens),
        max_output_tokens: limit(it.max_output_tokens),
        is_strict: it.strict_fidelity,
        is_local_only: it.local_only,
    })
}

fn route_endpoint(it: v1::RouteEndpoint) -> Parsed<RouteEndpoint> {
    Ok(RouteEndpoint {
        provider_id: it.provider_id.into(),
        model: it.model.into(),
        account_id: text(it.account_id),
        base_url: optional_url(&it.base_url)?,
        weight: it.weight.max(1),
    })
}

fn preset(name: Arc<str>, version: Revision, it: v1::Preset) -> Parsed<Preset> {
    Ok(Preset {
        name,
        version,
        model: text(it.model),
        system_prompt: text(it.system_prompt),
        parameters: parameters(&it.parameters_json)?,
        routing: routing(it.routing)?,
    })
}

fn variant(name: Arc<str>, version: Revision, it: v1::Variant) -> Parsed<Variant> {
    let parameters = parameters(&it.parameters_json)?;
    Ok(Variant { name, version, parameters, routing: routing(it.routing)? })
}

fn virtual_key(id: Arc<str>, version: Revision, it: v1::VirtualKey) -> Parsed<VirtualKey> {
    if it.digests.is_empty() {
        return Err("it has no digest".to_owned());
    }
    let limits = it.limits.unwrap_or_default();
    Ok(VirtualKey {
        id,
        version,
        user_id: it.user_id.into(),
        models: it.models.into_iter().map(Pattern::new).collect(),
        providers: texts(it.providers),
        expires_at: moment(it.expires_at_ms),
        limits: Limits { rpm: limits.rpm, concurrency: limits.concurrency, tpm: limits.tpm },
        digests: it.digests.iter().map(key_digest).collect::<Parsed<_>>()?,
    })
}

fn key_digest(it: &v1::KeyDigest) -> Parsed<KeyDigest> {
    let digest = Digest(bytes_32("digest", &it.digest)?);
    Ok(KeyDigest { digest, not_after: moment(it.not_after_ms) })
}

fn routing(it: Option<v1::Routing>) -> Parsed<Routing> {
    let it = it.unwrap_or_default();
    let sort = match known("sort", v1::Sort::try_from(it.sort))? {
        v1::Sort::Unspecified => None,
        v1::Sort::Price => Some(Sort::Price),
        v1::Sort::Latency => Some(Sort::Latency),
        v1::Sort::Throughput => Some(Sort::Throughput),
    };
    Ok(Routing {
        sort,
        only: texts(it.only),
        ignore: texts(it.ignore),
        require_tags: texts(it.require_tags),
    })
}

fn parameters(json: &str) -> Parsed<Parameters> {
    if json.is_empty() {
        return Ok(Parameters::new());
    }
    serde_json::from_str(json)
        .map_err(|error| format!("its parameters are no JSON object: {error}"))
}

fn dialect(number: i32) -> Parsed<Dialect> {
    match v1::Dialect::try_from(number) {
        Ok(v1::Dialect::ChatCompletions) => Ok(Dialect::ChatCompletions),
        Ok(v1::Dialect::Responses) => Ok(Dialect::Responses),
        Ok(v1::Dialect::Messages) => Ok(Dialect::Messages),
        Ok(v1::Dialect::GenerateContent) => Ok(Dialect::GenerateContent),
        Ok(v1::Dialect::Unspecified) | Err(_) => {
            Err(format!("this version does not know dialect {number}"))
        }
    }
}

fn strategy(number: i32) -> Parsed<Strategy> {
    Ok(match known("strategy", v1::Strategy::try_from(number))? {
        v1::Strategy::Unspecified | v1::Strategy::Priority => Strategy::Priority,
        v1::Strategy::LoadBalance => Strategy::LoadBalance,
        v1::Strategy::LeastBusy => Strategy::LeastBusy,
        v1::Strategy::LowestLatency => Strategy::LowestLatency,
        v1::Strategy::LowestCost => Strategy::LowestCost,
        v1::Strategy::LocalFirst => Strategy::LocalFirst,
    })
}

fn billing(number: i32) -> Parsed<Billing> {
    Ok(match known("billing", v1::Billing::try_from(number))? {
        v1::Billing::Unspecified | v1::Billing::Token => Billing::Token,
        v1::Billing::Subscription => Billing::Subscription,
        v1::Billing::Local => Billing::Local,
    })
}

fn account_strategy(number: i32) -> Parsed<AccountStrategy> {
    Ok(match known("account strategy", v1::AccountStrategy::try_from(number))? {
        v1::AccountStrategy::Unspecified | v1::AccountStrategy::Failover => {
            AccountStrategy::Failover
        }
        v1::AccountStrategy::Balance => AccountStrategy::Balance,
    })
}

fn known<T>(what: &str, value: Result<T, prost::UnknownEnumValue>) -> Parsed<T> {
    value.map_err(|error| format!("this version does not know {what} {}", error.0))
}

fn timeouts(it: Option<v1::Timeouts>) -> Timeouts {
    let it = it.unwrap_or_default();
    let set = |ms: u32| (ms > 0).then_some(ms);
    Timeouts {
        connect_ms: set(it.connect_ms),
        first_token_ms: set(it.first_token_ms),
        idle_ms: set(it.idle_ms),
        total_ms: set(it.total_ms),
    }
}

fn url(text: &str) -> Parsed<Arc<Url>> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .map(Arc::new)
        .ok_or_else(|| format!("`{text}` is not an http or https URL"))
}

fn optional_url(text: &str) -> Parsed<Option<Arc<Url>>> {
    if text.is_empty() { Ok(None) } else { url(text).map(Some) }
}

fn bytes_32(what: &str, bytes: &[u8]) -> Parsed<[u8; 32]> {
    bytes.try_into().map_err(|_| format!("its {what} has {} bytes instead of 32", bytes.len()))
}

fn text(text: String) -> Option<Box<str>> {
    (!text.is_empty()).then(|| text.into())
}

fn texts(texts: Vec<String>) -> Box<[Box<str>]> {
    texts.into_iter().map(Into::into).collect()
}

const fn limit(tokens: u64) -> Option<u64> {
    if tokens == 0 { None } else { Some(tokens) }
}

/// Zero on the wire is the end of time here: most keys have no end, and there are many of them.
const fn moment(millis: u64) -> Timestamp {
    if millis == 0 { Timestamp::from_micros(u64::MAX) } else { Timestamp::from_millis(millis) }
}
