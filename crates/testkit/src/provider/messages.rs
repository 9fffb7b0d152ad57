//! Messages.

use serde_json::{Value, json};

use super::{
    Usage,
    script::{Pieces, Say, sse_event},
};

pub(super) fn whole(say: &Say<'_>) -> Pieces {
    let content = json!([{ "type": "text", "text": say.text }]);
    let mut body = message(say, &content, Some("end_turn"));
    if say.usage.is_reported {
        body["usage"] = usage(say.usage, say.usage.output);
    }
    Pieces::whole(&body)
}

pub(super) fn stream(say: &Say<'_>) -> Pieces {
    let mut start = message(say, &json!([]), None);
    if say.usage.is_reported {
        start["usage"] = usage(say.usage, 1);
    }
    let mut pieces = Vec::new();
    let mut event = |kind: &str, mut body: Value| {
        body["type"] = json!(kind);
        pieces.push(sse_event(kind, &body));
    };
    event("message_start", json!({ "message": start }));
    let block = json!({ "type": "text", "text": "" });
    event("content_block_start", json!({ "index": 0, "content_block": block }));
    event("ping", json!({}));
    for word in say.text.split_inclusive(' ') {
        let delta = json!({ "type": "text_delta", "text": word });
        event("content_block_delta", json!({ "index": 0, "delta": delta }));
    }
    event("content_block_stop", json!({ "index": 0 }));
    let mut end = json!({ "delta": { "stop_reason": "end_turn", "stop_sequence": null } });
    if say.usage.is_reported {
        end["usage"] = json!({ "output_tokens": say.usage.output });
    }
    event("message_delta", end);
    event("message_stop", json!({}));
    Pieces::sse(pieces, 2)
}

fn message(say: &Say<'_>, content: &Value, stop_reason: Option<&str>) -> Value {
    json!({
        "id": format!("msg_fake_{}", say.number),
        "type": "message",
        "role": "assistant",
        "model": say.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": null,
    })
}

/// Messages counts what the cache served apart from `input_tokens`.
fn usage(usage: Usage, output: u64) -> Value {
    json!({
        "input_tokens": usage.input - usage.cache_read - usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write,
            "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": output,
        "service_tier": "standard",
    })
}
