//! Secrets, the audit, repeated requests, admin tokens.

use std::sync::Arc;

use super::{
    backend::{KEK, count, tamper},
    config::{NOW, account, commit, delete, put, user},
};
use crate::{
    resource::{Kind, Revision},
    secrets::SealingKeys,
    store::{Actor, AdminToken, AuditVerdict, Expect, Once, OnceOutcome, Store, StoreError},
};

pub(super) async fn secrets_are_sealed_and_come_back(store: Store) {
    let two = vec![
        put(account("p/a", Some("sk-one")), Expect::Any),
        put(account("p/b", Some("sk-two")), Expect::Any),
    ];
    commit(&store, two).await.unwrap();
    let secret = store.secret_of("p/a").await.unwrap().unwrap();
    assert_eq!(secret.expose(), "sk-one");
    assert_eq!(store.secret_of("p/none").await.unwrap(), None);
    let plain = "SELECT COUNT(*) FROM sealed WHERE CAST(body AS TEXT) LIKE '%sk-%'";
    assert_eq!(count(&store, plain).await, 0);

    // A ciphertext that is moved to another account does not open.
    tamper(&store, "UPDATE sealed SET dek = (SELECT dek FROM sealed WHERE row_id = 'p/a'), body = (SELECT body FROM sealed WHERE row_id = 'p/a') WHERE row_id = 'p/b'").await;
    assert!(matches!(store.secret_of("p/b").await, Err(StoreError::Seal(_))));
    commit(&store, vec![put(account("p/b", Some("sk-two")), Expect::Any)]).await.unwrap();
    assert_eq!(store.secret_of("p/b").await.unwrap().unwrap().expose(), "sk-two");
    commit(&store, vec![delete(Kind::Account, "p/b", Expect::Any)]).await.unwrap();
    assert_eq!(store.secret_of("p/b").await.unwrap(), None);

    let mut keys = SealingKeys::from_bytes(KEK);
    keys.rotate().unwrap();
    let rotated = Store { seal: Arc::new(keys), ..store.clone() };
    assert_eq!(rotated.rewrap().await.unwrap(), 1);
    assert_eq!(rotated.rewrap().await.unwrap(), 0);
    let secrets = rotated.secrets().await.unwrap();
    assert_eq!(secrets.len(), 1);
    assert_eq!((secrets[0].0.as_str(), secrets[0].1.expose()), ("p/a", "sk-one"));
    assert!(matches!(store.secret_of("p/a").await, Err(StoreError::Seal(_))), "the old key is out");
}

pub(super) async fn the_digest_key_is_made_once(store: Store) {
    let asked = futures::future::join_all((0..4).map(|_| store.digest_key())).await;
    let keys: Vec<_> = asked.into_iter().map(Result::unwrap).collect();
    assert!(keys.iter().all(|row| row.key == keys[0].key && row.version == 1));
    assert_ne!(*keys[0].key, [0; 32]);
    assert_eq!(store.digest_keys().await.unwrap().len(), 1);
}

pub(super) async fn the_audit_shows_tampering(store: Store) {
    assert_eq!(store.verify_audit().await.unwrap(), AuditVerdict::Intact { rows: 0 });
    for id in ["a", "b", "c"] {
        commit(&store, vec![put(user(id, id), Expect::Any)]).await.unwrap();
    }
    assert_eq!(store.verify_audit().await.unwrap(), AuditVerdict::Intact { rows: 3 });
    tamper(&store, "UPDATE audit SET actor = 'system' WHERE seq = 2").await;
    assert_eq!(store.verify_audit().await.unwrap(), AuditVerdict::Broken { seq: 2 });
    tamper(&store, "UPDATE audit SET actor = 'socket' WHERE seq = 2").await;
    assert_eq!(store.verify_audit().await.unwrap(), AuditVerdict::Intact { rows: 3 });
    tamper(&store, "DELETE FROM audit WHERE seq = 3").await;
    assert_eq!(store.verify_audit().await.unwrap(), AuditVerdict::Broken { seq: 3 });
    tamper(&store, "DELETE FROM audit WHERE seq = 1").await;
    assert_eq!(store.verify_audit().await.unwrap(), AuditVerdict::Broken { seq: 1 });
}

