//! Where a provider's keys come from: the file, or variables looked up by name.

use bitrouter_keys::Secret;
use url::Url;

use super::template::Template;
use crate::{
    base_url,
    context::{Context, Given},
    document::{Entry, Origin},
    raw::provider::{self as raw, Auth},
    report::Place,
    resource::{Account, DeclaredAccount},
};

/// What looking for keys gave.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    pub(super) accounts: Vec<Entry<DeclaredAccount>>,
    /// Variables that the file names for a key and that are not set.
    pub(super) unset: Vec<String>,
    /// True if the file speaks of a key in any way.
    pub(super) is_spoken_of: bool,
}

/// Looks for keys: those that the file gives, else those of the environment.
pub(super) fn find(
    cx: &mut Context<'_>,
    id: &str,
    declared: Option<(&raw::Provider, &Place)>,
    template: &Template,
) -> Credentials {
    let mut found = Credentials::default();
    if let Some((raw, place)) = declared {
        found.is_spoken_of = raw.env_prefix.is_some() || raw.accounts.is_some();
        single(cx, id, raw, place, &mut found);
        several(cx, id, raw, place, &mut found);
    }
    let is_explicit = !found.accounts.is_empty() || !found.unset.is_empty();
    if !is_explicit && declared.is_none_or(|(raw, _)| raw.accounts.is_none()) {
        let names =
            key_names(id, declared.and_then(|(raw, _)| raw.env_prefix.as_deref()), template);
        cx.variables.extend(names.iter().cloned());
        let variable = names.iter().find_map(|name| Some((name, cx.environment.get(name)?)));
        if let Some((name, value)) = variable {
            match secret(value) {
                Ok(secret) => {
                    let account = account(id, "env", 0);
                    let spec = DeclaredAccount { account, secret };
                    found.accounts.push(Entry {
                        id: format!("{id}/env"),
                        origin: Origin::Env,
                        spec,
                    });
                }
                Err(problem) => {
                    let place = declared.map_or_else(|| Place::nowhere(""), |(_, at)| at.clone());
                    let message = format!("the variable `{name}` is not used: {problem}");
                    cx.report.warning(&place, message, None);
                }
            }
        }
    }
    found
}

