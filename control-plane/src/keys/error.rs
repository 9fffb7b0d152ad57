//! What can go wrong with a virtual key.

use std::time::Duration;

use crate::{names::UnknownProvider, store::StoreError};

/// Why a key was not minted or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// A user's id is missing or not a name.
    #[error("the user's id is empty, too long, or holds control characters or spaces at its ends")]
    User,
    /// Its name cannot be shown.
    #[error("the key's name is empty, too long, or holds control characters or spaces at its ends")]
    Name,
    /// Data planes take no limit for none.
    #[error("the limit `{limit}` is 0; leave it out for none, or revoke the key to allow nothing")]
    ZeroLimit {
        /// Which one.
        limit: &'static str,
    },
    /// It would never be accepted.
    #[error("the expiry is in the past")]
    ExpiresInThePast,
    /// The scope names a provider that nobody declared.
    #[error(transparent)]
    UnknownProvider(#[from] UnknownProvider),
    /// Nothing has this id.
    #[error("no key has the id `{id}`")]
    Unknown {
        /// The id.
        id: String,
    },
    /// It was taken back and stays so.
    #[error("the key is revoked; mint a new one")]
    Revoked,
    /// Its time is over.
    #[error("the key has expired; mint a new one")]
    Expired,
    /// A secret must not outlive its rotation for so long.
    #[error("the grace is too long; at most {} days", longest.as_secs() / 86_400)]
    GraceTooLong {
        /// The longest.
        longest: Duration,
    },
    /// It was rotated again and again within its grace.
    #[error("{most} secrets of this key are still accepted; wait, or rotate without grace")]
    TooManyDigests {
        /// How many may be.
        most: usize,
    },
    /// The database.
    #[error(transparent)]
    Store(StoreError),
}
