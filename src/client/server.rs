//! Working through a server: registering there, what stands there of ours, and which targets are asked there.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{ClientError, Feed, Item, Link, Linked, PresenceClient, Server, Uri, driver::Command, parse_target};
use crate::{presence::core::Way, sip::uri::Host};

/// How long a registration may take: a request may be resent for 32 seconds, and be challenged.
const REGISTER_WITHIN: Duration = Duration::from_secs(40);

/// Where a client is at home.
#[derive(Clone, Debug)]
pub(super) struct Home {
    /// Our address of record, without port.
    pub(super) address: String,
    /// The host that a bare name gets as a target.
    pub(super) default_host: String,
    /// Our own server, if we work through one.
    pub(super) server: Option<Server>,
}

impl PresenceClient {
    pub(super) fn home(&self) -> &Home {
        self.shared.registered.get().unwrap_or(&self.shared.home)
    }

    /// Returns our address of record, without port.
    pub fn address(&self) -> &str {
        &self.home().address
    }

    /// Registers with a server, such as `sip:pbx.company.com`, so that the same calls go through it: from now on our
    /// address is of its domain, what we publish is kept there, and a bare name is somebody there.
    ///
    /// # Errors
    /// When the server is none, refuses, or does not answer; then everything is as before, but for a server that
    /// answers later.
    pub async fn register(&self, server: &str) -> Result<(), ClientError> {
        let bad = |reason: String| ClientError::Address { address: server.to_owned(), reason };
        let text = if server.contains(':') { server.to_owned() } else { format!("sip:{server}") };
        let proxy: Uri = text.parse().map_err(|error: crate::sip::uri::UriError| bad(error.to_string()))?;
        let host = proxy.as_ref().host_text().to_owned();
        let address = format!("sip:{}@{host}", self.shared.user);
        let uri: Uri = address.parse().map_err(|error: crate::sip::uri::UriError| bad(error.to_string()))?;
        let server = Server { register: true, ..Server::new(Some(proxy)) };
        let home = Home { address, default_host: host, server: Some(server.clone()) };
        if self.shared.registered.set(home).is_err() {
            return Err(bad("this client is registered already".to_owned()));
        }
        self.ask(|reply| Command::SetServer(uri, Box::new(server), reply)).await?;
        let settled = self.until(REGISTER_WITHIN, |linked| linked.registration.clone().filter(|link| !link.is_open()));
        match settled.await? {
            Some(link) if link.state == "standing" => Ok(()),
            Some(link) => Err(ClientError::Refused(link.reason.unwrap_or(link.state))),
            None => Err(ClientError::Refused("no answer".to_owned())),
        }
    }

    /// Returns how we stand with our own server.
    pub async fn linked(&self) -> Result<Arc<Linked>, ClientError> {
        self.ask(Command::Linked).await
    }

    /// Waits until it is known how the server takes what we publish, at most for so long; none without a server, where
    /// nothing was published, or when it is not known by then.
    pub async fn published_within(&self, limit: Duration) -> Result<Option<Link>, ClientError> {
        if self.linked().await?.publication.is_none() {
            return Ok(None);
        }
        self.until(limit, |linked| linked.publication.clone().filter(|link| !link.is_open())).await
    }

    /// Waits until the server has taken what we publish, or refused it, at most for so long; none as above.
    pub async fn settled_within(&self, limit: Duration) -> Result<Option<Link>, ClientError> {
        if self.linked().await?.publication.is_none() {
            return Ok(None);
        }
        let is_paced = |link: &Link| link.state == "waiting" && link.code.is_none();
        self.until(limit, |linked| linked.publication.clone().filter(|link| !link.is_open() && !is_paced(link))).await
    }

    /// Waits until the state at the server is of some kind.
    async fn until(
        &self,
        limit: Duration,
        wanted: impl Fn(&Linked) -> Option<Link>,
    ) -> Result<Option<Link>, ClientError> {
        let mut feed = Feed::default();
        feed.add_server(self).await?;
        let found = timeout(limit, async {
            loop {
                for item in feed.changed().await.into_values() {
                    match item {
                        Item::Server(linked) => {
                            if let Some(link) = wanted(&linked) {
                                return Some(link);
                            }
                        }
                        Item::Gone => return None,
                        _ => {}
                    }
                }
            }
        })
        .await;
        Ok(found.unwrap_or_default())
    }

    /// Returns whether answers of a target can reach us: on loopback alone only those of this machine, and of our
    /// server. One that names nobody is said to, so that it is refused for what it is.
    pub fn reaches(&self, target: &str) -> bool {
        if target.trim() == "me" || self.shared.locals.iter().any(|local| !local.ip().is_loopback()) {
            return true;
        }
        let Ok(uri) = parse_target(target, &self.home().default_host) else { return true };
        let here = match uri.as_ref().host() {
            Host::Ip(ip) => ip.is_loopback(),
            Host::Name(name) => name.eq_ignore_ascii_case("localhost"),
        };
        here || self
            .own_uri()
            .is_some_and(|own| Way::to(&uri.as_ref(), &own.as_ref(), self.home().server.as_ref()).is_by_server())
    }

    /// Returns whether a target is of the domain that our server serves.
    pub fn serves(&self, target: &str) -> bool {
        match (parse_target(target, &self.home().default_host), self.own_uri()) {
            (Ok(uri), Some(own)) => self.home().server.is_some() && uri.as_ref().host_equals(&own.as_ref()),
            _ => false,
        }
    }

    fn own_uri(&self) -> Option<Uri> {
        self.home().address.parse().ok()
    }
}
