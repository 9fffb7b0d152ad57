//! What a model costs, and what a request therefore cost.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Micros, PicoUsd, TokenClass, Tokens};

/// A model's prices. A rate that is absent is unknown, which is not the same as free.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Price {
    /// Rates that apply from the first token.
    pub base: Rates,
    /// Rates for long contexts. The tier with the highest threshold below the request's whole input
    /// applies to all of the request's tokens; rates that a tier leaves out fall back to `base`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<Tier>,
    /// A fixed price per request, in pico-dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_request: Option<PicoUsd>,
}

/// Rates in pico-dollars per token, by class.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are the classes of `Tokens`, documented there")]
pub struct Rates {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_uncached: Option<PicoUsd>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<PicoUsd>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<PicoUsd>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<PicoUsd>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<PicoUsd>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<PicoUsd>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_in: Option<PicoUsd>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_out: Option<PicoUsd>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<PicoUsd>,
}

/// Rates for requests whose whole input is above a threshold.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// The tier applies to requests with more input tokens than this.
    pub above_input_tokens: u64,
    /// What it changes.
    pub rates: Rates,
}

/// What a request cost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cost {
    /// Every class that was used has a price.
    Priced(Micros),
    /// `missing` was used but has no price; `known` is what the other classes cost.
    Unpriced {
        /// The sum over the classes that have a price.
        known: Micros,
        /// The first class without one.
        missing: TokenClass,
    },
}

impl Cost {
    /// The amount that is known.
    pub const fn known(self) -> Micros {
        match self {
            Self::Priced(amount) | Self::Unpriced { known: amount, .. } => amount,
        }
    }

    /// True if part of the usage had no price.
    pub const fn is_unpriced(self) -> bool {
        matches!(self, Self::Unpriced { .. })
    }
}

impl Rates {
    /// The rate of a class. Reasoning without a rate of its own is billed as output, a cache read as
    /// plain input (its upper bound), an hour-long cache write never cheaper than a short one.
    pub fn of(&self, class: TokenClass) -> Option<PicoUsd> {
        match class {
            TokenClass::InputUncached => self.input_uncached,
            TokenClass::CacheRead => self.cache_read.or(self.input_uncached),
            TokenClass::CacheWrite5m => self.cache_write_5m,
            TokenClass::CacheWrite1h => self.cache_write_1h,
            TokenClass::Output => self.output,
            TokenClass::Reasoning => self.reasoning.or(self.output),
            TokenClass::AudioIn => self.audio_in,
            TokenClass::AudioOut => self.audio_out,
            TokenClass::Image => self.image,
        }
    }

    /// These rates, with the gaps filled from `base`.
    #[must_use]
    fn over(self, base: Self) -> Self {
        Self {
            input_uncached: self.input_uncached.or(base.input_uncached),
            cache_read: self.cache_read.or(base.cache_read),
            cache_write_5m: self.cache_write_5m.or(base.cache_write_5m),
            cache_write_1h: self.cache_write_1h.or(base.cache_write_1h),
            output: self.output.or(base.output),
            reasoning: self.reasoning.or(base.reasoning),
            audio_in: self.audio_in.or(base.audio_in),
            audio_out: self.audio_out.or(base.audio_out),
            image: self.image.or(base.image),
        }
    }
}

impl Price {
    /// The price of what costs nothing by declaration (`billing: local` or `subscription`).
    pub fn free() -> Self {
        let zero = Some(PicoUsd(0));
        let base = Rates {
            input_uncached: zero,
            cache_read: zero,
            cache_write_5m: zero,
            cache_write_1h: zero,
            output: zero,
            reasoning: zero,
            audio_in: zero,
            audio_out: zero,
            image: zero,
        };
        Self { base, tiers: Vec::new(), per_request: None }
    }

