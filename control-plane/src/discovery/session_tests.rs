//! The session's behaviour, as tables of what comes in and what is to be done.

use bitrouter_runtime::Clock;

use super::*;

fn message(message: wire::sync_request::Message) -> Input {
    Input::Message(wire::SyncRequest { message: Some(message) })
}

fn hello() -> wire::Hello {
    wire::Hello {
        node_id: "node".to_owned(),
        log_id: "log".to_owned(),
        schema_min: 1,
        schema_max: 2,
        applied_revision: 3,
        ..wire::Hello::default()
    }
}

fn ack(revision: u64, status: wire::ack::Status) -> Input {
    let ack = wire::Ack { revision, status: status.into(), rejections: Vec::new() };
    message(wire::sync_request::Message::Ack(ack))
}

fn applied(revision: u64) -> Input {
    ack(revision, wire::ack::Status::Applied)
}

fn sent(revisions: &[u64]) -> Input {
    let sent = |revision: &u64| Sent { revision: *revision, touched: Touched::Everything };
    Input::Updated(revisions.iter().map(sent).collect())
}

/// In words, so that a table can be read.
fn words(outputs: &[Output]) -> String {
    let word = |output: &Output| match output {
        Output::Open(hello) => format!("open {}", hello.node_id),
        Output::Welcome { session_epoch, head } => format!("welcome {session_epoch} {head}"),
        Output::CatchUp { from, hash: None } => format!("catch up from {from}"),
        Output::CatchUp { from, hash: Some(_) } => format!("catch up from {from} with hash"),
        Output::Acked { ack, .. } => format!("acked {}", ack.revision),
        Output::Heard(heartbeat) => format!("heard {}", heartbeat.applied_revision),
        Output::Heartbeat { head } => format!("heartbeat {head}"),
        Output::Close(closing) => format!("close {closing:?}"),
    };
    outputs.iter().map(word).collect::<Vec<_>>().join(", ")
}

fn play(steps: Vec<(u64, Input, &str)>) {
    let start = Clock::system().instant();
    let mut session = Session::new(start);
    for (index, (at_ms, input, expected)) in steps.into_iter().enumerate() {
        let shown = format!("step {index}: {input:?}");
        let outputs = session.step(input, start + Duration::from_millis(at_ms));
        assert_eq!(words(&outputs), expected, "{shown}");
    }
}

fn opened() -> Vec<(u64, Input, &'static str)> {
    vec![
        (0, message(wire::sync_request::Message::Hello(hello())), "open node"),
        (0, Input::Opened { session_epoch: 7, head: 5 }, "welcome 7 5, catch up from 3"),
        (0, sent(&[4, 5]), ""),
    ]
}

fn play_opened(steps: Vec<(u64, Input, &'static str)>) {
    play(opened().into_iter().chain(steps).collect());
}

#[test]
fn a_new_update_waits_for_the_acknowledgement_of_the_last() {
    play_opened(vec![
        (1, Input::Published(6), ""),
        (2, Input::Published(7), ""),
        (3, applied(4), "acked 4"),
        (4, applied(5), "acked 5, catch up from 5"),
        (5, sent(&[6, 7]), ""),
        (6, applied(7), "acked 7"),
        (7, Input::Published(8), "catch up from 7"),
    ]);
}

#[test]
fn a_refused_update_ends_the_session_but_not_the_stream() {
    play_opened(vec![
        (1, ack(5, wire::ack::Status::Rejected), "acked 5"),
        (2, Input::Published(6), ""),
        (3, Input::Tick, ""),
    ]);
}

#[test]
fn an_update_that_was_applied_in_part_is_applied() {
    play_opened(vec![
        (1, ack(5, wire::ack::Status::AppliedInPart), "acked 5"),
        (2, Input::Published(6), "catch up from 5"),
    ]);
}

#[test]
fn heartbeats_go_both_ways() {
    let heartbeat = || {
        let heartbeat = wire::NodeHeartbeat { applied_revision: 3, ..Default::default() };
        message(wire::sync_request::Message::Heartbeat(heartbeat))
    };
    play_opened(vec![
        (500, Input::Tick, "heartbeat 5"),
        (600, heartbeat(), "heard 3"),
        (9_000, applied(5), "acked 5"),
        (19_000, Input::Tick, "heartbeat 5"),
        (19_001, Input::Tick, "close Silent"),
        (19_002, heartbeat(), ""),
    ]);
    play_opened(vec![
        (9_000, heartbeat(), "heard 3"),
        (10_000, Input::Tick, "heartbeat 5"),
        (10_001, Input::Tick, "close Unacknowledged"),
    ]);
}

#[test]
fn what_does_not_belong_closes_the_stream() {
    let first = |hello: wire::Hello| message(wire::sync_request::Message::Hello(hello));
    let cases = [
        ("an acknowledgement before the hello", applied(1), "close OutOfOrder"),
        (
            "an empty message",
            Input::Message(wire::SyncRequest { message: None }),
            "close UnknownMessage",
        ),
        ("no name", first(wire::Hello::default()), "close Nameless"),
        (
            "an old schema",
            first(wire::Hello { schema_min: 0, schema_max: 0, ..hello() }),
            "close TooOld",
        ),
        (
            "a new schema",
            first(wire::Hello { schema_min: 2, schema_max: 3, ..hello() }),
            "close TooNew",
        ),
    ];
    for (case, input, expected) in cases {
        println!("{case}");
        play(vec![(0, input, expected)]);
    }
    play_opened(vec![(1, applied(9), "close UnknownRevision"), (2, applied(5), "")]);
    play_opened(vec![(1, first(hello()), "close OutOfOrder")]);
}
