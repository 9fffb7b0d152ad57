use bitrouter_proto::v1::Usage;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::*;
use crate::fixtures::{
    self,
    planes::{Ledger, serve},
};

const PATIENCE: Duration = Duration::from_secs(10);

fn commit(spool: &Spool, from: u128, to: u128) {
    for n in from..=to {
        let id = Uuid::from_u128(n);
        spool.commit(id, &Usage { event_id: id.to_string(), ..Usage::default() });
    }
}

/// A reporter that runs until the end of the test.
fn start(spool: &Spool, ledger: &Ledger) -> (TaskTracker, CancellationToken) {
    let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
    let channel = serve(ledger, &Arc::default(), &tasks);
    tasks.spawn(report(spool.clone(), channel, Entropy::seeded(1), stopping.clone()));
    (tasks, stopping)
}

async fn acknowledged(spool: &Spool) {
    tokio::time::timeout(PATIENCE, spool.acknowledged()).await.expect("everything is reported");
}

#[tokio::test]
async fn everything_arrives_once_though_acknowledgements_are_lost() {
    let directory = tempfile::tempdir().unwrap();
    let spool = fixtures::spool(directory.path());
    commit(&spool, 1, 2_300);
    let ledger = Ledger::default();
    ledger.lock().lose_acks = 2;
    let (_, stopping) = start(&spool, &ledger);
    acknowledged(&spool).await;
    commit(&spool, 2_301, 2_302);
    acknowledged(&spool).await;
    let stored = ledger.lock();
    let ids: std::collections::BTreeSet<_> = stored.usages.iter().map(|it| &it.event_id).collect();
    assert_eq!((stored.usages.len(), ids.len()), (2_302, 2_302));
    assert!(stored.sessions >= 3);
    assert_eq!(spool.status().unacked, 0);
    assert_eq!(spool.status().oldest_unacked_ms, 0);
    stopping.cancel();
    spool.close();
}

#[tokio::test]
async fn a_restart_goes_on_where_the_control_plane_stands() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::default();
    for round in 0..3 {
        let spool = fixtures::spool(directory.path());
        commit(&spool, round * 10 + 1, round * 10 + 10);
        let (_, stopping) = start(&spool, &ledger);
        acknowledged(&spool).await;
        stopping.cancel();
        spool.close();
        drop(spool);
        // The reporter's handle goes with its task.
        tokio::time::timeout(PATIENCE, async {
            while bitrouter_spool_is_locked(directory.path()) {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }
    assert_eq!(ledger.lock().acked, 30);
}

fn bitrouter_spool_is_locked(directory: &std::path::Path) -> bool {
    super::super::disk::Disk::open(directory).is_err()
}

#[tokio::test]
async fn a_quarantined_log_begins_anew_with_the_next_start_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let spool = fixtures::spool(directory.path());
    let before = spool.log_id();
    commit(&spool, 1, 5);
    let ledger = Ledger::default();
    ledger.lock().is_quarantined = true;
    let (tasks, _stopping) = start(&spool, &ledger);
    let trouble = async {
        while spool.status().trouble.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, trouble).await.unwrap();
    assert!(spool.status().trouble.unwrap().contains("quarantined"));
    assert!(spool.check().is_ok(), "traffic goes on");
    spool.close();
    drop((spool, tasks));
    let renewed = async {
        loop {
            let settings = crate::spool::SpoolSettings::new(directory.path());
            let clock = bitrouter_runtime::Clock::system();
            match Spool::open(settings, clock, &Entropy::system()) {
                Ok(spool) => return spool,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    let spool = tokio::time::timeout(PATIENCE, renewed).await.unwrap();
    assert_ne!(spool.log_id(), before);
    let ledger = Ledger::default();
    let (_, stopping) = start(&spool, &ledger);
    acknowledged(&spool).await;
    assert_eq!(ledger.lock().usages.len(), 5);
    stopping.cancel();
    spool.close();
}

#[tokio::test]
async fn a_control_plane_from_a_backup_that_the_log_cannot_follow_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let spool = fixtures::spool(directory.path());
    commit(&spool, 1, 3);
    let ledger = Ledger::default();
    ledger.lock().acked = 9;
    let (_tasks, stopping) = start(&spool, &ledger);
    let trouble = async {
        while spool.status().trouble.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, trouble).await.unwrap();
    stopping.cancel();
    spool.close();
}
