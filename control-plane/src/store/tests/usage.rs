//! Reading usage back.

use bitrouter_metering::Micros;

use super::{
    config::NOW,
    ingest::{batch, entry, record},
};
use crate::store::{By, Group, Marks, Outcome, RequestFilter, Store, StoredUsage};

pub(super) async fn requests_are_filtered_and_paged(store: Store) {
    let mut batch = batch(1, 1, 5);
    let mut failed = record(1, 5);
    failed.ended.outcome = Outcome::Timeout;
    failed.ended.ttft_ms = None;
    failed.served.provider = "local".into();
    failed.asked.user_id = "bob".into();
    batch.entries[4] = entry(failed.clone());
    store.ingest(&batch, NOW).await.unwrap();

    let stored = store.request(failed.event_id).await.unwrap().unwrap();
    let entry = batch.entries[4].encoded.to_vec();
    assert_eq!(stored, StoredUsage { record: failed.clone(), entry });

    let all = RequestFilter::default();
    let id = |n| record(1, n).event_id;
    let cases = [
        ("all", all.clone(), vec![5, 4, 3, 2, 1]),
        (
            "key",
            RequestFilter { key_id: Some(record(1, 2).asked.key_id), ..all.clone() },
            vec![4, 2],
        ),
        ("user", RequestFilter { user_id: Some("bob".into()), ..all.clone() }, vec![5]),
        (
            "provider",
            RequestFilter { provider: Some("openai".into()), ..all.clone() },
            vec![4, 3, 2, 1],
        ),
        (
            "asked",
            RequestFilter { model: Some("smart".into()), ..all.clone() },
            vec![5, 4, 3, 2, 1],
        ),
        (
            "served",
            RequestFilter { model: Some("gpt-4o".into()), ..all.clone() },
            vec![5, 4, 3, 2, 1],
        ),
        ("no model", RequestFilter { model: Some("gpt".into()), ..all.clone() }, vec![]),
        ("outcome", RequestFilter { outcome: Some(Outcome::Timeout), ..all.clone() }, vec![5]),
        ("since", RequestFilter { since_ms: Some(NOW + 4000), ..all.clone() }, vec![5, 4]),
        ("page", RequestFilter { before: Some(id(3)), ..all.clone() }, vec![2, 1]),
    ];
    for (name, filter, expected) in cases {
        let found = store.requests(&filter, 10).await.unwrap();
        let found: Vec<_> = found.into_iter().map(|record| record.event_id).collect();
        assert_eq!(found, expected.into_iter().map(id).collect::<Vec<_>>(), "{name}");
    }
    assert_eq!(store.requests(&all, 2).await.unwrap(), [failed, record(1, 4)]);
}

pub(super) async fn usage_is_grouped(store: Store) {
    let mut batch = batch(1, 1, 4);
    let mut odd = record(1, 4);
    odd.ended.outcome = Outcome::ClientGone;
    odd.marks = Marks { unpriced: true, usage_unknown: true, anomaly: true };
    odd.start_us += 3_600_000_000 * 30;
    batch.entries[3] = entry(odd);
    store.ingest(&batch, NOW).await.unwrap();

    let by_key = store.usage(By::Key, 0, NOW + 1_000_000_000).await.unwrap();
    assert_eq!(by_key.len(), 2);
    assert_eq!(by_key[0].group, Group::Named(record(1, 2).asked.key_id));
    let totals = by_key[0].totals;
    assert_eq!((totals.requests, totals.errors), (2, 1));
    assert_eq!((totals.unpriced, totals.usage_unknown), (1, 1));
    assert_eq!((totals.tokens.input_uncached, totals.tokens.output), (200, 20));
    assert_eq!(totals.cost, Micros::new(1000).unwrap());
    for by in [By::User, By::Provider, By::Model, By::Route] {
        let rows = store.usage(by, 0, u64::MAX).await.unwrap();
        assert_eq!((rows.len(), rows[0].totals.requests), (1, 4), "{by:?}");
    }
    let hour = NOW / 3_600_000 * 3600;
    let hours = store.usage(By::Hour, NOW, u64::MAX).await.unwrap();
    let starts: Vec<_> = hours.iter().map(|row| row.group.clone()).collect();
    assert_eq!(starts, [Group::From(hour), Group::From(hour + 30 * 3600)]);
    let days = store.usage(By::Day, NOW, u64::MAX).await.unwrap();
    assert_eq!(days[0].group, Group::From(NOW / 86_400_000 * 86_400));
    assert_eq!(store.usage(By::Hour, NOW, NOW + 1).await.unwrap().len(), 1);
    assert_eq!(store.usage(By::Hour, 0, NOW / 3_600_000 * 3_600_000).await.unwrap(), []);
    assert_eq!(store.usage_totals().await.unwrap().requests, 4);
}

pub(super) async fn sums_outlive_requests(store: Store) {
    // An hour and a half of requests.
    let mut batch = batch(1, 1, 5);
    for (n, entry) in (0..).zip(&mut batch.entries) {
        *entry = super::ingest::entry(record(1, n * 1350));
    }
    store.ingest(&batch, NOW).await.unwrap();
    let totals = store.usage_totals().await.unwrap();
    let next_hour = (NOW / 3_600_000 + 1) * 3_600_000;
    assert_eq!(store.prune_requests(next_hour + 1, 2).await.unwrap(), 2, "in small steps");
    assert!(store.verify_usage().await.unwrap().agrees());
    assert_eq!(store.prune_requests(next_hour + 1, 2).await.unwrap(), 1);
    assert_eq!(store.prune_requests(next_hour + 1, 2).await.unwrap(), 0);
    let verdict = store.verify_usage().await.unwrap();
    assert!(verdict.agrees(), "{verdict:?}");
    assert_eq!(verdict.from_requests.requests, 2);
    assert_eq!(store.usage_totals().await.unwrap(), totals);
}
