//! Amounts of money: [`Micros`] for what is spent, [`PicoUsd`] for what one token costs.

use std::{fmt, iter::Sum, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An amount in micro-dollars (10⁻⁶ USD), the unit of costs and budgets. Never negative.
///
/// Sums saturate: an installation that spends more than nine trillion dollars stays at the limit.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Deserialize,
    Eq,
    Hash,
    JsonSchema,
    Ord,
    PartialEq,
    PartialOrd,
    Serialize,
)]
#[serde(try_from = "i64", into = "i64")]
#[schemars(with = "u64")]
pub struct Micros(i64);

impl Micros {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount.
    pub const MAX: Self = Self(i64::MAX);

    /// Makes an amount from micro-dollars, or `None` if the number is negative.
    pub const fn new(micros: i64) -> Option<Self> {
        if micros < 0 { None } else { Some(Self(micros)) }
    }

    /// Makes an amount from micro-dollars, stopping at [`Self::MAX`].
    pub fn saturating_from(micros: u128) -> Self {
        i64::try_from(micros).map_or(Self::MAX, Self)
    }

    /// The amount in micro-dollars.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Adds, stopping at [`Self::MAX`].
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Subtracts, stopping at zero.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        if self.0 > other.0 { Self(self.0 - other.0) } else { Self::ZERO }
    }
}

impl TryFrom<i64> for Micros {
    type Error = ParseMoneyError;

    fn try_from(micros: i64) -> Result<Self, Self::Error> {
        Self::new(micros).ok_or(ParseMoneyError::Negative)
    }
}

impl From<Micros> for i64 {
    fn from(amount: Micros) -> Self {
        amount.0
    }
}

impl Sum for Micros {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::saturating_add)
    }
}

/// Shows dollars: at least two decimals, at most six, as many as the amount needs.
impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dollars, micros) = (self.0 / 1_000_000, self.0 % 1_000_000);
        let digits = format!("{micros:06}");
        let shown = digits.trim_end_matches('0').len().max(2);
        f.pad(&format!("{dollars}.{}", &digits[..shown]))
    }
}

/// Reads dollars, as people write them: `5`, `5.00`, `$0.25`. More than six decimals are refused.
impl FromStr for Micros {
    type Err = ParseMoneyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let text = text.strip_prefix('$').unwrap_or(text);
        let micros = parse_decimal(text, 6)?;
        i64::try_from(micros).map(Self).map_err(|_| ParseMoneyError::TooLarge)
    }
}

/// A price in pico-dollars (10⁻¹² USD), the unit of what one token costs.
///
/// A price list's "USD per million tokens" is this number divided by a million, so that $0.01 per
/// million tokens is still an integer (10,000).
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Deserialize,
    Eq,
    Hash,
    JsonSchema,
    Ord,
    PartialEq,
    PartialOrd,
    Serialize,
)]
#[serde(transparent)]
pub struct PicoUsd(pub u64);

impl PicoUsd {
    /// Reads "USD per million tokens", as price lists write it (`0.075`, `15`); also micro-dollars
    /// per token, which is the same number. At most six decimals.
    pub fn parse_usd_per_million(text: &str) -> Result<Self, ParseMoneyError> {
        let pico = parse_decimal(text.trim(), 6)?;
        u64::try_from(pico).map(Self).map_err(|_| ParseMoneyError::TooLarge)
    }

    /// Reads dollars (for a price per request), to the pico-dollar.
    pub fn parse_usd(text: &str) -> Result<Self, ParseMoneyError> {
        let pico = parse_decimal(text.trim(), 12)?;
        u64::try_from(pico).map(Self).map_err(|_| ParseMoneyError::TooLarge)
    }

    /// The price as "USD per million tokens", exactly.
    pub fn usd_per_million(self) -> String {
        let (whole, part) = (self.0 / 1_000_000, self.0 % 1_000_000);
        let digits = format!("{part:06}");
        let shown = digits.trim_end_matches('0').len().max(2);
        format!("{whole}.{}", &digits[..shown])
    }
}

