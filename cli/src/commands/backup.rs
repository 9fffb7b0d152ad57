//! `backup` and `restore`: the whole installation as one directory.

use std::path::{Path, PathBuf};
use std::{fs, io};

use bitrouter_control_plane::api::types::Time;
use bitrouter_control_plane::secrets::SealingKeys;
use bitrouter_control_plane::store::Store;
use clap::Args;
use serde::Serialize;
use tokio::io::AsyncWriteExt as _;

use super::Context;
use crate::failure::{Doing as _, Failure};
use crate::home::{CONFIG_FILE, private_dir};
use crate::installation::{Elsewhere, Installation};
use crate::{daemon, database};

/// The database, as rows that either kind of database can take in.
const ROWS: &str = "database.jsonl";
/// What unseals the provider secrets among them.
const KEYS: &str = "keys";
/// Copied as they are, if they are there.
const FILES: [&str; 2] = [CONFIG_FILE, ".env"];

/// Copy database, keys and config to a directory, also while bitrouter runs.
///
/// The copy holds what unseals the provider secrets: keep it as safe as the home itself. It can be
/// restored into either kind of database.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  bitrouter backup
  bitrouter backup /var/backups/bitrouter-monday")]
pub(crate) struct Backup {
    /// The directory to make. Default: `backup-TIME` in the home.
    #[arg(value_name = "DIR")]
    to: Option<PathBuf>,
}

/// Put a copy that `backup` made back in place.
///
/// bitrouter must not be running. What is in place is kept beside it, with the ending `.before`; a
/// PostgreSQL database has to be empty.
#[derive(Args, Debug)]
pub(crate) struct Restore {
    /// The directory that `backup` made.
    #[arg(value_name = "DIR")]
    from: PathBuf,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

/// What `backup` and `restore` show.
#[derive(Debug, Serialize)]
struct Copied {
    dir: PathBuf,
    rows: u64,
}

impl Backup {
    /// Does it.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        context.only_here()?;
        let places = &context.places;
        let dir = self.to.map_or_else(
            || places.home.join(format!("backup-{}", stamp(context))),
            |dir| context.env.cwd.join(dir),
        );
        if fs::exists(&dir).doing(format_args!("look at {}", dir.display()))? {
            return Err(Failure::refused(format!("{} is there already", dir.display())));
        }
        let url = database_url(context)?;
        if database::file(&url).is_some_and(|path| !path.is_file()) {
            return Err(Failure::not_found(format!(
                "there is no database yet in {}",
                places.home.display()
            )));
        }
        private_dir(&dir)?;
        let rows = write_rows(&url, &places.keys(), &dir.join(ROWS)).await?;
        copy_dir(&places.keys(), &dir.join(KEYS))?;
        for name in FILES {
            copy_file(&places.home.join(name), &dir.join(name))?;
        }
        let copied = Copied { dir, rows };
        context.output.result(&copied, || {
            format!(
                "{} with {} rows; keep it as safe as the home",
                copied.dir.display(),
                copied.rows
            )
        });
        Ok(())
    }
}

impl Restore {
    /// Does it.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        context.only_here()?;
        let (places, from) = (&context.places, context.env.cwd.join(&self.from));
        if !from.join(ROWS).is_file() {
            return Err(Failure::not_found(format!(
                "{} is not a backup: it holds no {ROWS}",
                from.display()
            )));
        }
        context.output.confirm(
            &format!("Restore {} from {}?", places.home.display(), from.display()),
            self.yes,
        )?;
        places.scaffold()?;
        // Held to the end: nothing may start on what is half restored.
        let _lock = daemon::Lock::take(places)?;
        let mut replaced = Replaced::default();
        let rows = match replace(context, &from, &mut replaced).await {
            Ok(rows) => rows,
            Err(failure) => {
                replaced.undo()?;
                return Err(failure.hint("everything is as it was before"));
            }
        };
        let copied = Copied { dir: from, rows };
        context.output.result(&copied, || format!("restored {} rows", copied.rows));
        Ok(())
    }
}

