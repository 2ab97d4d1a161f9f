//! What a domain wants done: records, then datagrams, connections, answers to requests for documents.

use std::sync::Arc;

use tracing::warn;

use super::{
    Driver,
    held::{Kept, Waiting},
    now,
};
use crate::{
    net::{
        http::serve::Ask,
        stream::{connect, connect_tls},
        tls::Trust,
    },
    presence::core::{Input, Now},
    server::store::Report,
    sip::{
        effect::Effect,
        locate::PeerIdentity,
        transport::{ConnId, Transport},
    },
};

impl Driver {
    /// Has what is new written down, and carries out what may leave.
    pub(super) fn flush(&mut self) {
        self.domain.set_refusing(self.held.is_refusing());
        self.commit();
        loop {
            let failed = self.sends.flush(&self.listeners);
            if failed.is_empty() {
                return;
            }
            let now = now();
            for remote in failed {
                self.domain.handle(Input::SendFailed(remote), now, &mut self.out);
            }
            self.domain.settle(now, &mut self.out);
            self.commit();
        }
    }

    /// Hands records to the disk; what waits for them is held, and all else is done.
    pub(super) fn commit(&mut self) {
        let records = std::mem::take(&mut self.out.records);
        let effects = std::mem::take(&mut self.out.effects);
        let before = std::mem::take(&mut self.out.before);
        if let Some(effects) = self.held.hold(records, before, effects) {
            self.perform(effects);
        }
    }

    /// Records are on disk, or are not.
    pub(super) fn kept(&mut self, report: Report) {
        let mut undone = Vec::new();
        for kept in self.held.take(report) {
            match kept {
                Kept::Go(Waiting { effects, answers, .. }) => {
                    self.perform(effects);
                    for (ask, answer, _) in answers {
                        // Whoever asked may be gone by now.
                        let _ = ask.send(answer);
                    }
                }
                Kept::Failed(Waiting { effects, answers, before }) => {
                    self.domain.set_refusing(true);
                    undone.extend(before);
                    let effects = effects.into_iter().map(|effect| self.withdrawn(effect)).collect();
                    self.perform(effects);
                    for (_, _, before) in answers {
                        // To drop the answer says that we are busy.
                        self.domain.take_back(before, now());
                    }
                }
            }
        }
        if !undone.is_empty() {
            self.domain.undo(undone, now());
        }
    }

    /// What promised something that is not on disk goes as its refusal.
    fn withdrawn(&mut self, effect: Effect) -> Effect {
        match effect {
            Effect::Send { local, remote, packet } => {
                let packet = self.domain.withdraw(&packet, Transport::Udp).unwrap_or(packet);
                Effect::Send { local, remote, packet }
            }
            Effect::Write { conn, packet } => {
                let packet = self.domain.withdraw(&packet, Transport::Tcp).unwrap_or(packet);
                Effect::Write { conn, packet }
            }
            other => other,
        }
    }

    /// Answers a request for a document, once what it changed is on disk.
    pub(super) fn document(&mut self, ask: Ask, now: Now) {
        let (answer, before) = self.domain.document_asked(&self.xcap, &ask.request, now, &mut self.out);
        match before {
            Some(before) if self.held.keeps() => {
                self.domain.settle(now, &mut self.out);
                self.commit();
                if let Some((ask, answer)) = self.held.hold_answer(ask.answer, answer, before) {
                    let _ = ask.send(answer);
                }
            }
            // Whoever asked may be gone by now.
            _ => drop(ask.answer.send(answer)),
        }
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { local, remote, packet } => self.sends.push(local, remote, packet),
                Effect::Open { conn, transport, local, remote, peer } => {
                    let handle = self.open(conn, (transport, local, remote), peer);
                    self.conns.insert(conn, handle);
                }
                Effect::Write { conn, packet } => {
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
                // It has no account of its own.
                Effect::AskSecret { .. } => {}
            }
        }
    }

    fn open(
        &self,
        conn: ConnId,
        (transport, local, remote): (Transport, std::net::IpAddr, std::net::SocketAddr),
        peer: Option<Arc<PeerIdentity>>,
    ) -> crate::net::stream::ConnHandle {
        let events = self.stream_sender.clone();
        if transport != Transport::Tls {
            return connect(Some(local), remote, conn, events);
        }
        let peer = peer.unwrap_or_else(|| Arc::new(PeerIdentity::of_host(&remote.ip().to_string())));
        // A watcher's own machine has hardly a certificate; it proved who it is when it subscribed, from this very address.
        connect_tls(Some(local), remote, conn, (Arc::clone(&self.tls), peer, Trust::Anything), events)
    }
}
