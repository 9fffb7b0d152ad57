use std::{fs, sync::Arc};

use bitrouter_proto::v1::{self, resource::Spec};
use bitrouter_runtime::Clock;

use super::*;
use crate::fixtures::{
    account, digest, digest_key, key, of_key, of_provider, of_route, provider, route,
};

fn change(revision: u64, upserts: Vec<v1::Resource>, removals: &[(Kind, &str)]) -> Change {
    let removals = removals.iter().map(|(kind, id)| ResourceRef { kind: *kind, id: (*id).into() });
    Change {
        revision: Revision(revision),
        upserts: upserts.into_iter().filter_map(Incoming::from_wire).collect(),
        removals: removals.collect(),
    }
}

fn world() -> RoutingTable {
    crate::fixtures::table([
        digest_key(),
        of_provider("p", provider("p", 1, &["m"])),
        account("p", "b", 2),
        account("p", "a", 1),
        of_route("r", route(v1::Strategy::Priority, &["p:m"])),
        of_key(1, key(1)),
    ])
}

fn id(n: u64) -> String {
    format!("key_{n:032x}")
}

#[test]
fn a_removed_resource_is_gone_everywhere() {
    let before = world();
    let digest = before.key(&id(1)).unwrap().digests[0].digest;
    let gone = [
        (Kind::Provider, "p"),
        (Kind::Account, "p/a"),
        (Kind::Account, "p/b"),
        (Kind::Route, "r"),
        (Kind::VirtualKey, &*id(1)),
        (Kind::DigestKey, "1"),
        (Kind::Preset, "never was"),
    ];
    let after = before.apply(change(2, Vec::new(), &gone));
    assert!(after.is_empty() && after.providers().is_empty() && after.accounts_of("p").is_empty());
    assert!(after.key_by_digest(&digest).is_none() && after.digest_keys().is_empty());
    assert_eq!(after.state_hash(), StateHash::default());
    assert!(before.key_by_digest(&digest).is_some(), "the table before is what it was");
    assert_eq!((before.revision(), after.revision()), (Revision(1), Revision(2)));
}

#[test]
fn a_table_after_changes_hashes_like_one_made_at_once() {
    let mut resource = of_key(2, key(2));
    let mut changed = world().apply(change(2, vec![resource.clone()], &[(Kind::Route, "r")]));
    resource.version = 3;
    changed = changed.apply(change(3, vec![resource.clone()], &[]));
    let whole = crate::fixtures::table([
        resource,
        digest_key(),
        of_provider("p", provider("p", 1, &["m"])),
        account("p", "a", 1),
        account("p", "b", 2),
        of_key(1, key(1)),
    ]);
    assert_eq!(changed.state_hash(), whole.state_hash());
    assert_eq!(changed.sent_hash(), changed.state_hash());
}

#[test]
fn providers_and_accounts_stand_in_their_order() {
    let first = v1::Provider { priority: -1, ..provider("late", 9, &[]) };
    let table = world().apply(change(2, vec![of_provider("late", first)], &[]));
    let order: Vec<_> = table.providers().iter().map(|it| &*it.id).collect();
    assert_eq!(order, ["late", "p"]);
    let labels: Vec<_> = table.accounts_of("p").iter().map(|it| &*it.label).collect();
    assert_eq!(labels, ["a", "b"]);
    let mut own = account("p", "own", 0);
    if let Some(Spec::Account(account)) = &mut own.spec {
        account.route_name = "r".to_owned();
    }
    let table = table.apply(change(3, vec![own], &[]));
    assert_eq!(table.accounts_of("p").len(), 2);
    assert!(table.account("p/own").is_some());
}

