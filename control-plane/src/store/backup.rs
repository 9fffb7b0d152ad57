//! Backups: one portable file for both databases, JSON lines of typed rows.

use tokio::io::{AsyncBufRead, AsyncWrite};

use crate::store::{Store, StoreError};

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

impl Store {
    /// Writes everything that is stored, as of one moment, and says how many rows there were.
    pub async fn backup(
        &self,
        to: &mut (dyn AsyncWrite + Send + Unpin),
    ) -> Result<u64, BackupError> {
        todo!()
    }

    /// Reads a backup into this database, which must be empty: all of it or nothing.
    pub async fn restore(
        &self,
        from: &mut (dyn AsyncBufRead + Send + Unpin),
    ) -> Result<u64, BackupError> {
        todo!()
    }
}
