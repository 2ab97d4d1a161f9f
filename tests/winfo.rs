//! Who watches us, told to other devices of ours and to nobody else: WIN-01 … WIN-06, SEC-21.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use sippresence::{
    presence::{
        PresenceStatus,
        core::{CoreConfig, Input, Server, Vouched},
        policy::{Action, Policy, Rule, Who},
        winfo::{Document, Event, Status},
    },
    sip::transport::ConnId,
};
use support::{ALICE, BOB, Bench, Did, SUBSCRIBE, answer, config, first_line, header, param};

const PHONE: &str = "192.0.2.21:40001";

fn bench() -> Bench {
    let mut bench = Bench::with(CoreConfig { policy: Policy::new(Action::Ask), ..config(BOB) });
    bench.publish(PresenceStatus::Available, "");
    bench
}

/// How bob's telephone asks who watches him.
fn asks(from: &str, expires: u32) -> String {
    SUBSCRIBE
        .replace("UDP 192.0.2.10:5060", "TCP 192.0.2.21:5080")
        .replace("\"Alice\" <sip:alice@192.0.2.10>", from)
        .replace("sip:alice@192.0.2.10:5060", "sip:bob@192.0.2.21:5080;transport=tcp")
        .replace("Event: presence", "Event: presence.winfo")
        .replace("application/pidf+xml", "application/watcherinfo+xml")
        .replace("Expires: 300", &format!("Expires: {expires}"))
        .replace("3f2b9c0e", "phone")
}

/// A connection of whoever has this key.
fn connection(bench: &mut Bench, key_of: &str) -> ConnId {
    let conn = bench.accept(1, PHONE);
    let vouched = Vouched { presentities: vec![key_of.into()], ..Vouched::default() };
    bench.feed(Input::Vouched { conn, vouched });
    conn
}

/// What the telephone is told.
struct Phone {
    conn: ConnId,
    /// By which it is told.
    told_by: ConnId,
    ok: String,
}

impl Phone {
    fn subscribe(bench: &mut Bench, expires: u32) -> (Self, Document) {
        let conn = connection(bench, "sip:bob@192.0.2.20");
        bench.did();
        bench.tcp(conn, &asks("<sip:bob@192.0.2.20>", expires));
        let did = bench.did();
        let [(_, Did::Wrote { text: ok, .. }), (_, Did::Opening { conn: told_by, remote })] = &did[..] else {
            panic!("{did:?}")
        };
        assert_eq!((first_line(ok), *remote), ("SIP/2.0 200 OK", "192.0.2.21:5080".parse().unwrap()));
        let mut phone = Self { conn, told_by: *told_by, ok: ok.clone() };
        bench.connected(phone.told_by, "192.0.2.21:5080");
        let document = phone.document(bench).expect("it is told everybody");
        (phone, document)
    }

    /// Takes the NOTIFY that it gets, answers it, and returns what it says.
    fn document(&mut self, bench: &mut Bench) -> Option<Document> {
        let mut texts = Vec::new();
        for (_, did) in bench.did() {
            match did {
                Did::Opening { conn, .. } => {
                    self.told_by = conn;
                    bench.connected(conn, "192.0.2.21:5080");
                    texts.extend(bench.texts());
                }
                did => texts.extend(did.text().map(str::to_owned)),
            }
        }
        let notify = texts.into_iter().find(|text| header(text, "Event") == Some("presence.winfo"))?;
        bench.tcp(self.told_by, &answer(&notify, "200 OK", ""));
        assert_eq!(header(&notify, "Content-Type"), Some("application/watcherinfo+xml"));
        let body = notify.split_once("\r\n\r\n").unwrap().1;
        assert!(body.contains("<watcher-list resource=\"sip:bob@192.0.2.20\" package=\"presence\">"), "{body}");
        Some(Document::parse(body.as_bytes(), None).unwrap())
    }

    fn refresh(&mut self, bench: &mut Bench, seq: u32, expires: u32) -> Option<Document> {
        let tag = param(&self.ok, "To", "tag").unwrap();
        let text = asks("<sip:bob@192.0.2.20>", expires)
            .replace("To: <sip:bob@192.0.2.20>", &format!("To: <sip:bob@192.0.2.20>;tag={tag}"))
            .replace("CSeq: 1", &format!("CSeq: {seq}"))
            .replace("branch=z9hG4bKa1", &format!("branch=z9hG4bKr{seq}"));
        bench.tcp(self.conn, &text);
        self.document(bench)
    }
}

/// What a document says of whom.
fn says(document: &Document) -> Vec<(&str, Status, Event)> {
    let watchers = document.lists.iter().flat_map(|list| &list.watchers);
    watchers.map(|watcher| (watcher.uri.as_str(), watcher.status, watcher.event)).collect()
}

const WATCHER: &str = "sip:alice@192.0.2.10";

fn decide(bench: &mut Bench, action: Option<Action>) {
    let mut policy = Policy::new(Action::Ask);
    if let Some(action) = action {
        policy.set(WATCHER, action);
    }
    let now = bench.now();
    bench.core.set_policy(policy, now, &mut bench.out);
    bench.feed(Input::Tick);
}

