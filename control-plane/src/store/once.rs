//! Idempotency keys: a POST that is repeated is answered as it was the first time.

use crate::{
    secrets::Place,
    store::{
        Actor, Committed, Store, StoreError, number,
        pool::{Tx, execute, within},
        sealed::delete_sealed,
    },
};

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

const SCOPE: &str = "idempotency_key";
const RESPONSE: &str = "response";

const SELECT: &str = "SELECT request_hash, expires_at_ms FROM idempotency_key WHERE id = $1";
const UPSERT: &str = "\
    INSERT INTO idempotency_key (id, request_hash, expires_at_ms) VALUES ($1, $2, $3) \
    ON CONFLICT (id) DO UPDATE SET request_hash = excluded.request_hash, \
    expires_at_ms = excluded.expires_at_ms";
const DELETE_EXPIRED: &str = "DELETE FROM idempotency_key WHERE expires_at_ms <= $1 RETURNING id";

impl Store {
    /// Removes idempotency keys whose time is over, and says how many.
    pub async fn prune_idempotency_keys(&self, now_ms: u64) -> Result<u64, StoreError> {
        let mut tx = self.begin_write().await?;
        let expired: Vec<String> = within!(&mut tx, |connection| {
            sqlx::query_scalar(DELETE_EXPIRED)
                .bind(number::stored(now_ms))
                .fetch_all(connection)
                .await?
        });
        for id in &expired {
            delete_sealed(&mut tx, SCOPE, id).await?;
        }
        tx.commit().await?;
        Ok(expired.len() as u64)
    }

    /// The response that was given to this request before, if it was: what it asked for was possible
    /// then, whatever has changed since.
    pub async fn replay(
        &self,
        actor: &Actor,
        once: &Once,
        now_ms: u64,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let mut tx = self.begin_write().await?;
        self.recall(&mut tx, actor, once, now_ms).await
    }

    pub(super) async fn recall(
        &self,
        tx: &mut Tx,
        actor: &Actor,
        once: &Once,
        now_ms: u64,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let id = once.id_of(actor);
        let found: Option<(Vec<u8>, i64)> = within!(tx, |connection| sqlx::query_as(SELECT)
            .bind(&id)
            .fetch_optional(connection)
            .await?);
        let Some((hash, expires)) = found else { return Ok(None) };
        if number::loaded(expires) <= now_ms {
            return Ok(None);
        }
        if hash != once.request_hash {
            return Err(StoreError::IdempotencyKeyReused);
        }
        let response = self.open_sealed(tx, SCOPE, &id, RESPONSE).await?;
        Ok(response.map(|response| response.to_vec()))
    }

    pub(super) async fn remember(
        &self,
        tx: &mut Tx,
        actor: &Actor,
        once: &Once,
        response: &[u8],
    ) -> Result<(), StoreError> {
        let id = once.id_of(actor);
        execute!(
            tx,
            sqlx::query(UPSERT)
                .bind(&id)
                .bind(once.request_hash.as_slice())
                .bind(number::stored(once.expires_at_ms))
        );
        let place = Place { scope: SCOPE, row: &id, field: RESPONSE, version: 1 };
        self.put_sealed(tx, place, response).await
    }
}

impl Once {
    fn id_of(&self, actor: &Actor) -> String {
        format!("{actor} {}", self.key)
    }
}
