//! Who we are towards our own server, and where our password is to be had when it asks.

use std::{fmt, pin::Pin, sync::Arc};

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

    pub(super) fn ask(&self) -> Answer {
        (self.0)()
    }
}

impl fmt::Debug for PasswordSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordSource")
    }
}
