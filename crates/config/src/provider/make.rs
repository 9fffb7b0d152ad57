//! Makes one provider from its template: key, base URL, catalogue, and what keeps it from serving.

use bitrouter_catalog::Access;
use indexmap::IndexMap;

use super::{
    Declared, Providers,
    credential::{self, Credentials},
    models,
    template::{Scheme, Template},
    wire::{self, Settled},
};
use crate::{
    base_url,
    context::Context,
    document::{Entry, Origin},
    report::Place,
    resource::{Model, Provider},
};

/// Makes one provider from its template.
pub(super) struct Maker<'a> {
    pub(super) id: &'a str,
    /// Absent for what is built in or found.
    pub(super) declared: Option<&'a Declared>,
    pub(super) origin: Origin,
}

impl Maker<'_> {
    /// Looks for a base URL in the environment, then does the rest.
    pub(super) fn make(&self, cx: &mut Context<'_>, mut template: Template, made: &mut Providers) {
        let prefix = self.declared.and_then(|it| it.raw.env_prefix.as_deref());
        let is_explicit = self.declared.is_some_and(|it| {
            it.raw.api_base.is_some() || cx.unset.contains_key(&it.place.key("api_base"))
        });
        let mut is_found = false;
        if !is_explicit
            && let Some((name, text)) = credential::base_url_variable(cx, self.id, prefix)
        {
            is_found = self.take_base(cx, &mut template, &name, text);
        }
        self.finish(cx, template, is_found, made);
    }

    /// Takes the base URL that a variable gives, unless it points back to this router: agents are
    /// pointed at it by the very same variables.
    fn take_base(&self, cx: &mut Context<'_>, to: &mut Template, name: &str, text: &str) -> bool {
        let place = self.place();
        match base_url::parse(text) {
            Ok(url) if base_url::is_loopback_port(&url, cx.own_port) => {
                let message = format!("`{name}` is not used: it points to bitrouter itself");
                cx.report.warning(&place, message, None);
                false
            }
            Ok(url) => {
                to.move_to(url);
                true
            }
            Err(problem) => {
                let message = format!("`{name}` is not used: {problem}");
                cx.report.warning(&place, message, None);
                false
            }
        }
    }

    fn place(&self) -> Place {
        let nowhere = || Place::nowhere(format!("providers.{}", self.id));
        self.declared.map_or_else(nowhere, |it| it.place.clone())
    }

    /// Does all but looking for a base URL; `is_found` tells that somebody pointed at the server.
    pub(super) fn finish(
        &self,
        cx: &mut Context<'_>,
        template: Template,
        is_found: bool,
        made: &mut Providers,
    ) {
        let declared = self.declared.map(|it| (&it.raw, &it.place));
        let mut credentials = credential::find(cx, self.id, declared, &template);
        let settled = wire::settle(&template.wire);
        let is_own_server = self.declared.is_some_and(|it| it.raw.api_base.is_some())
            && settled.base_urls.iter().all(|base| !base_url::is_public(&base.url));
        let needs_key = match &template.entry.access {
            Some(Access::Open) => false,
            Some(Access::Key | Access::Login(_)) => !is_own_server || credentials.is_spoken_of,
            None => credentials.is_spoken_of,
        };
        let reason =
            self.inactive_reason(cx, &template, &settled, &credentials, needs_key, is_found);
        if settled.serves_tools {
            let what = "a provider of tools (`api_protocol: mcp` or `rest`)";
            if self.declared.is_some() {
                cx.not_active(format!("providers.{}", self.id), what, false);
            }
        }
        if let Some(it) = self.declared.filter(|it| it.raw.bridge == Some(true))
            && !settled.serves_tools
        {
            let message = "has no effect: only a provider with `api_protocol: mcp` is a bridge";
            cx.report.warning(&it.place.key("bridge"), message, None);
        }
        if let (Some(reason), Some(it), false) =
            (&reason, self.declared, settled.dialects.is_empty())
        {
            cx.report.warning(&it.place, format!("the provider is inactive: {reason}"), None);
        }
        self.check_bases(cx, &settled, &mut credentials);
        let models = catalogue(cx, &template, reason.is_none());
        let position = u32::try_from(made.entries.len()).unwrap_or(u32::MAX);
        let spec = Provider {
            display_name: template.about.display_name,
            dialects: settled.dialects,
            base_urls: settled.base_urls,
            auth: template.wire.scheme.to_auth(),
            default_headers: template.wire.default_headers,
            models,
            priority: template.about.priority,
            position,
            billing: template.about.billing,
            account_strategy: template.about.account_strategy,
            timeouts: template.timeouts,
            inactive_reason: reason,
            needs_account: needs_key || !credentials.accounts.is_empty(),
            stream_usage_unasked: template.wire.stream_usage_unasked,
            tags: template.about.tags,
            aliases: Vec::new(),
        };
        made.entries.push(Entry { id: self.id.to_owned(), origin: self.origin, spec });
        made.accounts.append(&mut credentials.accounts);
    }

    /// What keeps the provider from serving, if anything does.
    fn inactive_reason(
        &self,
        cx: &Context<'_>,
        template: &Template,
        settled: &Settled,
        credentials: &Credentials,
        needs_key: bool,
        is_found: bool,
    ) -> Option<String> {
        if settled.dialects.is_empty() && settled.serves_tools {
            return Some("it serves tools, which are not active in this version".to_owned());
        }
        if let Scheme::NotActive(what) = &template.wire.scheme {
            return Some(format!("{what} is not active in this version"));
        }
        let lacks_key = needs_key && credentials.accounts.is_empty() && !cx.keyed.contains(self.id);
        if let (Some(Access::Login(login)), true) = (&template.entry.access, lacks_key) {
            return Some(format!("`bitrouter login {login}` is not active in this version"));
        }
        let mut wanted = template.entry.missing.clone();
        if lacks_key {
            if credentials.unset.is_empty() {
                let prefix = self.declared.and_then(|it| it.raw.env_prefix.as_deref());
                let names = credential::key_names(self.id, prefix, template);
                wanted.extend(names.get(1).or_else(|| names.first()).cloned());
            } else {
                wanted.extend(credentials.unset.iter().cloned());
            }
        }
        if !wanted.is_empty() {
            wanted.dedup();
            return Some(format!("set {}", wanted.join(" and ")));
        }
        if template.wire.bases.is_empty() {
            return Some("it has no base URL: set `api_base` or `derives`".to_owned());
        }
        if settled.base_urls.iter().any(|it| base_url::is_loopback_port(&it.url, cx.own_port)) {
            return Some("its base URL points to bitrouter itself".to_owned());
        }
        let is_own = matches!(template.entry.access, Some(Access::Open)) && self.declared.is_none();
        if is_own && !is_found {
            return Some("it was not found on this machine".to_owned());
        }
        None
    }

    /// Normalises the accounts' own base URLs, and warns of keys that would travel in the open.
    fn check_bases(&self, cx: &mut Context<'_>, settled: &Settled, credentials: &mut Credentials) {
        let place = self.place().key("api_base");
        let dialect = settled.dialects.first().and_then(|rule| rule.dialects.first()).copied();
        for it in &mut credentials.accounts {
            let account = &mut it.spec.account;
            if let (Some(url), Some(dialect)) = (&account.base_url, dialect) {
                let url = base_url::normalise(url, dialect);
                credential::warn_of_plain_text(cx, &url, &place);
                account.base_url = Some(url);
            }
        }
        if !credentials.accounts.is_empty() {
            for base in &settled.base_urls {
                credential::warn_of_plain_text(cx, &base.url, &place);
            }
        }
    }
}

/// The catalogue: what is built in only where the provider serves, since most serve not.
fn catalogue(cx: &Context<'_>, template: &Template, is_active: bool) -> IndexMap<String, Model> {
    let builtin = template.catalogue.builtin.as_deref().filter(|_| is_active);
    let mut models: IndexMap<String, Model> = builtin
        .into_iter()
        .flat_map(|id| cx.catalog.models_of(id))
        .map(|(id, model)| (id.clone(), models::builtin(model)))
        .collect();
    for (id, model) in &template.catalogue.models {
        models::lay_over(models.entry(id.clone()).or_default(), model.clone());
    }
    models
}
