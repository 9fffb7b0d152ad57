//! Where things are: which directory is the home, what lies in it, and how it is made.
//!
//! Nothing is made until a command that keeps something asks for it with [`Places::scaffold`].

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::args::Globals;
use crate::failure::{Doing as _, Failure};

/// The file that makes a directory a home.
pub(crate) const CONFIG_FILE: &str = "bitrouter.yaml";

/// A Unix socket's path is a fixed field of the system's; the smallest among systems is 104 bytes.
const LONGEST_SOCKET_PATH: usize = 103;

const GITIGNORE: &str = "# Written by bitrouter: what must not be shared.
.env
.env.before*
.keys/
.keys.*/
.lock
backup-*/
logs/
run/
spool/
bitrouter.db*
";

/// What the process was given from outside; read once, in `main`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    /// The process environment.
    pub(crate) vars: BTreeMap<String, String>,
    /// The current directory.
    pub(crate) cwd: PathBuf,
}

impl Environment {
    /// A variable that is set and not empty.
    pub(crate) fn var(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// Paths of one installation. All are absolute.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Places {
    /// The home directory.
    pub(crate) home: PathBuf,
    /// `bitrouter.yaml`, wherever it is; it may not exist.
    pub(crate) config: PathBuf,
    /// True if the user named the config file, which then has to exist.
    pub(crate) is_config_named: bool,
    /// `.env`; it may not exist.
    pub(crate) env_file: PathBuf,
    /// True if the user named the environment file, which then has to exist.
    pub(crate) is_env_file_named: bool,
    /// Of the running process: its number, its addresses, its control socket.
    pub(crate) run: PathBuf,
    /// Log files.
    pub(crate) logs: PathBuf,
    /// The control socket that the user named.
    pub(crate) named_socket: Option<PathBuf>,
    runtime_dir: PathBuf,
}

impl Places {
    /// Finds the home, first match: the flag, the current directory if it holds a config file,
    /// `BITROUTER_HOME` if that directory exists, `~/.bitrouter`.
    pub(crate) fn find(globals: &Globals, env: &Environment) -> Result<Self, Failure> {
        let home = home(globals, env)?;
        let at_cwd = |path: &PathBuf| env.cwd.join(path);
        let uid = rustix::process::getuid().as_raw();
        let runtime_dir = env.var("XDG_RUNTIME_DIR").map_or_else(
            || std::env::temp_dir().join(format!("bitrouter-{uid}")),
            |dir| Path::new(dir).join("bitrouter"),
        );
        Ok(Self {
            config: globals.config.as_ref().map_or_else(|| home.join(CONFIG_FILE), at_cwd),
            is_config_named: globals.config.is_some(),
            env_file: globals.env_file.as_ref().map_or_else(|| home.join(".env"), at_cwd),
            is_env_file_named: globals.env_file.is_some(),
            run: globals.run_dir.as_ref().map_or_else(|| home.join("run"), at_cwd),
            logs: globals.logs_dir.as_ref().map_or_else(|| home.join("logs"), at_cwd),
            named_socket: globals.socket.as_ref().map(at_cwd),
            runtime_dir,
            home,
        })
    }

    /// Keys that never leave the machine: the one that seals secrets, the one of digests.
    pub(crate) fn keys(&self) -> PathBuf {
        self.home.join(".keys")
    }

    /// The database that is used where no other is named.
    pub(crate) fn database(&self) -> PathBuf {
        self.home.join("bitrouter.db")
    }

    /// The config file, if it is there.
    pub(crate) fn existing_config(&self) -> Result<Option<&Path>, Failure> {
        if self.config.is_file() {
            return Ok(Some(&self.config));
        }
        if self.is_config_named {
            return Err(Failure::failed(format!(
                "there is no config file {}",
                self.config.display()
            ))
            .hint(format!("write a starter with `bitrouter init -c {}`", self.config.display())));
        }
        Ok(None)
    }

    /// The control socket: as named, or in `run/`, or where that path is too long for the system,
    /// under a name made from it in the user's runtime directory.
    pub(crate) fn socket(&self, named: Option<&Path>) -> PathBuf {
        let wanted = named
            .map(|path| self.home.join(path))
            .or_else(|| self.named_socket.clone())
            .unwrap_or_else(|| self.run.join("bitrouter.sock"));
        if wanted.as_os_str().len() <= LONGEST_SOCKET_PATH {
            return wanted;
        }
        self.runtime_dir.join(format!("{:016x}.sock", fnv1a(wanted.as_os_str().as_bytes())))
    }

    /// Makes what is missing; what is there is left as it is.
    pub(crate) fn scaffold(&self) -> Result<(), Failure> {
        private_dir(&self.home)?;
        private_dir(&self.run)?;
        private_dir(&self.logs)?;
        private_dir(&self.keys())?;
        let gitignore = self.home.join(".gitignore");
        let made = fs::OpenOptions::new().write(true).create_new(true).open(&gitignore);
        match made {
            Ok(mut file) => file
                .write_all(GITIGNORE.as_bytes())
                .doing(format_args!("write {}", gitignore.display())),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error).doing(format_args!("write {}", gitignore.display())),
        }
    }

