//! Tables for tests, written as the control plane would send them.

pub(crate) mod planes;

use std::time::Instant;

use bitrouter_keys::{DigestKey, VirtualKeySecret};
use bitrouter_proto::v1::{self, resource::Spec};
use bitrouter_runtime::{Clock, Entropy};

use crate::{
    spool::{Spool, SpoolSettings},
    table::{Incoming, Revision, RoutingTable},
};

/// The key of every digest in a test's table.
pub(crate) const DIGEST_KEY: [u8; 32] = [7; 32];

pub(crate) fn resource(kind: v1::Kind, id: &str, version: u64, spec: Spec) -> v1::Resource {
    let reference = v1::ResourceRef { kind: kind.into(), id: id.to_owned() };
    v1::Resource { r#ref: Some(reference), version, spec: Some(spec) }
}

pub(crate) fn table(resources: impl IntoIterator<Item = v1::Resource>) -> RoutingTable {
    let read = resources.into_iter().filter_map(Incoming::from_wire).collect();
    let table = RoutingTable::empty().replace(Revision(1), read);
    let rejections: Vec<_> = table.rejections().collect();
    assert!(rejections.is_empty(), "{rejections:?}");
    table
}

/// An active Chat Completions provider without accounts.
pub(crate) fn provider(id: &str, position: u32, models: &[&str]) -> v1::Provider {
    let base_url = format!("http://{id}.test/v1");
    v1::Provider {
        dialects: vec![v1::DialectRule {
            glob: "*".to_owned(),
            dialects: vec![v1::Dialect::ChatCompletions.into()],
        }],
        base_urls: vec![v1::BaseUrl { dialect: 0, url: base_url }],
        models: models
            .iter()
            .map(|id| v1::Model { id: (*id).to_owned(), ..v1::Model::default() })
            .collect(),
        position,
        ..v1::Provider::default()
    }
}

pub(crate) fn of_provider(id: &str, provider: v1::Provider) -> v1::Resource {
    resource(v1::Kind::Provider, id, 1, Spec::Provider(provider))
}

pub(crate) fn account(provider: &str, label: &str, position: u32) -> v1::Resource {
    let account = v1::Account {
        provider_id: provider.to_owned(),
        label: label.to_owned(),
        secret: format!("secret-of-{label}").into(),
        weight: 1,
        position,
        ..v1::Account::default()
    };
    resource(v1::Kind::Account, &format!("{provider}/{label}"), 1, Spec::Account(account))
}

/// Endpoints are written `provider:model`, or `provider:model*weight`.
pub(crate) fn route(strategy: v1::Strategy, endpoints: &[&str]) -> v1::Route {
    let endpoint = |text: &&str| {
        let (text, weight) = text.split_once('*').unwrap_or((text, "1"));
        let (provider, model) = text.split_once(':').unwrap();
        v1::RouteEndpoint {
            provider_id: provider.to_owned(),
            model: model.to_owned(),
            weight: weight.parse().unwrap(),
            ..v1::RouteEndpoint::default()
        }
    };
    v1::Route {
        strategy: strategy.into(),
        endpoints: endpoints.iter().map(endpoint).collect(),
        ..v1::Route::default()
    }
}

pub(crate) fn of_route(name: &str, route: v1::Route) -> v1::Resource {
    resource(v1::Kind::Route, name, 1, Spec::Route(route))
}

pub(crate) fn digest_key() -> v1::Resource {
    let key = v1::DigestKey { key: DIGEST_KEY.to_vec().into() };
    resource(v1::Kind::DigestKey, "1", 1, Spec::DigestKey(key))
}

/// The secret of the n-th key.
pub(crate) fn secret(n: u64) -> VirtualKeySecret {
    let mut entropy = [3; 32];
    entropy[..8].copy_from_slice(&n.to_le_bytes());
    VirtualKeySecret::from_entropy(entropy)
}

pub(crate) fn digest(n: u64) -> v1::KeyDigest {
    let digest = secret(n).digest(&DigestKey::new(DIGEST_KEY));
    v1::KeyDigest { digest: digest.0.to_vec().into(), not_after_ms: 0 }
}

/// The n-th key.
pub(crate) fn key(n: u64) -> v1::VirtualKey {
    v1::VirtualKey {
        digests: vec![digest(n)],
        user_id: "someone".to_owned(),
        ..v1::VirtualKey::default()
    }
}

pub(crate) fn of_key(n: u64, key: v1::VirtualKey) -> v1::Resource {
    resource(v1::Kind::VirtualKey, &format!("key_{n:032x}"), 1, Spec::VirtualKey(key))
}

/// Some instant to begin at.
pub(crate) fn start() -> Instant {
    Clock::system().instant()
}

/// A usage log of its own in a directory.
pub(crate) fn spool(directory: &std::path::Path) -> Spool {
    let settings = SpoolSettings::new(directory);
    Spool::open(settings, Clock::system(), &Entropy::system()).unwrap()
}
