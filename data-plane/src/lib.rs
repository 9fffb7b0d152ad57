//! The data plane: serves model traffic by a configuration that it holds in memory.
//!
//! No database and no call to the control plane stand on a request's path.

pub mod admit;
#[cfg(test)]
mod fixtures;
pub mod health;
pub mod limits;
pub mod record;
pub mod resolve;
pub mod spool;
pub mod sync;
pub mod table;
