//! The one process that serves a home: its lock, the note of where it listens, and how it is started
//! in the background.
//!
//! The lock on `.lock` in the home is held as long as the process lives and goes with it, however it
//! ends; what lies in `run/` without the lock is stale and is cleaned by the next start. The locked
//! file holds the number of the process if that serves, and nothing if it does something else that
//! nobody may serve meanwhile.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::failure::{Doing as _, Failure};
use crate::home::{Places, write_private};

/// How often a process that is to end is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// How often a lock is tried before another process is believed to hold it.
const LOOKS: u32 = 5;
/// As much of a log file's end as helps to see why a start failed.
const LOG_TAIL_BYTES: u64 = 4096;

/// What a serving process says about itself, in `run/bitrouter.json`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Running {
    pub(crate) pid: u32,
    pub(crate) version: String,
    pub(crate) home: PathBuf,
    /// Absent: it runs without a config file.
    pub(crate) config: Option<PathBuf>,
    /// Where model traffic is served.
    pub(crate) listen: SocketAddr,
    /// True if that and the admin API are served over TLS.
    pub(crate) tls: bool,
    /// Where the admin API is.
    pub(crate) admin: SocketAddr,
    /// The control socket.
    pub(crate) socket: PathBuf,
    /// True if it was started in the background by `start`.
    pub(crate) detached: bool,
}

/// How a serving process was started, so that `restart` can repeat it. Kept apart from what it shows
/// of itself: a database URL on the command line may hold a password.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Launch {
    /// Its command line, without the program.
    pub(crate) args: Vec<String>,
    /// The directory that its relative paths are relative to.
    pub(crate) cwd: PathBuf,
}

/// The content of `run/bitrouter.json`.
#[derive(Debug, Deserialize, Serialize)]
struct State {
    #[serde(flatten)]
    running: Running,
    launch: Launch,
}

impl Running {
    /// Where clients send their requests.
    pub(crate) fn traffic_url(&self) -> String {
        format!("{}://{}", self.scheme(), self.listen)
    }

    /// Where the admin API is, for who has a token.
    pub(crate) fn admin_url(&self) -> String {
        format!("{}://{}", self.scheme(), self.admin)
    }

    const fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }
}

/// Holding it means being the one process that serves a home.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    pid: PathBuf,
    state: PathBuf,
}

impl Lock {
    /// Takes the lock in order to serve; refuses if another process has it.
    pub(crate) fn take(places: &Places) -> Result<Self, Failure> {
        let mut lock = Self::hold(places)?;
        let pid = format!("{}\n", std::process::id());
        let path = lock_path(places);
        lock.file.write_all(pid.as_bytes()).doing(format_args!("write {}", path.display()))?;
        write_private(&lock.pid, pid.as_bytes())
            .doing(format_args!("write {}", lock.pid.display()))?;
        Ok(lock)
    }

    /// Takes the lock so that nobody serves meanwhile; refuses if another process has it.
    pub(crate) fn hold(places: &Places) -> Result<Self, Failure> {
        let path = lock_path(places);
        let file = open_lock_file(&path).doing(format_args!("open {}", path.display()))?;
        match lock_patiently(&file) {
            Ok(true) => {}
            Ok(false) => return Err(already(places)),
            Err(error) => return Err(error).doing(format_args!("lock {}", path.display())),
        }
        file.set_len(0).doing(format_args!("write {}", path.display()))?;
        let (pid, state) = (places.run.join("bitrouter.pid"), state_path(places));
        remove_stale(&pid)?;
        remove_stale(&state)?;
        Ok(Self { file, pid, state })
    }

    /// Says where the process listens, now that it does.
    pub(crate) fn publish(&self, running: &Running, launch: Launch) -> Result<(), Failure> {
        let state = State { running: running.clone(), launch };
        let text = serde_json::to_vec_pretty(&state).doing("describe this process")?;
        write_private(&self.state, &text).doing(format_args!("write {}", self.state.display()))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Without the lock none of it means anything; this is tidiness. The locked file itself stays: were
        // it removed, two processes could each lock a file of that name.
        let _ = fs::remove_file(&self.state);
        let _ = fs::remove_file(&self.pid);
        let _ = self.file.set_len(0);
    }
}

/// The process that serves this home, if there is one.
pub(crate) fn running(places: &Places) -> Option<Running> {
    state(places).map(|state| state.running)
}

