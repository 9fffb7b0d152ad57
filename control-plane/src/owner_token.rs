//! The first admin token: made with the installation and left in a file that only its owner can read.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use bitrouter_keys::{AdminToken, DigestKey};
use bitrouter_runtime::{Clock, Entropy};

use crate::store::{self, Actor, Store, StoreError};

/// The name of the file in the directory of keys.
pub const TOKEN_FILE: &str = "admin.token";

/// Why there is no first admin token.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// The file cannot be written.
    #[error("cannot write the first admin token to {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be stored.
    #[error("cannot store the first admin token")]
    Store(#[from] StoreError),
}

/// Makes the token where none was ever made. The file is written first: after a crash in between, the
/// next start replaces it.
pub(crate) async fn ensure(
    store: &Store,
    directory: &Path,
    clock: &Clock,
    entropy: &Entropy,
) -> Result<(), TokenFileError> {
    if !store.admin_tokens().await?.is_empty() {
        return Ok(());
    }
    let token = AdminToken::from_entropy(entropy.bytes());
    let path = directory.join(TOKEN_FILE);
    write(&path, &token).map_err(|source| TokenFileError::Io { path: path.clone(), source })?;
    let digest_key = store.digest_key().await?;
    let digest = token.digest(&DigestKey::new(*digest_key.key));
    let row = store::AdminToken {
        id: format!("tok_{}", entropy.uuid(clock.now()).simple()),
        name: "owner".to_owned(),
        role: "owner".to_owned(),
        created_at_ms: clock.now_ms(),
        revoked_at_ms: None,
    };
    store.create_admin_token(&Actor::System, &row, &digest.0).await?;
    tracing::info!(path = %path.display(), "wrote the first admin token");
    Ok(())
}

/// In a new file that replaces the old one, so that no other permissions are taken over.
fn write(path: &Path, token: &AdminToken) -> io::Result<()> {
    let new = path.with_extension("new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    file.write_all(token.as_str().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}
