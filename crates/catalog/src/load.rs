//! Reads the built-in data, as late as possible.

use std::sync::LazyLock;

use bitrouter_metering::Price;
use indexmap::IndexMap;

use crate::{CatalogModel, CatalogProvider};

/// Everything that is known without being told.
#[derive(Debug)]
pub struct Catalog {
    providers: IndexMap<String, CatalogProvider>,
}

impl Catalog {
    /// The data that are part of the binary.
    pub fn builtin() -> &'static Self {
        static BUILTIN: LazyLock<Catalog> =
            LazyLock::new(|| Catalog { providers: IndexMap::new() });
        &BUILTIN
    }

    /// Every built-in provider, in the order in which they are to be preferred.
    pub fn providers(&self) -> impl ExactSizeIterator<Item = &CatalogProvider> {
        self.providers.values()
    }

    /// The provider with this id or alias.
    pub fn provider(&self, id_or_alias: &str) -> Option<&CatalogProvider> {
        self.providers.get(id_or_alias)
    }

    /// The models of the provider with this id or alias, by the provider's own model ids. Empty if
    /// none are known: such a provider may serve models all the same.
    pub fn models_of(&self, _id_or_alias: &str) -> &IndexMap<String, CatalogModel> {
        static NONE: LazyLock<IndexMap<String, CatalogModel>> = LazyLock::new(IndexMap::new);
        &NONE
    }

    /// The list price of exactly this model. `None` if it is not known.
    pub fn lookup_price(&self, id_or_alias: &str, model: &str) -> Option<&Price> {
        self.models_of(id_or_alias).get(model)?.price.as_ref()
    }
}