#[test]
fn win_02_and_sec_21_whoever_has_not_proven_to_be_us_is_refused() {
    for (key_of, from) in [
        ("sip:alice@192.0.2.10", "<sip:alice@192.0.2.10>"),
        ("sip:alice@192.0.2.10", "<sip:bob@192.0.2.20>"),
        ("sip:bob@192.0.2.20", "<sip:alice@192.0.2.10>"),
        ("", "<sip:bob@192.0.2.20>"),
    ] {
        let mut bench = bench();
        bench.subscribed();
        let conn = connection(&mut bench, key_of);
        bench.did();
        bench.tcp(conn, &asks(from, 300));
        assert_eq!(first_line(&bench.only()), "SIP/2.0 403 Forbidden", "{key_of} {from}");
    }
    // Nor whoever comes without a connection, watching us though he may, nor who asks for somebody else.
    let mut bench = bench();
    bench.subscribed();
    let request = SUBSCRIBE.replace("Event: presence", "Event: presence.winfo").replace("z9hG4bKa1", "z9hG4bKb1");
    let request = request.replace("application/pidf+xml", "application/watcherinfo+xml").replace("3f2b", "4f2b");
    assert_eq!(bench.status_of(&request), "SIP/2.0 403 Forbidden");
    let conn = connection(&mut bench, "sip:bob@192.0.2.20");
    bench.did();
    bench.tcp(conn, &asks("<sip:bob@192.0.2.20>", 300).replace("SUBSCRIBE sip:bob@", "SUBSCRIBE sip:carol@"));
    assert_eq!(first_line(&bench.only()), "SIP/2.0 404 Not Found");
    bench.tcp(
        conn,
        &asks("<sip:bob@192.0.2.20>", 300).replace("presence.winfo", "presence.winfo.winfo").replace("a1", "a2"),
    );
    assert_eq!(first_line(&bench.only()), "SIP/2.0 489 Bad Event");
}

#[test]
fn win_01_and_03_the_first_document_tells_everybody_and_the_next_ones_what_changed() {
    let mut bench = bench();
    let (_, first) = Phone::subscribe(&mut bench, 300);
    assert_eq!((first.version, first.full, says(&first)), (0, true, vec![]));

    let mut bench = self::bench();
    bench.subscribed();
    let (mut phone, first) = Phone::subscribe(&mut bench, 3600);
    assert_eq!((first.version, first.full), (0, true));
    assert_eq!(says(&first), [(WATCHER, Status::Pending, Event::Subscribe)]);
    let alice = &first.lists[0].watchers[0];
    assert_eq!((alice.expiration, alice.duration), (Some(300), Some(0)));
    bench.run_until(6000);
    decide(&mut bench, Some(Action::Allow));
    let second = phone.document(&mut bench).unwrap();
    assert_eq!((second.version, second.full), (1, false));
    assert_eq!(says(&second), [(WATCHER, Status::Active, Event::Approved)]);
    assert_eq!(second.lists[0].watchers[0].id, alice.id, "WIN-05: it keeps its id");
    bench.run_until(12_000);
    decide(&mut bench, Some(Action::Block));
    let third = phone.document(&mut bench).unwrap();
    assert_eq!((third.version, third.full), (2, false));
    assert_eq!(says(&third), [(WATCHER, Status::Terminated, Event::Rejected)]);
    // Nothing more is said of who is gone, and a refresh has everybody told again.
    bench.run_until(30_000);
    assert_eq!(phone.document(&mut bench), None);
    let again = phone.refresh(&mut bench, 2, 3600).unwrap();
    assert_eq!((again.version, again.full, says(&again)), (3, true, vec![]));
    let last = phone.refresh(&mut bench, 3, 0).unwrap();
    assert_eq!(last.version, 4);
    bench.run_until(60_000);
    bench.udp(ALICE, &SUBSCRIBE.replace("sip:alice@192.0.2.10>", "sip:carol@192.0.2.10>").replace("3f2b", "4f2b"));
    assert_eq!(phone.document(&mut bench), None, "it has unsubscribed");
}

