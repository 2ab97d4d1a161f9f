//! One account, as the agent keeps it up: its client, what is set there, and what of both outlives the process.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::{AgentError, configured, own, tls};
use crate::{
    client::{
        ClientBuilder, ClientError, Holds, Login, OwnKey, Policy, PortChoice, PresenceClient, Published, ReadyClient,
        SavedHolds, SavedServing,
    },
    config::{self, Account, Environment, Listen, Paths, Settings},
};

/// One account.
#[derive(Debug)]
pub(super) struct Seat {
    /// Its name in the configuration; empty where there is no account.
    pub(super) name: String,
    /// Who we are there.
    pub(super) client: PresenceClient,
    /// Whether what was kept is not shown yet.
    pub(super) quiet: bool,
    holds: Mutex<Holds>,
    /// The realm that was found, where one is looked for (AUT-12).
    realm: Mutex<Option<String>>,
    looks_for_realm: bool,
}

/// What of an account outlives the process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedSeat {
    /// The account's address: what follows from it holds for no other.
    #[serde(default)]
    pub(super) address: String,
    /// The port that it listened on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) port: Option<u16>,
    /// My own status.
    #[serde(default)]
    pub(super) own: SavedHolds,
    /// Who watches me.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) watchers: Option<SavedServing>,
    /// The realm that my server asked with first, where none is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) realm: Option<String>,
}

/// What all accounts of an agent have in common.
pub(super) struct Common<'a> {
    pub(super) settings: &'a Settings,
    pub(super) env: &'a Environment,
    pub(super) paths: &'a Paths,
    /// What peers know us by; without one they do not know us again.
    pub(super) key: Option<Arc<OwnKey>>,
    pub(super) policy: &'a Policy,
    pub(super) device: Option<&'a str>,
    /// The run before did not end by its own word.
    pub(super) crashed: bool,
    /// What was kept is not shown before something is set.
    pub(super) quiet: bool,
}

/// Begins a client of an account that listens where it is to listen now.
pub(super) async fn placed(
    settings: &Settings,
    account: Option<(&str, &Account)>,
    env: &Environment,
) -> Result<ClientBuilder, AgentError> {
    let builder = configured::builder(settings, account, env)?;
    Ok(match settings.agent.listen {
        Listen::Loopback => builder.listen_toward_server().await,
        _ => builder,
    })
}

/// An account whose client has its sockets, and neither reads nor sends yet.
pub(super) struct Opened {
    ready: ReadyClient,
    name: String,
    holds: Holds,
    told: Option<Published>,
    realm: Option<String>,
    looks_for_realm: bool,
    quiet: bool,
}

impl Opened {
    /// Opens an account with what was saved of it; the first one has the configured port, others take theirs again
    /// or any.
    pub(super) async fn open(
        common: &Common<'_>,
        account: Option<(&str, &Account)>,
        first: bool,
        saved: SavedSeat,
    ) -> Result<Self, AgentError> {
        let port = saved.port;
        let port = match (first, port) {
            (true, _) => None,
            (false, Some(port)) => Some(PortChoice::Fixed(port)),
            (false, None) => Some(PortChoice::Any),
        };
        match Self::open_at(common, account, port.clone(), saved.clone()).await {
            // Somebody else has it now.
            Err(AgentError::Client(ClientError::Bind(_))) if matches!(port, Some(PortChoice::Fixed(_))) => {
                Self::open_at(common, account, Some(PortChoice::Any), saved).await
            }
            opened => opened,
        }
    }

