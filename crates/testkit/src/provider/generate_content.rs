//! Gemini.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    Usage,
    script::{Pieces, Say, sse_data},
};

pub(super) fn whole(say: &Say<'_>) -> Pieces {
    Pieces::whole(&chunk(say, say.text, true))
}

/// Server-sent events with `alt=sse`, else one JSON array sent in pieces.
pub(super) fn stream(say: &Say<'_>, sse: bool) -> Pieces {
    let words: Vec<&str> = say.text.split_inclusive(' ').collect();
    let last = words.len().saturating_sub(1);
    let chunks = words.iter().enumerate().map(|(index, word)| chunk(say, word, index == last));
    if sse {
        return Pieces::sse(chunks.map(|chunk| sse_data(&chunk)).collect(), 1);
    }
    let mut pieces: Vec<Bytes> = chunks
        .enumerate()
        .map(|(index, chunk)| {
            let open = if index == 0 { "[" } else { ",\r\n" };
            Bytes::from(format!("{open}{chunk:#}"))
        })
        .collect();
    pieces.push(Bytes::from_static(b"]"));
    Pieces { content_type: "application/json", sent: pieces, terminal: 2, due: None }
}

fn chunk(say: &Say<'_>, text: &str, is_last: bool) -> Value {
    let mut candidate = json!({
        "index": 0,
        "content": { "role": "model", "parts": [{ "text": text }] },
    });
    if is_last {
        candidate["finishReason"] = json!("STOP");
    }
    let mut body = json!({
        "candidates": [candidate],
        "modelVersion": say.model,
        "responseId": format!("fake-{}", say.number),
    });
    if say.usage.is_reported {
        body["usageMetadata"] = usage(say.usage);
    }
    body
}

/// Gemini counts thoughts apart from candidates.
fn usage(usage: Usage) -> Value {
    json!({
        "promptTokenCount": usage.input,
        "cachedContentTokenCount": usage.cache_read,
        "candidatesTokenCount": usage.output - usage.reasoning,
        "thoughtsTokenCount": usage.reasoning,
        "totalTokenCount": usage.input + usage.output,
    })
}
