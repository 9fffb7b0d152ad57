//! What is known about a provider before its key is looked for: a built-in, what it derives from, and
//! what the file says, one laid over the other.

use bitrouter_catalog::{Access, CatalogProvider, Service};
use bitrouter_keys::Pattern;
use bitrouter_translate::Dialect;
use indexmap::IndexMap;
use url::Url;

use crate::{
    base_url,
    context::{Context, Given, merge_timeouts},
    raw::provider::{self as raw, Bases, Protocol, ProtocolItem, Protocols},
    report::Place,
    resource::{AccountStrategy, Auth, Billing, Model, Timeouts},
    substitute::{Expanded, expand},
};

/// A provider without credentials.
#[derive(Clone, Debug, Default)]
pub(super) struct Template {
    pub(super) about: About,
    pub(super) wire: Wire,
    pub(super) catalogue: Catalogue,
    pub(super) entry: Entry,
    pub(super) timeouts: Timeouts,
}

/// What it is to people and to routing.
#[derive(Clone, Debug, Default)]
pub(super) struct About {
    pub(super) display_name: Option<String>,
    pub(super) priority: i32,
    pub(super) billing: Billing,
    pub(super) account_strategy: AccountStrategy,
    pub(super) tags: Vec<String>,
}

/// How it is talked to.
#[derive(Clone, Debug, Default)]
pub(super) struct Wire {
    /// Absent: told from the host.
    pub(super) rules: Option<Vec<Rule>>,
    /// Of single models; they go before the others.
    pub(super) model_rules: Vec<Rule>,
    pub(super) bases: Vec<Base>,
    pub(super) scheme: Scheme,
    pub(super) default_headers: IndexMap<String, String>,
    pub(super) stream_usage_unasked: bool,
}

/// What it serves.
#[derive(Clone, Debug, Default)]
pub(super) struct Catalogue {
    /// The built-in whose catalogue it has.
    pub(super) builtin: Option<String>,
    /// What is laid over that.
    pub(super) models: IndexMap<String, Model>,
}

/// How one comes in.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    /// Absent: nothing is known, and no key is needed unless one is spoken of.
    pub(super) access: Option<Access>,
    /// Variables that may hold the key.
    pub(super) key_names: Vec<String>,
    /// Variables of the base URL that are not set.
    pub(super) missing: Vec<String>,
}

/// Protocols of the models that a pattern matches.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) glob: Pattern,
    pub(super) protocols: Vec<Protocol>,
}

/// Where a dialect is served; absent: every one without a base of its own.
#[derive(Clone, Debug)]
pub(super) struct Base {
    pub(super) dialect: Option<Dialect>,
    pub(super) url: Url,
    /// True if the version path is as it has to be, even if there is none.
    pub(super) is_normal: bool,
}

/// How the key travels.
#[derive(Clone, Debug, Default)]
pub(super) enum Scheme {
    #[default]
    Bearer,
    Header(String),
    /// Not in this version: what it is.
    NotActive(String),
}

impl Scheme {
    pub(super) fn to_auth(&self) -> Auth {
        match self {
            Self::Header(name) => Auth::Header { header_name: name.clone() },
            Self::Bearer | Self::NotActive(_) => Auth::Bearer,
        }
    }
}

impl Template {
    /// A built-in.
    pub(super) fn builtin(cx: &mut Context<'_>, builtin: &CatalogProvider) -> Self {
        let mut missing = Vec::new();
        let bases = builtin.base_urls.iter().filter_map(|base| {
            let text = match expand(&base.url, cx.environment, &mut cx.variables) {
                Ok(Expanded::Literal(text) | Expanded::Filled(text)) => text,
                Ok(Expanded::Unset(variable)) => {
                    missing.push(variable);
                    return None;
                }
                Err(_) => return None,
            };
            Some(Base { dialect: base.dialect, url: Url::parse(&text).ok()?, is_normal: true })
        });
        let bases = bases.collect();
        let rules = builtin.dialects.iter().map(|rule| Rule {
            glob: Pattern::new(&rule.glob),
            protocols: rule.dialects.iter().copied().map(protocol).collect(),
        });
        let mut rules: Vec<Rule> = rules.collect();
        if builtin.service == Service::Rest {
            rules.push(Rule { glob: Pattern::any(), protocols: vec![Protocol::Rest] });
        }
        let scheme = match &builtin.auth {
            bitrouter_catalog::Auth::Bearer => Scheme::Bearer,
            bitrouter_catalog::Auth::Header(name) => Scheme::Header(name.clone()),
        };
        let billing = match builtin.billing {
            bitrouter_catalog::Billing::Token => Billing::Token,
            bitrouter_catalog::Billing::Subscription => Billing::Subscription,
            bitrouter_catalog::Billing::Local => Billing::Local,
        };
        let display_name = Some(builtin.display_name.clone());
        Self {
            about: About { display_name, billing, ..About::default() },
            wire: Wire {
                rules: Some(rules),
                bases,
                scheme,
                stream_usage_unasked: builtin.stream_usage_unasked,
                ..Wire::default()
            },
            catalogue: Catalogue { builtin: Some(builtin.id.clone()), ..Catalogue::default() },
            entry: Entry {
                access: Some(builtin.access.clone()),
                key_names: builtin.api_key_env.clone(),
                missing,
            },
            timeouts: Timeouts::default(),
        }
    }

