//! Who is at the other end of a connection, seen through trusted proxies.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

use crate::settings::Network;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The client's address. What untrusted hops say about it is not believed: the list is read from its
/// end, and ends at the first address that is no trusted proxy.
pub(crate) fn client_address(
    socket: SocketAddr,
    headers: &HeaderMap,
    trusted: &[Network],
) -> IpAddr {
    let mut address = socket.ip().to_canonical();
    let is_trusted = |address| trusted.iter().any(|network| network.contains(address));
    if trusted.is_empty() || !is_trusted(address) {
        return address;
    }
    let lists = headers.get_all(FORWARDED_FOR).iter().rev();
    for hop in lists.filter_map(|list| list.to_str().ok()).flat_map(|list| list.rsplit(',')) {
        let Some(next) = parse_hop(hop.trim()) else { return address };
        address = next;
        if !is_trusted(address) {
            return address;
        }
    }
    address
}

/// An address as proxies write it, with or without a port.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let plain = hop.trim_start_matches('[').trim_end_matches(']').parse();
    plain
        .or_else(|_| hop.parse::<SocketAddr>().map(|address| address.ip()))
        .ok()
        .map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()];
        let cases: [(&str, &[&str], &str, &str); 8] = [
            ("10.0.0.1:1", &["1.2.3.4"], "1.2.3.4", "one trusted hop"),
            ("9.9.9.9:1", &["1.2.3.4"], "9.9.9.9", "an untrusted peer"),
            ("10.0.0.1:1", &["6.6.6.6, 1.2.3.4"], "1.2.3.4", "a forged first entry"),
            ("10.0.0.1:1", &["6.6.6.6", "1.2.3.4, 10.0.0.2"], "1.2.3.4", "two headers, two hops"),
            ("10.0.0.1:1", &["10.0.0.3"], "10.0.0.3", "nothing but proxies"),
            ("10.0.0.1:1", &["nonsense"], "10.0.0.1", "not an address"),
            ("[::1]:1", &["[2001:db8::1]:443"], "2001:db8::1", "an address with its port"),
            ("[::ffff:10.0.0.1]:1", &[], "10.0.0.1", "no header"),
        ];
        for (socket, values, expected, case) in cases {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(FORWARDED_FOR, value.parse().unwrap());
            }
            let address = client_address(socket.parse().unwrap(), &headers, &trusted);
            assert_eq!(address, expected.parse::<IpAddr>().unwrap(), "{case}");
        }
    }
}