    /// The rates that apply to a request with this much input.
    pub fn rates_for(&self, input_tokens: u64) -> Rates {
        let tier = self
            .tiers
            .iter()
            .filter(|tier| input_tokens > tier.above_input_tokens)
            .max_by_key(|tier| tier.above_input_tokens);
        tier.map_or(self.base, |tier| tier.rates.over(self.base))
    }

    /// What the usage costs, rounded up once to a whole micro-dollar.
    pub fn cost(&self, tokens: &Tokens) -> Cost {
        let rates = self.rates_for(tokens.input_total());
        let mut pico = u128::from(self.per_request.map_or(0, |price| price.0));
        let mut missing = None;
        for (class, count) in tokens.by_class() {
            match rates.of(class) {
                _ if count == 0 => {}
                Some(rate) => pico += u128::from(count) * u128::from(rate.0),
                None => missing = missing.or(Some(class)),
            }
        }
        let known = Micros::saturating_from(pico.div_ceil(1_000_000));
        missing.map_or(Cost::Priced(known), |missing| Cost::Unpriced { known, missing })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn price() -> Price {
        let base = Rates {
            input_uncached: Some(PicoUsd(3_000_000)),
            cache_read: Some(PicoUsd(300_000)),
            cache_write_5m: Some(PicoUsd(3_750_000)),
            output: Some(PicoUsd(15_000_000)),
            ..Rates::default()
        };
        let long = Rates { input_uncached: Some(PicoUsd(6_000_000)), ..Rates::default() };
        Price {
            base,
            tiers: vec![Tier { above_input_tokens: 200_000, rates: long }],
            per_request: None,
        }
    }

    #[test]
    fn each_class_is_charged_at_its_own_rate() {
        let tokens = Tokens {
            input_uncached: 100,
            cache_read: 1_000,
            cache_write_5m: 10,
            output: 20,
            reasoning: 5,
            ..Tokens::default()
        };
        // 300 + 300 + 37.5 + 300 + 75 micro-dollars, rounded up once.
        assert_eq!(price().cost(&tokens), Cost::Priced(Micros::new(1_013).unwrap()));
    }

    #[test]
    fn a_missing_price_is_never_zero() {
        let tokens = Tokens { input_uncached: 1, audio_in: 7, ..Tokens::default() };
        let cost = price().cost(&tokens);
        assert_eq!(
            cost,
            Cost::Unpriced { known: Micros::new(3).unwrap(), missing: TokenClass::AudioIn }
        );
        assert!(cost.is_unpriced());
        assert!(!Price::free().cost(&tokens).is_unpriced());
    }

    #[test]
    fn a_tier_counts_the_whole_input_and_covers_the_whole_request() {
        let at = Tokens { input_uncached: 100_000, cache_read: 100_000, ..Tokens::default() };
        let above = Tokens { input_uncached: 100_001, ..at };
        assert_eq!(price().cost(&at).known().get(), 330_000);
        assert_eq!(price().cost(&above).known().get(), 600_006 + 30_000);
    }

    proptest! {
        #[test]
        fn more_tokens_never_cost_less(a in 0_u64..10_000_000, b in 0_u64..10_000_000, more in 0_u64..1_000) {
            let less = Tokens { input_uncached: a, output: b, ..Tokens::default() };
            let usage = Tokens { input_uncached: a, output: b + more, ..Tokens::default() };
            prop_assert!(price().cost(&less).known() <= price().cost(&usage).known());
        }

        #[test]
        fn rounding_costs_less_than_a_micro_dollar(input in 0_u64..10_000_000, output in 0_u64..10_000_000) {
            let usage = Tokens { input_uncached: input, output, ..Tokens::default() };
            let rates = price().rates_for(input);
            let exact = u128::from(input) * u128::from(rates.input_uncached.unwrap().0)
                + u128::from(output) * u128::from(rates.output.unwrap().0);
            let charged = u128::try_from(price().cost(&usage).known().get()).unwrap() * 1_000_000;
            prop_assert!(charged >= exact && charged - exact < 1_000_000);
        }
    }
}
