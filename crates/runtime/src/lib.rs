//! Process plumbing that both planes share: time, randomness, readiness, drain, tasks, logging, the
//! certificate of listeners.
//!
//! Clock and randomness are values that are passed in, so that everything above can be tested with
//! its own; this crate is the one place that asks the operating system for either.

pub mod clock;
pub mod drain;
pub mod entropy;
pub mod readiness;
pub mod tasks;
pub mod telemetry;
pub mod tls;

pub use clock::{Clock, ManualClock, Timestamp};
pub use entropy::Entropy;
