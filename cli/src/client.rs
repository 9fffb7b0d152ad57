//! The admin API's client: over the control socket of the bitrouter on this machine, or with a token
//! over HTTP(S) to a control plane elsewhere. One connection for each request.

mod connect;

use std::path::PathBuf;
use std::time::Duration;

use bitrouter_control_plane::api::types::List;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;
use uuid::Uuid;

use crate::args::Globals;
use crate::daemon;
use crate::failure::{Exit, Failure, chain};
use crate::home::{Environment, Places};
use crate::process::Process;
use connect::Io;

/// Longer than any answer should take; a drain is waited for elsewhere.
const DEADLINE: Duration = Duration::from_mins(1);
/// How long a change may take to be served, and how often that is looked at.
const SETTLED: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(2);
/// More than any page of a listing.
const LONGEST_ANSWER_BYTES: usize = 256 << 20;

/// Where the admin API is.
#[derive(Clone, Debug)]
enum Server {
    Socket(PathBuf),
    Remote { url: Url, token: HeaderValue, extra_ca: Option<PathBuf> },
}

/// Sends requests to the admin API.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    server: Server,
}

/// An answer of the admin API that is not an error.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A request of the admin API.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Client {
    /// The server that was named, or else the bitrouter on this machine.
    pub(crate) fn find(
        globals: &Globals,
        places: &Places,
        env: &Environment,
    ) -> Result<Self, Failure> {
        let Some(server) = globals.server.as_ref().filter(|server| !server.is_empty()) else {
            return Ok(Self::local(places));
        };
        let url = Url::parse(server).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let Some(url) = url.filter(Url::has_host) else {
            return Err(Failure::usage(format!("`{server}` is not the address of a server"))
                .hint("write it as http://HOST:PORT or https://HOST:PORT"));
        };
        let Some(token) = env.var("BITROUTER_ADMIN_KEY") else {
            return Err(Failure::refused(format!("the admin API at {url} wants a token"))
                .kind("unauthenticated")
                .hint("set BITROUTER_ADMIN_KEY to an admin token (bradm_…)"));
        };
        let mut token = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| {
            Failure::usage("BITROUTER_ADMIN_KEY holds characters that a token never has")
        })?;
        token.set_sensitive(true);
        let of_env = || env.var("SSL_CERT_FILE").map(PathBuf::from);
        let named = globals.ca.as_ref().filter(|path| !path.as_os_str().is_empty());
        let extra_ca = named.cloned().or_else(of_env).map(|path| env.cwd.join(path));
        Ok(Self { server: Server::Remote { url, token, extra_ca } })
    }

    /// The bitrouter on this machine that serves the home.
    pub(crate) fn local(places: &Places) -> Self {
        let socket = match &places.named_socket {
            Some(_) => places.socket(None),
            None => daemon::running(places).map_or_else(|| places.socket(None), |it| it.socket),
        };
        Self { server: Server::Socket(socket) }
    }

    /// True if it talks to this machine's bitrouter over its control socket.
    pub(crate) const fn is_local(&self) -> bool {
        matches!(self.server, Server::Socket(_))
    }

    /// Reads something.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.send(Call::new(Method::GET, path)).await?.read()
    }

    /// Sends a document that changes something and reads what came of it; see [`Self::change`].
    pub(crate) async fn make<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.change(Call::new(Method::POST, path).json(body)?).await?.read()
    }

    /// As [`Self::make`], for what must not be made twice and whose answer must not be lost: asked for
    /// again, under the same key, where the answer does not arrive.
    pub(crate) async fn make_once<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        key: Uuid,
    ) -> Result<T, Failure> {
        let call = Call::new(Method::POST, path).json(body)?.once(key);
        let answer = match self.change(call.clone()).await {
            Err(failure) if failure.exit() == Exit::Unreachable => self.change(call).await?,
            answer => answer?,
        };
        answer.read()
    }

    /// Sends a document and reads another.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.send(Call::new(Method::POST, path).json(body)?).await?.read()
    }

    /// Waits until the requests that have just ended are on record, where this machine's bitrouter is
    /// asked: whoever looks right after a request shall find it.
    pub(crate) async fn flush(&self) {
        if self.is_local() {
            // Without it there is merely less to see.
            let _ = self.send(Call::new(Method::POST, "/v1/flush")).await;
        }
    }

    /// Sends a change, and waits until the data plane on this machine serves by it, so that what was
    /// made can be used as soon as the command ends.
    pub(crate) async fn change(&self, call: Call) -> Result<Answer, Failure> {
        let answer = self.send(call).await?;
        let (Some(revision), true) = (answer.revision(), self.is_local()) else {
            return Ok(answer);
        };
        let served = async {
            while let Ok(process) = self.get::<Process>("/v1/process").await
                && process.data_plane.applied_revision < revision
            {
                tokio::time::sleep(LOOK).await;
            }
        };
        // The change is made however this ends, and the answer may be the only copy of a secret; who
        // uses it at once may find it not served yet.
        let _ = tokio::time::timeout(SETTLED, served).await;
        Ok(answer)
    }

    /// Sends a request; an error of the API is a failure with its kind, message and hint.
    pub(crate) async fn send(&self, call: Call) -> Result<Answer, Failure> {
        match tokio::time::timeout(DEADLINE, self.exchange(call)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::unreachable(format!(
                "{} did not answer within {} s",
                self.name(),
                DEADLINE.as_secs()
            ))),
        }
    }

    async fn exchange(&self, call: Call) -> Result<Answer, Failure> {
        let io = self.connect().await?;
        let request = self.request(call)?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(io)).await.map_err(|error| self.broke_off(&error))?;
        let answer = async {
            let response =
                sender.send_request(request).await.map_err(|error| self.broke_off(&error))?;
            let (head, body) = response.into_parts();
            let body =
                Limited::new(body, LONGEST_ANSWER_BYTES).collect().await.map_err(|error| {
                    Failure::unreachable(format!("{} broke off its answer: {error}", self.name()))
                })?;
            Ok((head, body.to_bytes()))
        };
        let mut answer = std::pin::pin!(answer);
        // The connection has to be driven for the answer to come; it may well end first.
        let (head, body) = tokio::select! {
            biased;
            result = &mut answer => result?,
            _ = connection => answer.await?,
        };
        if head.status.is_success() {
            return Ok(Answer { headers: head.headers, body });
        }
        Err(self.error_of(head.status, &body))
    }

    async fn connect(&self) -> Result<Io, Failure> {
        match &self.server {
            Server::Socket(path) => connect::socket(path).await,
            Server::Remote { url, extra_ca, .. } => connect::remote(url, extra_ca.as_deref()).await,
        }
    }

    fn request(&self, call: Call) -> Result<Request<Full<Bytes>>, Failure> {
        let uri = Uri::try_from(call.path.as_str())
            .map_err(|_| Failure::usage(format!("`{}` cannot be asked for", call.path)))?;
        let mut request = Request::new(Full::new(call.body));
        *request.method_mut() = call.method;
        *request.uri_mut() = uri;
        *request.headers_mut() = call.headers;
        let host = match &self.server {
            Server::Socket(_) => HeaderValue::from_static("localhost"),
            Server::Remote { url, token, .. } => {
                request.headers_mut().insert(header::AUTHORIZATION, token.clone());
                let authority = url.authority().rsplit('@').next().unwrap_or_default();
                HeaderValue::try_from(authority)
                    .map_err(|_| Failure::usage(format!("`{url}` has no usable host")))?
            }
        };
        request.headers_mut().insert(header::HOST, host);
        Ok(request)
    }

    fn error_of(&self, status: http::StatusCode, body: &[u8]) -> Failure {
        #[derive(serde::Deserialize)]
        struct Drawn {
            error: Failure,
        }
        match serde_json::from_slice::<Drawn>(body) {
            Ok(drawn) => drawn.error.of_status(status.as_u16()),
            Err(_) => Failure::failed(format!("{} answered {status}", self.name()))
                .hint("is it the admin API (port 4357), and of this version?")
                .of_status(status.as_u16()),
        }
    }

    fn broke_off(&self, error: &hyper::Error) -> Failure {
        Failure::unreachable(format!("{} broke off: {}", self.name(), chain(error)))
    }

    fn name(&self) -> String {
        match &self.server {
            Server::Socket(path) => format!("the bitrouter at {}", path.display()),
            Server::Remote { url, .. } => url.to_string(),
        }
    }
}

