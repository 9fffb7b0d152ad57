//! Everything that touches a provider's wire: the client, the credential, the request.

pub(crate) mod client;
pub(crate) mod credentials;
pub(crate) mod request;
