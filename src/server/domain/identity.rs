//! Who sends a request, as far as it has proven that: by a digest in its own domain (ESC-02, AUT-17).
//!
//! Whoever says that it is somebody of ours proves it; a domain in which nobody has an account takes everybody at his word.
//! Others are taken for what they claim, and rules that let somebody in know the difference (POL-19).

use super::{Arrived, Domain, Outbox, domain_of};
use crate::{
    presence::{
        core::{Asker, Now},
        policy::{canonical, is_anonymous},
    },
    server::accounts::Name as Account,
    sip::{
        auth::server::{Asked, Checked},
        events::compositor::Refusal,
        header::Name,
        uri::{UriRef, unescape_user},
    },
};

impl Domain {
    /// Returns whether everybody is taken at his word who says that he is of a domain.
    pub(super) fn is_open(&self, domain: &str) -> bool {
        self.config.open && !self.accounts.domains().any(|known| known == domain)
    }

    /// Returns whether there is such a user of ours; in an open domain there is everybody.
    pub(super) fn exists(&self, resource: &str) -> bool {
        let Some((user, domain)) = resource.strip_prefix("sip:").and_then(|rest| rest.rsplit_once('@')) else {
            return false;
        };
        self.is_open(domain) || self.accounts.find(&unescape_user(user), domain).is_some()
    }

    /// Finds out who sent a request that is about somebody of `domain`; none when it was answered: with a challenge, or a
    /// refusal. Nothing is kept of that (SEC-02).
    pub(super) fn identify(
        &mut self,
        arrived: Arrived<'_, '_>,
        domain: &str,
        now: Now,
        out: &mut Outbox,
    ) -> Option<Asker> {
        let message = arrived.message;
        let Ok(from) = message.from() else {
            self.refuse(arrived, &Refusal::plain(400), now, out);
            return None;
        };
        let own = self.resource_of(&from.uri);
        let who = own.as_deref().map_or_else(|| canonical(&from.uri.aor()), str::to_owned);
        let asker = Asker { who, ..Asker::claims(&from.uri) };
        let of = own.as_deref().map(|own| domain_of(own).to_owned());
        if of.as_deref().is_some_and(|of| self.is_open(of)) {
            // This machine's own addresses are nobody else's to write on a packet.
            let reached = arrived.flow.remote.ip().is_loopback();
            return Some(Asker { verified: true, reached, ..asker });
        }
        let realm = of.clone().unwrap_or_else(|| domain.to_owned());
        let shows = {
            let guard = self.guards.of(&realm, now.at, self.endpoint.rng()).ok()?;
            guard.is_answered(message)
        };
        if of.is_none() && (!shows || self.is_open(&realm)) {
            return Some(if is_anonymous(&asker.who) { Asker::nobody() } else { asker });
        }
        let user = self.prove(arrived, &realm, now, out)?;
        let proven = Account::new(&user, &realm).map(|name| name.address()).unwrap_or_default();
        if proven == asker.who {
            return Some(Asker { verified: true, reached: true, ..asker });
        }
        if own.is_none() && is_anonymous(&asker.who) {
            // Known to us, and to be known to nobody else (RFC 3323 §4.1).
            return Some(Asker { reached: true, ..Asker::nobody() });
        }
        self.refuse(arrived, &Refusal::plain(403), now, out);
        None
    }

    /// Looks at credentials; returns whose they are. Whatever else they are is answered.
    fn prove(&mut self, arrived: Arrived<'_, '_>, realm: &str, now: Now, out: &mut Outbox) -> Option<Box<str>> {
        let Arrived { flow, message, .. } = arrived;
        let target = message.request_uri().and_then(|uri| UriRef::parse(uri).ok());
        let is_same = |uri: &str| UriRef::parse(uri).ok().zip(target).is_some_and(|(uri, target)| uri.equals(&target));
        let asked = Asked { message, source: flow.remote.ip(), is_same: &is_same };
        let Self { guards, accounts, endpoint, .. } = self;
        let guard = guards.of(realm, now.at, endpoint.rng()).ok()?;
        let checked = guard.check(asked, |user| accounts.lookup(user, realm), now.at, endpoint.rng());
        let refusal = match checked {
            Checked::Proven(user) => {
                if !flow.transport.is_stream() {
                    self.notifier.address_answered(flow.remote, now.at);
                }
                return Some(user);
            }
            Checked::Challenged(values) => {
                self.tally.challenges += 1;
                self.answer(arrived, 401, now, out, |head| {
                    for value in &values {
                        head.header(Name::WwwAuthenticate, value);
                    }
                });
                return None;
            }
            Checked::Unfit => Refusal::plain(400),
            Checked::TooSoon(seconds) => Refusal { code: 503, header: Some((Name::RetryAfter, seconds.to_string())) },
            Checked::Unready => super::later(),
        };
        self.refuse(arrived, &refusal, now, out);
        None
    }
}
