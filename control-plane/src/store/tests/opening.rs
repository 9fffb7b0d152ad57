//! Opening what is there, or saying what is wrong with it.

use std::fs;

use super::{
    backend::{Backend, KEK, tamper},
    config::{account, commit, put},
};
use crate::{
    secrets::SealingKeys,
    store::{Expect, OpenError, Store},
};

async fn refused(url: &str) -> String {
    Store::open(url, SealingKeys::from_bytes(KEK)).await.unwrap_err().to_string()
}

#[tokio::test]
async fn other_databases_are_refused() {
    let expected = "cannot use the database `mysql://…`: use sqlite://PATH or postgres://…";
    assert_eq!(refused("mysql://root:secret@localhost/x").await, expected);
    assert!(refused("/some/path").await.contains("use sqlite://PATH"));
    assert!(!refused("postgres://u:secret@:x:y/z").await.contains("secret"));
}

#[tokio::test]
async fn a_file_that_cannot_be_a_database_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("none/test.db");
    let error = refused(&format!("sqlite://{}", path.display())).await;
    assert!(error.contains("none/test.db") && error.contains("directory exists"), "{error}");

    let path = directory.path().join("text.db");
    fs::write(&path, "this is certainly not a database, whatever it may be".repeat(100)).unwrap();
    let error = refused(&format!("sqlite://{}", path.display())).await;
    assert!(error.contains("text.db") && error.contains("damaged, or not a database"), "{error}");
    assert!(error.contains("restore a backup"), "{error}");
}

#[tokio::test]
async fn a_damaged_database_is_named() {
    let fixture = Backend::sqlite().empty_store().await;
    commit(&fixture.store, vec![put(account("p/a", Some("s")), Expect::Any)]).await.unwrap();
    fixture.store.close().await;
    let path = fixture.url.strip_prefix("sqlite://").unwrap();
    let mut bytes = fs::read(path).unwrap();
    let length = bytes.len();
    bytes[100..length].fill(0x5a);
    fs::write(path, bytes).unwrap();
    let error = refused(&fixture.url).await;
    assert!(error.contains("test.db") && error.contains("damaged"), "{error}");
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let fixture = Backend::sqlite().empty_store().await;
    tamper(
        &fixture.store,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'future', TRUE, x'00', 0)",
    )
    .await;
    fixture.store.close().await;
    let error = Store::open(&fixture.url, SealingKeys::from_bytes(KEK)).await.unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 9999, .. }), "{error}");
}

#[tokio::test]
async fn a_database_of_an_older_version_can_be_left_as_it_is() {
    let fixture = Backend::sqlite().empty_store().await;
    let open = || Store::open_unchanged(&fixture.url, SealingKeys::from_bytes(KEK));
    open().await.unwrap().close().await;
    tamper(
        &fixture.store,
        "UPDATE _sqlx_migrations SET version = 0 \
         WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)",
    )
    .await;
    let error = open().await.unwrap_err();
    assert!(matches!(error, OpenError::Older { .. }), "{error}");
    let path = fixture.url.replace("test.db", "none.db");
    assert!(Store::open_unchanged(&path, SealingKeys::from_bytes(KEK)).await.is_err());
    assert!(!fs::exists(path.trim_start_matches("sqlite://")).unwrap(), "nothing is made");
}

#[tokio::test]
async fn a_missing_sealing_key_is_named() {
    let fixture = Backend::sqlite().empty_store().await;
    commit(&fixture.store, vec![put(account("p/a", Some("s")), Expect::Any)]).await.unwrap();
    fixture.store.close().await;
    let error = Store::open(&fixture.url, SealingKeys::from_bytes([8; 32])).await.unwrap_err();
    let id = SealingKeys::from_bytes(KEK).current_id().to_owned();
    assert!(matches!(&error, OpenError::KekAbsent { kek_id, .. } if *kek_id == id), "{error}");
    Store::open(&fixture.url, SealingKeys::from_bytes(KEK)).await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn only_its_owner_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let fixture = Backend::sqlite().empty_store().await;
    let path = fixture.url.strip_prefix("sqlite://").unwrap();
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn both_databases_have_the_same_migrations() {
    let names = |directory: &str| {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");
        let files = fs::read_dir(format!("{root}/{directory}")).unwrap();
        let mut names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names("sqlite"), names("postgres"));
}
