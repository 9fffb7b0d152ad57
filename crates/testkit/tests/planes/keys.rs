//! From the admin API to the client: a key's life, and what a data plane cannot use.

use std::time::Duration;

use bitrouter_config::resource::Account;
use bitrouter_control_plane::{
    api::types::Minted,
    resource::{Declared, Spec},
};
use bitrouter_keys::Secret;
use bitrouter_runtime::{Clock, Timestamp};
use bitrouter_testkit::{FakeProvider, Planes, planes::providers_yaml};
use http::Method;

use crate::books::balanced;

/// How soon a revocation must be everywhere.
const REVOKED_WITHIN: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_key_serves_as_soon_as_its_revision_is_in_force() {
    let fake = FakeProvider::start().await;
    let planes = Planes::start().await;
    planes.apply(&providers_yaml(&[&fake])).await;
    for user in ["ann", "bob", "ann"] {
        let minted = planes.mint(user).await;
        assert_eq!(planes.client(&minted.key).chat().await.status, 200, "{user}");
    }
    let records = balanced(&planes, &[&fake], 3).await;
    let users: Vec<_> = records.iter().map(|record| record.user_id.as_deref()).collect();
    assert_eq!(users, [Some("ann"), Some("bob"), Some("ann")]);
}

#[tokio::test]
async fn a_revoked_key_is_refused_within_a_second() {
    let fake = FakeProvider::start().await;
    let (planes, minted) = Planes::serving(&[&fake]).await;
    let client = planes.client(&minted.key);
    assert_eq!(client.chat().await.status, 200);
    let (clock, mut served) = (Clock::system(), 1);
    let asked = clock.instant();
    let told = planes.call(Method::POST, &revoke(&minted), "").await;
    assert_eq!(told.status, 200, "{}", told.body);
    while client.chat().await.status != 401 {
        served += 1;
        assert!(clock.instant() - asked < REVOKED_WITHIN, "it still serves");
    }
    let took = clock.instant() - asked;
    assert!(took < REVOKED_WITHIN, "{took:?}");
    println!("a revocation took {took:?}");
    // The refusal leaves a record too.
    balanced(&planes, &[&fake], served + 1).await;
}

#[tokio::test]
async fn a_rotated_key_has_its_grace_and_no_more() {
    let fake = FakeProvider::start().await;
    let (clock, hand) = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
    let planes = Planes::with(clock, Duration::from_secs(10)).await;
    planes.apply(&providers_yaml(&[&fake])).await;
    let old = planes.mint("ann").await;
    let path = format!("/v1/keys/{}/rotate", old.view.id);
    let told = planes.change(Method::POST, &path, r#"{"grace_s":60}"#).await;
    let new: Minted = serde_json::from_value(told.body).unwrap();
    assert_ne!(old.key, new.key);
    for key in [&old.key, &new.key] {
        assert_eq!(planes.client(key).chat().await.status, 200, "both, for a minute");
    }
    hand.advance(Duration::from_secs(61));
    assert_eq!(planes.client(&old.key).chat().await.status, 401, "its grace is over");
    assert_eq!(planes.client(&new.key).chat().await.status, 200);
    balanced(&planes, &[&fake], 4).await;
}

#[tokio::test]
async fn what_a_data_plane_cannot_use_keeps_its_version_and_is_shown() {
    let fake = FakeProvider::start().await;
    let (planes, minted) = Planes::serving(&[]).await;
    let keyless = providers_yaml(&[&fake]).replace("    api_key: secret-of-p0\n", "");
    planes.apply(&keyless).await;
    let client = planes.client(&minted.key);
    let good = planes.control_plane().reconcile(vec![account("first")]).await.unwrap();
    planes.reached(good.0).await;
    client.chat().await;

    // No header can carry this one.
    let bad = planes.control_plane().reconcile(vec![account("sec\nond")]).await.unwrap();
    planes.reached(bad.0).await;
    client.chat().await;
    let status = planes.until_status(|status| !status.nodes[0].rejections.is_empty()).await;
    let [rejection] = &status.nodes[0].rejections[..] else { panic!("{status:?}") };
    assert_eq!((rejection.kind.as_str(), rejection.id.as_str()), ("account", "p0/main"));
    assert_eq!(rejection.kept_version, good);
    assert!(rejection.reason.contains("header"), "{}", rejection.reason);
    assert_eq!(status.nodes[0].applied_revision, bad, "the rest of the revision is in force");
    assert!(!status.nodes[0].is_in_sync);

    let mended = planes.control_plane().reconcile(vec![account("third")]).await.unwrap();
    planes.reached(mended.0).await;
    client.chat().await;
    planes.until_status(|status| status.nodes[0].is_in_sync).await;
    let seen = fake.requests();
    let seen: Vec<&str> = seen.iter().map(|request| request.header("authorization")).collect();
    assert_eq!(seen, ["Bearer first", "Bearer first", "Bearer third"]);
    balanced(&planes, &[&fake], 3).await;
}

fn account(secret: &str) -> Declared {
    let spec = Account {
        provider: "p0".to_owned(),
        label: "main".to_owned(),
        base_url: None,
        weight: 1,
        position: 0,
        route: None,
    };
    Declared {
        id: "p0/main".to_owned(),
        spec: Spec::Account(spec),
        secret: Some(Secret::new(secret.to_owned())),
    }
}

fn revoke(minted: &Minted) -> String {
    format!("/v1/keys/{}/revoke", minted.view.id)
}