/// A list as it is shown, without where it would go on.
#[derive(Debug, Serialize)]
pub(crate) struct Items<'a, T> {
    pub(crate) items: &'a [T],
}

/// Reads a list to its end.
pub(crate) async fn all<T: DeserializeOwned>(
    client: &Client,
    path: &str,
) -> Result<Vec<T>, Failure> {
    let mut items = Vec::new();
    let mut after = None;
    loop {
        let page: List<T> = client.get(&with_query(path, &[("after", after)])).await?;
        items.extend(page.items);
        if page.next.is_none() {
            return Ok(items);
        }
        after = page.next;
    }
}

impl Call {
    /// A request without a body. The path begins with `/v1/`.
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// Gives it a JSON body.
    pub(crate) fn json(mut self, body: &impl Serialize) -> Result<Self, Failure> {
        let text = serde_json::to_vec(body)
            .map_err(|error| Failure::failed(format!("the request cannot be written: {error}")))?;
        self.body = text.into();
        self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(self)
    }

    /// Gives it a YAML body.
    pub(crate) fn yaml(mut self, text: String) -> Self {
        self.body = text.into();
        self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/yaml"));
        self
    }

    /// Makes it count once, however often it is sent.
    fn once(mut self, key: Uuid) -> Self {
        if let Ok(value) = HeaderValue::try_from(key.to_string()) {
            self.headers.insert("idempotency-key", value);
        }
        self
    }

