//! Incremental framing of server-sent events.

/// What the largest event may be, unless configured otherwise.
pub const DEFAULT_MAX_EVENT: usize = 16 * 1024 * 1024;
