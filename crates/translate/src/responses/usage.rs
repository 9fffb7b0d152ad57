//! Usage in the Responses dialect.

use serde::Deserialize;

use crate::count::{Count, Counted, Inclusive};

/// `usage` of a response.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Usage {
    input_tokens: Count,
    output_tokens: Count,
    total_tokens: Count,
    input_tokens_details: Option<InputDetails>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct InputDetails {
    #[serde(rename = "cached_tokens")]
    cached: Count,
    #[serde(rename = "cache_write_tokens")]
    cache_write: Count,
    #[serde(rename = "audio_tokens")]
    audio: Count,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    #[serde(rename = "reasoning_tokens")]
    reasoning: Count,
    #[serde(rename = "audio_tokens")]
    audio: Count,
    #[serde(rename = "image_tokens")]
    image: Count,
}

impl Usage {
    pub(crate) fn counted(self) -> Counted {
        let input = self.input_tokens_details.unwrap_or_default();
        let output = self.output_tokens_details.unwrap_or_default();
        let inclusive = Inclusive {
            input: self.input_tokens,
            cached: input.cached,
            cache_write: input.cache_write,
            audio_in: input.audio,
            output: self.output_tokens,
            reasoning: output.reasoning,
            audio_out: output.audio,
            image_out: output.image,
            total: self.total_tokens,
        };
        inclusive.counted()
    }
}
