//! What may be a name: of a user, a route, a provider, an account; and which provider a name means.

use std::collections::BTreeSet;

use bitrouter_catalog::Catalog;
use bitrouter_config::did_you_mean;

use crate::{
    resource::Kind,
    snapshot::publisher::Publisher,
    store::{Page, Store, StoreError},
};

const LONGEST: usize = 200;
const PAGE: u32 = 500;

/// A name that no provider goes by.
#[derive(Debug, thiserror::Error)]
#[error("no provider is named `{name}`{}", nearest.as_ref().map(|it| format!("; {it}")).unwrap_or_default())]
pub struct UnknownProvider {
    name: String,
    nearest: Option<String>,
}

/// Why it is not known which provider a name means.
#[derive(Debug, thiserror::Error)]
pub enum ProviderNameError {
    /// None has it.
    #[error(transparent)]
    Unknown(#[from] UnknownProvider),
    /// The database.
    #[error("the providers cannot be read")]
    Store(#[from] StoreError),
}

/// The providers that are in force, by their ids.
#[derive(Debug)]
pub(crate) struct ProviderNames(BTreeSet<String>);

impl ProviderNames {
    /// Those that are stored and those of the overlay.
    pub(crate) async fn read(store: &Store, publisher: &Publisher) -> Result<Self, StoreError> {
        let overlaid = publisher.overlay(Kind::Provider).await;
        let mut ids: BTreeSet<String> = overlaid.into_iter().map(|it| it.id).collect();
        let mut after = None;
        loop {
            let page = store.list(Kind::Provider, &Page { after, limit: PAGE }).await?;
            let is_last = page.len() < PAGE as usize;
            after = page.last().map(|it| it.id.clone());
            ids.extend(page.into_iter().map(|it| it.id));
            if is_last {
                return Ok(Self(ids));
            }
        }
    }

    /// The id of the provider that is meant: its own, or that of the same built-in.
    pub(crate) fn id_of(&self, name: &str) -> Result<String, UnknownProvider> {
        if self.0.contains(name) {
            return Ok(name.to_owned());
        }
        let builtin = Catalog::builtin().provider(name);
        let same = builtin.into_iter().flat_map(|it| std::iter::once(&it.id).chain(&it.aliases));
        let found = same.into_iter().find(|id| self.0.contains(*id));
        found.cloned().ok_or_else(|| UnknownProvider {
            name: name.to_owned(),
            nearest: did_you_mean(name, self.0.iter().map(String::as_str)),
        })
    }
}

/// True for names that can be told apart and shown; every character that is not a control character
/// is only data.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LONGEST
        && text == text.trim()
        && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_names_of_a_built_in_are_understood_and_mistakes_are_not() {
        let names = ProviderNames(["alibaba", "openai", "mine"].map(str::to_owned).into());
        let id_of = |name| names.id_of(name).map_err(|unknown| unknown.to_string());
        assert_eq!(id_of("mine").as_deref(), Ok("mine"));
        assert_eq!(id_of("qwen").as_deref(), Ok("alibaba"));
        let problem = "no provider is named `opnai`; did you mean `openai`?";
        assert_eq!(id_of("opnai").unwrap_err(), problem);
        assert_eq!(id_of("gemini").unwrap_err(), "no provider is named `gemini`");
        let declared = ProviderNames([String::from("qwen")].into());
        assert_eq!(declared.id_of("alibaba").unwrap(), "qwen", "declared under its other name");
    }

    #[test]
    fn only_what_cannot_be_told_apart_is_refused() {
        let longest = "x".repeat(LONGEST);
        for name in ["a", "a b", "名前", "'; DROP TABLE x; --", "../..", "${HOME}", &longest] {
            assert!(is_name(name), "{name}");
        }
        let too_long = "x".repeat(LONGEST + 1);
        for name in ["", " ", "a ", "\ta", "a\nb", "a\0", "\u{7f}", &too_long] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}
