//! The peers with whom we share secrets: who they are, and how the secrets come in.

use tracing::warn;

use super::{Peer, Proving, guard, name_of};
use crate::{
    presence::{
        core::{Core, Key, Now, Outbox, Step},
        policy::canonical,
        text::visible,
    },
    sip::{
        auth::{AccountId, Secret, server::Stored},
        effect::Effect,
        uri::Uri,
    },
};

impl Core {
    /// Shares a secret with each of these peers from now on, and with nobody else; returns by what account each is
    /// asked for, in [`Effect::AskSecret`]. None where an address names nobody.
    ///
    /// Of two with the same name at the same host, the first is the one who proves to have it.
    pub fn set_peers(&mut self, addresses: &[Uri], now: Now, out: &mut Outbox) -> Vec<Option<AccountId>> {
        self.proving.peers.iter_mut().for_each(|peer| peer.current = false);
        let accounts = addresses.iter().map(|address| self.add_peer(address, now)).collect();
        self.proving.index();
        self.proving.peers.iter_mut().filter(|peer| !peer.current).for_each(|peer| peer.stored = None);
        self.ask_secrets(now, out);
        self.ask_by_secrets(now, out);
        self.settle(now, out);
        accounts
    }

    fn add_peer(&mut self, address: &Uri, now: Now) -> Option<AccountId> {
        let known = self.proving.peers.iter_mut().find(|peer| peer.address == *address);
        if let Some(peer) = known {
            peer.current = true;
            return Some(peer.account);
        }
        let view = address.as_ref();
        view.user()?;
        let own = canonical(self.config.address.as_str());
        let account = self.endpoint.add_peer(name_of(&own), view.host_text(), self.proving.hashes.0).ok()?;
        let (who, address) = (canonical(address.as_str()), address.clone());
        self.proving.peers.push(Peer { address, who, account, current: true, stored: None, asked_at: now.at });
        Some(account)
    }

    /// Has every secret fetched, for whoever we are now.
    fn ask_secrets(&mut self, now: Now, out: &mut Outbox) {
        let own = canonical(self.config.address.as_str());
        for peer in self.proving.peers.iter_mut().filter(|peer| peer.current) {
            if let Err(error) = self.endpoint.rename(peer.account, name_of(&own)) {
                warn!(%error, "our address cannot stand in credentials");
                continue;
            }
            peer.asked_at = now.at;
            out.effects.push(Effect::AskSecret { account: peer.account });
        }
    }

    /// We are called otherwise: so are our realm and we ourselves towards peers.
    pub(in crate::presence::core) fn prove_as_other(&mut self, now: Now, out: &mut Outbox) {
        match guard(&self.config.address, self.proving.hashes, now.at, self.endpoint.rng()) {
            Ok(guard) => self.proving.guard = guard,
            Err(error) => warn!(%error, "our address cannot be a realm"),
        }
        self.proving.peers.iter_mut().for_each(|peer| peer.stored = None);
        self.ask_secrets(now, out);
    }

    /// The secret of a peer came, or the reason why it cannot be had.
    pub(in crate::presence::core) fn secret_came(&mut self, account: AccountId, answer: &Result<Secret, String>) {
        let Proving { guard, peers, .. } = &mut self.proving;
        let Some(peer) = peers.iter_mut().find(|peer| peer.account == account && peer.current) else { return };
        match answer {
            Ok(secret) => peer.stored = Some(Stored::of_password(name_of(&peer.who), guard.realm(), secret)),
            Err(why) => {
                peer.stored = None;
                let peer = visible(&peer.who);
                warn!(%peer, why, "the secret that we share cannot be had: until it can, this watcher is told nothing");
            }
        }
    }

    /// Whom we watch already is asked by the secrets as they are now.
    fn ask_by_secrets(&mut self, now: Now, out: &mut Outbox) {
        for (subscription, target) in self.direct_watches() {
            let account = self.proving.account_for(&target.as_ref()).or(self.account);
            let (subscriber, mut step): (_, Step<'_>) = self.subscriber_step(now, out);
            subscriber.answer_by(subscription, account, &mut step);
        }
        out.changed.insert(Key::Watchers);
    }
}
