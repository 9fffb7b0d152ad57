//! Who may use the admin API.
//!
//! Web pages in a browser on this machine can reach loopback, and a name that they control can be made
//! to point to it. So over the network the `Host` must be one of the listener's own, an `Origin` must
//! be that host, and the token is always required. The decision depends on nothing but these headers.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bitrouter_keys::{AdminToken, DigestKey};
use bitrouter_runtime::tls::Certificate;

use crate::{
    api::{Api, error::ApiError},
    store::{Actor, StoreError},
};

/// How a listener is protected.
#[derive(Clone, Debug)]
pub enum Access {
    /// Whoever can connect may do everything: a socket that only its owner can open.
    Socket,
    /// A token is needed, and the request must name this listener.
    Network {
        /// The names and addresses besides loopback's under which the listener is reached, without
        /// ports.
        names: Arc<BTreeSet<String>>,
        /// Presented by the listener, if it speaks TLS. No browser takes it for another name, so
        /// every name that it is for is the listener's own.
        certificate: Option<Certificate>,
    },
}

/// What admission is decided with.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    pub(super) api: Api,
    pub(super) access: Access,
}

/// Lets a request through as somebody, or not at all.
pub(super) async fn admit(
    State(admission): State<Admission>,
    mut request: Request,
    next: Next,
) -> Response {
    match actor(&admission, request.headers(), request.uri()).await {
        Ok(actor) => {
            request.extensions_mut().insert(actor);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    }
}

async fn actor(admission: &Admission, headers: &HeaderMap, uri: &Uri) -> Result<Actor, ApiError> {
    let Access::Network { names, certificate } = &admission.access else {
        return Ok(Actor::Socket);
    };
    let is_own =
        |host: &str| is_own(host, names) || certificate.as_ref().is_some_and(|it| it.is_for(host));
    is_meant_for(headers, uri, is_own).map_err(ApiError::Misdirected)?;
    let token = bearer(headers).ok_or(ApiError::Unauthenticated)?;
    let found = token_owner(&admission.api, &token).await?;
    found.map(Actor::Token).ok_or(ApiError::Unauthenticated)
}

async fn token_owner(api: &Api, token: &AdminToken) -> Result<Option<String>, StoreError> {
    let row = api.store.digest_key().await?;
    let digest = token.digest(&DigestKey::new(*row.key));
    Ok(api.store.admin_token_by_digest(&digest.0).await?.map(|token| token.id))
}

fn bearer(headers: &HeaderMap) -> Option<AdminToken> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| AdminToken::parse(token.trim()).ok())?
}

fn is_meant_for(
    headers: &HeaderMap,
    uri: &Uri,
    is_own: impl Fn(&str) -> bool,
) -> Result<(), &'static str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let authority = match (hosts.next(), hosts.next(), uri.authority()) {
        (_, Some(_), _) => return Err("it has more than one Host header"),
        (Some(host), None, None) => host.to_str().map_err(|_| "its Host header is not text")?,
        (Some(host), None, Some(authority)) if host.as_bytes() != authority.as_str().as_bytes() => {
            return Err("its Host header contradicts its URL");
        }
        (_, None, Some(authority)) => authority.as_str(),
        (None, None, None) => return Err("it has no Host header"),
    };
    if !is_own(host_of(authority)) {
        return Err("its Host header names another host");
    }
    let mut origins = headers.get_all(header::ORIGIN).iter();
    match origins.next() {
        None => Ok(()),
        Some(origin) if origins.next().is_none() && is_same_origin(origin, authority) => Ok(()),
        Some(_) => Err("its Origin is another site"),
    }
}

fn is_same_origin(origin: &header::HeaderValue, authority: &str) -> bool {
    let origin = origin.to_str().unwrap_or_default();
    let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    rest.is_some_and(|rest| rest.eq_ignore_ascii_case(authority))
}

/// Without the port.
fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').map_or(authority, |(address, _)| address);
    }
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

fn is_own(host: &str, names: &BTreeSet<String>) -> bool {
    let is_loopback = host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_loopback
        || host.eq_ignore_ascii_case("localhost")
        || names.iter().any(|name| name.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(host: &[&str], origin: Option<&str>) -> Result<(), &'static str> {
        let mut headers = HeaderMap::new();
        for host in host {
            headers.append(header::HOST, host.parse().unwrap());
        }
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        let names = BTreeSet::from(["gateway.example".to_owned()]);
        let uri = Uri::from_static("/v1/status");
        is_meant_for(&headers, &uri, |host| is_own(host, &names))
    }

    #[test]
    fn only_requests_for_this_listener_are_taken() {
        let cases: &[(&[&str], Option<&str>, bool)] = &[
            (&["127.0.0.1:4357"], None, true),
            (&["127.8.8.8"], None, true),
            (&["localhost:4357"], None, true),
            (&["LOCALHOST"], None, true),
            (&["[::1]:4357"], None, true),
            (&["gateway.example:4357"], None, true),
            (&["localhost:4357"], Some("http://localhost:4357"), true),
            (&["localhost:4357"], Some("http://localhost:8080"), false),
            (&["localhost:4357"], Some("http://evil.example"), false),
            (&["localhost:4357"], Some("null"), false),
            (&["evil.example"], None, false),
            (&["localhost.evil.example"], None, false),
            (&["127.0.0.1.evil.example"], None, false),
            (&["localhost", "localhost"], None, false),
            (&[], None, false),
            (&[""], None, false),
            (&["10.0.0.1:4357"], None, false),
        ];
        for (host, origin, expected) in cases {
            assert_eq!(verdict(host, *origin).is_ok(), *expected, "{host:?} {origin:?}");
        }
    }

    #[test]
    fn only_well_formed_tokens_are_looked_up() {
        let token = AdminToken::from_entropy([3; 32]);
        let read = |values: &[String]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            bearer(&headers).is_some()
        };
        let good = format!("Bearer {}", token.as_str());
        assert!(read(std::slice::from_ref(&good)));
        assert!(read(&[format!("bearer {}", token.as_str())]));
        assert!(!read(&[]));
        assert!(!read(&[good.clone(), good]));
        assert!(!read(&[token.as_str().to_owned()]));
        assert!(!read(&["Bearer ' OR 1=1 --".to_owned()]));
    }
}
