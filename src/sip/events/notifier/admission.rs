//! Taking a SUBSCRIBE: checks, new subscriptions, refreshes, fetches (RFC 6665 §4.2.1).

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{Farewell, Notifier, Owed, Served, ServedId, Verdict, View};
use crate::sip::{
    dialog::{Dialog, Order, Party},
    endpoint::{ServerId, contact_uri, secure_contact_uri},
    events::{ALLOW_EVENTS, MAX_EXPIRES, Step, conditional::Condition, rates::Rates, seconds},
    header::{HeaderError, Name},
    ids::Token,
    locate::{self, Plan},
    message::Message,
    transport::{ConnId, Flow, Transport},
    uri::{Uri, UriRef},
};

/// How long an unproven subscription lives (SEC-02).
const UNPROVEN_FOR: Duration = Duration::from_secs(32);

/// What a SUBSCRIBE that can be served asks for.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time, and it does not live long")]
pub enum Subscribe<'a> {
    /// A new subscription, or one look.
    Initial(Initial<'a>),
    /// More time, or the end, for this one.
    Refresh(ServedId),
}

/// A SUBSCRIBE outside any dialog.
#[derive(Debug)]
pub struct Initial<'a> {
    /// The presentity that is asked for.
    pub target: UriRef<'a>,
    /// The watcher's address of record, as From claims it.
    pub watcher: String,
    /// The watcher as From names it.
    pub from: UriRef<'a>,
    /// The address that NOTIFYs would go to, if that needs no look-up.
    pub notify_to: Option<SocketAddr>,
}

/// How far somebody has shown to be who it says, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Nobody knows whether the address that it came from is its own.
    Unproven,
    /// The address is its own.
    Proven,
    /// So is the name.
    Verified,
}

/// An answer other than 200.
#[derive(Debug)]
struct Refusal {
    code: u16,
    header: Option<(Name, String)>,
}

impl Refusal {
    fn plain(code: u16) -> Self {
        Self { code, header: None }
    }
}

impl From<HeaderError> for Refusal {
    fn from(_: HeaderError) -> Self {
        Self::plain(400)
    }
}

