//! Counts and texts as they stand in JSON, and how inclusive counts are taken apart.

use std::fmt;

use bitrouter_metering::Tokens;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// A number of tokens as a provider wrote it: absent, `null`, an integer or a float. Anything else,
/// and anything negative, is `Bad`: it must not fail the reading of the rest.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Count {
    #[default]
    Absent,
    Is(u64),
    Bad,
}

impl Count {
    pub(crate) const fn get(self) -> Option<u64> {
        match self {
            Self::Is(count) => Some(count),
            Self::Absent | Self::Bad => None,
        }
    }

    pub(crate) const fn or_zero(self) -> u64 {
        match self {
            Self::Is(count) => count,
            Self::Absent | Self::Bad => 0,
        }
    }

    pub(crate) const fn is_bad(self) -> bool {
        matches!(self, Self::Bad)
    }

    /// This count, or the other where this one is absent.
    pub(crate) const fn or(self, other: Self) -> Self {
        match self {
            Self::Absent => other,
            Self::Is(_) | Self::Bad => self,
        }
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor)
    }
}

struct CountVisitor;

impl<'de> Visitor<'de> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of tokens")
    }

    fn visit_u64<E>(self, count: u64) -> Result<Count, E> {
        Ok(Count::Is(count))
    }

    fn visit_i64<E>(self, count: i64) -> Result<Count, E> {
        Ok(u64::try_from(count).map_or(Count::Bad, Count::Is))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked before"
    )]
    fn visit_f64<E>(self, count: f64) -> Result<Count, E> {
        let is_count = (0.0..9e15).contains(&count);
        Ok(if is_count { Count::Is(count as u64) } else { Count::Bad })
    }

    fn visit_unit<E>(self) -> Result<Count, E> {
        Ok(Count::Absent)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Count, E> {
        Ok(Count::Bad)
    }

    fn visit_str<E>(self, _: &str) -> Result<Count, E> {
        Ok(Count::Bad)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Count, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Count::Bad)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Count, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Count::Bad)
    }
}

/// The longest text that is kept: ids, models and reasons are short.
const MAX_TEXT: usize = 256;

/// A text where a text is expected; nothing where something else stands. Cut where it is too long to
/// be what it should be.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Text(Option<String>);

impl Text {
    pub(crate) fn as_str(&self) -> Option<&str> {
        self.0.as_deref()
    }

    pub(crate) fn into_inner(self) -> Option<String> {
        self.0
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        let kept = text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or(text);
        Ok(Text(Some(kept.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Text, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Text(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text(None))
    }
}

/// What a usage report amounts to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Counted {
    pub(crate) tokens: Tokens,
    /// The numbers contradict each other; `tokens` is the reading that undercounts least.
    pub(crate) anomaly: bool,
}

/// Counts as the `OpenAI` dialects report them: details lie inside their sums.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Inclusive {
    pub(crate) input: Count,
    pub(crate) cached: Count,
    pub(crate) cache_write: Count,
    pub(crate) audio_in: Count,
    pub(crate) output: Count,
    pub(crate) reasoning: Count,
    pub(crate) audio_out: Count,
    pub(crate) image_out: Count,
    pub(crate) total: Count,
}

impl Inclusive {
    /// Takes the sums apart. Image input stays in the input, where every price list has it.
    pub(crate) fn counted(self) -> Counted {
        let input = self.input.or_zero();
        let cached = self.cached.or_zero();
        let written = self.cache_write.or_zero();
        let mut anomaly = self.has_bad() || cached.saturating_add(written) > input;
        let unserved = input.saturating_sub(cached).saturating_sub(written);
        let audio_in = self.audio_in.or_zero().min(unserved);

        let (visible, reasoning, is_odd) = self.split_output();
        anomaly |= is_odd;
        let audio_out = self.audio_out.or_zero().min(visible);
        let image = self.image_out.or_zero().min(visible - audio_out);
        let tokens = Tokens {
            input_uncached: unserved - audio_in,
            cache_read: cached,
            cache_write_5m: written,
            cache_write_1h: 0,
            output: visible - audio_out - image,
            reasoning,
            audio_in,
            audio_out,
            image,
        };
        Counted { tokens, anomaly }
    }

    /// The visible output, the reasoning, and whether that is odd. Reasoning is inside the output
    /// for most providers and beside it for some: the total is the judge.
    fn split_output(self) -> (u64, u64, bool) {
        let output = self.output.or_zero();
        let reasoning = self.reasoning.or_zero();
        let is_inside = reasoning <= output;
        let visible = if is_inside { output - reasoning } else { output };
        let sum = self.input.or_zero().saturating_add(output);
        let Some(total) = self.total.get() else { return (visible, reasoning, !is_inside) };
        match total.checked_sub(sum) {
            Some(0) => (output.saturating_sub(reasoning), reasoning.min(output), !is_inside),
            Some(beside) if reasoning == 0 || beside == reasoning => (output, beside, false),
            Some(beside) if is_inside => (visible, reasoning.saturating_add(beside), true),
            Some(beside) => (visible, reasoning.max(beside), true),
            None => (visible, reasoning, true),
        }
    }

    fn has_bad(self) -> bool {
        [
            self.input,
            self.cached,
            self.cache_write,
            self.audio_in,
            self.output,
            self.reasoning,
            self.audio_out,
            self.image_out,
            self.total,
        ]
        .into_iter()
        .any(Count::is_bad)
    }
}
