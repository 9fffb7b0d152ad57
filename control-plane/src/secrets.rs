//! Sealing of secrets: each is encrypted with a key of its own, which is wrapped with a sealing key.
//!
//! A sealed secret names its sealing key, so that several can be in use while they are rotated. It
//! opens only in the place that it was sealed for: nobody who can write to the database can move it
//! elsewhere. All cryptography is AES-256-GCM of aws-lc-rs.

mod key_file;

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    digest::{SHA256, digest},
    rand,
};
use zeroize::Zeroizing;

pub use key_file::KeyFileError;

const KEY_LEN: usize = 32;

/// The sealing keys of an installation: one that seals, and older ones that still open.
pub struct SealingKeys {
    /// The first seals.
    keys: Vec<SealingKey>,
}

struct SealingKey {
    id: String,
    bytes: Zeroizing<[u8; KEY_LEN]>,
}

/// Where a sealed secret belongs. It opens nowhere else.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// What kind of secret it is.
    pub scope: &'a str,
    /// The id of what it belongs to.
    pub row: &'a str,
    /// Which of its secrets.
    pub field: &'a str,
    /// Counts the secrets that were here.
    pub version: u64,
}

/// A sealed secret, as it is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sealed {
    /// The sealing key that wraps `dek`.
    pub kek_id: String,
    /// The secret's own key, wrapped.
    pub dek: Vec<u8>,
    /// The secret, encrypted with its own key.
    pub body: Vec<u8>,
}

/// Why a secret was not sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The sealing key is not among those at hand.
    #[error("sealing key `{0}` is not here; put the key file back")]
    KekAbsent(String),
    /// The secret was changed, moved, or sealed with another key of the same id.
    #[error("a sealed secret was tampered with, or belongs elsewhere")]
    Refused,
    /// The cryptographic library failed.
    #[error("the cryptographic library failed")]
    Crypto,
}

impl SealingKeys {
    /// Takes one key.
    pub fn from_bytes(bytes: [u8; KEY_LEN]) -> Self {
        Self { keys: vec![SealingKey::new(bytes)] }
    }

    /// Draws a key.
    pub fn generate() -> Result<Self, SealError> {
        Ok(Self { keys: vec![SealingKey::generate()?] })
    }

    /// Puts a newly drawn key first; the others still open what they sealed. Save the keys before
    /// anything is sealed with it.
    pub fn rotate(&mut self) -> Result<(), SealError> {
        self.keys.insert(0, SealingKey::generate()?);
        Ok(())
    }

    /// The id of the key that seals.
    pub fn current_id(&self) -> &str {
        self.keys.first().map_or("", |key| &key.id)
    }

    /// True if this key is at hand.
    pub fn has(&self, kek_id: &str) -> bool {
        self.keys.iter().any(|key| key.id == kek_id)
    }

    /// Seals a secret for a place.
    pub fn seal(&self, place: Place<'_>, secret: &[u8]) -> Result<Sealed, SealError> {
        let kek = self.keys.first().ok_or(SealError::Crypto)?;
        let dek = random_key()?;
        let dek_place = place.aad("dek");
        Ok(Sealed {
            kek_id: kek.id.clone(),
            body: encrypt(&dek, &place.aad("body"), secret)?,
            dek: encrypt(&kek.bytes, &dek_place, dek.as_slice())?,
        })
    }

    /// Opens a secret in its place.
    pub fn open(&self, place: Place<'_>, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let dek = self.unwrap_dek(place, sealed)?;
        decrypt(&dek, &place.aad("body"), &sealed.body)
    }

    /// The secret wrapped with the current key; `None` if it is already.
    pub fn rewrap(&self, place: Place<'_>, sealed: &Sealed) -> Result<Option<Sealed>, SealError> {
        let kek = self.keys.first().ok_or(SealError::Crypto)?;
        if sealed.kek_id == kek.id {
            return Ok(None);
        }
        let dek = self.unwrap_dek(place, sealed)?;
        Ok(Some(Sealed {
            kek_id: kek.id.clone(),
            dek: encrypt(&kek.bytes, &place.aad("dek"), dek.as_slice())?,
            body: sealed.body.clone(),
        }))
    }

    fn unwrap_dek(
        &self,
        place: Place<'_>,
        sealed: &Sealed,
    ) -> Result<Zeroizing<[u8; KEY_LEN]>, SealError> {
        let kek = self
            .keys
            .iter()
            .find(|key| key.id == sealed.kek_id)
            .ok_or_else(|| SealError::KekAbsent(sealed.kek_id.clone()))?;
        let dek = decrypt(&kek.bytes, &place.aad("dek"), &sealed.dek)?;
        let dek: [u8; KEY_LEN] = dek.as_slice().try_into().map_err(|_| SealError::Refused)?;
        Ok(Zeroizing::new(dek))
    }
}

impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.id)).finish()
    }
}

