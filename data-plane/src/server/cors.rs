//! Lets web pages of configured origins call: preflight answers and the headers on every answer.
//!
//! Without configured origins nothing is said. Browsers then let other pages not read an answer, but
//! still send what needs no preflight: [`super::origin`] refuses that where no key is asked for.

use http::{HeaderMap, HeaderValue, Method, Uri, header};

const ALLOWED_METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, OPTIONS");
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static("*");
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("600");

/// The origins that may call.
#[derive(Debug)]
pub(crate) enum Cors {
    Nobody,
    Everybody,
    Origins(Vec<String>),
}

impl Cors {
    pub(crate) fn new(origins: &[String]) -> Self {
        if origins.is_empty() {
            Self::Nobody
        } else if origins.iter().any(|origin| origin == "*") {
            Self::Everybody
        } else {
            Self::Origins(origins.iter().map(|o| o.trim_end_matches('/').to_owned()).collect())
        }
    }

    /// The caller's origin, if it may call.
    pub(crate) fn allowed_origin(&self, request: &HeaderMap) -> Option<HeaderValue> {
        let origin = request.get(header::ORIGIN)?;
        let allowed = match self {
            Self::Nobody => false,
            Self::Everybody => true,
            Self::Origins(origins) => origins
                .iter()
                .any(|allowed| origin.as_bytes().eq_ignore_ascii_case(allowed.as_bytes())),
        };
        allowed.then(|| origin.clone())
    }

    /// True if every page may call.
    pub(crate) const fn allows_all(&self) -> bool {
        matches!(self, Self::Everybody)
    }

    /// True if pages of this host may call.
    pub(crate) fn names(&self, host: &str) -> bool {
        let is_of = |origin: &String| {
            let uri = origin.parse::<Uri>().ok();
            uri.is_some_and(|uri| uri.host().is_some_and(|it| it.eq_ignore_ascii_case(host)))
        };
        match self {
            Self::Nobody => false,
            Self::Everybody => true,
            Self::Origins(origins) => origins.iter().any(is_of),
        }
    }

    /// True if the request only asks whether another one would be allowed.
    pub(crate) fn is_preflight(method: &Method, request: &HeaderMap) -> bool {
        *method == Method::OPTIONS && request.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
    }
}

/// Says to the browser that the page may read the answer.
pub(crate) fn allow(origin: HeaderValue, response: &mut HeaderMap) {
    response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    response.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
    response.append(header::VARY, HeaderValue::from_static("origin"));
}

/// Adds what a preflight asks for: the methods, and whichever headers it named.
pub(crate) fn allow_preflight(request: &HeaderMap, response: &mut HeaderMap) {
    response.insert(header::ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS);
    response.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
    if let Some(headers) = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        response.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, headers.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_configured_origins_may_call() {
        let cases: [(&[&str], &str, bool); 5] = [
            (&[], "https://a.example", false),
            (&["https://a.example/"], "https://a.example", true),
            (&["https://a.example"], "https://a.example.evil.example", false),
            (&["https://a.example"], "null", false),
            (&["*"], "https://b.example", true),
        ];
        for (origins, origin, expected) in cases {
            let origins: Vec<String> = origins.iter().map(|&origin| origin.to_owned()).collect();
            let mut headers = HeaderMap::new();
            headers.insert(header::ORIGIN, origin.parse().unwrap());
            let allowed = Cors::new(&origins).allowed_origin(&headers);
            assert_eq!(allowed.is_some(), expected, "{origin} with {origins:?}");
        }
        assert!(Cors::Everybody.allowed_origin(&HeaderMap::new()).is_none());
    }
}
