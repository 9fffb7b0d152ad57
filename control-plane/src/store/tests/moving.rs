//! Backups, from any database to any other.

use tokio::io::BufReader;

use super::{
    backend::Backend,
    config::{NOW, account, commit, put, user},
    ingest::{batch, record},
};
use crate::{
    resource::Revision,
    secrets::SealingKeys,
    store::{
        Actor, AdminToken, AuditVerdict, BackupError, Expect, Store, StoreError,
        backup::table::{LEFT_OUT, TABLES},
    },
};

async fn fill(store: &Store) {
    let changes = vec![
        put(user("ada", "Ada \"L\" \u{1f980}\n"), Expect::Any),
        put(account("p/a", Some("sk-one")), Expect::Any),
    ];
    commit(store, changes).await.unwrap();
    store.digest_key().await.unwrap();
    let token = AdminToken {
        id: "tok_1".into(),
        name: "laptop".into(),
        role: "owner".into(),
        created_at_ms: NOW,
        revoked_at_ms: None,
    };
    store.create_admin_token(&Actor::System, &token, &[1; 32]).await.unwrap();
    store.open_log("log1", NOW).await.unwrap();
    store.ingest(&batch(1, 1, 3), NOW).await.unwrap();
}

async fn backed_up(store: &Store) -> Vec<u8> {
    let mut file = Vec::new();
    store.backup(&mut file).await.unwrap();
    file
}

async fn restore(store: &Store, file: &[u8]) -> Result<u64, BackupError> {
    store.restore(&mut BufReader::new(file)).await
}

pub(super) async fn a_backup_moves_everything(from: &Backend, to: &Backend) {
    let (old, new) = (from.empty_store().await, to.empty_store().await);
    fill(&old.store).await;
    let file = backed_up(&old.store).await;
    assert!(!String::from_utf8_lossy(&file).contains("sk-one"), "secrets stay sealed");

    let cut = &file[..=file[..file.len() - 1].iter().rposition(|&b| b == b'\n').unwrap()];
    assert!(matches!(restore(&new.store, cut).await, Err(BackupError::Format { .. })));
    assert!(matches!(restore(&new.store, b"{}\n").await, Err(BackupError::Format { line: 1, .. })));
    let other_keys = Store { seal: SealingKeys::from_bytes([9; 32]).into(), ..new.store.clone() };
    let refused = restore(&other_keys, &file).await;
    assert!(matches!(refused, Err(BackupError::KekAbsent { .. })));

    let rows = restore(&new.store, &file).await.unwrap();
    assert_eq!(old.store.load_all().await.unwrap(), new.store.load_all().await.unwrap());
    assert_eq!(new.store.secret_of("p/a").await.unwrap().unwrap().expose(), "sk-one");
    let keys = (old.store.digest_key().await.unwrap(), new.store.digest_key().await.unwrap());
    assert_eq!(keys.0.key, keys.1.key);
    assert!(new.store.admin_token_by_digest(&[1; 32]).await.unwrap().is_some());
    assert_eq!(new.store.verify_audit().await.unwrap(), AuditVerdict::Intact { rows: 3 });
    assert!(new.store.verify_usage().await.unwrap().agrees());
    let id = record(1, 2).event_id;
    assert_eq!(old.store.request(id).await.unwrap(), new.store.request(id).await.unwrap());
    // Life goes on where it stopped.
    assert_eq!(new.store.ingest(&batch(1, 3, 5), NOW).await.unwrap().inserted, 2);
    let next = commit(&new.store, vec![put(user("b", "B"), Expect::Any)]).await.unwrap();
    assert_eq!(next.revision, Revision(2));

    assert!(matches!(restore(&new.store, &file).await, Err(BackupError::NotEmpty)));
    assert_eq!(String::from_utf8(file).unwrap().lines().count() as u64, rows + 2);
    old.store.close().await;
    new.store.close().await;
}

#[tokio::test]
async fn every_table_and_column_is_in_a_backup() {
    let fixture = Backend::sqlite().empty_store().await;
    let crate::store::pool::Pool::Sqlite { read, .. } = &fixture.store.pool else { return };
    let columns: Vec<(String, String)> = sqlx::query_as(
        "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c \
         WHERE m.type = 'table' ORDER BY m.name, c.cid",
    )
    .fetch_all(read)
    .await
    .map_err(StoreError::from)
    .unwrap();
    let columns: Vec<String> = columns
        .into_iter()
        .filter(|(table, _)| !LEFT_OUT.contains(&table.as_str()))
        .map(|(table, column)| format!("{table}.{column}"))
        .collect();
    let mut tables: Vec<_> = TABLES.iter().collect();
    tables.sort_by_key(|table| table.name);
    let listed: Vec<String> = tables
        .into_iter()
        .flat_map(|table| table.names().map(move |column| format!("{}.{column}", table.name)))
        .collect();
    assert_eq!(listed, columns);
}