impl SealingKey {
    fn new(bytes: [u8; KEY_LEN]) -> Self {
        let bytes = Zeroizing::new(bytes);
        Self { id: key_id(&bytes), bytes }
    }

    fn generate() -> Result<Self, SealError> {
        random_key().map(|bytes| Self { id: key_id(&bytes), bytes })
    }
}

impl Place<'_> {
    /// Parts are counted, so that no two places give the same bytes.
    fn aad(&self, part: &str) -> Vec<u8> {
        let version = self.version.to_string();
        let mut aad = b"bitrouter sealed v1".to_vec();
        for text in [part, self.scope, self.row, self.field, &version] {
            aad.extend_from_slice(&(text.len() as u64).to_be_bytes());
            aad.extend_from_slice(text.as_bytes());
        }
        aad
    }
}

/// A key's id says nothing about the key, and is the same wherever the key is.
fn key_id(bytes: &[u8; KEY_LEN]) -> String {
    let labelled = Zeroizing::new([b"bitrouter sealing key id".as_slice(), bytes].concat());
    digest(&SHA256, &labelled).as_ref()[..8].iter().fold(String::new(), |mut id, byte| {
        use fmt::Write as _;
        let _ = write!(id, "{byte:02x}");
        id
    })
}

fn random_key() -> Result<Zeroizing<[u8; KEY_LEN]>, SealError> {
    let mut bytes = Zeroizing::new([0; KEY_LEN]);
    rand::fill(bytes.as_mut_slice()).map_err(|_| SealError::Crypto)?;
    Ok(bytes)
}

/// Gives nonce, ciphertext and tag in one piece.
fn encrypt(key: &[u8; KEY_LEN], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
    let key = RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| SealError::Crypto)?;
    let mut body = plain.to_vec();
    let nonce =
        key.seal_in_place_append_tag(Aad::from(aad), &mut body).map_err(|_| SealError::Crypto)?;
    Ok([nonce.as_ref().as_slice(), &body].concat())
}

fn decrypt(
    key: &[u8; KEY_LEN],
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let key = RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| SealError::Crypto)?;
    let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or(SealError::Refused)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Refused)?;
    let mut body = Zeroizing::new(body.to_vec());
    let length = key
        .open_in_place(nonce, Aad::from(aad), body.as_mut_slice())
        .map_err(|_| SealError::Refused)?
        .len();
    body.truncate(length);
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'_> =
        Place { scope: "account", row: "openai/main", field: "secret", version: 3 };

    #[test]
    fn a_secret_opens_only_in_its_place() {
        let keys = SealingKeys::from_bytes([7; KEY_LEN]);
        let sealed = keys.seal(PLACE, b"sk-secret").unwrap();
        assert_eq!(keys.open(PLACE, &sealed).unwrap().as_slice(), b"sk-secret");
        let elsewhere = [
            Place { scope: "digest_key", ..PLACE },
            Place { row: "openai/other", ..PLACE },
            Place { field: "other", ..PLACE },
            Place { version: 2, ..PLACE },
        ];
        for place in elsewhere {
            assert!(matches!(keys.open(place, &sealed), Err(SealError::Refused)), "{place:?}");
        }
    }

    #[test]
    fn a_changed_secret_is_refused() {
        let keys = SealingKeys::from_bytes([7; KEY_LEN]);
        let sealed = keys.seal(PLACE, b"sk-secret").unwrap();
        let mut body = sealed.clone();
        body.body[NONCE_LEN] ^= 1;
        let mut dek = sealed;
        dek.dek.truncate(5);
        for bad in [body, dek] {
            assert!(matches!(keys.open(PLACE, &bad), Err(SealError::Refused)));
        }
    }

    #[test]
    fn a_rotated_key_still_opens_and_rewrapping_retires_it() {
        let mut keys = SealingKeys::from_bytes([7; KEY_LEN]);
        let old = keys.seal(PLACE, b"sk-secret").unwrap();
        keys.rotate().unwrap();
        assert_eq!(keys.open(PLACE, &old).unwrap().as_slice(), b"sk-secret");
        let new = keys.rewrap(PLACE, &old).unwrap().unwrap();
        assert_eq!(new.kek_id, keys.current_id());
        assert_eq!(new.body, old.body);
        assert_eq!(keys.open(PLACE, &new).unwrap().as_slice(), b"sk-secret");
        assert_eq!(keys.rewrap(PLACE, &new).unwrap(), None);
    }

    #[test]
    fn a_missing_key_is_named() {
        let sealed = SealingKeys::from_bytes([7; KEY_LEN]).seal(PLACE, b"x").unwrap();
        let error = SealingKeys::from_bytes([8; KEY_LEN]).open(PLACE, &sealed).unwrap_err();
        assert!(matches!(&error, SealError::KekAbsent(id) if *id == sealed.kek_id));
    }
}