#[test]
fn each_bad_resource_is_rejected_with_its_reason() {
    let bad_url = v1::Provider {
        base_urls: vec![v1::BaseUrl { dialect: 0, url: "ftp://x".to_owned() }],
        ..provider("p", 1, &[])
    };
    let short = v1::KeyDigest { digest: vec![1; 31].into(), not_after_ms: 0 };
    let preset = v1::Preset { parameters_json: "[]".to_owned(), ..v1::Preset::default() };
    let preset = crate::fixtures::resource(v1::Kind::Preset, "x", 2, Spec::Preset(preset));
    let mut mixed = of_key(3, key(3));
    mixed.spec = Some(Spec::Provider(provider("x", 1, &[])));
    let mut secret = account("p", "a", 1);
    if let Some(Spec::Account(account)) = &mut secret.spec {
        account.secret = "hidden\nvalue".into();
    }
    let cases = [
        (of_provider("p", bad_url), "is not an http or https URL"),
        (of_key(1, v1::VirtualKey { digests: vec![short], ..key(1) }), "31 bytes instead of 32"),
        (of_key(2, v1::VirtualKey { digests: vec![digest(1)], ..key(2) }), "has the same digest"),
        (
            of_route("r", v1::Route { strategy: 77, ..route(v1::Strategy::Priority, &["p:m"]) }),
            "strategy 77",
        ),
        (preset, "no JSON object"),
        (mixed, "not the same"),
        (secret, "cannot be sent in a header"),
    ];
    for (mut resource, reason) in cases {
        resource.version = 2;
        let before = world();
        let after = before.apply(change(2, vec![resource], &[]));
        let rejection = after.rejections().next().unwrap_or_else(|| panic!("{reason}"));
        assert!(rejection.reason.contains(reason), "{}", rejection.reason);
        assert!(!rejection.reason.contains("hidden"), "a reason shows no secret");
        assert_eq!(after.state_hash(), before.state_hash(), "what was there stays: {reason}");
        assert_ne!(after.sent_hash(), after.state_hash());
        let again = after.apply(change(3, Vec::new(), &[]));
        assert_eq!(again.rejections().len(), 1, "until it is mended or removed");
        let reference = rejection.reference.clone();
        let gone = Change { revision: Revision(3), upserts: Vec::new(), removals: vec![reference] };
        assert_eq!(after.apply(gone).rejections().len(), 0);
    }
}

#[test]
fn a_snapshot_keeps_what_it_cannot_replace() {
    let mut bad = of_route("r", v1::Route::default());
    bad.version = 5;
    let read = [bad].into_iter().filter_map(Incoming::from_wire).collect();
    let after = world().replace(Revision(5), read);
    assert_eq!((after.len(), after.route("r").unwrap().version), (1, Revision(1)));
    assert_eq!(after.rejections().next().unwrap().kept, Some(Revision(1)));
}

#[test]
fn a_rotated_key_is_found_under_both_digests_until_it_changes_again() {
    let both = v1::VirtualKey { digests: vec![digest(2), digest(1)], ..key(1) };
    let table = world().apply(change(2, vec![of_key(1, both)], &[]));
    let digests: Vec<_> = table.key(&id(1)).unwrap().digests.iter().map(|it| it.digest).collect();
    assert!(digests.iter().all(|digest| table.key_by_digest(digest).is_some()));
    let one = v1::VirtualKey { digests: vec![digest(2)], ..key(1) };
    let table = table.apply(change(3, vec![of_key(1, one)], &[]));
    assert!(
        table.key_by_digest(&digests[0]).is_some() && table.key_by_digest(&digests[1]).is_none()
    );
}

/// Resident memory, from the kernel.
fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
#[ignore = "measures; run with --release or --profile fast"]
fn a_hundred_thousand_keys_fit_and_change_quickly() {
    let (clock, count) = (Clock::system(), 100_000);
    let before = resident_kib();
    let snapshot = (0..count).filter_map(|n| Incoming::from_wire(of_key(n, key(n)))).collect();
    let mut table = RoutingTable::empty().replace(Revision(count), snapshot);
    assert_eq!(table.key_count(), 100_000);
    println!("100,000 keys: {} KiB", resident_kib() - before);
    let mut times: Vec<_> = (0..1_000)
        .map(|n| {
            let changed = change(count + n, vec![of_key(n * 97, key(n * 97))], &[]);
            let held = Arc::new(table.clone());
            let start = clock.instant();
            table = held.apply(changed);
            clock.instant() - start
        })
        .collect();
    times.sort_unstable();
    println!("one key changed: p50 {:?}, p99 {:?}", times[500], times[990]);
}
