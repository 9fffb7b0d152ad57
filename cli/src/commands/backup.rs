//! `backup` and `restore`: the whole installation as one directory.
//!
//! A backup changes nothing that is there. A restore makes everything ready beside what is there, and
//! moves it into place when nothing is left that may fail; what fails all the same is undone.

mod swap;

use std::fs;
use std::path::{Path, PathBuf};

use bitrouter_control_plane::api::types::Time;
use bitrouter_control_plane::secrets::SealingKeys;
use bitrouter_control_plane::store::Store;
use bitrouter_data_plane::settings::Settings;
use bitrouter_data_plane::spool;
use clap::Args;
use serde::Serialize;
use tokio::io::AsyncWriteExt as _;

use super::Context;
use crate::failure::{Doing as _, Failure};
use crate::home::{CONFIG_FILE, Places, private_dir};
use crate::installation::{Elsewhere, Installation};
use crate::{daemon, database};
use swap::Swap;

/// The database, as rows that either kind of database can take in.
const ROWS: &str = "database.jsonl";
/// What unseals the provider secrets among them.
const KEYS: &str = "keys";
/// The environment file.
const ENV_FILE: &str = ".env";
/// Provider manifests.
const MANIFESTS: &str = "providers.d";
/// What `SQLite` keeps beside a database's file.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// Copy database, keys and config to a directory, also while bitrouter runs.
///
/// Copied are the database's rows, .keys, the config file and the environment file wherever they are,
/// and providers.d. The copy holds what unseals the provider secrets: keep it as safe as the home
/// itself. It can be restored into either kind of database. Other files that the config names, such as
/// certificates, are not in it, nor is usage that the database does not hold yet.
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
/// bitrouter must not be running. The database is the one that the backup's config names, unless --db
/// or `$BITROUTER_DATABASE_URL` names another; one of PostgreSQL has to be empty. What is in place is
/// kept beside it, with the ending `.before` or a numbered one; what the backup does not hold stays.
/// If anything fails, everything is as it was.
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
        let url = database_url(context, places.clone())?;
        if database::file(&url).is_some_and(|path| !path.is_file()) {
            return Err(Failure::not_found(format!(
                "there is no database yet in {}",
                places.home.display()
            )));
        }
        private_dir(&dir)?;
        let rows = match copy_installation(places, &url, &dir).await {
            Ok(rows) => rows,
            Err(failure) => {
                // Half a backup must not be taken for one.
                fs::remove_dir_all(&dir).doing(format_args!("remove {}", dir.display()))?;
                return Err(failure);
            }
        };
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

async fn copy_installation(places: &Places, url: &str, dir: &Path) -> Result<u64, Failure> {
    let rows = write_rows(url, &places.keys(), &dir.join(ROWS)).await?;
    copy_dir(&places.keys(), &dir.join(KEYS))?;
    copy_file(&places.config, &dir.join(CONFIG_FILE))?;
    copy_file(&places.env_file, &dir.join(ENV_FILE))?;
    let manifests = places.home.join(MANIFESTS);
    if manifests.is_dir() {
        copy_dir(&manifests, &dir.join(MANIFESTS))?;
    }
    Ok(rows)
}

impl Restore {
    /// Does it.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        context.only_here()?;
        let (places, from) = (&context.places, context.env.cwd.join(&self.from));
        for (name, is_there) in [(ROWS, Path::is_file as fn(&Path) -> bool), (KEYS, Path::is_dir)] {
            if !is_there(&from.join(name)) {
                return Err(Failure::not_found(format!(
                    "{} is not a backup: it holds no {name}",
                    from.display()
                )));
            }
        }
        context.output.confirm(
            &format!("Restore {} from {}?", places.home.display(), from.display()),
            self.yes,
        )?;
        places.scaffold()?;
        // Held to the end: nothing may start on what is half restored.
        let _lock = daemon::Lock::hold(places)?;
        let mut swap = Swap::default();
        let rows = match make_ready(context, &from, &mut swap).await {
            Ok(rows) => swap.commit().map(|()| rows),
            Err(failure) => Err(failure.hint("everything is as it was before")),
        };
        let cleaned = swap.clean();
        let copied = Copied { dir: from, rows: rows? };
        cleaned?;
        context.output.result(&copied, || format!("restored {} rows", copied.rows));
        Ok(())
    }
}

/// Puts everything of the backup beside what it is to replace. A database of PostgreSQL, which nothing
/// can stand beside, is filled last.
async fn make_ready(context: &Context, from: &Path, swap: &mut Swap) -> Result<u64, Failure> {
    let places = &context.places;
    let url = database_url(context, with_backup(places, from))?;
    for (name, to) in [(CONFIG_FILE, &places.config), (ENV_FILE, &places.env_file)] {
        if from.join(name).is_file() {
            copy_file(&from.join(name), &swap.make_way(to, &[])?)?;
        }
    }
    if from.join(MANIFESTS).is_dir() {
        copy_dir(&from.join(MANIFESTS), &swap.make_way(&places.home.join(MANIFESTS), &[])?)?;
    }
    copy_dir(&from.join(KEYS), &swap.make_way(&places.keys(), &[])?)?;
    let fresh = match database::file(&url) {
        Some(path) => database::sqlite(&swap.make_way(&path, &COMPANIONS)?),
        None => url,
    };
    // The usage log goes on behind what this database has taken of it.
    let log = Settings::new(&places.home).spool.directory;
    spool::begin_anew(&log, "the database was restored").doing("mark the usage log")?;
    read_rows(&fresh, &from.join(KEYS), &from.join(ROWS)).await
}

/// Where the configuration will come from once the backup is in place.
fn with_backup(places: &Places, from: &Path) -> Places {
    let mut places = places.clone();
    if from.join(CONFIG_FILE).is_file() {
        places.config = from.join(CONFIG_FILE);
    }
    if from.join(ENV_FILE).is_file() {
        places.env_file = from.join(ENV_FILE);
    }
    if from.join(MANIFESTS).is_dir() {
        // Nothing else is looked for there.
        from.clone_into(&mut places.home);
    }
    places
}

async fn write_rows(url: &str, keys: &Path, to: &Path) -> Result<u64, Failure> {
    let seal = SealingKeys::load(keys).doing("read the sealing keys")?;
    let store = Store::open_unchanged(url, seal).await.doing("open the database")?;
    let mut file =
        tokio::fs::File::create(to).await.doing(format_args!("make {}", to.display()))?;
    let rows = store.backup(&mut file).await.doing("copy the database")?;
    file.flush().await.doing(format_args!("write {}", to.display()))?;
    file.sync_all().await.doing(format_args!("write {}", to.display()))?;
    store.close().await;
    Ok(rows)
}

async fn read_rows(url: &str, keys: &Path, from: &Path) -> Result<u64, Failure> {
    let seal = SealingKeys::load(keys).doing("read the backup's sealing keys")?;
    let file = tokio::fs::File::open(from).await.doing(format_args!("read {}", from.display()))?;
    let store = Store::open(url, seal).await.doing("open the database")?;
    let restored = store.restore(&mut tokio::io::BufReader::new(file)).await;
    store.close().await;
    restored.doing("restore")
}

/// The database of the configuration in these places; a relative one is relative to the home.
fn database_url(context: &Context, read_from: Places) -> Result<String, Failure> {
    let loaded = Installation::new(read_from, &context.env).load(&[], Elsewhere::Presumed)?;
    let variables = &loaded.read.sources.environment;
    database::url(&context.globals, variables, &loaded.document, &context.places)
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
