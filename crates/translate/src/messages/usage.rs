//! Usage in the Messages dialect: input counts exclude the cache, and a stream's counts replace.
//!
//! The top-level counts leave out what an advisor or a compaction used: that comes on top.

use bitrouter_metering::Tokens;
use serde::Deserialize;

use crate::count::{Count, Counted, Text};

/// `usage` of a message, of `message_start` or of `message_delta`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Usage {
    input_tokens: Count,
    output_tokens: Count,
    cache_read_input_tokens: Count,
    cache_creation_input_tokens: Count,
    cache_creation: Option<CacheCreation>,
    output_tokens_details: Option<OutputDetails>,
    iterations: Option<Vec<Iteration>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Iteration {
    #[serde(rename = "type")]
    kind: Text,
    model: Text,
    input_tokens: Count,
    output_tokens: Count,
    cache_read_input_tokens: Count,
    cache_creation_input_tokens: Count,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct CacheCreation {
    ephemeral_5m_input_tokens: Count,
    ephemeral_1h_input_tokens: Count,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    thinking_tokens: Count,
}

impl Usage {
    /// Takes over what a later event says: its counts are cumulative, so they replace.
    pub(crate) fn update(&mut self, later: Self) {
        self.input_tokens = later.input_tokens.or(self.input_tokens);
        self.output_tokens = later.output_tokens.or(self.output_tokens);
        self.cache_read_input_tokens =
            later.cache_read_input_tokens.or(self.cache_read_input_tokens);
        let written = later.cache_creation_input_tokens;
        let is_new_total = written.get().is_some() && written != self.cache_creation_input_tokens;
        self.cache_creation_input_tokens = written.or(self.cache_creation_input_tokens);
        match later.cache_creation {
            Some(split) => self.cache_creation = Some(split),
            // A split of another total than this one says nothing about it.
            None if is_new_total => self.cache_creation = None,
            None => {}
        }
        self.output_tokens_details = later.output_tokens_details.or(self.output_tokens_details);
        if later.iterations.is_some() {
            self.iterations = later.iterations;
        }
    }

    pub(crate) fn counted(&self) -> Counted {
        let mut counted = self.counted_at_top();
        for iteration in self.iterations.iter().flatten() {
            let kind = iteration.kind.as_str().unwrap_or("message");
            // Another model has another price: the sum is right, the cost may not be.
            counted.anomaly |= kind != "message" && iteration.model.as_str().is_some();
            if !matches!(kind, "advisor_message" | "compaction") {
                continue;
            }
            counted.tokens += Tokens {
                input_uncached: iteration.input_tokens.or_zero(),
                cache_read: iteration.cache_read_input_tokens.or_zero(),
                cache_write_5m: iteration.cache_creation_input_tokens.or_zero(),
                output: iteration.output_tokens.or_zero(),
                ..Tokens::default()
            };
        }
        counted
    }

    fn counted_at_top(&self) -> Counted {
        let split = self.cache_creation.unwrap_or_default();
        let hour = split.ephemeral_1h_input_tokens.or_zero();
        let short = split.ephemeral_5m_input_tokens.or_zero();
        let split_total = hour.saturating_add(short);
        let written = self.cache_creation_input_tokens.get().unwrap_or(split_total);
        let is_split = self.cache_creation.is_some();
        let output = self.output_tokens.or_zero();
        let thinking = self.output_tokens_details.unwrap_or_default().thinking_tokens;
        let reasoning = thinking.or_zero().min(output);
        let anomaly =
            (is_split && split_total != written) || thinking.or_zero() > output || self.has_bad();
        let tokens = Tokens {
            input_uncached: self.input_tokens.or_zero(),
            cache_read: self.cache_read_input_tokens.or_zero(),
            cache_write_5m: written.saturating_sub(hour).max(short),
            cache_write_1h: hour,
            output: output - reasoning,
            reasoning,
            ..Tokens::default()
        };
        Counted { tokens, anomaly }
    }

    fn has_bad(&self) -> bool {
        [
            self.input_tokens,
            self.output_tokens,
            self.cache_read_input_tokens,
            self.cache_creation_input_tokens,
        ]
        .into_iter()
        .any(Count::is_bad)
    }
}
