//! Responses.

use serde_json::{Value, json};

use super::{
    Usage,
    script::{Pieces, Say, sse_event},
};

pub(super) fn whole(say: &Say<'_>) -> Pieces {
    Pieces::whole(&response(say, "completed", true))
}

pub(super) fn stream(say: &Say<'_>) -> Pieces {
    let item_id = format!("msg_fake_{}", say.number);
    let mut pieces = Vec::new();
    let mut event = |kind: &str, mut body: Value| {
        body["type"] = json!(kind);
        body["sequence_number"] = json!(pieces.len());
        pieces.push(sse_event(kind, &body));
    };
    event("response.created", json!({ "response": response(say, "in_progress", false) }));
    event("response.in_progress", json!({ "response": response(say, "in_progress", false) }));
    let item = json!({ "id": item_id, "type": "message", "status": "in_progress", "role": "assistant", "content": [] });
    event("response.output_item.added", json!({ "output_index": 0, "item": item }));
    let part = json!({ "type": "output_text", "text": "", "annotations": [] });
    let at = json!({ "item_id": item_id, "output_index": 0, "content_index": 0 });
    event("response.content_part.added", with(&at, "part", part));
    for word in say.text.split_inclusive(' ') {
        event("response.output_text.delta", with(&at, "delta", json!(word)));
    }
    event("response.output_text.done", with(&at, "text", json!(say.text)));
    let part = json!({ "type": "output_text", "text": say.text, "annotations": [] });
    event("response.content_part.done", with(&at, "part", part));
    event("response.output_item.done", json!({ "output_index": 0, "item": message(say) }));
    event("response.completed", json!({ "response": response(say, "completed", true) }));
    Pieces::sse(pieces, 1)
}

fn with(at: &Value, key: &str, value: Value) -> Value {
    let mut body = at.clone();
    body[key] = value;
    body
}

fn message(say: &Say<'_>) -> Value {
    json!({
        "id": format!("msg_fake_{}", say.number),
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [{ "type": "output_text", "text": say.text, "annotations": [] }],
    })
}

fn response(say: &Say<'_>, status: &str, is_done: bool) -> Value {
    let usage = (is_done && say.usage.is_reported).then(|| usage(say.usage));
    let output = if is_done { json!([message(say)]) } else { json!([]) };
    json!({
        "id": format!("resp_fake_{}", say.number),
        "object": "response",
        "created_at": 1_700_000_000,
        "completed_at": is_done.then_some(1_700_000_001),
        "status": status,
        "background": false,
        "error": null,
        "incomplete_details": null,
        "instructions": null,
        "max_output_tokens": null,
        "max_tool_calls": null,
        "model": say.model,
        "output": output,
        "parallel_tool_calls": true,
        "previous_response_id": null,
        "reasoning": { "effort": null, "summary": null },
        "store": false,
        "temperature": 1.0,
        "text": { "format": { "type": "text" } },
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage,
        "metadata": {},
    })
}

fn usage(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.input,
        "input_tokens_details": { "cached_tokens": usage.cache_read },
        "output_tokens": usage.output,
        "output_tokens_details": { "reasoning_tokens": usage.reasoning },
        "total_tokens": usage.input + usage.output,
    })
}
