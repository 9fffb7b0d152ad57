//! `bitrouter.yaml`: from text to typed resources.
//!
//! [`load`] is a pure function of texts, variables and the catalogue: nothing here reads files, the
//! environment or a clock. Every problem of every text is reported at once, with its place
//! ([`Problem`]), and secrets appear nowhere but in [`resource::DeclaredAccount`].

mod document;
mod env;
mod load;
mod redact;
mod report;
pub mod resource;
mod server;

pub use document::{Document, Entry, NotActive, Origin};
pub use env::{Environment, EnvironmentError, Layer};
pub use load::{Discovered, DiscoveredKind, Loaded, SourceText, Sources};
pub use report::{Position, Problem};
pub use server::{
    Auth, Control, Cors, DEFAULT_ADMIN_LISTEN, DEFAULT_LISTEN, DEFAULT_MAX_BODY_BYTES, Lifecycle,
    Listener, LogLevel, MetricsAccess, Server, Tls, Upstream,
};
