//! Chat Completions, and the older endpoints that share its shapes.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    Usage,
    script::{Pieces, Say, sse_data},
};

pub(super) fn whole(say: &Say<'_>) -> Pieces {
    let mut body = json!({
        "id": format!("chatcmpl-fake-{}", say.number),
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": say.model,
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": say.text, "refusal": null },
            "logprobs": null,
            "finish_reason": "stop",
        }],
    });
    if say.usage.is_reported {
        body["usage"] = usage(say.usage);
    }
    Pieces::whole(&body)
}

pub(super) fn stream(say: &Say<'_>) -> Pieces {
    let chunk = |choices: Value, extra: Option<Value>| {
        let mut body = json!({
            "id": format!("chatcmpl-fake-{}", say.number),
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": say.model,
            "choices": choices,
        });
        if let Some(extra) = extra {
            body["usage"] = extra;
        }
        sse_data(&body)
    };
    let delta = |delta: Value, finish: Value| json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish }]);
    let mut pieces =
        vec![chunk(delta(json!({ "role": "assistant", "content": "" }), Value::Null), None)];
    for word in say.text.split_inclusive(' ') {
        pieces.push(chunk(delta(json!({ "content": word }), Value::Null), None));
    }
    pieces.push(chunk(delta(json!({}), json!("stop")), None));
    let asked = say.request["stream_options"]["include_usage"] == true;
    let with_usage = asked && say.usage.is_reported;
    if with_usage {
        pieces.push(chunk(json!([]), Some(usage(say.usage))));
    }
    pieces.push(Bytes::from_static(b"data: [DONE]\n\n"));
    // Without its end a stream has neither finish_reason, nor usage, nor [DONE].
    Pieces::sse(pieces, if with_usage { 3 } else { 2 })
}

pub(super) fn legacy(say: &Say<'_>) -> Pieces {
    Pieces::whole(&json!({
        "id": format!("cmpl-fake-{}", say.number),
        "object": "text_completion",
        "created": 1_700_000_000,
        "model": say.model,
        "choices": [{ "index": 0, "text": say.text, "logprobs": null, "finish_reason": "stop" }],
        "usage": usage(say.usage),
    }))
}

pub(super) fn embeddings(say: &Say<'_>) -> Pieces {
    Pieces::whole(&json!({
        "object": "list",
        "model": say.model,
        "data": [{ "object": "embedding", "index": 0, "embedding": [0.25, -0.5, 1.0] }],
        "usage": { "prompt_tokens": say.usage.input, "total_tokens": say.usage.input },
    }))
}

fn usage(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": { "cached_tokens": usage.cache_read, "audio_tokens": 0 },
        "completion_tokens_details": { "reasoning_tokens": usage.reasoning, "audio_tokens": 0 },
    })
}
