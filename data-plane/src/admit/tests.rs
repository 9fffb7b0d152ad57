use bitrouter_proto::v1;
use bitrouter_runtime::Clock;
use http::HeaderValue;

use super::*;
use crate::fixtures::{digest, digest_key, key, of_key, secret, table};

type Pairs<'a> = &'a [(&'static str, &'a str)];

fn headers(pairs: Pairs<'_>) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    pairs.iter().map(pair).collect()
}

fn ask(
    table: &RoutingTable,
    pairs: Pairs<'_>,
    query: Option<&str>,
    anonymous: Anonymous,
) -> Result<String, AdmitError> {
    let now = Timestamp::from_millis(1_000);
    let principal = admit(&headers(pairs), query, table, anonymous, now)?;
    Ok(principal.key().map_or_else(|| "local".to_owned(), |key| key.id.to_string()))
}

#[test]
fn a_key_is_found_wherever_clients_put_it() {
    let table = table([digest_key(), of_key(1, key(1))]);
    let secret = secret(1);
    let (text, id) = (secret.as_str(), format!("key_{:032x}", 1));
    let bearer = format!("Bearer {text}");
    let query = format!("alt=sse&key={text}");
    let cases: [(Pairs<'_>, Option<&str>); 6] = [
        (&[("authorization", &bearer)], None),
        (&[("authorization", &bearer.replace("Bearer", "bearer"))], None),
        (&[("x-api-key", text)], None),
        (&[("x-goog-api-key", text)], None),
        (&[], Some(&query)),
        (&[("authorization", "Bearer sk-dummy"), ("x-api-key", text)], None),
    ];
    for (pairs, query) in cases {
        for anonymous in [Anonymous::Refused, Anonymous::Local] {
            let found = ask(&table, pairs, query, anonymous);
            assert_eq!(found.as_ref(), Ok(&id), "{pairs:?} {query:?}");
        }
    }
}

#[test]
fn a_key_that_is_presented_is_always_verified() {
    let table = table([digest_key(), of_key(1, key(1))]);
    let (unknown, mut mistyped) = (secret(2), secret(1).as_str().to_owned());
    mistyped.replace_range(10..11, if &mistyped[10..11] == "A" { "B" } else { "A" });
    for anonymous in [Anonymous::Refused, Anonymous::Local] {
        let found = ask(&table, &[("x-api-key", unknown.as_str())], None, anonymous);
        assert_eq!(found, Err(AdmitError::Unknown));
        let found = ask(&table, &[("x-api-key", &mistyped)], None, anonymous);
        assert!(matches!(found, Err(AdmitError::Malformed(_))), "{found:?}");
    }
}

#[test]
fn what_is_not_ours_counts_as_none() {
    let table = table([digest_key()]);
    let foreign = [("authorization", "Bearer sk-foreign")];
    assert_eq!(ask(&table, &foreign, None, Anonymous::Local).unwrap(), "local");
    assert_eq!(ask(&table, &[], None, Anonymous::Local).unwrap(), "local");
    assert_eq!(ask(&table, &foreign, None, Anonymous::Refused), Err(AdmitError::Foreign));
    assert_eq!(ask(&table, &[], None, Anonymous::Refused), Err(AdmitError::Missing));
    let empty = [("authorization", "Bearer ")];
    assert_eq!(ask(&table, &empty, None, Anonymous::Refused), Err(AdmitError::Missing));
}

#[test]
fn a_key_ends_with_its_time_and_a_rotated_secret_with_its_grace() {
    let expired = v1::VirtualKey { expires_at_ms: 1_000, ..key(1) };
    let graced = v1::KeyDigest { not_after_ms: 999, ..digest(2) };
    let rotated = v1::VirtualKey { digests: vec![digest(3), graced], ..key(2) };
    let table = table([digest_key(), of_key(1, expired), of_key(2, rotated)]);
    let with = |n| ask(&table, &[("x-api-key", secret(n).as_str())], None, Anonymous::Refused);
    assert_eq!(with(1), Err(AdmitError::Expired));
    assert_eq!(with(2), Err(AdmitError::Expired));
    assert!(with(3).is_ok());
}

#[test]
#[ignore = "measures; run with --release or --profile fast"]
fn admission_takes_microseconds() {
    let keys = (0..10_000).map(|n| of_key(n, key(n)));
    let table = table(keys.chain([digest_key()]));
    let headers = headers(&[("authorization", &format!("Bearer {}", secret(77).as_str()))]);
    let clock = Clock::system();
    let mut times: Vec<_> = (0..100_000)
        .map(|_| {
            let start = clock.instant();
            admit(&headers, None, &table, Anonymous::Refused, Timestamp::default()).unwrap();
            clock.instant() - start
        })
        .collect();
    times.sort_unstable();
    println!("p50 {:?}, p99 {:?}", times[times.len() / 2], times[times.len() / 100 * 99]);
}
