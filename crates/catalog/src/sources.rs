//! The data files.
