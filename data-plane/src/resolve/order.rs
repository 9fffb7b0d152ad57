//! The order in which candidates are tried.

use std::fmt;

use crate::table::{Sort, Strategy};

/// Why a candidate stands at its place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Placed {
    /// From zero.
    pub place: usize,
    /// What put it there.
    pub by: By,
}

/// What orders candidates.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum By {
    /// The request named its provider.
    Pinned,
    /// A bare name: the providers' priority.
    Cascade,
    /// The route's strategy.
    Strategy(Strategy),
    /// A preset's or a variant's wish.
    Sort(Sort),
    /// It is cooling down, and comes after everything that is not.
    CoolingDown,
    /// Its cool-down is over; this request finds out.
    Probe,
}

impl By {
    /// Its name in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pinned => "pinned",
            Self::Cascade => "cascade",
            Self::Strategy(strategy) => strategy.as_str(),
            Self::Sort(Sort::Price) => "sort: price",
            Self::Sort(Sort::Latency) => "sort: latency",
            Self::Sort(Sort::Throughput) => "sort: throughput",
            Self::CoolingDown => "cooling down, tried last",
            Self::Probe => "probe after a cool-down",
        }
    }
}

impl fmt::Display for Placed {
    /// As `first by priority`, `third by sort: price`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            0 => f.write_str("first")?,
            1 => f.write_str("second")?,
            2 => f.write_str("third")?,
            more => write!(f, "number {}", more + 1)?,
        }
        write!(f, " by {}", self.by.as_str())
    }
}