impl Notifier {
    /// Checks a SUBSCRIBE; what cannot be served is answered here.
    pub fn examine<'m>(
        &mut self,
        request: ServerId,
        flow: Flow,
        message: &Message<'m>,
        step: &mut Step<'_>,
    ) -> Option<Subscribe<'m>> {
        match self.check(flow, message, step.endpoint.transports()) {
            Ok(subscribe) => Some(subscribe),
            Err(refusal) => {
                refuse(request, flow, message, &refusal, step);
                None
            }
        }
    }

    fn check<'m>(
        &mut self,
        flow: Flow,
        message: &Message<'m>,
        transports: &'static [Transport],
    ) -> Result<Subscribe<'m>, Refusal> {
        let package = self.config.package;
        let event = message.event()?;
        if event.is_none_or(|event| event.package != package.name) {
            return Err(Refusal { code: 489, header: Some((Name::AllowEvents, ALLOW_EVENTS.into())) });
        }
        // NOT-30: there is no filter yet that a SUBSCRIBE could carry.
        if self.config.listing.is_none() && !message.body.is_empty() && !message.body_is_optional() {
            return Err(Refusal { code: 415, header: Some((Name::Accept, package.content_type.into())) });
        }
        let to_tag = message.to()?.tag();
        if let Some(tag) = to_tag {
            return self.find(tag, message, event.and_then(|event| event.id)).map(Subscribe::Refresh);
        }
        if message.accept().is_some_and(|accept| !accept.accepts(package.content_type)) {
            return Err(Refusal { code: 406, header: Some((Name::Accept, package.content_type.into())) });
        }
        let asked = message.expires().unwrap_or(3600);
        if asked > 0 && asked < 3600 && asked < self.config.min_expires {
            return Err(Refusal { code: 423, header: Some((Name::MinExpires, self.config.min_expires.to_string())) });
        }
        let contact = message.contact()?.ok_or_else(|| Refusal::plain(400))?;
        let target = UriRef::parse(message.request_uri().unwrap_or_default()).map_err(|_| Refusal::plain(400))?;
        let from = message.from()?.uri;
        // NOTIFYs go to the first hop that stayed on the path, else to the Contact.
        let routes = Dialog::routes_of(message)?;
        let hop = match routes.first() {
            Some(route) => UriRef::parse(route).map_err(|_| Refusal::plain(400))?,
            None => contact.uri,
        };
        let notify_to = match locate::plan(&hop, transports) {
            Ok(Plan::Address(target)) => Some(target.remote),
            Ok(Plan::Lookup(_)) => None,
            Err(_) => return Err(Refusal::plain(400)),
        };
        // SEC-01: whoever names a Contact elsewhere would have us send there what nobody asked for.
        if notify_to.is_none_or(|to| to.ip() != flow.remote.ip()) {
            return Err(Refusal::plain(403));
        }
        Ok(Subscribe::Initial(Initial { target, watcher: from.aor(), from, notify_to }))
    }

    /// Finds the subscription that an in-dialog SUBSCRIBE means (DLG-06, DLG-09).
    fn find(&self, tag: &str, message: &Message<'_>, event_id: Option<&str>) -> Result<ServedId, Refusal> {
        let none = || Refusal::plain(481);
        let id = Token::parse(tag).and_then(|tag| self.by_tag.get(&tag)).copied().ok_or_else(none)?;
        let served = self.slab.get(id).ok_or_else(none)?;
        let same = *served.dialog.call_id == *message.call_id()?
            && *served.dialog.remote_tag == *message.from()?.tag().unwrap_or_default()
            && served.event_id.as_deref() == event_id
            && !matches!(served.owed, Owed::Last(_));
        if same { Ok(ServedId(id)) } else { Err(none()) }
    }

    /// Returns whether an address needs no more proof.
    pub fn is_proven(&self, flow: Flow, now: crate::sip::time::Instant) -> bool {
        flow.transport.is_stream() || self.proofs.is_proven(flow.remote, now)
    }

    /// Serves a new subscription or fetch as the verdict says; the first NOTIFY goes with the next pump.
    ///
    /// Returns its id, or none if it was refused or was but one look.
    #[allow(clippy::too_many_arguments, reason = "a request, who it is from, and what was decided about it")]
    pub fn admit(
        &mut self,
        request: ServerId,
        flow: Flow,
        message: &Message<'_>,
        initial: &Initial<'_>,
        verdict: Verdict,
        rank: Rank,
        step: &mut Step<'_>,
    ) -> Option<ServedId> {
        let proven = rank >= Rank::Proven;
        let refusal = match verdict {
            Verdict::Refuse(code) => Some(Refusal::plain(code)),
            Verdict::Pending | Verdict::Active(_) => self.make_room(flow, initial, rank, step).err(),
        };
        if let Some(refusal) = refusal {
            refuse(request, flow, message, &refusal, step);
            return None;
        }
        let tag = Token::random(step.endpoint.rng());
        let contact_user: Box<str> = initial.target.user().unwrap_or_default().into();
        let dialog = match new_dialog(message, tag) {
            Ok(dialog) => dialog,
            Err(error) => {
                refuse(request, flow, message, &error.into(), step);
                return None;
            }
        };
        let granted = message.expires().unwrap_or(3600).min(MAX_EXPIRES);
        let fetch = granted == 0;
        accept(request, flow, message, 200, (tag, self.requires()), &contact_user, granted, step);
        let lives = if proven || fetch { seconds(granted) } else { UNPROVEN_FOR.min(seconds(granted)) };
        let event_id = message.event().ok().flatten().and_then(|event| event.id).map(Into::into);
        let mut served = Served {
            dialog,
            event_id,
            watcher: initial.watcher.as_str().into(),
            source: flow.remote,
            by: wants_back(flow, message),
            listen: step.endpoint.listening_on(flow),
            contact_user,
            verdict: Verdict::Pending,
            expires_at: step.now + lives,
            granted_until: step.now + seconds(granted),
            asked_end: fetch,
            gives_up_at: None,
            unproven: None,
            fetch,
            size_limit: (!proven && fetch).then(|| u32::try_from(request_size(message) * 4).unwrap_or(u32::MAX)),
            condition: Condition::of(message).filter(|_| self.config.whole).map(Box::new),
            owed: Owed::Nothing,
            queued: false,
            awaited: None,
            changed_at: None,
            pace: None,
            quiet_until: None,
            timer: None,
        };
        served.set_pace(asked_rates(message), &self.config);
        let id = self.slab.insert(served);
        self.by_tag.insert(tag, id);
        if proven {
            if !fetch {
                self.unsaved.insert(tag, Some(id));
            }
            self.count(id);
        } else {
            let place = self.proofs.enter(id, flow.remote.ip());
            if let Some(served) = self.slab.get_mut(id) {
                served.unproven = Some(Box::new(place));
            }
        }
        self.set_verdict(id, verdict, step.now);
        self.owe(id, if fetch { Owed::Last(Farewell::Timeout) } else { Owed::Answer }, step.now);
        (!fetch).then_some(ServedId(id))
    }

    fn requires(&self) -> Option<&'static str> {
        self.config.listing.map(|listing| listing.requires)
    }

    /// NOT-27: limits, and who has to give way.
    fn make_room(&mut self, flow: Flow, initial: &Initial<'_>, rank: Rank, step: &mut Step<'_>) -> Result<(), Refusal> {
        let busy = || Refusal { code: 503, header: Some((Name::RetryAfter, super::RETRY_AFTER.to_string())) };
        if rank == Rank::Unproven {
            if !self.proofs.has_room(flow.remote.ip()) {
                return Err(busy());
            }
            if let Some(victim) = self.proofs.victim(step.endpoint.rng()) {
                self.remove(victim, super::Ending::Dropped);
            }
            return Ok(());
        }
        if !self.is_full(&initial.watcher) {
            return Ok(());
        }
        // Who has proved its name does not stand behind those who wait for a decision; the one that has waited longest
        // is asked to come again.
        let victim = self.waiting.first().map(|(_, id)| *id);
        match victim.filter(|_| rank == Rank::Verified && !self.has_its_share(&initial.watcher)) {
            Some(victim) => {
                self.owe(victim, Owed::Last(Farewell::NoRoom), step.now);
                Ok(())
            }
            None => Err(busy()),
        }
    }

    /// Returns whether one watcher has as many subscriptions as it may.
    fn has_its_share(&self, watcher: &str) -> bool {
        self.per_watcher.get(watcher).is_some_and(|held| *held >= self.config.max_per_watcher)
    }

    /// Returns whether one more proven subscription is too many, in all or for this watcher.
    pub(super) fn is_full(&self, watcher: &str) -> bool {
        self.has_its_share(watcher) || self.counts().0 >= self.config.max_subscriptions
    }

    /// Serves a refresh or an unsubscribe; a refusal ends the subscription too (NOT-25). `body` returns the bytes behind a
    /// view as they are now, for a watcher that says which it knows.
    #[allow(clippy::too_many_arguments, reason = "a request, what it is about, and what was decided about it")]
    pub fn refresh(
        &mut self,
        request: ServerId,
        flow: Flow,
        message: &Message<'_>,
        id: ServedId,
        verdict: Verdict,
        body: impl FnOnce(View) -> Bytes,
        step: &mut Step<'_>,
    ) {
        let now = step.now;
        let min_expires = self.config.min_expires;
        let Some(served) = self.slab.get_mut(id.0) else { return };
        let asked = message.expires().unwrap_or(3600);
        let seq = message.cseq().map_or(0, |cseq| cseq.seq);
        let contact = match message.contact() {
            Ok(contact) => contact.map(|contact| contact.uri.to_owned()),
            Err(_) => return refuse(request, flow, message, &Refusal::plain(400), step),
        };
        // Our tag shows who asks, not that the new address is its own: it has to subscribe from there (SEC-01).
        let moved = !flow.transport.is_stream() && flow.remote.ip() != served.source.ip();
        if moved && !self.proofs.is_proven(flow.remote, now) {
            return refuse(request, flow, message, &Refusal::plain(481), step);
        }
        if served.dialog.receive(seq) == Order::Old {
            return refuse(request, flow, message, &Refusal::plain(500), step);
        }
        self.unsaved.insert(served.dialog.local_tag, Some(id.0));
        if asked > 0 && asked < 3600 && asked < min_expires {
            let header = Some((Name::MinExpires, min_expires.to_string()));
            return refuse(request, flow, message, &Refusal { code: 423, header }, step);
        }
        if let Some(contact) = contact {
            // DLG-05: the target follows the Contact, but not to another machine on its own say-so.
            if elsewhere(&contact, step.endpoint.transports(), flow)
                && served.dialog.routes.is_empty()
                && contact != served.dialog.target
            {
                return refuse(request, flow, message, &Refusal::plain(403), step);
            }
            served.dialog.target = contact;
        }
        if let Verdict::Refuse(code) = verdict {
            refuse(request, flow, message, &Refusal::plain(code), step);
            self.judge(id, verdict, now);
            return;
        }
        let granted = asked.min(MAX_EXPIRES);
        let (tag, user) = (served.dialog.local_tag, served.contact_user.clone());
        served.source = flow.remote;
        served.by = wants_back(flow, message);
        served.listen = step.endpoint.listening_on(flow);
        served.granted_until = now + seconds(granted);
        served.expires_at = served.granted_until;
        served.asked_end = granted == 0;
        served.set_pace(asked_rates(message), &self.config);
        let same = served.verdict == verdict;
        let condition = Condition::of(message).filter(|_| self.config.whole && same);
        // RFC 5839 §6.3: nothing has to be told. Whose address has yet to answer is told more for that, and an end is told.
        let known = condition.as_ref().filter(|_| served.unproven.is_none() && granted > 0).and_then(|condition| {
            let body = if let Verdict::Active(view) = verdict { body(view) } else { Bytes::new() };
            let known = *condition == Condition::Any || (!body.is_empty() && condition.matches(&body));
            known.then_some(body.len())
        });
        if let Some(document) = known {
            self.savings.notify(document);
            accept(request, flow, message, 204, (tag, None), &user, granted, step);
            self.proofs.prove(flow.remote, now);
            self.rearm(id.0);
            return;
        }
        served.condition = condition.map(Box::new);
        let requires = self.config.listing.map(|listing| listing.requires);
        accept(request, flow, message, 200, (tag, requires), &user, granted, step);
        // A request in the dialog bears our tag, which only the watcher's own address was told.
        self.proven_by(id.0, now);
        if self.slab.get(id.0).is_some_and(|served| served.verdict != verdict) {
            self.set_verdict(id.0, verdict, now);
        }
        self.owe(id.0, if granted == 0 { Owed::Last(Farewell::Timeout) } else { Owed::Answer }, now);
        self.rearm(id.0);
    }

    /// An unproven subscription turns out to be its sender's own.
    pub(super) fn proven_by(&mut self, id: u32, now: crate::sip::time::Instant) {
        let Some(served) = self.slab.get_mut(id) else { return };
        self.proofs.prove(served.source, now);
        let Some(place) = served.unproven.take() else { return };
        served.expires_at = served.granted_until;
        self.unsaved.insert(served.dialog.local_tag, Some(id));
        let watcher = Arc::clone(&served.watcher);
        let full = self.is_full(&watcher);
        self.leave_unproven(*place);
        self.count(id);
        self.note_waiting(id);
        if full {
            return self.owe(id, Owed::Last(Farewell::NoRoom), now);
        }
        self.reports.push_back(super::Report::Proven(ServedId(id)));
        self.rearm(id);
    }
}

