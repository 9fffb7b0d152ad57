//! What is decided about a data plane before it starts.
//!
//! Nothing here changes while it runs; what may change arrives as configuration of a revision.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use bitrouter_keys::Secret;

use crate::{spool::SpoolSettings, sync::NodeIdentity};

/// Everything that a data plane is told by its process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where and how it listens.
    pub listen: Listen,
    /// What it holds back from clients that ask too much.
    pub limits: Limits,
    /// How long an attempt may take where neither model nor provider says.
    pub timeouts: PhaseTimeouts,
    /// How it reaches providers.
    pub outbound: Outbound,
    /// True if a request without a credential of ours is served as the principal `local`.
    pub skip_auth: bool,
    /// Where and how usage is kept until the control plane has it.
    pub spool: SpoolSettings,
    /// Who it is, to the control plane.
    pub identity: NodeIdentity,
}

impl Settings {
    /// Loopback, the usage log in the given directory, and defaults for the rest.
    pub fn new(state_dir: &Path) -> Self {
        Self {
            listen: Listen::default(),
            limits: Limits::default(),
            timeouts: PhaseTimeouts::default(),
            outbound: Outbound::default(),
            skip_auth: false,
            spool: SpoolSettings::new(state_dir.join("spool")),
            identity: NodeIdentity {
                node_id: "local".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                ..NodeIdentity::default()
            },
        }
    }
}

/// Where and how a data plane listens.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Port 0 lets the system choose; the handle tells which it was.
    pub address: SocketAddr,
    /// Set if clients speak TLS.
    pub tls: Option<TlsFiles>,
    /// Only these may say in `x-forwarded-for` whom they speak for.
    pub trusted_proxies: Vec<Network>,
    /// Origins of web pages that may call; `*` is every one.
    pub cors_origins: Vec<String>,
    /// Who may read `/metrics`.
    pub metrics: MetricsExposure,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 4356)),
            tls: None,
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
            metrics: MetricsExposure::default(),
        }
    }
}

/// A certificate chain and its key, both PEM files.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsFiles {
    /// The chain, the server's own certificate first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Who may read `/metrics` on the traffic listener.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum MetricsExposure {
    /// Whoever reaches the listener.
    Public,
    /// Clients on this machine.
    #[default]
    Loopback,
    /// Nobody.
    Off,
}

/// What a data plane holds back from clients that ask too much of it.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request's body.
    pub max_body: usize,
    /// Bytes of a request's head.
    pub max_head_bytes: u32,
    /// Header fields of a request.
    pub max_headers: usize,
    /// Until a request's head is complete; an idle connection is closed after it too.
    pub head_timeout: Duration,
    /// Until a request's body is complete; one that keeps coming at a fair pace has longer.
    pub body_grace: Duration,
    /// How long a client may take nothing of an answer.
    pub write_timeout: Duration,
    /// Connections at the same time; more of them wait in the system's queue.
    pub max_connections: usize,
    /// Requests at the same time; more of them are refused.
    pub max_in_flight: usize,
    /// Answers that are read to their end, for their usage, after the client left.
    pub max_detached: usize,
    /// How long each of those may take.
    pub detached_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body: 64 << 20,
            max_head_bytes: 64 << 10,
            max_headers: 100,
            head_timeout: Duration::from_mins(1),
            body_grace: Duration::from_secs(30),
            write_timeout: Duration::from_mins(2),
            max_connections: 10_000,
            max_in_flight: 5_000,
            max_detached: 256,
            detached_timeout: Duration::from_secs(30),
        }
    }
}

/// Limits of one attempt, by its phases.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PhaseTimeouts {
    /// Until the connection stands.
    pub connect: Duration,
    /// From then to the first meaningful byte of the answer.
    pub first_token: Duration,
    /// Between two pieces of a streamed answer.
    pub idle: Duration,
    /// For a whole answer that is not streamed.
    pub total: Duration,
}

impl Default for PhaseTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_token: Duration::from_mins(5),
            idle: Duration::from_mins(2),
            total: Duration::from_mins(10),
        }
    }
}

/// How a data plane reaches providers.
#[derive(Clone, Debug)]
pub struct Outbound {
    /// The proxy for `http` providers. Empty: none.
    pub http_proxy: Secret,
    /// The proxy for `https` providers. Empty: none.
    pub https_proxy: Secret,
    /// Hosts that are reached without a proxy, comma-separated as in `NO_PROXY`.
    pub no_proxy: String,
    /// PEM files of certificate authorities that are trusted besides the usual ones.
    pub extra_ca: Vec<PathBuf>,
    /// How long an unused connection is kept.
    pub pool_idle: Duration,
    /// How many unused connections are kept for one host.
    pub pool_per_host: usize,
}

impl Default for Outbound {
    fn default() -> Self {
        Self {
            http_proxy: Secret::new(String::new()),
            https_proxy: Secret::new(String::new()),
            no_proxy: String::new(),
            extra_ca: Vec::new(),
            pool_idle: Duration::from_mins(1),
            pool_per_host: 128,
        }
    }
}

/// A range of addresses, `10.0.0.0/8` or a single one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network {
    base: IpAddr,
    prefix: u8,
}

/// The text names no range of addresses.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is not an address or a network such as 10.0.0.0/8")]
pub struct BadNetwork(String);

impl Network {
    /// True if the address lies in the range. An IPv4 address counts in its IPv6 spelling too.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                (base.to_bits() ^ address.to_bits()) & mask == 0
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                (base.to_bits() ^ address.to_bits()) & mask == 0
            }
            _ => false,
        }
    }
}

impl std::str::FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadNetwork(text.to_owned());
        let (base, prefix) = text.split_once('/').map_or((text, None), |(b, p)| (b, Some(p)));
        let base: IpAddr = base.parse().map_err(|_| bad())?;
        let longest = if base.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(longest), str::parse).map_err(|_| bad())?;
        if prefix > longest {
            return Err(bad());
        }
        Ok(Self { base, prefix })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_its_own_addresses_only() {
        let cases = [
            ("10.0.0.0/8", "10.200.3.4", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("192.168.1.7", "192.168.1.7", true),
            ("192.168.1.7", "192.168.1.8", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("fd00::/8", "fd12::1", true),
            ("::/0", "2001:db8::1", true),
        ];
        for (network, address, expected) in cases {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), expected, "{address}");
        }
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "example.com"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
