//! The real binary, in throw-away homes on loopback.

mod demo;
mod files;
mod harness;
mod lifecycle;
mod resources;
mod serving;
