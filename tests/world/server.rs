//! A presence server in virtual time: it keeps publications (RFC 3903), tells those who subscribed (RFC 6665), repeats
//! what is not answered, and does no more. Anybody may do anything; of several publications the newest one shows.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    time::Duration,
};

use super::{Msg, ms, secs};

/// How long an unanswered NOTIFY is repeated (RFC 3261 §17.1.2.2).
const GIVE_UP: Duration = secs(32);

/// What leaves the server: to whom, and what.
pub type Letters = Vec<(SocketAddr, String)>;

#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    /// The answer to each request, by its branch.
    answered: HashMap<String, String>,
    /// By entity-tag.
    publications: BTreeMap<String, Publication>,
    /// By Call-ID.
    subscriptions: BTreeMap<String, Subscription>,
    numbered: u64,
}

#[derive(Debug)]
struct Publication {
    of: String,
    body: String,
    until: Duration,
    /// Counts up with each change.
    number: u64,
}

#[derive(Debug)]
struct Subscription {
    to: String,
    watcher: SocketAddr,
    /// The SUBSCRIBE that began it.
    begun_by: Msg,
    until: Duration,
    seq: u32,
    /// Whether it has to be told something.
    behind: bool,
    open: Option<Open>,
}

/// A NOTIFY that nobody answered yet.
#[derive(Debug)]
struct Open {
    text: String,
    since: Duration,
    again_at: Duration,
    pause: Duration,
}

impl Server {
    pub fn new(address: SocketAddr) -> Self {
        let (answered, publications, subscriptions) = Default::default();
        Self { address, answered, publications, subscriptions, numbered: 0 }
    }

    /// Returns how many publications it keeps, and how many subscriptions.
    pub fn sizes(&self) -> (usize, usize) {
        (self.publications.len(), self.subscriptions.len())
    }

    /// Returns the documents that stand there of somebody.
    pub fn documents(&self, of: &str) -> Vec<&str> {
        let all = self.publications.values();
        all.filter(|publication| publication.of == of).map(|publication| publication.body.as_str()).collect()
    }

    /// Forgets all that it kept, as a server without a disk does that is started anew; tags and numbers are not used
    /// twice.
    pub fn restart(&mut self) {
        *self = Self { numbered: self.numbered, ..Self::new(self.address) };
    }

    pub fn deadline(&self) -> Option<Duration> {
        let kept = self.publications.values().map(|publication| publication.until);
        let served = self.subscriptions.values().map(|sub| sub.open.as_ref().map_or(sub.until, |open| open.again_at));
        kept.chain(served).min()
    }

    pub fn receive(&mut self, from: SocketAddr, bytes: &[u8], now: Duration) -> Letters {
        let msg = Msg { text: String::from_utf8(bytes.to_vec()).unwrap(), to: from, at: now };
        let mut letters = Letters::new();
        if let Some(code) = msg.code() {
            self.answer_came(&msg, code);
        } else {
            let branch = msg.header("Via").to_owned();
            let answer = self.answered.get(&branch).cloned().unwrap_or_else(|| self.request(&msg, now));
            letters.push((from, answer.clone()));
            self.answered.insert(branch, answer);
        }
        self.tell(now, &mut letters);
        letters
    }

    pub fn tick(&mut self, now: Duration) -> Letters {
        let mut letters = Letters::new();
        let before = self.publications.len();
        self.publications.retain(|_, publication| publication.until > now);
        if self.publications.len() < before {
            self.subscriptions.values_mut().for_each(|subscription| subscription.behind = true);
        }
        self.subscriptions.retain(|_, subscription| match &mut subscription.open {
            Some(open) if now >= open.since + GIVE_UP => false,
            Some(open) => {
                if open.again_at <= now {
                    letters.push((subscription.watcher, open.text.clone()));
                    open.pause = (open.pause * 2).min(secs(4));
                    open.again_at = now + open.pause;
                }
                true
            }
            None => subscription.until > now,
        });
        self.tell(now, &mut letters);
        letters
    }

    fn request(&mut self, msg: &Msg, now: Duration) -> String {
        let answer = match msg.first_line().split(' ').next() {
            Some("PUBLISH") => self.publish(msg, now),
            Some("SUBSCRIBE") => self.subscribe(msg, now),
            _ => msg.response("501 Not Implemented", ""),
        };
        answer.replace("\r\n", "\n").replace('\n', "\r\n")
    }