/// Why a text is not an amount of money.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseMoneyError {
    /// The text is not a plain decimal number.
    #[error("not a decimal number")]
    NotANumber,
    /// Amounts and prices are never negative.
    #[error("must not be negative")]
    Negative,
    /// The number has more decimals than the unit can hold.
    #[error("has more decimals than can be kept exactly")]
    TooPrecise,
    /// The number does not fit.
    #[error("is too large")]
    TooLarge,
}

/// Reads a decimal number as an integer scaled by `10^scale`, without passing through a float.
/// Exponents are accepted, since serialisers write small prices as `1e-7`.
fn parse_decimal(text: &str, scale: i32) -> Result<u128, ParseMoneyError> {
    if text.starts_with('-') {
        return Err(ParseMoneyError::Negative);
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            (mantissa, exponent.parse::<i32>().map_err(|_| ParseMoneyError::NotANumber)?)
        }
        None => (text, 0),
    };
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{part}");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ParseMoneyError::NotANumber);
    }
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Ok(0);
    }
    let decimals = i32::try_from(part.len()).map_err(|_| ParseMoneyError::TooPrecise)?;
    let shift = scale
        .checked_add(exponent)
        .and_then(|shift| shift.checked_sub(decimals))
        .ok_or(ParseMoneyError::TooLarge)?;
    if shift >= 0 {
        let value = digits.parse::<u128>().map_err(|_| ParseMoneyError::TooLarge)?;
        let factor = u32::try_from(shift).ok().and_then(|shift| 10_u128.checked_pow(shift));
        return factor
            .and_then(|factor| value.checked_mul(factor))
            .ok_or(ParseMoneyError::TooLarge);
    }
    let dropped = usize::try_from(-i64::from(shift)).map_err(|_| ParseMoneyError::TooPrecise)?;
    let kept = digits.len().checked_sub(dropped).ok_or(ParseMoneyError::TooPrecise)?;
    if digits[kept..].bytes().any(|b| b != b'0') {
        return Err(ParseMoneyError::TooPrecise);
    }
    if kept == 0 {
        return Ok(0);
    }
    digits[..kept].parse().map_err(|_| ParseMoneyError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_read_and_shown_exactly() {
        let cases = [
            ("5", 5_000_000, "5.00"),
            ("5.00", 5_000_000, "5.00"),
            ("$0.25", 250_000, "0.25"),
            ("0.000001", 1, "0.000001"),
            ("1e-6", 1, "0.000001"),
            ("12.3456", 12_345_600, "12.3456"),
            ("0", 0, "0.00"),
            ("1.10000000", 1_100_000, "1.10"),
        ];
        for (text, micros, shown) in cases {
            let amount: Micros = text.parse().unwrap();
            assert_eq!(amount.get(), micros, "{text}");
            assert_eq!(amount.to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_is_not_money_is_refused() {
        let cases = [
            ("", ParseMoneyError::NotANumber),
            (".", ParseMoneyError::NotANumber),
            ("1,50", ParseMoneyError::NotANumber),
            ("NaN", ParseMoneyError::NotANumber),
            ("-1", ParseMoneyError::Negative),
            ("0.0000001", ParseMoneyError::TooPrecise),
            ("1e-99", ParseMoneyError::TooPrecise),
            ("1e40", ParseMoneyError::TooLarge),
            ("9999999999999999999999", ParseMoneyError::TooLarge),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Micros>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_price_per_million_tokens_is_an_integer() {
        let cases =
            [("0.01", 10_000, "0.01"), ("15", 15_000_000, "15.00"), ("7.5e-2", 75_000, "0.075")];
        for (text, pico, shown) in cases {
            let price = PicoUsd::parse_usd_per_million(text).unwrap();
            assert_eq!(price, PicoUsd(pico), "{text}");
            assert_eq!(price.usd_per_million(), shown, "{text}");
        }
    }

    #[test]
    fn a_negative_amount_does_not_decode() {
        assert!(serde_json::from_str::<Micros>("-1").is_err());
        assert_eq!(serde_json::from_str::<Micros>("7").unwrap().get(), 7);
    }
}
