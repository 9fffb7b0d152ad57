//! Reads the built-in data, as late as possible: the providers on first use, the models of a provider
//! when somebody first asks for them.

use std::{
    collections::HashMap,
    sync::{LazyLock, OnceLock},
};

use bitrouter_metering::Price;
use indexmap::IndexMap;
use serde::Deserialize;

use crate::{CatalogModel, CatalogProvider, sources::MODELS};

const PROVIDERS: &str = include_str!("../data/providers.json");

/// Everything that is known without being told.
#[derive(Debug)]
pub struct Catalog {
    providers: Vec<CatalogProvider>,
    models: Vec<OnceLock<IndexMap<String, CatalogModel>>>,
    by_name: HashMap<String, usize>,
}

/// A file of models.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelFile {
    #[expect(
        dead_code,
        reason = "for people, who must be able to tell where the models come from"
    )]
    source: Source,
    models: IndexMap<String, CatalogModel>,
}

/// Where a file's models were taken from.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "for people; required by being a field")]
struct Source {
    package: String,
    version: String,
    licence: String,
    date: String,
}

impl Catalog {
    /// The data that are part of the binary.
    #[expect(clippy::expect_used, reason = "the data are constants; the tests read all of them")]
    pub fn builtin() -> &'static Self {
        static BUILTIN: LazyLock<Catalog> = LazyLock::new(|| {
            Catalog::parse(PROVIDERS).expect("data/providers.json is well-formed")
        });
        &BUILTIN
    }

    fn parse(providers: &str) -> Result<Self, serde_json::Error> {
        let providers: Vec<CatalogProvider> = serde_json::from_str(providers)?;
        let mut by_name = HashMap::new();
        for (at, provider) in providers.iter().enumerate() {
            for name in provider.aliases.iter().chain([&provider.id]) {
                by_name.insert(name.clone(), at);
            }
        }
        let models = providers.iter().map(|_| OnceLock::new()).collect();
        Ok(Self { providers, models, by_name })
    }

    /// Every built-in provider, in the order in which they are to be preferred: those who make their
    /// models, those who host the models of others, those who resell, one's own machines.
    pub fn providers(&self) -> impl ExactSizeIterator<Item = &CatalogProvider> {
        self.providers.iter()
    }

    /// The provider with this id or alias.
    pub fn provider(&self, id_or_alias: &str) -> Option<&CatalogProvider> {
        self.providers.get(*self.by_name.get(id_or_alias)?)
    }

    /// The models of the provider with this id or alias, by the provider's own model ids. Empty if
    /// none are known: such a provider may serve models all the same.
    pub fn models_of(&self, id_or_alias: &str) -> &IndexMap<String, CatalogModel> {
        static NONE: LazyLock<IndexMap<String, CatalogModel>> = LazyLock::new(IndexMap::new);
        let Some(&at) = self.by_name.get(id_or_alias) else { return &NONE };
        self.models[at].get_or_init(|| read_models(&self.providers[at].id))
    }

    /// The list price of exactly this model. `None` if it is not known.
    pub fn lookup_price(&self, id_or_alias: &str, model: &str) -> Option<&Price> {
        self.models_of(id_or_alias).get(model)?.price.as_ref()
    }
}

#[expect(clippy::expect_used, reason = "the data are constants; the tests read all of them")]
fn read_models(provider: &str) -> IndexMap<String, CatalogModel> {
    let Ok(at) = MODELS.binary_search_by_key(&provider, |(id, _)| id) else {
        return IndexMap::new();
    };
    let file: ModelFile =
        serde_json::from_str(MODELS[at].1).expect("the files in data/models are well-formed");
    file.models
}
