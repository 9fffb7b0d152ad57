//! A scriptable provider: serves the four dialects on a loopback port, answers as told, and remembers
//! every request.
//!
//! Without a script it answers politely. A script is a queue of [`Answer`]s, taken in the order in
//! which requests arrive; answers set for a model go before the queue and are never used up.

mod answer;
mod bill;
mod chat_completions;
mod generate_content;
mod messages;
mod received;
mod responses;
mod script;

use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use bill::Meter;

pub use answer::{Answer, Gate, Usage};
pub use bill::Bill;
pub use received::Received;

/// How long [`FakeProvider::received`] waits before the test fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// A provider on a loopback port. Stops when dropped.
#[derive(Debug)]
pub struct FakeProvider {
    addr: SocketAddr,
    state: Arc<State>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

#[derive(Debug)]
struct State {
    queue: Mutex<VecDeque<Answer>>,
    by_model: Mutex<HashMap<String, Answer>>,
    log: Mutex<Vec<Received>>,
    count: watch::Sender<usize>,
    connections: watch::Sender<usize>,
    bill: Meter,
}

impl FakeProvider {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// If loopback has no free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let addr = listener.local_addr().expect("a bound listener has an address");
        let state = Arc::new(State {
            queue: Mutex::default(),
            by_model: Mutex::default(),
            log: Mutex::default(),
            count: watch::Sender::new(0),
            connections: watch::Sender::new(0),
            bill: Meter::default(),
        });
        let provider =
            Self { addr, state, tasks: TaskTracker::new(), stop: CancellationToken::new() };
        let accept = accept(
            listener,
            Arc::clone(&provider.state),
            provider.tasks.clone(),
            provider.stop.clone(),
        );
        provider.tasks.spawn(accept);
        provider
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its base URL for the `OpenAI` dialects and Messages, version path included.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// Its base URL for Gemini.
    pub fn gemini_url(&self) -> String {
        format!("http://{}/v1beta", self.addr)
    }

    /// Queues answers for the next requests.
    pub fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.state.queue.lock().extend(answers);
    }

    /// Answers every request for this model so.
    pub fn for_model(&self, model: &str, answer: Answer) {
        self.state.by_model.lock().insert(model.to_owned(), answer);
    }

    /// Every request so far, in order of arrival.
    pub fn requests(&self) -> Vec<Received> {
        self.state.log.lock().clone()
    }

    /// What it would ask to be paid for.
    pub fn bill(&self) -> Bill {
        self.state.bill.read()
    }

    /// How many connections are open now.
    pub fn connections(&self) -> usize {
        *self.state.connections.borrow()
    }

    /// Waits until at least this many requests have arrived, and returns them all.
    ///
    /// # Panics
    /// If they do not arrive within ten seconds.
    pub async fn received(&self, count: usize) -> Vec<Received> {
        let mut seen = self.state.count.subscribe();
        let arrived = tokio::time::timeout(PATIENCE, seen.wait_for(|seen| *seen >= count)).await;
        assert!(arrived.is_ok(), "{count} requests expected, {} came", self.requests().len());
        self.requests()
    }

    /// Waits until no connection is open.
    ///
    /// # Panics
    /// If one stays open for ten seconds.
    pub async fn idle(&self) {
        let mut open = self.state.connections.subscribe();
        let idle = tokio::time::timeout(PATIENCE, open.wait_for(|open| *open == 0)).await;
        assert!(idle.is_ok(), "{} connections stay open", self.connections());
    }
}

impl Drop for FakeProvider {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl State {
    fn answer_for(&self, request: &Received) -> Answer {
        if let Some(answer) =
            request.model().and_then(|model| self.by_model.lock().get(&model).cloned())
        {
            return answer;
        }
        self.queue.lock().pop_front().unwrap_or_default()
    }
}

async fn accept(
    listener: TcpListener,
    state: Arc<State>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let Ok((stream, _)) = accepted else { continue };
        // A test that cannot set an option on a loopback socket fails soon enough elsewhere.
        stream.set_nodelay(true).ok();
        let (state, stop) = (Arc::clone(&state), stop.clone());
        tasks.spawn(async move {
            state.connections.send_modify(|open| *open += 1);
            let service = service_fn(|request| serve(Arc::clone(&state), request));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                // A connection that the script cuts ends with an error; that is the point.
                _ = connection => {}
                () = stop.cancelled() => {}
            }
            state.connections.send_modify(|open| *open -= 1);
        });
    }
}

