//! Our own server: the publication that we keep there, and the binding by which it reaches us.
//!
//! Outcomes find their machine here, and timers theirs. Whether there is a server, and what it is told when, is left to
//! the rest of the core.

use crate::sip::{
    endpoint::Failure,
    events::{
        Step, User,
        publisher::{PublicationId, Publisher},
    },
    message::Message,
    registration::{Registration, RegistrationId},
    time::Instant,
    transport::{ConnId, Flow},
};

/// What is kept at our own server, if we have one.
#[derive(Debug, Default)]
pub(super) struct Uplink {
    pub(super) publisher: Option<Publisher>,
    pub(super) registration: Option<Registration>,
}

impl Uplink {
    fn publisher(&mut self, id: PublicationId) -> Option<&mut Publisher> {
        self.publisher.as_mut().filter(|publisher| publisher.id() == id)
    }

    fn registration(&mut self, id: RegistrationId) -> Option<&mut Registration> {
        self.registration.as_mut().filter(|registration| registration.id() == id)
    }

    /// Takes a response to a request of one of the two.
    pub(super) fn response(&mut self, user: User, flow: Flow, message: &Message<'_>, step: &mut Step<'_>) {
        match user {
            User::Publisher(id, attempt) => {
                if let Some(publisher) = self.publisher(id) {
                    publisher.response(attempt, message, step);
                }
            }
            User::Registration(id, attempt) => {
                if let Some(registration) = self.registration(id) {
                    registration.response(attempt, flow, message, step);
                }
            }
            User::Subscriber(..) | User::Notifier(..) | User::WatcherInfo(..) | User::List(..) | User::Probe(..) => {}
        }
    }

    /// A request of one of the two came to nothing.
    pub(super) fn failed(&mut self, user: User, failure: Failure, step: &mut Step<'_>) {
        match user {
            User::Publisher(id, attempt) => {
                if let Some(publisher) = self.publisher(id) {
                    publisher.failed(attempt, failure, step);
                }
            }
            User::Registration(id, attempt) => {
                if let Some(registration) = self.registration(id) {
                    registration.failed(attempt, failure, step);
                }
            }
            User::Subscriber(..) | User::Notifier(..) | User::WatcherInfo(..) | User::List(..) | User::Probe(..) => {}
        }
    }

    /// Gives the number under which a challenged request of one of the two goes again.
    pub(super) fn renumber(&mut self, user: User) -> Option<u32> {
        match user {
            User::Publisher(id, attempt) => self.publisher(id)?.renumber(attempt),
            User::Registration(id, attempt) => self.registration(id)?.renumber(attempt),
            User::Subscriber(..) | User::Notifier(..) | User::WatcherInfo(..) | User::List(..) | User::Probe(..) => {
                None
            }
        }
    }

    /// The machine slept, or its addresses changed.
    pub(super) fn resumed(&mut self, step: &mut Step<'_>) {
        if let Some(registration) = &mut self.registration {
            registration.resumed(step);
        }
        if let Some(publisher) = &mut self.publisher {
            publisher.resumed(step);
        }
    }

    /// A connection that was kept alive is gone; returns when our binding is made anew, if it was made by that one.
    pub(super) fn flow_lost(&mut self, conn: ConnId, step: &mut Step<'_>) -> Option<Instant> {
        self.registration.as_mut()?.flow_lost(conn, step)
    }

    /// Runs what is due.
    pub(super) fn tick(&mut self, step: &mut Step<'_>) {
        if let Some(registration) = &mut self.registration {
            registration.tick(step);
        }
        if let Some(publisher) = &mut self.publisher {
            publisher.tick(step);
        }
    }

    /// Returns when [`tick`](Self::tick) has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let publisher = self.publisher.as_ref().and_then(Publisher::deadline);
        [publisher, self.registration.as_ref().and_then(Registration::deadline)].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;
    use crate::{
        presence::{
            FailureCode, OpenWhen,
            core::{Core, CoreConfig, Input, Link, Now, Outbox, PRESENCE},
            policy::{Action, Policy},
        },
        sip::{
            auth::{Credentials, Hash, Secret},
            effect::Effect,
            events::publisher::Publication,
            registration::Binding,
            transaction::Timing,
            transport::Packet,
        },
    };

    const LOCAL: &str = "192.0.2.21:5060";
    const SERVER: &str = "192.0.2.100:5060";

    fn moment(after: u64) -> Now {
        let at = Instant::from_origin(Duration::from_secs(1000 + after));
        let start: jiff::Timestamp = "2026-03-02T09:15:00Z".parse().unwrap();
        Now { at, wall: start + jiff::SignedDuration::from_secs(after.cast_signed()) }
    }

