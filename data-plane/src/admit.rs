//! Who is asking: from the credential that a request carries to a [`Principal`].
//!
//! A pure lookup in the table: no I/O, no clock of its own, no allocation beyond the credential's.
//! A virtual key is always verified when one is presented, whatever else the request carries.

use std::sync::Arc;

use bitrouter_keys::{KeyError, VIRTUAL_KEY_PREFIX, VirtualKeySecret};
use bitrouter_runtime::Timestamp;
use http::{HeaderMap, header::AUTHORIZATION};

use crate::table::{RoutingTable, VirtualKey};

/// Who a credential turned out to be.
#[derive(Clone, Debug)]
pub enum Principal {
    /// No credential, where none is needed.
    Local,
    /// A virtual key.
    Key(Arc<VirtualKey>),
}

/// What a request without a virtual key is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Anonymous {
    /// Refused.
    Refused,
    /// [`Principal::Local`] (`skip_auth`). Agents send dummies where no key is needed, so that a
    /// credential of somebody else's counts as none.
    Local,
    /// Refused where others are [`Principal::Local`]: a web page of another origin sent it.
    OtherOrigin,
    /// Refused where others are [`Principal::Local`]: it came by a name that is not this machine's.
    OtherHost,
}

/// Why a request is refused at the door.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AdmitError {
    /// No credential.
    #[error("no virtual key was presented: send one as `authorization: Bearer brvk_…`")]
    Missing,
    /// A credential that is not one of ours.
    #[error("the credential is not a virtual key of this router: they begin with `brvk_`")]
    Foreign,
    /// Not as it was issued.
    #[error("the virtual key is mistyped: {0}")]
    Malformed(KeyError),
    /// Nobody's, or revoked.
    #[error("the virtual key is unknown or revoked")]
    Unknown,
    /// Past its time.
    #[error("the virtual key has expired")]
    Expired,
    /// No key, and a web page of another origin.
    #[error(
        "web pages of other origins may not call without a virtual key: list the page's origin in \
         `server.cors.origins` to allow it"
    )]
    OtherOrigin,
    /// No key, and a name that anybody may have made point here.
    #[error(
        "without a virtual key the router answers to `localhost` and addresses only: list \
         `http://` and the host's name in `server.cors.origins` to allow another"
    )]
    OtherHost,
}

impl Principal {
    /// The virtual key, if there is one.
    pub const fn key(&self) -> Option<&Arc<VirtualKey>> {
        match self {
            Self::Local => None,
            Self::Key(key) => Some(key),
        }
    }

    /// True if it may ask for a model by one of these names.
    pub fn may_name<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> bool {
        let Self::Key(key) = self else { return true };
        key.models.is_empty()
            || names.into_iter().any(|name| key.models.iter().any(|it| it.matches(name)))
    }

    /// True if it may not ask for every model.
    pub fn has_patterns(&self) -> bool {
        self.key().is_some_and(|key| !key.models.is_empty())
    }

    /// True if the provider may serve it.
    pub fn may_use(&self, provider_id: &str) -> bool {
        let Self::Key(key) = self else { return true };
        key.providers.is_empty() || key.providers.iter().any(|id| **id == *provider_id)
    }
}

/// Finds out who sent a request.
pub fn admit(
    headers: &HeaderMap,
    query: Option<&str>,
    table: &RoutingTable,
    anonymous: Anonymous,
    now: Timestamp,
) -> Result<Principal, AdmitError> {
    let mut is_foreign = false;
    for credential in credentials(headers, query) {
        if credential.starts_with(VIRTUAL_KEY_PREFIX) {
            return verify(credential, table, now).map(Principal::Key);
        }
        is_foreign = true;
    }
    match anonymous {
        Anonymous::Local => Ok(Principal::Local),
        Anonymous::Refused if is_foreign => Err(AdmitError::Foreign),
        Anonymous::Refused => Err(AdmitError::Missing),
        Anonymous::OtherOrigin => Err(AdmitError::OtherOrigin),
        Anonymous::OtherHost => Err(AdmitError::OtherHost),
    }
}

/// Everything in the request that could be a credential, in order of preference.
fn credentials<'a>(
    headers: &'a HeaderMap,
    query: Option<&'a str>,
) -> impl Iterator<Item = &'a str> {
    let bearer = headers.get_all(AUTHORIZATION).into_iter().filter_map(|value| {
        let (scheme, credential) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(credential)
    });
    let own = ["x-api-key", "x-goog-api-key"]
        .into_iter()
        .flat_map(|name| headers.get_all(name))
        .filter_map(|value| value.to_str().ok());
    let in_query =
        query.unwrap_or("").split('&').filter_map(|parameter| parameter.strip_prefix("key="));
    bearer.chain(own).chain(in_query).map(str::trim).filter(|credential| !credential.is_empty())
}

fn verify(
    credential: &str,
    table: &RoutingTable,
    now: Timestamp,
) -> Result<Arc<VirtualKey>, AdmitError> {
    let secret = VirtualKeySecret::parse(credential).map_err(AdmitError::Malformed)?;
    for digest_key in table.digest_keys() {
        let digest = secret.digest(&digest_key.key);
        let Some(key) = table.key_by_digest(&digest) else { continue };
        let until = key.digests.iter().find(|it| it.digest == digest).map(|it| it.not_after);
        let is_over = key.expires_at.min(until.unwrap_or(key.expires_at)) <= now;
        return if is_over { Err(AdmitError::Expired) } else { Ok(Arc::clone(key)) };
    }
    Err(AdmitError::Unknown)
}

#[cfg(test)]
mod tests;
