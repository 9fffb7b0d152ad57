//! The contract between the planes, as generated from `bitrouter/v1/*.proto`; nothing else.
//!
//! These types stop in named conversion files: the planes' own types carry the meaning.

/// Package `bitrouter.v1`.
pub mod v1 {
    tonic::include_proto!("bitrouter.v1");
}
