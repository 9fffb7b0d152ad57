//! Reads the head of a request: which fields count in which dialect.

use std::ops::Range;

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::{
    RequestHead, ScanError, SessionHints,
    fields::{Fields, elements, not_json, span},
};
use crate::{Surface, count::Count};

/// Where in the body stands what may be replaced.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Places {
    /// The model's JSON string, quotes included; Gemini embeddings may name it several times.
    pub(super) model: Vec<ModelPlace>,
    pub(super) stream_options: StreamOptions,
    /// The closing brace of the body.
    pub(super) end: usize,
}

/// One place that names the model.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct ModelPlace {
    pub(super) span: Range<usize>,
    /// Whether the name is written with its collection, as `models/…`.
    pub(super) has_collection: bool,
}

/// The state of `stream_options`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) enum StreamOptions {
    #[default]
    Absent,
    Null(Range<usize>),
    /// An object that does not say `include_usage`.
    Silent {
        /// Behind the opening brace.
        start: usize,
        is_empty: bool,
    },
    /// The place of the value of `include_usage`.
    Says(Range<usize>),
}

const CHAT: &[&str] = &[
    "model",
    "stream",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "stream_options",
    "tools",
    "functions",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "metadata",
];
const COMPLETIONS: &[&str] =
    &["model", "stream", "max_tokens", "n", "best_of", "stream_options", "user", "metadata"];
const EMBEDDINGS: &[&str] = &["model", "user"];
const RESPONSES: &[&str] = &[
    "model",
    "stream",
    "max_output_tokens",
    "tools",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "metadata",
];
const MESSAGES: &[&str] = &["model", "stream", "max_tokens", "tools", "metadata"];
const GENERATE_CONTENT: &[&str] = &["model", "generationConfig", "generation_config", "tools"];
const EMBED_CONTENT: &[&str] = &["model", "requests"];
const GENERATION_CONFIG: &[&str] =
    &["maxOutputTokens", "max_output_tokens", "candidateCount", "candidate_count"];

/// Reads the head of a request. `path_model` is the model that the path names (Gemini).
pub fn scan(
    surface: Surface,
    path_model: Option<&str>,
    body: &[u8],
) -> Result<RequestHead, ScanError> {
    let text = object_text(body)?;
    let wanted = match surface {
        Surface::Completions => COMPLETIONS,
        Surface::Embeddings => EMBEDDINGS,
        Surface::Responses => RESPONSES,
        Surface::Messages => MESSAGES,
        Surface::GenerateContent { .. } => GENERATE_CONTENT,
        Surface::EmbedContent { .. } => EMBED_CONTENT,
        Surface::ChatCompletions | Surface::ListModels | Surface::Model | Surface::NotYet(_) => {
            CHAT
        }
    };
    let fields = Fields::read(text, wanted)?;
    let end = text.trim_end().len().saturating_sub(1);
    let mut head = RequestHead {
        choices: 1,
        body_len: body.len(),
        places: Places { end, ..Places::default() },
        ..RequestHead::default()
    };
    if matches!(surface, Surface::GenerateContent { .. } | Surface::EmbedContent { .. }) {
        read_gemini(&mut head, surface, path_model, text, &fields)?;
    } else {
        read_openai_like(&mut head, text, &fields)?;
    }
    let has_some = |name| fields.raw(name).is_some_and(|raw| !is_empty_list(raw));
    head.has_tools = has_some("tools") || has_some("functions");
    Ok(head)
}

/// The body as text, if it can be an object.
pub(super) fn object_text(body: &[u8]) -> Result<&str, ScanError> {
    let text = std::str::from_utf8(body).map_err(|e| ScanError::NotUtf8 { at: e.valid_up_to() })?;
    let found = match text.trim_ascii_start().chars().next() {
        None => return Err(ScanError::Empty),
        Some('{') => return Ok(text),
        Some('\u{feff}') => {
            let problem = "a byte order mark stands before the JSON: leave it out".to_owned();
            return Err(ScanError::NotJson { problem, line: 1, column: 1 });
        }
        Some('[') => "an array",
        Some('"') => "a text",
        Some('t' | 'f') => "a boolean",
        Some('n') => "null",
        Some(_) => "a number",
    };
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Err(ScanError::NotAnObject { found }),
        Err(error) => Err(not_json(&error)),
    }
}

fn read_openai_like(
    head: &mut RequestHead,
    text: &str,
    fields: &Fields<'_>,
) -> Result<(), ScanError> {
    let raw = fields.raw("model").filter(|raw| *raw != "null");
    let Some(raw) = raw else { return Err(ScanError::MissingModel { field: "model" }) };
    head.model = string(raw, "model")?;
    if head.model.is_empty() {
        return Err(ScanError::MissingModel { field: "model" });
    }
    let place = ModelPlace { span: span(text, raw), has_collection: false };
    head.places.model.push(place);
    head.stream = boolean(fields, "stream")?;
    for name in ["max_tokens", "max_completion_tokens", "max_output_tokens"] {
        head.max_output_tokens = head.max_output_tokens.max(count(fields.raw(name), name)?);
    }
    for name in ["n", "best_of"] {
        head.choices = head.choices.max(count(fields.raw(name), name)?.unwrap_or(1));
    }
    if let Some(raw) = fields.raw("stream_options") {
        head.places.stream_options = stream_options(text, raw)?;
        head.wants_stream_usage = matches!(
            &head.places.stream_options,
            StreamOptions::Says(place) if text.get(place.clone()) == Some("true")
        );
    }
    head.session = session(fields);
    Ok(())
}

