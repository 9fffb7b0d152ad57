//! Which headers cross, in either direction.
//!
//! Everything crosses unless there is a reason against it, so that betas, versions and rate limit
//! headers that nobody here has heard of arrive byte for byte. What never crosses: what belongs to one
//! connection, credentials, cookies, and what says who or where the client is.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Whether a header belongs to one connection (RFC 9110, section 7.6.1, and older software).
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// The client's, not the provider's to know; or made anew for the provider.
fn is_kept_from_providers(name: &str) -> bool {
    matches!(
        name,
        "accept-encoding"
            | "api-key"
            | "authorization"
            | "content-length"
            | "cookie"
            | "expect"
            | "forwarded"
            | "host"
            | "openai-organization"
            | "openai-project"
            | "origin"
            | "referer"
            | "true-client-ip"
            | "via"
            | "x-api-key"
            | "x-goog-api-key"
            | "x-goog-user-project"
            | "x-real-ip"
    ) || ["x-bitrouter-", "x-forwarded-", "sec-fetch-", "cf-"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// The provider's, not the client's: about the provider's host, or replaced by ours.
fn is_kept_from_clients(name: &str) -> bool {
    matches!(
        name,
        "alt-svc" | "content-length" | "date" | "set-cookie" | "strict-transport-security"
    ) || ["x-bitrouter-", "access-control-"].iter().any(|prefix| name.starts_with(prefix))
}

/// The headers of a request that a provider may see.
pub(crate) fn toward_provider(client: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(client.len() + 4);
    for (name, value) in client {
        if !is_hop_by_hop(name.as_str()) && !is_kept_from_providers(name.as_str()) {
            headers.append(name, value.clone());
        }
    }
    remove_listed(client, &mut headers);
    // A compressed answer could not be read for its usage.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers
}

/// The headers of an answer that the client may see.
pub(crate) fn toward_client(provider: HeaderMap) -> HeaderMap {
    let listed = provider.get_all(header::CONNECTION).iter().cloned().collect::<Vec<_>>();
    let mut headers = HeaderMap::with_capacity(provider.len() + 6);
    let mut last: Option<HeaderName> = None;
    for (name, value) in provider {
        // A repeated header comes without its name after the first.
        last = name.or(last);
        let Some(name) = &last else { continue };
        if !is_hop_by_hop(name.as_str()) && !is_kept_from_clients(name.as_str()) {
            headers.append(name, value);
        }
    }
    for list in &listed {
        remove_names(list, &mut headers);
    }
    headers
}

/// Removes the headers that a `connection` header declares to belong to the connection.
fn remove_listed(declared: &HeaderMap, headers: &mut HeaderMap) {
    for list in declared.get_all(header::CONNECTION) {
        remove_names(list, headers);
    }
}

fn remove_names(list: &HeaderValue, headers: &mut HeaderMap) {
    for name in list.to_str().unwrap_or_default().split(',').map(str::trim) {
        if !name.is_empty() {
            headers.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for &(name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn betas_survive_and_secrets_do_not() {
        let sent = toward_provider(&map(&[
            ("anthropic-beta", "context-1m-2025-08-07,interleaved-thinking-2025-05-14"),
            ("anthropic-beta", "second"),
            ("anthropic-version", "2023-06-01"),
            ("openai-beta", "responses=v1"),
            ("user-agent", "claude-cli/2.1"),
            ("x-stainless-lang", "js"),
            ("authorization", "Bearer brvk_x"),
            ("x-api-key", "brvk_x"),
            ("x-goog-api-key", "brvk_x"),
            ("cookie", "a=b"),
            ("host", "localhost:4356"),
            ("content-length", "7"),
            ("accept-encoding", "gzip, br"),
            ("connection", "keep-alive, x-private"),
            ("x-private", "1"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-bitrouter-tags", "a"),
            ("openai-organization", "org-1"),
        ]));
        let kept = map(&[
            ("anthropic-beta", "context-1m-2025-08-07,interleaved-thinking-2025-05-14"),
            ("anthropic-beta", "second"),
            ("anthropic-version", "2023-06-01"),
            ("openai-beta", "responses=v1"),
            ("user-agent", "claude-cli/2.1"),
            ("x-stainless-lang", "js"),
            ("accept-encoding", "identity"),
        ]);
        assert_eq!(sent, kept);
    }

    #[test]
    fn rate_limits_reach_the_client_and_cookies_do_not() {
        let answer = toward_client(map(&[
            ("x-ratelimit-remaining-tokens", "17"),
            ("request-id", "req_1"),
            ("set-cookie", "a=b"),
            ("set-cookie", "c=d"),
            ("warning", "one"),
            ("warning", "two"),
            ("transfer-encoding", "chunked"),
            ("connection", "close, x-internal"),
            ("x-internal", "1"),
            ("access-control-allow-origin", "*"),
            ("x-bitrouter-provider", "forged"),
        ]));
        let kept = map(&[
            ("x-ratelimit-remaining-tokens", "17"),
            ("request-id", "req_1"),
            ("warning", "one"),
            ("warning", "two"),
        ]);
        assert_eq!(answer, kept);
    }
}
