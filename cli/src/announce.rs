//! What `serve` tells people when it is up: where it listens, what it serves, and what it does not.

use bitrouter_config::resource::Provider;
use bitrouter_config::{Document, Entry, Origin};

use crate::daemon::Running;
use crate::discovery::Scan;
use crate::home::Places;
use crate::{output, text};

/// Names of keys that most people have one of.
const USUAL_KEYS: &str =
    "OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY, OPENROUTER_API_KEY, DEEPSEEK_API_KEY, ...";

/// Where it listens, and what it was made from.
pub(crate) fn listening(running: &Running, places: &Places, skip_auth: bool) -> String {
    let auth =
        if skip_auth { "keys are optional" } else { "keys are needed: `bitrouter key sign`" };
    let config = running.config.as_ref().map_or_else(
        || format!("none (looked for {})", places.config.display()),
        |path| path.display().to_string(),
    );
    let facts = output::facts(&[
        ("  listen", format!("{} ({auth})", running.traffic_url())),
        ("  admin api", format!("{}, {}", running.admin_url(), running.socket.display())),
        ("  home", running.home.display().to_string()),
        ("  config", config),
    ]);
    format!("bitrouter {} serves\n{}", running.version, facts.trim_end())
}

/// Which providers are active, why declared ones are not, and what does nothing yet.
pub(crate) fn sources(document: &Document) -> Vec<String> {
    let mut lines = Vec::new();
    let active: Vec<_> = document.providers.iter().filter(|it| is_active(&it.spec)).collect();
    if !active.is_empty() {
        let names: Vec<_> = active.iter().map(|provider| named(provider)).collect();
        lines.push(format!("  active     {}", names.join(", ")));
    }
    for provider in document.providers.iter().filter(|it| it.origin == Origin::File) {
        if let Some(reason) = &provider.spec.inactive_reason {
            lines.push(format!("  inactive   {}: {reason}", provider.id));
        }
    }
    lines.extend(document.not_active.iter().map(|section| format!("  {section}")));
    lines
}

/// True if the provider takes model traffic.
pub(crate) fn is_active(provider: &Provider) -> bool {
    provider.inactive_reason.is_none() && !provider.dialects.is_empty()
}

/// What was looked for where nothing was found, and what to do next.
pub(crate) fn nothing_to_serve(places: &Places, scan: &Scan) -> String {
    let servers = if scan.is_empty() {
        "  model servers were not looked for (--no-discovery)".to_owned()
    } else {
        format!("  model servers on this machine: {}", scan.description())
    };
    format!(
        "no model source is there yet. Looked for
  provider keys in the environment and in {}: {USUAL_KEYS}
{servers}
Next, one of
  OPENAI_API_KEY=sk-... bitrouter reload    hand a key to this process
  ollama serve                              start a model server; it is found by itself
  bitrouter init                            write ./bitrouter.yaml to start from
  bitrouter demo                            see what it does, without any of these",
        places.env_file.display()
    )
}

fn named(provider: &Entry<Provider>) -> String {
    match provider.spec.models.len() {
        0 => provider.id.clone(),
        n => format!("{} ({})", provider.id, text::plural(n, "model")),
    }
}
