//! Virtual keys and admin tokens: their format and digests; patterns over the names they allow.
//!
//! Everything here is pure: random bytes come from the caller, nothing is stored or sent.

mod digest;
mod opaque;
mod pattern;
mod secret;

pub use digest::{Digest, DigestError, DigestKey};
pub use opaque::{
    ADMIN_TOKEN_PREFIX, Admin, AdminToken, KeyError, Kind, Opaque, VIRTUAL_KEY_PREFIX, VirtualKey,
    VirtualKeySecret,
};
pub use pattern::Pattern;
pub use secret::Secret;
