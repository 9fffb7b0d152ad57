//! `bitrouter.yaml`: from text to typed resources.

pub mod resource;
