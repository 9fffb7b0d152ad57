//! Base URLs: with or without the version path, the same place.

use std::net::IpAddr;

use bitrouter_translate::Dialect;
use url::{Host, Url};

/// Reads a base URL; the error says what it has to be.
pub(crate) fn parse(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text.trim()).map_err(|_| "not a URL: expected `https://host/path`")?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("expected a URL that begins with `https://` or `http://`");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL is no place for credentials: use `api_key`");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("a base URL has no query and no fragment");
    }
    Ok(url)
}

/// Adds the version path that the dialect's paths begin with, if there is none; takes off what
/// people copy along (a trailing slash, the path of an operation). Who gives the path of an
/// operation has given the version, if there is any.
pub(crate) fn normalise(url: &Url, dialect: Dialect) -> Url {
    let path = url.path().trim_end_matches('/');
    let listing = (dialect == Dialect::GenerateContent).then_some("/models");
    let mut operations =
        ["/chat/completions", "/responses", "/messages"].into_iter().chain(listing);
    let stripped = operations.find_map(|operation| path.strip_suffix(operation));
    let base = stripped.unwrap_or(path).trim_end_matches('/');
    let version =
        if stripped.is_some() || has_version(base, dialect) { "" } else { version(dialect) };
    let mut normal = url.clone();
    normal.set_path(&format!("{base}{version}"));
    without_slash(normal)
}

const fn version(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::GenerateContent => "/v1beta",
        Dialect::ChatCompletions | Dialect::Responses | Dialect::Messages => "/v1",
    }
}

/// True if the path names its version. Clients of the OpenAI dialects add none to what they are
/// given, so that one anywhere is enough; those of the others do, and only theirs comes last.
fn has_version(path: &str, dialect: Dialect) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    match dialect {
        Dialect::ChatCompletions | Dialect::Responses => path.split('/').any(is_version),
        Dialect::Messages => is_version(last),
        Dialect::GenerateContent => is_version(last) || path.contains("/publishers/"),
    }
}

/// A root path is written without its slash nowhere in a `Url`; everything else is.
fn without_slash(mut url: Url) -> Url {
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    url
}

/// True if both are the same place, where only one of them may name a version.
pub(crate) fn is_same_place(one: &Url, other: &Url) -> bool {
    let origin =
        |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port());
    let (one_versions, one_path): (Vec<&str>, Vec<&str>) =
        segments(one).partition(|it| is_version(it));
    let (other_versions, other_path): (Vec<&str>, Vec<&str>) =
        segments(other).partition(|it| is_version(it));
    let agrees =
        one_versions.is_empty() || other_versions.is_empty() || one_versions == other_versions;
    origin(one) == origin(other) && one_path == other_path && agrees
}

fn segments(url: &Url) -> impl Iterator<Item = &str> {
    url.path().split('/').filter(|segment| !segment.is_empty())
}

/// True for `v1`, `v1beta`, `v4`.
fn is_version(segment: &str) -> bool {
    let mut rest = segment.bytes();
    rest.next() == Some(b'v')
        && rest.next().is_some_and(|byte| byte.is_ascii_digit())
        && rest.all(|byte| byte.is_ascii_alphanumeric())
}

/// The dialect that a host is known for.
pub(crate) fn infer(url: &Url) -> Dialect {
    let host = url.host_str().unwrap_or_default();
    let belongs = |domain: &str| {
        host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
    };
    let has_segment = |name: &str| url.path().split('/').any(|segment| segment == name);
    if belongs("anthropic.com") || has_segment("anthropic") {
        Dialect::Messages
    } else if belongs("googleapis.com") && !has_segment("openai") {
        Dialect::GenerateContent
    } else {
        Dialect::ChatCompletions
    }
}

/// True if a plain-text connection to the host may leave the operator's own networks.
pub(crate) fn is_public(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => !is_private(IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) => !is_private(IpAddr::V6(ip)),
        Some(Host::Domain(name)) => {
            let own = ["localhost", "local", "lan", "internal", "home.arpa", "intranet", "svc"];
            name.contains('.')
                && !own.iter().any(|end| {
                    name.strip_suffix(end)
                        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                })
        }
        None => false,
    }
}

/// True for loopback, private, link-local and carrier-grade NAT addresses.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            let is_shared = first == 100 && (64..128).contains(&second);
            ip.is_loopback()
                || ip.is_private()
                || ip.is_link_local()
                || ip.is_unspecified()
                || is_shared
        }
        IpAddr::V6(ip) => {
            let mapped = ip.to_ipv4_mapped().is_some_and(|ip| is_private(IpAddr::V4(ip)));
            ip.is_loopback()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
                || ip.is_unspecified()
                || mapped
        }
    }
}

