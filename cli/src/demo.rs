//! What `bitrouter demo` shows: the real router between an agent and two providers that are built in
//! for this. Everything it claims is checked; what is not as it should be is a failure.

pub(crate) mod agent;
pub(crate) mod provider;

use serde::Serialize;

/// The home that the demo serves from, given where its two providers listen.
pub(crate) fn config(shaky: std::net::SocketAddr, steady: std::net::SocketAddr) -> String {
    format!(
        "# One provider that is overloaded, one that answers, and one name for both.
inherit_defaults: false
providers:
  shaky:
    api_protocol: chat_completions
    api_base: http://{shaky}/v1
    api_key: key-of-the-shaky-provider
    models:
      parrot-large: {{ pricing: {{ input_tokens: {{ no_cache: 5 }}, output_tokens: {{ text: 20 }} }} }}
  steady:
    api_protocol: chat_completions
    api_base: http://{steady}/v1
    api_key: key-of-the-steady-provider
    models:
      parrot: {{ pricing: {{ input_tokens: {{ no_cache: 2.5 }}, output_tokens: {{ text: 10 }} }} }}
models:
  smart:
    strategy: priority
    endpoints:
      - {{ provider: shaky, service_id: parrot-large }}
      - {{ provider: steady, service_id: parrot }}
"
    )
}

/// One thing that was shown, for programs.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Scene {
    /// What it shows.
    pub(crate) title: &'static str,
    /// What was asked for.
    pub(crate) model: String,
    /// HTTP status that the agent saw.
    pub(crate) status: u16,
    /// What it read.
    pub(crate) answer: String,
    /// The request's id.
    pub(crate) request_id: String,
}
