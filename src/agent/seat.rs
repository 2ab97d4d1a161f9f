//! One account, as the agent keeps it up: its client, what is set there, and what of both outlives the process.
//!
//! The client may begin anew, when what it was made of is another; the seat stays.

use std::{
    net::SocketAddr,
    sync::{Mutex, MutexGuard},
};

use serde::{Deserialize, Serialize};
use tokio::sync::RwLock;

use super::{
    AgentError,
    basis::Basis,
    lock,
    opened::{Common, Opened},
    own,
};
use crate::{
    client::{Holds, PortChoice, PresenceClient, SavedHolds, SavedServing},
    config::Account,
};

/// One account.
#[derive(Debug)]
pub(super) struct Seat {
    /// Its name in the configuration; empty where there is no account.
    pub(super) name: String,
    /// Whether what was kept is not shown at first.
    pub(super) quiet: bool,
    holds: Mutex<Holds>,
    up: Mutex<Up>,
    /// Held while the client begins anew: who needs one waits.
    turn: RwLock<()>,
    /// What is to be kept while there is no client.
    between: Mutex<Option<SavedSeat>>,
}

/// What of a seat is another once its client began anew.
#[derive(Debug)]
pub(super) struct Up {
    pub(super) client: PresenceClient,
    /// The realm that was found, where one is looked for (AUT-12).
    pub(super) realm: Option<String>,
    pub(super) looks_for_realm: bool,
    /// None where nothing was configured.
    pub(super) basis: Option<Basis>,
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

impl Seat {
    pub(super) fn new(name: String, quiet: bool, holds: Holds, up: Up) -> Self {
        let (holds, up) = (Mutex::new(holds), Mutex::new(up));
        Self { name, quiet, holds, up, turn: RwLock::default(), between: Mutex::default() }
    }

    /// Makes the seat of a client that is there already, of which nothing is kept.
    pub(super) fn of_client(client: PresenceClient) -> Self {
        let up = Up { client, realm: None, looks_for_realm: false, basis: None };
        Self::new(String::new(), false, Holds::default(), up)
    }

    /// Makes the same of one that has a password and no realm.
    #[cfg(test)]
    pub(super) fn looking_for_realm(client: PresenceClient) -> Self {
        let seat = Self::of_client(client);
        lock(&seat.up).looks_for_realm = true;
        seat
    }

    /// Returns who we are there, and waits for it while that begins anew.
    pub(super) async fn client(&self) -> PresenceClient {
        let _turn = self.turn.read().await;
        self.client_now()
    }

    /// Returns who we are there, or were until it began anew.
    pub(super) fn client_now(&self) -> PresenceClient {
        lock(&self.up).client.clone()
    }

    /// Returns what its client was made of.
    pub(super) fn basis(&self) -> Option<Basis> {
        lock(&self.up).basis.clone()
    }

    /// Locks what is set; each change leaves it whole.
    pub(super) fn holds(&self) -> MutexGuard<'_, Holds> {
        lock(&self.holds)
    }

    /// Begins anew as somebody made of what is configured now, with all that was kept, as after a restart. If that
    /// cannot be, it goes on as it was. What is to be on disk before the first packet is given to `keep`.
    ///
    /// What would stay behind elsewhere is taken back before.
    pub(super) async fn begin_anew(
        &self,
        common: &Common<'_>,
        account: Option<(&str, &Account)>,
        keep: impl Future<Output = ()>,
    ) -> Result<(), AgentError> {
        let before = lock(&self.up).basis.clone();
        let now = Basis::of(common.settings, account.map(|(_, account)| account));
        *lock(&self.between) = self.saved().await;
        let _turn = self.turn.write().await;
        let client = self.client_now();
        let watchers = if before.as_ref().is_some_and(|before| before.leaves_something(&now)) {
            self.stop().await
        } else {
            // One that could not begin anew before left what it had.
            let between = || lock(&self.between).as_ref().and_then(|saved| saved.watchers.clone());
            client.halt().await.ok().or_else(between)
        };
        let saved = self.saved_with(watchers);
        *lock(&self.between) = Some(saved.clone());
        let port = saved.port.map(PortChoice::Fixed);
        let same_realm = before.as_ref().is_none_or(|before| before.asks_alike(&now));
        let realm = saved.realm.clone().filter(|_| same_realm);
        let common = Common { key: common.key.clone(), traced_as: Some(client), ..*common };
        let opened = Opened::open_at(&common, account, port.clone(), SavedSeat { realm, ..saved.clone() }).await;
        let (opened, failed) = match (opened, before) {
            (Ok(opened), _) => (opened, None),
            (Err(error), Some(Basis { settings, account, .. })) => {
                let common = Common { settings: &settings, ..common };
                let account = account.as_ref().map(|account| (self.name.as_str(), account));
                (Opened::open_at(&common, account, port, saved).await?, Some(error))
            }
            (Err(error), None) => return Err(error),
        };
        *lock(&self.between) = Some(opened.saved());
        keep.await;
        *lock(&self.up) = opened.up().await?.0;
        *lock(&self.between) = None;
        failed.map_or(Ok(()), Err)
    }

    /// Has its client go offline; returns what is remembered of its watchers, if it was there.
    pub(super) async fn stop(&self) -> Option<SavedServing> {
        let client = self.client_now();
        let saved = client.saved().await.ok();
        client.stop().await;
        saved.map(|saved| saved.after_goodbye(own::now().wall))
    }

    /// Returns what is to be kept now; none when the client is gone.
    pub(super) async fn saved(&self) -> Option<SavedSeat> {
        let client = self.client_now();
        let Ok(watchers) = client.saved().await else { return lock(&self.between).clone() };
        if lock(&self.up).looks_for_realm
            && let Ok(Some(found)) = client.realm().await
        {
            lock(&self.up).realm = Some(found);
        }
        Some(self.saved_with(Some(watchers)))
    }

    /// Returns the same of a client that is gone, with the watchers that it left.
    pub(super) fn saved_with(&self, watchers: Option<SavedServing>) -> SavedSeat {
        let (client, realm) = {
            let up = lock(&self.up);
            (up.client.clone(), up.realm.clone())
        };
        SavedSeat {
            address: client.address().to_owned(),
            port: client.locals().first().map(SocketAddr::port),
            own: self.holds().saved(own::now()),
            watchers,
            realm,
        }
    }
}
