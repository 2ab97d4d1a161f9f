//! What we keep at our own server, and how it stands: the publication of our state, and our binding there.
//!
//! What is published there is what everybody may see of us; who may look is the server's to decide. A server that
//! refuses changes nothing for those who watch us directly, nor for what we watch ourselves.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::{debug, warn};

use super::{
    Core, Key, Now, Outbox, OwnPresence, PRESENCE, PresenceEvent, Server, Step,
    watched::{code_of, explain, wall_of},
};
use crate::{
    presence::{FailureCode, PresenceStatus},
    sip::{
        dialog::Party,
        events::{
            Cause,
            publisher::{self, Publication, PublicationId, Publisher, SavedPublication},
        },
        registration::{self, Binding, Registration, RegistrationId},
        time::Instant,
        uri::Uri,
    },
};

/// How something of ours stands at our server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// One word: `trying`, `standing`, `unsure`, `waiting` for the next attempt, `refused`, `none`.
    pub state: String,
    /// When it ends there unless it is refreshed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Why it failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<FailureCode>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_retry: Option<Timestamp>,
}

impl Link {
    fn of(state: &str) -> Self {
        Self { state: state.to_owned(), ..Self::default() }
    }

    fn standing(expires_at: Timestamp) -> Self {
        Self { expires_at: Some(expires_at), ..Self::of("standing") }
    }

    fn failed(cause: &Cause, next_retry: Option<Timestamp>) -> Self {
        let state = if next_retry.is_some() { "waiting" } else { "refused" };
        Self { code: Some(code_of(cause)), reason: Some(explain(cause)), next_retry, ..Self::of(state) }
    }

    /// Returns whether nothing is known yet of how it ends.
    pub fn is_open(&self) -> bool {
        matches!(self.state.as_str(), "trying" | "unsure")
    }
}

/// How we stand with our own server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linked {
    /// Our publication; none without a server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publication: Option<Link>,
    /// Our binding; none where we do not register.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<Link>,
    /// Why the server does not tell who watches us there; none while it does, or where it is not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watcher_info: Option<Link>,
}

impl Core {
    /// Returns how we stand with our own server.
    pub fn linked(&self) -> Arc<Linked> {
        Arc::clone(&self.linked)
    }

    /// Begins to work through the server: what shows is published there, and we register if that was asked for. To
    /// be called once, when requests may go out.
    pub fn begin(&mut self, now: Now, out: &mut Outbox) {
        if let Some(server) = self.config.server.clone() {
            self.join(&server, now, out);
        }
        self.settle(now, out);
    }

    /// Works through a server from now on, under an address of its domain.
    pub fn set_server(&mut self, address: Uri, server: Server, now: Now, out: &mut Outbox) {
        let display_name = self.config.display_name.as_deref();
        match Party::new(display_name, &address.as_ref()) {
            Ok(from) => self.from = from,
            // The same name stood in a header before.
            Err(error) => return warn!(%error, "the address of our server cannot stand in a header"),
        }
        self.identity.entity = address.as_ref().aor();
        self.own = Arc::new(OwnPresence { entity: address.as_ref().aor(), published: self.own.published.clone() });
        self.config.address = address;
        self.prove_as_other(now, out);
        self.renew_views(None, now);
        self.join(&server, now, out);
        self.config.server = Some(server);
        out.changed.insert(Key::Own);
        self.settle(now, out);
    }

    fn join(&mut self, server: &Server, now: Now, out: &mut Outbox) {
        if server.register {
            let binding = self.binding(server);
            let id = RegistrationId(self.uplink.registration.as_ref().map_or(0, |old| old.id().0 + 1));
            let mut step = Step { now: now.at, endpoint: &mut self.endpoint, out: &mut out.effects };
            let mut registration = Registration::new(id, binding, &mut step);
            registration.register(&mut step);
            self.uplink.registration = Some(registration);
            Arc::make_mut(&mut self.linked).registration = Some(Link::of("trying"));
        }
        self.publish_at_server(server, now, out);
        self.ask_who_watches(server, now, out);
        out.changed.insert(Key::Server);
    }

    fn binding(&self, server: &Server) -> Binding {
        let aor = self.config.address.as_ref();
        let registrar =
            format!("sip:{}", aor.host_text()).parse::<Uri>().unwrap_or_else(|_| self.config.address.clone());
        Binding {
            registrar,
            address: self.config.address.clone(),
            from: self.from.clone(),
            contact_user: aor.user().unwrap_or_default().into(),
            route: server.route(),
            expires: server.publish_expires,
            retry_cap: server.retry_cap,
            account: self.account,
            instance: is_urn(&self.config.device_id).then(|| self.config.device_id.as_str().into()),
        }
    }

