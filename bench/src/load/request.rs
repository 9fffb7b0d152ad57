//! The requests: 329 bytes as a chat has them, 195 KB as a coding agent has them.

use super::{Arguments, Mode};

/// The size of the request's body.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Size {
    /// One short message.
    Small,
    /// 42 messages and 12 tools, 195 KB.
    Large,
}

/// The request as it goes over the wire.
pub(crate) fn build(arguments: &Arguments) -> Vec<u8> {
    let streams = matches!(arguments.mode, Mode::Stream | Mode::Hold);
    let mut body = serde_json::json!({ "model": arguments.model, "stream": streams });
    if streams {
        body["stream_options"] = serde_json::json!({ "include_usage": true });
    }
    match arguments.body {
        Size::Small => {
            body["messages"] = serde_json::json!([
                { "role": "system", "content": "You are a helpful assistant that answers briefly." },
                { "role": "user", "content": "Name three rivers of Europe, with their lengths, and say which of them crosses the most countries." },
            ]);
        }
        Size::Large => fill_large(&mut body),
    }
    let body = body.to_string();
    let key = arguments.key.as_ref().map(|key| format!("authorization: Bearer {key}\r\n"));
    format!(
        "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n{}x-bench-pace-us: {}\r\ncontent-length: {}\r\n\r\n{body}",
        arguments.path,
        arguments.target,
        key.unwrap_or_default(),
        arguments.pace_us,
        body.len(),
    )
    .into_bytes()
}

fn fill_large(body: &mut serde_json::Value) {
    let line = "fn step(state: &State) -> Result<Next, Error> { state.advance(\"by one\") }\n";
    let messages: Vec<_> = (0..42)
        .map(|index| {
            let role = if index % 2 == 0 { "user" } else { "assistant" };
            serde_json::json!({ "role": role, "content": line.repeat(56) })
        })
        .collect();
    let tools: Vec<_> = (0..12)
        .map(|index| {
            serde_json::json!({ "type": "function", "function": {
                "name": format!("tool_{index}"),
                "description": "Reads a file and gives back its lines. ".repeat(6),
                "parameters": { "type": "object", "properties": { "path": { "type": "string" } } },
            }})
        })
        .collect();
    body["messages"] = messages.into();
    body["tools"] = tools.into();
}
