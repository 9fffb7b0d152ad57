//! What can go wrong between the control plane and its database.

use crate::{
    resource::{Kind, Owner, Revision},
    secrets::SealError,
    store::Expect,
};

/// Why the database could not be opened. Each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The scheme is not one of ours.
    #[error("cannot use the database `{scheme}://…`: use sqlite://PATH or postgres://…")]
    UnsupportedUrl {
        /// The part before `://`.
        scheme: String,
    },
    /// It does not open, or is not ours.
    #[error("cannot open the database {database}: {problem}; {hint}")]
    Unusable {
        /// The file's path, or the server without user and password.
        database: String,
        /// What was found.
        problem: String,
        /// What to do about it.
        hint: String,
    },
    /// A newer version has already moved the schema on.
    #[error(
        "the database {database} was made by a newer version of bitrouter (schema {found}, this \
         version knows {known}); upgrade bitrouter, or restore a backup of this version"
    )]
    Newer {
        /// The file's path, or the server without user and password.
        database: String,
        /// The schema that was found.
        found: i64,
        /// The newest schema of this version.
        known: i64,
    },
    /// This version would have to change the schema first.
    #[error(
        "the database {database} was made by an older version of bitrouter (schema {found}, this \
         version has {known}); use that version, or let this one serve it first"
    )]
    Older {
        /// The file's path, or the server without user and password.
        database: String,
        /// The schema that was found.
        found: i64,
        /// The schema of this version.
        known: i64,
    },
    /// Secrets are stored that no key at hand opens.
    #[error(
        "the database {database} holds secrets sealed with key `{kek_id}`, which is not here; put \
         the key file back"
    )]
    KekAbsent {
        /// The file's path, or the server without user and password.
        database: String,
        /// The id of the key that is missing.
        kek_id: String,
    },
}

/// Why a read or a write failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The resource is not in the state that the writer saw.
    #[error("the {kind} `{id}` has changed: expected {expected}, found {}", shown(*.found))]
    Conflict {
        /// The resource's kind.
        kind: Kind,
        /// The resource's id.
        id: String,
        /// What the writer expected.
        expected: Expect,
        /// Its `resource_version`; absent if there is none.
        found: Option<Revision>,
    },
    /// The resource belongs to another owner.
    #[error("the {kind} `{id}` belongs to {owner}; {}", owner_hint(*.owner))]
    OwnedBy {
        /// The resource's kind.
        kind: Kind,
        /// The resource's id.
        id: String,
        /// Who owns it.
        owner: Owner,
    },
    /// The idempotency key was used for a different request.
    #[error("the idempotency key was used for a different request; use a new one")]
    IdempotencyKeyReused,
    /// Nothing has this id.
    #[error("no {what} has the id `{id}`")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// The id.
        id: String,
    },
    /// A stored row does not decode.
    #[error("the stored {what} `{id}` does not decode")]
    Undecodable {
        /// What it is.
        what: &'static str,
        /// Its id.
        id: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Sealing or unsealing failed.
    #[error("a secret cannot be sealed or opened")]
    Seal(#[from] SealError),
    /// The database's pages contradict each other.
    #[error("the database is damaged; stop bitrouter and restore a backup")]
    Damaged(#[source] sqlx::Error),
    /// Anything else that the database reports.
    #[error("the database does not answer as it should")]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if is_damage(&error) { Self::Damaged(error) } else { Self::Database(error) }
    }
}

/// True for `SQLITE_CORRUPT` and `SQLITE_NOTADB`, and for `PostgreSQL`'s data corruption.
pub(super) fn is_damage(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some("11" | "26" | "267" | "523" | "779" | "XX001" | "XX002"))
}

fn shown(found: Option<Revision>) -> String {
    found.map_or_else(|| "nothing".to_owned(), |version| format!("version {}", version.0))
}

fn owner_hint(owner: Owner) -> &'static str {
    match owner {
        Owner::File => "change it in bitrouter.yaml",
        Owner::Api => "change it through the API, or choose another name",
        Owner::Env => "it comes from the environment and is not stored",
    }
}
