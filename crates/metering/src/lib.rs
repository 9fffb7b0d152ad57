//! Money, tokens and prices: the arithmetic of what a request costs.
//!
//! Everything here is pure. Money is an integer number of micro-dollars ([`Micros`]), prices are
//! integer pico-dollars per token ([`PicoUsd`]), token classes never overlap ([`Tokens`]), and a
//! cost is rounded up exactly once per request ([`Price::cost`]). A negative cost, or a price that
//! silently counts as zero, cannot be expressed.

mod money;
mod price;
mod tokens;

pub use money::{Micros, ParseMoneyError, PicoUsd};
pub use price::{Cost, Price, Rates, Tier};
pub use tokens::{TokenClass, Tokens};
