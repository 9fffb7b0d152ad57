//! Tells requests that a web page of another origin sends from those of programs.
//!
//! A browser lets any page send a plain `POST` to this machine, though not read the answer: the answer
//! would cost all the same. And a page whose own host name is made to point here counts as ours to the
//! browser. Where no key is asked for, both are known by their headers only, which a page cannot forge.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, Uri, header, request::Parts, uri::Authority};

use super::cors::Cors;
use crate::admit::Anonymous;

const FETCH_SITE: &str = "sec-fetch-site";

/// What a request that presents no key is: one that a page sent is none of the operator's.
pub(crate) fn anonymous(cors: &Cors, head: &Parts, peer: SocketAddr) -> Anonymous {
    let host = host(&head.uri, &head.headers);
    if is_of_another_page(cors, &head.headers, host.as_ref()) {
        return Anonymous::OtherOrigin;
    }
    // What reaches this machine from outside is not led here by a name: it knows the way.
    let is_led = peer.ip().to_canonical().is_loopback();
    match host {
        Some(host) if is_led && !is_own_name(host.host()) && !cors.names(host.host()) => {
            Anonymous::OtherHost
        }
        _ => Anonymous::Local,
    }
}

/// Whom the client believes to be talking to. `None`: it does not say, so that it is no browser.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    let named = || Authority::try_from(headers.get(header::HOST)?.as_bytes()).ok();
    uri.authority().cloned().or_else(named)
}

fn is_of_another_page(cors: &Cors, headers: &HeaderMap, host: Option<&Authority>) -> bool {
    if cors.allowed_origin(headers).is_some() {
        return false;
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        return !origin.zip(host).is_some_and(|((_, page), host)| host == page);
    }
    // Without an origin: what a page embeds, and links that are followed.
    let site = headers.get(FETCH_SITE).map(http::HeaderValue::as_bytes);
    matches!(site, Some(b"cross-site" | b"same-site")) && !cors.allows_all()
}

/// True for names that nobody else can make point here: addresses, and names that no public server
/// of names answers for.
fn is_own_name(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    address.parse::<IpAddr>().is_ok()
        || host == "localhost"
        || host.ends_with(".localhost")
        // As containers call the machine that they run on.
        || host.ends_with(".internal")
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn judge(origins: &[&str], peer: &str, headers: &[(&str, &str)]) -> Anonymous {
        let origins: Vec<_> = origins.iter().map(|&origin| origin.to_owned()).collect();
        let mut request = Request::post("/v1/messages");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        anonymous(&Cors::new(&origins), &head, peer.parse().unwrap())
    }

    #[test]
    fn pages_of_other_origins_are_told_from_programs() {
        use Anonymous::{Local, OtherOrigin};
        let own = ("host", "localhost:4356");
        let cases: [(&[&str], &[_], _); 11] = [
            (&[], &[], Local),
            (&[], &[("origin", "https://evil.example")], OtherOrigin),
            (&[], &[("origin", "null")], OtherOrigin),
            (&[], &[("origin", "http://localhost:3000")], OtherOrigin),
            (&[], &[("origin", "http://localhost:4356")], Local),
            (&[], &[("sec-fetch-site", "cross-site")], OtherOrigin),
            (&[], &[("sec-fetch-site", "same-site")], OtherOrigin),
            (&[], &[("sec-fetch-site", "same-origin")], Local),
            (&["https://app.example"], &[("origin", "https://app.example")], Local),
            (&["https://app.example"], &[("origin", "https://evil.example")], OtherOrigin),
            (&["*"], &[("sec-fetch-site", "cross-site")], Local),
        ];
        for (origins, headers, expected) in cases {
            let headers = [&[own], headers].concat();
            assert_eq!(judge(origins, "127.0.0.1:9", &headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_name_that_somebody_makes_point_here_is_not_ours() {
        use Anonymous::{Local, OtherHost};
        let cases = [
            ("localhost:4356", Local),
            ("LOCALHOST.:4356", Local),
            ("app.localhost:4356", Local),
            ("127.0.0.1:4356", Local),
            ("[::1]:4356", Local),
            ("host.docker.internal:4356", Local),
            ("router.example", Local),
            ("evil.example:4356", OtherHost),
            ("127.0.0.1.evil.example", OtherHost),
        ];
        let allowed = ["https://router.example"];
        for (host, expected) in cases {
            for peer in ["127.0.0.1:9", "[::1]:9", "[::ffff:127.0.0.1]:9"] {
                let page = format!("http://{host}");
                let headers = [("host", host), ("origin", page.as_str())];
                assert_eq!(judge(&allowed, peer, &headers), expected, "{host} from {peer}");
            }
            assert_eq!(judge(&allowed, "10.1.2.3:9", &[("host", host)]), Local, "{host}");
        }
        assert_eq!(judge(&["*"], "127.0.0.1:9", &[("host", "evil.example")]), Local);
    }
}