/// How that process was started.
pub(crate) fn launched(places: &Places) -> Option<Launch> {
    state(places).map(|state| state.launch)
}

fn state(places: &Places) -> Option<State> {
    if !is_alive(places) {
        return None;
    }
    let text = fs::read(state_path(places)).ok()?;
    let state: State = serde_json::from_slice(&text).ok()?;
    // One that was killed may have left its own in another `run/`.
    Some(state).filter(|state| pid(places) == Some(state.running.pid))
}

/// True if a process holds the lock.
pub(crate) fn is_alive(places: &Places) -> bool {
    let Ok(file) = File::open(lock_path(places)) else { return false };
    let tried = flock(&file, FlockOperation::NonBlockingLockShared);
    matches!(tried, Err(rustix::io::Errno::WOULDBLOCK))
}

/// The number of the process that holds the lock, if that serves.
fn pid(places: &Places) -> Option<u32> {
    fs::read_to_string(lock_path(places)).ok()?.trim().parse().ok()
}

/// Asks the process that serves to drain and end.
pub(crate) fn terminate(places: &Places) -> Result<u32, Failure> {
    let number = pid(places);
    let pid = number
        .and_then(|pid| i32::try_from(pid).ok())
        .and_then(rustix::process::Pid::from_raw)
        .ok_or_else(|| busy(places))?;
    rustix::process::kill_process(pid, rustix::process::Signal::TERM)
        .map_err(io::Error::from)
        .doing("signal the running bitrouter")?;
    Ok(number.unwrap_or_default())
}

/// Waits until no process holds the lock. False if one still does after `within`.
pub(crate) async fn gone(places: &Places, within: Duration) -> bool {
    tokio::time::timeout(within, async {
        while is_alive(places) {
            tokio::time::sleep(LOOK).await;
        }
    })
    .await
    .is_ok()
}

/// Starts this program in the background with the given arguments and waits until it serves, which it
/// says by printing one JSON document.
pub(crate) fn start_detached(places: &Places, launch: &Launch) -> Result<Running, Failure> {
    places.scaffold()?;
    let log = log_path(places);
    let mut log_file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .read(true)
        .mode(0o600)
        .open(&log)
        .doing(format_args!("open {}", log.display()))?;
    let start_of_log = log_file.seek(io::SeekFrom::End(0)).doing("read the log file's length")?;
    let program = std::env::current_exe().doing("find this program")?;
    let mut child = Command::new(program)
        .args(&launch.args)
        .current_dir(&launch.cwd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log_file)
        .spawn()
        .doing("start bitrouter in the background")?;
    let mut said = String::new();
    if let Some(stdout) = child.stdout.take() {
        let mut stdout = BufReader::new(stdout);
        stdout.read_line(&mut said).doing("read from the started process")?;
        if let Ok(running) = serde_json::from_str(&said) {
            return Ok(running);
        }
        // It ends, and says why in as many lines as it takes.
        stdout.read_to_string(&mut said).doing("read from the started process")?;
    }
    let status = child.wait().doing("wait for the started process")?;
    if let Some(failure) = error_in(&said) {
        return Err(failure.of_exit_code(status.code()));
    }
    let tail = tail(&log, start_of_log).unwrap_or_default();
    Err(Failure::failed(format!("bitrouter did not start ({status})\n{}", tail.trim_end()))
        .hint(format!("the log is {}", log.display())))
}

/// Where a process in the background logs to.
pub(crate) fn log_path(places: &Places) -> PathBuf {
    places.logs.join("bitrouter.log")
}

/// Makes this process the head of a session of its own, so that closing the terminal that started it
/// does not end it.
pub(crate) fn new_session() -> Result<(), Failure> {
    rustix::process::setsid()
        .map(|_| ())
        .map_err(io::Error::from)
        .doing("leave the terminal's session")
}

/// Lets every file that this process makes be for its user only.
pub(crate) fn keep_files_private() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

fn lock_path(places: &Places) -> PathBuf {
    places.home.join(".lock")
}

fn state_path(places: &Places) -> PathBuf {
    places.run.join("bitrouter.json")
}

