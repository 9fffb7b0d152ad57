//! The listener's pages: which of them go through an [`Exchange`], and which are answered here.

use std::{net::SocketAddr, sync::Arc};

use bitrouter_runtime::readiness::Readiness;
use bitrouter_translate::{
    Dialect, Surface,
    models::{self as shapes, Page},
    surface::{Accent, Call, NoSurface, recognise},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use hyper::body::Incoming;

use crate::{
    admit::{Anonymous, admit},
    exchange::{Arrival, Exchange},
    proxy::{answer::fail, error::RequestError, explain::explain, models, relay::AnswerBody},
    server::{
        Handler,
        cors::{self, Cors},
        origin,
        peer::client_address,
    },
    settings::{Listen, MetricsExposure, Network},
};

const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const JSON: &str = "application/json";

/// Answers everything that arrives at the listener. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Front {
    exchange: Arc<Exchange>,
    pages: Arc<Pages>,
}

struct Pages {
    cors: Cors,
    metrics: MetricsExposure,
    trusted: Vec<Network>,
    readiness: Readiness,
}

impl Handler for Front {
    type Body = AnswerBody;

    async fn handle(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<AnswerBody> {
        let origin = self.pages.cors.allowed_origin(request.headers());
        if Cors::is_preflight(request.method(), request.headers()) && origin.is_some() {
            return preflight(request.headers(), origin);
        }
        let mut response = self.answer(request, peer).await;
        if let Some(origin) = origin {
            cors::allow(origin, response.headers_mut());
        }
        response
    }
}

impl Front {
    pub(crate) fn new(exchange: Arc<Exchange>, listen: &Listen, readiness: Readiness) -> Self {
        let pages = Pages {
            cors: Cors::new(&listen.cors_origins),
            metrics: listen.metrics,
            trusted: listen.trusted_proxies.clone(),
            readiness,
        };
        Self { exchange, pages: Arc::new(pages) }
    }

    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<AnswerBody> {
        let client = client_address(peer, request.headers(), &self.pages.trusted);
        let is_local = client.is_loopback() && !is_forwarded(&request, peer, &self.pages.trusted);
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        match request.uri().path() {
            "/" if is_read => return welcome(),
            "/health" if is_read => return self.health(),
            "/metrics" if is_read && self.shows_metrics(is_local) => {
                return self.metrics();
            }
            "/v1/resolve" | "/resolve" if *request.method() == Method::POST => {
                return self.explain(request, peer).await;
            }
            _ => {}
        }
        let (head, body) = request.into_parts();
        let anonymous = self.anonymous(&head, peer);
        let accent = accent(&head.headers, head.uri.query());
        let call = match recognise(head.method.as_str(), head.uri.path(), accent) {
            Ok(call) => call,
            Err(nothing) => return lost(nothing),
        };
        match call.surface {
            Surface::ListModels | Surface::Model => self.models(&call, &head, anonymous),
            Surface::NotYet(_) if is_read && head.uri.path().ends_with("/responses") => {
                fail(&RequestError::NoWebSocket, call.dialect, None, None)
            }
            Surface::NotYet(what) => fail(&RequestError::NotServed(what), call.dialect, None, None),
            Surface::ChatCompletions
            | Surface::Completions
            | Surface::Embeddings
            | Surface::Responses
            | Surface::Messages
            | Surface::GenerateContent { .. }
            | Surface::EmbedContent { .. } => {
                self.exchange.serve(Arrival { call, head, body, anonymous, client }).await
            }
        }
    }

    /// What a request is if it presents no key.
    fn anonymous(&self, head: &Parts, peer: SocketAddr) -> Anonymous {
        match self.exchange.rules.anonymous {
            Anonymous::Local => origin::anonymous(&self.pages.cors, head, peer),
            refused => refused,
        }
    }