    /// Opens it at one port, or at that of the configuration.
    pub(super) async fn open_at(
        common: &Common<'_>,
        account: Option<(&str, &Account)>,
        port: Option<PortChoice>,
        saved: SavedSeat,
    ) -> Result<Self, AgentError> {
        let Common { settings, env, paths, policy, device, crashed, quiet, .. } = *common;
        let mut tls = tls::tls(settings, account.map(|(_, account)| account), paths);
        if let Some(key) = &common.key {
            tls = tls.key(Arc::clone(key));
        }
        let mut builder = placed(settings, account, env).await?.policy(policy.clone()).tls(tls);
        if let Some(port) = port {
            builder = builder.port(port);
        }
        if let Some(device) = device {
            builder = builder.device_id(device);
        }
        let looks_for_realm = account
            .is_some_and(|(_, account)| account.realm.is_none() && account.password != config::PasswordSource::None);
        let same = account.is_none_or(|(_, account)| account.address == saved.address);
        let realm = saved.realm.filter(|_| looks_for_realm && same);
        let login = account.and_then(|(_, account)| super::login(settings, account));
        if let (Some(login), Some(realm)) = (login, &realm) {
            builder = builder.login(Login::realm(login, realm));
        }
        // What the server still keeps is changed by what is set next, not taken back before.
        let quiet = quiet && saved.watchers.as_ref().is_none_or(|serving| serving.publication.is_none());
        // What the watchers were told last; what shows now may be something else.
        let told = saved.own.shown().cloned();
        let holds = Holds::restored(saved.own, own::now());
        if let Some(told) = told.clone().filter(|_| !quiet) {
            builder = builder.published(told);
        }
        if let Some(watchers) = saved.watchers.filter(|_| same) {
            builder = builder.restore(watchers, crashed);
        }
        let name = account.map_or("", |(name, _)| name).to_owned();
        Ok(Self { ready: builder.open().await?, name, holds, told, realm, looks_for_realm, quiet })
    }

    /// Returns what is to be on disk before the first packet: numbers that went out must never come again (NOT-29).
    pub(super) fn saved(&self, address: &str) -> SavedSeat {
        SavedSeat {
            address: address.to_owned(),
            port: self.ready.locals().first().map(SocketAddr::port),
            own: self.holds.saved(own::now()),
            watchers: Some(self.ready.saved()),
            realm: self.realm.clone(),
        }
    }

    /// Begins; what changed while nobody was there is told now.
    pub(super) async fn start(self) -> Result<Seat, ClientError> {
        let Self { ready, name, holds, told, realm, looks_for_realm, quiet } = self;
        let client = ready.start();
        if told.as_ref() != holds.shown() && !quiet {
            match holds.shown().cloned() {
                Some(shown) => client.publish(shown).await?,
                None => client.clear().await?,
            }
        }
        Ok(Seat { name, client, quiet, holds: Mutex::new(holds), realm: Mutex::new(realm), looks_for_realm })
    }
}

impl Seat {
    /// Makes the seat of a client that is there already, of which nothing is kept.
    pub(super) fn of_client(client: PresenceClient) -> Self {
        let (holds, realm) = (Mutex::default(), Mutex::default());
        Self { name: String::new(), client, quiet: false, holds, realm, looks_for_realm: false }
    }

    /// Makes the same of one that has a password and no realm.
    #[cfg(test)]
    pub(super) fn looking_for_realm(client: PresenceClient) -> Self {
        Self { looks_for_realm: true, ..Self::of_client(client) }
    }

    /// Locks what is set; each change leaves it whole.
    pub(super) fn holds(&self) -> MutexGuard<'_, Holds> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what is to be kept now; none when the client is gone.
    pub(super) async fn saved(&self) -> Option<SavedSeat> {
        let watchers = self.client.saved().await.ok()?;
        if self.looks_for_realm
            && let Ok(Some(found)) = self.client.realm().await
        {
            *self.realm.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        }
        Some(self.saved_with(Some(watchers)))
    }

    /// Returns the same of a client that is gone, with the watchers that it left.
    pub(super) fn saved_with(&self, watchers: Option<SavedServing>) -> SavedSeat {
        SavedSeat {
            address: self.client.address().to_owned(),
            port: self.client.locals().first().map(SocketAddr::port),
            own: self.holds().saved(own::now()),
            watchers,
            realm: self.realm.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
