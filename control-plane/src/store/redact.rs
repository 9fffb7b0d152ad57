//! What of a resource may be written into the audit: everything but secrets and what could be one.

use serde_json::Value;

const REDACTED: &str = "(redacted)";

/// The text of a resource's specification, without what could be a secret: the values of headers,
/// digests, and user, password and query of URLs. `None` if it is not JSON.
pub(super) fn redacted(spec: &str) -> Option<String> {
    let mut value: Value = serde_json::from_str(spec).ok()?;
    redact(&mut value);
    Some(value.to_string())
}

fn redact(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match name.as_str() {
                    "default_headers" | "digests" => blank(field),
                    "url" | "base_url" => redact_url(field),
                    _ => redact(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        _ => {}
    }
}

fn blank(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(blank),
        Value::Array(items) => items.iter_mut().for_each(blank),
        Value::Null => {}
        other => *other = Value::from(REDACTED),
    }
}

fn redact_url(value: &mut Value) {
    let Some(url) = value.as_str() else { return redact(value) };
    let Some((scheme, rest)) = url.split_once("://") else { return };
    let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, _)| (rest, "?(redacted)"));
    let authority = rest.split('/').next().unwrap_or(rest);
    let rest = match authority.rfind('@') {
        Some(at) => format!("{REDACTED}@{}", &rest[at + 1..]),
        None => rest.to_owned(),
    };
    *value = Value::from(format!("{scheme}://{rest}{query}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_a_secret_is_not_shown() {
        let spec = r#"{"base_urls":[{"url":"https://u:p@a.example/v1?key=k"},{"url":"http://b/v1"}],
            "default_headers":{"authorization":"Bearer x"},"tags":["a@b"],"digests":[{"digest":"d"}]}"#;
        let expected = r#"{"base_urls":[{"url":"https://(redacted)@a.example/v1?(redacted)"},{"url":"http://b/v1"}],"default_headers":{"authorization":"(redacted)"},"tags":["a@b"],"digests":[{"digest":"(redacted)"}]}"#;
        assert_eq!(redacted(spec).unwrap(), expected);
        assert_eq!(redacted("{"), None);
    }
}