    fn shows_metrics(&self, is_local: bool) -> bool {
        match self.pages.metrics {
            MetricsExposure::Public => true,
            MetricsExposure::Loopback => is_local,
            MetricsExposure::Off => false,
        }
    }

    fn metrics(&self) -> Response<AnswerBody> {
        let text = self.exchange.draw_metrics();
        page(StatusCode::OK, METRICS_TYPE, Bytes::from(text))
    }

    fn health(&self) -> Response<AnswerBody> {
        let waiting_for = self.pages.readiness.waiting_for();
        let (status, word) = if waiting_for.is_empty() {
            (StatusCode::OK, "ok")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "not ready")
        };
        let revision = self.exchange.tables.load().revision();
        let health = serde_json::json!({
            "status": word, "revision": revision, "waiting_for": waiting_for,
        });
        page(status, JSON, Bytes::from(health.to_string()))
    }

    async fn explain(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<AnswerBody> {
        let (head, body) = request.into_parts();
        let anonymous = self.anonymous(&head, peer);
        match explain(&self.exchange, &head, body, anonymous).await {
            Ok(plan) => page(StatusCode::OK, JSON, plan),
            Err(error) => fail(&error, Dialect::ChatCompletions, None, None),
        }
    }

    fn models(&self, call: &Call, head: &Parts, anonymous: Anonymous) -> Response<AnswerBody> {
        let exchange = &self.exchange;
        let table = exchange.tables.load();
        let (now, query) = (exchange.books.clock.now(), head.uri.query());
        let principal = match admit(&head.headers, query, &table, anonymous, now) {
            Ok(principal) => principal,
            Err(error) => return fail(&error.into(), call.dialect, None, None),
        };
        let Some(name) = &call.model else {
            let listed = models::list(&table, &principal);
            let shape = shapes::list(call.dialect, &listed, &Page::parse(query));
            return page(StatusCode::OK, JSON, shape);
        };
        let Some(model) = models::find(name, &table, &principal) else {
            let error = RequestError::NotListed { model: name.clone() };
            return fail(&error, call.dialect, None, None);
        };
        page(StatusCode::OK, JSON, shapes::single(call.dialect, &model))
    }
}

/// True if a proxy that nobody declared speaks for somebody whom it does not name credibly.
fn is_forwarded(request: &Request<Incoming>, peer: SocketAddr, trusted: &[Network]) -> bool {
    let headers = request.headers();
    let says_so = headers.contains_key("x-forwarded-for") || headers.contains_key("forwarded");
    says_so && !trusted.iter().any(|network| network.contains(peer.ip()))
}

fn preflight(request: &HeaderMap, origin: Option<HeaderValue>) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    cors::allow_preflight(request, response.headers_mut());
    if let Some(origin) = origin {
        cors::allow(origin, response.headers_mut());
    }
    response
}

fn lost(nothing: NoSurface) -> Response<AnswerBody> {
    let dialect = nothing.dialect();
    let allow = match &nothing {
        NoSurface::WrongMethod { allow, .. } => Some(HeaderValue::from_static(allow)),
        NoSurface::UnknownPath { .. } => None,
    };
    let mut response = fail(&nothing.into(), dialect, None, None);
    if let Some(allow) = allow {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

fn accent(headers: &HeaderMap, query: Option<&str>) -> Accent {
    let has_key = query.unwrap_or("").split('&').any(|pair| pair.starts_with("key="));
    Accent {
        anthropic: headers.contains_key("anthropic-version"),
        google: headers.contains_key("x-goog-api-key") || has_key,
    }
}

fn welcome() -> Response<AnswerBody> {
    const WELCOME: &str = concat!(
        "{\"name\":\"bitrouter\",\"version\":\"",
        env!("CARGO_PKG_VERSION"),
        "\",\"models\":\"/v1/models\"}"
    );
    page(StatusCode::OK, JSON, Bytes::from_static(WELCOME.as_bytes()))
}

fn page(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::Whole(body));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