    /// What a provider inherits: everything but what concerns the credential of the other.
    pub(super) fn inherited(mut self) -> Self {
        self.entry.key_names.clear();
        self.about.display_name = None;
        self.about.priority = 0;
        self
    }

    /// Lays what the file says over what is known.
    pub(super) fn apply(&mut self, cx: &mut Context<'_>, raw: &raw::Provider, place: &Place) {
        let about = &mut self.about;
        about.display_name = raw.name.clone().or_else(|| about.display_name.take());
        about.priority = raw.priority.unwrap_or(about.priority);
        about.billing = raw.billing.map_or(about.billing, billing);
        about.account_strategy = raw.account_strategy.map_or(about.account_strategy, strategy);
        if let Some(tags) = &raw.tags {
            about.tags.clone_from(tags);
        }
        let timeouts = cx.timeouts(raw.timeouts.as_ref(), &place.key("timeouts"));
        self.timeouts = merge_timeouts(timeouts, self.timeouts);
        if let Some(auth) = &raw.auth {
            self.wire.scheme = scheme(cx, auth, &place.key("auth"));
        }
        self.apply_headers(cx, raw, place);
        self.apply_bases(cx, raw, place);
        if let Some(protocols) = &raw.api_protocol {
            self.wire.rules = Some(rules(cx, protocols, &place.key("api_protocol")));
        }
        self.apply_models(cx, raw, place);
    }

    fn apply_headers(&mut self, cx: &mut Context<'_>, raw: &raw::Provider, place: &Place) {
        for (name, value) in raw.default_headers.iter().flatten() {
            let place = place.key("default_headers").key(name);
            let name = name.to_ascii_lowercase();
            if let Err(problem) = super::header::check(&name, value) {
                cx.report.problem(&place, problem, None);
            } else if crate::redact::is_secret_header(&name) {
                let hint = "default headers are stored as they are; keys belong into `api_key`";
                cx.report.warning(&place, "looks like a secret", Some(hint.to_owned()));
            }
            self.wire.default_headers.insert(name, value.clone());
        }
    }

    fn apply_bases(&mut self, cx: &mut Context<'_>, raw: &raw::Provider, place: &Place) {
        let place = place.key("api_base");
        match &raw.api_base {
            Some(Bases::PerProtocol(bases)) => {
                let given = [
                    (Dialect::ChatCompletions, &bases.chat_completions),
                    (Dialect::Responses, &bases.responses),
                    (Dialect::Messages, &bases.messages),
                    (Dialect::GenerateContent, &bases.generate_content),
                ];
                for (dialect, text) in given {
                    let Some(text) = text else { continue };
                    let Some(url) = cx.base_url(text, &place.key(dialect.as_str())) else {
                        continue;
                    };
                    self.wire.bases.retain(|base| base.dialect != Some(dialect));
                    let dialect = Some(dialect);
                    self.wire.bases.push(Base { dialect, url, is_normal: false });
                }
                if self.wire.rules.is_none() {
                    let protocols =
                        self.wire.bases.iter().filter_map(|it| it.dialect).map(protocol).collect();
                    self.wire.rules = Some(vec![Rule { glob: Pattern::any(), protocols }]);
                }
            }
            one => {
                let text = one.as_ref().and_then(|one| match one {
                    Bases::One(text) => Some(text),
                    Bases::PerProtocol(_) => None,
                });
                match cx.given(text, &place) {
                    Given::Value(text) => {
                        if let Some(url) = cx.base_url(text, &place) {
                            self.move_to(url);
                        }
                    }
                    Given::Unset(variable) => self.entry.missing.push(variable),
                    Given::Absent => {}
                }
            }
        }
    }

