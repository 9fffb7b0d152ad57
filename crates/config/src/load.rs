//! The whole way from texts to a document.

use url::Url;

use crate::{document::Document, env::Environment, report::Problem};

/// Everything that a configuration is made from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `bitrouter.yaml`. Absent: nothing is declared.
    pub main: Option<SourceText>,
    /// Provider manifests: each declares one provider, named like its file.
    pub manifests: Vec<SourceText>,
    /// What `${VAR}` and the lookup of keys see.
    pub environment: Environment,
    /// Model servers found on loopback.
    pub discovered: Vec<Discovered>,
    /// Providers declared elsewhere (through the admin API), which routes may refer to.
    pub known_providers: Vec<String>,
}

/// A text and its name.
#[derive(Clone, Debug, Default)]
pub struct SourceText {
    /// Shown in problems; a manifest's file stem is its provider's id.
    pub path: String,
    /// YAML.
    pub text: String,
}

/// A model server found on loopback.
#[derive(Clone, Debug)]
pub struct Discovered {
    /// What it answered like.
    pub kind: DiscoveredKind,
    /// Where it is.
    pub base_url: Url,
    /// The models that it listed.
    pub models: Vec<String>,
}

/// The kinds of model server that are recognised.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "the servers' own names")]
pub enum DiscoveredKind {
    Ollama,
    Vllm,
    LmStudio,
    LlamaCpp,
}

impl DiscoveredKind {
    /// The id of the built-in provider for this kind.
    pub const fn provider_id(self) -> &'static str {
        match self {
            Self::Ollama => "ollama",
            Self::Vllm => "vllm",
            Self::LmStudio => "lmstudio",
            Self::LlamaCpp => "llamacpp",
        }
    }
}

/// What loading gave.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Absent if there is any problem.
    pub document: Option<Document>,
    /// What has to be mended, in the order of the texts.
    pub problems: Vec<Problem>,
    /// What works, but not as somebody may expect.
    pub warnings: Vec<Problem>,
}