    fn publish(&mut self, msg: &Msg, now: Duration) -> String {
        let before = match msg.get("SIP-If-Match").map(|tag| self.publications.remove(tag)) {
            Some(None) => return msg.response("412 Conditional Request Failed", ""),
            Some(before) => before,
            None => None,
        };
        self.numbered += 1;
        let (tag, expires) = (format!("tag{}", self.numbered), expires(msg));
        let is_refresh = msg.body().is_empty();
        let body =
            if is_refresh { before.map(|before| before.body).unwrap_or_default() } else { msg.body().to_owned() };
        let of = aor(msg.header("To"));
        if expires > Duration::ZERO {
            let publication = Publication { of: of.clone(), body, until: now + expires, number: self.numbered };
            self.publications.insert(tag.clone(), publication);
        }
        if !is_refresh || expires.is_zero() {
            self.subscriptions.values_mut().filter(|sub| sub.to == of).for_each(|sub| sub.behind = true);
        }
        msg.response("200 OK", &format!("SIP-ETag: {tag}\nExpires: {}\n", expires.as_secs()))
    }

    fn subscribe(&mut self, msg: &Msg, now: Duration) -> String {
        if msg.get("Event").is_none_or(|event| event != "presence") {
            return msg.response("489 Bad Event", "Allow-Events: presence\n");
        }
        let (call_id, expires) = (msg.header("Call-ID").to_owned(), expires(msg));
        let is_new = msg.tag("To").is_empty();
        if !is_new && !self.subscriptions.contains_key(&call_id) {
            return msg.response("481 Subscription Does Not Exist", "");
        }
        let subscription = self.subscriptions.entry(call_id).or_insert_with(|| Subscription {
            to: aor(msg.header("To")),
            watcher: msg.to,
            begun_by: msg.clone(),
            until: now,
            seq: 0,
            behind: true,
            open: None,
        });
        (subscription.until, subscription.behind) = (now + expires, true);
        let contact = format!("Contact: <sip:{}>\nExpires: {}\n", self.address, expires.as_secs());
        msg.response("200 OK", &contact)
    }

    fn answer_came(&mut self, msg: &Msg, code: u16) {
        let call_id = msg.header("Call-ID");
        let Some(subscription) = self.subscriptions.get_mut(call_id) else { return };
        // One to an earlier NOTIFY says nothing new.
        if code < 200 || subscription.open.is_none() || msg.cseq() != subscription.seq {
            return;
        }
        subscription.open = None;
        if code >= 300 || subscription.until <= msg.at && !subscription.behind {
            self.subscriptions.remove(call_id);
        }
    }

    /// Sends everybody who has to know something the newest state, one NOTIFY at a time.
    fn tell(&mut self, now: Duration, letters: &mut Letters) {
        let Self { address, publications, subscriptions, numbered, .. } = self;
        for subscription in subscriptions.values_mut().filter(|sub| sub.behind && sub.open.is_none()) {
            *numbered += 1;
            let newest = publications.values().filter(|publication| publication.of == subscription.to);
            let newest = newest.max_by_key(|publication| publication.number);
            let body = newest.map_or_else(|| nothing(&subscription.to), |newest| newest.body.clone());
            let text = subscription.notify(*address, *numbered, &body, now);
            letters.push((subscription.watcher, text.clone()));
            subscription.open = Some(Open { text, since: now, again_at: now + ms(500), pause: ms(500) });
        }
    }
}

impl Subscription {
    fn notify(&mut self, server: SocketAddr, number: u64, body: &str, now: Duration) -> String {
        self.behind = false;
        self.seq += 1;
        let left = self.until.saturating_sub(now).as_secs();
        let state = if left > 0 { format!("active;expires={left}") } else { "terminated;reason=timeout".to_owned() };
        let Self { begun_by, seq, .. } = self;
        let contact = begun_by.header("Contact").trim_start_matches('<').split('>').next().unwrap_or_default();
        let head = format!(
            "NOTIFY {contact} SIP/2.0\nVia: SIP/2.0/UDP {server};branch=z9hG4bKserver{number}\nMax-Forwards: 70\n\
             From: {};tag=peer-tag\nTo: {}\nCall-ID: {}\nCSeq: {seq} NOTIFY\nContact: <sip:{server}>\n\
             Event: presence\nSubscription-State: {state}\nContent-Type: application/pidf+xml\nContent-Length: {}\n\n",
            begun_by.header("To"),
            begun_by.header("From"),
            begun_by.header("Call-ID"),
            body.len(),
        );
        head.replace('\n', "\r\n") + body
    }
}

fn expires(msg: &Msg) -> Duration {
    secs(msg.get("Expires").map_or(3600, |seconds| seconds.parse().unwrap()))
}

fn aor(party: &str) -> String {
    party.trim_start_matches('<').split('>').next().unwrap_or_default().to_owned()
}

/// The document of whoever published nothing.
fn nothing(entity: &str) -> String {
    format!(
        "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"{entity}\">\
         <tuple id=\"none\"><status><basic>closed</basic></status></tuple></presence>"
    )
}
