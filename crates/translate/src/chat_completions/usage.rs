//! Usage in the Chat Completions dialect, with the spellings of those who speak it.

use serde::Deserialize;

use crate::count::{Count, Counted, Inclusive};

/// `usage` of a body or chunk.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Usage {
    prompt_tokens: Count,
    completion_tokens: Count,
    total_tokens: Count,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
    /// `DeepSeek`.
    prompt_cache_hit_tokens: Count,
    /// Moonshot.
    cached_tokens: Count,
    /// Mistral.
    num_cached_tokens: Count,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct PromptDetails {
    #[serde(rename = "cached_tokens")]
    cached: Count,
    #[serde(rename = "cache_write_tokens")]
    cache_write: Count,
    #[serde(rename = "audio_tokens")]
    audio: Count,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct CompletionDetails {
    #[serde(rename = "reasoning_tokens")]
    reasoning: Count,
    #[serde(rename = "audio_tokens")]
    audio: Count,
    #[serde(rename = "image_tokens")]
    image: Count,
}

impl Usage {
    pub(crate) fn counted(self) -> Counted {
        let prompt = self.prompt_tokens_details.unwrap_or_default();
        let completion = self.completion_tokens_details.unwrap_or_default();
        let cached = prompt
            .cached
            .or(self.prompt_cache_hit_tokens)
            .or(self.cached_tokens)
            .or(self.num_cached_tokens);
        let inclusive = Inclusive {
            input: self.prompt_tokens,
            cached,
            cache_write: prompt.cache_write,
            audio_in: prompt.audio,
            output: self.completion_tokens,
            reasoning: completion.reasoning,
            audio_out: completion.audio,
            image_out: completion.image,
            total: self.total_tokens,
        };
        inclusive.counted()
    }
}
