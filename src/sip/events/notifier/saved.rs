//! Subscriptions that outlive the process: what of them is written down, and how they go on (NOT-29).
//!
//! What is read back may be damaged or edited, so all of it passes the same readers as if a peer had sent it.
//! Where it is kept, and what is known of a watcher beyond its dialog, is left to the notifier's user.

use std::{net::SocketAddr, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Farewell, GIVE_UP_AFTER, Notifier, Owed, Served, ServedId, Verdict};
use crate::sip::{
    dialog::{Dialog, MAX_ROUTES, Party},
    endpoint::contact_uri,
    events::{MAX_EXPIRES, rates::Rates, seconds},
    header::{EventHeader, NameAddr},
    ids::Token,
    time::{Instant, wall_of},
    uri::{Uri, UriRef},
};

/// By how much the number of our next request rises at a start: above all that went out since the last saving.
pub const SEQ_JUMP: u32 = 10_000;

/// No number of a request reaches this (RFC 3261 §8.1.1.5).
const SEQ_END: u32 = 1 << 31;

/// One subscription that we serve, as it is written down: its dialog, and how it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSubscription {
    /// The Call-ID.
    pub call_id: String,
    /// Us, as From names us.
    pub local: String,
    /// Our tag.
    pub local_tag: String,
    /// The watcher, as To names it.
    pub remote: String,
    /// Its tag; empty for a peer of the days before tags.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remote_tag: String,
    /// The number of our last request.
    pub local_seq: u32,
    /// The number of its last request.
    pub remote_seq: Option<u32>,
    /// Where requests are addressed to.
    pub target: String,
    /// The route set, first hop first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<String>,
    /// The `id` of the Event header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// The watcher's address of record, as From has it.
    pub watcher: String,
    /// Where its last SUBSCRIBE came from.
    pub source: SocketAddr,
    /// The socket of ours that our Contact names.
    pub listen: SocketAddr,
    /// The user part of our Contact.
    pub contact_user: String,
    /// When it ends unless refreshed.
    pub ends_at: Timestamp,
    /// When it is given up, if nobody decided yet (NOT-22).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gives_up_at: Option<Timestamp>,
    /// How often the watcher wants to be told (RFC 6446).
    #[serde(default, skip_serializing_if = "Rates::is_none")]
    pub rates: Rates,
    /// A NOTIFY was unsent or unanswered.
    #[serde(default)]
    pub owed: bool,
}

/// Why a saved subscription does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRestored {
    /// It ended meanwhile.
    Expired,
    /// The socket that its Contact names is not ours any more.
    Elsewhere,
    /// There are too many, in all or of this watcher.
    NoRoom,
    /// Something in it cannot be what we wrote, or its numbers are used up.
    Damaged,
}

/// What the watcher of a restored subscription is to hear, beyond what it was owed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// Nothing: it knows all.
    Nothing,
    /// The state, as if it had changed.
    State,
    /// What was decided about it is not what it was.
    Verdict,
}

/// A saved subscription that can go on.
#[derive(Debug)]
pub struct Revived {
    served: Served,
    owed: bool,
    rates: Rates,
}

