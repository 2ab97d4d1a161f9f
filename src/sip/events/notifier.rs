//! The notifier side of event notification (RFC 6665 §4.2): serves state to whoever may see it.
//!
//! A [`Notifier`] owns the subscriptions of others. It answers SUBSCRIBE, keeps the time, and sends each watcher
//! the newest state: at most one NOTIFY unanswered, state changes at most every five seconds (RFC 3856 §6.10),
//! and next to nothing to an address that has not proven to be the sender's. Who may watch is decided by its
//! user, who hands in a [`Verdict`]; what the state is, by the user too, when [`pump`](Notifier::pump) asks.

mod admission;
mod config;
mod delivery;
mod proof;
mod report;
mod saved;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;

use self::proof::{Proofs, Unproven};
use super::{
    Step,
    conditional::{Condition, EntityTag, Savings},
    rates::{Pace, Rates},
};
use crate::sip::{
    dialog::Dialog,
    header::Reason,
    ids::Token,
    message::Message,
    slab::Slab,
    time::{Instant, Timers},
    transport::ConnId,
};

pub use admission::{Initial, Rank, Subscribe};
pub use config::{Listing, NotifierConfig};
pub use report::{Ending, Report, ServedId, ServedInfo, Verdict, View};
pub use saved::{NotRestored, Revived, SEQ_JUMP, SavedSubscription, Telling};

/// One subscription that we serve.
#[derive(Debug)]
pub(super) struct Served {
    dialog: Dialog,
    /// The `id` of the Event header, repeated exactly.
    event_id: Option<Box<str>>,
    /// The watcher's address of record, as From has it; of several that are proven it is the same text.
    watcher: Arc<str>,
    /// Where the last SUBSCRIBE came from.
    source: SocketAddr,
    /// The connection that it came by, where the watcher wants NOTIFYs to come by it too.
    by: Option<ConnId>,
    /// The socket of ours that our Contact names.
    listen: SocketAddr,
    /// Our user part, for Contact.
    contact_user: Box<str>,
    verdict: Verdict,
    /// When it is dropped: the end of what was granted, or sooner while unproven.
    expires_at: Instant,
    granted_until: Instant,
    /// The watcher itself wants no more.
    asked_end: bool,
    /// When it is given up, while nobody decided (NOT-22).
    gives_up_at: Option<Instant>,
    /// Its place among the unproven, if it is one of them.
    unproven: Option<Box<Unproven>>,
    fetch: bool,
    /// How large the answer to an unproven fetch may be, in bytes.
    size_limit: Option<u32>,
    /// What its last SUBSCRIBE wants not to be told again, until that is answered by a NOTIFY.
    condition: Option<Box<Condition>>,
    owed: Owed,
    queued: bool,
    awaited: Option<Awaited>,
    /// When a change of state was last sent.
    changed_at: Option<Instant>,
    /// How often the watcher asked to be told.
    pace: Option<Box<Pace>>,
    /// The watcher asked for quiet until then (NOT-14).
    quiet_until: Option<Instant>,
    timer: Option<Instant>,
}

/// What the watcher has yet to be told, the weightiest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owed {
    Nothing,
    /// The state changed.
    Change,
    /// A SUBSCRIBE or a decision calls for a NOTIFY at once.
    Answer,
    /// It is over.
    Last(Farewell),
}

/// How a subscription ends on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Farewell {
    /// `timeout`, with the state that the watcher may see.
    Timeout,
    /// `rejected`, without a body.
    Rejected,
    /// `giveup`, without a body.
    GaveUp,
    /// `probation`, without a body: it proved itself when all places were taken.
    NoRoom,
    /// `probation`: the user goes offline.
    Offline,
}

/// The NOTIFY whose response is awaited.
#[derive(Clone, Copy, Debug)]
struct Awaited {
    attempt: u64,
    /// Whether it still counts for the window.
    counted: bool,
}

/// How many subscriptions one watcher may hold with somebody who serves but himself (NOT-27).
pub const MAX_PER_WATCHER: u32 = 100;
/// A pending subscription is given up after this time (NOT-22).
const GIVE_UP_AFTER: Duration = Duration::from_hours(7 * 24);
/// What we ask a watcher to wait when we go offline (NOT-23), or gave up.
const RETRY_AFTER: u32 = 60;
/// How many NOTIFYs may be unanswered and younger than T1 before further ones wait.
const WINDOW: usize = 512;

