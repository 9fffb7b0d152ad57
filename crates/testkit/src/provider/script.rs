//! Plays an [`Answer`]: builds its pieces in the dialect of the request and sends them at its pace.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::{Response, header};
use hyper::body::{Body, Frame};
use serde_json::{Value, json};

use super::{
    Answer, Received, Usage,
    answer::{Content, Pace},
    bill::Meter,
    chat_completions, generate_content, messages,
    received::Asked,
    responses,
};

/// An answer's pieces before they are sent.
pub(super) struct Pieces {
    pub(super) content_type: &'static str,
    pub(super) sent: Vec<Bytes>,
    /// How many of the last pieces are the terminal event.
    pub(super) terminal: usize,
    /// What the last piece makes due.
    pub(super) due: Option<Usage>,
}

/// What a dialect's builder needs to know.
pub(super) struct Say<'a> {
    pub(super) number: usize,
    pub(super) model: &'a str,
    pub(super) text: &'a str,
    pub(super) usage: Usage,
    pub(super) request: &'a Value,
}

impl Pieces {
    pub(super) fn whole(body: &Value) -> Self {
        let pieces = vec![Bytes::from(body.to_string())];
        Self { content_type: "application/json", sent: pieces, terminal: 0, due: None }
    }

    pub(super) fn sse(pieces: Vec<Bytes>, terminal: usize) -> Self {
        Self { content_type: "text/event-stream", sent: pieces, terminal, due: None }
    }
}

/// Builds the response, or nothing if the connection is to be closed.
pub(super) async fn respond(
    answer: Answer,
    request: &Received,
    number: usize,
    meter: &Meter,
) -> Option<Response<ScriptBody>> {
    tokio::time::sleep(answer.pace.before_head).await;
    let mut built = match &answer.content {
        Content::Close => return None,
        Content::Hang => std::future::pending().await,
        Content::Raw { content_type, pieces } => {
            Pieces { content_type, sent: pieces.clone(), terminal: 0, due: None }
        }
        Content::Error { code, message } => {
            Pieces::whole(&error_body(request.asked(), answer.status.as_u16(), code, message))
        }
        Content::ErrorInStream { words, code, message } => {
            let text = vec!["word"; *words].join(" ");
            let mut built = say(request, number, &text, Usage::default());
            let keep = built.sent.len().min(words + 1);
            built.sent.truncate(keep);
            built.terminal = 0;
            built.due = None;
            built.sent.push(error_event(request.asked(), code, message));
            built
        }
        Content::Text { text, usage } => say(request, number, text, *usage),
    };
    if !answer.terminated {
        built.sent.truncate(built.sent.len() - built.terminal);
        built.due = None;
    }
    let due = built.due.filter(|_| answer.cut_after.is_none()).map(|usage| (meter.clone(), usage));
    let mut response = Response::builder().status(answer.status);
    if !answer.headers.iter().any(|(name, _)| name == header::CONTENT_TYPE) {
        response = response.header(header::CONTENT_TYPE, built.content_type);
    }
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(ScriptBody::new(built.sent, answer.pace, answer.cut_after, due)).ok()
}

fn say(request: &Received, number: usize, text: &str, usage: Usage) -> Pieces {
    let body = request.json();
    let model = request.model().unwrap_or_default();
    let say = Say { number, model: &model, text, usage, request: &body };
    let stream = request.wants_stream();
    let asked = request.asked();
    let mut built = match asked {
        Asked::ChatCompletions if stream => chat_completions::stream(&say),
        Asked::ChatCompletions => chat_completions::whole(&say),
        Asked::Completions => chat_completions::legacy(&say),
        Asked::Embeddings => chat_completions::embeddings(&say),
        Asked::Responses if stream => responses::stream(&say),
        Asked::Responses => responses::whole(&say),
        Asked::Messages if stream => messages::stream(&say),
        Asked::Messages => messages::whole(&say),
        Asked::GenerateContent { stream: true, sse } => generate_content::stream(&say, sse),
        Asked::GenerateContent { stream: false, .. } => generate_content::whole(&say),
        Asked::Models => Pieces::whole(&json!({
            "object": "list",
            "data": [{ "id": "fake-model", "object": "model", "created": 0, "owned_by": "fake" }],
        })),
        Asked::Other => Pieces::whole(&json!({ "ok": true })),
    };
    built.due = due(asked, stream, &body, usage);
    built
}

/// What is to be paid for an answer: nothing that it does not mention.
fn due(asked: Asked, stream: bool, body: &Value, usage: Usage) -> Option<Usage> {
    match asked {
        Asked::Models | Asked::Other => None,
        // These two always say it.
        Asked::Completions => Some(usage),
        Asked::Embeddings => Some(Usage { output: 0, ..usage }),
        Asked::ChatCompletions if stream && body["stream_options"]["include_usage"] != true => None,
        _ => usage.is_reported.then_some(usage),
    }
}

fn error_body(asked: Asked, status: u16, code: &str, message: &str) -> Value {
    match asked {
        Asked::Messages => {
            json!({ "type": "error", "error": { "type": code, "message": message }, "request_id": "req_fake" })
        }
        Asked::GenerateContent { .. } => {
            json!({ "error": { "code": status, "message": message, "status": code } })
        }
        _ => json!({ "error": { "message": message, "type": code, "param": null, "code": code } }),
    }
}

fn error_event(asked: Asked, code: &str, message: &str) -> Bytes {
    let body = error_body(asked, 500, code, message);
    match asked {
        Asked::Messages => sse_event("error", &body),
        Asked::Responses => sse_event(
            "error",
            &json!({ "type": "error", "code": code, "message": message, "param": null, "sequence_number": 99 }),
        ),
        _ => sse_data(&body),
    }
}

/// One event without a name.
pub(super) fn sse_data(data: &Value) -> Bytes {
    Bytes::from(format!("data: {data}\n\n"))
}

/// One event with a name.
pub(super) fn sse_event(event: &str, data: &Value) -> Bytes {
    Bytes::from(format!("event: {event}\ndata: {data}\n\n"))
}

/// A body that sends its pieces at a pace and may break off.
pub(super) struct ScriptBody {
    pieces: Pin<Box<dyn Stream<Item = Result<Bytes, io::Error>> + Send>>,
}

impl ScriptBody {
    /// `due` is put on the bill with the last piece.
    fn new(
        pieces: Vec<Bytes>,
        pace: Pace,
        cut_after: Option<usize>,
        due: Option<(Meter, Usage)>,
    ) -> Self {
        let kept = cut_after.unwrap_or(pieces.len()).min(pieces.len());
        let sent =
            stream::iter(pieces.into_iter().take(kept).enumerate()).then(move |(index, piece)| {
                let pace = pace.clone();
                let due = due.clone().filter(|_| index + 1 == kept);
                async move {
                    let delay = if index == 0 { pace.before_first } else { pace.between };
                    if !delay.is_zero() {
                        tokio::time::sleep(delay).await;
                    }
                    if let Some((at, gate)) = &pace.gate
                        && *at == index
                    {
                        gate.pass().await;
                    }
                    if let Some((meter, usage)) = due {
                        meter.add(usage);
                    }
                    Ok(piece)
                }
            });
        // hyper writes what it has before it polls for more only if the body is pending once.
        let cut = stream::iter(cut_after.map(|_| ())).then(|()| async {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            Err(io::Error::new(io::ErrorKind::ConnectionReset, "cut by the script"))
        });
        Self { pieces: Box::pin(sent.chain(cut)) }
    }
}

impl Body for ScriptBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.pieces
            .as_mut()
            .poll_next(context)
            .map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
