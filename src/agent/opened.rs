//! An account's client between its sockets and its first packet: made of the configuration and of what was kept.

use std::{net::SocketAddr, sync::Arc};

use super::{
    AgentError,
    basis::Basis,
    configured, own,
    seat::{SavedSeat, Seat, Up},
    tls,
};
use crate::{
    client::{
        ClientBuilder, ClientError, Holds, Login, OwnKey, Policy, PortChoice, PresenceClient, Published, ReadyClient,
    },
    config::{self, Account, Environment, Listen, Paths, Settings},
};

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
    /// It stays: its server is asked who watches us there.
    pub(super) stays: bool,
    /// Whose trace goes on, if anybody's.
    pub(super) traced_as: Option<PresenceClient>,
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
    basis: Basis,
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
        let Common { settings, env, paths, policy, device, crashed, quiet, stays, .. } = *common;
        // Before its files are read: one that changes meanwhile is read again.
        let basis = Basis::of(settings, account.map(|(_, account)| account));
        let mut tls = tls::tls(settings, account.map(|(_, account)| account), paths);
        if let Some(key) = &common.key {
            tls = tls.key(Arc::clone(key));
        }
        let mut builder = placed(settings, account, env).await?.policy(policy.clone()).tls(tls);
        // Before anybody can ask.
        let name = account.map_or("", |(name, _)| name).to_owned();
        builder = builder.peers(super::peers(paths, &env.home, &name));
        if let Some(port) = port {
            builder = builder.port(port);
        }
        if stays {
            builder = builder.watcher_info();
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
        if let Some(earlier) = &common.traced_as {
            builder = builder.traced_as(earlier);
        }
        Ok(Self { ready: builder.open().await?, name, holds, told, realm, looks_for_realm, quiet, basis })
    }

    /// Returns what is to be on disk before the first packet: numbers that went out must never come again (NOT-29).
    pub(super) fn saved(&self) -> SavedSeat {
        SavedSeat {
            address: self.basis.account.as_ref().map(|account| account.address.clone()).unwrap_or_default(),
            port: self.ready.locals().first().map(SocketAddr::port),
            own: self.holds.saved(own::now()),
            watchers: Some(self.ready.saved()),
            realm: self.realm.clone(),
        }
    }

    /// Begins; what changed while nobody was there is told now.
    pub(super) async fn start(self) -> Result<Seat, ClientError> {
        let (name, quiet) = (self.name.clone(), self.quiet);
        let (up, holds) = self.up().await?;
        Ok(Seat::new(name, quiet, holds, up))
    }

    /// Begins the client alone; its seat is there already.
    pub(super) async fn up(self) -> Result<(Up, Holds), ClientError> {
        let Self { ready, holds, told, realm, looks_for_realm, quiet, basis, .. } = self;
        let client = ready.start();
        if told.as_ref() != holds.shown() && !quiet {
            match holds.shown().cloned() {
                Some(shown) => client.publish(shown).await?,
                None => client.clear().await?,
            }
        }
        Ok((Up { client, realm, looks_for_realm, basis: Some(basis) }, holds))
    }
}
