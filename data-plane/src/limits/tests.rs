use super::*;
use crate::table::Revision;

fn key(id: &str, limits: Limits) -> VirtualKey {
    VirtualKey {
        id: id.into(),
        version: Revision(1),
        user_id: Arc::default(),
        models: Box::default(),
        providers: Box::default(),
        expires_at: bitrouter_runtime::Timestamp::default(),
        limits,
        digests: Box::default(),
    }
}

fn limiter() -> (Limiter, Instant) {
    let now = crate::fixtures::start();
    (Limiter::new(now), now)
}

#[test]
fn a_small_rate_may_be_used_at_once_and_comes_back_at_its_pace() {
    let (limiter, now) = limiter();
    let key = key("k", Limits { rpm: 3, ..Limits::default() });
    for _ in 0..3 {
        drop(limiter.admit(&key, 0, now).unwrap());
    }
    let error = limiter.admit(&key, 0, now).unwrap_err();
    let retry_after = Duration::from_secs(20);
    assert_eq!(error, LimitError::Requests { limit: 3, retry_after });
    let later = now + retry_after;
    drop(limiter.admit(&key, 0, later).unwrap());
    assert!(limiter.admit(&key, 0, later).is_err());
}

#[test]
fn a_large_rate_is_smooth() {
    let (limiter, now) = limiter();
    let key = key("k", Limits { rpm: 600, ..Limits::default() });
    let passed = |at| (0..1_000).filter(|_| limiter.admit(&key, 0, at).is_ok()).count();
    assert_eq!(passed(now), 100, "the burst");
    assert_eq!(passed(now + Duration::from_secs(1)), 10, "then the pace");
}

#[test]
fn tokens_are_charged_by_estimate_and_settled() {
    let (limiter, now) = limiter();
    let key = key("k", Limits { tpm: 1_000, ..Limits::default() });
    let mut first = limiter.admit(&key, 900, now).unwrap();
    let error = limiter.admit(&key, 200, now).unwrap_err();
    assert!(matches!(error, LimitError::Tokens { limit: 1_000, .. }), "{error}");
    assert!(error.retry_after() <= Duration::from_secs(7));
    first.settle(Used::Exactly(100), now);
    first.settle(Used::Exactly(100), now);
    drop(limiter.admit(&key, 900, now).unwrap());
    assert!(limiter.admit(&key, 1, now).is_err());
}

#[test]
fn an_unknown_use_keeps_the_estimate_unless_more_is_known() {
    let (limiter, now) = limiter();
    let key = key("k", Limits { tpm: 1_000, ..Limits::default() });
    limiter.admit(&key, 500, now).unwrap().settle(Used::AtLeast(20), now);
    assert!(limiter.admit(&key, 501, now).is_err());
    limiter.admit(&key, 100, now).unwrap().settle(Used::AtLeast(500), now);
    assert!(limiter.admit(&key, 1, now).is_err());
}

#[test]
fn what_is_given_back_is_nobody_elses() {
    let (limiter, now) = limiter();
    let key = key("k", Limits { tpm: 1_000, ..Limits::default() });
    let second = |at| now + Duration::from_secs(at);
    let mut slow = limiter.admit(&key, 1_000, now).unwrap();
    let mut next = limiter.admit(&key, 500, second(30)).unwrap();
    // Only the half of it lies ahead that the other one did not wait for.
    slow.settle(Used::Exactly(0), second(30));
    // By now both are paid, the other one too since it moved forward.
    drop(limiter.admit(&key, 1_000, second(61)).unwrap());
    next.settle(Used::Exactly(0), second(61));
    let error = limiter.admit(&key, 1_000, second(61)).unwrap_err();
    assert_eq!(error.retry_after(), Duration::from_mins(1));
}

#[test]
fn what_was_used_beyond_the_estimate_is_charged_when_it_is_known() {
    let (limiter, now) = limiter();
    let key = key("k", Limits { tpm: 1_000, ..Limits::default() });
    let late = now + Duration::from_mins(10);
    limiter.admit(&key, 10, now).unwrap().settle(Used::Exactly(1_010), late);
    assert!(limiter.admit(&key, 1, late).is_err());
}

#[test]
fn a_request_larger_than_the_limit_passes_when_nothing_is_owed() {
    let (limiter, now) = limiter();
    let key = key("k", Limits { tpm: 1_000, ..Limits::default() });
    drop(limiter.admit(&key, 5_000, now).unwrap());
    assert!(limiter.admit(&key, 1, now + Duration::from_secs(200)).is_err());
    assert!(limiter.admit(&key, 1, now + Duration::from_mins(5)).is_ok());
}

#[test]
fn a_request_counts_as_in_flight_until_its_permit_is_dropped() {
    let (limiter, now) = limiter();
    let key = key("k", Limits { concurrency: 2, ..Limits::default() });
    let first = limiter.admit(&key, 0, now).unwrap();
    let _second = limiter.admit(&key, 0, now).unwrap();
    let error = limiter.admit(&key, 0, now).unwrap_err();
    assert_eq!(error, LimitError::Concurrency { limit: 2 });
    drop(first);
    assert!(limiter.admit(&key, 0, now).is_ok());
}

#[test]
fn a_refused_request_costs_nothing() {
    let (limiter, now) = limiter();
    let key = key("k", Limits { rpm: 1, concurrency: 1, tpm: 10 });
    drop(limiter.admit(&key, 10, now).unwrap());
    for _ in 0..10 {
        assert!(limiter.admit(&key, 10, now).is_err());
    }
    assert!(limiter.admit(&key, 10, now + Duration::from_mins(1)).is_ok());
}

#[test]
fn idle_keys_are_swept_away() {
    let (limiter, now) = limiter();
    for n in 0..10_000_u32 {
        let key = key(&n.to_string(), Limits { rpm: 60, ..Limits::default() });
        drop(limiter.admit(&key, 0, now + Duration::from_millis(n.into())).unwrap());
    }
    assert!(limiter.keys.read().len() <= 2 * SWEEP_EVERY);
}
