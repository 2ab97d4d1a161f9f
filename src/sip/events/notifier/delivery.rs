//! Sending NOTIFYs and taking their outcome (RFC 6665 §4.2.2).

use std::time::Duration;

use bytes::Bytes;

use super::{Awaited, Ending, Farewell, Notifier, Owed, RETRY_AFTER, SEQ_JUMP, ServedId, Verdict, View};
use crate::sip::{
    endpoint::{ContactSlot, Failure, MAX_DATAGRAM_REQUEST, Outgoing},
    events::{ALLOW_EVENTS, MAX_EXPIRES, Step, USER_AGENT, conditional::EntityTag, rates::Rates, seconds},
    header::Name,
    locate::{self, LocateError, PeerIdentity},
    message::Message,
    time::Instant,
    transaction::Resends,
    uri::UriRef,
};

/// Codes after which the watcher's side has no such subscription (NOT-13); 401 and 407 come here where no account
/// answers them.
const GONE: [u16; 15] = [401, 404, 405, 407, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604];

/// What Via, Contact, SIP-ETag, Content-Type and Content-Length add to a head at most.
const YET_TO_COME: usize = 340;

impl Notifier {
    /// Sends one NOTIFY with the newest state; what is over is forgotten.
    pub(super) fn deliver(&mut self, id: u32, step: &mut Step<'_>, body: &mut impl FnMut(View) -> Bytes) {
        let (now, package) = (step.now, self.config.package);
        let Some(served) = self.slab.get_mut(id) else { return };
        let owed = std::mem::replace(&mut served.owed, Owed::Nothing);
        let unproven = served.unproven.is_some();
        let farewell = if let Owed::Last(farewell) = owed { Some(farewell) } else { None };
        let content = match (served.verdict, farewell) {
            (_, Some(Farewell::Rejected | Farewell::GaveUp | Farewell::NoRoom))
            | (Verdict::Pending | Verdict::Refuse(_), _) => None,
            // SEC-01: an unproven address gets a body in answer to a fetch alone.
            (Verdict::Active(_), _) if unproven && !served.fetch => None,
            (Verdict::Active(view), _) => Some(body(view)),
        };
        let mut head = served.dialog.request("NOTIFY");
        if served.is_lasting() && is_worth_saving(served.dialog.local_seq) {
            self.unsaved.insert(served.dialog.local_tag, Some(id));
        }
        let contact = ContactSlot { at: head.len(), user: Some(served.contact_user.clone()), flow: None };
        match &served.event_id {
            Some(event_id) => head.fmt(Name::Event, format_args!("{};id={event_id}", package.name)),
            None => head.header(Name::Event, package.name),
        };
        let asked_end = served.asked_end;
        let left = served.granted_until.since(now).as_secs();
        match farewell {
            Some(Farewell::Offline | Farewell::GaveUp | Farewell::NoRoom) => head.fmt(
                Name::SubscriptionState,
                format_args!(
                    "terminated;reason={};retry-after={RETRY_AFTER}",
                    farewell.map_or("", |farewell| farewell.reason().as_str())
                ),
            ),
            Some(farewell) => {
                head.fmt(Name::SubscriptionState, format_args!("terminated;reason={}", farewell.reason().as_str()))
            }
            None => {
                let state = if served.verdict == Verdict::Pending { "pending" } else { "active" };
                let rates = served.pace.as_ref().map(|pace| pace.rates).unwrap_or_default();
                head.fmt(Name::SubscriptionState, format_args!("{state};expires={left}{rates}"))
            }
        };
        if let Some(listing) = self.config.listing {
            head.header(Name::Require, listing.requires);
        }
        head.header(Name::AllowEvents, ALLOW_EVENTS).header(Name::UserAgent, USER_AGENT);
        let spare =
            served.size_limit.map_or(usize::MAX, |limit| (limit as usize).saturating_sub(head.len() + YET_TO_COME));
        let mut content = content.filter(|content| !content.is_empty());
        // What an unproven watcher wants not to be told waits for the first NOTIFY that would tell it.
        let condition = if unproven && !served.fetch { None } else { served.condition.take() };
        let known = condition.zip(content.as_ref()).is_some_and(|(condition, content)| condition.matches(content));
        content = content.filter(|content| known || content.len() <= spare);
        let tag = content.as_ref().filter(|_| self.config.whole).map(|document| tag_of(document, &mut self.tagged));
        if known {
            self.savings.document(content.take().map_or(0, |document| document.len()));
        }
        // NOT-32: a document that just fits a datagram goes without a tag rather than another way.
        let size = head.len() + served.rest(package.content_type, content.as_ref().map_or(0, Bytes::len));
        let room = MAX_DATAGRAM_REQUEST.checked_sub(size);
        if let Some(tag) = tag.filter(|tag| room.is_none_or(|room| tag.line_len() <= room)) {
            head.header(Name::SipEtag, tag.as_str());
        }
        if let Some(content) = &content {
            let read = self.config.listing.and_then(|listing| (listing.content_type_of)(content));
            head.header(Name::ContentType, read.as_deref().unwrap_or(package.content_type));
        }
        let resends = match (unproven, served.fetch) {
            (false, _) => Resends::Normal,
            (true, false) => Resends::AtMost(1),
            (true, true) => Resends::AtMost(0),
        };
        if owed == Owed::Change {
            served.changed_at = Some(now);
        }
        if let Some(pace) = &mut served.pace {
            pace.tell(now);
        }
        let way =
            UriRef::parse(served.dialog.next_hop()).map_err(|_| LocateError::Scheme(String::new())).and_then(|hop| {
                let plan = locate::plan_by(&served.dialog.target.as_ref(), &hop, step.endpoint.transports())?;
                let peer = PeerIdentity::on(&plan, &hop, None);
                Ok((plan, peer))
            });
        self.attempts += 1;
        let attempt = self.attempts;
        let body = content.unwrap_or_default();
        if let (Ok((plan, peer)), Ok(head)) = (way, head.finish(body.len())) {
            // What goes to strangers is bounded by their table, and must not hold up the others.
            let counted = !unproven;
            served.awaited = Some(Awaited { attempt, counted });
            if counted {
                self.in_flight += 1;
                self.recent.push_back((now, id, attempt));
            }
            let user = (self.config.user)(ServedId(id), attempt);
            let (method, contact, account) = ("NOTIFY", Some(contact), self.config.account);
            let (last, by) = (farewell.is_some(), served.by);
            let request = Outgoing { user, method, head, contact, body, plan, peer, by, resends, account, last };
            step.endpoint.request(request, now, step.out);
        } else {
            self.remove(id, Ending::Unanswered);
            return;
        }
        if let Some(farewell) = farewell {
            let ending = match farewell {
                Farewell::Timeout if asked_end => Ending::Left,
                Farewell::Timeout => Ending::Expired,
                Farewell::Rejected => Ending::Rejected,
                Farewell::GaveUp => Ending::GaveUp,
                Farewell::NoRoom => Ending::Dropped,
                Farewell::Offline => Ending::Offline,
            };
            self.remove(id, ending);
        } else {
            self.rearm(id);
        }
    }

