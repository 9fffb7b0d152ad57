//! The control plane: keeps desired state, pushes it to data planes, takes their usage in.

pub mod api;
pub mod resource;
pub mod secrets;
pub mod store;
