//! What the core wants done: datagrams, connections, look-ups, news.

use std::sync::Arc;

use tracing::warn;

use super::Driver;
use crate::{
    net::stream::{connect, connect_tls},
    presence::core::Input,
    sip::{effect::Effect, locate::PeerIdentity, transport::Transport},
};

impl Driver {
    /// Carries out what the core wants done, and tells the readers what changed.
    pub(super) fn flush(&mut self) {
        // What could not be sent may call for more, also what waited since the last turn.
        self.send_waiting();
        while !(self.out.effects.is_empty()
            && self.out.events.is_empty()
            && self.out.changed.is_empty()
            && self.out.answered.is_empty())
        {
            self.perform();
        }
    }

    fn perform(&mut self) {
        for effect in std::mem::take(&mut self.out.effects) {
            match effect {
                Effect::Send { local, remote, packet } => {
                    self.tracer.datagram_sent(local, remote, &packet);
                    self.waiting.push(local, remote, packet);
                }
                Effect::Open { conn, transport, local, remote, peer } => {
                    let events = self.stream_sender.clone();
                    let handle = if transport == Transport::Tls {
                        let nobody = || Arc::new(PeerIdentity::of_host(&remote.ip().to_string()));
                        let peer = peer.unwrap_or_else(nobody);
                        let trust = self.believing.trust_in(&peer);
                        connect_tls(Some(local), remote, conn, (Arc::clone(&self.tls), peer, trust), events)
                    } else {
                        connect(Some(local), remote, conn, events)
                    };
                    self.conns.insert(conn, handle);
                }
                Effect::Write { conn, packet } => {
                    self.tracer.written(conn, &packet);
                    if let Some(handle) = self.conns.get(&conn)
                        && let Err(error) = handle.send(packet)
                    {
                        warn!(%error, "dropped a connection");
                    }
                }
                Effect::Close { conn } => {
                    if let Some(handle) = self.conns.remove(&conn) {
                        handle.close();
                    }
                }
                Effect::Resolve { query, question } => {
                    let (answers, dns) = (self.answer_sender.clone(), Arc::clone(&self.dns));
                    tokio::spawn(async move {
                        let answer = dns.ask(question).await.map_err(|error| error.to_string());
                        // A loop that ended needs no answer.
                        let _ = answers.send((query, answer)).await;
                    });
                }
                Effect::AskSecret { account } => {
                    let (answers, passwords) =
                        (self.secret_sender.clone(), self.shared.get(&account).or(self.passwords.as_ref()).cloned());
                    tokio::spawn(async move {
                        let answer = match passwords {
                            Some(passwords) => passwords.ask().await,
                            None => Err("nobody knows it".to_owned()),
                        };
                        // A loop that ended needs no answer.
                        let _ = answers.send((account, answer)).await;
                    });
                }
            }
        }
        self.send_waiting();
        for event in self.out.events.drain(..) {
            // Without a reader there is nobody to tell.
            let _ = self.events.send(event);
        }
        for (id, answer) in self.out.answered.drain(..) {
            if let Some(asker) = self.asking.remove(&id) {
                // Whoever asked may have stopped waiting.
                let _ = asker.send(answer);
            }
        }
        for key in std::mem::take(&mut self.out.changed) {
            self.tell(key);
        }
    }

    /// Sends the datagrams that wait, in batches for each socket in turn, until the kernel takes no more.
    fn send_waiting(&mut self) {
        let failed = self.waiting.flush(&self.listeners);
        if !failed.is_empty() {
            let now = Self::now();
            for remote in failed {
                self.core.handle(Input::SendFailed(remote), now, &mut self.out);
            }
        }
    }
}
