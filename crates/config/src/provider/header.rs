//! Which headers may be set by a configuration.

/// Headers that belong to the connection or to the credential.
const TAKEN: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
const CREDENTIALS: &[&str] = &["authorization", "x-api-key", "x-goog-api-key", "api-key"];

/// Checks a header that is sent with every request.
pub(crate) fn check(name: &str, value: &str) -> Result<(), &'static str> {
    check_name(name)?;
    if CREDENTIALS.contains(&name) {
        return Err("a key belongs into `api_key`, its header into `auth`");
    }
    if value.bytes().any(|byte| (byte < 0x20 && byte != b'\t') || byte >= 0x7f) {
        return Err("a header's value is printable ASCII");
    }
    Ok(())
}

/// Checks the name of a header, in lower case.
pub(crate) fn check_name(name: &str) -> Result<(), &'static str> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err("not the name of a header");
    }
    if TAKEN.contains(&name) {
        return Err("the header belongs to the connection and cannot be set");
    }
    Ok(())
}
