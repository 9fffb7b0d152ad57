//! What a provider would ask to be paid for: the usage of every answer that it has given whole and
//! that says what it used.

use std::sync::Arc;

use parking_lot::Mutex;

use super::Usage;

/// Sums over answers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Bill {
    /// How many there were.
    pub answers: u64,
    /// Input tokens, cached ones included.
    pub input: u64,
    /// Output tokens, reasoning included.
    pub output: u64,
}

/// Counts as answers are given. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter(Arc<Mutex<Bill>>);

impl Meter {
    pub(super) fn read(&self) -> Bill {
        *self.0.lock()
    }

    pub(super) fn add(&self, usage: Usage) {
        let mut bill = self.0.lock();
        bill.answers += 1;
        bill.input += usage.input;
        bill.output += usage.output;
    }
}
