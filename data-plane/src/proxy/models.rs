//! Draws what can be asked for as models that dialects can list.

use bitrouter_translate::models::ListedModel;

use crate::{
    admit::Principal,
    resolve::{Listed, listed, listing},
    table::RoutingTable,
};

/// Who the routes of the installation belong to.
const OWNER: &str = "bitrouter";

/// Every name that the principal may ask for.
pub(crate) fn list(table: &RoutingTable, principal: &Principal) -> Vec<ListedModel> {
    listing(table, principal).iter().map(|it| draw(it.name(), it)).collect()
}

/// One of them, under the name by which it was asked for.
pub(crate) fn find(name: &str, table: &RoutingTable, principal: &Principal) -> Option<ListedModel> {
    listed(name, table, principal).map(|it| draw(name, &it))
}

fn draw(name: &str, it: &Listed) -> ListedModel {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let id = name.to_owned();
    match it {
        Listed::Route(route) => ListedModel {
            id,
            display_name: text(&route.display_name),
            description: text(&route.description),
            owned_by: OWNER.to_owned(),
            max_input_tokens: route.max_input_tokens,
            max_output_tokens: route.max_output_tokens,
            ..ListedModel::default()
        },
        Listed::Model { provider, .. } => {
            let owned_by = provider.id.to_string();
            let Some(model) = it.model() else {
                return ListedModel { id, owned_by, ..ListedModel::default() };
            };
            ListedModel {
                id,
                display_name: text(&model.display_name),
                description: text(&model.description),
                owned_by,
                created_s: 0,
                max_input_tokens: model.max_input_tokens,
                max_output_tokens: model.max_output_tokens,
                is_embedding: model.output_modalities.iter().any(|it| it.starts_with("embedding")),
            }
        }
    }
}
