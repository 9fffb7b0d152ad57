//! Idempotency keys: a POST that is repeated is answered as it was the first time.

use crate::store::{Committed, Store, StoreError};

/// How a request is recognised when it comes again.
#[derive(Clone, Debug)]
pub struct Once {
    /// The `Idempotency-Key`; one space of keys for each actor.
    pub key: String,
    /// A digest of method, path and body.
    pub request_hash: [u8; 32],
    /// Unix milliseconds after which the key may be used anew.
    pub expires_at_ms: u64,
}

/// What became of a request with an idempotency key.
#[derive(Debug)]
pub enum Outcome {
    /// It was committed now.
    Committed(Committed, Vec<u8>),
    /// It had been committed before; this was the response.
    Replayed(Vec<u8>),
}

impl Store {
    /// Removes idempotency keys whose time is over, and says how many.
    pub async fn prune_idempotency_keys(&self, now_ms: u64) -> Result<u64, StoreError> {
        todo!()
    }
}