    /// Makes it change only the version that was seen.
    pub(crate) fn if_match(mut self, version: u64) -> Self {
        if let Ok(value) = HeaderValue::try_from(format!("\"{version}\"")) {
            self.headers.insert(header::IF_MATCH, value);
        }
        self
    }
}

impl Answer {
    /// Reads the document in it.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let body: &[u8] = if self.body.is_empty() { b"null" } else { &self.body };
        serde_json::from_slice(body).map_err(|error| {
            Failure::failed(format!("the answer is not what this version understands: {error}"))
                .hint("are the command and the running bitrouter of the same version?")
        })
    }

    /// The revision that a change made, if it made one.
    pub(crate) fn revision(&self) -> Option<u64> {
        self.headers.get("x-config-revision")?.to_str().ok()?.parse().ok()
    }
}

/// A path segment, with what would end it encoded.
pub(crate) fn segment(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:@".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// A path with the parameters that are set.
pub(crate) fn with_query(path: &str, parameters: &[(&str, Option<String>)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_slashes_stay_one_segment() {
        assert_eq!(segment("meta/llama 3:8b"), "meta%2Fllama%203:8b");
    }

    #[test]
    fn only_parameters_that_are_set_are_sent() {
        let path = with_query("/v1/usage", &[("by", Some("a b".to_owned())), ("since", None)]);
        assert_eq!(path, "/v1/usage?by=a+b");
        assert_eq!(with_query("/v1/usage", &[("since", None)]), "/v1/usage");
    }

    #[tokio::test]
    async fn nobody_there_is_unreachable_and_says_where() {
        let dir = tempfile::tempdir().unwrap();
        let client = Client { server: Server::Socket(dir.path().join("none.sock")) };
        let failure = client.get::<serde_json::Value>("/v1/status").await.unwrap_err();
        assert_eq!(failure.exit(), crate::failure::Exit::Unreachable);
        assert!(failure.message.contains("none.sock"), "{failure}");
    }

    #[tokio::test]
    async fn a_lost_answer_is_asked_for_again_and_no_later_trouble_loses_it() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cp.sock");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let made = "HTTP/1.1 201 Created\r\nx-config-revision: 7\r\ncontent-length: 2\r\n\r\n42";
        let server = async {
            let mut asked = Vec::new();
            // The first answer is lost; the last is no answer to the question how far it is served.
            for answer in ["", made, "HTTP/1.1 500 Broken\r\ncontent-length: 0\r\n\r\n"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut text = String::new();
                let is_whole = |text: &str| {
                    text.ends_with("{}") || text.starts_with("GET") && text.ends_with("\r\n\r\n")
                };
                while !is_whole(&text) {
                    text.push(char::from(stream.read_u8().await.unwrap()));
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
                asked.push(text);
            }
            asked
        };
        let client = Client { server: Server::Socket(path) };
        let body = serde_json::json!({});
        let minting = client.make_once::<u8>("/v1/keys", &body, Uuid::from_u128(7));
        let (minted, asked) = tokio::join!(minting, server);
        assert_eq!(minted.unwrap(), 42);
        assert_eq!(asked[0], asked[1]);
        assert!(asked[1].contains(&Uuid::from_u128(7).to_string()), "{}", asked[1]);
    }

    #[test]
    fn a_server_without_a_token_is_refused_before_anything_is_sent() {
        let globals =
            Globals { server: Some("https://cp.example:4357".to_owned()), ..Globals::default() };
        let env =
            Environment { cwd: "/".into(), vars: [("HOME".to_owned(), "/h".to_owned())].into() };
        let places = Places::find(&globals, &env).unwrap();
        let failure = Client::find(&globals, &places, &env).unwrap_err();
        assert_eq!(failure.kind, "unauthenticated");
    }
}
