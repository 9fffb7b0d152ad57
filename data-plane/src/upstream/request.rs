//! The request that a provider gets: its URL, its headers, its body.
//!
//! The host comes from the endpoint alone. Nothing that a client sends can change it.

use bitrouter_keys::Secret;
use bitrouter_translate::{Surface, surface::upstream_target};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::Full;
use url::{Position, Url};

use super::credentials::{UnsendableSecret, authorize};
use crate::table::resource::Wire;

/// Why an endpoint cannot be asked at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnsendableRequest {
    #[error("this call is not one that providers serve")]
    Surface,
    #[error("the URL of the endpoint is not one: {0}")]
    Url(#[from] http::uri::InvalidUri),
    #[error(transparent)]
    Secret(#[from] UnsendableSecret),
}

/// What is asked, apart from the endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) surface: Surface,
    /// The client's, raw.
    pub(crate) query: Option<&'a str>,
    /// Those of the client that may cross.
    pub(crate) headers: &'a HeaderMap,
}

/// Where the call goes at an endpoint.
pub(crate) fn target(
    base: &Url,
    model: &str,
    question: Question<'_>,
) -> Result<Uri, UnsendableRequest> {
    let path = upstream_target(base.path(), question.surface, model, question.query)
        .ok_or(UnsendableRequest::Surface)?;
    let origin = &base[..Position::BeforePath];
    let mut text = String::with_capacity(origin.len() + path.len());
    text.push_str(origin);
    text.push_str(&path);
    Ok(Uri::try_from(text)?)
}

/// Builds the request for an endpoint.
pub(crate) fn build(
    endpoint: Addressee<'_>,
    question: Question<'_>,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, UnsendableRequest> {
    let uri = target(endpoint.base_url, endpoint.model, question)?;
    let mut headers = question.headers.clone();
    for (name, value) in &endpoint.wire.default_headers {
        headers.insert(name.clone(), value.clone());
    }
    let dialect = question.surface.dialect().ok_or(UnsendableRequest::Surface)?;
    authorize(&mut headers, dialect, &endpoint.wire.auth, endpoint.secret)?;
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok(request)
}

/// The endpoint that is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addressee<'a> {
    pub(crate) base_url: &'a Url,
    pub(crate) model: &'a str,
    pub(crate) wire: &'a Wire,
    pub(crate) secret: Option<&'a Secret>,
}
