//! Model servers on this machine: looked for on loopback, and taken for one only by what they answer.
//!
//! An arbitrary web server on one of the usual ports is left alone, and a port that does not answer
//! in time costs nothing but that time, since all are asked at once.

mod recognise;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bitrouter_config::{Discovered, DiscoveredKind};
use bytes::Bytes;
use futures::future::join_all;
use http::{Request, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// For connecting, asking and reading together.
const PATIENCE: Duration = Duration::from_millis(800);
/// A listing of some ten thousand models.
const LONGEST_ANSWER_BYTES: usize = 4 << 20;

/// The model servers that are known by their answers.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    Ollama,
    LmStudio,
    Vllm,
    LlamaCpp,
}

/// A model server that answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Found {
    pub(crate) kind: Kind,
    pub(crate) port: u16,
    pub(crate) models: Vec<FoundModel>,
}

/// A model that it serves.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct FoundModel {
    pub(crate) id: String,
    /// The context window, where the server tells it. In tokens.
    pub(crate) max_input_tokens: Option<u64>,
}

impl Kind {
    /// In the order in which they are listed.
    pub(crate) const ALL: [Self; 4] = [Self::Ollama, Self::LmStudio, Self::Vllm, Self::LlamaCpp];

    /// The provider's id.
    pub(crate) const fn id(self) -> &'static str {
        match self {
            Self::Ollama => "ollama",
            Self::LmStudio => "lmstudio",
            Self::Vllm => "vllm",
            Self::LlamaCpp => "llamacpp",
        }
    }

    /// What people call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ollama => "Ollama",
            Self::LmStudio => "LM Studio",
            Self::Vllm => "vLLM",
            Self::LlamaCpp => "llama.cpp",
        }
    }

    /// Where it listens if nobody tells it otherwise.
    pub(crate) const fn usual_port(self) -> u16 {
        match self {
            Self::Ollama => 11434,
            Self::LmStudio => 1234,
            Self::Vllm => 8000,
            Self::LlamaCpp => 8080,
        }
    }

    /// What it is asked; the answers are what it is known by.
    const fn questions(self) -> &'static [&'static str] {
        match self {
            Self::Ollama => &["/api/version", "/api/tags"],
            Self::LmStudio => &["/api/v0/models"],
            Self::Vllm | Self::LlamaCpp => &["/v1/models"],
        }
    }
}

impl Found {
    /// The provider's id: the server's kind, with the port if that is not the usual one.
    pub(crate) fn id(&self) -> String {
        if self.port == self.kind.usual_port() {
            self.kind.id().to_owned()
        } else {
            format!("{}-{}", self.kind.id(), self.port)
        }
    }

    /// As the configuration takes it.
    pub(crate) fn declared(&self) -> Option<Discovered> {
        Some(Discovered {
            kind: match self.kind {
                Kind::Ollama => DiscoveredKind::Ollama,
                Kind::LmStudio => DiscoveredKind::LmStudio,
                Kind::Vllm => DiscoveredKind::Vllm,
                Kind::LlamaCpp => DiscoveredKind::LlamaCpp,
            },
            base_url: format!("http://127.0.0.1:{}/v1", self.port).parse().ok()?,
            models: self.models.iter().map(|model| model.id.clone()).collect(),
        })
    }
}

/// Which ports are looked at, and for what.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Scan {
    targets: Vec<(u16, Kind)>,
}

impl Scan {
    /// The usual ports (unless `skip_usual`), and every kind of server on the extra ones.
    pub(crate) fn new(skip_usual: bool, extra_ports: &[u16]) -> Self {
        let usual =
            Kind::ALL.into_iter().filter(|_| !skip_usual).map(|kind| (kind.usual_port(), kind));
        let extra = extra_ports.iter().flat_map(|port| Kind::ALL.map(|kind| (*port, kind)));
        let mut targets: Vec<_> = usual.chain(extra).collect();
        targets.sort_unstable();
        targets.dedup();
        Self { targets }
    }

