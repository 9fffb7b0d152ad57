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

/// A database URL or path without its password.
pub(crate) fn database_url(text: &str) -> String {
    match Url::parse(text) {
        Ok(parsed) if parsed.password().is_some() => url(&parsed).to_string(),
        Err(_) if text.contains('@') => REDACTED.to_owned(),
        Ok(_) | Err(_) => text.to_owned(),
    }
}
