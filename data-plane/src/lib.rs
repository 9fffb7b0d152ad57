//! The data plane: serves model traffic by a configuration that it holds in memory.
//!
//! No database and no call to the control plane stand on a request's path.

pub mod admit;
#[cfg(test)]
mod fixtures;
pub mod health;
pub mod inspect;
pub mod limits;
pub mod record;
pub mod resolve;
pub mod settings;
pub mod spool;
pub mod sync;
pub mod table;

mod exchange;
mod front;
mod metrics;
mod plane;
mod proxy;
mod server;
mod upstream;

pub use plane::{DataPlane, Handle, StartError};
pub use settings::Settings;