/// All subscriptions that we serve; see the module's text.
#[derive(Debug)]
pub struct Notifier {
    config: NotifierConfig,
    slab: Slab<Served>,
    by_tag: HashMap<Token, u32>,
    /// Active ones by what they see, to mark them when it changes.
    by_view: BTreeSet<(View, u32)>,
    /// Proven ones that wait for a decision, by when they give up: who has waited longest comes first.
    waiting: BTreeSet<(Instant, u32)>,
    per_watcher: HashMap<Arc<str>, u32>,
    proofs: Proofs,
    urgent: VecDeque<u32>,
    ready: VecDeque<u32>,
    /// NOTIFYs on their way, in the order of sending.
    recent: VecDeque<(Instant, u32, u64)>,
    in_flight: usize,
    timers: Timers<u32>,
    reports: VecDeque<Report>,
    attempts: u64,
    /// What would be saved is another than it was: subscriptions by our tags, with their places while they stand.
    unsaved: BTreeMap<Token, Option<u32>>,
    savings: Savings,
    /// The document that was sent last and its tag: the next watcher gets the same more often than not.
    tagged: Option<(Bytes, EntityTag)>,
}

impl Notifier {
    /// Makes a notifier that serves nobody yet.
    pub fn new(config: NotifierConfig) -> Self {
        Self {
            config,
            slab: Slab::default(),
            by_tag: HashMap::new(),
            by_view: BTreeSet::new(),
            waiting: BTreeSet::new(),
            per_watcher: HashMap::new(),
            proofs: Proofs::default(),
            urgent: VecDeque::new(),
            ready: VecDeque::new(),
            recent: VecDeque::new(),
            in_flight: 0,
            timers: Timers::default(),
            reports: VecDeque::new(),
            attempts: 0,
            unsaved: BTreeMap::new(),
            savings: Savings::default(),
            tagged: None,
        }
    }

    /// Returns how many proven subscriptions there are, and how many unproven ones.
    pub fn counts(&self) -> (usize, usize) {
        (self.slab.len() - self.proofs.unproven_len(), self.proofs.unproven_len())
    }

    /// Returns what watchers knew and were not sent again.
    pub fn savings(&self) -> Savings {
        self.savings
    }

    /// Takes the next report.
    pub fn next_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    /// Returns how a subscription stands.
    pub fn info(&self, id: ServedId) -> Option<ServedInfo> {
        self.slab.get(id.0).map(|served| served.info(id))
    }

    /// Returns whether a request bears the tag of a subscription here.
    pub fn has_tag_of(&self, message: &Message<'_>) -> bool {
        let tag = message.to().ok().and_then(|to| Token::parse(to.tag()?));
        tag.is_some_and(|tag| self.by_tag.contains_key(&tag))
    }

    /// Returns whether the id names a subscription that goes on.
    pub fn is_known(&self, id: ServedId) -> bool {
        self.slab.get(id.0).is_some_and(|served| !matches!(served.owed, Owed::Last(_)))
    }

    /// Goes through the subscriptions whose watcher has proven to be there.
    pub fn proven(&self) -> impl Iterator<Item = ServedInfo> {
        self.slab.iter().filter(|(_, served)| served.is_lasting()).map(|(id, served)| served.info(ServedId(id)))
    }

    /// Returns whether somebody is shown this view.
    pub fn is_seen(&self, view: View) -> bool {
        self.by_view.range((view, 0)..=(view, u32::MAX)).next().is_some()
    }

    /// Returns whether somebody is shown anything of this resource.
    pub fn shows(&self, of: u32) -> bool {
        let (first, last) = (View { of, number: 0 }, View { of, number: u32::MAX });
        self.by_view.range((first, 0)..=(last, u32::MAX)).next().is_some()
    }