#[test]
fn win_04_who_left_undecided_is_told_as_waiting_until_it_is_decided() {
    let mut bench = bench();
    bench.subscribed();
    let (mut phone, _) = Phone::subscribe(&mut bench, 3600);
    bench.run_until(300_000);
    let given_up = phone.document(&mut bench).unwrap();
    assert_eq!(
        says(&given_up),
        [(WATCHER, Status::Waiting, Event::Timeout), (WATCHER, Status::Terminated, Event::Giveup)]
    );
    bench.run_until(310_000);
    decide(&mut bench, Some(Action::Allow));
    let decided = phone.document(&mut bench).unwrap();
    assert_eq!(says(&decided), [(WATCHER, Status::Terminated, Event::Approved)]);

    // By a rule, whatever its name says.
    for (id, action, event) in
        [("dear-colleagues", Action::Block, Event::Rejected), ("blockheads", Action::Allow, Event::Approved)]
    {
        let mut bench = self::bench();
        bench.subscribed();
        let (mut phone, _) = Phone::subscribe(&mut bench, 3600);
        bench.run_until(300_000);
        phone.document(&mut bench).unwrap();
        bench.run_until(310_000);
        let rule = Rule { who: Some(vec![Who::One(WATCHER.into())]), ..Rule::new(id, action) };
        let policy = bench.core.policy().clone().with_rules(vec![rule]);
        let now = bench.now();
        bench.core.set_policy(policy, now, &mut bench.out);
        bench.feed(Input::Tick);
        assert_eq!(says(&phone.document(&mut bench).unwrap()), [(WATCHER, Status::Terminated, event)], "{id}");
    }

    // One that nobody cares about any more.
    let mut bench = self::bench();
    bench.subscribed();
    bench.run_until(400_000);
    bench.did();
    let (mut phone, first) = Phone::subscribe(&mut bench, 3600);
    assert_eq!(says(&first), [(WATCHER, Status::Waiting, Event::Timeout)]);
    let now = bench.now();
    bench.core.forget_watcher(WATCHER, now, &mut bench.out);
    bench.feed(Input::Tick);
    bench.run_until(410_000);
    assert_eq!(says(&phone.document(&mut bench).unwrap()), [(WATCHER, Status::Terminated, Event::Giveup)]);
}

#[test]
fn win_06_a_burst_is_told_at_most_every_five_seconds() {
    let mut bench = bench();
    let (phone, _) = Phone::subscribe(&mut bench, 3600);
    let (mut told, mut versions) = (Vec::new(), Vec::new());
    for n in 0..200_u64 {
        let subscribe = SUBSCRIBE
            .replace("sip:alice@192.0.2.10>", &format!("sip:w{n}@192.0.2.10>"))
            .replace("3f2b", &format!("{n}-"))
            .replace("a1;", &format!("a1{n};"));
        bench.udp(ALICE, &subscribe);
        for (at, notify) in bench.sent().iter().filter(|(_, text)| text.starts_with("NOTIFY")) {
            let is_ours = header(notify, "Event") == Some("presence.winfo");
            let reply = answer(notify, "200 OK", "");
            if is_ours {
                told.push(*at);
                versions
                    .push(Document::parse(notify.split_once("\r\n\r\n").unwrap().1.as_bytes(), None).unwrap().version);
                bench.tcp(phone.told_by, &reply);
            } else {
                bench.udp(ALICE, &reply);
            }
        }
        bench.run_until(100 * (n + 1));
    }
    assert!((3..=6).contains(&told.len()), "{told:?}");
    assert!(told.windows(2).all(|two| two[1] - two[0] >= 5000), "{told:?}");
    assert!(versions.windows(2).all(|two| two[1] == two[0] + 1), "{versions:?}");
}

#[test]
fn win_02_one_look_is_answered_once_and_our_own_request_that_comes_back_tells_us_nothing_new() {
    let mut bench = bench();
    bench.subscribed();
    let conn = connection(&mut bench, "sip:bob@192.0.2.20");
    bench.did();
    bench.tcp(conn, &asks("<sip:bob@192.0.2.20>", 0));
    let opening = bench.did().into_iter().find_map(|(_, did)| match did {
        Did::Opening { conn, .. } => Some(conn),
        _ => None,
    });
    bench.connected(opening.unwrap(), "192.0.2.21:5080");
    let notify = bench.only();
    assert_eq!(header(&notify, "Subscription-State"), Some("terminated;reason=timeout"));
    assert!(notify.contains(">sip:alice@192.0.2.10</watcher>"), "{notify}");

    // A server that passes our own question on to us.
    let server = Some(Server { watcher_info: true, ..Server::new(Some("sip:192.0.2.100".parse().unwrap())) });
    let mut bench = Bench::with(CoreConfig { server, policy: Policy::new(Action::Ask), ..config(BOB) });
    bench.subscribed();
    let now = bench.now();
    bench.core.begin(now, &mut bench.out);
    bench.feed(Input::Tick);
    let sent = bench.texts();
    let question = sent.iter().find(|text| header(text, "Event") == Some("presence.winfo")).unwrap();
    let hop = "Via: SIP/2.0/UDP 192.0.2.100:5060;branch=z9hG4bKhop\r\nRecord-Route: <sip:192.0.2.100:5060;lr>\r\nVia: ";
    bench.udp("192.0.2.100:5060", &question.replacen("Via: ", hop, 1));
    let sent = bench.texts();
    let notify = sent.iter().find(|text| text.starts_with("NOTIFY")).unwrap_or_else(|| panic!("{sent:#?}"));
    assert!(notify.contains(">sip:alice@192.0.2.10</watcher>"), "{notify}");
    bench.udp("192.0.2.100:5060", notify);
    let watchers: Vec<_> = bench.core.watchers().into_iter().map(|watcher| (watcher.who, watcher.via)).collect();
    assert_eq!(watchers, [(WATCHER.to_owned(), sippresence::presence::event::Via::Direct)]);
}
