//! Connections and transactions of either database.

use sqlx::{PgPool, Postgres, Sqlite, SqlitePool, Transaction};

use crate::store::{Store, StoreError};

/// Connections to whichever database is configured.
#[derive(Clone, Debug)]
pub(super) enum Pool {
    /// One connection writes and others read, so that no writer finds the database locked by another
    /// of this process.
    Sqlite {
        write: SqlitePool,
        read: SqlitePool,
    },
    Postgres(PgPool),
}

/// A transaction. Dropped without [`Tx::commit`], it is rolled back.
pub(super) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// Runs one body against the connections for reading; compiled once per database.
macro_rules! reading {
    ($store:expr, |$pool:ident| $body:expr) => {
        match &$store.pool {
            $crate::store::pool::Pool::Sqlite { read: $pool, .. } => $body,
            $crate::store::pool::Pool::Postgres($pool) => $body,
        }
    };
}

/// Runs one body inside a transaction; compiled once per database.
macro_rules! within {
    ($tx:expr, |$connection:ident| $body:expr) => {
        match &mut *$tx {
            $crate::store::pool::Tx::Sqlite(tx) => {
                let $connection = &mut **tx;
                $body
            }
            $crate::store::pool::Tx::Postgres(tx) => {
                let $connection = &mut **tx;
                $body
            }
        }
    };
}

/// Runs one statement inside a transaction, and gives the number of rows that it touched.
macro_rules! execute {
    ($tx:expr, $query:expr) => {
        $crate::store::pool::within!($tx, |connection| {
            $query
                .execute(connection)
                .await
                .map_err($crate::store::StoreError::from)?
                .rows_affected()
        })
    };
}

pub(super) use {execute, reading, within};

impl Store {
    /// Begins a transaction that writes. Its first statement must be a write: in `PostgreSQL` that is
    /// what makes writers queue.
    pub(super) async fn begin_write(&self) -> Result<Tx, StoreError> {
        Ok(match &self.pool {
            Pool::Sqlite { write, .. } => Tx::Sqlite(write.begin_with("BEGIN IMMEDIATE").await?),
            Pool::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        })
    }

    /// Begins a transaction that reads everything as of one moment.
    pub(super) async fn begin_read(&self) -> Result<Tx, StoreError> {
        const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        Ok(match &self.pool {
            Pool::Sqlite { read, .. } => Tx::Sqlite(read.begin().await?),
            Pool::Postgres(pool) => Tx::Postgres(pool.begin_with(SNAPSHOT).await?),
        })
    }
}

impl Tx {
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }
}
