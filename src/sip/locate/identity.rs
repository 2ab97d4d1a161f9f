//! Whom a connection under TLS has to lead to (RFC 5922 §4, §7.3).
//!
//! It is the domain that a request began its search with, not the host or address that this led to. Whether a
//! certificate proves it is the net's matter.

use std::sync::Arc;

use super::{Host, Plan, Transport, UriRef};
use crate::sip::uri::Scheme;

/// Who has to be at the other end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerIdentity {
    /// The domain, or the address where a URI names one: in lower case, without brackets or a final dot.
    pub host: Box<str>,
    /// The presentity under whose URI a key may be trusted that no authority vouches for; none where only an authority
    /// counts (TRN-21).
    pub presentity: Option<Box<str>>,
}

impl PeerIdentity {
    /// Makes the identity of a host that nothing but an authority can vouch for.
    pub fn of_host(host: &str) -> Self {
        let host = host.trim_matches(['[', ']']);
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase().into();
        Self { host, presentity: None }
    }

    /// Returns who is to be found at the place that a URI names.
    ///
    /// A key alone is enough only for somebody whose URI asks for TLS and names an address or a host of the local
    /// network, for which no authority makes certificates; never for `sips:`.
    pub fn of(uri: &UriRef<'_>) -> Self {
        let place = uri.param("maddr").filter(|maddr| !maddr.is_empty()).unwrap_or_else(|| uri.host_text());
        let identity = Self::of_host(place);
        let by_tls = uri.transport().is_some_and(|token| token.eq_ignore_ascii_case("tls"));
        let near = match uri.host() {
            Host::Ip(_) => true,
            Host::Name(name) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                name.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case("local"))
            }
        };
        let somebody = uri.scheme() == Scheme::Sip && uri.user().is_some_and(|user| !user.is_empty());
        let presentity = (by_tls && near && somebody).then(|| {
            let (user, host) = (uri.user().unwrap_or_default(), uri.host_text().to_ascii_lowercase());
            format!("sip:{user}@{}", host.strip_suffix('.').unwrap_or(&host)).into()
        });
        Self { presentity, ..identity }
    }

    /// Returns who has to be at the end of a way to `hop`, if the way may be one of TLS. Within a dialog `first` is where
    /// its first request went: who was proved there, and names but an address for what follows, has to prove the same
    /// there.
    pub fn on(plan: &Plan, hop: &UriRef<'_>, first: Option<&UriRef<'_>>) -> Option<Arc<Self>> {
        match (plan, first) {
            (Plan::Address(target), _) if target.transport != Transport::Tls => None,
            (Plan::Address(_), Some(first)) => Some(Arc::new(Self::of(first))),
            _ => Some(Arc::new(Self::of(hop))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::locate::plan;

    const ALL: &[Transport] = &[Transport::Tls, Transport::Tcp, Transport::Udp];

    fn of(uri: &str) -> (String, Option<String>) {
        let identity = PeerIdentity::of(&UriRef::parse(uri).unwrap());
        (identity.host.to_string(), identity.presentity.map(Into::into))
    }

    #[test]
    fn trn_20_the_identity_is_the_domain_that_a_request_names() {
        for (uri, host) in [
            ("sips:alice@Example.COM", "example.com"),
            ("sip:pbx.example.com.;transport=tls", "pbx.example.com"),
            ("sips:alice@[2001:DB8::1]:5071", "2001:db8::1"),
            ("sip:alice@example.com;maddr=192.0.2.1;transport=tls", "192.0.2.1"),
        ] {
            assert_eq!(of(uri), (host.to_owned(), None), "{uri}");
        }
    }

    #[test]
    fn trn_21_a_key_alone_is_enough_only_for_peers_without_an_authority() {
        for (uri, presentity) in [
            ("sip:bob@192.0.2.20;transport=tls", Some("sip:bob@192.0.2.20")),
            ("sip:bob@192.0.2.20:5071;transport=TLS", Some("sip:bob@192.0.2.20")),
            ("sip:Bob@Laptop.LOCAL.;transport=tls", Some("sip:Bob@laptop.local")),
            ("sip:bob@[2001:db8::1];transport=tls", Some("sip:bob@[2001:db8::1]")),
            ("sips:bob@192.0.2.20;transport=tls", None),
            ("sips:bob@192.0.2.20", None),
            ("sip:bob@192.0.2.20", None),
            ("sip:192.0.2.20;transport=tls", None),
            ("sip:bob@example.com;transport=tls", None),
            ("sip:bob@local.example.com;transport=tls", None),
        ] {
            assert_eq!(of(uri).1.as_deref(), presentity, "{uri}");
        }
    }

    #[test]
    fn within_a_dialog_an_address_has_to_prove_what_its_first_hop_did() {
        let on = |hop: &str, first: Option<&str>| {
            let hop = UriRef::parse(hop).unwrap();
            let first = first.map(|first| UriRef::parse(first).unwrap());
            let plan = plan(&hop, ALL).unwrap();
            PeerIdentity::on(&plan, &hop, first.as_ref()).map(|identity| identity.host.to_string())
        };
        let first = Some("sips:alice@example.com");
        assert_eq!(on("sips:192.0.2.1", first).as_deref(), Some("example.com"));
        assert_eq!(on("sips:a.example.net", first).as_deref(), Some("a.example.net"));
        assert_eq!(on("sips:192.0.2.1", None).as_deref(), Some("192.0.2.1"));
        assert_eq!(on("sip:192.0.2.1", first), None);
    }
}
