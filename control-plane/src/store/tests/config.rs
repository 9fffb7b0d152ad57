//! Configuration: batches, revisions, owners, changes.

use bitrouter_config::resource::Account;
use bitrouter_keys::Secret;

use crate::{
    resource::{Declared, Kind, Owner, Revision, Spec, User},
    store::{
        Actor, Change, Committed, Expect, OverlayChange, OverlayMark, Page, Store, StoreError,
    },
};

pub(super) const NOW: u64 = 1_800_000_000_000;

pub(super) fn user(id: &str, name: &str) -> Declared {
    let spec = Spec::User(User { display_name: Some(name.to_owned()) });
    Declared { id: id.to_owned(), spec, secret: None }
}

pub(super) fn account(id: &str, secret: Option<&str>) -> Declared {
    let (provider, label) = id.split_once('/').unwrap();
    let account: Account =
        serde_json::from_value(serde_json::json!({ "provider": provider, "label": label }))
            .unwrap();
    let secret = secret.map(|secret| Secret::new(secret.to_owned()));
    Declared { id: id.to_owned(), spec: Spec::Account(account), secret }
}

pub(super) fn put(declared: Declared, expect: Expect) -> Change {
    Change::Put { declared, owner: Owner::Api, expect }
}

pub(super) fn delete(kind: Kind, id: &str, expect: Expect) -> Change {
    Change::Delete { kind, id: id.to_owned(), owner: Owner::Api, expect }
}

pub(super) async fn commit(store: &Store, changes: Vec<Change>) -> Result<Committed, StoreError> {
    store.commit(&Actor::Socket, changes, NOW).await
}

