//! Admin tokens: digests of the credentials that open the admin API.

use serde_json::json;

use crate::store::{
    Actor, Store, StoreError,
    audit::{Entry, append_audit},
    change::lock_revision,
    number,
    pool::{execute, reading, within},
};

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

const INSERT: &str = "\
    INSERT INTO admin_token (id, digest, name, role, created_at_ms) VALUES ($1, $2, $3, $4, $5)";
const REVOKE: &str = "\
    UPDATE admin_token SET revoked_at_ms = COALESCE(revoked_at_ms, $2) WHERE id = $1 \
    RETURNING name";
const BY_DIGEST: &str = "\
    SELECT id, name, role, created_at_ms, revoked_at_ms FROM admin_token \
    WHERE digest = $1 AND revoked_at_ms IS NULL";
const ALL: &str = "\
    SELECT id, name, role, created_at_ms, revoked_at_ms FROM admin_token \
    ORDER BY created_at_ms, id";

const KIND: &str = "admin_token";

impl Store {
    /// Keeps a new token's digest.
    pub async fn create_admin_token(
        &self,
        actor: &Actor,
        token: &AdminToken,
        digest: &[u8; 32],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin_write().await?;
        let revision = lock_revision(&mut tx).await?;
        execute!(
            &mut tx,
            sqlx::query(INSERT)
                .bind(&token.id)
                .bind(digest.as_slice())
                .bind(&token.name)
                .bind(&token.role)
                .bind(number::stored(token.created_at_ms))
        );
        let after = json!({ "name": token.name, "role": token.role }).to_string();
        let entry = Entry {
            revision,
            time_ms: token.created_at_ms,
            actor,
            action: "create",
            kind: KIND,
            id: &token.id,
            before: None,
            after: Some(after),
        };
        append_audit(&mut tx, entry).await?;
        tx.commit().await
    }

    /// Revokes a token; one that is revoked already stays as it is.
    pub async fn revoke_admin_token(
        &self,
        actor: &Actor,
        id: &str,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin_write().await?;
        let revision = lock_revision(&mut tx).await?;
        let name: Option<String> = within!(&mut tx, |connection| {
            sqlx::query_scalar(REVOKE)
                .bind(id)
                .bind(number::stored(now_ms))
                .fetch_optional(connection)
                .await?
        });
        let Some(name) = name else {
            return Err(StoreError::NotFound { what: "admin token", id: id.to_owned() });
        };
        let before = Some(json!({ "name": name }).to_string());
        let (time_ms, action) = (now_ms, "revoke");
        let entry = Entry { revision, time_ms, actor, action, kind: KIND, id, before, after: None };
        append_audit(&mut tx, entry).await?;
        tx.commit().await
    }

    /// The token with this digest that is not revoked, if there is one.
    pub async fn admin_token_by_digest(
        &self,
        digest: &[u8; 32],
    ) -> Result<Option<AdminToken>, StoreError> {
        let row: Option<TokenRow> = reading!(self, |pool| sqlx::query_as(BY_DIGEST)
            .bind(digest.as_slice())
            .fetch_optional(pool)
            .await?);
        Ok(row.map(AdminToken::from))
    }

    /// Every token, revoked ones too, the oldest first.
    pub async fn admin_tokens(&self) -> Result<Vec<AdminToken>, StoreError> {
        let rows: Vec<TokenRow> =
            reading!(self, |pool| sqlx::query_as(ALL).fetch_all(pool).await?);
        Ok(rows.into_iter().map(AdminToken::from).collect())
    }
}

#[derive(sqlx::FromRow)]
struct TokenRow {
    id: String,
    name: String,
    role: String,
    created_at_ms: i64,
    revoked_at_ms: Option<i64>,
}

impl From<TokenRow> for AdminToken {
    fn from(row: TokenRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            role: row.role,
            created_at_ms: number::loaded(row.created_at_ms),
            revoked_at_ms: row.revoked_at_ms.map(number::loaded),
        }
    }
}
