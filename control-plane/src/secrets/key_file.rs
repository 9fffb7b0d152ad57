//! The file that sealing keys are kept in: one key in a line, base64; the first one seals.
//!
//! Only its owner may read it. It is replaced as a whole, so that a crash leaves the old or the new.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::{KEY_LEN, SealError, SealingKey, SealingKeys};

const FILE: &str = "sealing.key";

/// Why the sealing keys could not be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read or written.
    #[error("cannot use the sealing keys in {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may read the file.
    #[error(
        "{path} holds the sealing keys and must be readable by its owner only; run: chmod 600 {path}"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// The file is not one of sealing keys.
    #[error(
        "{path} does not hold sealing keys; put the right file back (without it stored secrets cannot be opened)"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// No key could be drawn.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl SealingKeys {
    /// Reads the keys in a directory.
    pub fn load(directory: &Path) -> Result<Self, KeyFileError> {
        read(&directory.join(FILE))
    }

    /// Reads the keys in a directory; where there are none, draws one and keeps it there.
    pub fn load_or_create(directory: &Path) -> Result<Self, KeyFileError> {
        let path = directory.join(FILE);
        match read(&path) {
            Err(KeyFileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        create_private_dir(directory)
            .map_err(|source| KeyFileError::Io { path: path.clone(), source })?;
        let keys = Self::generate()?;
        match keys.write_new(directory, &path) {
            // Another process was faster: its key counts.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read(&path),
            Err(source) => Err(KeyFileError::Io { path, source }),
            Ok(()) => Ok(keys),
        }
    }

    /// Replaces the keys in a directory by these.
    pub fn save(&self, directory: &Path) -> Result<(), KeyFileError> {
        let path = directory.join(FILE);
        let written = self
            .write_aside(directory)
            .and_then(|aside| fs::rename(aside, &path))
            .and_then(|()| sync_dir(directory));
        written.map_err(|source| KeyFileError::Io { path, source })
    }

    fn write_new(&self, directory: &Path, path: &Path) -> io::Result<()> {
        let aside = self.write_aside(directory)?;
        let linked = fs::hard_link(&aside, path);
        fs::remove_file(&aside)?;
        linked?;
        sync_dir(directory)
    }

    fn write_aside(&self, directory: &Path) -> io::Result<PathBuf> {
        let aside = directory.join(format!("{FILE}.{}", std::process::id()));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&aside)?;
        for key in &self.keys {
            let line = Zeroizing::new(STANDARD.encode(key.bytes.as_slice()));
            file.write_all(line.as_bytes())?;
            file.write_all(b"\n")?;
        }
        file.sync_all()?;
        Ok(aside)
    }
}

fn read(path: &Path) -> Result<SealingKeys, KeyFileError> {
    let io = |source| KeyFileError::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(io)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = file.metadata().map_err(io)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(KeyFileError::Exposed { path: path.to_owned() });
        }
    }
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text).map_err(io)?;
    let keys: Option<Vec<SealingKey>> = text.lines().map(parse_key).collect();
    match keys {
        Some(keys) if !keys.is_empty() => Ok(SealingKeys { keys }),
        _ => Err(KeyFileError::Malformed { path: path.to_owned() }),
    }
}

fn parse_key(line: &str) -> Option<SealingKey> {
    let bytes = Zeroizing::new(STANDARD.decode(line.trim()).ok()?);
    let bytes: [u8; KEY_LEN] = bytes.as_slice().try_into().ok()?;
    Some(SealingKey::new(bytes))
}

fn create_private_dir(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Makes a new name in the directory survive a crash.
fn sync_dir(directory: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::Place;

    const PLACE: Place<'_> = Place { scope: "a", row: "b", field: "c", version: 1 };

    #[test]
    fn keys_survive_in_their_directory() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join(".keys");
        let mut keys = SealingKeys::load_or_create(&directory).unwrap();
        let sealed = keys.seal(PLACE, b"x").unwrap();
        keys.rotate().unwrap();
        keys.save(&directory).unwrap();
        let again = SealingKeys::load_or_create(&directory).unwrap();
        assert_eq!(again.current_id(), keys.current_id());
        assert_eq!(again.open(PLACE, &sealed).unwrap().as_slice(), b"x");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "nothing is left lying about");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        SealingKeys::load_or_create(home.path()).unwrap();
        let path = home.path().join(FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let refused = SealingKeys::load_or_create(home.path());
        assert!(matches!(refused, Err(KeyFileError::Exposed { .. })));
    }

    #[test]
    fn a_file_of_something_else_is_never_overwritten() {
        let home = tempfile::tempdir().unwrap();
        SealingKeys::load_or_create(home.path()).unwrap();
        let path = home.path().join(FILE);
        fs::write(&path, "not a key\n").unwrap();
        let refused = SealingKeys::load_or_create(home.path());
        assert!(matches!(refused, Err(KeyFileError::Malformed { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "not a key\n");
    }
}
