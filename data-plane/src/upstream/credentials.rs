//! How an account's secret travels to its provider.

use bitrouter_keys::Secret;
use bitrouter_translate::Dialect;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::table::Auth;

const ANTHROPIC_KEY: HeaderName = HeaderName::from_static("x-api-key");
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const GOOGLE_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

/// The version of the Messages API that is spoken for clients that name none.
const DEFAULT_ANTHROPIC_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

/// The secret holds characters that no header can carry.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the account's secret cannot be sent in a header: it holds a line break or a control character"
)]
pub(crate) struct UnsendableSecret;

/// Puts the secret where the provider looks for it, and the dialect's version where it needs one.
pub(crate) fn authorize(
    headers: &mut HeaderMap,
    dialect: Dialect,
    auth: &Auth,
    secret: Option<&Secret>,
) -> Result<(), UnsendableSecret> {
    if dialect == Dialect::Messages && !headers.contains_key(ANTHROPIC_VERSION) {
        headers.insert(ANTHROPIC_VERSION, DEFAULT_ANTHROPIC_VERSION);
    }
    let Some(secret) = secret.filter(|secret| !secret.is_empty()) else { return Ok(()) };
    let (name, value) = match (auth, dialect) {
        (Auth::Header(name), _) => (name.clone(), sensitive(secret.expose())?),
        (Auth::Bearer, Dialect::ChatCompletions | Dialect::Responses) => {
            (header::AUTHORIZATION, sensitive(&format!("Bearer {}", secret.expose()))?)
        }
        (Auth::Bearer, Dialect::Messages) => (ANTHROPIC_KEY, sensitive(secret.expose())?),
        (Auth::Bearer, Dialect::GenerateContent) => (GOOGLE_KEY, sensitive(secret.expose())?),
    };
    headers.insert(name, value);
    Ok(())
}

fn sensitive(text: &str) -> Result<HeaderValue, UnsendableSecret> {
    let mut value = HeaderValue::from_str(text).map_err(|_| UnsendableSecret)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_has_its_own_place_for_the_secret() {
        let own = Auth::Header(HeaderName::from_static("x-own"));
        let cases = [
            (Dialect::ChatCompletions, &Auth::Bearer, "authorization", "Bearer s"),
            (Dialect::Responses, &Auth::Bearer, "authorization", "Bearer s"),
            (Dialect::Messages, &Auth::Bearer, "x-api-key", "s"),
            (Dialect::GenerateContent, &Auth::Bearer, "x-goog-api-key", "s"),
            (Dialect::ChatCompletions, &own, "x-own", "s"),
        ];
        for (dialect, auth, name, value) in cases {
            let mut headers = HeaderMap::new();
            authorize(&mut headers, dialect, auth, Some(&Secret::new("s".to_owned()))).unwrap();
            assert_eq!(headers[name], value, "{dialect} {auth:?}");
            assert!(headers[name].is_sensitive());
            let version = headers.contains_key(ANTHROPIC_VERSION);
            assert_eq!(version, dialect == Dialect::Messages, "{dialect}");
        }
    }

    #[test]
    fn an_open_server_gets_no_credential_and_a_broken_secret_is_refused() {
        let mut headers = HeaderMap::new();
        authorize(&mut headers, Dialect::ChatCompletions, &Auth::Bearer, None).unwrap();
        assert!(headers.is_empty());
        let broken = Secret::new("a\nb".to_owned());
        let refused =
            authorize(&mut headers, Dialect::ChatCompletions, &Auth::Bearer, Some(&broken));
        assert_eq!(refused, Err(UnsendableSecret));
    }
}