    /// Makes the directory that the control socket is in. One outside of `run/` may be in a shared
    /// place: it has to be ours and closed to others.
    pub(crate) fn socket_dir(&self, socket: &Path) -> Result<(), Failure> {
        let Some(dir) = socket.parent() else { return Ok(()) };
        private_dir(dir)?;
        if dir != self.runtime_dir {
            return Ok(());
        }
        let about = fs::metadata(dir).doing(format_args!("look at {}", dir.display()))?;
        if about.uid() == rustix::process::getuid().as_raw() && about.mode().trailing_zeros() >= 6 {
            return Ok(());
        }
        Err(Failure::refused(format!("{} can be entered by other users", dir.display()))
            .hint("remove it, or name another place with --socket"))
    }
}

fn home(globals: &Globals, env: &Environment) -> Result<PathBuf, Failure> {
    if let Some(dir) = &globals.home_dir {
        return Ok(env.cwd.join(dir));
    }
    if env.cwd.join(CONFIG_FILE).is_file() {
        return Ok(env.cwd.clone());
    }
    if let Some(dir) =
        env.var("BITROUTER_HOME").map(|dir| env.cwd.join(dir)).filter(|dir| dir.is_dir())
    {
        return Ok(dir);
    }
    env.var("HOME").map(|dir| env.cwd.join(dir).join(".bitrouter")).ok_or_else(|| {
        Failure::failed("no home directory: HOME is not set").hint("name one with --home-dir")
    })
}

/// Makes a directory, and those above it, that only this user can enter.
pub(crate) fn private_dir(dir: &Path) -> Result<(), Failure> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .doing(format_args!("make the directory {}", dir.display()))
}

/// Writes a file that only this user can read, whole or not at all.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let unfinished = PathBuf::from(name);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(content)?;
    fs::rename(&unfinished, path)
}

/// FNV-1a: the same in every process and release, which std's hashers do not promise.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(cwd: &Path, vars: &[(&str, &Path)]) -> Environment {
        let vars = vars
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.display().to_string()))
            .collect();
        Environment { vars, cwd: cwd.to_owned() }
    }

    #[test]
    fn the_first_home_that_matches_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let (work, other, user) =
            (dir.path().join("work"), dir.path().join("other"), dir.path().join("user"));
        fs::create_dir(&work).unwrap();
        let env = environment(&work, &[("BITROUTER_HOME", &other), ("HOME", &user)]);
        let find = |globals: &Globals| Places::find(globals, &env).unwrap().home;

        assert_eq!(find(&Globals::default()), user.join(".bitrouter"), "the last resort");
        fs::create_dir(&other).unwrap();
        assert_eq!(find(&Globals::default()), other, "BITROUTER_HOME, once it exists");
        fs::write(work.join(CONFIG_FILE), "").unwrap();
        assert_eq!(find(&Globals::default()), work, "the current directory with a config");
        let globals = Globals { home_dir: Some("mine".into()), ..Globals::default() };
        assert_eq!(
            find(&globals),
            work.join("mine"),
            "the flag, relative to the current directory"
        );
    }

    #[test]
    fn naming_a_config_does_not_move_the_home() {
        let dir = tempfile::tempdir().unwrap();
        let env = environment(dir.path(), &[("HOME", dir.path())]);
        let globals = Globals { config: Some("else/where.yaml".into()), ..Globals::default() };
        let places = Places::find(&globals, &env).unwrap();
        assert_eq!(places.home, dir.path().join(".bitrouter"));
        assert_eq!(places.config, dir.path().join("else/where.yaml"));
        assert!(places.existing_config().is_err(), "a named config has to exist");
    }

    #[test]
    fn a_socket_path_that_is_too_long_moves_to_the_runtime_directory() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("x".repeat(100));
        let env = environment(dir.path(), &[("XDG_RUNTIME_DIR", dir.path())]);
        let places = |home: PathBuf| {
            Places::find(&Globals { home_dir: Some(home), ..Globals::default() }, &env).unwrap()
        };
        let socket = places(home.clone()).socket(None);
        assert!(socket.starts_with(dir.path().join("bitrouter")), "{}", socket.display());
        assert_eq!(socket, places(home).socket(None), "the same each time");
        assert_eq!(
            places("short".into()).socket(None),
            dir.path().join("short/run/bitrouter.sock")
        );
    }

    #[test]
    fn the_scaffold_is_private_and_leaves_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let env = environment(dir.path(), &[]);
        let globals = Globals { home_dir: Some("home".into()), ..Globals::default() };
        let places = Places::find(&globals, &env).unwrap();
        places.scaffold().unwrap();
        for made in [places.home.clone(), places.run.clone(), places.logs.clone(), places.keys()] {
            assert_eq!(fs::metadata(&made).unwrap().mode() & 0o777, 0o700, "{}", made.display());
        }
        let gitignore = places.home.join(".gitignore");
        assert!(fs::read_to_string(&gitignore).unwrap().contains(".keys/"));
        fs::write(&gitignore, "mine").unwrap();
        places.scaffold().unwrap();
        assert_eq!(fs::read_to_string(&gitignore).unwrap(), "mine");
    }
}
