//! A throw-away `PostgreSQL` server for one test process.
//!
//! It listens on a Unix socket in a directory of its own only, keeps nothing safe on disk, and is
//! stopped and removed when dropped.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};

/// The user that the server runs as where the tests run as root, which it refuses to be.
const SERVER_USER: &str = "postgres";
/// Only names the socket's file.
const PORT: &str = "5432";
const POLL: Duration = Duration::from_millis(20);
const POLLS: u32 = 500;

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    child: Child,
    directory: PathBuf,
}

impl Postgres {
    /// Starts a server; `None` if `PostgreSQL` is not installed on this machine.
    ///
    /// # Errors
    ///
    /// If it is installed but does not start.
    pub fn start() -> anyhow::Result<Option<Self>> {
        let Some(binaries) = find_binaries() else { return Ok(None) };
        let as_user = ServerUser::of_this_process()?;
        let directory = as_user.make_directory()?;
        let started = initialise(&as_user, &binaries, &directory)
            .and_then(|()| spawn(&as_user, &binaries, &directory));
        let child = match started {
            Ok(child) => child,
            Err(error) => {
                remove(&directory);
                return Err(error);
            }
        };
        let mut server = Self { child, directory };
        server.wait_until_ready(&binaries)?;
        Ok(Some(server))
    }

    /// The URL of the server's own database; others can be made from there.
    pub fn url(&self) -> String {
        self.database_url("postgres")
    }

    /// The URL of one of its databases.
    pub fn database_url(&self, database: &str) -> String {
        let directory = self.directory.display();
        format!("postgres://{SERVER_USER}@localhost:{PORT}/{database}?host={directory}")
    }

    fn wait_until_ready(&mut self, binaries: &Path) -> anyhow::Result<()> {
        for _ in 0..POLLS {
            if let Some(status) = self.child.try_wait()? {
                bail!("PostgreSQL ended at once: {status}");
            }
            let mut probe = Command::new(binaries.join("pg_isready"));
            probe.args(["-q", "-p", PORT, "-h"]).arg(&self.directory);
            if probe.status().context("cannot run pg_isready")?.success() {
                return Ok(());
            }
            thread::sleep(POLL);
        }
        bail!("PostgreSQL did not become ready")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGQUIT stops the server's processes at once and frees their shared memory.
        let stopped = Command::new("kill").arg("-QUIT").arg(self.child.id().to_string()).status();
        if !stopped.is_ok_and(|status| status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
        remove(&self.directory);
    }
}

/// Whether commands have to be run as another user.
enum ServerUser {
    Same,
    Other,
}

impl ServerUser {
    fn of_this_process() -> anyhow::Result<Self> {
        let id = Command::new("id").arg("-u").output().context("cannot run id")?;
        Ok(if id.stdout.trim_ascii() == b"0" { Self::Other } else { Self::Same })
    }

    fn command(&self, program: &Path) -> Command {
        match self {
            Self::Same => Command::new(program),
            Self::Other => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", SERVER_USER, "--regid", SERVER_USER, "--init-groups"]);
                command.arg("--").arg(program);
                // The directory that the tests run in may be closed to that user.
                command.current_dir("/");
                command
            }
        }
    }

    /// A directory of that user's own; its path must be short enough for a socket's.
    fn make_directory(&self) -> anyhow::Result<PathBuf> {
        let mut command = self.command(Path::new("mktemp"));
        let made = command.args(["-d", "/tmp/bitrouter-pg.XXXXXX"]).output()?;
        ensure!(made.status.success(), "cannot make a directory for PostgreSQL");
        Ok(PathBuf::from(String::from_utf8(made.stdout)?.trim()))
    }
}

fn initialise(as_user: &ServerUser, binaries: &Path, directory: &Path) -> anyhow::Result<()> {
    let mut initdb = as_user.command(&binaries.join("initdb"));
    initdb.args(["--no-sync", "--no-instructions", "--no-locale", "--auth=trust"]);
    initdb.args(["--encoding=UTF8", "--username", SERVER_USER, "-D"]).arg(directory.join("data"));
    let output = initdb.output().context("cannot run initdb")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "initdb failed: {complaint}");
    Ok(())
}

fn spawn(as_user: &ServerUser, binaries: &Path, directory: &Path) -> anyhow::Result<Child> {
    let mut server = as_user.command(&binaries.join("postgres"));
    server.arg("-D").arg(directory.join("data")).arg("-k").arg(directory);
    server.args(["-p", PORT, "-c", "listen_addresses=", "-c", "max_connections=200"]);
    server.args(["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off"]);
    let log = fs::File::create(directory.join("log")).or_else(|_| fs::File::create("/dev/null"))?;
    server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    server.spawn().context("cannot run postgres")
}

/// The newest installation: of the `PATH`, or where Debian keeps them.
fn find_binaries() -> Option<PathBuf> {
    let is_complete = |directory: &PathBuf| {
        ["initdb", "postgres", "pg_isready"].iter().all(|name| directory.join(name).is_file())
    };
    let path = env::var_os("PATH").unwrap_or_default();
    if let Some(directory) = env::split_paths(&path).find(is_complete) {
        return Some(directory);
    }
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<PathBuf> = versions
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .filter(is_complete)
        .collect();
    found.sort();
    found.pop()
}

fn remove(directory: &Path) {
    // What is left over in /tmp is no reason to fail a test.
    let _ = fs::remove_dir_all(directory);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_starts_and_leaves_nothing() {
        let Some(server) = Postgres::start().unwrap() else {
            println!("skipped: PostgreSQL is not installed");
            return;
        };
        let directory = server.directory.clone();
        assert!(directory.join(".s.PGSQL.5432").exists());
        drop(server);
        assert!(!directory.exists());
    }
}
