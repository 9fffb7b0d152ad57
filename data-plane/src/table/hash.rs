//! The hash by which both planes know that they hold the same: kept up with every change.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};

use super::{Kind, ResourceRef, Revision};

/// The XOR over all resources of a hash of kind, id and version; see `discovery.proto`.
#[derive(Clone, Copy, Default, Eq, Hash, PartialEq)]
pub struct StateHash([u8; 32]);

impl StateHash {
    /// As it travels.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Adds a resource that was not part of it, or takes out one that was.
    pub(super) fn toggle(&mut self, reference: &ResourceRef, version: Revision) {
        let mut one = Context::new(&SHA256);
        let length = u32::try_from(reference.id.len()).unwrap_or(u32::MAX);
        one.update(&reference.kind.number().to_be_bytes());
        one.update(&length.to_be_bytes());
        one.update(reference.id.as_bytes());
        one.update(&version.0.to_be_bytes());
        for (byte, other) in self.0.iter_mut().zip(one.finish().as_ref()) {
            *byte ^= other;
        }
    }
}

impl fmt::Debug for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Kind {
    /// Its number on the wire.
    pub const fn number(self) -> i32 {
        match self {
            Self::Provider => 1,
            Self::Account => 2,
            Self::Route => 3,
            Self::Preset => 4,
            Self::Variant => 5,
            Self::VirtualKey => 6,
            Self::DigestKey => 7,
            Self::Unknown(number) => number,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(id: &str) -> ResourceRef {
        ResourceRef { kind: Kind::Route, id: id.into() }
    }

    #[test]
    fn order_does_not_matter_and_everything_else_does() {
        let mut one = StateHash::default();
        one.toggle(&reference("a"), Revision(1));
        one.toggle(&reference("b"), Revision(2));
        let mut other = StateHash::default();
        other.toggle(&reference("b"), Revision(2));
        other.toggle(&reference("a"), Revision(1));
        assert_eq!(one, other);
        other.toggle(&reference("a"), Revision(1));
        other.toggle(&reference("a"), Revision(3));
        assert_ne!(one, other);
    }

    #[test]
    fn an_empty_table_hashes_to_zeroes() {
        let mut hash = StateHash::default();
        hash.toggle(&reference("a"), Revision(1));
        hash.toggle(&reference("a"), Revision(1));
        assert_eq!(hash.as_bytes(), &[0; 32]);
    }
}
