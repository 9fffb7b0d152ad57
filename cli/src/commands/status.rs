//! `status`: is it running, and what does it serve?

use bitrouter_control_plane::api::types::{NodeView, ProviderView, Status as ControlPlane};
use bitrouter_control_plane::resource::Owner;
use clap::Args;
use serde::Serialize;

use super::Context;
use crate::client::all;
use crate::failure::Failure;
use crate::process::Process;
use crate::{output, text, when};

/// Show whether bitrouter runs, where, and what it serves.
///
/// Exits with 5 if it does not run.
#[derive(Args, Debug)]
pub(crate) struct Status {}

/// What `status` shows.
#[derive(Debug, Serialize)]
struct Shown {
    is_running: bool,
    /// Absent with a control plane elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<Process>,
    control_plane: ControlPlane,
    /// Only those that somebody may want to know of.
    providers: Vec<ProviderLine>,
}

#[derive(Debug, Serialize)]
struct ProviderLine {
    id: String,
    is_active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    inactive_reason: Option<String>,
    models: usize,
}

impl Status {
    /// Does it.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let process: Option<Process> =
            if client.is_local() { Some(client.get("/v1/process").await?) } else { None };
        let control_plane: ControlPlane = client.get("/v1/status").await?;
        let providers: Vec<ProviderView> = all(&client, "/v1/providers").await?;
        let shown = Shown {
            is_running: true,
            process,
            control_plane,
            providers: providers
                .into_iter()
                .filter(|it| it.is_active || it.meta.owner != Owner::Env)
                .map(ProviderLine::from)
                .collect(),
        };
        context.output.result(&shown, || text_of(&shown));
        Ok(())
    }
}

impl From<ProviderView> for ProviderLine {
    fn from(view: ProviderView) -> Self {
        let (models, inactive_reason) = (view.spec.models.len(), view.spec.inactive_reason);
        Self { id: view.id, is_active: view.is_active, inactive_reason, models }
    }
}

fn text_of(shown: &Shown) -> String {
    let mut rows = Vec::new();
    if let Some(process) = &shown.process {
        rows.extend(process_facts(process));
    }
    let status = &shown.control_plane;
    rows.push(("database", status.database.clone()));
    rows.push(("revision", status.revision.0.to_string()));
    rows.push((
        "routable",
        text::plural(usize::try_from(status.model_count).unwrap_or(0), "model name"),
    ));
    rows.push(("providers", providers(&shown.providers)));
    rows.push(("data planes", nodes(&status.nodes)));
    if let Some(process) = shown.process.as_ref().filter(|process| !process.not_active.is_empty()) {
        rows.push(("not active", process.not_active.join("\n")));
    }
    output::facts(&rows)
}

fn process_facts(process: &Process) -> Vec<(&'static str, String)> {
    let running = &process.running;
    let how = if running.detached { "in the background" } else { "in the foreground" };
    let auth = if process.skip_auth { "keys are optional" } else { "keys are needed" };
    let config = running
        .config
        .as_ref()
        .map_or_else(|| "none".to_owned(), |path| path.display().to_string());
    vec![
        ("running", format!("process {}, {how}, version {}", running.pid, running.version)),
        ("home", running.home.display().to_string()),
        ("config", config),
        ("listen", format!("{} ({auth})", running.traffic_url())),
        ("admin api", running.admin_url()),
        ("socket", running.socket.display().to_string()),
    ]
}

fn providers(lines: &[ProviderLine]) -> String {
    if lines.is_empty() {
        return "none is active; set a provider's key (such as OPENAI_API_KEY) and \
                `bitrouter reload`"
            .to_owned();
    }
    let describe = |line: &ProviderLine| match (&line.inactive_reason, line.is_active) {
        (_, true) => format!("{}: {}", line.id, text::plural(line.models, "model")),
        (Some(reason), false) => format!("{}: inactive, {reason}", line.id),
        (None, false) => format!("{}: inactive", line.id),
    };
    lines.iter().map(describe).collect::<Vec<_>>().join("\n")
}

fn nodes(nodes: &[NodeView]) -> String {
    let describe = |node: &NodeView| {
        let link = match (node.is_connected, node.is_in_sync) {
            (true, true) => "connected, in sync".to_owned(),
            (true, false) => format!("connected, at revision {}", node.applied_revision.0),
            (false, _) => format!("away since {}", when::local(node.last_seen)),
        };
        let refused: Vec<_> = node
            .rejections
            .iter()
            .map(|it| format!("\n  refused {} {}: {}", it.kind, it.id, it.reason))
            .collect();
        format!("{}: {link}{}", node.id, refused.concat())
    };
    if nodes.is_empty() {
        return "none has connected yet".to_owned();
    }
    nodes.iter().map(describe).collect::<Vec<_>>().join("\n")
}