/// Returns the connection by which a request came, if its sender wants what it asks for to come by it too: it is one of
/// theirs under TLS, whose Via has `alias` and names the address that it came from (RFC 5923 §5). This proves nothing about
/// who that is, so nobody else's requests go that way.
fn wants_back(flow: Flow, request: &Message<'_>) -> Option<ConnId> {
    let conn = flow.conn.filter(|conn| flow.transport == Transport::Tls && conn.is_accepted())?;
    let via = request.top_via().ok()?;
    let asks = via.params.iter().any(|(name, _)| name.eq_ignore_ascii_case("alias"));
    let own = via.host.trim_matches(['[', ']']).parse() == Ok(flow.remote.ip());
    (asks && own).then_some(conn)
}

/// Returns whether NOTIFYs to `contact` would go to another machine than the packet came from.
fn elsewhere(contact: &Uri, transports: &'static [Transport], flow: Flow) -> bool {
    match locate::plan(&contact.as_ref(), transports) {
        Ok(Plan::Address(target)) => target.remote.ip() != flow.remote.ip(),
        Ok(Plan::Lookup(_)) | Err(_) => true,
    }
}

/// Makes the dialog that a 2xx to this SUBSCRIBE establishes (RFC 3261 §12.1.1).
fn new_dialog(message: &Message<'_>, local_tag: Token) -> Result<Dialog, HeaderError> {
    let (from, to) = (message.from()?, message.to()?);
    let contact = message.contact()?.ok_or(HeaderError::Missing(Name::Contact))?;
    Ok(Dialog {
        call_id: message.call_id()?.into(),
        local: Party::from_header(&to),
        local_tag,
        remote: Party::from_header(&from),
        remote_tag: from.tag().unwrap_or_default().into(),
        local_seq: 0,
        remote_seq: Some(message.cseq()?.seq),
        target: contact.uri.to_owned(),
        routes: Dialog::routes_of(message)?,
    })
}

