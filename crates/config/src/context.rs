//! What validation works with: the report, the variables, the catalogue.

use std::collections::{BTreeSet, HashSet};

use bitrouter_catalog::Catalog;
use url::Url;

use crate::{
    base_url,
    check::Unset,
    document::NotActive,
    env::Environment,
    raw::{provider::Timeouts as RawTimeouts, scalar::Span},
    report::{Place, Report},
    resource::Timeouts,
};

/// Carried through the whole validation.
pub(crate) struct Context<'a> {
    pub(crate) environment: &'a Environment,
    pub(crate) catalog: &'a Catalog,
    pub(crate) report: Report,
    pub(crate) unset: Unset,
    /// The port of model traffic, so that a base URL that points back here is noticed.
    pub(crate) own_port: u16,
    pub(crate) not_active: Vec<NotActive>,
    /// Every variable that was asked for.
    pub(crate) variables: BTreeSet<String>,
    /// Providers that have a key at some endpoint of a route.
    pub(crate) keyed: HashSet<String>,
    /// Providers that are presumed to be declared elsewhere. Absent: none is.
    pub(crate) presumed: Option<BTreeSet<String>>,
}

/// A text that may have been left out for want of a variable.
pub(crate) enum Given<T> {
    Value(T),
    /// The variable that is not set.
    Unset(String),
    Absent,
}

impl Context<'_> {
    /// Tells a value that is absent from one whose variable is not set; the empty text is absent.
    pub(crate) fn given<'v>(&self, value: Option<&'v String>, place: &Place) -> Given<&'v str> {
        match (value, self.unset.get(place)) {
            (_, Some(variable)) => Given::Unset(variable.clone()),
            (Some(value), None) if !value.trim().is_empty() => Given::Value(value.trim()),
            _ => Given::Absent,
        }
    }

    /// Reads a base URL.
    pub(crate) fn base_url(&mut self, text: &str, place: &Place) -> Option<Url> {
        match base_url::parse(text) {
            Ok(url) => Some(url),
            Err(problem) => {
                self.report.problem(place, problem, None);
                None
            }
        }
    }

    /// Reads a length of time in milliseconds.
    pub(crate) fn milliseconds(&mut self, span: Option<&Span>, place: &Place) -> Option<u64> {
        let span = span?;
        let read = span.milliseconds().filter(|&milliseconds| milliseconds > 0);
        if read.is_none() {
            let hint = "a whole number and a unit, such as `500ms`, `30s`, `5m`, `1h` or `90d`";
            self.report.problem(place, "not a length of time", Some(hint.to_owned()));
        }
        read
    }

    /// Reads the limits of an attempt.
    pub(crate) fn timeouts(&mut self, raw: Option<&RawTimeouts>, place: &Place) -> Timeouts {
        let Some(raw) = raw else { return Timeouts::default() };
        let mut read = |span: Option<&Span>, key: &str| {
            let place = place.key(key);
            let milliseconds = self.milliseconds(span, &place)?;
            let fits = u32::try_from(milliseconds).ok();
            if fits.is_none() {
                self.report.problem(&place, "longer than 49 days", None);
            }
            fits
        };
        Timeouts {
            connect_ms: read(raw.connect.as_ref(), "connect"),
            first_token_ms: read(raw.first_token.as_ref(), "first_token"),
            idle_ms: read(raw.idle.as_ref(), "idle"),
            total_ms: read(raw.total.as_ref(), "total"),
        }
    }

    /// Notes a part that does nothing yet.
    pub(crate) fn not_active(&mut self, section: impl Into<String>, what: &str, protects: bool) {
        let what = what.to_owned();
        self.not_active.push(NotActive { section: section.into(), what, protects });
    }
}

/// The limits of `over`, and those of `base` where it has none.
pub(crate) fn merge_timeouts(over: Timeouts, base: Timeouts) -> Timeouts {
    Timeouts {
        connect_ms: over.connect_ms.or(base.connect_ms),
        first_token_ms: over.first_token_ms.or(base.first_token_ms),
        idle_ms: over.idle_ms.or(base.idle_ms),
        total_ms: over.total_ms.or(base.total_ms),
    }
}