pub(super) async fn a_batch_is_one_revision_and_one_audit_row_each(store: Store) {
    let changes = vec![put(user("a", "A"), Expect::Absent), put(user("b", "B"), Expect::Any)];
    let committed = commit(&store, changes).await.unwrap();
    assert_eq!(committed.revision, Revision(1));
    let both = vec![(Kind::User, "a".to_owned()), (Kind::User, "b".to_owned())];
    assert_eq!(committed.changed, both);
    let audit = store.audit(None, 10).await.unwrap();
    let rows: Vec<_> = audit.iter().map(|row| (row.seq, row.revision, row.id.as_str())).collect();
    assert_eq!(rows, [(2, Revision(1), "b"), (1, Revision(1), "a")]);
    assert_eq!(audit[1].actor, "socket");
    assert_eq!(audit[1].action, "put");
    assert_eq!(audit[1].after.as_deref(), Some(r#"{"display_name":"A"}"#));
    assert_eq!(store.audit(Some(2), 10).await.unwrap(), audit[1..]);
    let (revision, resources) = store.load_all().await.unwrap();
    assert_eq!((revision, resources.len()), (Revision(1), 2));
    assert_eq!(store.revision().await.unwrap(), Revision(1));
}

pub(super) async fn what_changes_nothing_makes_no_revision(store: Store) {
    commit(&store, vec![put(account("p/a", Some("s")), Expect::Any)]).await.unwrap();
    let again = vec![
        put(account("p/a", Some("s")), Expect::Any),
        put(account("p/a", None), Expect::Version(Revision(1))),
        delete(Kind::User, "nobody", Expect::Any),
    ];
    let committed = commit(&store, again).await.unwrap();
    assert_eq!(committed, Committed { revision: Revision(1), changed: vec![] });
    assert_eq!(commit(&store, vec![]).await.unwrap().revision, Revision(1));
    assert_eq!(store.audit(None, 10).await.unwrap().len(), 1);
    // A new secret alone is a change.
    let committed = commit(&store, vec![put(account("p/a", Some("t")), Expect::Any)]).await;
    assert_eq!(committed.unwrap().revision, Revision(2));
}

pub(super) async fn a_stale_writer_is_refused(store: Store) {
    commit(&store, vec![put(user("a", "A"), Expect::Absent)]).await.unwrap();
    commit(&store, vec![put(user("a", "B"), Expect::Version(Revision(1)))]).await.unwrap();
    let stale = [
        put(user("a", "C"), Expect::Version(Revision(1))),
        put(user("a", "C"), Expect::Absent),
        delete(Kind::User, "a", Expect::Version(Revision(1))),
    ];
    for change in stale {
        let refused = commit(&store, vec![change.clone()]).await.unwrap_err();
        let found = matches!(&refused, StoreError::Conflict { found: Some(Revision(2)), .. });
        assert!(found, "{change:?}: {refused}");
    }
    let gone = commit(&store, vec![delete(Kind::User, "b", Expect::Version(Revision(2)))]).await;
    assert!(matches!(gone, Err(StoreError::Conflict { found: None, .. })));
    let gone = commit(&store, vec![delete(Kind::User, "a", Expect::Version(Revision(2)))]).await;
    assert_eq!(gone.unwrap().revision, Revision(3));
    assert_eq!(store.resource(Kind::User, "a").await.unwrap(), None);
}

pub(super) async fn a_batch_is_all_or_nothing(store: Store) {
    let changes = vec![
        put(account("p/a", Some("s")), Expect::Any),
        put(user("a", "A"), Expect::Version(Revision(9))),
    ];
    let refused = commit(&store, changes).await.unwrap_err();
    assert_eq!(refused.to_string(), "the user `a` has changed: expected version 9, found nothing");
    assert_eq!(store.load_all().await.unwrap(), (Revision(0), vec![]));
    assert_eq!(store.secret_of("p/a").await.unwrap(), None);
    assert!(store.audit(None, 10).await.unwrap().is_empty());
    assert_eq!(store.changes_since(Revision(0)).await.unwrap(), Some(vec![]));
}

pub(super) async fn owners_do_not_take_from_each_other(store: Store) {
    let by = |owner| Change::Put { declared: user("a", "A"), owner, expect: Expect::Any };
    commit(&store, vec![by(Owner::File)]).await.unwrap();
    let theirs = |refused: Result<Committed, StoreError>, expected| matches!(refused, Err(StoreError::OwnedBy { owner, .. }) if owner == expected);
    assert!(theirs(commit(&store, vec![by(Owner::Api)]).await, Owner::File));
    assert!(theirs(commit(&store, vec![by(Owner::Env)]).await, Owner::Env));
    let taken = commit(&store, vec![delete(Kind::User, "a", Expect::Any)]).await;
    assert!(theirs(taken, Owner::File));
    let refused = commit(&store, vec![by(Owner::Api)]).await.unwrap_err().to_string();
    assert_eq!(refused, "the user `a` belongs to file; change it in bitrouter.yaml");
}

pub(super) async fn of_two_writers_one_wins(store: Store) {
    commit(&store, vec![put(user("a", "0"), Expect::Absent)]).await.unwrap();
    let writers = (1..=8).map(|n| {
        let store = store.clone();
        async move {
            let change = put(user("a", &n.to_string()), Expect::Version(Revision(1)));
            let changes = vec![change, put(user(&format!("w{n}"), ""), Expect::Absent)];
            commit(&store, changes).await
        }
    });
    let results = futures::future::join_all(writers).await;
    let won = results.iter().filter(|result| result.is_ok()).count();
    let lost = results
        .iter()
        .filter(|result| matches!(result, Err(StoreError::Conflict { found, .. }) if *found == Some(Revision(2))))
        .count();
    assert_eq!((won, lost), (1, 7), "{results:?}");
    assert_eq!(store.revision().await.unwrap(), Revision(2));
}

pub(super) async fn changes_are_told_until_they_are_forgotten(store: Store) {
    commit(&store, vec![put(user("a", "A"), Expect::Any)]).await.unwrap();
    commit(&store, vec![put(user("a", "B"), Expect::Any)]).await.unwrap();
    let overlay = [(Kind::Provider, "ollama".to_owned())];
    let change = OverlayChange { digest: b"1", changed: &overlay, audited: None };
    let revision = noted(&store, change).await;
    assert_eq!(revision, Revision(3));
    commit(&store, vec![delete(Kind::User, "a", Expect::Any)]).await.unwrap();
    let ollama = (Kind::Provider, "ollama".to_owned());
    let user = (Kind::User, "a".to_owned());
    let since = |n| store.changes_since(Revision(n));
    assert_eq!(since(0).await.unwrap(), Some(vec![ollama.clone(), user.clone()]));
    assert_eq!(since(3).await.unwrap(), Some(vec![user.clone()]));
    assert_eq!(since(4).await.unwrap(), Some(vec![]));
    assert_eq!(since(5).await.unwrap(), None, "not a revision of this database");

    let week = 7 * 24 * 60 * 60 * 1000;
    assert_eq!(store.prune_changes_beyond(2, NOW + week).await.unwrap(), 0, "too young");
    assert_eq!(store.prune_changes(NOW + week + 1).await.unwrap(), 0, "too few");
    assert_eq!(store.prune_changes_beyond(1, NOW + week + 1).await.unwrap(), 2);
    assert_eq!(since(1).await.unwrap(), None);
    assert_eq!(since(2).await.unwrap(), Some(vec![ollama, user]));
}

pub(super) async fn resources_are_read_back_and_paged(store: Store) {
    let changes = ["c", "a", "b"].map(|id| put(user(id, id), Expect::Absent));
    commit(&store, changes.to_vec()).await.unwrap();
    let page = |after: Option<&str>| Page { after: after.map(str::to_owned), limit: 2 };
    let ids = |page: Vec<crate::resource::Resource>| {
        page.into_iter().map(|resource| resource.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(store.list(Kind::User, &page(None)).await.unwrap()), ["a", "b"]);
    assert_eq!(ids(store.list(Kind::User, &page(Some("b"))).await.unwrap()), ["c"]);
    assert!(store.list(Kind::Route, &page(None)).await.unwrap().is_empty());
    let change = vec![put(user("b", "new"), Expect::Any)];
    store.commit(&Actor::Socket, change, NOW + 5).await.unwrap();
    let resource = store.resource(Kind::User, "b").await.unwrap().unwrap();
    assert_eq!(resource.owner, Owner::Api);
    assert_eq!(resource.resource_version, Revision(2));
    assert_eq!((resource.created_at_ms, resource.updated_at_ms), (NOW, NOW + 5));
    assert_eq!(resource.spec, user("b", "new").spec);
}

pub(super) async fn an_overlay_is_remembered_and_audited_in_one_row(store: Store) {
    assert_eq!(store.overlay_mark().await.unwrap(), None);
    let changed = ["a", "b"].map(|id| (Kind::Provider, id.to_owned()));
    let change =
        OverlayChange { digest: b"one", changed: &changed, audited: Some((None, r#"["a"]"#)) };
    assert_eq!(noted(&store, change).await, Revision(1));
    let change = OverlayChange { digest: b"two", changed: &[], audited: None };
    assert_eq!(noted(&store, change).await, Revision(2));
    let mark = OverlayMark { digest: b"two".to_vec(), revision: Revision(2) };
    assert_eq!(store.overlay_mark().await.unwrap(), Some(mark));
    let audit = store.audit(None, 10).await.unwrap();
    let rows: Vec<_> = audit.iter().map(|row| (row.kind.as_str(), row.after.as_deref())).collect();
    assert_eq!(rows, [("overlay", Some(r#"["a"]"#))]);
}

async fn noted(store: &Store, change: OverlayChange<'_>) -> Revision {
    let noted = store.commit_with_overlay(&Actor::System, Vec::new(), Some(change), NOW).await;
    noted.unwrap().revision
}

pub(super) async fn what_is_ensured_is_made_once_and_never_changed(store: Store) {
    let ensure = |name| Change::Ensure { declared: user("ana", name), owner: Owner::Api };
    let made = store.commit(&Actor::System, vec![ensure("Ana")], NOW).await.unwrap();
    assert_eq!(made.changed, [(Kind::User, "ana".to_owned())]);
    let again = store.commit(&Actor::System, vec![ensure("other")], NOW).await.unwrap();
    assert_eq!((again.changed, again.revision), (Vec::new(), made.revision));
    let kept = store.resource(Kind::User, "ana").await.unwrap().unwrap();
    assert_eq!(kept.spec, user("ana", "Ana").spec);
}
