//! How many tokens of which class a request used.

use std::ops::AddAssign;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Counts of billable units by class. The classes never overlap: a total is their plain sum.
///
/// Providers report inclusive numbers (OpenAI counts cached tokens inside the prompt, and reasoning
/// inside the completion); the dialects' decoders take them apart before they arrive here.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default)]
pub struct Tokens {
    /// Input tokens that no cache served, text and anything not counted below.
    pub input_uncached: u64,
    /// Input tokens read from the provider's prompt cache.
    pub cache_read: u64,
    /// Input tokens written to a cache that lives five minutes (or an unspecified time).
    pub cache_write_5m: u64,
    /// Input tokens written to a cache that lives an hour.
    pub cache_write_1h: u64,
    /// Output tokens that the client can see.
    pub output: u64,
    /// Output tokens spent on reasoning.
    pub reasoning: u64,
    /// Audio input tokens.
    pub audio_in: u64,
    /// Audio output tokens.
    pub audio_out: u64,
    /// Image tokens, where the provider prices them apart.
    pub image: u64,
}

/// The name of one class of [`Tokens`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TokenClass {
    /// See [`Tokens::input_uncached`].
    InputUncached,
    /// See [`Tokens::cache_read`].
    CacheRead,
    /// See [`Tokens::cache_write_5m`].
    CacheWrite5m,
    /// See [`Tokens::cache_write_1h`].
    CacheWrite1h,
    /// See [`Tokens::output`].
    Output,
    /// See [`Tokens::reasoning`].
    Reasoning,
    /// See [`Tokens::audio_in`].
    AudioIn,
    /// See [`Tokens::audio_out`].
    AudioOut,
    /// See [`Tokens::image`].
    Image,
}

impl TokenClass {
    /// The class's name in records, metrics and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InputUncached => "input_uncached",
            Self::CacheRead => "cache_read",
            Self::CacheWrite5m => "cache_write_5m",
            Self::CacheWrite1h => "cache_write_1h",
            Self::Output => "output",
            Self::Reasoning => "reasoning",
            Self::AudioIn => "audio_in",
            Self::AudioOut => "audio_out",
            Self::Image => "image",
        }
    }
}

impl Tokens {
    /// Every class with its count, in a fixed order.
    pub fn by_class(&self) -> [(TokenClass, u64); 9] {
        [
            (TokenClass::InputUncached, self.input_uncached),
            (TokenClass::CacheRead, self.cache_read),
            (TokenClass::CacheWrite5m, self.cache_write_5m),
            (TokenClass::CacheWrite1h, self.cache_write_1h),
            (TokenClass::Output, self.output),
            (TokenClass::Reasoning, self.reasoning),
            (TokenClass::AudioIn, self.audio_in),
            (TokenClass::AudioOut, self.audio_out),
            (TokenClass::Image, self.image),
        ]
    }

    /// Everything that went in: what a context window and a long-context price tier count.
    pub fn input_total(&self) -> u64 {
        [self.cache_read, self.cache_write_5m, self.cache_write_1h, self.audio_in, self.image]
            .into_iter()
            .fold(self.input_uncached, u64::saturating_add)
    }

    /// Everything that came out.
    pub fn output_total(&self) -> u64 {
        self.output.saturating_add(self.reasoning).saturating_add(self.audio_out)
    }

    /// Input and output together: what a tokens-per-minute limit counts.
    pub fn total(&self) -> u64 {
        self.input_total().saturating_add(self.output_total())
    }

    /// True if every class is zero.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl AddAssign for Tokens {
    fn add_assign(&mut self, other: Self) {
        self.input_uncached = self.input_uncached.saturating_add(other.input_uncached);
        self.cache_read = self.cache_read.saturating_add(other.cache_read);
        self.cache_write_5m = self.cache_write_5m.saturating_add(other.cache_write_5m);
        self.cache_write_1h = self.cache_write_1h.saturating_add(other.cache_write_1h);
        self.output = self.output.saturating_add(other.output);
        self.reasoning = self.reasoning.saturating_add(other.reasoning);
        self.audio_in = self.audio_in.saturating_add(other.audio_in);
        self.audio_out = self.audio_out.saturating_add(other.audio_out);
        self.image = self.image.saturating_add(other.image);
    }
}