    /// The state behind a view changed: whoever sees it is to hear of it.
    pub fn changed(&mut self, view: View, now: Instant) {
        let ids: Vec<u32> = self.by_view.range((view, 0)..=(view, u32::MAX)).map(|(_, id)| *id).collect();
        for id in ids {
            self.owe(id, Owed::Change, now);
        }
    }

    /// Gives a standing subscription another verdict; its watcher hears of it at once (NOT-20, NOT-21, POL-15).
    pub fn judge(&mut self, id: ServedId, verdict: Verdict, now: Instant) {
        let id = id.0;
        let Some(served) = self.slab.get_mut(id) else { return };
        if served.verdict == verdict || matches!(served.owed, Owed::Last(_)) {
            return;
        }
        served.condition = None;
        self.set_verdict(id, verdict, now);
        let owed = match verdict {
            Verdict::Refuse(_) => Owed::Last(Farewell::Rejected),
            Verdict::Pending | Verdict::Active(_) => Owed::Answer,
        };
        self.owe(id, owed, now);
    }

    /// The watcher proved to be there and was judged again: what it may see goes out at once (SEC-01).
    pub fn promote(&mut self, id: ServedId, verdict: Verdict, now: Instant) {
        let id = id.0;
        self.set_verdict(id, verdict, now);
        match verdict {
            Verdict::Refuse(_) => self.owe(id, Owed::Last(Farewell::Rejected), now),
            Verdict::Active(_) => self.owe(id, Owed::Answer, now),
            Verdict::Pending => {}
        }
        self.rearm(id);
    }

    fn set_verdict(&mut self, id: u32, verdict: Verdict, now: Instant) {
        let Some(served) = self.slab.get_mut(id) else { return };
        if let Verdict::Active(view) = served.verdict {
            self.by_view.remove(&(view, id));
        }
        if served.is_lasting() && served.verdict != verdict {
            self.unsaved.insert(served.dialog.local_tag, Some(id));
        }
        served.verdict = verdict;
        if let Verdict::Active(view) = verdict {
            self.by_view.insert((view, id));
        }
        if let Some(at) = served.gives_up_at {
            self.waiting.remove(&(at, id));
        }
        let pending = verdict == Verdict::Pending;
        served.gives_up_at = pending.then(|| served.gives_up_at.unwrap_or(now + GIVE_UP_AFTER));
        self.note_waiting(id);
        self.rearm(id);
    }

    /// Takes note of whether a subscription is one of those that wait for a decision.
    fn note_waiting(&mut self, id: u32) {
        let Some(served) = self.slab.get_mut(id) else { return };
        let Some(at) = served.gives_up_at else { return };
        if served.is_lasting() && !matches!(served.owed, Owed::Last(_)) {
            self.waiting.insert((at, id));
        } else {
            self.waiting.remove(&(at, id));
        }
    }

    /// We go offline: everyone is told so, in the form that their state allows (NOT-23).
    pub fn go_offline(&mut self, now: Instant) {
        let ids: Vec<u32> = self.slab.iter().map(|(id, _)| id).collect();
        for id in ids {
            if self.slab.get(id).is_some_and(|served| served.unproven.is_some()) {
                self.remove(id, Ending::Offline);
                continue;
            }
            if let Some(served) = self.slab.get_mut(id) {
                // There is no time left to wait for an answer to what went before.
                if served.awaited.take().is_some_and(|awaited| awaited.counted) {
                    self.in_flight -= 1;
                }
                served.quiet_until = None;
            }
            self.owe(id, Owed::Last(Farewell::Offline), now);
        }
    }

    /// Returns when [`tick`](Self::tick) or [`pump`](Self::pump) has something to do.
    pub fn deadline(&self, t1: Duration) -> Option<Instant> {
        let window = self.recent.front().filter(|_| self.has_work()).map(|(at, ..)| *at + t1);
        [self.timers.deadline(), window].into_iter().flatten().min()
    }

    /// Returns whether NOTIFYs wait for [`pump`](Self::pump) and may go now.
    pub fn wants_pump(&self) -> bool {
        self.has_work() && self.in_flight < WINDOW
    }

    fn has_work(&self) -> bool {
        !self.urgent.is_empty() || !self.ready.is_empty()
    }

