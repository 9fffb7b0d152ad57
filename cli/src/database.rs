//! Which database is used.

use std::path::{Path, PathBuf};

use bitrouter_config::{Document, Environment as Variables};

use crate::args::Globals;
use crate::failure::Failure;
use crate::home::Places;

/// Its URL, first match: the flag, `BITROUTER_DATABASE_URL`, `database.url` in the config, the file in
/// the home. A relative SQLite path is relative to the home.
pub(crate) fn url(
    globals: &Globals,
    env: &Variables,
    document: &Document,
    places: &Places,
) -> Result<String, Failure> {
    let declared = document.database_url.as_ref().map(|url| url.expose().to_owned());
    let named = globals
        .db
        .clone()
        .or_else(|| env.get("BITROUTER_DATABASE_URL").map(str::to_owned))
        .or(declared);
    let Some(url) = named else { return Ok(sqlite(&places.database())) };
    let (scheme, rest) = url.split_once(':').unwrap_or(("", url.as_str()));
    match scheme {
        "sqlite" => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            // As other programs write it, `?mode=rwc` may follow; the file is made anyway.
            let path = path.split('?').next().unwrap_or(path);
            Ok(sqlite(&places.home.join(path)))
        }
        "postgres" | "postgresql" => Ok(url),
        "mysql" | "mariadb" => Err(Failure::refused("MySQL is not supported yet")
            .kind("unsupported_database")
            .hint("use sqlite://PATH or postgres://USER:PASSWORD@HOST/DATABASE")),
        _ => Err(Failure::usage("the database URL is neither sqlite:// nor postgres://")
            .hint("use sqlite://PATH or postgres://USER:PASSWORD@HOST/DATABASE")),
    }
}

/// The database's file, if it is one.
pub(crate) fn file(url: &str) -> Option<PathBuf> {
    url.strip_prefix("sqlite://").map(PathBuf::from)
}

/// The URL of a file.
pub(crate) fn sqlite(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}
