//! `bitrouter.yaml`: from text to typed resources.
//!
//! [`load`] is a pure function of texts, variables and the catalogue: nothing here reads files, the
//! environment or a clock. Every problem of every text is reported at once, with its place
//! ([`Problem`]), and secrets appear nowhere but in [`resource::DeclaredAccount`].

mod base_url;
mod check;
mod context;
mod document;
mod env;
mod later;
mod load;
mod price;
mod provider;
mod raw;
mod redact;
mod report;
pub mod resource;
mod route;
mod schema;
mod server;
mod settings;
mod show;
mod sound;
mod starter;
mod substitute;
mod yaml;

pub use document::{Document, Entry, NotActive, Origin};
pub use env::{Environment, EnvironmentError, Layer};
pub use load::{Discovered, DiscoveredKind, Loaded, SourceText, Sources, load};
pub use report::{Position, Problem, did_you_mean};
pub use schema::schema;
pub use server::{
    Auth, Control, Cors, DEFAULT_ADMIN_LISTEN, DEFAULT_LISTEN, DEFAULT_MAX_BODY_BYTES, Lifecycle,
    Listener, LogLevel, MetricsAccess, ProxyUrl, Server, Tls, Upstream,
};
pub use show::{Shown, ShownAccount, ShownProvider};
pub use sound::Unsound;
pub use starter::starter_file;
