//! responses.
