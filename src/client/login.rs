//! Who we are towards our own server, and where our password is to be had when it asks.

use std::{fmt, pin::Pin, sync::Arc};

use tracing::warn;

use super::{Uri, parse_target};
use crate::sip::auth::{Credentials, Hash, Secret};

type Answer = Pin<Box<dyn Future<Output = Result<Secret, String>> + Send>>;

/// What a client answers challenges with (RFC 3261 §22).
///
/// The password is asked for when a server first wants it, kept as long as the client lives, and forgotten when it
/// proves wrong. It goes to nobody but the hosts added by [`server`](Self::server), and for one realm alone.
#[derive(Clone, Debug)]
pub struct Login {
    pub(super) credentials: Credentials,
    pub(super) source: PasswordSource,
}

impl Login {
    /// Makes a login of a user name and a source of its password.
    pub fn new(user: impl Into<String>, source: PasswordSource) -> Self {
        let user = user.into().into_boxed_str();
        Self { credentials: Credentials { user, realm: None, servers: Vec::new(), min: Hash::Md5 }, source }
    }

    /// Gives the password for this realm alone; without it the first that our own server asks for is taken, which
    /// [`PresenceClient::realm`](super::PresenceClient::realm) then tells.
    #[must_use]
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.credentials.realm = Some(realm.into().into_boxed_str());
        self
    }

    /// Adds a host that may ask for the password: the account's domain, its outbound proxy. IPv6 with or without
    /// brackets.
    #[must_use]
    pub fn server(mut self, host: impl Into<String>) -> Self {
        self.credentials.servers.push(host.into().trim_matches(['[', ']']).into());
        self
    }

    /// Gets the password and forgets it, to see whether it is to be had.
    ///
    /// # Errors
    /// Why it is not, in words.
    pub async fn check_password(&self) -> Result<(), String> {
        self.source.ask().await.map(drop)
    }

    /// Sets the weakest hash that is answered in clear text.
    #[must_use]
    pub fn min(mut self, min: Hash) -> Self {
        self.credentials.min = min;
        self
    }
}

/// A peer with whom we share a secret: by it both prove to each other who they are (RFC 3261 §22).
///
/// A subscription in the name of its address is challenged, and is `verified` once the answer is right. We answer its
/// challenges, and nobody else's, by our own address of record, without the scheme, as the user name.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where it is watched; its From has to say the same, but for the port.
    pub address: String,
    /// Where the secret is to be had.
    pub secret: PasswordSource,
}

/// Peers by their URIs, each with where its secret is to be had.
pub(super) type Secrets = Vec<(Uri, PasswordSource)>;

pub(super) fn uris_of(secrets: &Secrets) -> Vec<Uri> {
    secrets.iter().map(|(uri, _)| uri.clone()).collect()
}

/// Reads the addresses of peers; who cannot be named is left out, and told.
pub(super) fn secrets(peers: Vec<Peer>, default_host: &str) -> Secrets {
    let read = |peer: Peer| match parse_target(&peer.address, default_host) {
        Ok(uri) => Some((uri, peer.secret)),
        Err(error) => {
            warn!(%error, "no secret can be shared with that address");
            None
        }
    };
    peers.into_iter().filter_map(read).collect()
}

/// Gets a password when it is wanted, or says why there is none; it may take its time.
#[derive(Clone)]
pub struct PasswordSource(Arc<dyn Fn() -> Answer + Send + Sync>);

impl PasswordSource {
    /// Makes a source of a function that is called each time the password is wanted.
    pub fn new<F, A>(ask: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<Secret, String>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(ask())))
    }

    /// Makes a source of a password that is at hand.
    pub fn known(password: Secret) -> Self {
        Self::new(move || std::future::ready(Ok(password.clone())))
    }

    /// Gets the password.
    ///
    /// # Errors
    /// Why it is not to be had, in words.
    pub async fn fetch(&self) -> Result<Secret, String> {
        self.ask().await
    }

    pub(super) fn ask(&self) -> Answer {
        (self.0)()
    }
}

impl fmt::Debug for PasswordSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordSource")
    }
}
