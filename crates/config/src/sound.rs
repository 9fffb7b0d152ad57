//! What a declared provider has to hold, wherever it is declared.

use crate::{
    provider::{check_header, check_header_name, is_provider_id},
    redact,
    resource::{Auth, Provider},
};

/// Why a provider cannot be taken as it is declared.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct Unsound {
    place: String,
    problem: &'static str,
}

impl Provider {
    /// Finds what would make every request to it fail, or would send what is not its own to send.
    pub fn check(&self, id: &str) -> Result<(), Unsound> {
        let at = |place: String| move |problem| Unsound { place, problem };
        if !is_provider_id(id) {
            return Err(at("id".to_owned())(crate::provider::ID_RULE));
        }
        for (name, value) in &self.default_headers {
            check_header(&name.to_ascii_lowercase(), value)
                .map_err(at(format!("default_headers.{name}")))?;
            if value == redact::REDACTED {
                let problem = "its value was left out where it was shown; give it again";
                return Err(at(format!("default_headers.{name}"))(problem));
            }
        }
        if let Auth::Header { header_name } = &self.auth {
            check_header_name(&header_name.to_ascii_lowercase())
                .map_err(at("auth.header_name".to_owned()))?;
        }
        Ok(())
    }

    /// Leaves out the values of headers that look like secrets.
    pub fn redact(&mut self) {
        for (name, value) in &mut self.default_headers {
            if redact::is_secret_header(name) {
                redact::REDACTED.clone_into(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_connection_and_of_credentials_are_refused() {
        let provider = |name: &str, value: &str| -> Provider {
            serde_json::from_value(serde_json::json!({
                "dialects": [], "base_urls": [], "needs_account": false,
                "default_headers": { name: value }
            }))
            .unwrap()
        };
        for name in ["host", "Host", "content-length", "Transfer-Encoding", "authorization", ""] {
            assert!(provider(name, "x").check("acme").is_err(), "{name}");
        }
        assert!(provider("x-team", "two\nlines").check("acme").is_err());
        for id in ["", "@a", "a:b", "a/b", "a b"] {
            assert!(provider("x-team", "x").check(id).is_err(), "{id}");
        }
        assert_eq!(provider("x-team", "x").check("acme"), Ok(()));
        let mut shown = provider("x-secret", "hush");
        shown.redact();
        assert!(!format!("{shown:?}").contains("hush"));
        assert!(shown.check("acme").is_err(), "what was left out is not stored");
    }
}