/// The variables that may hold a provider's key, the first match first.
pub(super) fn key_names(id: &str, prefix: Option<&str>, template: &Template) -> Vec<String> {
    let own = shout(id);
    let mut names = vec![format!("BITROUTER_{own}_API_KEY")];
    let default = format!("{own}_API_KEY");
    match prefix {
        Some(prefix) => names.push(format!("{}_API_KEY", shout(prefix))),
        // A built-in that knows the name keeps its own order.
        None if template.entry.key_names.contains(&default) => {}
        None => names.push(default),
    }
    for name in &template.entry.key_names {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// The base URL that the environment gives a provider, and its variable.
pub(super) fn base_url_variable<'e>(
    cx: &mut Context<'e>,
    id: &str,
    prefix: Option<&str>,
) -> Option<(String, &'e str)> {
    let environment = cx.environment;
    let names = [
        format!("BITROUTER_{}_BASE_URL", shout(id)),
        format!("{}_BASE_URL", shout(prefix.unwrap_or(id))),
    ];
    cx.variables.extend(names.iter().cloned());
    names.into_iter().find_map(|name| Some((name.clone(), environment.get(&name)?)))
}

/// The key of a provider or of its `auth`.
fn single(
    cx: &mut Context<'_>,
    id: &str,
    raw: &raw::Provider,
    place: &Place,
    found: &mut Credentials,
) {
    let in_auth = match &raw.auth {
        Some(Auth::Bearer { api_key } | Auth::Header { api_key, .. }) => api_key.as_ref(),
        Some(Auth::Custom { .. } | Auth::Mpp {}) | None => None,
    };
    let places = [place.key("api_key"), place.key("auth").key("api_key")];
    let both = [raw.api_key.as_ref(), in_auth];
    if let [Some(one), Some(other)] = both
        && one != other
    {
        cx.report.problem(&places[1], "differs from the `api_key` beside `auth`", None);
    }
    for (value, place) in both.into_iter().zip(&places) {
        found.is_spoken_of |= value.is_some();
        match cx.given(value, place) {
            Given::Value(text) if found.accounts.is_empty() => {
                declare(cx, account(id, "default", 0), text, place, found);
            }
            Given::Value(_) | Given::Absent => {}
            Given::Unset(variable) => {
                found.is_spoken_of = true;
                found.unset.push(variable);
            }
        }
    }
}

/// The keys under `accounts`.
fn several(
    cx: &mut Context<'_>,
    id: &str,
    raw: &raw::Provider,
    place: &Place,
    found: &mut Credentials,
) {
    let mut labels: Vec<String> =
        found.accounts.iter().map(|it| it.spec.account.label.clone()).collect();
    for (index, raw) in raw.accounts.iter().flatten().enumerate() {
        let place = place.key("accounts").index(index);
        let label = raw.label.clone().unwrap_or_else(|| format!("account-{}", index + 1));
        if label.trim().is_empty()
            || label.contains(['/', ':'])
            || label.contains(char::is_whitespace)
        {
            let message = "a label is not empty and holds no space, `/` or `:`";
            cx.report.problem(&place.key("label"), message, None);
        }
        if labels.contains(&label) {
            cx.report.problem(&place.key("label"), format!("`{label}` stands twice"), None);
        }
        labels.push(label.clone());
        let position = u32::try_from(labels.len()).unwrap_or(u32::MAX);
        let mut account = account(id, &label, position);
        account.weight = raw.weight.unwrap_or(1);
        let base_place = place.key("api_base");
        match cx.given(raw.api_base.as_ref(), &base_place) {
            Given::Value(text) => account.base_url = cx.base_url(text, &base_place),
            Given::Unset(variable) => {
                leave_out(cx, &variable, &base_place, found);
                continue;
            }
            Given::Absent => {}
        }
        let place = place.key("api_key");
        match cx.given(raw.api_key.as_ref(), &place) {
            Given::Value(text) => declare(cx, account, text, &place, found),
            Given::Unset(variable) => leave_out(cx, &variable, &place, found),
            Given::Absent => cx.report.problem(&place, "an account needs a key", None),
        }
    }
}

fn leave_out(cx: &mut Context<'_>, variable: &str, place: &Place, found: &mut Credentials) {
    let message = format!("the account is left out: the variable `{variable}` is not set");
    cx.report.warning(place, message, None);
    found.unset.push(variable.to_owned());
}

fn declare(
    cx: &mut Context<'_>,
    account: Account,
    text: &str,
    place: &Place,
    found: &mut Credentials,
) {
    match secret(text) {
        Ok(secret) => {
            let id = format!("{}/{}", account.provider, account.label);
            let spec = DeclaredAccount { account, secret };
            found.accounts.push(Entry { id, origin: Origin::File, spec });
        }
        Err(problem) => cx.report.problem(place, problem, None),
    }
}

pub(crate) fn account(provider: &str, label: &str, position: u32) -> Account {
    Account {
        provider: provider.to_owned(),
        label: label.to_owned(),
        base_url: None,
        weight: 1,
        position,
        route: None,
    }
}

/// Takes a key in, if a header can carry it.
pub(crate) fn secret(text: &str) -> Result<Secret, &'static str> {
    let text = text.trim();
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(Secret::new(text.to_owned()))
    } else {
        Err("the key holds characters that no header can carry")
    }
}

/// An id as the beginning of a variable's name.
fn shout(id: &str) -> String {
    let upper = id.to_ascii_uppercase();
    upper.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '_' }).collect()
}

/// Warns if a key would travel in the open to a public address.
pub(crate) fn warn_of_plain_text(cx: &mut Context<'_>, url: &Url, place: &Place) {
    if url.scheme() == "http" && base_url::is_public(url) {
        let message = "the key would travel unencrypted to a public address";
        cx.report.warning(place, message, Some("use `https://`".to_owned()));
    }
}
