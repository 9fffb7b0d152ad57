//! How fast usage is taken in, and how much room it takes. Run with `--ignored --nocapture`.

use std::time::Instant;

use bytes::Bytes;

use super::{
    backend::{Backend, count, tamper},
    config::NOW,
    ingest::record,
};
use crate::store::{Batch, LogEntry, pool::Pool};

const BATCHES: u64 = 40;
const ENTRIES: u64 = 1000;
/// As large as the encoded record of a request with two attempts and one endpoint left out.
const ENTRY_BYTES: usize = 420;

async fn measure(backend: Backend) {
    let store = backend.empty_store().await.store;
    let logs = 4;
    #[expect(clippy::disallowed_methods, reason = "measures")]
    let start = Instant::now();
    let writers = (1..=logs).map(|log| {
        let store = store.clone();
        async move {
            let mut prev_hash = [0; 32];
            for n in 0..BATCHES / u64::from(logs) {
                let first_seq = n * ENTRIES + 1;
                let entries = (first_seq..first_seq + ENTRIES).map(|seq| LogEntry {
                    record: Some(record(log, seq)),
                    encoded: Bytes::from(vec![log; ENTRY_BYTES]),
                });
                let (log_id, entries) = (format!("log{log}"), entries.collect());
                let batch = Batch { log_id, first_seq, prev_hash, entries };
                let stored = store.ingest(&batch, NOW).await.unwrap();
                assert_eq!(stored.inserted, ENTRIES);
                prev_hash = stored.tail_hash;
            }
        }
    });
    futures::future::join_all(writers).await;
    let per_second = u128::from(BATCHES * ENTRIES) * 1000 / start.elapsed().as_millis();
    let size = match &store.pool {
        Pool::Sqlite { .. } => {
            tamper(&store, "PRAGMA wal_checkpoint(TRUNCATE)").await;
            count(&store, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
                .await
        }
        Pool::Postgres(_) => count(&store, "SELECT pg_total_relation_size('usage_event')").await,
    };
    let each = size / i64::try_from(BATCHES * ENTRIES).unwrap();
    println!("{}: {per_second} events/s, {each} bytes each", backend.name());
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures for some seconds"]
async fn ingest_speed_on_sqlite() {
    measure(Backend::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures for some seconds"]
async fn ingest_speed_on_postgres() {
    let Some(backend) = Backend::postgres() else { return };
    measure(backend).await;
}
