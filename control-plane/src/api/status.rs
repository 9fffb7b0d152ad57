//! How the control plane and its data planes are.

use std::collections::BTreeSet;

use axum::{Json, extract::State};

use crate::{
    api::{
        Api,
        endpoint::Endpoint,
        error::ApiError,
        models,
        types::{NodeView, RejectionView, RevisionView, Status, Time},
        view::in_force,
    },
    discovery::nodes::Node,
    resource::{Kind, Revision, Spec},
    snapshot::compile::kind_name,
};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/status", status)
            .says("status", "How the control plane and its data planes are")
            .answers::<Status>(),
        Endpoint::get("/v1/revision", revision)
            .says("status", "The newest revision")
            .answers::<RevisionView>(),
    ]
}

async fn status(State(api): State<Api>) -> Result<Json<Status>, ApiError> {
    let (revision, hash) = api.publisher.head();
    let providers = in_force(&api, Kind::Provider).await?;
    let active = providers.iter().filter(|provider| match &provider.spec {
        Spec::Provider(spec) => spec.inactive_reason.is_none(),
        _ => false,
    });
    let logs = api.store.logs().await?;
    let quarantined: BTreeSet<&str> =
        logs.iter().filter(|log| log.quarantined).map(|log| log.log_id.as_str()).collect();
    let nodes = api.nodes.list().into_iter();
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision,
        state_hash: hash.to_hex(),
        database: api.database.to_owned(),
        started_at: Time::from_millis(api.started_at.as_millis()),
        active_providers: active.map(|provider| provider.id.clone()).collect(),
        model_count: models::all(&api).await?.len() as u64,
        nodes: nodes.map(|(id, node)| view(id, &node, revision, &quarantined)).collect(),
    }))
}

async fn revision(State(api): State<Api>) -> Json<RevisionView> {
    let (revision, hash) = api.publisher.head();
    Json(RevisionView { revision, state_hash: hash.to_hex() })
}

fn view(id: String, node: &Node, head: Revision, quarantined: &BTreeSet<&str>) -> NodeView {
    let rejections = node.rejections.iter().map(|((kind, id), rejection)| RejectionView {
        kind: kind_name(*kind).to_owned(),
        id: id.clone(),
        kept_version: Revision(rejection.kept_version),
        reason: rejection.reason.clone(),
    });
    let is_current = node.applied_revision == head.0 && !node.has_refused;
    NodeView {
        id,
        version: node.version.clone(),
        is_connected: node.is_connected(),
        last_seen: Time::from_millis(node.last_seen.as_millis()),
        applied_revision: Revision(node.applied_revision),
        is_in_sync: is_current && node.rejections.is_empty(),
        rejections: rejections.collect(),
        spool_bytes: node.spool_bytes,
        oldest_unacked_ms: node.oldest_unacked_ms,
        is_quarantined: quarantined.contains(node.log_id.as_str()),
    }
}
