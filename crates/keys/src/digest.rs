//! Keyed digests: what is stored and looked up instead of an opaque credential.
//!
//! Comparing digests needs no constant time: whoever measures how much of a digest matched cannot use
//! it, since they cannot choose the digest of what they send without knowing the [`DigestKey`].

use std::{fmt, str::FromStr};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use zeroize::ZeroizeOnDrop;

/// The installation's secret that digests are made with. Whoever can write to the database but does
/// not know it cannot plant the digest of a credential of their own.
#[derive(Clone, ZeroizeOnDrop)]
pub struct DigestKey([u8; 32]);

impl DigestKey {
    /// Takes the bytes, which must come from a cryptographic random source.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Gives the bytes out, to be sealed or sent to a data plane.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey(…)")
    }
}

/// The HMAC-SHA-256 of a credential's text. As text, it is 43 base64url characters.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&BASE64_URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        match BASE64_URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(32) => Ok(Self(bytes)),
            Ok(_) | Err(_) => Err(DigestError),
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// The text is not that of a digest.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a digest: expected 43 base64url characters without padding")]
pub struct DigestError;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VirtualKeySecret;

    #[test]
    fn the_text_form_is_read_back() {
        let digest = Digest([0xA5; 32]);
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for text in [
            "",
            "AAAA",
            &"A".repeat(44),
            &"A".repeat(42),
            &format!("{}B", "A".repeat(42)),
            &"é".repeat(22),
        ] {
            assert_eq!(text.parse::<Digest>(), Err(DigestError), "{text}");
        }
    }

    #[test]
    fn another_key_gives_another_digest() {
        let secret = VirtualKeySecret::from_entropy([1; 32]);
        let digest = secret.digest(&DigestKey::new([2; 32]));
        assert_eq!(digest, secret.digest(&DigestKey::new([2; 32])));
        assert_ne!(digest, secret.digest(&DigestKey::new([3; 32])));
    }

    #[test]
    fn debug_shows_nothing_of_the_key() {
        assert_eq!(format!("{:?}", DigestKey::new([9; 32])), "DigestKey(…)");
    }
}
