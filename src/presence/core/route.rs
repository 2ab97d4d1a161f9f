//! Which way a target is asked: by the account's server, or straight (design: who talks to whom).

use std::time::Duration;

use crate::sip::uri::{Host, Uri, UriRef};

/// The server through which an account works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where every request of the account goes first; without it, where its domain leads.
    pub proxy: Option<Uri>,
    /// Seconds to ask for when watching through it.
    pub expires: u32,
    /// The longest pause between two attempts (WAT-47).
    pub retry_cap: Duration,
    /// Seconds to ask for when publishing and registering there.
    pub publish_expires: u32,
    /// Whether a publication stays there when we go offline.
    pub keep_on_exit: bool,
    /// Whether we register there.
    pub register: bool,
    /// Whether it is asked who watches us there (RFC 3857): for those who stay.
    pub watcher_info: bool,
}

impl Server {
    /// Makes a server with the usual times, reached by the domain of the account or by its proxy.
    pub fn new(proxy: Option<Uri>) -> Self {
        Self {
            proxy,
            expires: 3600,
            retry_cap: Duration::from_mins(30),
            publish_expires: 3600,
            keep_on_exit: false,
            register: false,
            watcher_info: false,
        }
    }

    /// Returns what stands in a Route header of a request that goes to the proxy first: a loose router, for it is
    /// not the one who is meant (RFC 3261 §8.1.2).
    pub(super) fn route(&self) -> Option<Uri> {
        let proxy = self.proxy.as_ref()?;
        if proxy.as_ref().is_loose_router() {
            return Some(proxy.clone());
        }
        format!("{proxy};lr").parse().ok()
    }
}

/// A way, and why it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Through the account's server.
    Server(&'static str),
    /// To where the target itself leads.
    Direct(&'static str),
}

impl Way {
    /// Chooses the way to a target for somebody at `own`.
    pub fn to(target: &UriRef<'_>, own: &UriRef<'_>, server: Option<&Server>) -> Self {
        let Some(server) = server else { return Self::Direct("peer to peer") };
        if target.port() == own.port() && target.host_equals(own) {
            return Self::Server("it is of the account's domain");
        }
        match target.host() {
            _ if target.port().is_some() => return Self::Direct("it names a port"),
            Host::Ip(_) => return Self::Direct("it is an address"),
            Host::Name(name) => {
                let name = name.trim_end_matches('.');
                if !name.contains('.') {
                    return Self::Direct("its host has no domain");
                }
                if name.to_ascii_lowercase().ends_with(".local") {
                    return Self::Direct("its host is of the local network");
                }
            }
        }
        match server.proxy {
            Some(_) => Self::Server("the account has a proxy for other domains"),
            None => Self::Direct("its domain has a server of its own"),
        }
    }

    /// Returns whether it is by the account's server.
    pub fn is_by_server(self) -> bool {
        matches!(self, Self::Server(_))
    }

    /// Says which way it is and why, in words for people.
    pub(super) fn words(self, server: Option<&Server>) -> String {
        match (self, server.and_then(|server| server.proxy.as_ref())) {
            (Self::Direct(why), _) => format!("directly: {why}"),
            (Self::Server(why), Some(proxy)) => format!("through {proxy}: {why}"),
            (Self::Server(why), None) => format!("through the account's server: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_takes_the_way_that_was_promised() {
        let own: Uri = "sip:alice@example.com".parse().unwrap();
        let proxy: Uri = "sip:pbx.example.com;transport=tcp".parse().unwrap();
        let way = |target: &str, server: Option<&Server>| {
            let target: Uri = target.parse().unwrap();
            match Way::to(&target.as_ref(), &own.as_ref(), server) {
                Way::Server(_) => "server",
                Way::Direct(_) => "direct",
            }
        };
        let (plain, proxied) = (Server::new(None), Server::new(Some(proxy)));
        for (target, without_proxy, with_proxy) in [
            ("sip:bob@example.com", "server", "server"),
            ("sip:bob@EXAMPLE.com", "server", "server"),
            ("sip:bob@example.com:5070", "direct", "direct"),
            ("sip:bob@192.0.2.20", "direct", "direct"),
            ("sip:bob@[2001:db8::1]", "direct", "direct"),
            ("sip:bob@printer", "direct", "direct"),
            ("sip:bob@laptop.local", "direct", "direct"),
            ("sip:bob@laptop.LOCAL.", "direct", "direct"),
            ("sip:bob@example.org", "direct", "server"),
            ("sip:bob@example.org:5060", "direct", "direct"),
        ] {
            assert_eq!(way(target, None), "direct", "{target}");
            assert_eq!(way(target, Some(&plain)), without_proxy, "{target}");
            assert_eq!(way(target, Some(&proxied)), with_proxy, "{target}");
        }
    }

    #[test]
    fn a_proxy_is_a_loose_router_whatever_the_user_wrote() {
        for (proxy, route) in [
            ("sip:pbx.example.com;transport=tcp", "sip:pbx.example.com;transport=tcp;lr"),
            ("sip:pbx.example.com;lr", "sip:pbx.example.com;lr"),
        ] {
            assert_eq!(Server::new(Some(proxy.parse().unwrap())).route().unwrap().as_str(), route);
        }
        assert_eq!(Server::new(None).route(), None);
    }
}