    fn core() -> Core {
        let locals = vec![LOCAL.parse().unwrap()];
        let servers = vec!["192.0.2.100".into()];
        let config = CoreConfig {
            address: "sip:bob@192.0.2.100".parse().unwrap(),
            display_name: None,
            locals,
            tls: Vec::new(),
            machine: Vec::new(),
            names: Vec::new(),
            timing: Timing::default(),
            device_id: "urn:uuid:0c9d6b1e-52f4-4f0c-8a37-6e1d2b7a9f10".into(),
            device: None,
            open_when: OpenWhen::default(),
            policy: Policy::new(Action::Ask),
            min_expires: 60,
            max_subscriptions: 10,
            expires: 300,
            retry_cap: Duration::from_mins(2),
            rate: 10,
            rates: crate::presence::Rates::default(),
            lenient: false,
            language: None,
            credentials: Some(Credentials { user: "bob".into(), realm: None, servers, min: Hash::Md5 }),
            server: None,
            auth_min: Hash::Md5,
            legacy: false,
        };
        let mut core = Core::new(config, StdRng::seed_from_u64(7), moment(0)).unwrap();
        let mut out = Vec::new();
        let mut step = Step { now: moment(0).at, endpoint: &mut core.endpoint, out: &mut out };
        let (target, from, account) = (core.config.address.clone(), core.from.clone(), core.account);
        let (expires, retry_cap, route) = (3600, Duration::from_mins(30), None);
        let binding = Binding {
            registrar: "sip:192.0.2.100".parse().unwrap(),
            address: target.clone(),
            from: from.clone(),
            contact_user: "bob".into(),
            route: None,
            expires,
            retry_cap,
            account,
            instance: None,
        };
        let what = Publication { target, from, route, package: PRESENCE, expires, retry_cap, account };
        core.uplink.publisher = Some(Publisher::new(PublicationId(0), what, &mut step));
        core.uplink.registration = Some(Registration::new(RegistrationId(0), binding, &mut step));
        core
    }

    fn sent(out: &mut Outbox) -> Vec<String> {
        let text = |packet: Packet| String::from_utf8(packet.to_vec()).unwrap();
        let effects = std::mem::take(&mut out.effects);
        effects
            .into_iter()
            .filter_map(|e| if let Effect::Send { packet, .. } = e { Some(text(packet)) } else { None })
            .collect()
    }

    fn answer(core: &mut Core, request: &str, status: &str, extra: &str, out: &mut Outbox) {
        let copied = |line: &&str| ["Via", "From", "To", "Call-ID", "CSeq"].contains(&line.split(':').next().unwrap());
        let lines: Vec<&str> = request.lines().filter(copied).collect();
        let text = format!("SIP/2.0 {status}\r\n{}\r\n{extra}Content-Length: 0\r\n\r\n", lines.join("\r\n"));
        let (local, remote) = (LOCAL.parse().unwrap(), SERVER.parse().unwrap());
        core.handle(Input::Datagram { local, remote, bytes: text.as_bytes() }, moment(0), out);
    }

    #[test]
    fn pub_02_and_19_outcomes_timers_and_challenges_reach_publication_and_registration() {
        let (mut core, mut out) = (core(), Outbox::default());
        let mut step = Step { now: moment(0).at, endpoint: &mut core.endpoint, out: &mut out.effects };
        core.uplink.publisher.as_mut().unwrap().publish(Bytes::from_static(b"open"), &mut step);
        core.uplink.registration.as_mut().unwrap().register(&mut step);
        let first = sent(&mut out);
        for request in &first {
            let challenge = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\n";
            answer(&mut core, request, "401 Unauthorized", challenge, &mut out);
        }
        assert_eq!(sent(&mut out).len(), 0);
        let account = core.account.unwrap();
        core.handle(Input::Secret { account, answer: Ok(Secret::new("p")) }, moment(0), &mut out);
        let second = sent(&mut out);
        assert!(second[0].contains("CSeq: 2 PUBLISH\r\n") && second[1].contains("CSeq: 2 REGISTER\r\n"), "{second:?}");
        for request in &second {
            answer(&mut core, request, "200 OK", "SIP-ETag: e1\r\nExpires: 600\r\n", &mut out);
        }
        let states = |core: &Core| {
            let linked = core.linked();
            let state = |link: &Option<Link>| link.as_ref().map(|link| link.state.clone()).unwrap_or_default();
            (state(&linked.publication), state(&linked.registration))
        };
        let both = |word: &str| (word.to_owned(), word.to_owned());
        assert_eq!(states(&core), both("standing"));
        assert_eq!(core.linked().publication.as_ref().unwrap().expires_at, Some(moment(600).wall));
        // A sleep is told to both.
        core.handle(Input::Resumed, moment(10), &mut out);
        assert_eq!(states(&core), both("unsure"));
        assert!(core.deadline().is_some_and(|at| at <= moment(13).at));
        core.handle(Input::Tick, moment(13), &mut out);
        let third = sent(&mut out);
        assert_eq!(third.iter().filter(|text| text.contains("CSeq: 3 ")).count(), 2, "{third:?}");
        core.handle(Input::SendFailed(SERVER.parse().unwrap()), moment(13), &mut out);
        assert_eq!(states(&core), both("waiting"));
        assert_eq!(core.linked().registration.as_ref().unwrap().code, Some(FailureCode::Connect));
    }
}
