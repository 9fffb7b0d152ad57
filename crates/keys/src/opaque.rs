//! Opaque credentials: a prefix, 32 random bytes and a checksum, as one text.
//!
//! The text exists only where it is minted, shown once, and where a client presents it; everything
//! else works on its [`Digest`]. The checksum tells a mistyped credential from an unknown one without
//! looking anything up. `docs/keys.md` has the format with a test vector.

use std::{fmt, marker::PhantomData};

use aws_lc_rs::{
    hkdf, hmac,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::{Digest, DigestKey};

/// What every virtual key starts with.
pub const VIRTUAL_KEY_PREFIX: &str = "brvk_";

/// What every admin token starts with.
pub const ADMIN_TOKEN_PREFIX: &str = "bradm_";

/// Binds the derived key pair to its purpose.
const KEY_PAIR_INFO: &[u8] = b"bitrouter/virtual-key/ed25519/v1";

const ENTROPY_BYTES: usize = 32;
const BODY_CHARS: usize = 43;
const CHECKSUM_CHARS: usize = 6;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The kinds of opaque credentials. Closed: there are [`VirtualKey`] and [`Admin`].
pub trait Kind: sealed::Sealed {
    /// What the text starts with.
    const PREFIX: &'static str;
}

/// Marks what model traffic is let in with.
#[derive(Clone, Copy, Debug)]
pub enum VirtualKey {}

/// Marks what the admin API is used with.
#[derive(Clone, Copy, Debug)]
pub enum Admin {}

impl Kind for VirtualKey {
    const PREFIX: &'static str = VIRTUAL_KEY_PREFIX;
}

impl Kind for Admin {
    const PREFIX: &'static str = ADMIN_TOKEN_PREFIX;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::VirtualKey {}
    impl Sealed for super::Admin {}
}

/// The secret of a virtual key: `brvk_…`.
pub type VirtualKeySecret = Opaque<VirtualKey>;

/// The secret of an admin token: `bradm_…`.
pub type AdminToken = Opaque<Admin>;

/// A well-formed opaque credential: never shown by `Debug`, wiped from memory when dropped.
pub struct Opaque<K> {
    text: Zeroizing<String>,
    entropy: Zeroizing<[u8; ENTROPY_BYTES]>,
    kind: PhantomData<K>,
}

/// The text is not a well-formed credential of the kind that was asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// It is another kind of credential, or none of ours.
    #[error("the credential does not start with `{expected}`")]
    Prefix {
        /// What it should have started with.
        expected: &'static str,
    },
    /// Something was cut off or added.
    #[error("the credential must have {expected} characters, it has {found}")]
    Length {
        /// How many characters the kind has.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// Only ASCII letters, digits, `-` and `_` occur, and the checksum has letters and digits only.
    #[error("the credential holds a character that never occurs in one")]
    Character,
    /// Something was mistyped.
    #[error("the credential's checksum does not match: copy it again")]
    Checksum,
    /// Its last bits are set although they carry nothing, so that one secret would have many texts.
    #[error("the credential is not in its canonical form")]
    NotCanonical,
}

impl<K: Kind> Opaque<K> {
    /// How many characters the text of this kind has.
    pub const LENGTH: usize = K::PREFIX.len() + BODY_CHARS + CHECKSUM_CHARS;

    /// Makes the credential of these bytes, which must come from a cryptographic random source.
    pub fn from_entropy(entropy: [u8; ENTROPY_BYTES]) -> Self {
        // Sized at once: a string that grows leaves copies behind that nobody wipes.
        let mut text = Zeroizing::new(String::with_capacity(Self::LENGTH));
        text.push_str(K::PREFIX);
        BASE64_URL_SAFE_NO_PAD.encode_string(entropy, &mut text);
        let checksum = checksum_of(&text);
        text.extend(checksum.map(char::from));
        Self { text, entropy: Zeroizing::new(entropy), kind: PhantomData }
    }

    /// Reads a credential. Tells what is wrong without quoting any of it.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let rest = text.strip_prefix(K::PREFIX).ok_or(KeyError::Prefix { expected: K::PREFIX })?;
        if !rest.is_ascii() {
            return Err(KeyError::Character);
        }
        if text.len() != Self::LENGTH {
            return Err(KeyError::Length { expected: Self::LENGTH, found: text.len() });
        }
        let (body, checksum) = rest.split_at(BODY_CHARS);
        let is_alphanumeric = |byte: u8| byte.is_ascii_alphanumeric();
        if !body.bytes().all(is_body_char) || !checksum.bytes().all(is_alphanumeric) {
            return Err(KeyError::Character);
        }
        if checksum.as_bytes() != checksum_of(&text[..K::PREFIX.len() + BODY_CHARS]) {
            return Err(KeyError::Checksum);
        }
        let mut entropy = Zeroizing::new([0; ENTROPY_BYTES]);
        BASE64_URL_SAFE_NO_PAD
            .decode_slice(body, entropy.as_mut_slice())
            .map_err(|_| KeyError::NotCanonical)?;
        Ok(Self { text: Zeroizing::new(text.to_owned()), entropy, kind: PhantomData })
    }

    /// The whole text, to be shown once or sent.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The last four characters, by which people recognise a credential in a list. They belong to the
    /// checksum and give away at most 24 of 256 bits.
    pub fn last4(&self) -> &str {
        &self.text[Self::LENGTH - 4..]
    }

    /// What is stored and looked up instead of the text.
    pub fn digest(&self, key: &DigestKey) -> Digest {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose());
        let tag = hmac::sign(&key, self.text.as_bytes());
        let mut digest = [0; 32];
        digest.copy_from_slice(tag.as_ref());
        Digest(digest)
    }
}