    /// True if nothing is looked for.
    pub(crate) fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// What is looked for and where, for people.
    pub(crate) fn description(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        for (port, kind) in &self.targets {
            if kind.usual_port() == *port {
                parts.push(format!("{} on {port}", kind.name()));
            }
        }
        let mut extra: Vec<u16> = self.targets.iter().map(|(port, _)| *port).collect();
        extra.dedup();
        extra.retain(|port| Kind::ALL.iter().all(|kind| kind.usual_port() != *port));
        parts.extend(extra.iter().map(|port| format!("any on {port}")));
        parts.join(", ")
    }

    /// The ports that somebody listens on: they are connected to, and asked nothing.
    pub(crate) async fn open_ports(&self) -> BTreeSet<u16> {
        let ports: BTreeSet<u16> = self.targets.iter().map(|(port, _)| *port).collect();
        let tried = ports.into_iter().map(|port| async move {
            let connecting = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
            let connected = tokio::time::timeout(PATIENCE, connecting).await;
            connected.is_ok_and(|connected| connected.is_ok()).then_some(port)
        });
        join_all(tried).await.into_iter().flatten().collect()
    }

    /// Asks all ports at once and returns the servers that were recognised.
    pub(crate) async fn run(&self) -> Vec<Found> {
        let asked = self.targets.iter().map(|(port, kind)| async move {
            tokio::time::timeout(PATIENCE, ask(*port, *kind)).await.ok().flatten()
        });
        join_all(asked).await.into_iter().flatten().collect()
    }
}

async fn ask(port: u16, kind: Kind) -> Option<Found> {
    let mut answers = Vec::new();
    for question in kind.questions() {
        answers.push(get(port, question).await?);
    }
    let models = recognise::models(kind, &answers)?;
    Some(Found { kind, port, models })
}

/// The JSON document at a path, if there is one.
async fn get(port: u16, path: &str) -> Option<Value> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let io = TcpStream::connect(address).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.ok()?;
    let request = Request::get(path)
        .header(header::HOST, address.to_string())
        .header(header::USER_AGENT, "bitrouter")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .ok()?;
    let answer = async {
        let response = sender.send_request(request).await.ok()?;
        if !response.status().is_success() {
            return None;
        }
        let body = Limited::new(response.into_body(), LONGEST_ANSWER_BYTES).collect().await.ok()?;
        serde_json::from_slice(&body.to_bytes()).ok()
    };
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        _ = connection => answer.await,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers every request with the same text until the test ends.
    async fn server(answer: &'static str) -> (u16, tokio_util::task::AbortOnDropHandle<()>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let tasks = tokio_util::task::TaskTracker::new();
        let serving = tasks.spawn(async move {
            while let Ok((mut io, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let _ = io.read(&mut request).await;
                let _ = io.write_all(answer.as_bytes()).await;
            }
        });
        (port, tokio_util::task::AbortOnDropHandle::new(serving))
    }

    #[tokio::test]
    async fn a_server_is_known_by_its_answer_and_others_are_left_alone() {
        let (vllm, _a) = server(
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"object\":\"list\",\"data\":[{\"id\":\"m\",\"owned_by\":\"vllm\",\"max_model_len\":4096}]}",
        )
        .await;
        let (web, _b) =
            server("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n<html>hello</html>").await;
        let scan = Scan::new(true, &[vllm, web]);
        assert_eq!(scan.open_ports().await, BTreeSet::from([vllm, web]));
        let found = scan.run().await;
        let models = vec![FoundModel { id: "m".to_owned(), max_input_tokens: Some(4096) }];
        assert_eq!(found, [Found { kind: Kind::Vllm, port: vllm, models }]);
        assert_eq!(found[0].id(), format!("vllm-{vllm}"));
    }

    #[tokio::test]
    async fn nothing_there_is_nothing_found() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let scan = Scan::new(true, &[port]);
        assert!(scan.open_ports().await.is_empty());
        assert!(scan.run().await.is_empty());
    }

    #[test]
    fn a_scan_says_where_it_looks() {
        assert_eq!(
            Scan::new(false, &[9000]).description(),
            "LM Studio on 1234, vLLM on 8000, llama.cpp on 8080, Ollama on 11434, any on 9000"
        );
        assert!(Scan::new(true, &[]).is_empty());
    }
}