/// Puts the backup in the place of what is there.
async fn replace(context: &Context, from: &Path, replaced: &mut Replaced) -> Result<u64, Failure> {
    let places = &context.places;
    for name in FILES {
        if from.join(name).is_file() {
            replaced.set_aside(places.home.join(name))?;
            copy_file(&from.join(name), &places.home.join(name))?;
        }
    }
    replaced.set_aside(places.keys())?;
    copy_dir(&from.join(KEYS), &places.keys())?;
    let url = database_url(context)?;
    if let Some(path) = database::file(&url) {
        for ending in ["", "-wal", "-shm"] {
            replaced.set_aside(with_ending(&path, ending))?;
        }
    }
    read_rows(&url, &places.keys(), &from.join(ROWS)).await
}

/// Files and directories that a backup takes the place of, and where what was there is now.
#[derive(Debug, Default)]
struct Replaced {
    moved: Vec<(PathBuf, Option<PathBuf>)>,
}

impl Replaced {
    fn set_aside(&mut self, path: PathBuf) -> Result<(), Failure> {
        let aside = set_aside(&path)?;
        self.moved.push((path, aside));
        Ok(())
    }

    /// Puts everything back.
    fn undo(self) -> Result<(), Failure> {
        for (path, aside) in self.moved.into_iter().rev() {
            let removed =
                if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).doing(format_args!("remove {}", path.display()));
                }
                _ => {}
            }
            if let Some(aside) = aside {
                fs::rename(&aside, &path).doing(format_args!("move {} back", aside.display()))?;
            }
        }
        Ok(())
    }
}

async fn write_rows(url: &str, keys: &Path, to: &Path) -> Result<u64, Failure> {
    let store = open(url, keys).await?;
    let mut file =
        tokio::fs::File::create(to).await.doing(format_args!("make {}", to.display()))?;
    let rows = store.backup(&mut file).await.doing("copy the database")?;
    file.flush().await.doing(format_args!("write {}", to.display()))?;
    file.sync_all().await.doing(format_args!("write {}", to.display()))?;
    store.close().await;
    Ok(rows)
}

async fn read_rows(url: &str, keys: &Path, from: &Path) -> Result<u64, Failure> {
    let file = tokio::fs::File::open(from).await.doing(format_args!("read {}", from.display()))?;
    let store = open(url, keys).await?;
    let restored = store.restore(&mut tokio::io::BufReader::new(file)).await;
    store.close().await;
    restored.doing("restore")
}

async fn open(url: &str, keys: &Path) -> Result<Store, Failure> {
    let seal = SealingKeys::load_or_create(keys).doing("read the sealing keys")?;
    Store::open(url, seal).await.doing("open the database")
}

fn database_url(context: &Context) -> Result<String, Failure> {
    let installation = Installation::new(context.places.clone(), &context.env);
    let loaded = installation.load(&[], Elsewhere::Presumed)?;
    database::url(&context.globals, &context.env, &loaded.document, &context.places)
}

fn stamp(context: &Context) -> String {
    let now = Time::from_millis(context.clock.now_ms()).to_string();
    now.chars().take(19).filter(|c| c.is_ascii_digit() || *c == 'T').collect()
}

fn copy_dir(from: &Path, to: &Path) -> Result<(), Failure> {
    private_dir(to)?;
    for entry in fs::read_dir(from).doing(format_args!("read {}", from.display()))? {
        let entry = entry.doing(format_args!("read {}", from.display()))?;
        copy_file(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Copies a file with its permissions, if it is there.
fn copy_file(from: &Path, to: &Path) -> Result<(), Failure> {
    if !from.is_file() {
        return Ok(());
    }
    fs::copy(from, to).map(drop).doing(format_args!("copy {} to {}", from.display(), to.display()))
}

/// Moves what is there out of the way, and says where to; what was moved earlier is not overwritten.
fn set_aside(path: &Path) -> Result<Option<PathBuf>, Failure> {
    if !fs::exists(path).doing(format_args!("look at {}", path.display()))? {
        return Ok(None);
    }
    let free = (0..).map(|n| match n {
        0 => with_ending(path, ".before"),
        n => with_ending(path, &format!(".before-{n}")),
    });
    let Some(aside) = free.into_iter().find(|aside| !aside.exists()) else { return Ok(None) };
    fs::rename(path, &aside).doing(format_args!("move {} aside", path.display()))?;
    Ok(Some(aside))
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
