//! Counts of tokens as they stand in JSON.
