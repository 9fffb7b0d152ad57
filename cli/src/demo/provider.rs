//! A provider for the demo: speaks Chat Completions on loopback, and either answers or is always
//! overloaded.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bitrouter_runtime::tasks::Tasks;
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use http::{Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

/// What it says.
pub(crate) const ANSWER: &str = "One endpoint, many models, and no key of yours in sight.";
/// Between two words of a streamed answer.
const PACE: Duration = Duration::from_millis(40);
const INPUT_TOKENS: usize = 12;

/// How a provider behaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Behaviour {
    Answers,
    IsOverloaded,
}

type Body = BoxBody<Bytes, Infallible>;

/// Starts one and returns where it listens.
pub(crate) async fn start(behaviour: Behaviour, tasks: &Tasks) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let (own_tasks, stop) = (tasks.clone(), tasks.stopping().clone());
    tasks.spawn("demo provider", async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Ok((connection, _)) = listener.accept() => {
                    let stop = stop.clone();
                    own_tasks.spawn("demo connection", async move {
                        tokio::select! {
                            () = stop.cancelled() => {}
                            () = serve(connection, behaviour) => {}
                        }
                    });
                }
            }
        }
    });
    Ok(address)
}

async fn serve(connection: TcpStream, behaviour: Behaviour) {
    // Words are sent one by one.
    let _ = connection.set_nodelay(true);
    let service = service_fn(move |request| async move {
        Ok::<_, Infallible>(match behaviour {
            Behaviour::Answers => answer(request).await,
            Behaviour::IsOverloaded => overloaded(),
        })
    });
    // A client that leaves is no error here.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(connection), service).await;
}

async fn answer(request: Request<Incoming>) -> Response<Body> {
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes);
    let asked: Value =
        body.ok().and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or_else(|| json!({}));
    let model = asked.get("model").and_then(Value::as_str).unwrap_or("parrot").to_owned();
    if asked.get("stream").and_then(Value::as_bool) == Some(true) {
        let frames = events(model).map(|event| Ok(Frame::data(event)));
        return response(
            StatusCode::OK,
            "text/event-stream",
            BoxBody::new(StreamBody::new(frames)),
        );
    }
    let document = json!({
        "id": "chatcmpl-demo", "object": "chat.completion", "created": 0, "model": model,
        "choices": [{"index": 0, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": ANSWER}}],
        "usage": usage(),
    });
    json_response(StatusCode::OK, &document)
}

fn overloaded() -> Response<Body> {
    let error = json!({"error": {"message": "The server is overloaded.", "type": "server_error",
                                 "code": "overloaded"}});
    json_response(StatusCode::SERVICE_UNAVAILABLE, &error)
}

/// The answer word by word, then its usage, then the end.
fn events(model: String) -> impl Stream<Item = Bytes> + Send + Sync + 'static {
    let chunk = move |choices: Value, usage: Value| {
        let chunk = json!({"id": "chatcmpl-demo", "object": "chat.completion.chunk", "created": 0,
                           "model": model, "choices": choices, "usage": usage});
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    let mut events: Vec<Bytes> = ANSWER
        .split_inclusive(' ')
        .map(|word| {
            let choices = json!([{"index": 0, "delta": {"content": word}, "finish_reason": null}]);
            chunk(choices, Value::Null)
        })
        .collect();
    let last = json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]);
    events.push(chunk(last, Value::Null));
    events.push(chunk(json!([]), usage()));
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    stream::unfold(events.into_iter(), |mut events| async move {
        let event = events.next()?;
        tokio::time::sleep(PACE).await;
        Some((event, events))
    })
}

fn usage() -> Value {
    let output = ANSWER.split(' ').count();
    json!({"prompt_tokens": INPUT_TOKENS, "completion_tokens": output,
           "total_tokens": INPUT_TOKENS + output})
}

fn json_response(status: StatusCode, document: &Value) -> Response<Body> {
    response(status, "application/json", Full::new(Bytes::from(document.to_string())).boxed())
}

fn response(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let content_type = http::HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