impl VirtualKeySecret {
    /// The public half of the Ed25519 key pair that belongs to the key. It is stored with the key, so
    /// that what the key's holder signs can be verified by those who do not know the secret.
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "both fail only on lengths, which are constants here"
    )]
    pub fn public_key(&self) -> [u8; 32] {
        let mut seed = Zeroizing::new([0; 32]);
        hkdf::Salt::new(hkdf::HKDF_SHA256, &[])
            .extract(self.entropy.as_slice())
            .expand(&[KEY_PAIR_INFO], hkdf::HKDF_SHA256)
            .and_then(|output| output.fill(seed.as_mut_slice()))
            .expect("32 bytes are one block of HKDF-SHA-256");
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice())
            .expect("any 32 bytes are a seed of Ed25519");
        let mut public = [0; 32];
        public.copy_from_slice(pair.public_key().as_ref());
        public
    }
}

impl<K> Clone for Opaque<K> {
    fn clone(&self) -> Self {
        Self { text: self.text.clone(), entropy: self.entropy.clone(), kind: PhantomData }
    }
}

impl<K: Kind> fmt::Debug for Opaque<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", K::PREFIX)
    }
}

const fn is_body_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// CRC-32 of the text as six base-62 digits, the most significant first.
fn checksum_of(text: &str) -> [u8; CHECKSUM_CHARS] {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECKSUM_CHARS];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[rest as usize % BASE62.len()];
        rest /= 62;
    }
    digits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error_of(text: &str) -> Option<KeyError> {
        VirtualKeySecret::parse(text).err()
    }

    #[test]
    fn each_fault_is_told_apart() {
        let key = VirtualKeySecret::from_entropy([7; 32]);
        let text = key.as_str();
        let admin = AdminToken::from_entropy([7; 32]);
        let swapped = format!("{}{}", &text[..48], "000000");
        let with = |at: usize, with: char| {
            let mut chars: Vec<char> = text.chars().collect();
            chars[at] = with;
            chars.into_iter().collect::<String>()
        };
        let length = |found| Some(KeyError::Length { expected: 54, found });
        let cases = [
            ("itself", text.to_owned(), None),
            ("nothing", String::new(), Some(KeyError::Prefix { expected: "brvk_" })),
            (
                "another kind",
                admin.as_str().to_owned(),
                Some(KeyError::Prefix { expected: "brvk_" }),
            ),
            (
                "a provider's key",
                "sk-proj-123".to_owned(),
                Some(KeyError::Prefix { expected: "brvk_" }),
            ),
            ("only the prefix", "brvk_".to_owned(), length(5)),
            ("cut short", text[..53].to_owned(), length(53)),
            ("a line end", format!("{text}\n"), length(55)),
            ("a space inside", with(9, ' '), Some(KeyError::Character)),
            ("as many characters, not all ASCII", with(9, 'é'), Some(KeyError::Character)),
            ("padding", with(47, '='), Some(KeyError::Character)),
            ("the other base64 alphabet", with(9, '+'), Some(KeyError::Character)),
            ("a dash in the checksum", with(50, '-'), Some(KeyError::Character)),
            ("another checksum", swapped, Some(KeyError::Checksum)),
        ];
        for (case, text, expected) in cases {
            assert_eq!(error_of(&text), expected, "{case}");
        }
    }

    #[test]
    fn a_multi_byte_character_is_no_reason_to_panic() {
        // As many bytes as a key has, and a character that lies across the border of body and checksum.
        let text = format!("brvk_{}é{}", "A".repeat(42), "A".repeat(5));
        assert_eq!(text.len(), VirtualKeySecret::LENGTH);
        assert_eq!(error_of(&text), Some(KeyError::Character));
    }

    #[test]
    fn bits_that_carry_nothing_must_be_zero() {
        let body = format!("brvk_{}B", "A".repeat(42));
        let checksum = checksum_of(&body).map(char::from);
        let text = format!("{body}{}", checksum.iter().collect::<String>());
        assert_eq!(error_of(&text), Some(KeyError::NotCanonical));
    }

    #[test]
    fn debug_shows_nothing_of_the_secret() {
        let key = VirtualKeySecret::from_entropy([7; 32]);
        assert_eq!(format!("{key:?}"), "brvk_…");
        assert_eq!(format!("{:?}", AdminToken::from_entropy([7; 32])), "bradm_…");
    }

    proptest! {
        #[test]
        fn parsing_gives_back_what_was_made(entropy: [u8; 32]) {
            let key = VirtualKeySecret::from_entropy(entropy);
            let read = VirtualKeySecret::parse(key.as_str()).unwrap();
            prop_assert_eq!(read.as_str(), key.as_str());
            prop_assert_eq!(&*read.entropy, &entropy);
            prop_assert_eq!(read.public_key(), key.public_key());
            prop_assert!(key.as_str().ends_with(key.last4()));
            let token = AdminToken::from_entropy(entropy);
            let read = AdminToken::parse(token.as_str()).unwrap();
            prop_assert_eq!(read.as_str(), token.as_str());
        }

        #[test]
        fn any_changed_character_is_noticed(entropy: [u8; 32], at in 0_usize..54, to in "[0-9A-Za-z_-]") {
            let key = VirtualKeySecret::from_entropy(entropy);
            let mut text = key.as_str().to_owned();
            prop_assume!(text[at..=at] != to);
            text.replace_range(at..=at, &to);
            prop_assert!(VirtualKeySecret::parse(&text).is_err());
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*", tail in "(brvk_)?\\PC{40,60}") {
            prop_assert!(VirtualKeySecret::parse(&text).is_err());
            prop_assert!(VirtualKeySecret::parse(&tail).is_err());
        }
    }
}
