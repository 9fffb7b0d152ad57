//! From desired state to what data planes are sent: one compiled resource for each declared one.
//!
//! What is published always equals exactly one revision, and its hash is the same on both sides.

pub(crate) mod compile;
pub(crate) mod overlay;
pub(crate) mod publisher;
pub(crate) mod refresh;
pub(crate) mod state;