/// False if another process has it. Who only looks whether somebody has it holds it for a moment too,
/// hence the patience.
fn lock_patiently(file: &File) -> io::Result<bool> {
    for _ in 0..LOOKS {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(LOOK),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

fn open_lock_file(path: &Path) -> io::Result<File> {
    fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

fn already(places: &Places) -> Failure {
    let Some(pid) = pid(places) else { return busy(places) };
    let at = running(places).map(|it| format!(" on {}", it.listen)).unwrap_or_default();
    Failure::failed(format!(
        "bitrouter already runs for {} (process {pid}{at})",
        places.home.display()
    ))
    .kind("already_running")
    .hint("use `bitrouter reload`, `restart` or `stop`; a second one needs its own --home-dir")
}

fn busy(places: &Places) -> Failure {
    let home = places.home.display();
    Failure::failed(format!("another bitrouter command is at work on {home}, and does not serve"))
        .kind("busy")
        .hint("wait until it has ended; a `restore`, for example, must not be interrupted")
}

/// Removes what a process that was killed has left.
pub(crate) fn remove_stale(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).doing(format_args!("remove the stale {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn error_in(said: &str) -> Option<Failure> {
    let document: serde_json::Value = serde_json::from_str(said).ok()?;
    serde_json::from_value(document.get("error")?.clone()).ok()
}

/// What was logged since `start`, or its end if that is long.
fn tail(log: &Path, start: u64) -> io::Result<String> {
    let mut file = File::open(log)?;
    let from = file.metadata()?.len().saturating_sub(LOG_TAIL_BYTES).max(start);
    file.seek(io::SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Globals;
    use crate::home::Environment;

    fn places(dir: &Path) -> Places {
        let env = Environment { cwd: dir.to_owned(), ..Environment::default() };
        let globals = Globals { home_dir: Some("h".into()), ..Globals::default() };
        let places = Places::find(&globals, &env).unwrap();
        places.scaffold().unwrap();
        places
    }

    fn running_here(places: &Places) -> Running {
        Running {
            pid: std::process::id(),
            version: "0".to_owned(),
            home: places.home.clone(),
            config: None,
            listen: "127.0.0.1:1".parse().unwrap(),
            tls: false,
            admin: "127.0.0.1:2".parse().unwrap(),
            socket: places.socket(None),
            detached: false,
        }
    }

    #[test]
    fn only_one_process_serves_a_home() {
        let dir = tempfile::tempdir().unwrap();
        let places = places(dir.path());
        assert!(!is_alive(&places), "nobody yet");
        let lock = Lock::take(&places).unwrap();
        let launch = Launch { args: Vec::new(), cwd: places.home.clone() };
        lock.publish(&running_here(&places), launch).unwrap();
        assert_eq!(running(&places), Some(running_here(&places)));
        let refused = Lock::take(&places).unwrap_err();
        assert_eq!(refused.kind, "already_running");
        assert!(refused.message.contains(&std::process::id().to_string()), "{refused}");
        drop(lock);
        assert_eq!(running(&places), None);
    }

    #[test]
    fn who_holds_the_lock_without_serving_is_not_told_to_end() {
        let dir = tempfile::tempdir().unwrap();
        let places = places(dir.path());
        // Left by one that was killed: nobody, or somebody else by now.
        fs::write(lock_path(&places), format!("{}\n", i32::MAX)).unwrap();
        let _lock = Lock::hold(&places).unwrap();
        assert!(is_alive(&places));
        assert_eq!(terminate(&places).unwrap_err().kind, "busy");
        assert_eq!(Lock::take(&places).unwrap_err().kind, "busy");
    }

    #[test]
    fn another_run_directory_is_no_other_home() {
        let dir = tempfile::tempdir().unwrap();
        let places = places(dir.path());
        let mut elsewhere = places.clone();
        elsewhere.run = dir.path().join("r");
        elsewhere.scaffold().unwrap();
        let _lock = Lock::take(&places).unwrap();
        assert_eq!(Lock::take(&elsewhere).unwrap_err().kind, "already_running");
    }

    #[test]
    fn what_a_killed_process_left_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let places = places(dir.path());
        fs::write(lock_path(&places), "1\n").unwrap();
        let launch = Launch { args: Vec::new(), cwd: places.home.clone() };
        let state = State { running: running_here(&places), launch };
        fs::write(state_path(&places), serde_json::to_vec(&state).unwrap()).unwrap();
        assert_eq!(running(&places), None);
        let _lock = Lock::take(&places).unwrap();
        assert_eq!(running(&places), None, "until the new one has published");
    }
}
