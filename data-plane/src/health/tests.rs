use bitrouter_runtime::{Clock, Timestamp};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn health() -> (Health, Arc<EndpointHealth>, Instant) {
    let now = crate::fixtures::start();
    let health = Health::new(now);
    let endpoint = health.endpoint(&"p/a".into(), &"m".into());
    (health, endpoint, now)
}

fn fail(endpoint: &Arc<EndpointHealth>, failure: Failure, now: Instant) {
    endpoint.begin(now, Resort::Usual).unwrap().failed(failure, now, 0);
}

#[test]
fn repeated_failures_cool_down_and_one_probe_decides() {
    let (_, endpoint, now) = health();
    for _ in 0..2 {
        fail(&endpoint, Failure::Broken, now);
        assert_eq!(endpoint.trust(now), Trust::Trusted);
    }
    fail(&endpoint, Failure::Broken, now);
    let cooling = Trust::Cooling { cause: Cause::Failures, remaining: SECOND };
    assert_eq!(endpoint.trust(now), cooling);
    let later = now + SECOND;
    assert_eq!(endpoint.trust(later), Trust::ProbeDue);
    let mut probe = endpoint.begin(later, Resort::Usual).unwrap();
    assert!(probe.is_probe());
    assert_eq!(endpoint.trust(later), Trust::Probing);
    assert_eq!(endpoint.begin(later, Resort::Usual).unwrap_err(), Refusal::Probing);
    probe.answered(None, later);
    assert_eq!(endpoint.trust(later), Trust::Trusted);
    assert_eq!(endpoint.in_flight(), 1);
    drop(probe);
    assert_eq!(endpoint.in_flight(), 0);
}

#[test]
fn a_failed_probe_doubles_the_pause_and_an_abandoned_one_decides_nothing() {
    let (_, endpoint, mut now) = health();
    (0..3).for_each(|_| fail(&endpoint, Failure::Broken, now));
    for pause in [2, 4, 8, 16, 32, 60, 60] {
        now += 60 * SECOND;
        drop(endpoint.begin(now, Resort::Usual).unwrap());
        assert_eq!(endpoint.trust(now), Trust::ProbeDue, "abandoned");
        fail(&endpoint, Failure::Broken, now);
        let remaining = pause * SECOND;
        assert_eq!(endpoint.trust(now), Trust::Cooling { cause: Cause::Failures, remaining });
    }
}

#[test]
fn a_limit_without_a_pause_is_one_failure() {
    let (_, endpoint, now) = health();
    let limited = Failure::RateLimited { retry_after: None };
    for _ in 0..2 {
        fail(&endpoint, limited, now);
        assert_eq!(endpoint.trust(now), Trust::Trusted);
    }
    fail(&endpoint, limited, now);
    assert!(matches!(endpoint.trust(now), Trust::Cooling { .. }));
}

#[test]
fn a_probe_is_alone_for_seconds_and_never_in_the_way_of_the_last_resort() {
    let (_, endpoint, now) = health();
    (0..3).for_each(|_| fail(&endpoint, Failure::Broken, now));
    let _slow = endpoint.begin(now, Resort::Usual).unwrap();
    assert_eq!(endpoint.begin(now, Resort::Usual).unwrap_err(), Refusal::Probing);
    drop(endpoint.begin(now, Resort::Last).unwrap());
    assert_eq!(endpoint.trust(now), Trust::Probing, "the probe goes on");
    let second = endpoint.begin(now + 3 * SECOND, Resort::Usual).unwrap();
    assert!(second.is_probe());
    let mut beside = endpoint.begin(now + 3 * SECOND, Resort::Last).unwrap();
    beside.answered(None, now);
    assert_eq!(endpoint.trust(now), Trust::Trusted);
}

#[test]
fn the_head_of_a_good_answer_ends_a_probe_but_forgives_nothing() {
    let (_, endpoint, now) = health();
    (0..3).for_each(|_| fail(&endpoint, Failure::Broken, now));
    let mut probe = endpoint.begin(now, Resort::Usual).unwrap();
    probe.began_well();
    assert_eq!(endpoint.trust(now), Trust::Trusted);
    probe.failed(Failure::Broken, now, 0);
    let remaining = 2 * SECOND;
    assert_eq!(endpoint.trust(now), Trust::Cooling { cause: Cause::Failures, remaining });
    let mut probe = endpoint.begin(now, Resort::Usual).unwrap();
    probe.began_well();
    probe.answered(None, now);
    fail(&endpoint, Failure::Broken, now);
    assert_eq!(endpoint.trust(now), Trust::Trusted);
}

#[test]
fn a_pause_that_the_provider_asks_for_is_kept() {
    let (_, endpoint, now) = health();
    fail(&endpoint, Failure::RateLimited { retry_after: Some(7 * SECOND) }, now);
    let remaining = 5 * SECOND;
    let later = now + 2 * SECOND;
    assert_eq!(endpoint.trust(later), Trust::Paused { remaining });
    assert_eq!(endpoint.begin(later, Resort::Usual).unwrap_err(), Refusal::Paused { remaining });
    assert_eq!(endpoint.trust(now + 7 * SECOND), Trust::ProbeDue);
}

#[test]
fn a_refused_credential_cools_the_whole_account_and_no_other() {
    let (health, endpoint, now) = health();
    let sibling = health.endpoint(&"p/a".into(), &"other".into());
    let other = health.endpoint(&"p/b".into(), &"m".into());
    fail(&endpoint, Failure::Credential, now);
    assert!(matches!(sibling.trust(now), Trust::Cooling { cause: Cause::Credential, .. }));
    assert_eq!(other.trust(now), Trust::Trusted);
}

#[test]
fn an_old_success_does_not_end_a_cool_down() {
    let (_, endpoint, now) = health();
    let mut old = endpoint.begin(now, Resort::Usual).unwrap();
    (0..3).for_each(|_| fail(&endpoint, Failure::Broken, now));
    old.answered(None, now);
    assert_ne!(endpoint.trust(now), Trust::Trusted);
}

#[test]
fn what_was_observed_is_smoothed_and_grows_old() {
    let (_, endpoint, now) = health();
    assert_eq!(endpoint.first_token(now), None);
    let mut request = endpoint.begin(now, Resort::Usual).unwrap();
    request.answered(Some(Duration::from_millis(100)), now);
    request.answered(Some(Duration::from_millis(200)), now);
    request.streamed(50, 2 * SECOND, now);
    request.streamed(50, Duration::from_millis(10), now);
    assert_eq!(endpoint.first_token(now), Some(Duration::from_millis(120)));
    assert_eq!(endpoint.speed(now), Some(25_000));
    assert_eq!(endpoint.first_token(now + 301 * SECOND), None);
}

#[test]
fn made_up_models_do_not_fill_the_memory() {
    let (health, endpoint, now) = health();
    (0..3).for_each(|_| fail(&endpoint, Failure::Broken, now));
    for n in 0..20_000 {
        health.endpoint(&"p/a".into(), &format!("m{n}").into());
    }
    assert!(health.len() <= MAX_ENDPOINTS);
    let again = health.endpoint(&"p/a".into(), &"m".into());
    assert_ne!(again.trust(now), Trust::Trusted, "what failed is remembered");
}

#[test]
fn time_may_be_anything() {
    let (clock, _) = Clock::manual(Timestamp::default());
    let health = Health::new(clock.instant());
    let endpoint = health.endpoint(&"p".into(), &"m".into());
    fail(&endpoint, Failure::RateLimited { retry_after: Some(Duration::MAX) }, clock.instant());
    assert!(matches!(endpoint.trust(clock.instant()), Trust::Paused { .. }));
}
