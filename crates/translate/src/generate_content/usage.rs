//! Usage in the Gemini dialect: thoughts and tool prompts lie beside the counts, the cache inside.

use bitrouter_metering::Tokens;
use serde::Deserialize;

use crate::count::{Count, Counted};

/// `usageMetadata`; on a stream it is cumulative, so the last one counts.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Usage {
    #[serde(alias = "prompt_token_count")]
    prompt_token_count: Count,
    #[serde(alias = "cached_content_token_count")]
    cached_content_token_count: Count,
    #[serde(alias = "candidates_token_count")]
    candidates_token_count: Count,
    #[serde(alias = "thoughts_token_count")]
    thoughts_token_count: Count,
    #[serde(alias = "tool_use_prompt_token_count")]
    tool_use_prompt_token_count: Count,
    #[serde(alias = "total_token_count")]
    total_token_count: Count,
    prompt_tokens_details: Option<Vec<Modality>>,
    cache_tokens_details: Option<Vec<Modality>>,
    candidates_tokens_details: Option<Vec<Modality>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Modality {
    modality: Kind,
    token_count: Count,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Kind {
    Audio,
    Image,
    #[default]
    #[serde(other)]
    Other,
}

fn of_kind(details: Option<&Vec<Modality>>, kind: Kind) -> u64 {
    let of_kind = details.into_iter().flatten().filter(|part| part.modality == kind);
    of_kind.map(|part| part.token_count.or_zero()).fold(0, u64::saturating_add)
}

impl Usage {
    pub(crate) fn counted(&self) -> Counted {
        let prompt = self.prompt_token_count.or_zero();
        let tool_prompt = self.tool_use_prompt_token_count.or_zero();
        let cached = self.cached_content_token_count.or_zero();
        let candidates = self.candidates_token_count.or_zero();
        let thoughts = self.thoughts_token_count.or_zero();
        let parts = [prompt, tool_prompt, candidates, thoughts];
        let sum = parts.into_iter().fold(0, u64::saturating_add);
        let total = self.total_token_count.get().unwrap_or(sum);
        let anomaly = cached > prompt || total != sum || self.has_bad();

        let uncached = prompt.saturating_sub(cached);
        let audio = of_kind(self.prompt_tokens_details.as_ref(), Kind::Audio);
        let cached_audio = of_kind(self.cache_tokens_details.as_ref(), Kind::Audio);
        let audio_in = audio.saturating_sub(cached_audio).min(uncached);
        let audio_out =
            of_kind(self.candidates_tokens_details.as_ref(), Kind::Audio).min(candidates);
        let image = of_kind(self.candidates_tokens_details.as_ref(), Kind::Image)
            .min(candidates - audio_out);
        let tokens = Tokens {
            input_uncached: (uncached - audio_in).saturating_add(tool_prompt),
            cache_read: cached,
            output: candidates - audio_out - image,
            reasoning: thoughts,
            audio_in,
            audio_out,
            image,
            ..Tokens::default()
        };
        Counted { tokens, anomaly }
    }

    fn has_bad(&self) -> bool {
        [
            self.prompt_token_count,
            self.cached_content_token_count,
            self.candidates_token_count,
            self.thoughts_token_count,
            self.tool_use_prompt_token_count,
            self.total_token_count,
        ]
        .into_iter()
        .any(Count::is_bad)
    }
}