fn read_gemini(
    head: &mut RequestHead,
    surface: Surface,
    path_model: Option<&str>,
    text: &str,
    fields: &Fields<'_>,
) -> Result<(), ScanError> {
    let named = path_model.filter(|model| !model.is_empty());
    let missing = ScanError::MissingModel { field: "models/… in the path" };
    head.model = named.map(str::to_owned).ok_or(missing)?;
    head.stream = matches!(surface, Surface::GenerateContent { stream: true });
    let requests = fields.raw("requests").and_then(elements).unwrap_or_default();
    let in_requests = requests
        .into_iter()
        .filter(|request| request.get().starts_with('{'))
        .map(|request| Ok(Fields::read(request.get(), &["model"])?.raw("model")));
    let in_requests = in_requests.collect::<Result<Vec<_>, ScanError>>()?;
    for raw in in_requests.into_iter().flatten().chain(fields.raw("model")) {
        let has_collection = string(raw, "model")?.starts_with("models/");
        head.places.model.push(ModelPlace { span: span(text, raw), has_collection });
    }
    head.places.model.sort_by_key(|place| place.span.start);
    let config = fields.either("generationConfig", "generation_config")?;
    if let Some(config) = config.filter(|raw| raw.starts_with('{')) {
        let config = Fields::read(config, GENERATION_CONFIG)?;
        let ceiling = config.either("maxOutputTokens", "max_output_tokens")?;
        head.max_output_tokens = count(ceiling, "generationConfig.maxOutputTokens")?;
        let choices = config.either("candidateCount", "candidate_count")?;
        head.choices = count(choices, "generationConfig.candidateCount")?.unwrap_or(1).max(1);
    }
    Ok(())
}

fn stream_options(text: &str, raw: &str) -> Result<StreamOptions, ScanError> {
    if raw == "null" {
        return Ok(StreamOptions::Null(span(text, raw)));
    }
    if !raw.starts_with('{') {
        let field = "stream_options".to_owned();
        return Err(ScanError::WrongType { field, expected: "an object" });
    }
    let Some(value) = Fields::read(raw, &["include_usage"])?.raw("include_usage") else {
        let is_empty = raw.trim_start_matches('{').trim_ascii_start().starts_with('}');
        return Ok(StreamOptions::Silent { start: span(text, raw).start + 1, is_empty });
    };
    if !matches!(value, "true" | "false" | "null") {
        let field = "stream_options.include_usage".to_owned();
        return Err(ScanError::WrongType { field, expected: "true or false" });
    }
    Ok(StreamOptions::Says(span(text, value)))
}

/// The longest hint that is kept, and the most tags; what is beyond is not a hint any more.
const LONGEST_HINT: usize = 512;
const MOST_TAGS: usize = 16;

fn session(fields: &Fields<'_>) -> SessionHints {
    let hint = |name| {
        let text = fields.raw(name).and_then(|raw| serde_json::from_str::<String>(raw).ok());
        text.filter(|text| !text.is_empty() && text.len() <= LONGEST_HINT)
    };
    let mut hints = SessionHints {
        user: hint("user").or_else(|| hint("safety_identifier")),
        prompt_cache_key: hint("prompt_cache_key"),
        ..SessionHints::default()
    };
    let metadata = fields.raw("metadata").map(serde_json::from_str::<Map<String, Value>>);
    for (name, value) in metadata.and_then(Result::ok).into_iter().flatten() {
        let Value::String(text) = value else { continue };
        if text.len() > LONGEST_HINT || name.len() > LONGEST_HINT {
            continue;
        }
        if name == "user_id" {
            hints.metadata_user_id = Some(text);
        } else if hints.metadata.len() < MOST_TAGS {
            hints.metadata.push((name, text));
        }
    }
    hints
}

fn string(raw: &str, field: &str) -> Result<String, ScanError> {
    let wrong = |_| ScanError::WrongType { field: field.to_owned(), expected: "a text" };
    serde_json::from_str(raw).map_err(wrong)
}

fn boolean(fields: &Fields<'_>, field: &str) -> Result<bool, ScanError> {
    match fields.raw(field) {
        None | Some("null" | "false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(ScanError::WrongType { field: field.to_owned(), expected: "true or false" }),
    }
}

fn count(raw: Option<&str>, field: &str) -> Result<Option<u64>, ScanError> {
    match raw.map(serde_json::from_str::<Count>) {
        None => Ok(None),
        Some(Ok(count)) if !count.is_bad() => Ok(count.get()),
        Some(_) => Err(ScanError::WrongType {
            field: field.to_owned(),
            expected: "a whole number that is not negative",
        }),
    }
}

fn is_empty_list(raw: &str) -> bool {
    raw == "null" || raw.strip_prefix('[').is_some_and(|rest| rest.trim_ascii() == "]")
}