    /// Takes a response to a NOTIFY.
    pub fn response(&mut self, id: ServedId, attempt: u64, message: &Message<'_>, step: &mut Step<'_>) {
        let Some(code) = message.code().filter(|code| *code >= 200) else { return };
        if !self.settle(id.0, attempt) {
            return;
        }
        let now = step.now;
        if GONE.contains(&code) {
            self.remove(id.0, Ending::Gone(code));
            return;
        }
        // Any response with our branch shows that the address is the watcher's own.
        self.proven_by(id.0, now);
        if let Some(after) = message.retry_after().filter(|_| code >= 300)
            && let Some(served) = self.slab.get_mut(id.0)
        {
            served.quiet_until = Some(now + seconds(after.seconds.min(MAX_EXPIRES)));
        }
        // RFC 6446 §9.3: whoever answers with an Event says by it how often it wants to be told from now on.
        if code < 300
            && let Ok(Some(event)) = message.event()
            && event.package.eq_ignore_ascii_case(self.config.package.name)
            && let Some(served) = self.slab.get_mut(id.0)
        {
            served.set_pace(Rates::of(&event.params), &self.config);
            if served.is_lasting() {
                self.unsaved.insert(served.dialog.local_tag, Some(id.0));
            }
        }
        self.enqueue(id.0, now);
    }

    /// A NOTIFY got no response: the watcher is gone, and is told nothing more (NOT-12). One whose challenge could not
    /// be answered ends it as well (AUT-16).
    pub fn failed(&mut self, id: ServedId, attempt: u64, failure: &Failure) {
        if self.settle(id.0, attempt) {
            let ending = match failure {
                Failure::Unauthorized { code, .. } => Ending::Gone(*code),
                _ => Ending::Unanswered,
            };
            self.remove(id.0, ending);
        }
    }

    /// Gives the number under which a challenged NOTIFY goes again (RFC 3261 §8.1.3.5); none when its outcome matters
    /// no more.
    pub fn renumber(&mut self, id: ServedId, attempt: u64) -> Option<u32> {
        let served = self.slab.get_mut(id.0)?;
        served.awaited.filter(|awaited| awaited.attempt == attempt)?;
        served.dialog.local_seq += 1;
        if served.is_lasting() && is_worth_saving(served.dialog.local_seq) {
            self.unsaved.insert(served.dialog.local_tag, Some(id.0));
        }
        Some(served.dialog.local_seq)
    }

    /// Ends the wait for the outcome of a NOTIFY; false if it is not the one that was awaited.
    fn settle(&mut self, id: u32, attempt: u64) -> bool {
        let Some(served) = self.slab.get_mut(id) else { return false };
        let Some(awaited) = served.awaited.filter(|awaited| awaited.attempt == attempt) else { return false };
        served.awaited = None;
        if awaited.counted {
            self.in_flight -= 1;
        }
        true
    }

    /// NOTIFYs that nobody answered within T1 stop holding others back.
    pub(super) fn age_window(&mut self, now: Instant, t1: Duration) {
        while let Some(&(sent_at, id, attempt)) = self.recent.front() {
            let awaited = self.slab.get_mut(id).and_then(|served| served.awaited.as_mut());
            match awaited.filter(|awaited| awaited.attempt == attempt && awaited.counted) {
                Some(awaited) if now >= sent_at + t1 => {
                    awaited.counted = false;
                    self.in_flight -= 1;
                }
                Some(_) => return,
                None => {}
            }
            self.recent.pop_front();
        }
    }
}

/// Returns the entity-tag of a document; of one that is the very one of before, without reading it.
fn tag_of(document: &Bytes, tagged: &mut Option<(Bytes, EntityTag)>) -> EntityTag {
    match tagged {
        Some((before, tag)) if before.as_ptr() == document.as_ptr() && before.len() == document.len() => tag.clone(),
        _ => tagged.insert((document.clone(), EntityTag::of(document))).1.clone(),
    }
}

/// However long nothing else calls for saving: the jump at a start stays ahead of what went out.
fn is_worth_saving(seq: u32) -> bool {
    seq.is_multiple_of(SEQ_JUMP / 2)
}
