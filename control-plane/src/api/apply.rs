//! Declaring many resources at once, as YAML.
//!
//! The document sees no variables: the control plane's environment holds secrets, and a document that
//! names its own base URLs could send them anywhere.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use bitrouter_catalog::Catalog;
use bitrouter_config::{Document, Server, SourceText, Sources};

use crate::{
    api::{
        Api,
        endpoint::Endpoint,
        error::ApiError,
        extract::{By, Params, Raw},
        types::{Applied, ApplyQuery},
        view::{changed, in_force},
    },
    plane::stored_secrets,
    reconcile::{Unnamed, declared, plan},
    resource::{Kind, Owner},
    snapshot::publisher::Urgency,
};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/v1/apply", apply)
            .says("apply", "Declare providers, routes, presets and variants in one revision")
            .query::<ApplyQuery>()
            .yaml()
            .answers::<Applied>(),
    ]
}

async fn apply(
    State(api): State<Api>,
    By(actor): By,
    Params(query): Params<ApplyQuery>,
    Raw(body): Raw,
) -> Result<Response, ApiError> {
    let (document, warnings) = read(&api, &body).await?;
    let (declared, _) = declared(&document);
    let (revision, stored) = api.store.load_all().await?;
    let secrets = stored_secrets(&api.store, &stored).await?;
    let unnamed = if query.prune { Unnamed::Delete } else { Unnamed::Keep };
    let plan = plan(declared, Owner::Api, &stored, &secrets, unnamed)?;
    let mut applied = Applied { revision, dry_run: query.dry_run, changes: plan.shown, warnings };
    if !query.dry_run && !plan.changes.is_empty() {
        let committed = api.store.commit(&actor, plan.changes, api.clock.now_ms()).await?;
        api.publisher.notify(Urgency::Ordinary);
        applied.revision = committed.revision;
    }
    let revision = applied.revision;
    Ok(changed(Json(applied).into_response(), revision))
}

async fn read(api: &Api, body: &[u8]) -> Result<(Document, Vec<String>), ApiError> {
    let text = std::str::from_utf8(body);
    let text = text.map_err(|_| ApiError::Invalid("the document is not UTF-8".to_owned()))?;
    let providers = in_force(api, Kind::Provider).await?;
    let sources = Sources {
        main: Some(SourceText { path: String::new(), text: text.to_owned() }),
        known_providers: providers.into_iter().map(|provider| provider.id).collect(),
        ..Sources::default()
    };
    let loaded = bitrouter_config::load(&sources, Catalog::builtin());
    let lines = |problems: &[bitrouter_config::Problem]| -> Vec<String> {
        problems.iter().map(ToString::to_string).collect()
    };
    match loaded.document {
        Some(document) => {
            let mut warnings = lines(&loaded.warnings);
            warnings.extend(document.not_active.iter().map(ToString::to_string));
            let of_the_process = [
                ("server", document.server != Server::default()),
                ("database", document.database_url.is_some()),
            ];
            for (section, _) in of_the_process.into_iter().filter(|(_, is_there)| *is_there) {
                warnings.push(format!("{section}: not applied: only bitrouter.yaml can say this"));
            }
            Ok((document, warnings))
        }
        None => Err(ApiError::Document(lines(&loaded.problems))),
    }
}
