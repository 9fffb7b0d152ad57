//! Built-in models: limits, modalities and list prices.

use bitrouter_metering::Price;
use serde::Deserialize;

/// One model of a built-in provider.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct CatalogModel {
    /// What kind of answer it gives.
    pub kind: ModelKind,
    /// The context window, in tokens.
    #[serde(rename = "max_input")]
    pub max_input_tokens: Option<u64>,
    /// The longest answer, in tokens.
    #[serde(rename = "max_output")]
    pub max_output_tokens: Option<u64>,
    /// What it takes. Empty: unknown.
    #[serde(rename = "takes")]
    pub input_modalities: Vec<Modality>,
    /// What it gives. Empty: unknown, or not content but vectors.
    #[serde(rename = "gives")]
    pub output_modalities: Vec<Modality>,
    /// The provider's list price. Absent: unknown, which is not free. How the provider is billed is
    /// not considered here: with a subscription nothing is paid per token, whatever the list says.
    pub price: Option<Price>,
}

/// What kind of answer a model gives.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    /// A conversation's next turn.
    #[default]
    Chat,
    /// A prompt's continuation, in the legacy completions API.
    Completion,
    /// A vector.
    Embedding,
}

/// What a model takes or gives.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Modality {
    Text,
    Image,
    Audio,
    Video,
    File,
}

impl Modality {
    /// Every modality.
    pub const ALL: [Self; 5] = [Self::Text, Self::Image, Self::Audio, Self::Video, Self::File];

    /// The name in configuration and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Image => "image",
            Self::Audio => "audio",
            Self::Video => "video",
            Self::File => "file",
        }
    }
}
