//! Holds the code to the test vector that the documentation publishes.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bitrouter_keys::{AdminToken, DigestKey, VirtualKeySecret};

const DOCUMENT: &str = include_str!("../../../docs/keys.md");

/// The value in the row of the document's table that is called `name`.
fn value(name: &str) -> &'static str {
    DOCUMENT
        .lines()
        .find_map(|line| line.strip_prefix(&format!("| {name} | `"))?.strip_suffix("` |"))
        .unwrap_or_else(|| panic!("docs/keys.md has no row `{name}`"))
}

fn bytes(name: &str) -> [u8; 32] {
    let hex = value(name);
    std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
}

#[test]
fn a_virtual_key_is_as_documented() {
    let key = VirtualKeySecret::from_entropy(bytes("the 32 random bytes"));
    assert_eq!(key.as_str(), value("virtual key"));
    assert_eq!(key.last4(), &value("virtual key")[50..]);
    let digest = key.digest(&DigestKey::new(bytes("digest key")));
    assert_eq!(digest.to_string(), value("digest of the virtual key"));
    let public = BASE64_URL_SAFE_NO_PAD.encode(key.public_key());
    assert_eq!(public, value("public key of the virtual key"));
}

#[test]
fn an_admin_token_is_as_documented() {
    let token = AdminToken::from_entropy(bytes("the 32 random bytes"));
    assert_eq!(token.as_str(), value("admin token"));
    let digest = token.digest(&DigestKey::new(bytes("digest key")));
    assert_eq!(digest.to_string(), value("digest of the admin token"));
}

#[test]
fn the_documented_lengths_hold() {
    assert_eq!((VirtualKeySecret::LENGTH, AdminToken::LENGTH), (54, 55));
    assert!(DOCUMENT.contains("a virtual key has 54 characters and an admin token 55"));
}
