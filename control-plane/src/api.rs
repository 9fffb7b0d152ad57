//! The admin API: what operators, the command line and the console use.

pub mod types;
