//! From protocols and base URLs as they were written to those that traffic uses.

use bitrouter_translate::Dialect;
use url::Url;

use super::template::{Rule, Wire};
use crate::{
    base_url,
    raw::provider::Protocol,
    resource::{BaseUrl, DialectRule},
};

/// Dialects, base URLs, and whether tools are served.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) dialects: Vec<DialectRule>,
    pub(super) base_urls: Vec<BaseUrl>,
    pub(super) serves_tools: bool,
}

/// Settles what was left open: names that depend on the host, inference, version paths.
pub(super) fn settle(wire: &Wire) -> Settled {
    let host = wire.bases.first().map(|base| base.url.clone());
    let inferred = host.as_ref().map_or(Dialect::ChatCompletions, base_url::infer);
    let inferred = [Rule {
        glob: bitrouter_keys::Pattern::any(),
        protocols: vec![super::template::protocol(inferred)],
    }];
    let rules = wire.rules.as_deref().unwrap_or(&inferred);
    let mut serves_tools = false;
    let mut dialects = Vec::new();
    for rule in wire.model_rules.iter().chain(rules) {
        let mut named: Vec<Dialect> = Vec::new();
        for protocol in &rule.protocols {
            serves_tools |= matches!(protocol, Protocol::Mcp | Protocol::Rest);
            for dialect in dialects_of(*protocol, host.as_ref()) {
                if !named.contains(dialect) {
                    named.push(*dialect);
                }
            }
        }
        if !named.is_empty() {
            dialects.push(DialectRule { glob: rule.glob.clone(), dialects: named });
        }
    }
    let base_urls = base_urls(wire, &dialects);
    Settled { dialects, base_urls, serves_tools }
}

/// What a protocol's name stands for.
fn dialects_of(protocol: Protocol, host: Option<&Url>) -> &'static [Dialect] {
    match protocol {
        Protocol::Responses => &[Dialect::Responses],
        Protocol::Messages | Protocol::Anthropic => &[Dialect::Messages],
        Protocol::GenerateContent | Protocol::Google => &[Dialect::GenerateContent],
        Protocol::Openai if host.and_then(Url::host_str) == Some("api.openai.com") => {
            &[Dialect::ChatCompletions, Dialect::Responses]
        }
        Protocol::ChatCompletions | Protocol::Openai => &[Dialect::ChatCompletions],
        Protocol::Mcp | Protocol::Rest => &[],
    }
}

/// One base URL for every dialect that is spoken; a single one without a dialect where all agree.
fn base_urls(wire: &Wire, rules: &[DialectRule]) -> Vec<BaseUrl> {
    let mut urls: Vec<BaseUrl> = Vec::new();
    for dialect in Dialect::ALL {
        if !rules.iter().any(|rule| rule.dialects.contains(&dialect)) {
            continue;
        }
        let own = wire.bases.iter().find(|base| base.dialect == Some(dialect));
        let base = own.or_else(|| wire.bases.iter().find(|base| base.dialect.is_none()));
        let Some(base) = base else { continue };
        let url =
            if base.is_normal { base.url.clone() } else { base_url::normalise(&base.url, dialect) };
        urls.push(BaseUrl { dialect: Some(dialect), url });
    }
    if let [first, rest @ ..] = &urls[..]
        && rest.iter().all(|it| it.url == first.url)
    {
        return vec![BaseUrl { dialect: None, url: first.url.clone() }];
    }
    urls
}