    /// Puts the provider at another base URL. One that the provider is known by changes nothing.
    /// Dialects that have a base of their own keep it on the same host and are not served elsewhere.
    pub(super) fn move_to(&mut self, url: Url) {
        self.entry.missing.clear();
        let wire = &mut self.wire;
        if wire.bases.iter().any(|base| base_url::is_same_place(&base.url, &url)) {
            return;
        }
        let is_near = |base: &Base| base.url.host_str() == url.host_str();
        for base in wire.bases.extract_if(.., |base| base.dialect.is_none() || !is_near(base)) {
            let Some(gone) = base.dialect.map(protocol) else { continue };
            for rule in wire.rules.iter_mut().flatten() {
                rule.protocols.retain(|it| *it != gone);
            }
        }
        if let Some(rules) = &mut wire.rules {
            rules.retain(|rule| !rule.protocols.is_empty());
        }
        if wire.rules.as_ref().is_some_and(Vec::is_empty) {
            wire.rules = None;
        }
        wire.bases.push(Base { dialect: None, url, is_normal: false });
    }

    fn apply_models(&mut self, cx: &mut Context<'_>, raw: &raw::Provider, place: &Place) {
        for (id, model, place) in super::models::listed(cx, raw, place) {
            let over = super::models::model(cx, &model, &place);
            if let Some(protocols) = &model.api_protocol {
                let protocols = protocols.to_vec();
                self.wire.model_rules.push(Rule { glob: Pattern::new(&id), protocols });
            }
            let known = self.catalogue.models.entry(id).or_default();
            super::models::lay_over(known, over);
        }
    }
}

fn scheme(cx: &mut Context<'_>, auth: &raw::Auth, place: &Place) -> Scheme {
    match auth {
        raw::Auth::Bearer { .. } => Scheme::Bearer,
        raw::Auth::Header { header_name, .. } => {
            let Some(name) = header_name else { return Scheme::Bearer };
            let name = name.to_ascii_lowercase();
            if let Err(problem) = super::header::check_name(&name) {
                cx.report.problem(&place.key("header_name"), problem, None);
            }
            Scheme::Header(name)
        }
        raw::Auth::Custom { method, .. } => {
            let method = method.as_deref().unwrap_or_default();
            Scheme::NotActive(format!("custom authentication (`{method}`)"))
        }
        raw::Auth::Mpp {} => Scheme::NotActive("payment for each request (mpp)".to_owned()),
    }
}

fn rules(cx: &mut Context<'_>, protocols: &Protocols, place: &Place) -> Vec<Rule> {
    let items = match protocols {
        Protocols::One(protocol) => {
            return vec![Rule { glob: Pattern::any(), protocols: vec![*protocol] }];
        }
        Protocols::Many(items) => items,
    };
    let mut rules: Vec<Rule> = Vec::new();
    let mut names = Vec::new();
    for item in items {
        match item {
            ProtocolItem::Name(name) => names.push(*name),
            ProtocolItem::Rules(given) => {
                let given = given.iter();
                rules.extend(given.map(|(glob, protocols)| Rule {
                    glob: Pattern::new(glob),
                    protocols: protocols.to_vec(),
                }));
            }
        }
    }
    if !names.is_empty() {
        rules.push(Rule { glob: Pattern::any(), protocols: names });
    }
    if rules.iter().all(|rule| rule.protocols.is_empty()) {
        cx.report.problem(place, "names no protocol", None);
    }
    rules
}

/// The protocol's name for a dialect.
pub(super) const fn protocol(dialect: Dialect) -> Protocol {
    match dialect {
        Dialect::ChatCompletions => Protocol::ChatCompletions,
        Dialect::Responses => Protocol::Responses,
        Dialect::Messages => Protocol::Messages,
        Dialect::GenerateContent => Protocol::GenerateContent,
    }
}

const fn billing(raw: raw::Billing) -> Billing {
    match raw {
        raw::Billing::Token => Billing::Token,
        raw::Billing::Subscription => Billing::Subscription,
        raw::Billing::Local => Billing::Local,
    }
}

const fn strategy(raw: raw::AccountStrategy) -> AccountStrategy {
    match raw {
        raw::AccountStrategy::Failover => AccountStrategy::Failover,
        raw::AccountStrategy::Balance => AccountStrategy::Balance,
    }
}