/// True if the URL is on this machine, at this port.
pub(crate) fn is_loopback_port(url: &Url, port: u16) -> bool {
    let is_loopback = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.is_unspecified(),
        Some(Host::Ipv6(ip)) => ip.is_loopback() || ip.is_unspecified(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    is_loopback && url.port_or_known_default() == Some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_path_may_be_given_or_not() {
        use Dialect::{ChatCompletions as Chat, GenerateContent as Gemini, Messages, Responses};
        let cases = [
            ("https://api.anthropic.com", Messages, "https://api.anthropic.com/v1"),
            ("https://api.anthropic.com/v1", Messages, "https://api.anthropic.com/v1"),
            ("https://api.anthropic.com/v1/", Messages, "https://api.anthropic.com/v1"),
            ("https://api.moonshot.ai/anthropic", Messages, "https://api.moonshot.ai/anthropic/v1"),
            (
                "https://generativelanguage.googleapis.com",
                Gemini,
                "https://generativelanguage.googleapis.com/v1beta",
            ),
            ("https://h/v1beta/models", Gemini, "https://h/v1beta"),
            ("http://localhost:11434", Chat, "http://localhost:11434/v1"),
            ("http://localhost:11434/v1", Chat, "http://localhost:11434/v1"),
            ("https://h/v1/chat/completions", Chat, "https://h/v1"),
            ("https://h/api/paas/v4", Chat, "https://h/api/paas/v4"),
            ("https://h/openai/v1/", Responses, "https://h/openai/v1"),
            ("https://h/v1/publishers/google", Gemini, "https://h/v1/publishers/google"),
            ("https://h/verbose", Chat, "https://h/verbose/v1"),
            // The version of a gateway in front is none of the dialect's.
            ("https://h/v1/acc/gw/anthropic", Messages, "https://h/v1/acc/gw/anthropic/v1"),
            ("https://h/api/v2/apps/code", Messages, "https://h/api/v2/apps/code/v1"),
            ("https://h/v1/acc/studio", Gemini, "https://h/v1/acc/studio/v1beta"),
            (
                "https://h/v1/projects/p/locations/l/publishers/google",
                Gemini,
                "https://h/v1/projects/p/locations/l/publishers/google",
            ),
            ("https://h/v1/acc/gw/openai", Chat, "https://h/v1/acc/gw/openai"),
            ("https://h/v3/openai", Chat, "https://h/v3/openai"),
            // Who gives the whole path of an operation has left no version out.
            ("https://h/chat/completions", Chat, "https://h/"),
            ("https://h/chat/completions/", Responses, "https://h/"),
            ("https://h/api/models", Chat, "https://h/api/models/v1"),
            ("https://h/inference/chat/completions", Chat, "https://h/inference"),
            ("https://h/v1/chat/completions", Messages, "https://h/v1"),
            ("https://h/v1/messages", Chat, "https://h/v1"),
        ];
        for (given, dialect, expected) in cases {
            let normal = normalise(&parse(given).unwrap(), dialect);
            assert_eq!(normal.as_str(), expected, "{given}");
        }
    }

    #[test]
    fn the_same_place_may_leave_its_version_out() {
        let cases = [
            ("https://h", "https://h/v1", true),
            ("https://h/v1/", "https://h/v1", true),
            ("https://h/v2", "https://h/v1", false),
            ("https://h/a", "https://h/b", false),
            ("http://h", "https://h", false),
            ("https://h:8443", "https://h", false),
        ];
        for (one, other, expected) in cases {
            let is_same = is_same_place(&parse(one).unwrap(), &parse(other).unwrap());
            assert_eq!(is_same, expected, "{one} {other}");
        }
    }

    #[test]
    fn the_dialect_is_told_from_the_host() {
        let cases = [
            ("https://api.anthropic.com", Dialect::Messages),
            ("https://notanthropic.com", Dialect::ChatCompletions),
            ("https://h/anthropic", Dialect::Messages),
            ("https://generativelanguage.googleapis.com", Dialect::GenerateContent),
            ("https://generativelanguage.googleapis.com/v1beta/openai", Dialect::ChatCompletions),
            ("http://localhost:8000", Dialect::ChatCompletions),
        ];
        for (url, dialect) in cases {
            assert_eq!(infer(&parse(url).unwrap()), dialect, "{url}");
        }
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        for text in
            ["", "api.openai.com", "ftp://h", "https://u:p@h", "https://h?x=1", "https://h#x"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn own_networks_are_not_public() {
        let own = [
            "http://localhost",
            "http://127.0.0.1",
            "http://192.168.1.2",
            "http://10.0.0.1",
            "http://gpu",
            "http://gpu.local",
            "http://100.100.1.1",
            "http://[::1]",
            "http://[fd00::1]",
            "http://vllm.models.svc",
        ];
        for url in own {
            assert!(!is_public(&parse(url).unwrap()), "{url}");
        }
        for url in ["http://example.com", "http://8.8.8.8", "http://[2001:db8::1]"] {
            assert!(is_public(&parse(url).unwrap()), "{url}");
        }
    }
}