impl SavedSubscription {
    /// Reads it back; `locals` are the sockets that we have now.
    ///
    /// Our own number jumps by [`SEQ_JUMP`]; an end further away than any that is granted is cut.
    ///
    /// # Errors
    /// When it cannot go on; nothing is sent about it then.
    pub fn revive(&self, locals: &[SocketAddr], now: Instant, wall: Timestamp) -> Result<Revived, NotRestored> {
        let dialog = self.dialog().ok_or(NotRestored::Damaged)?;
        let event_id = self.event_id.as_deref();
        let event = format!("event;id={}", event_id.unwrap_or_default());
        let whole = event_id.is_none_or(|id| {
            is_plain(id) && EventHeader::parse(event.as_bytes()).is_ok_and(|event| event.id == Some(id))
        });
        let contact = contact_uri(&self.contact_user, self.listen, None);
        let contact_holds = is_plain(&self.contact_user)
            && UriRef::parse(&contact).is_ok_and(|uri| uri.user().unwrap_or_default() == self.contact_user);
        if !whole || !contact_holds || UriRef::parse(&self.watcher).is_err() {
            return Err(NotRestored::Damaged);
        }
        if !locals.iter().any(|local| (local.ip(), local.port()) == (self.listen.ip(), self.listen.port())) {
            return Err(NotRestored::Elsewhere);
        }
        let left = until(self.ends_at, wall).min(seconds(MAX_EXPIRES));
        if left.is_zero() {
            return Err(NotRestored::Expired);
        }
        let served = Served {
            dialog,
            event_id: event_id.map(Into::into),
            watcher: self.watcher.as_str().into(),
            source: self.source,
            by: None,
            listen: self.listen,
            contact_user: self.contact_user.as_str().into(),
            verdict: Verdict::Pending,
            expires_at: now + left,
            granted_until: now + left,
            asked_end: false,
            gives_up_at: self.gives_up_at.map(|at| now + until(at, wall).min(GIVE_UP_AFTER)),
            unproven: None,
            fetch: false,
            size_limit: None,
            condition: None,
            owed: Owed::Nothing,
            queued: false,
            awaited: None,
            changed_at: None,
            pace: None,
            quiet_until: None,
            timer: None,
        };
        Ok(Revived { served, owed: self.owed, rates: self.rates })
    }

    fn dialog(&self) -> Option<Dialog> {
        let call_id_holds =
            !self.call_id.is_empty() && !self.call_id.contains(|c: char| c.is_whitespace() || c.is_control());
        let local_seq = self.local_seq.checked_add(SEQ_JUMP).filter(|seq| *seq < SEQ_END - SEQ_JUMP)?;
        if !call_id_holds || self.remote_seq.is_some_and(|seq| seq >= SEQ_END) || self.routes.len() > MAX_ROUTES {
            return None;
        }
        let routes: Option<Box<[Box<str>]>> =
            self.routes.iter().map(|route| UriRef::parse(route).ok().map(|uri| uri.as_str().into())).collect();
        Some(Dialog {
            call_id: self.call_id.as_str().into(),
            local: party(&self.local, &self.local_tag)?,
            local_tag: Token::parse(&self.local_tag)?,
            remote: party(&self.remote, &self.remote_tag)?,
            remote_tag: self.remote_tag.as_str().into(),
            local_seq,
            remote_seq: self.remote_seq,
            target: self.target.parse::<Uri>().ok()?,
            routes: routes?,
        })
    }
}

impl Revived {
    /// Returns the watcher's address of record, which is a URI.
    pub fn watcher(&self) -> &str {
        &self.served.watcher
    }
}

impl Notifier {
    /// Goes through the subscriptions that are worth keeping: proven and lasting ones that nobody ended.
    pub fn saved(&self, now: Instant, wall: Timestamp) -> impl Iterator<Item = (ServedId, SavedSubscription)> {
        self.slab
            .iter()
            .filter(|(_, served)| served.is_worth_keeping())
            .map(move |(id, served)| (ServedId(id), served.saved(now, wall)))
    }

    /// Returns whether [`saved`](Self::saved) would tell something new since the last call, but for the numbers
    /// of NOTIFYs, of which no more go out unmarked than [`SEQ_JUMP`] makes good.
    pub fn take_unsaved(&mut self) -> bool {
        !std::mem::take(&mut self.unsaved).is_empty()
    }

    /// Has everything saved once more, for an end in order: what was on its way when it was saved last has arrived since.
    pub fn save_all(&mut self) {
        let lasting = self.slab.iter().filter(|(_, served)| served.is_worth_keeping());
        self.unsaved.extend(lasting.map(|(id, served)| (served.dialog.local_tag, Some(id))));
    }

