//! Sealed rows: the secrets of accounts, the digest keys, the responses of repeated requests.

use bitrouter_keys::Secret;
use zeroize::Zeroizing;

use crate::{
    resource::Kind,
    secrets::{Place, SealError, Sealed},
    store::{
        Store, StoreError,
        change::lock_revision,
        number,
        pool::{Tx, execute, reading, within},
    },
};

/// A key that virtual keys are digested with.
#[derive(Clone, Debug)]
pub struct DigestKeyRow {
    /// Counts from 1.
    pub version: u32,
    /// The key.
    pub key: Zeroizing<[u8; 32]>,
}

const SECRET: &str = "secret";
const DIGEST_KEY: &str = "digest_key";

const SELECT: &str = "\
    SELECT scope, row_id, field, version, kek_id, dek, body FROM sealed \
    WHERE scope = $1 AND row_id = $2 AND field = $3";
const SELECT_SCOPE: &str = "\
    SELECT scope, row_id, field, version, kek_id, dek, body FROM sealed \
    WHERE scope = $1 AND field = $2 ORDER BY row_id";
const SELECT_OTHER_KEKS: &str = "\
    SELECT scope, row_id, field, version, kek_id, dek, body FROM sealed WHERE kek_id <> $1";
const UPSERT: &str = "\
    INSERT INTO sealed (scope, row_id, field, version, kek_id, dek, body) \
    VALUES ($1, $2, $3, $4, $5, $6, $7) \
    ON CONFLICT (scope, row_id, field) DO UPDATE SET version = excluded.version, \
    kek_id = excluded.kek_id, dek = excluded.dek, body = excluded.body";
const DELETE: &str = "DELETE FROM sealed WHERE scope = $1 AND row_id = $2";

impl Store {
    /// The current digest key. It is made when it is first asked for.
    pub async fn digest_key(&self) -> Result<DigestKeyRow, StoreError> {
        if let Some(newest) = self.digest_keys().await?.pop() {
            return Ok(newest);
        }
        let mut tx = self.begin_write().await?;
        lock_revision(&mut tx).await?;
        // Another process may have been faster.
        if select_sealed(&mut tx, DIGEST_KEY, "1", SECRET).await?.is_none() {
            let mut key = Zeroizing::new([0; 32]);
            aws_lc_rs::rand::fill(key.as_mut_slice()).map_err(|_| SealError::Crypto)?;
            let place = Place { scope: DIGEST_KEY, row: "1", field: SECRET, version: 1 };
            self.put_sealed(&mut tx, place, key.as_slice()).await?;
        }
        tx.commit().await?;
        let made = self.digest_keys().await?.pop();
        made.ok_or_else(|| StoreError::NotFound { what: DIGEST_KEY, id: "1".to_owned() })
    }

    /// Every digest key, the oldest first.
    pub async fn digest_keys(&self) -> Result<Vec<DigestKeyRow>, StoreError> {
        let mut keys = Vec::new();
        for row in self.select_scope(DIGEST_KEY).await? {
            let opened = self.seal.open(row.place(), &row.sealed())?;
            let key = opened.as_slice().try_into().map_err(|_| SealError::Refused)?;
            let version = row.row_id.parse().map_err(|error| row.undecodable(error))?;
            keys.push(DigestKeyRow { version, key: Zeroizing::new(key) });
        }
        keys.sort_by_key(|row| row.version);
        Ok(keys)
    }

    /// Wraps every sealed row with the current sealing key anew, and says how many needed it.
    pub async fn rewrap(&self) -> Result<u64, StoreError> {
        let mut tx = self.begin_write().await?;
        lock_revision(&mut tx).await?;
        let rows: Vec<SealedRow> = within!(&mut tx, |connection| {
            sqlx::query_as(SELECT_OTHER_KEKS)
                .bind(self.seal.current_id())
                .fetch_all(connection)
                .await?
        });
        let mut rewrapped = 0;
        for row in rows {
            if let Some(sealed) = self.seal.rewrap(row.place(), &row.sealed())? {
                upsert(&mut tx, row.place(), &sealed).await?;
                rewrapped += 1;
            }
        }
        tx.commit().await?;
        Ok(rewrapped)
    }

    pub(super) async fn secret(&self, kind: Kind, id: &str) -> Result<Option<Secret>, StoreError> {
        let row: Option<SealedRow> = reading!(self, |pool| sqlx::query_as(SELECT)
            .bind(kind.as_str())
            .bind(id)
            .bind(SECRET)
            .fetch_optional(pool)
            .await?);
        row.map(|row| self.open_secret(&row)).transpose()
    }

