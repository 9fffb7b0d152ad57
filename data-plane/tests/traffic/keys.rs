//! What a virtual key may do, and what its holder hears when it may not.

use bitrouter_keys::{DigestKey, VirtualKeySecret};
use bitrouter_proto::v1::{self, Outcome};
use bitrouter_testkit::FakeProvider;
use http::Method;

use crate::harness::{CHAT, GEMINI, MESSAGES, RESPONSES, Router, provider, resource};

const BODY: &str = r#"{"model":"m","messages":[],"input":"x"}"#;

/// A router with two providers of `m` and one key, and the key's secret.
async fn with_key(
    fake: &FakeProvider,
    change: impl FnOnce(&mut v1::VirtualKey),
) -> (Router, String) {
    let secret = VirtualKeySecret::from_entropy([9; 32]);
    let digest = secret.digest(&DigestKey::new([5; 32]));
    let digest = v1::KeyDigest { digest: digest.0.to_vec().into(), not_after_ms: 0 };
    let mut key = v1::VirtualKey {
        digests: vec![digest],
        user_id: "ann".to_owned(),
        ..v1::VirtualKey::default()
    };
    change(&mut key);
    let digest_key = v1::DigestKey { key: vec![5; 32].into() };
    let mut resources = provider("p0", 0, fake, &["m", "n"]);
    resources.extend(provider("p1", 1, fake, &["m"]));
    resources.push(resource(v1::Kind::DigestKey, "1", v1::resource::Spec::DigestKey(digest_key)));
    let id = format!("key_{:032x}", 1);
    resources.push(resource(v1::Kind::VirtualKey, &id, v1::resource::Spec::VirtualKey(key)));
    let router = Router::start(resources, |settings| settings.skip_auth = false).await;
    (router, secret.as_str().to_owned())
}

#[tokio::test]
async fn a_key_is_taken_from_wherever_clients_put_it_and_never_passed_on() {
    let fake = FakeProvider::start().await;
    let (router, secret) = with_key(&fake, |_| {}).await;
    let bearer = format!("Bearer {secret}");
    let query = format!("{GEMINI}?key={secret}");
    let cases = [
        (CHAT, "authorization", bearer.as_str()),
        (MESSAGES, "x-api-key", &secret),
        (GEMINI, "x-goog-api-key", &secret),
        (&query, "accept", "*/*"),
    ];
    for (path, name, value) in cases {
        let got = router.call(Method::POST, path, &[(name, value)], BODY).await;
        assert_eq!(got.status, 200, "{path}: {}", got.text());
    }
    for seen in fake.requests() {
        assert!(!format!("{seen:?}").contains(&secret), "{seen:?}");
    }
    for record in router.records().await {
        assert_eq!(record.key_id, format!("key_{:032x}", 1));
        assert_eq!(record.user_id, "ann");
    }
}

#[tokio::test]
async fn a_key_stays_within_its_models_and_providers() {
    let fake = FakeProvider::start().await;
    let (router, secret) = with_key(&fake, |key| {
        key.models = vec!["m".to_owned()];
        key.providers = vec!["p1".to_owned()];
    })
    .await;
    let key = [("x-api-key", secret.as_str())];
    let got = router.call(Method::POST, CHAT, &key, BODY).await;
    assert_eq!((got.status.as_u16(), got.header("x-bitrouter-provider")), (200, "p1"));
    for model in ["n", "p0:m", "p0:n"] {
        let body = format!(r#"{{"model":"{model}","messages":[]}}"#);
        let got = router.call(Method::POST, CHAT, &key, body).await;
        assert!(matches!(got.status.as_u16(), 403 | 404), "{model}: {}", got.text());
    }
    let listed = router.call(Method::GET, "/v1/models", &key, "").await.json();
    let ids: Vec<_> = listed["data"].as_array().unwrap().iter().map(|it| &it["id"]).collect();
    assert_eq!(ids, ["m"]);
}

#[tokio::test]
async fn a_rate_limit_is_told_in_the_dialect_with_the_time_to_wait() {
    let fake = FakeProvider::start().await;
    let limits = v1::Limits { rpm: 1, ..v1::Limits::default() };
    let (router, secret) = with_key(&fake, |key| key.limits = Some(limits)).await;
    let key = [("x-api-key", secret.as_str())];
    assert_eq!(router.call(Method::POST, CHAT, &key, BODY).await.status, 200);
    for path in [CHAT, RESPONSES, MESSAGES, GEMINI] {
        let got = router.call(Method::POST, path, &key, BODY).await;
        assert_eq!(got.status, 429, "{path}: {}", got.text());
        let wait: u64 = got.header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&wait), "{path}: {wait}");
        assert!(got.json()["error"]["message"].is_string(), "{path}");
    }
    let records = router.records().await;
    let refused = records.iter().filter(|it| it.outcome() == Outcome::Refused).count();
    assert_eq!((records.len(), refused, fake.requests().len()), (5, 4, 1));
}