async fn serve(
    state: Arc<State>,
    request: hyper::Request<hyper::body::Incoming>,
) -> Result<hyper::Response<script::ScriptBody>, Refusal> {
    let received = Received::read(request).await.map_err(|_| Refusal)?;
    let number = {
        let mut log = state.log.lock();
        log.push(received.clone());
        log.len()
    };
    state.count.send_replace(number);
    let answer = state.answer_for(&received);
    script::respond(answer, &received, number, &state.bill).await.ok_or(Refusal)
}

/// Makes hyper close the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the script closes the connection")]
struct Refusal;

impl From<Infallible> for Refusal {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};
    use hyper_util::{client::legacy::Client, rt::TokioExecutor};

    use super::*;

    async fn post(
        url: String,
        body: &'static str,
    ) -> Result<(u16, String), hyper_util::client::legacy::Error> {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let request = hyper::Request::post(url).body(Full::new(bytes::Bytes::from(body))).unwrap();
        let response = client.request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await;
        Ok((
            status,
            body.map_or_else(
                |_| "cut".to_owned(),
                |body| String::from_utf8_lossy(&body.to_bytes()).into_owned(),
            ),
        ))
    }

    #[tokio::test]
    async fn each_dialect_is_answered_in_its_own_words() {
        let provider = FakeProvider::start().await;
        let (v1, gemini) = (provider.url(), provider.gemini_url());
        let cases = [
            (format!("{v1}/chat/completions"), r#"{"model":"m"}"#, "chat.completion\""),
            (format!("{v1}/chat/completions"), r#"{"model":"m","stream":true}"#, "data: [DONE]"),
            (format!("{v1}/responses"), r#"{"model":"m"}"#, "\"object\":\"response\""),
            (
                format!("{v1}/responses"),
                r#"{"model":"m","stream":true}"#,
                "event: response.completed",
            ),
            (format!("{v1}/messages"), r#"{"model":"m"}"#, "end_turn"),
            (format!("{v1}/messages"), r#"{"model":"m","stream":true}"#, "event: message_stop"),
            (format!("{gemini}/models/m:generateContent"), "{}", "usageMetadata"),
            (format!("{gemini}/models/m:streamGenerateContent?alt=sse"), "{}", "data: {"),
            (format!("{gemini}/models/m:streamGenerateContent"), "{}", "[{"),
            (format!("{v1}/embeddings"), r#"{"model":"m"}"#, "embedding"),
        ];
        for (url, body, expected) in cases {
            let (status, text) = post(url.clone(), body).await.unwrap();
            assert_eq!(status, 200, "{url}");
            assert!(text.contains(expected), "{url} {body}: {text}");
        }
        assert_eq!(provider.requests().len(), 10);
        assert!(provider.requests().iter().all(|request| request.model().as_deref() == Some("m")));
    }

    #[tokio::test]
    async fn the_script_is_played_in_order_and_then_it_is_polite() {
        let provider = FakeProvider::start().await;
        provider.script([
            Answer::error(429, "rate_limit_exceeded", "slow down").header("retry-after", "7"),
            Answer::close(),
            Answer::text("one two three").cut_after(2),
        ]);
        let url = format!("{}/chat/completions", provider.url());
        let (status, text) = post(url.clone(), r#"{"model":"m"}"#).await.unwrap();
        assert_eq!((status, text.contains("slow down")), (429, true));
        assert!(post(url.clone(), r#"{"model":"m"}"#).await.is_err());
        let (status, text) = post(url.clone(), r#"{"model":"m","stream":true}"#).await.unwrap();
        assert_eq!((status, text.as_str()), (200, "cut"));
        assert_eq!(post(url, r#"{"model":"m"}"#).await.unwrap().0, 200);
    }
}
