use v1::{ResourceRef as WireRef, Route, RouteEndpoint, resource::Spec};

use super::*;
use crate::table::{Kind, StateHash};

fn route(name: &str, version: u64, endpoints: usize) -> v1::Resource {
    let endpoint =
        RouteEndpoint { provider_id: "p".into(), model: "m".into(), ..RouteEndpoint::default() };
    v1::Resource {
        r#ref: Some(WireRef { kind: v1::Kind::Route.into(), id: name.into() }),
        version,
        spec: Some(Spec::Route(Route { endpoints: vec![endpoint; endpoints], ..Route::default() })),
    }
}

fn hash(resources: &[v1::Resource]) -> Vec<u8> {
    let read = resources.iter().cloned().filter_map(Incoming::from_wire).collect();
    RoutingTable::empty().replace(Revision(1), read).sent_hash().as_bytes().to_vec()
}

fn chunk(revision: u64, index: u32, last: bool, resources: Vec<v1::Resource>) -> SyncResponse {
    let state_hash = hash(&resources).into();
    let chunk = SnapshotChunk { revision, index, last, resources, state_hash };
    SyncResponse { message: Some(Message::SnapshotChunk(chunk)) }
}

fn delta(from: u64, to: u64, upserts: Vec<v1::Resource>, hash: Vec<u8>) -> SyncResponse {
    let delta = Delta {
        from_revision: from,
        to_revision: to,
        upserts,
        removals: Vec::new(),
        state_hash: hash.into(),
    };
    SyncResponse { message: Some(Message::Delta(delta)) }
}

fn heartbeat(head_revision: u64) -> SyncResponse {
    let heartbeat = Heartbeat { control_plane_us: 0, head_revision };
    SyncResponse { message: Some(Message::Heartbeat(heartbeat)) }
}

fn welcome(heartbeat_ms: u32) -> SyncResponse {
    let welcome = Welcome { heartbeat_ms, ..Welcome::default() };
    SyncResponse { message: Some(Message::Welcome(welcome)) }
}

#[expect(clippy::disallowed_methods, reason = "a test needs some instant to begin at")]
fn start() -> Instant {
    Instant::now()
}

fn session() -> (Session, Instant) {
    let now = start();
    let table = Arc::new(RoutingTable::empty());
    let (session, _) =
        Session::open(&NodeIdentity::default(), LogIdentity::default(), table, false, now);
    (session, now)
}

fn acks(actions: &[Action]) -> Vec<(u64, Status, usize)> {
    let of = |action: &Action| match action {
        Action::Send(SyncRequest { message: Some(sync_request::Message::Ack(ack)) }) => {
            Some((ack.revision, ack.status(), ack.rejections.len()))
        }
        _ => None,
    };
    actions.iter().filter_map(of).collect()
}

fn reopened(actions: &[Action]) -> Option<Reopen> {
    actions.iter().find_map(|action| match action {
        Action::Reopen(reopen) => Some(*reopen),
        _ => None,
    })
}

#[test]
fn a_snapshot_is_in_force_once_its_last_chunk_is_there() {
    let (mut session, now) = session();
    session.receive(welcome(500), now);
    let whole = [route("a", 1, 1), route("b", 2, 1)];
    assert!(session.receive(chunk(5, 0, false, vec![whole[0].clone()]), now).is_empty());
    let mut last = chunk(5, 1, true, vec![whole[1].clone()]);
    if let Some(Message::SnapshotChunk(chunk)) = &mut last.message {
        chunk.state_hash = hash(&whole).into();
    }
    let actions = session.receive(last, now);
    assert_eq!(acks(&actions), [(5, Status::Applied, 0)]);
    let Some(Action::Install(table)) = actions.first() else { panic!("{actions:?}") };
    assert_eq!((table.revision(), table.len()), (Revision(5), 2));
}