    pub(super) async fn secrets_of(&self, kind: Kind) -> Result<Vec<(String, Secret)>, StoreError> {
        let rows = self.select_scope(kind.as_str()).await?;
        rows.into_iter()
            .map(|row| self.open_secret(&row).map(|secret| (row.row_id, secret)))
            .collect()
    }

    /// Seals a resource's secret, unless it is the one that is there already. True if it was not.
    pub(super) async fn put_secret(
        &self,
        tx: &mut Tx,
        (kind, id): (Kind, &str),
        secret: &Secret,
    ) -> Result<bool, StoreError> {
        let stored = select_sealed(tx, kind.as_str(), id, SECRET).await?;
        let version = match stored {
            // One that no longer opens is replaced, too.
            Some(row) if self.open_secret(&row).is_ok_and(|stored| stored == *secret) => {
                return Ok(false);
            }
            Some(row) => number::loaded(row.version) + 1,
            None => 1,
        };
        let place = Place { scope: kind.as_str(), row: id, field: SECRET, version };
        self.put_sealed(tx, place, secret.expose().as_bytes()).await?;
        Ok(true)
    }

    pub(super) async fn put_sealed(
        &self,
        tx: &mut Tx,
        place: Place<'_>,
        secret: &[u8],
    ) -> Result<(), StoreError> {
        let sealed = self.seal.seal(place, secret)?;
        upsert(tx, place, &sealed).await
    }

    pub(super) async fn open_sealed(
        &self,
        tx: &mut Tx,
        scope: &str,
        row: &str,
        field: &str,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let Some(row) = select_sealed(tx, scope, row, field).await? else { return Ok(None) };
        Ok(Some(self.seal.open(row.place(), &row.sealed())?))
    }

    async fn select_scope(&self, scope: &str) -> Result<Vec<SealedRow>, StoreError> {
        Ok(reading!(self, |pool| sqlx::query_as(SELECT_SCOPE)
            .bind(scope)
            .bind(SECRET)
            .fetch_all(pool)
            .await?))
    }

    fn open_secret(&self, row: &SealedRow) -> Result<Secret, StoreError> {
        let opened = self.seal.open(row.place(), &row.sealed())?;
        let text = std::str::from_utf8(&opened).map_err(|error| row.undecodable(error))?;
        Ok(Secret::new(text.to_owned()))
    }
}

pub(super) async fn delete_secret(tx: &mut Tx, (kind, id): (Kind, &str)) -> Result<(), StoreError> {
    delete_sealed(tx, kind.as_str(), id).await
}

pub(super) async fn delete_sealed(tx: &mut Tx, scope: &str, row: &str) -> Result<(), StoreError> {
    execute!(tx, sqlx::query(DELETE).bind(scope).bind(row));
    Ok(())
}

async fn select_sealed(
    tx: &mut Tx,
    scope: &str,
    row: &str,
    field: &str,
) -> Result<Option<SealedRow>, StoreError> {
    Ok(within!(tx, |connection| sqlx::query_as(SELECT)
        .bind(scope)
        .bind(row)
        .bind(field)
        .fetch_optional(connection)
        .await?))
}

async fn upsert(tx: &mut Tx, place: Place<'_>, sealed: &Sealed) -> Result<(), StoreError> {
    execute!(
        tx,
        sqlx::query(UPSERT)
            .bind(place.scope)
            .bind(place.row)
            .bind(place.field)
            .bind(number::stored(place.version))
            .bind(&sealed.kek_id)
            .bind(&sealed.dek)
            .bind(&sealed.body)
    );
    Ok(())
}

#[derive(sqlx::FromRow)]
struct SealedRow {
    scope: String,
    row_id: String,
    field: String,
    version: i64,
    kek_id: String,
    dek: Vec<u8>,
    body: Vec<u8>,
}

impl SealedRow {
    fn place(&self) -> Place<'_> {
        let version = number::loaded(self.version);
        Place { scope: &self.scope, row: &self.row_id, field: &self.field, version }
    }

    fn sealed(&self) -> Sealed {
        Sealed { kek_id: self.kek_id.clone(), dek: self.dek.clone(), body: self.body.clone() }
    }

    fn undecodable(
        &self,
        error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> StoreError {
        let id = format!("{}/{}", self.scope, self.row_id);
        StoreError::Undecodable { what: "secret", id, source: error.into() }
    }
}
