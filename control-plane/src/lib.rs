//! The control plane: keeps desired state, pushes it to data planes, takes their usage in.
//!
//! [`ControlPlane`] is the whole of it: resources go in through [`ControlPlane::reconcile`] and the
//! admin API ([`ControlPlane::admin_router`]), data planes connect to [`ControlPlane::grpc`].

pub mod api;
mod discovery;
mod housekeeping;
mod keys;
mod ledger;
mod link;
mod names;
mod owner_token;
mod plane;
pub mod reconcile;
pub mod resource;
pub mod secrets;
mod snapshot;
pub mod store;
#[cfg(test)]
mod testing;

pub use api::Access;
pub use link::link;
pub use names::{ProviderNameError, UnknownProvider};
pub use owner_token::TOKEN_FILE;
pub use plane::{ControlPlane, ControlPlaneSettings, OpenError, ReconcileError};