pub(super) async fn the_audit_shows_no_secrets(store: Store) {
    commit(&store, vec![put(account("p/a", Some("sk-one")), Expect::Any)]).await.unwrap();
    let shown = format!("{:?}", store.audit(None, 10).await.unwrap());
    assert!(shown.contains("put_with_secret") && !shown.contains("sk-one"), "{shown}");
}

pub(super) async fn a_repeated_post_is_answered_as_before(store: Store) {
    let once =
        |hash: u8, expires_at_ms| Once { key: "k".into(), request_hash: [hash; 32], expires_at_ms };
    let post = |id: &'static str, once: Once, now| {
        let store = store.clone();
        async move {
            let changes = vec![put(user(id, id), Expect::Absent)];
            let respond = |_: &_| format!("brvk_{id}").into_bytes();
            store.commit_once(&Actor::Socket, changes, &once, now, respond).await
        }
    };
    let first = post("a", once(1, NOW + 10), NOW).await.unwrap();
    assert!(matches!(first, OnceOutcome::Committed(_, response) if response == b"brvk_a"));
    let again = post("b", once(1, NOW + 10), NOW + 9).await.unwrap();
    assert!(matches!(again, OnceOutcome::Replayed(response) if response == b"brvk_a"));
    assert_eq!(store.revision().await.unwrap(), Revision(1));
    let other = post("b", once(2, NOW + 10), NOW).await;
    assert!(matches!(other, Err(StoreError::IdempotencyKeyReused)));
    let plain = "SELECT COUNT(*) FROM sealed WHERE CAST(body AS TEXT) LIKE '%brvk%'";
    assert_eq!(count(&store, plain).await, 0);

    let late = post("b", once(2, NOW + 20), NOW + 10).await.unwrap();
    assert!(matches!(late, OnceOutcome::Committed(_, response) if response == b"brvk_b"));
    assert_eq!(store.prune_idempotency_keys(NOW + 19).await.unwrap(), 0);
    assert_eq!(store.prune_idempotency_keys(NOW + 20).await.unwrap(), 1);
    assert_eq!(count(&store, "SELECT COUNT(*) FROM sealed").await, 0);
}

pub(super) async fn admin_tokens_are_found_by_digest_until_revoked(store: Store) {
    let token = AdminToken {
        id: "tok_1".into(),
        name: "laptop".into(),
        role: "owner".into(),
        created_at_ms: NOW,
        revoked_at_ms: None,
    };
    store.create_admin_token(&Actor::System, &token, &[1; 32]).await.unwrap();
    assert!(store.create_admin_token(&Actor::System, &token, &[2; 32]).await.is_err());
    assert_eq!(store.admin_token_by_digest(&[1; 32]).await.unwrap(), Some(token.clone()));
    assert_eq!(store.admin_token_by_digest(&[2; 32]).await.unwrap(), None);
    for now in [NOW + 1, NOW + 2] {
        store.revoke_admin_token(&Actor::Token("tok_1".into()), "tok_1", now).await.unwrap();
    }
    assert_eq!(store.admin_token_by_digest(&[1; 32]).await.unwrap(), None);
    let revoked = AdminToken { revoked_at_ms: Some(NOW + 1), ..token };
    assert_eq!(store.admin_tokens().await.unwrap(), [revoked]);
    let none = store.revoke_admin_token(&Actor::System, "tok_2", NOW).await;
    assert!(matches!(none, Err(StoreError::NotFound { .. })));
    assert_eq!(store.verify_audit().await.unwrap(), AuditVerdict::Intact { rows: 3 });
}
