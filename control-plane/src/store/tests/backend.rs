//! Where the tests' stores come from.

use std::sync::atomic::{AtomicU32, Ordering};

use bitrouter_testkit::Postgres;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;

use crate::{
    secrets::SealingKeys,
    store::{
        Store,
        pool::{Pool, Tx},
    },
};

pub(super) const KEK: [u8; 32] = [7; 32];

/// One of the databases.
pub(super) enum Backend {
    Sqlite,
    Postgres { url: String, _server: Option<Postgres> },
}

/// A store and what it lives on.
pub(super) struct Fixture {
    pub(super) store: Store,
    pub(super) url: String,
    _directory: Option<TempDir>,
}

impl Backend {
    pub(super) fn sqlite() -> Self {
        Self::Sqlite
    }

    pub(super) fn postgres() -> Option<Self> {
        #[expect(clippy::disallowed_methods, reason = "CI says where its server is")]
        if let Ok(url) = std::env::var("TEST_POSTGRES_URL") {
            return Some(Self::Postgres { url, _server: None });
        }
        let Some(server) = Postgres::start().unwrap() else {
            println!("skipped: PostgreSQL is not installed, and TEST_POSTGRES_URL is not set");
            return None;
        };
        Some(Self::Postgres { url: server.url(), _server: Some(server) })
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres { .. } => "PostgreSQL",
        }
    }

    pub(super) async fn empty_store(&self) -> Fixture {
        let (url, directory) = match self {
            Self::Sqlite => {
                let directory = tempfile::tempdir().unwrap();
                let url = format!("sqlite://{}", directory.path().join("test.db").display());
                (url, Some(directory))
            }
            Self::Postgres { url, .. } => (create_schema(url).await, None),
        };
        let store = Store::open(&url, SealingKeys::from_bytes(KEK)).await.unwrap();
        Fixture { store, url, _directory: directory }
    }
}

/// Stands for a database of its own, and takes no time to make.
async fn create_schema(server: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("bitrouter_test_{}_{count}", std::process::id());
    let mut connection = PgConnection::connect(server).await.unwrap();
    for sql in [format!("DROP SCHEMA IF EXISTS {name} CASCADE"), format!("CREATE SCHEMA {name}")] {
        sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
    let separator = if server.contains('?') { '&' } else { '?' };
    format!("{server}{separator}options[search_path]={name}")
}

/// Runs a statement behind the store's back.
pub(super) async fn tamper(store: &Store, sql: &'static str) {
    match &store.pool {
        Pool::Sqlite { write, .. } => drop(sqlx::query(sql).execute(write).await.unwrap()),
        Pool::Postgres(pool) => drop(sqlx::query(sql).execute(pool).await.unwrap()),
    }
}

/// Counts with a statement behind the store's back.
pub(super) async fn count(store: &Store, sql: &'static str) -> i64 {
    match store.begin_read().await.unwrap() {
        Tx::Sqlite(mut tx) => sqlx::query_scalar(sql).fetch_one(&mut *tx).await.unwrap(),
        Tx::Postgres(mut tx) => sqlx::query_scalar(sql).fetch_one(&mut *tx).await.unwrap(),
    }
}
