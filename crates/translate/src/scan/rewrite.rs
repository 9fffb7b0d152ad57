//! Changes a body by splicing: every byte outside the change stays.

use std::ops::Range;

use bytes::Bytes;

use super::{
    RequestHead,
    read::{ModelPlace, StreamOptions},
};

/// What to change in a body.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rewrite<'a> {
    /// The model's name upstream.
    pub model: Option<&'a str>,
    /// Ask for usage in a Chat stream where the client did not.
    pub stream_usage: bool,
}

/// Applies a rewrite to the body that `head` was read from. Nothing is copied if nothing changes.
pub fn rewrite(body: &Bytes, head: &RequestHead, rewrite: Rewrite<'_>) -> Bytes {
    let mut edits = Edits::default();
    if let Some(model) = rewrite.model {
        for ModelPlace { span, has_collection } in &head.places.model {
            let collection = if *has_collection { "models/" } else { "" };
            let is_plain = model.starts_with("models/") || collection.is_empty();
            let named = if is_plain { model.to_owned() } else { format!("{collection}{model}") };
            edits.replace(span.clone(), serde_json::Value::String(named).to_string());
        }
    }
    if rewrite.stream_usage && head.stream && !head.wants_stream_usage {
        match &head.places.stream_options {
            StreamOptions::Absent => {
                let end = head.places.end;
                let added = r#","stream_options":{"include_usage":true}"#;
                edits.replace(end..end, added.to_owned());
            }
            StreamOptions::Null(span) => {
                edits.replace(span.clone(), r#"{"include_usage":true}"#.to_owned());
            }
            StreamOptions::Silent { start, is_empty } => {
                let comma = if *is_empty { "" } else { "," };
                edits.replace(*start..*start, format!(r#""include_usage":true{comma}"#));
            }
            StreamOptions::Says(span) => edits.replace(span.clone(), "true".to_owned()),
        }
    }
    edits.apply(body)
}

/// Replaces the model's name.
pub fn with_model(body: &Bytes, head: &RequestHead, model: &str) -> Bytes {
    rewrite(body, head, Rewrite { model: Some(model), stream_usage: false })
}

/// Asks for usage in a Chat stream.
pub fn with_stream_usage(body: &Bytes, head: &RequestHead) -> Bytes {
    rewrite(body, head, Rewrite { model: None, stream_usage: true })
}

/// Replacements in one body, by their places in the original.
#[derive(Debug, Default)]
pub(super) struct Edits {
    edits: Vec<(Range<usize>, String)>,
}

impl Edits {
    pub(super) fn replace(&mut self, place: Range<usize>, with: String) {
        self.edits.push((place, with));
    }

    /// Applies them all. Replacements that overlap an earlier one are a mistake of the caller's and
    /// have no effect.
    pub(super) fn apply(mut self, body: &Bytes) -> Bytes {
        self.edits.retain(|(place, with)| body.get(place.clone()) != Some(with.as_bytes()));
        if self.edits.is_empty() {
            return body.clone();
        }
        self.edits.sort_by_key(|(place, _)| place.start);
        let added: usize = self.edits.iter().map(|(_, with)| with.len()).sum();
        let mut out = Vec::with_capacity(body.len() + added);
        let mut done = 0;
        for (place, with) in self.edits {
            let Some(kept) = body.get(done..place.start) else { continue };
            out.extend_from_slice(kept);
            out.extend_from_slice(with.as_bytes());
            done = place.end;
        }
        out.extend_from_slice(body.get(done..).unwrap_or(b""));
        Bytes::from(out)
    }
}
