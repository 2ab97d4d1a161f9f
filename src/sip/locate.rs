//! Where a request goes: the rules of RFC 3263 as a plan that asks for look-ups instead of making them.
//!
//! [`plan`] reads a URI; what is not an address already is a [`Search`], which names its [`Question`]s, takes their
//! [`Answer`]s in any order, and ends with the [`Target`]s in the order in which they are to be tried. Who asks, with
//! what patience and from which cache is the net's matter; which target lives is the endpoint's.

mod identity;
mod record;
mod search;
mod srv;

use std::net::SocketAddr;

use thiserror::Error;

use super::{
    transport::Transport,
    uri::{Host, Scheme, UriRef},
};

pub use identity::PeerIdentity;
pub use record::{Answer, Naptr, Question, Srv};
pub use search::{Search, Step};

/// The transports that this program has, in the order of our preference where a domain has none of its own (RFC 3263
/// §4.1).
pub const TRANSPORTS: &[Transport] = &[Transport::Tls, Transport::Tcp, Transport::Udp];

/// One place to send a request to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// What carries it.
    pub transport: Transport,
    /// Where to.
    pub remote: SocketAddr,
}

/// Where to send a request for one URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Straight to this address.
    Address(Target),
    /// To where a name leads, which has to be found out first.
    Lookup(Box<Search>),
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
    /// What `sips:` names is asked by TLS on every hop, and this one is none of TLS.
    #[error("sips: needs TLS all the way, and {0} is asked without")]
    Clear(String),
    /// TLS was asked for, and is never skipped.
    #[error("TLS is not supported here, and is never skipped where it is asked for")]
    Tls,
}

/// Plans the way to a URI, the first Route if there is one, else the request-URI, by `supported` transports, the
/// preferred first (RFC 3263 §4).
///
/// # Errors
/// When its scheme or transport is none of ours; `sips:` and `transport=tls` never fall back to clear text.
pub fn plan(uri: &UriRef<'_>, supported: &'static [Transport]) -> Result<Plan, LocateError> {
    let secure = match uri.scheme() {
        Scheme::Sip | Scheme::Pres => false,
        Scheme::Sips => true,
        Scheme::Tel | Scheme::Other => return Err(LocateError::Scheme(format!("{}:", uri.scheme_text()))),
    };
    let asked = match uri.transport() {
        Some(token) => Some(Transport::from_token(token).ok_or_else(|| LocateError::Transport(token.to_owned()))?),
        None => None,
    };
    let asked = match asked {
        // RFC 3261 §26.2.2: what `sips:` names is what TLS runs on.
        Some(Transport::Tcp) if secure => Some(Transport::Tls),
        Some(Transport::Udp) if secure => return Err(LocateError::Transport("udp under sips:".to_owned())),
        asked => asked,
    };
    let fallback = asked.unwrap_or(if secure { Transport::Tls } else { Transport::Udp });
    if !supported.contains(&fallback) {
        let Transport::Tls = fallback else { return Err(LocateError::Transport(fallback.token().to_lowercase())) };
        return Err(LocateError::Tls);
    }
    // RFC 3261 §19.1.1: maddr overrides the host as the place to go to.
    let host = match uri.param("maddr").filter(|maddr| !maddr.is_empty()) {
        Some(maddr) => maddr.parse().map_or(Host::Name(maddr), Host::Ip),
        None => uri.host(),
    };
    let name = match host {
        Host::Ip(ip) => {
            let port = uri.port().unwrap_or_else(|| fallback.default_port());
            return Ok(Plan::Address(Target { transport: fallback, remote: SocketAddr::new(ip, port) }));
        }
        Host::Name(name) => name,
    };
    let search = match (uri.port(), asked) {
        (Some(port), _) => Search::addresses(name, fallback, port),
        // No zone has records for these: they are this machine's or this network's own.
        _ if is_local(name) => Search::addresses(name, fallback, fallback.default_port()),
        (None, Some(transport)) => Search::service(name, transport),
        (None, None) if uri.scheme() == Scheme::Pres => Search::presence(name, supported),
        (None, None) => Search::domain(name, secure, supported),
    };
    Ok(Plan::Lookup(Box::new(search)))
}

/// Plans the way of a request for `target` by a `hop` that its user chose, such as a proxy.
///
/// # Errors
/// As [`plan`]; and when `target` is `sips:` and the hop would be asked without TLS (RFC 3261 §26.2.2).
pub fn plan_by(target: &UriRef<'_>, hop: &UriRef<'_>, supported: &'static [Transport]) -> Result<Plan, LocateError> {
    let by_tls = hop.transport().is_some_and(|token| token.eq_ignore_ascii_case(Transport::Tls.token()));
    if target.scheme() == Scheme::Sips && hop.scheme() != Scheme::Sips && !by_tls {
        return Err(LocateError::Clear(hop.to_string()));
    }
    plan(hop, supported)
}

/// Plans the way back to the host that a Via names, for a response whose connection is gone (RFC 3263 §5).
pub(super) fn way_back(host: &str, port: Option<u16>, transport: Transport) -> Search {
    match port {
        None if !is_local(host) => Search::service(host, transport),
        port => Search::addresses(host, transport, port.unwrap_or_else(|| transport.default_port())),
    }
}

/// Returns whether a name is of one label, or of the domains that never are in the DNS (RFC 6761, RFC 6762).
fn is_local(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit('.').next().unwrap_or_default();
    !name.contains('.') || last.eq_ignore_ascii_case("local") || last.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests;
