//! Follows `derives` from provider to provider, down to a built-in.

use std::collections::HashSet;

use indexmap::IndexMap;

use super::{Declared, template::Template};
use crate::{
    context::Context,
    report::{Place, did_you_mean},
};

/// Follows `derives`.
pub(super) struct Resolver<'a> {
    pub(super) declared: &'a IndexMap<String, Declared>,
    pub(super) inherit_defaults: bool,
    /// Providers whose circle is already reported.
    pub(super) circles: HashSet<String>,
}

impl Resolver<'_> {
    /// What is known about a declared provider. `above` are those that derive from it.
    pub(super) fn template(
        &mut self,
        cx: &mut Context<'_>,
        id: &str,
        above: &mut Vec<String>,
    ) -> Template {
        let Some(it) = self.declared.get(id) else { return Template::default() };
        above.push(id.to_owned());
        let mut template = match it.raw.derives.as_deref() {
            Some(parent) => self.parent(cx, parent, &it.place.key("derives"), above),
            None if self.inherit_defaults => cx
                .catalog
                .provider(id)
                .map_or_else(Template::default, |builtin| Template::builtin(cx, builtin)),
            None => Template::default(),
        };
        above.pop();
        template.apply(cx, &it.raw, &it.place);
        template
    }

    fn parent(
        &mut self,
        cx: &mut Context<'_>,
        parent: &str,
        place: &Place,
        above: &mut Vec<String>,
    ) -> Template {
        let is_self = above.last().is_some_and(|id| id == parent);
        if !is_self && above.iter().any(|id| id == parent) {
            if above.iter().all(|id| !self.circles.contains(id)) {
                let circle = [above.join(" → "), parent.to_owned()].join(" → ");
                cx.report.problem(place, format!("derives in a circle: {circle}"), None);
            }
            self.circles.extend(above.iter().cloned());
            return Template::default();
        }
        if !is_self && self.declared.contains_key(parent) {
            return self.template(cx, parent, above).inherited();
        }
        if let Some(builtin) = cx.catalog.provider(parent) {
            let template = Template::builtin(cx, builtin);
            return if is_self { template } else { template.inherited() };
        }
        let declared = self.declared.keys().map(String::as_str);
        let names = declared.chain(cx.catalog.providers().map(|it| it.id.as_str()));
        let hint = did_you_mean(parent, names);
        cx.report.problem(place, format!("no provider is named `{parent}`"), hint);
        Template::default()
    }
}
