//! Opening the database: where it is, how it is connected to, and whether it is ours.

use std::{
    cmp::Ordering,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use sqlx::{
    PgPool, SqlitePool,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    secrets::SealingKeys,
    store::{
        OpenError, Store,
        error::is_damage,
        pool::{Pool, reading},
    },
};

static SQLITE: Migrator = sqlx::migrate!("../migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("../migrations/postgres");

/// How long a writer waits for one of another process (a backup, say).
const BUSY: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(10);
/// Each has a thread and caches of its own.
const READERS: u32 = 2;
const POSTGRES_CONNECTIONS: u32 = 16;

const SCHEMA: &str = "SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations";
const KEK_IDS: &str = "SELECT DISTINCT kek_id FROM sealed ORDER BY kek_id";

impl Store {
    /// Opens the database at `sqlite://PATH` or `postgres://…` and brings its schema up to date. A
    /// `SQLite` file that is not there is made; its directory must exist.
    pub async fn open(url: &str, seal: SealingKeys) -> Result<Self, OpenError> {
        let at = Location::parse(url)?;
        if let Location::Sqlite(path) = &at {
            create_private(path).map_err(|error| at.explain(Failure::File(error)))?;
        }
        let store = Self::connect(&at, seal).await?;
        let migrated = match &store.pool {
            Pool::Sqlite { write, .. } => SQLITE.run(write).await,
            Pool::Postgres(pool) => POSTGRES.run(pool).await,
        };
        migrated.map_err(|error| at.explain(error.into()))?;
        store.check_keys(&at).await?;
        Ok(store)
    }

    /// Opens a database that is there and has this version's schema, and changes nothing in it: another
    /// process may be using it.
    pub async fn open_unchanged(url: &str, seal: SealingKeys) -> Result<Self, OpenError> {
        let at = Location::parse(url)?;
        let store = Self::connect(&at, seal).await?;
        store.check_schema(&at).await?;
        store.check_keys(&at).await?;
        Ok(store)
    }

    async fn connect(at: &Location, seal: SealingKeys) -> Result<Self, OpenError> {
        let pool = match at {
            Location::Sqlite(path) => connect_sqlite(path).await,
            Location::Postgres(options) => connect_postgres(options).await,
        };
        let pool = pool.map_err(|error| at.explain(Failure::Database(error)))?;
        Ok(Self { pool, seal: Arc::new(seal) })
    }

    /// Closes every connection, having finished what they do.
    pub async fn close(&self) {
        match &self.pool {
            Pool::Sqlite { write, read } => {
                read.close().await;
                write.close().await;
            }
            Pool::Postgres(pool) => pool.close().await,
        }
    }

    async fn check_schema(&self, at: &Location) -> Result<(), OpenError> {
        let found: Result<i64, sqlx::Error> =
            reading!(self, |pool| sqlx::query_scalar(SCHEMA).fetch_one(pool).await);
        let found = found.map_err(|error| at.explain(Failure::Database(error)))?;
        let (database, known) = (at.to_string(), schema_version());
        match found.cmp(&known) {
            Ordering::Less => Err(OpenError::Older { database, found, known }),
            Ordering::Equal => Ok(()),
            Ordering::Greater => Err(OpenError::Newer { database, found, known }),
        }
    }

    async fn check_keys(&self, at: &Location) -> Result<(), OpenError> {
        let stored: Result<Vec<String>, sqlx::Error> =
            reading!(self, |pool| sqlx::query_scalar(KEK_IDS).fetch_all(pool).await);
        let stored = stored.map_err(|error| at.explain(Failure::Database(error)))?;
        match stored.into_iter().find(|id| !self.seal.has(id)) {
            Some(kek_id) => Err(OpenError::KekAbsent { database: at.to_string(), kek_id }),
            None => Ok(()),
        }
    }
}

/// The newest schema that this version knows.
pub(super) fn schema_version() -> i64 {
    SQLITE.iter().map(|migration| migration.version).max().unwrap_or(0)
}

async fn connect_sqlite(path: &Path) -> Result<Pool, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY);
    let write: SqlitePool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(options.clone().optimize_on_close(true, None))
        .await?;
    let read = SqlitePoolOptions::new()
        .max_connections(READERS)
        .connect_with(options.pragma("query_only", "ON"))
        .await?;
    Ok(Pool::Sqlite { write, read })
}

/// `SQLite` would let others read the file.
fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

async fn connect_postgres(options: &PgConnectOptions) -> Result<Pool, sqlx::Error> {
    let pool: PgPool = PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(CONNECT)
        .connect_with(options.clone())
        .await?;
    Ok(Pool::Postgres(pool))
}

/// Why a database did not open, before it is said where.
enum Failure {
    File(std::io::Error),
    Database(sqlx::Error),
    Migrate(MigrateError),
}

impl From<MigrateError> for Failure {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) => Self::Database(error),
            other => Self::Migrate(other),
        }
    }
}

/// Where a database is.
enum Location {
    Sqlite(PathBuf),
    Postgres(Box<PgConnectOptions>),
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(at) => {
                let database = at.get_database().unwrap_or("");
                write!(f, "postgres://{}:{}/{database}", at.get_host(), at.get_port())
            }
        }
    }
}

impl Location {
    fn parse(url: &str) -> Result<Self, OpenError> {
        let (scheme, rest) = url.split_once(':').unwrap_or(("", url));
        match scheme {
            "sqlite" => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                Ok(Self::Sqlite(PathBuf::from(path)))
            }
            "postgres" | "postgresql" => match PgConnectOptions::from_str(url) {
                Ok(options) => Ok(Self::Postgres(Box::new(options))),
                Err(_) => Err(OpenError::Unusable {
                    database: "postgres://…".to_owned(),
                    problem: "the URL is not valid".to_owned(),
                    hint: "write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special \
                           characters percent-encoded"
                        .to_owned(),
                }),
            },
            _ => Err(OpenError::UnsupportedUrl { scheme: scheme.to_owned() }),
        }
    }

    fn explain(&self, failure: Failure) -> OpenError {
        let (problem, hint) = match failure {
            Failure::Migrate(MigrateError::VersionMissing(found)) => {
                let database = self.to_string();
                return OpenError::Newer { database, found, known: schema_version() };
            }
            Failure::Migrate(error) => (
                error.to_string(),
                "its schema was changed by hand or by an unfinished upgrade; restore a backup",
            ),
            Failure::File(error) => {
                (error.to_string(), "check that its directory exists and that both can be written")
            }
            Failure::Database(error) if is_damage(&error) => (
                "it is damaged, or not a database".to_owned(),
                "move it away and restore a backup (bitrouter restore), or name another file",
            ),
            Failure::Database(error) => (error.to_string(), self.hint()),
        };
        OpenError::Unusable { database: self.to_string(), problem, hint: hint.to_owned() }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "check the file's permissions and the free space of its disk",
            Self::Postgres(_) => "check that the server runs, and the user, password and database",
        }
    }
}