/// The rates that a SUBSCRIBE asks for; none, where it asks for none any more.
fn asked_rates(message: &Message<'_>) -> Rates {
    message.event().ok().flatten().map(|event| Rates::of(&event.params)).unwrap_or_default()
}

/// Sends the 2xx, whose Contact and tag make the dialog.
#[allow(clippy::too_many_arguments, reason = "the parts of one response")]
fn accept(
    request: ServerId,
    flow: Flow,
    message: &Message<'_>,
    code: u16,
    (tag, requires): (Token, Option<&str>),
    user: &str,
    granted: u32,
    step: &mut Step<'_>,
) {
    let transport = flow.transport.is_stream().then_some(flow.transport);
    let listening = step.endpoint.listening_on(flow);
    let secure =
        message.request_uri().and_then(|uri| uri.get(..5)).is_some_and(|scheme| scheme.eq_ignore_ascii_case("sips:"));
    let contact = if secure { secure_contact_uri(user, listening) } else { contact_uri(user, listening, transport) };
    step.endpoint.respond_tagged(request, flow, message, code, tag, step.now, step.out, |head| {
        for route in message.all(Name::RecordRoute) {
            head.bytes(Name::RecordRoute, route);
        }
        head.fmt(Name::Contact, format_args!("<{contact}>"));
        if let Some(tag) = requires {
            head.header(Name::Require, tag);
        }
        head.header(Name::AllowEvents, ALLOW_EVENTS).number(Name::Expires, granted);
    });
}

fn refuse(request: ServerId, flow: Flow, message: &Message<'_>, refusal: &Refusal, step: &mut Step<'_>) {
    step.endpoint.respond_with(request, flow, message, refusal.code, step.now, step.out, |head| {
        if let Some((name, value)) = &refusal.header {
            head.header(*name, value);
        }
    });
}

/// Returns about how many bytes a request had, never more than it really had.
fn request_size(message: &Message<'_>) -> usize {
    message.headers.iter().map(|h| h.raw_name.len() + h.value.len() + 4).sum::<usize>() + message.body.len()
}
