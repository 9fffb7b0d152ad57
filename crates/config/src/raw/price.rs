//! `pricing`, in both spellings.

use schemars::JsonSchema;
use serde::Deserialize;

use super::scalar::Decimal;

/// Prices in USD per million tokens. The `*_micro_usd_per_token` spellings are the same numbers.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pricing {
    /// Input, by class.
    pub(crate) input_tokens: Option<Input>,
    /// Output, by class.
    pub(crate) output_tokens: Option<Output>,
    /// Same as `input_tokens.no_cache`.
    pub(crate) input_micro_usd_per_token: Option<Decimal>,
    /// Same as `output_tokens.text`.
    pub(crate) output_micro_usd_per_token: Option<Decimal>,
    /// Same as `input_tokens.cache_read`.
    pub(crate) cache_read_micro_usd_per_token: Option<Decimal>,
    /// Same as `input_tokens.cache_write`.
    pub(crate) cache_write_micro_usd_per_token: Option<Decimal>,
    /// Same as `output_tokens.reasoning`.
    pub(crate) reasoning_micro_usd_per_token: Option<Decimal>,
    /// USD for each request, besides its tokens.
    pub(crate) per_request: Option<Decimal>,
    /// Prices for long contexts. The one with the highest threshold below the whole input counts,
    /// for all tokens of the request; what it leaves out costs as above.
    pub(crate) context_tiers: Option<Vec<Tier>>,
}

/// USD per million input tokens.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// Read by the model in full.
    pub(crate) no_cache: Option<Decimal>,
    /// Taken from the provider's prompt cache. Default: as `no_cache`.
    pub(crate) cache_read: Option<Decimal>,
    /// Written to the provider's prompt cache.
    pub(crate) cache_write: Option<Decimal>,
    /// Written for an hour. Default: as `cache_write`.
    pub(crate) cache_write_1h: Option<Decimal>,
    /// Audio.
    pub(crate) audio: Option<Decimal>,
    /// Images.
    pub(crate) image: Option<Decimal>,
}

/// USD per million output tokens.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Output {
    /// The answer.
    pub(crate) text: Option<Decimal>,
    /// The thinking before it. Default: as `text`.
    pub(crate) reasoning: Option<Decimal>,
    /// Audio.
    pub(crate) audio: Option<Decimal>,
}

/// Prices above a threshold.
#[expect(clippy::struct_field_names, reason = "the names are those of the file")]
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tier {
    /// For requests with more input tokens than this.
    #[schemars(required)]
    pub(crate) above_input_tokens: Option<u64>,
    /// Input, by class.
    pub(crate) input_tokens: Option<Input>,
    /// Output, by class.
    pub(crate) output_tokens: Option<Output>,
}
