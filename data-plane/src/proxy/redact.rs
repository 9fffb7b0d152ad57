//! Blots an account's secret out of what its provider says: some quote the credential that they
//! refuse, and what they say about a failure goes to the client, into the log and into the record.

use bitrouter_keys::Secret;
use bitrouter_translate::error::UpstreamFault;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use memchr::memmem;

/// A shorter secret may be part of an answer by chance.
const SHORTEST: usize = 6;
const MARK: &str = "[redacted]";

/// What must not be seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Redactor<'a>(Option<&'a str>);

impl<'a> Redactor<'a> {
    pub(crate) fn new(secret: Option<&'a Secret>) -> Self {
        Self(secret.map(Secret::expose).filter(|secret| secret.len() >= SHORTEST))
    }

    /// A body without it; the same bytes if it is not in there.
    pub(crate) fn body(self, body: Bytes) -> Bytes {
        let Some(secret) = self.0 else { return body };
        let mut clean = BytesMut::new();
        let mut done = 0;
        for at in memmem::find_iter(&body, secret) {
            clean.extend_from_slice(body.get(done..at).unwrap_or_default());
            clean.extend_from_slice(MARK.as_bytes());
            done = at + secret.len();
        }
        if done == 0 {
            return body;
        }
        clean.extend_from_slice(body.get(done..).unwrap_or_default());
        clean.freeze()
    }

    /// The same for a body in pieces, wherever it is cut.
    pub(crate) fn pieces(self, pieces: &mut Vec<Bytes>) {
        let Some(secret) = self.0 else { return };
        let whole = pieces.concat();
        if memmem::find(&whole, secret.as_bytes()).is_some() {
            *pieces = vec![self.body(whole.into())];
        }
    }

    /// Leaves out the headers that hold it.
    pub(crate) fn headers(self, headers: HeaderMap) -> HeaderMap {
        let Some(secret) = self.0 else { return headers };
        let holds =
            |value: &http::HeaderValue| memmem::find(value.as_bytes(), secret.as_bytes()).is_some();
        if !headers.values().any(holds) {
            return headers;
        }
        let kept = headers.iter().filter(|(_, value)| !holds(value));
        kept.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    pub(crate) fn text(self, text: &mut String) {
        if let Some(secret) = self.0
            && text.contains(secret)
        {
            *text = text.replace(secret, MARK);
        }
    }

    pub(crate) fn fault(self, mut fault: UpstreamFault) -> UpstreamFault {
        self.text(&mut fault.message);
        if let Some(code) = &mut fault.code {
            self.text(code);
        }
        fault
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_goes_wherever_it_stands_and_nothing_else_does() {
        let secret = Secret::new("secret-1".to_owned());
        let redactor = Redactor::new(Some(&secret));
        let body = redactor.body(Bytes::from_static(b"a secret-1, secret-1secret-2"));
        assert_eq!(body, "a [redacted], [redacted]secret-2");
        let mut pieces = vec![Bytes::from_static(b"x sec"), Bytes::from_static(b"ret-1 y")];
        redactor.pieces(&mut pieces);
        assert_eq!(pieces.concat(), b"x [redacted] y");

        let untouched = Bytes::from_static(b"plain");
        assert_eq!(redactor.body(untouched.clone()).as_ptr(), untouched.as_ptr());
        let short = Secret::new("a".to_owned());
        for none in [None, Some(&short)] {
            assert_eq!(Redactor::new(none).body(untouched.clone()), "plain");
        }
    }
}
