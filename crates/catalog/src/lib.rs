//! What the program knows without being told: providers, and their models with limits and prices.
//!
//! The data lie in `data/` and are part of the binary. Providers are read on first use, the models of
//! a provider when they are first asked for, since most installations use a few of them. What is said
//! here is only a default: `bitrouter.yaml` can override all of it. `docs/catalog.md` says where the
//! data come from.

mod load;
mod model;
mod provider;
mod sources;

pub use load::Catalog;
pub use model::{CatalogModel, Modality, ModelKind};
pub use provider::{Access, Auth, BaseUrl, Billing, CatalogProvider, DialectRule, Service};