    /// Takes what [`take_unsaved`](Self::take_unsaved) tells of, one by one: subscriptions by our tags, none where one is
    /// not to be kept any more.
    pub fn take_changes(
        &mut self,
        now: Instant,
        wall: Timestamp,
    ) -> impl Iterator<Item = (Token, Option<(ServedId, SavedSubscription)>)> {
        std::mem::take(&mut self.unsaved).into_iter().map(move |(tag, id)| {
            let id = id.filter(|id| self.slab.get(*id).is_some_and(|served| served.dialog.local_tag == tag));
            let kept = id.and_then(|id| Some((id, self.slab.get(id).filter(|served| served.is_worth_keeping())?)));
            (tag, kept.map(|(id, served)| (ServedId(id), served.saved(now, wall))))
        })
    }

    /// Goes on with a subscription of an earlier run, as it is judged now.
    ///
    /// # Errors
    /// When it has no place, or its tag is taken.
    pub fn restore(
        &mut self,
        revived: Revived,
        verdict: Verdict,
        telling: Telling,
        now: Instant,
    ) -> Result<ServedId, NotRestored> {
        let Revived { mut served, owed, rates } = revived;
        if self.by_tag.contains_key(&served.dialog.local_tag) {
            return Err(NotRestored::Damaged);
        }
        if self.is_full(&served.watcher) {
            return Err(NotRestored::NoRoom);
        }
        let tag = served.dialog.local_tag;
        served.set_pace(rates, &self.config);
        if let Some(pace) = &mut served.pace {
            pace.tell(now);
        }
        let id = self.slab.insert(served);
        self.count(id);
        self.by_tag.insert(tag, id);
        self.unsaved.insert(tag, Some(id));
        self.set_verdict(id, verdict, now);
        let owed = match (verdict, telling) {
            (Verdict::Refuse(_), _) => Owed::Last(Farewell::Rejected),
            (_, Telling::Verdict) => Owed::Answer,
            (_, Telling::Nothing) if !owed => Owed::Nothing,
            (_, Telling::State | Telling::Nothing) => Owed::Change,
        };
        self.owe(id, owed, now);
        Ok(ServedId(id))
    }
}

impl Served {
    fn is_worth_keeping(&self) -> bool {
        self.is_lasting() && !self.asked_end && !matches!(self.owed, Owed::Last(_))
    }

    fn saved(&self, now: Instant, wall: Timestamp) -> SavedSubscription {
        let Dialog { call_id, local, local_tag, remote, remote_tag, local_seq, remote_seq, target, routes } =
            &self.dialog;
        let on_the_wall = |at: Instant| wall_of(at, now, wall);
        SavedSubscription {
            call_id: call_id.as_ref().to_owned(),
            local: local.as_str().to_owned(),
            local_tag: local_tag.to_string(),
            remote: remote.as_str().to_owned(),
            remote_tag: remote_tag.as_ref().to_owned(),
            local_seq: *local_seq,
            remote_seq: *remote_seq,
            target: target.as_str().to_owned(),
            routes: routes.iter().map(|route| route.as_ref().to_owned()).collect(),
            event_id: self.event_id.as_deref().map(str::to_owned),
            watcher: self.watcher.as_ref().to_owned(),
            source: self.source,
            listen: self.listen,
            contact_user: self.contact_user.as_ref().to_owned(),
            ends_at: on_the_wall(self.granted_until),
            gives_up_at: self.gives_up_at.map(on_the_wall),
            rates: self.pace.as_ref().map(|pace| pace.rates).unwrap_or_default(),
            owed: self.owed != Owed::Nothing || self.awaited.is_some(),
        }
    }
}

/// Returns how far ahead `at` lies; zero if it has passed.
fn until(at: Timestamp, wall: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(wall)).unwrap_or_default()
}

/// Returns whether a text holds nothing that could end or fold a line.
fn is_plain(text: &str) -> bool {
    !text.bytes().any(|c| c < b' ' || c == 0x7f)
}

/// Reads a party back in the company of its tag, as a header has them.
fn party(text: &str, tag: &str) -> Option<Party> {
    if !is_plain(text) || !is_plain(tag) {
        return None;
    }
    let value = if tag.is_empty() { text.to_owned() } else { format!("{text};tag={tag}") };
    let header = NameAddr::parse(value.as_bytes()).ok()?;
    (header.tag().unwrap_or_default() == tag).then(|| Party::from_header(&header))
}

#[cfg(test)]
mod tests;
