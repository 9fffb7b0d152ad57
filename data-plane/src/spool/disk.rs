//! The few things that the log asks of a file system, so that a test can refuse them.

use std::{
    fmt, fs,
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::{FlockOperation, flock};

/// A flat directory of files. All names are the log's own.
pub(super) trait Fs: fmt::Debug + Send + Sync {
    /// The files' names, in no order.
    fn list(&self) -> io::Result<Vec<String>>;
    /// At most so many bytes from an offset.
    fn read(&self, name: &str, offset: u64, at_most: u64) -> io::Result<Vec<u8>>;
    /// A new file to append to. Its name is durable after [`Fs::sync_names`] only.
    fn create(&self, name: &str) -> io::Result<Arc<dyn Append>>;
    /// Makes new and vanished names as durable as the files.
    fn sync_names(&self) -> io::Result<()>;
    /// Cuts a file off.
    fn truncate(&self, name: &str, length: u64) -> io::Result<()>;
    /// Replaces a small file as one.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Deletes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Moves a file into a directory beside it.
    fn set_aside(&self, name: &str, directory: &str) -> io::Result<()>;
}

/// A file that is appended to.
pub(super) trait Append: fmt::Debug + Send + Sync {
    /// Writes all of it, or an unknown part and an error.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// Waits until everything written is on the medium.
    fn sync(&self) -> io::Result<()>;
}

/// A directory of the machine's file system, which no other process has open.
#[derive(Debug)]
pub(super) struct Disk {
    directory: PathBuf,
    /// Holds the lock as long as it is open.
    _lock: fs::File,
}

impl Disk {
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let mut options = fs::OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let lock = options.open(directory.join("lock"))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
            let path = directory.display();
            let problem = format!("another process uses the usage log in {path}");
            if error == rustix::io::Errno::WOULDBLOCK {
                io::Error::new(io::ErrorKind::ResourceBusy, problem)
            } else {
                error.into()
            }
        })?;
        Ok(Self { directory: directory.to_owned(), _lock: lock })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

impl Fs for Disk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn read(&self, name: &str, offset: u64, at_most: u64) -> io::Result<Vec<u8>> {
        let mut file = fs::File::open(self.path(name))?;
        file.seek(io::SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(at_most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn Append>> {
        let mut options = fs::OpenOptions::new();
        let file = options.create_new(true).append(true).mode(0o600).open(self.path(name))?;
        Ok(Arc::new(file))
    }

    fn sync_names(&self) -> io::Result<()> {
        fs::File::open(&self.directory)?.sync_all()
    }

    fn truncate(&self, name: &str, length: u64) -> io::Result<()> {
        let file = fs::OpenOptions::new().write(true).open(self.path(name))?;
        file.set_len(length)?;
        file.sync_all()
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let draft = self.path(&format!("{name}.new"));
        let mut options = fs::OpenOptions::new();
        let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(draft, self.path(name))?;
        self.sync_names()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn set_aside(&self, name: &str, directory: &str) -> io::Result<()> {
        let directory = self.path(directory);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        fs::rename(self.path(name), directory.join(name))?;
        self.sync_names()
    }
}

impl Append for fs::File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
