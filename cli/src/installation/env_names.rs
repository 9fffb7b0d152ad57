//! Pure: which variables of a caller's environment `reload` hands over. Only those that this
//! configuration could read a provider's key or base URL from, so that nothing else ever leaves the
//! caller.

use std::collections::BTreeSet;

use bitrouter_catalog::Catalog;
use bitrouter_config::{Document, Sources};

/// Their names.
pub(super) fn of(
    sources: &Sources,
    document: Option<&Document>,
    catalog: &Catalog,
) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for provider in catalog.providers() {
        add_provider(&mut names, &provider.id);
        names.extend(provider.api_key_env.iter().cloned());
        for base in &provider.base_urls {
            names.extend(mentioned(&base.url));
        }
    }
    for provider in document.iter().flat_map(|document| &document.providers) {
        add_provider(&mut names, &provider.id);
    }
    for source in sources.main.iter().chain(&sources.manifests) {
        names.extend(mentioned(&source.text));
        for prefix in prefixes(&source.text) {
            names.extend(of_prefix(prefix));
        }
    }
    names
}

fn add_provider(names: &mut BTreeSet<String>, id: &str) {
    for name in of_prefix(id) {
        names.insert(format!("BITROUTER_{name}"));
        names.insert(name);
    }
}

fn of_prefix(prefix: &str) -> [String; 2] {
    let prefix = prefix.to_uppercase().replace('-', "_");
    [format!("{prefix}_API_KEY"), format!("{prefix}_BASE_URL")]
}

/// The variables that a text refers to, as `${NAME}` or `${NAME:-default}`.
fn mentioned(text: &str) -> impl Iterator<Item = String> {
    text.split("${").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
        Some(rest[..end].to_owned()).filter(|name| !name.is_empty())
    })
}

/// The values of `env_prefix`, wherever they stand.
fn prefixes(text: &str) -> impl Iterator<Item = &str> {
    text.split("env_prefix:").skip(1).filter_map(|rest| {
        let value = rest.trim_start_matches([' ', '"', '\'']);
        let end = value.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
        Some(&value[..end.unwrap_or(value.len())]).filter(|prefix| !prefix.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_where_the_texts_name_them() {
        let text = "a: ${ONE}\nb: 'x ${TWO:-two} ${} $THREE'\nc: { env_prefix: \"my-lab\" }\nenv_prefix: last";
        assert_eq!(mentioned(text).collect::<Vec<_>>(), ["ONE", "TWO"]);
        assert_eq!(prefixes(text).collect::<Vec<_>>(), ["my-lab", "last"]);
        assert_eq!(of_prefix("my-lab"), ["MY_LAB_API_KEY", "MY_LAB_BASE_URL"]);
    }
}
