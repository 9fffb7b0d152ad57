//! Sealed rows: the secrets of accounts, the digest keys, the responses of repeated requests.

use zeroize::Zeroizing;

use crate::store::{Store, StoreError};

/// A key that virtual keys are digested with.
#[derive(Clone, Debug)]
pub struct DigestKeyRow {
    /// Counts from 1.
    pub version: u32,
    /// The key.
    pub key: Zeroizing<[u8; 32]>,
}

impl Store {
    /// The current digest key. It is made when it is first asked for.
    pub async fn digest_key(&self) -> Result<DigestKeyRow, StoreError> {
        todo!()
    }

    /// Wraps every sealed row with the current sealing key anew, and says how many needed it.
    pub async fn rewrap(&self) -> Result<u64, StoreError> {
        todo!()
    }
}