    /// Runs what is due, at most a bounded amount a call.
    pub fn tick(&mut self, now: Instant, t1: Duration) {
        self.age_window(now, t1);
        for _ in 0..1024 {
            let Some(id) = self.timers.pop(now) else { return };
            let Some(served) = self.slab.get_mut(id) else { continue };
            served.timer = None;
            if now >= served.expires_at {
                if served.unproven.is_some() {
                    self.remove(id, Ending::Dropped);
                    continue;
                }
                // NOT-22: nobody decided while it lasted.
                let undecided = served.verdict == Verdict::Pending && !served.asked_end;
                let farewell = if undecided { Farewell::GaveUp } else { Farewell::Timeout };
                self.owe(id, Owed::Last(farewell), now);
            } else if served.gives_up_at.is_some_and(|at| now >= at) {
                self.owe(id, Owed::Last(Farewell::GaveUp), now);
            } else if served.repeat_at().is_some_and(|at| now >= at) {
                self.owe(id, Owed::Change, now);
            } else {
                self.enqueue(id, now);
            }
            self.rearm(id);
        }
    }

    /// Notes what a watcher is owed, and queues it if it may go now.
    fn owe(&mut self, id: u32, owed: Owed, now: Instant) {
        let Some(served) = self.slab.get_mut(id) else { return };
        let ends = matches!(owed, Owed::Last(_)) && !matches!(served.owed, Owed::Last(_));
        if ends && served.is_lasting() {
            self.unsaved.insert(served.dialog.local_tag, Some(id));
        }
        served.owed = served.owed.max(owed);
        self.note_waiting(id);
        self.enqueue(id, now);
    }

    /// Puts a subscription in the queue unless an answer, the rate or the watcher's wish holds it back.
    fn enqueue(&mut self, id: u32, now: Instant) {
        let Some(served) = self.slab.get_mut(id) else { return };
        let held = served.held_until(self.config.rate).is_some_and(|until| now < until);
        if !(served.queued || served.awaited.is_some() || held || served.owed == Owed::Nothing) {
            served.queued = true;
            if served.owed == Owed::Change { self.ready.push_back(id) } else { self.urgent.push_back(id) }
        }
        self.rearm(id);
    }

    fn rearm(&mut self, id: u32) {
        let rate = self.config.rate;
        let Some(served) = self.slab.get_mut(id) else { return };
        let held = (served.owed != Owed::Nothing && !served.queued && served.awaited.is_none())
            .then(|| served.held_until(rate))
            .flatten();
        let over = !matches!(served.owed, Owed::Last(_));
        let times = [over.then_some(served.expires_at), held, served.gives_up_at.filter(|_| over), served.repeat_at()];
        let at = times.into_iter().flatten().min();
        match at {
            Some(at) => self.timers.set(&mut served.timer, id, at),
            None => self.timers.cancel(&mut served.timer, id),
        }
    }

    /// Forgets a subscription and reports its end.
    fn remove(&mut self, id: u32, ending: Ending) {
        let Some(mut served) = self.slab.remove(id) else { return };
        self.timers.cancel(&mut served.timer, id);
        if let Some(at) = served.gives_up_at {
            self.waiting.remove(&(at, id));
        }
        self.by_tag.remove(&served.dialog.local_tag);
        if let Verdict::Active(view) = served.verdict {
            self.by_view.remove(&(view, id));
        }
        if served.awaited.is_some_and(|awaited| awaited.counted) {
            self.in_flight -= 1;
        }
        if served.is_lasting() {
            self.unsaved.insert(served.dialog.local_tag, None);
        }
        let proven = served.unproven.is_none();
        if let Some(unproven) = served.unproven.take() {
            self.leave_unproven(*unproven);
        } else if let Some(count) = self.per_watcher.get_mut(&served.watcher) {
            *count -= 1;
            if *count == 0 {
                self.per_watcher.remove(&served.watcher);
            }
        }
        if !served.fetch {
            self.reports.push_back(Report::Ended { id: ServedId(id), watcher: served.watcher, proven, ending });
        }
    }

