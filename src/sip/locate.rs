//! Where a request goes: the rules of RFC 3263 as a plan that asks for look-ups instead of making them.
//!
//! Names are looked up by the system's resolver; NAPTR and SRV are not asked yet.

use std::net::SocketAddr;

use thiserror::Error;

use super::{
    transport::Transport,
    uri::{Host, Scheme, UriRef},
};

/// Where to send a request for one URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Straight to this address.
    Address {
        /// What carries it.
        transport: Transport,
        /// Where to.
        remote: SocketAddr,
    },
    /// To an address of this host, which has to be looked up first.
    Lookup {
        /// What carries it.
        transport: Transport,
        /// The name to look up.
        host: String,
        /// The port at each of its addresses.
        port: u16,
    },
}

/// Why there is no way to a URI.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LocateError {
    /// The scheme is none that SIP requests go to.
    #[error("{0} addresses cannot be reached by SIP")]
    Scheme(String),
    /// The URI asks for a transport that this program does not have.
    #[error("transport {0} is not supported")]
    Transport(String),
    /// TLS was asked for, and is never skipped.
    #[error("TLS is not supported yet, and is never skipped where it is asked for")]
    Tls,
}

/// Plans the way to a URI: the first Route if there is one, else the request-URI (RFC 3263 §4).
///
/// # Errors
/// When its scheme or transport is none of ours; `sips:` and `transport=tls` never fall back to clear text.
pub fn plan(uri: &UriRef<'_>) -> Result<Plan, LocateError> {
    let secure = match uri.scheme() {
        Scheme::Sip | Scheme::Pres => false,
        Scheme::Sips => true,
        Scheme::Tel | Scheme::Other => return Err(LocateError::Scheme(format!("{}:", uri.scheme_text()))),
    };
    let transport = match uri.transport() {
        Some(token) => Transport::from_token(token).ok_or_else(|| LocateError::Transport(token.to_owned()))?,
        None if secure => Transport::Tls,
        None => Transport::Udp,
    };
    if secure || transport == Transport::Tls {
        return Err(LocateError::Tls);
    }
    let port = uri.port().unwrap_or_else(|| transport.default_port());
    // RFC 3261 §19.1.1: maddr overrides the host as the place to go to.
    let host = match uri.param("maddr").filter(|maddr| !maddr.is_empty()) {
        Some(maddr) => maddr.parse().map_or(Host::Name(maddr), Host::Ip),
        None => uri.host(),
    };
    Ok(match host {
        Host::Ip(ip) => Plan::Address { transport, remote: SocketAddr::new(ip, port) },
        Host::Name(name) => Plan::Lookup { transport, host: name.to_owned(), port },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(uri: &str) -> Result<Plan, LocateError> {
        plan(&UriRef::parse(uri).unwrap())
    }

    #[allow(clippy::unnecessary_wraps, reason = "it is compared with what a plan returns")]
    fn address(transport: Transport, remote: &str) -> Result<Plan, LocateError> {
        Ok(Plan::Address { transport, remote: remote.parse().unwrap() })
    }

    #[allow(clippy::unnecessary_wraps, reason = "it is compared with what a plan returns")]
    fn lookup(transport: Transport, host: &str, port: u16) -> Result<Plan, LocateError> {
        Ok(Plan::Lookup { transport, host: host.to_owned(), port })
    }

    #[test]
    fn res_01_maddr_replaces_the_host() {
        assert_eq!(planned("sip:u@example.com;maddr=192.0.2.9"), address(Transport::Udp, "192.0.2.9:5060"));
    }

    #[test]
    fn res_02_a_numeric_host_needs_no_look_up() {
        assert_eq!(planned("sip:u@192.0.2.1"), address(Transport::Udp, "192.0.2.1:5060"));
        assert_eq!(planned("sip:u@192.0.2.1:5070;transport=tcp"), address(Transport::Tcp, "192.0.2.1:5070"));
        assert_eq!(planned("sip:u@[2001:db8::1]"), address(Transport::Udp, "[2001:db8::1]:5060"));
        assert_eq!(planned("sips:u@192.0.2.1"), Err(LocateError::Tls));
    }

    #[test]
    fn res_03_an_explicit_port_asks_for_addresses_only() {
        assert_eq!(planned("sip:u@h:5070"), lookup(Transport::Udp, "h", 5070));
        assert_eq!(planned("pres:u@example.com"), lookup(Transport::Udp, "example.com", 5060));
    }

    #[test]
    fn an_unknown_transport_or_scheme_is_an_error_that_names_it() {
        assert_eq!(planned("sip:u@h;transport=sctp").unwrap_err().to_string(), "transport sctp is not supported");
        assert_eq!(planned("tel:+1201555").unwrap_err().to_string(), "tel: addresses cannot be reached by SIP");
    }
}