#[test]
fn a_delta_follows_and_a_bad_resource_keeps_its_previous_version() {
    let (mut session, now) = session();
    session.receive(chunk(5, 0, true, vec![route("a", 5, 1)]), now);
    let bad = route("a", 6, 0);
    let sent = hash(std::slice::from_ref(&bad));
    let actions = session.receive(delta(5, 6, vec![bad], sent), now);
    assert_eq!(acks(&actions), [(6, Status::AppliedInPart, 1)]);
    assert_eq!(session.table.route("a").unwrap().version, Revision(5));
    let rejection = session.table.rejections().next().unwrap();
    assert_eq!((rejection.kept, &*rejection.reason), (Some(Revision(5)), "it has no endpoints"));
    let good = route("a", 7, 2);
    let sent = hash(std::slice::from_ref(&good));
    assert_eq!(
        acks(&session.receive(delta(6, 7, vec![good], sent), now)),
        [(7, Status::Applied, 0)]
    );
    assert_eq!(session.table.route("a").unwrap().version, Revision(7));
}

#[test]
fn another_hash_asks_for_everything() {
    let (mut session, now) = session();
    session.receive(chunk(5, 0, true, vec![route("a", 5, 1)]), now);
    let actions = session.receive(delta(5, 6, vec![route("b", 6, 1)], vec![1; 32]), now);
    assert_eq!(acks(&actions), [(6, Status::Rejected, 0)]);
    assert_eq!(reopened(&actions), Some(Reopen::Diverged));
    assert_eq!(session.table.revision(), Revision(5), "the table in force stays");
    let table = Arc::clone(&session.table);
    let (_, hello) =
        Session::open(&NodeIdentity::default(), LogIdentity::default(), table, true, now);
    let Some(sync_request::Message::Hello(hello)) = hello.message else { panic!() };
    assert_eq!(hello.applied_revision, 0);
}

#[test]
fn changes_out_of_order_end_the_session_and_old_ones_are_acknowledged_again() {
    let (mut session, now) = session();
    session.receive(chunk(5, 0, true, Vec::new()), now);
    let again = session.receive(delta(3, 5, Vec::new(), Vec::new()), now);
    assert_eq!(acks(&again), [(5, Status::Applied, 0)]);
    let actions = session.receive(delta(6, 7, Vec::new(), Vec::new()), now);
    assert_eq!(reopened(&actions), Some(Reopen::OutOfOrder));
    let actions = session.receive(chunk(8, 1, true, Vec::new()), now);
    assert_eq!(reopened(&actions), Some(Reopen::Diverged), "a chunk is missing");
}

#[test]
fn who_stays_behind_or_hears_nothing_begins_anew() {
    let (mut session, now) = session();
    session.receive(welcome(100), now);
    for _ in 0..2 {
        assert_eq!(reopened(&session.receive(heartbeat(9), now)), None);
    }
    assert_eq!(reopened(&session.receive(heartbeat(9), now)), Some(Reopen::Behind));
    let later = now + Duration::from_millis(100);
    let beats = session.tick(later, Vitals { spool_bytes: 7, ..Vitals::default() });
    let [Action::Send(SyncRequest { message: Some(sync_request::Message::Heartbeat(beat)) })] =
        &beats[..]
    else {
        panic!("{beats:?}")
    };
    assert_eq!(beat.spool_bytes, 7);
    let silent = session.tick(now + Duration::from_millis(400), Vitals::default());
    assert_eq!(reopened(&silent), Some(Reopen::Silent));
}

#[test]
fn a_kind_of_a_newer_control_plane_is_rejected_by_itself() {
    let (mut session, now) = session();
    let newer =
        v1::Resource { r#ref: Some(WireRef { kind: 99, id: "x".into() }), version: 3, spec: None };
    let actions = session.receive(chunk(3, 0, true, vec![route("a", 1, 1), newer]), now);
    assert_eq!(acks(&actions), [(3, Status::AppliedInPart, 1)]);
    let rejection = session.table.rejections().next().unwrap();
    assert_eq!(rejection.reference.kind, Kind::Unknown(99));
    assert_ne!(session.table.state_hash(), StateHash::default());
}
