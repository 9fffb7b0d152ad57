//! What a request says on the side: deadline, tags, session.

use std::time::Duration;

use bitrouter_translate::scan::SessionHints;
use http::HeaderMap;
use memchr::memmem;

use super::error::RequestError;

const TIMEOUT: &str = "x-bitrouter-timeout-ms";
const TAGS: &str = "x-bitrouter-tags";
/// In order of preference.
const SESSIONS: [&str; 3] = ["x-bitrouter-session", "x-claude-code-session-id", "session_id"];
/// Longer than any name; comparing names with the nearest ones costs time by their length.
const MAX_MODEL: usize = 512;
const MAX_TAGS: usize = 16;
const MAX_TAG: usize = 128;

/// How long the client wants to wait.
pub(crate) fn deadline(headers: &HeaderMap) -> Result<Option<Duration>, RequestError> {
    let Some(value) = headers.get(TIMEOUT) else { return Ok(None) };
    let millis = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    match millis.filter(|millis| *millis > 0) {
        Some(millis) => Ok(Some(Duration::from_millis(millis))),
        None => Err(RequestError::BadHeader { name: TIMEOUT }),
    }
}

/// Refuses names that no model has.
pub(crate) const fn check_model(name: &str) -> Result<(), RequestError> {
    if name.len() > MAX_MODEL {
        return Err(RequestError::ModelTooLong { bytes: name.len(), limit: MAX_MODEL });
    }
    Ok(())
}

/// The labels that usage can be grouped by: those of the header, then the body's.
pub(crate) fn tags(headers: &HeaderMap, hints: &SessionHints) -> Vec<String> {
    let lists = headers.get_all(TAGS).into_iter().filter_map(|value| value.to_str().ok());
    let named = lists.flat_map(|list| list.split(',')).map(|tag| tag.trim().to_owned());
    let user = hints.user.iter().map(|user| format!("user={user}"));
    let metadata = hints.metadata.iter().map(|(name, value)| format!("{name}={value}"));
    let all = named.chain(user).chain(metadata);
    all.filter(|tag| !tag.is_empty()).map(shortened).take(MAX_TAGS).collect()
}

/// What the client calls its session. Empty: nothing.
pub(crate) fn session(headers: &HeaderMap, hints: &SessionHints) -> String {
    let named = SESSIONS.iter().find_map(|name| headers.get(*name)?.to_str().ok());
    let told = named.or(hints.metadata_user_id.as_deref()).or(hints.prompt_cache_key.as_deref());
    shortened(told.unwrap_or_default().to_owned())
}

/// True if the body holds an image, a sound or a document, whose length is no measure of tokens.
pub(crate) fn holds_files(body: &[u8]) -> bool {
    ["base64", "inlineData", "inline_data", "input_audio"]
        .iter()
        .any(|mark| memmem::find(body, mark.as_bytes()).is_some())
}

/// As much of a text as records keep.
pub(crate) fn shortened(mut text: String) -> String {
    if text.len() > MAX_TAG {
        text.truncate(text.floor_char_boundary(MAX_TAG));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_a_number_above_zero() {
        let cases = [("250", Some(250)), (" 1 ", Some(1)), ("0", None), ("-5", None), ("x", None)];
        for (value, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(TIMEOUT, value.parse().unwrap());
            let wait = deadline(&headers).ok().flatten();
            assert_eq!(wait, expected.map(Duration::from_millis), "{value}");
        }
        assert!(deadline(&HeaderMap::new()).unwrap().is_none());
    }

    #[test]
    fn tags_are_few_and_short() {
        let mut headers = HeaderMap::new();
        headers.insert(TAGS, "team-a, nightly,,".parse().unwrap());
        let hints = SessionHints {
            user: Some("u".to_owned()),
            metadata: vec![("run".to_owned(), "é".repeat(100))],
            ..SessionHints::default()
        };
        let found = tags(&headers, &hints);
        assert_eq!(found[..3], ["team-a", "nightly", "user=u"]);
        assert_eq!((found.len(), found[3].len()), (4, 128));
    }

    #[test]
    fn the_session_header_goes_before_what_the_body_says() {
        let hints =
            SessionHints { prompt_cache_key: Some("cache".to_owned()), ..SessionHints::default() };
        assert_eq!(session(&HeaderMap::new(), &hints), "cache");
        let mut headers = HeaderMap::new();
        headers.insert("x-claude-code-session-id", "s-1".parse().unwrap());
        assert_eq!(session(&headers, &hints), "s-1");
    }
}
