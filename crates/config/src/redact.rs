//! Leaves secrets out of what is shown.

use url::Url;

/// The URL without user name and password.
pub(crate) fn url(url: &Url) -> Url {
    let mut shown = url.clone();
    if !shown.username().is_empty() || shown.password().is_some() {
        // Fails only for URLs that cannot hold a credential at all.
        let _ = shown.set_username("redacted");
        let _ = shown.set_password(None);
    }
    shown
}

/// True if a header of this name usually carries a secret.
pub(crate) fn is_secret_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["authorization", "cookie", "key", "secret", "token", "password", "signature"]
        .iter()
        .any(|word| name.contains(word))
}

/// What stands in the place of a secret.
pub(crate) const REDACTED: &str = "[redacted]";

/// A database URL without its password and its parameters' secrets.
pub(crate) fn database_url(text: &str) -> String {
    let Ok(parsed) = Url::parse(text) else {
        let may_hold_one = text.contains(['@', '?']);
        return if may_hold_one { REDACTED.to_owned() } else { text.to_owned() };
    };
    let mut shown = if parsed.password().is_some() { url(&parsed) } else { parsed.clone() };
    if parsed.query_pairs().any(|(name, _)| is_secret_header(&name)) {
        let pairs = parsed.query_pairs().map(|(name, value)| {
            let value = if is_secret_header(&name) { REDACTED.into() } else { value };
            (name, value)
        });
        shown.query_pairs_mut().clear().extend_pairs(pairs);
    }
    shown.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_url_is_shown_without_secrets() {
        let cases = [
            "postgres://u:hush@h/db",
            "postgres://h/db?user=u&password=hush",
            "postgres://h/db?PASSWORD=hush&sslmode=require",
            "postgres://u:hu sh@h:port/db",
            "postgres://h:port/db?password=hush",
        ];
        for text in cases {
            let shown = database_url(text);
            assert!(!shown.contains("hush") && !shown.contains("hu%20sh"), "{shown}");
        }
        for text in ["sqlite:bitrouter.db", "postgres://h/db?sslmode=require"] {
            assert_eq!(database_url(text), text);
        }
    }
}
