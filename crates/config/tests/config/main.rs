//! What configurations load to, through the public interface only.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod catalogue;
mod later;
mod mistakes;
mod providers;
mod routes;
mod schema;
mod seeds;
mod server;
mod spellings;

use bitrouter_catalog::Catalog;
use bitrouter_config::{
    Document, Entry, Environment, Loaded, SourceText, Sources,
    resource::{DeclaredAccount, Provider, Route},
};

/// A text and variables, as `bitrouter.yaml` and the process environment.
fn sources(text: &str, variables: &[(&str, &str)]) -> Sources {
    let main = SourceText { path: "bitrouter.yaml".to_owned(), text: text.to_owned() };
    Sources { main: Some(main), environment: environment(variables), ..Sources::default() }
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn load(text: &str, variables: &[(&str, &str)]) -> Loaded {
    bitrouter_config::load(&sources(text, variables), Catalog::builtin())
}

fn lines<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

/// Loads a text that has no problem.
#[track_caller]
fn document(text: &str, variables: &[(&str, &str)]) -> Document {
    let loaded = load(text, variables);
    assert_eq!(lines(&loaded.problems), Vec::<String>::new(), "{text}");
    loaded.document.expect("there is no problem")
}

#[track_caller]
fn problems(text: &str) -> Vec<String> {
    let loaded = load(text, &[]);
    assert!(loaded.document.is_none() || loaded.problems.is_empty());
    lines(&loaded.problems)
}

#[track_caller]
fn warnings(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let loaded = load(text, variables);
    assert_eq!(lines(&loaded.problems), Vec::<String>::new(), "{text}");
    lines(&loaded.warnings)
}

fn find<'d, T>(entries: &'d [Entry<T>], id: &str) -> &'d T {
    let ids: Vec<&str> = entries.iter().map(|it| it.id.as_str()).collect();
    &entries.iter().find(|it| it.id == id).unwrap_or_else(|| panic!("no `{id}` in {ids:?}")).spec
}

trait Find {
    fn provider(&self, id: &str) -> &Provider;
    fn route(&self, name: &str) -> &Route;
    /// Ids and secrets of a provider's accounts.
    fn keys(&self, provider: &str) -> Vec<(String, String)>;
    fn accounts_of(&self, provider: &str) -> Vec<&Entry<DeclaredAccount>>;
}

impl Find for Document {
    fn provider(&self, id: &str) -> &Provider {
        find(&self.providers, id)
    }

    fn route(&self, name: &str) -> &Route {
        find(&self.routes, name)
    }

    fn keys(&self, provider: &str) -> Vec<(String, String)> {
        let accounts = self.accounts_of(provider).into_iter();
        accounts.map(|it| (it.id.clone(), it.spec.secret.expose().to_owned())).collect()
    }

    fn accounts_of(&self, provider: &str) -> Vec<&Entry<DeclaredAccount>> {
        self.accounts.iter().filter(|it| it.spec.account.provider == provider).collect()
    }
}

fn urls(provider: &Provider) -> Vec<String> {
    let show = |dialect: Option<_>| {
        dialect.map_or_else(String::new, |it: bitrouter_translate::Dialect| format!("{it}@"))
    };
    provider.base_urls.iter().map(|it| format!("{}{}", show(it.dialect), it.url)).collect()
}

/// Rules as text: `glob=dialect,dialect`.
fn dialects(provider: &Provider) -> Vec<String> {
    let names = |rule: &bitrouter_config::resource::DialectRule| {
        let names: Vec<&str> = rule.dialects.iter().map(|it| it.as_str()).collect();
        format!("{}={}", rule.glob, names.join(","))
    };
    provider.dialects.iter().map(names).collect()
}