    /// Counts a proven subscription among those of its watcher.
    fn count(&mut self, id: u32) {
        let Some(served) = self.slab.get_mut(id) else { return };
        if let Some((name, _)) = self.per_watcher.get_key_value(&served.watcher) {
            served.watcher = Arc::clone(name);
        }
        *self.per_watcher.entry(Arc::clone(&served.watcher)).or_default() += 1;
    }

    /// Gives a place in the table of the unproven back.
    fn leave_unproven(&mut self, left: Unproven) {
        if let Some(moved) = self.proofs.leave(left)
            && let Some(other) = self.slab.get_mut(moved).and_then(|other| other.unproven.as_mut())
        {
            other.move_to(left);
        }
    }

    /// An address answered something of ours that only its owner can have seen (SEC-01).
    pub fn address_answered(&mut self, address: SocketAddr, now: Instant) {
        self.proofs.prove(address, now);
    }

    /// Sends what is owed, at most `limit` NOTIFYs; `body` returns the bytes behind a view as they are now.
    pub fn pump(&mut self, limit: usize, step: &mut Step<'_>, mut body: impl FnMut(View) -> Bytes) {
        self.age_window(step.now, step.endpoint.timing().t1);
        for _ in 0..limit {
            if self.in_flight >= WINDOW {
                return;
            }
            let Some(id) = self.urgent.pop_front().or_else(|| self.ready.pop_front()) else { return };
            let Some(served) = self.slab.get_mut(id).filter(|served| served.queued) else { continue };
            served.queued = false;
            self.deliver(id, step, &mut body);
        }
    }
}

impl Served {
    /// Whether it is more than a claim or one look.
    fn is_lasting(&self) -> bool {
        self.unproven.is_none() && !self.fetch
    }

    fn info(&self, id: ServedId) -> ServedInfo {
        let Self { watcher, source, verdict, expires_at, unproven, .. } = self;
        let (watcher, proven) = (watcher.clone(), unproven.is_none());
        ServedInfo { id, watcher, source: *source, verdict: *verdict, expires_at: *expires_at, proven }
    }

    /// How many bytes a NOTIFY over UDP with this body has beyond what its head has before its Content-Type.
    fn rest(&self, content_type: &str, body: usize) -> usize {
        let address = self.listen.to_string().len();
        let via = "Via: SIP/2.0/UDP ;branch=z9hG4bKabcdefghijklmnop;rport\r\n".len() + address;
        let contact = "Contact: <sip:@>\r\n".len() + self.contact_user.len() + address;
        let content = "Content-Type: \r\nContent-Length: \r\n\r\n".len() + content_type.len() + body.to_string().len();
        via + contact + content + body
    }

    /// Until when what is owed has to wait, if the moment matters at all.
    fn held_until(&self, rate: Duration) -> Option<Instant> {
        let rated = match self.owed {
            Owed::Change => {
                let wished = self.pace.as_ref().and_then(|pace| pace.held_until());
                self.changed_at.map(|at| at + rate).max(wished)
            }
            Owed::Nothing | Owed::Answer | Owed::Last(_) => None,
        };
        rated.max(self.quiet_until)
    }

    /// When the state is to be told again though nothing changed (RFC 6446 §6, §7).
    fn repeat_at(&self) -> Option<Instant> {
        let idle = self.owed == Owed::Nothing && self.awaited.is_none() && self.is_lasting();
        let active = matches!(self.verdict, Verdict::Active(_));
        self.pace.as_ref().filter(|_| idle && active).and_then(|pace| pace.repeat_at())
    }

    /// Takes the rates that the watcher asks for now.
    fn set_pace(&mut self, asked: Rates, config: &NotifierConfig) {
        let asked = if config.whole { asked } else { Rates { max: asked.max, ..Rates::default() } };
        match &mut self.pace {
            _ if asked.is_none() => self.pace = None,
            Some(pace) => pace.ask(asked, config.rate),
            None => self.pace = Some(Box::new(Pace::new(asked, config.rate))),
        }
    }
}

impl Farewell {
    fn reason(self) -> Reason {
        match self {
            Self::Timeout => Reason::Timeout,
            Self::Rejected => Reason::Rejected,
            Self::GaveUp => Reason::Giveup,
            Self::NoRoom | Self::Offline => Reason::Probation,
        }
    }
}
