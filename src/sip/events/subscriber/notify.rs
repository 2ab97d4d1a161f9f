//! Taking NOTIFYs: whose they are, what they bring, what `Subscription-State` asks of us (RFC 6665 §4.1.3).

use std::time::Duration;

use super::{
    Notice, Notified, Subscriber, SubscriptionId, Update,
    machine::State,
    retry::{self, FIRST},
};
use crate::sip::{
    dialog::{Dialog, Order, Party},
    endpoint::ServerId,
    events::{ALLOW_EVENTS, MAX_EXPIRES, Step, conditional::EntityTag, rates::Rates, seconds},
    header::{Name, Reason, SubState},
    ids::Token,
    message::Message,
    transport::Flow,
    uri::Uri,
};

/// A first pause of a minute, where the RFC leaves the choice to us (WAT-37, WAT-40).
const LONG: Duration = Duration::from_mins(1);

impl Subscriber {
    /// Takes a NOTIFY: answers it, and returns what it brought if it is one of ours.
    pub fn notify<'m>(
        &mut self,
        request: ServerId,
        flow: Flow,
        message: &Message<'m>,
        step: &mut Step<'_>,
    ) -> Option<Notified<'m>> {
        match self.accept_notify(flow, message, step) {
            Ok((id, tag, notified)) => {
                let now = step.now;
                match tag {
                    Some(tag) => {
                        step.endpoint.respond_tagged(request, flow, message, 200, tag, now, step.out, |_| {});
                    }
                    None => step.endpoint.respond_with(request, flow, message, 200, now, step.out, |_| {}),
                }
                self.turn(id, notified.state, message, step);
                Some(notified)
            }
            Err(refusal) => {
                step.endpoint.respond_with(request, flow, message, refusal.code, step.now, step.out, |head| {
                    if let Some((name, value)) = refusal.header {
                        head.header(name, value);
                    }
                });
                None
            }
        }
    }

    /// Finds whose NOTIFY it is and whether it can be taken (WAT-17, WAT-18, WAT-30, WAT-31, WAT-33).
    fn accept_notify<'m>(
        &mut self,
        flow: Flow,
        message: &Message<'m>,
        step: &mut Step<'_>,
    ) -> Result<(u32, Option<Token>, Notified<'m>), NotifyRefusal> {
        const NO_SUBSCRIPTION: NotifyRefusal = NotifyRefusal { code: 481, header: None };
        let bad = |_| NotifyRefusal { code: 400, header: None };
        let event = message.event().map_err(bad)?;
        let package = event.as_ref().map_or("", |event| event.package);
        let lenient = self.lenient;
        let is_named = |name: &str| name == package || (lenient && name.eq_ignore_ascii_case(package));
        if !KNOWN_PACKAGES.iter().any(|name| is_named(name)) {
            return Err(NotifyRefusal { code: 489, header: Some((Name::AllowEvents, ALLOW_EVENTS)) });
        }
        let to = message.to().map_err(bad)?;
        let from = message.from().map_err(bad)?;
        let tag = to.tag().and_then(Token::parse);
        let id = *tag.as_ref().and_then(|tag| self.by_tag.get(tag)).ok_or(NO_SUBSCRIPTION)?;
        let sub = self.slab.get_mut(id).ok_or(NO_SUBSCRIPTION)?;
        if sub.state.call_id() != Some(message.call_id().map_err(bad)?) {
            return Err(NO_SUBSCRIPTION);
        }
        // We never give an id, so one that comes back is not ours.
        if event.is_some_and(|event| event.id.is_some()) || !is_named(sub.wish.package.name) {
            return Err(NO_SUBSCRIPTION);
        }
        let remote_tag = from.tag().unwrap_or_default();
        if let State::Established { dialog, .. } | State::Ending { dialog, .. } = &sub.state
            && *dialog.remote_tag != *remote_tag
        {
            // WAT-17: presence wants one dialog for a SUBSCRIBE; the first fork won.
            return Err(NO_SUBSCRIPTION);
        }
        let announced = message.subscription_state().map_err(bad)?.ok_or(NotifyRefusal { code: 400, header: None })?;
        let content_type = sub.wish.package.content_type;
        let body = Some(message.body).filter(|body| !body.is_empty() && message.content_type_is(content_type));
        if body.is_none() && !message.body.is_empty() && !message.body_is_optional() {
            return Err(NotifyRefusal { code: 415, header: Some((Name::Accept, content_type)) });
        }
        let seq = message.cseq().map_err(bad)?.seq;
        let contact = message.contact().map_err(bad)?.map(|contact| contact.uri.to_owned());
        match &mut sub.state {
            State::Established { dialog, .. } | State::Ending { dialog, .. } => {
                if dialog.receive(seq) == Order::Old {
                    return Err(NotifyRefusal { code: 500, header: None });
                }
                if let Some(contact) = contact {
                    dialog.target = contact;
                }
            }
            State::Subscribing { .. } => {
                let routes = Dialog::routes_of(message).map_err(bad)?;
                let remote = Party::from_header(&from);
                self.establish(id, routes, remote, remote_tag, contact, seq, step);
            }
            State::Waiting { .. } | State::Over => return Err(NO_SUBSCRIPTION),
        }
        let state = match announced.state {
            SubState::Active | SubState::Other(_) => Notice::Active,
            SubState::Pending => Notice::Pending,
            SubState::Terminated => Notice::Terminated(announced.reason),
        };
        let rates = Rates::of(&announced.params);
        let charset = message.charset().map(str::to_owned);
        let version = EntityTag::in_notify(message);
        let mut unchanged = false;
        if let Some(sub) = self.slab.get_mut(id) {
            sub.peer = sub.peer.or_else(|| (!flow.transport.is_stream()).then_some(flow.remote));
            let known = sub.held.as_ref().filter(|held| version.as_ref() == Some(&held.tag));
            if let Some(held) = known.filter(|_| message.body.is_empty() && state != Notice::Pending) {
                self.savings.document(held.size);
                unchanged = true;
            }
        }
        let notified = Notified { id: SubscriptionId(id), state, body, charset, tag: version, unchanged, rates, flow };
        Ok((id, tag, notified))
    }

    /// The first NOTIFY makes the dialog, with its own route set and target (DLG-02).
    #[allow(clippy::too_many_arguments, reason = "the parts of one dialog")]
    fn establish(
        &mut self,
        id: u32,
        routes: Box<[Box<str>]>,
        remote: Party,
        remote_tag: &str,
        contact: Option<Uri>,
        seq: u32,
        step: &mut Step<'_>,
    ) {
        let Some(sub) = self.slab.get_mut(id) else { return };
        let State::Subscribing { call_id, tag, seq: local_seq, granted, .. } = &sub.state else { return };
        let dialog = Dialog {
            call_id: call_id.clone(),
            local: sub.wish.from.clone(),
            local_tag: *tag,
            remote,
            remote_tag: remote_tag.into(),
            local_seq: *local_seq,
            remote_seq: Some(seq),
            // A NOTIFY without Contact, as old phones send it, leaves the address that we asked.
            target: contact
                .unwrap_or_else(|| sub.wish.target.as_ref().to_sip().unwrap_or_else(|_| sub.wish.target.clone())),
            routes,
        };
        let granted = granted.unwrap_or(sub.asked).min(sub.asked);
        let expires_at = step.now + seconds(granted);
        let refresh_at = step.now + retry::refresh_after(granted, step.endpoint.rng());
        let (pending, refresh, not_before, told) = (false, None, None, false);
        let state = State::Established { dialog, pending, expires_at, refresh_at, refresh, not_before, told };
        self.enter(id, state, step.now);
    }

    /// Follows what `Subscription-State` says (§4.1.3).
    fn turn(&mut self, id: u32, notice: Notice, message: &Message<'_>, step: &mut Step<'_>) {
        let now = step.now;
        let Ok(Some(announced)) = message.subscription_state() else { return };
        let Some(sub) = self.slab.get_mut(id) else { return };
        match notice {
            Notice::Terminated(reason) => return self.terminated(id, reason, announced.retry_after, step),
            // WAT-13: one look is over with the first NOTIFY, also where a notifier thinks that it goes on.
            Notice::Active | Notice::Pending if sub.wish.fetch => return self.end(id),
            Notice::Active | Notice::Pending => {}
        }
        let asked = sub.asked;
        let State::Established { pending, expires_at, refresh_at, refresh, told, .. } = &mut sub.state else {
            return;
        };
        *pending = notice == Notice::Pending;
        if let Some(left) = announced.expires {
            let left = left.min(asked);
            let end = now + seconds(left);
            // Counting down a second late or early is no news; a real change moves the refresh.
            let moved = end.since(*expires_at).max(expires_at.since(end)) > Duration::from_secs(2);
            *told = true;
            if moved {
                // One that says nothing new about the end may have crossed our refresh.
                if let Some(refresh) = refresh {
                    refresh.told = true;
                }
                *expires_at = end;
                *refresh_at = now + retry::refresh_after(left, step.endpoint.rng());
            }
        }
        sub.backoff.succeeded();
        match refresh {
            Some(refresh) => {
                refresh.notified = true;
                refresh.stale_at = None;
                if refresh.answered {
                    self.refreshed(id);
                } else {
                    self.updates.push_back((SubscriptionId(id), Update::Confirmed));
                }
            }
            None => self.updates.push_back((SubscriptionId(id), Update::Confirmed)),
        }
        self.rearm(id);
    }

    /// The notifier ended it (WAT-36 … WAT-43).
    fn terminated(&mut self, id: u32, reason: Option<Reason>, retry_after: Option<u32>, step: &mut Step<'_>) {
        let now = step.now;
        let Some(sub) = self.slab.get_mut(id) else { return };
        let ours = matches!(sub.state, State::Ending { .. }) || sub.wish.fetch;
        if ours {
            return self.end(id);
        }
        let wished = retry_after.map(|after| now + seconds(after.min(MAX_EXPIRES)));
        let cap = sub.wish.retry_cap;
        let rng = step.endpoint.rng();
        let (retry_at, not_before) = match reason {
            Some(Reason::Rejected | Reason::NoResource | Reason::Invariant) => (None, None),
            Some(Reason::Deactivated | Reason::Timeout) if sub.backoff.may_go_at_once(now) => (Some(now), None),
            Some(Reason::Deactivated) => (Some(now + sub.backoff.next(cap, rng)), None),
            Some(Reason::Timeout) => (Some(now + sub.backoff.next(cap, rng)), wished),
            Some(Reason::Probation | Reason::Giveup) => {
                let pause = LONG.max(sub.backoff.next(cap, rng));
                // However soon the notifier wants us back, a storm is nobody's wish.
                let soonest = now + FIRST;
                (Some(wished.map_or(now + pause, |wished| wished.max(soonest))), wished)
            }
            Some(Reason::Unknown) | None => {
                let at = now + sub.backoff.next(cap, rng);
                (Some(wished.map_or(at, |wished| wished.max(at))), wished)
            }
        };
        self.updates.push_back((SubscriptionId(id), Update::Ended { reason, retry_at }));
        match retry_at {
            None => self.enter(id, State::Over, now),
            Some(at) if at <= now => self.attempt(id, step),
            Some(retry_at) => self.enter(id, State::Waiting { retry_at, not_before }, now),
        }
        // What the notifier said last has no known end any more.
        if let Some(sub) = self.slab.get_mut(id) {
            sub.known_until = None;
        }
        self.rearm(id);
    }

    /// Ends a subscription that nobody wants any longer.
    pub(super) fn end(&mut self, id: u32) {
        let Some(sub) = self.slab.get_mut(id) else { return };
        let state = std::mem::replace(&mut sub.state, State::Over);
        self.untrack(id, &state);
        self.finish(id);
    }
}

/// The event packages that a NOTIFY may bear.
const KNOWN_PACKAGES: [&str; 2] = ["presence", "presence.winfo"];

struct NotifyRefusal {
    code: u16,
    header: Option<(Name, &'static str)>,
}
