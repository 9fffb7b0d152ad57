//! Backups: one portable file for both databases, JSON lines of typed rows.

pub(super) mod table;

use futures::TryStreamExt as _;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use sqlx::AssertSqlSafe;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _};

use self::table::{Cell, TABLES, Table};
use crate::store::{
    Store, StoreError,
    change::lock_revision,
    open::schema_version,
    pool::{Tx, execute, within},
};

/// Why a backup could not be made or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is something in the database already.
    #[error("the database is not empty; restore into a new one")]
    NotEmpty,
    /// The file is not a backup, or not a whole one.
    #[error("not a backup that can be restored: line {line}: {problem}")]
    Format {
        /// Counts from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// The backup's secrets are sealed with a key that is not here.
    #[error(
        "the backup's secrets are sealed with key `{kek_id}`, which is not here; put the key file of the backed-up installation in place first"
    )]
    KekAbsent {
        /// The key's id.
        kek_id: String,
    },
    /// The file cannot be read or written.
    #[error("cannot read or write the backup")]
    Io(#[from] std::io::Error),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

const FORMAT: &str = "bitrouter-backup";
const VERSION: u64 = 1;

const TAKEN: &str = "\
    SELECT (SELECT current FROM revision) + (SELECT COUNT(*) FROM sealed) \
    + (SELECT COUNT(*) FROM admin_token) + (SELECT COUNT(*) FROM usage_log)";
// The rows that the schema starts with.
const CLEAR: [&str; 3] =
    ["DELETE FROM revision", "DELETE FROM audit_head", "DELETE FROM usage_retention"];
const KEK_IDS: &str = "SELECT DISTINCT kek_id FROM sealed ORDER BY kek_id";
const SELECT_REVISION: &str = "SELECT current FROM revision WHERE id = 1";

/// The first line.
#[derive(Debug, Deserialize, Serialize)]
struct Header {
    format: String,
    version: u64,
    schema: i64,
    revision: i64,
}

/// Any other line.
#[derive(Debug, Deserialize, Serialize)]
#[serde(untagged)]
enum Line {
    Row {
        table: String,
        row: Map<String, Value>,
    },
    /// The last line: without it the file is not whole.
    End {
        rows: u64,
    },
}

impl Store {
    /// Writes everything that is stored, as of one moment, and says how many rows there were.
    pub async fn backup(
        &self,
        to: &mut (dyn AsyncWrite + Send + Unpin),
    ) -> Result<u64, BackupError> {
        let mut tx = self.begin_read().await?;
        let revision: i64 = within!(&mut tx, |connection| {
            sqlx::query_scalar(SELECT_REVISION)
                .fetch_one(connection)
                .await
                .map_err(StoreError::from)?
        });
        let header = Header {
            format: FORMAT.to_owned(),
            version: VERSION,
            schema: schema_version(),
            revision,
        };
        write_line(to, &header).await?;
        let mut rows = 0;
        for table in TABLES {
            rows += write_table(&mut tx, table, to).await?;
        }
        write_line(to, &Line::End { rows }).await?;
        to.flush().await?;
        Ok(rows)
    }

    /// Reads a backup into this database, which must be empty: all of it or nothing.
    pub async fn restore(
        &self,
        from: &mut (dyn AsyncBufRead + Send + Unpin),
    ) -> Result<u64, BackupError> {
        let mut tx = self.begin_write().await?;
        lock_revision(&mut tx).await?;
        let taken: i64 = within!(&mut tx, |connection| {
            sqlx::query_scalar(TAKEN).fetch_one(connection).await.map_err(StoreError::from)?
        });
        if taken != 0 {
            return Err(BackupError::NotEmpty);
        }
        for clear in CLEAR {
            execute!(&mut tx, sqlx::query(clear));
        }
        let rows = read_rows(&mut tx, from).await?;
        let keks: Vec<String> = within!(&mut tx, |connection| {
            sqlx::query_scalar(KEK_IDS).fetch_all(connection).await.map_err(StoreError::from)?
        });
        if let Some(kek_id) = keks.into_iter().find(|id| !self.seal.has(id)) {
            return Err(BackupError::KekAbsent { kek_id });
        }
        tx.commit().await?;
        Ok(rows)
    }
}

async fn write_table(
    tx: &mut Tx,
    table: &Table,
    to: &mut (dyn AsyncWrite + Send + Unpin),
) -> Result<u64, BackupError> {
    let mut count = 0;
    within!(tx, |connection| {
        let query = sqlx::query(AssertSqlSafe(table.select()));
        let mut rows = query.fetch(connection);
        while let Some(row) = rows.try_next().await.map_err(StoreError::from)? {
            let row = table.encode(&row).map_err(StoreError::from)?;
            write_line(to, &Line::Row { table: table.name.to_owned(), row }).await?;
            count += 1;
        }
    });
    Ok(count)
}

async fn write_line(
    to: &mut (dyn AsyncWrite + Send + Unpin),
    line: &(impl Serialize + Sync),
) -> Result<(), BackupError> {
    let mut line = serde_json::to_vec(line).map_err(std::io::Error::from)?;
    line.push(b'\n');
    to.write_all(&line).await?;
    Ok(())
}

async fn read_rows(
    tx: &mut Tx,
    from: &mut (dyn AsyncBufRead + Send + Unpin),
) -> Result<u64, BackupError> {
    let mut lines = Lines { from, number: 0 };
    let header: Header = lines.next().await?.ok_or_else(|| lines.wrong("it is empty"))?;
    if header.format != FORMAT || header.version != VERSION {
        return Err(lines.wrong("its format is unknown to this version"));
    }
    if header.schema > schema_version() {
        return Err(lines.wrong("it was made by a newer version of bitrouter; upgrade first"));
    }
    let mut count = 0;
    while let Some(line) = lines.next().await? {
        match line {
            Line::Row { table, row } => {
                let table = Table::named(&table).ok_or_else(|| lines.wrong("unknown table"))?;
                let cells = table
                    .decode(&row)
                    .map_err(|column| lines.wrong(&format!("column `{column}` does not fit")))?;
                insert(tx, table, cells).await?;
                count += 1;
            }
            Line::End { rows } if rows == count => return Ok(rows),
            Line::End { .. } => return Err(lines.wrong("rows are missing before it")),
        }
    }
    Err(lines.wrong("the file ends early"))
}

async fn insert(tx: &mut Tx, table: &Table, cells: Vec<Cell>) -> Result<(), StoreError> {
    within!(tx, |connection| {
        let mut query = sqlx::query(AssertSqlSafe(table.insert()));
        for cell in cells {
            query = match cell {
                Cell::Text(text) => query.bind(text),
                Cell::Number(number) => query.bind(number),
                Cell::Truth(truth) => query.bind(truth),
                Cell::Bytes(bytes) => query.bind(bytes),
            };
        }
        query.execute(connection).await?;
    });
    Ok(())
}

/// The lines of a backup, counted for messages.
struct Lines<'a> {
    from: &'a mut (dyn AsyncBufRead + Send + Unpin),
    number: u64,
}

impl Lines<'_> {
    async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, BackupError> {
        let mut line = String::new();
        self.number += 1;
        if self.from.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        serde_json::from_str(&line).map(Some).map_err(|error| self.wrong(&error.to_string()))
    }

    fn wrong(&self, problem: &str) -> BackupError {
        BackupError::Format { line: self.number, problem: problem.to_owned() }
    }
}
