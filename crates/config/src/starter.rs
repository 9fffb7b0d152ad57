//! What `bitrouter init` writes.

/// A commented configuration to begin with. Loads as it is.
pub const fn starter_file() -> &'static str {
    include_str!("starter.yaml")
}
