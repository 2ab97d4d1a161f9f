//! Which addresses and which name this machine has, and which address it would speak from.
//!
//! Reads the system's tables and sends nothing. What to listen on is chosen by the configuration.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

use nix::{
    ifaddrs::{InterfaceAddress, getifaddrs},
    net::if_::InterfaceFlags,
};

/// Which of this machine's addresses to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Listen {
    /// Those that only this machine reaches: `127.0.0.1` and, where there is one, `::1`.
    #[default]
    Loopback,
    /// Loopback and the addresses on local networks; tunnels and other point-to-point links are left out.
    Lan,
    /// Every address, tunnels included.
    All,
    /// These and no others.
    Addresses(Vec<IpAddr>),
}

/// Returns the addresses that `listen` means now, loopback first, each once; never a wildcard.
///
/// IPv6 link-local addresses are left out, since they mean nothing without a zone, which SIP cannot carry.
pub fn local_addresses(listen: &Listen) -> Vec<IpAddr> {
    let wanted: fn(&Interface) -> bool = match listen {
        Listen::Addresses(addresses) => return addresses.clone(),
        Listen::Loopback => |interface| is_own(interface.ip),
        Listen::Lan => |interface| interface.ip.is_loopback() && is_own(interface.ip) || interface.is_lan,
        Listen::All => |interface| !interface.ip.is_loopback() || is_own(interface.ip),
    };
    let mut addresses: Vec<_> = interfaces().into_iter().filter(wanted).map(|interface| interface.ip).collect();
    if addresses.is_empty() {
        addresses.push(Ipv4Addr::LOCALHOST.into());
    }
    addresses
}

/// Returns every address of this machine, loopback first, each once.
pub fn all_machine_addresses() -> Vec<IpAddr> {
    interfaces().into_iter().map(|interface| interface.ip).collect()
}

/// Returns the name that this machine gives itself, or `localhost` if it has none.
pub fn host_name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".into())
}

/// Returns the address from which a datagram to `remote` would leave; sends nothing.
pub fn source_for(remote: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(remote)?;
    Ok(socket.local_addr()?.ip())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Interface {
    ip: IpAddr,
    is_lan: bool,
}

fn interfaces() -> Vec<Interface> {
    let Ok(found) = getifaddrs() else { return Vec::new() };
    let mut interfaces: Vec<_> = found.filter_map(|found| usable(&found)).collect();
    // Loopback first, then IPv4 before IPv6, each as the system lists them.
    interfaces.sort_by_key(|interface| (!interface.ip.is_loopback(), interface.ip.is_ipv6()));
    let mut seen = Vec::new();
    interfaces.retain(|interface| {
        !seen.contains(&interface.ip) && {
            seen.push(interface.ip);
            true
        }
    });
    interfaces
}

fn usable(found: &InterfaceAddress) -> Option<Interface> {
    let address = found.address.as_ref()?;
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
    let ip = v4.or_else(|| address.as_sockaddr_in6().map(|v6| v6.ip().into()))?;
    let is_up = found.flags.contains(InterfaceFlags::IFF_UP);
    let is_lan = found.flags.contains(InterfaceFlags::IFF_BROADCAST)
        && !found.flags.intersects(InterfaceFlags::IFF_POINTOPOINT | InterfaceFlags::IFF_LOOPBACK);
    (is_up && !ip.is_unspecified() && !needs_zone(ip)).then_some(Interface { ip, is_lan })
}

fn needs_zone(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// Says whether the address is one that every machine has for itself; others on `lo` are some service's.
fn is_own(ip: IpAddr) -> bool {
    ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_first_everywhere_and_alone_by_default() {
        let loopback = local_addresses(&Listen::default());
        assert_eq!(loopback[0], Ipv4Addr::LOCALHOST);
        assert!(loopback.iter().all(IpAddr::is_loopback));
        assert_eq!(local_addresses(&Listen::Lan)[0], Ipv4Addr::LOCALHOST);
        assert_eq!(all_machine_addresses()[0], Ipv4Addr::LOCALHOST);
    }

    #[test]
    fn trn_31_no_choice_yields_a_wildcard_or_an_address_with_a_zone() {
        for listen in [Listen::Loopback, Listen::Lan, Listen::All] {
            for ip in local_addresses(&listen) {
                assert!(!ip.is_unspecified() && !needs_zone(ip), "{ip} of {listen:?}");
            }
        }
    }

    #[test]
    fn each_choice_holds_the_narrower_one_and_each_address_once() {
        let [loopback, lan, all] = [Listen::Loopback, Listen::Lan, Listen::All].map(|listen| local_addresses(&listen));
        assert!(loopback.iter().all(|ip| lan.contains(ip)));
        assert!(lan.iter().all(|ip| all.contains(ip)));
        let mut unique = all.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), all.len());
    }

    #[test]
    fn addresses_that_are_named_are_taken_as_they_are() {
        let named: Vec<IpAddr> = vec!["192.0.2.7".parse().unwrap()];
        assert_eq!(local_addresses(&Listen::Addresses(named.clone())), named);
    }

    #[test]
    fn the_source_towards_loopback_is_loopback() {
        assert_eq!(source_for("127.0.0.1:5060".parse().unwrap()).unwrap(), Ipv4Addr::LOCALHOST);
    }

    #[test]
    fn the_machine_has_a_name() {
        assert!(!host_name().is_empty());
    }
}
