//! Admin tokens: digests of the credentials that open the admin API.

use crate::store::{Actor, Store, StoreError};

/// An admin token, without its secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AdminToken {
    /// Public.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it may do. Always `owner` for now.
    pub role: String,
    /// Unix milliseconds.
    pub created_at_ms: u64,
    /// Unix milliseconds. Set: it is refused.
    pub revoked_at_ms: Option<u64>,
}

impl Store {
    /// Keeps a new token's digest.
    pub async fn create_admin_token(
        &self,
        actor: &Actor,
        token: &AdminToken,
        digest: &[u8; 32],
    ) -> Result<(), StoreError> {
        todo!()
    }

    /// Revokes a token; one that is revoked already stays as it is.
    pub async fn revoke_admin_token(
        &self,
        actor: &Actor,
        id: &str,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        todo!()
    }

    /// The token with this digest that is not revoked, if there is one.
    pub async fn admin_token_by_digest(
        &self,
        digest: &[u8; 32],
    ) -> Result<Option<AdminToken>, StoreError> {
        todo!()
    }

    /// Every token, revoked ones too, the oldest first.
    pub async fn admin_tokens(&self) -> Result<Vec<AdminToken>, StoreError> {
        todo!()
    }
}