    /// Has the server keep what shows of us now; whoever shows as offline has nothing there (MAP-13).
    pub(super) fn publish_at_server(&mut self, server: &Server, now: Now, out: &mut Outbox) {
        let shows = self.own.published.as_ref().is_some_and(|published| published.status != PresenceStatus::Offline);
        let refused = self.linked.publication.as_ref().is_some_and(|link| link.state == "refused");
        // Who sets another status after a refusal may have mended its cause.
        if (self.uplink.publisher.is_none() || refused) && (shows || self.saved_publication.is_some()) {
            let id = PublicationId(self.uplink.publisher.as_ref().map_or(0, |old| old.id().0 + 1));
            let what = Publication {
                target: self.config.address.clone(),
                from: self.from.clone(),
                route: server.route(),
                package: PRESENCE,
                expires: server.publish_expires,
                retry_cap: server.retry_cap,
                account: self.account,
            };
            let mut step = Step { now: now.at, endpoint: &mut self.endpoint, out: &mut out.effects };
            let mut publisher = Publisher::new(id, what, &mut step);
            if let Some(saved) = self.saved_publication.take()
                && let Err(why) = publisher.restore(&saved, now.at, now.wall)
            {
                debug!(?why, "the publication of the run before does not go on");
            }
            self.uplink.publisher = Some(publisher);
        }
        let views = &self.serving.views;
        let body = views.make(views.full(), self.subject());
        let Some(publisher) = &mut self.uplink.publisher else { return };
        let mut step = Step { now: now.at, endpoint: &mut self.endpoint, out: &mut out.effects };
        if shows {
            publisher.publish(body, &mut step);
        } else {
            publisher.remove(&mut step);
        }
        if !publisher.is_current() {
            Arc::make_mut(&mut self.linked).publication = Some(on_its_way(publisher, now));
            out.changed.insert(Key::Server);
        }
    }

    /// Has the server told again what it keeps of us, to see that it takes it; returns whether it keeps anything.
    pub fn republish(&mut self, now: Now, out: &mut Outbox) -> bool {
        let Some(publisher) = &mut self.uplink.publisher else { return false };
        let mut step = Step { now: now.at, endpoint: &mut self.endpoint, out: &mut out.effects };
        if !publisher.again(&mut step) {
            return false;
        }
        Arc::make_mut(&mut self.linked).publication = Some(on_its_way(publisher, now));
        out.changed.insert(Key::Server);
        self.settle(now, out);
        true
    }

    /// Takes back what the server keeps of us, unless it is to stay.
    pub(super) fn leave_server(&mut self, now: Now, out: &mut Outbox) {
        let keep = self.config.server.as_ref().is_some_and(|server| server.keep_on_exit);
        let mut step = Step { now: now.at, endpoint: &mut self.endpoint, out: &mut out.effects };
        if let Some(publisher) = self.uplink.publisher.as_mut().filter(|_| !keep) {
            publisher.remove(&mut step);
        }
        if let Some(registration) = &mut self.uplink.registration {
            registration.unregister(&mut step);
        }
        self.ask_no_more(now, out);
    }

    /// Returns what the server keeps of ours, to be modified by the next run (PUB-20).
    pub(super) fn publication_to_save(&self, now: Now) -> Option<SavedPublication> {
        match &self.uplink.publisher {
            Some(publisher) => publisher.saved(now.at, now.wall),
            None => self.saved_publication.clone(),
        }
    }

    /// Follows the turns of our publication and our binding.
    pub(super) fn follow_server(&mut self, now: Now, out: &mut Outbox) {
        let wall = |at: Instant| wall_of(at, now);
        while let Some((update, on_its_way)) = self.uplink.publisher.as_mut().and_then(|publisher| {
            let update = publisher.next_update()?;
            Some((update, on_its_way(publisher, now)))
        }) {
            let link = match update {
                publisher::Update::Published { expires_at, current: true } => {
                    self.at_server.welcomed(now);
                    Link::standing(wall(expires_at))
                }
                // The newest one follows.
                publisher::Update::Published { current: false, .. } | publisher::Update::Lapsed => on_its_way,
                publisher::Update::Unconfirmed => Link::of("unsure"),
                publisher::Update::Removed => Link::of("none"),
                publisher::Update::Flawed(header) => {
                    warn!(header = header.as_str(), "the server's answer to our publication lacks a header");
                    continue;
                }
                publisher::Update::Failed { cause, retry_at } => {
                    let link = Link::failed(&cause, retry_at.map(wall));
                    out.events.push(PresenceEvent::PublicationFailed {
                        entity: self.own.entity.clone(),
                        code: code_of(&cause),
                        message: link.reason.clone().unwrap_or_default(),
                    });
                    link
                }
            };
            Arc::make_mut(&mut self.linked).publication = Some(link);
            out.changed.insert(Key::Server);
        }
        if self.uplink.publisher.as_mut().is_some_and(Publisher::take_unsaved) {
            out.changed.insert(Key::Saved);
        }
        while let Some(update) = self.uplink.registration.as_mut().and_then(Registration::next_update) {
            let link = match update {
                registration::Update::Registered { expires_at } => Link::standing(wall(expires_at)),
                registration::Update::Unconfirmed => Link::of("unsure"),
                registration::Update::Lapsed => Link::of("trying"),
                registration::Update::Unregistered => Link::of("none"),
                registration::Update::Failed { cause, retry_at } => Link::failed(&cause, retry_at.map(wall)),
            };
            Arc::make_mut(&mut self.linked).registration = Some(link);
            out.changed.insert(Key::Server);
        }
    }
}

/// Returns whether a name of a device may stand in a header as that of an instance (RFC 5626 §4.1).
fn is_urn(text: &str) -> bool {
    text.starts_with("urn:") && text.bytes().all(|c| c.is_ascii_graphic() && !matches!(c, b'<' | b'>' | b'"' | b'\\'))
}

/// Says how a state stands that the server does not have yet: changes are at least five seconds apart (PUB-16), and what
/// waits for that has not failed.
fn on_its_way(publisher: &Publisher, now: Now) -> Link {
    let standing = publisher.standing();
    let next_retry = standing.retry_at.filter(|_| standing.state == "waiting").map(|at| wall_of(at, now));
    Link { next_retry, ..Link::of(if next_retry.is_some() { "waiting" } else { "trying" }) }
}
