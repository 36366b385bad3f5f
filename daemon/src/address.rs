//! Where a request comes from: its connection's other end, or whom a trusted proxy there names.

use std::net::IpAddr;
use std::sync::Arc;

use http::{Extensions, HeaderMap};

use crate::settings::{Source, Variable};

/// TRUSTED_PROXIES, for a program's table.
pub const TRUSTED_PROXIES: Variable = Variable::plain(
    "TRUSTED_PROXIES",
    "",
    "comma list of IP addresses or networks such as 10.0.0.0/8",
    "Proxies whose X-Forwarded-For tells where a request comes from; none unless given",
);

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The other end of a request's connection, among its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// The proxies that are believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Arc<[Network]>);

/// All addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    first: IpAddr,
    bits: u32,
}

impl TrustedProxies {
    /// The setting [`TRUSTED_PROXIES`].
    pub fn read(source: &mut Source) -> Self {
        let entries = source.list(TRUSTED_PROXIES.name);
        let networks: Option<Arc<[Network]>> = entries.iter().map(|entry| Network::parse(entry)).collect();
        if networks.is_none() {
            source.reject(TRUSTED_PROXIES.name);
        }
        Self(networks.unwrap_or_default())
    }

    /// The address that the request with these headers and extensions comes from; nothing where its connection is unknown.
    ///
    /// Read from its end, the header tells a way back as far as the proxies on it are trusted: what stands before the first that
    /// isn't, anybody could have written.
    pub fn client(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let Peer(peer) = extensions.get::<Peer>()?;
        let mut client = peer.to_canonical();
        let lines = headers.get_all(FORWARDED_FOR).iter().filter_map(|line| line.to_str().ok());
        let named: Vec<&str> = lines.flat_map(|line| line.split(',')).collect();
        for name in named.iter().rev() {
            if !self.trusts(client) {
                break;
            }
            let Some(before) = address(name.trim()) else { break };
            client = before;
        }
        Some(client)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.holds(address))
    }
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (first, bits) = match text.split_once('/') {
            Some((first, bits)) => (first, Some(bits.parse().ok()?)),
            None => (text, None),
        };
        let first: IpAddr = first.parse().ok()?;
        let most = if first.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Self { first, bits })
    }

    fn holds(&self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                (first.to_bits() ^ address.to_bits()).leading_zeros() >= self.bits
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                (first.to_bits() ^ address.to_bits()).leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

/// An address as proxies write it: bare, in brackets, or with a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.split(']').next()).unwrap_or(text);
    let address = bare.parse().or_else(|_| bare.parse().map(|socket: std::net::SocketAddr| socket.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn proxies(list: &str) -> Result<TrustedProxies, String> {
        const VARIABLES: &[Variable] = &[TRUSTED_PROXIES];
        let environment = |_: &str| Some(list.to_owned());
        let mut source =
            Source::from_parts(clap::Command::new("program"), VARIABLES, ["program"], environment).unwrap();
        let proxies = TrustedProxies::read(&mut source);
        source.finish().map(|()| proxies).map_err(|error| error.to_string())
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let proxies = proxies("10.0.0.0/8, 192.0.2.7, fd00::/16").unwrap();
        let check = |peer: &str, lines: &[&'static str], client: &str| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED_FOR, HeaderValue::from_static(line));
            }
            let mut extensions = Extensions::new();
            extensions.insert(Peer(peer.parse().unwrap()));
            assert_eq!(proxies.client(&headers, &extensions), Some(client.parse().unwrap()), "{peer} {headers:?}");
        };
        check("203.0.113.5", &[], "203.0.113.5");
        check("203.0.113.5", &["198.51.100.1"], "203.0.113.5");
        check("10.1.2.3", &["198.51.100.1"], "198.51.100.1");
        check("::ffff:10.1.2.3", &["198.51.100.1:4711"], "198.51.100.1");
        check("10.1.2.3", &["6.6.6.6, 198.51.100.1, 192.0.2.7"], "198.51.100.1");
        check("10.1.2.3", &["6.6.6.6", "198.51.100.1, 10.9.9.9"], "198.51.100.1");
        check("fd00::1", &["[2001:db8::1]:443"], "2001:db8::1");
        check("10.1.2.3", &["unknown"], "10.1.2.3");
        check("10.1.2.3", &["10.4.4.4"], "10.4.4.4");
        assert_eq!(proxies.client(&HeaderMap::new(), &Extensions::new()), None);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for list in ["proxy.example", "10.0.0.0/33", "10.0.0.0/", "::1/129", "10.0.0"] {
            assert!(proxies(list).unwrap_err().contains("TRUSTED_PROXIES is"), "{list}");
        }
        assert!(proxies("").is_ok() && proxies("0.0.0.0/0,::/0").is_ok());
    }
}
