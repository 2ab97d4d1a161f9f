//! Dialogs of both sides in virtual time (RFC 3261 §12, RFC 6665; conformance 1.2).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use sippresence::presence::{PresenceStatus, core::Input};
use support::{ALICE, Bench, Did, SUBSCRIBE, address, answer, first_line, header, notify_for, param};

/// A request of alice's in the dialog that `ok` made.
fn in_dialog(ok: &str, cseq: u32, expires: u32) -> String {
    SUBSCRIBE
        .replace("a1;", &format!("d{cseq};"))
        .replace("To: <sip:bob@192.0.2.20>", &format!("To: {}", header(ok, "To").unwrap()))
        .replace("CSeq: 1", &format!("CSeq: {cseq}"))
        .replace("Expires: 300", &format!("Expires: {expires}"))
}

/// Bob watches alice, and her NOTIFY came; returns his SUBSCRIBE.
fn watching(bench: &mut Bench, notify: impl Fn(&str) -> String) -> String {
    bench.watch("sip:alice@192.0.2.10");
    let subscribe = bench.only();
    bench.udp(ALICE, &answer(&subscribe, "200 OK", "Expires: 300\nContact: <sip:other@192.0.2.77>\n"));
    bench.udp(ALICE, &notify(&subscribe));
    assert_eq!(first_line(&bench.only()), "SIP/2.0 200 OK");
    subscribe
}

/// Runs until the refresh leaves; returns where it goes and what it says.
fn refresh(bench: &mut Bench) -> (String, String) {
    let until = bench.ms + 300_000;
    while bench.ms < until {
        bench.run_until(bench.ms + 100);
        if let Some((_, Did::Sent { remote, text, .. })) = bench.did().into_iter().next() {
            return (remote.to_string(), text);
        }
    }
    panic!("no refresh");
}

fn routes(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("Route: ")).collect()
}

const PATH: &str = "Record-Route: <sip:192.0.2.10:5080;lr>, <sip:p1.example.com;lr;ftag=a7>;x=\"a,b\"\n\
                    Record-Route: <sip:192.0.2.99;lr>\nEvent:";

#[test]
fn dlg_01_and_03_a_notify_takes_the_path_that_the_subscribe_recorded() {
    let mut bench = Bench::new();
    bench.udp(ALICE, &SUBSCRIBE.replace("Event:", PATH).replace("alice@192.0.2.10:5060>\n", "alice@10.0.0.7:5070>\n"));
    let did = bench.did();
    let [(_, ok), (_, Did::Sent { remote, text: notify, .. })] = &did[..] else { panic!("{did:?}") };
    let ok = ok.text().unwrap();
    let recorded: Vec<&str> = ok.lines().filter(|line| line.starts_with("Record-Route")).collect();
    assert_eq!(
        recorded,
        [
            "Record-Route: <sip:192.0.2.10:5080;lr>, <sip:p1.example.com;lr;ftag=a7>;x=\"a,b\"",
            "Record-Route: <sip:192.0.2.99;lr>"
        ]
    );
    assert_eq!(*remote, address("192.0.2.10:5080"), "the first hop");
    assert_eq!(first_line(notify), "NOTIFY sip:alice@10.0.0.7:5070 SIP/2.0");
    assert_eq!(routes(notify), ["<sip:192.0.2.10:5080;lr>", "<sip:p1.example.com;lr;ftag=a7>", "<sip:192.0.2.99;lr>"]);
    assert_eq!(header(notify, "Call-ID"), Some("3f2b9c0e-6a41"));
    assert_eq!(param(notify, "To", "tag"), Some("a7f3c9d1"));
    assert_eq!(param(notify, "From", "tag"), param(ok, "To", "tag"));
}

#[test]
fn dlg_02_and_03_the_notify_makes_the_dialog_not_the_response() {
    let mut bench = Bench::new();
    bench.watch("sip:alice@192.0.2.10");
    let subscribe = bench.only();
    let ok = "Expires: 300\nContact: <sip:wrong@192.0.2.77>\nRecord-Route: <sip:192.0.2.88;lr>\n";
    bench.udp(ALICE, &answer(&subscribe, "200 OK", ok));
    let notify = notify_for(&subscribe, 1, "active;expires=300").replace("Event:", PATH);
    bench.udp(ALICE, &notify.replace("Contact: <sip:alice@192.0.2.10:5060>", "Contact: <sip:alice@10.0.0.7>"));
    bench.did();
    let (to, refresh) = refresh(&mut bench);
    assert_eq!(to, "192.0.2.10:5080");
    assert_eq!(first_line(&refresh), "SUBSCRIBE sip:alice@10.0.0.7 SIP/2.0");
    assert_eq!(routes(&refresh).len(), 3);
    assert_eq!(param(&refresh, "To", "tag"), Some("peer-1"));
    assert_eq!(param(&refresh, "From", "tag"), param(&subscribe, "From", "tag"));
    assert_eq!(header(&refresh, "CSeq"), Some("2 SUBSCRIBE"));
}

#[test]
fn dlg_03_an_unsubscribe_takes_the_path_too() {
    let mut bench = Bench::new();
    let id = bench.watch("sip:alice@192.0.2.10");
    let subscribe = bench.only();
    bench.udp(ALICE, &notify_for(&subscribe, 1, "active;expires=300").replace("Event:", PATH));
    bench.did();
    let now = bench.now();
    bench.core.unwatch(id, now, &mut bench.out);
    bench.feed(Input::Tick);
    let unsubscribe = bench.only();
    assert_eq!(first_line(&unsubscribe), "SUBSCRIBE sip:alice@192.0.2.10:5060 SIP/2.0");
    assert_eq!(header(&unsubscribe, "Expires"), Some("0"));
    assert_eq!(routes(&unsubscribe).len(), 3);
}

#[test]
fn dlg_04_a_strict_router_gets_the_request_in_its_own_form() {
    let mut bench = Bench::new();
    let path = PATH.replacen(";lr", "", 1);
    bench.udp(ALICE, &SUBSCRIBE.replace("Event:", &path));
    let notify = bench.texts().remove(1);
    assert_eq!(first_line(&notify), "NOTIFY sip:192.0.2.10:5080 SIP/2.0");
    assert_eq!(
        routes(&notify),
        ["<sip:p1.example.com;lr;ftag=a7>", "<sip:192.0.2.99;lr>", "<sip:alice@192.0.2.10:5060>"]
    );
}

#[test]
fn dlg_05_the_watcher_follows_a_changed_contact_but_keeps_the_path() {
    let mut bench = Bench::new();
    let subscribe = watching(&mut bench, |s| notify_for(s, 1, "active;expires=300"));
    let moved = notify_for(&subscribe, 2, "active;expires=300").replace(
        "Contact: <sip:alice@192.0.2.10:5060>",
        "Contact: <sip:alice@192.0.2.11:5072>\nRecord-Route: <sip:h;lr>",
    );
    bench.udp(ALICE, &moved);
    bench.did();
    let (to, refresh) = refresh(&mut bench);
    assert_eq!(to, "192.0.2.11:5072");
    assert_eq!(first_line(&refresh), "SUBSCRIBE sip:alice@192.0.2.11:5072 SIP/2.0");
    assert_eq!(routes(&refresh), [""; 0]);
}

#[test]
fn dlg_05_the_notifier_follows_a_changed_contact_but_keeps_the_path() {
    let mut bench = Bench::new();
    let (ok, _) = bench.subscribed();
    let moved =
        in_dialog(&ok, 2, 300).replace("Contact: <sip:alice@192.0.2.10:5060>", "Contact: <sip:a@192.0.2.10:5072>");
    bench.udp(ALICE, &moved.replace("Event:", "Record-Route: <sip:192.0.2.10:5090;lr>\nEvent:"));
    let did = bench.did();
    let [_, (_, Did::Sent { remote, text: notify, .. })] = &did[..] else { panic!("{did:?}") };
    assert_eq!(*remote, address("192.0.2.10:5072"));
    assert_eq!(first_line(notify), "NOTIFY sip:a@192.0.2.10:5072 SIP/2.0");
    assert_eq!(routes(notify), [""; 0]);
}

#[test]
fn dlg_06_and_09_a_request_in_a_dialog_that_is_not_ours_gets_481() {
    let mut bench = Bench::new();
    let (ok, _) = bench.subscribed();
    let good = in_dialog(&ok, 2, 300);
    let tag = param(&ok, "To", "tag").unwrap();
    for (stale, n) in [
        (good.replace(tag, "b90e1c47a3d58f21"), 1),
        (good.replace(tag, "x"), 2),
        (good.replace("3f2b9c0e-6a41", "3F2B9C0E-6A41"), 3),
        (good.replace("tag=a7f3c9d1", "tag=a7f3c9d2"), 4),
        (good.replace("Event: presence", "Event: presence;id=7"), 5),
    ] {
        let status = bench.status_of(&stale.replace("d2;", &format!("stale{n};")));
        assert_eq!(status, "SIP/2.0 481 Subscription Does Not Exist", "{n}");
    }
    assert_eq!(bench.core.watchers().len(), 1);
    assert_eq!(bench.status_of(&good), "SIP/2.0 200 OK");
}

#[test]
fn dlg_06_and_09_a_notify_in_a_dialog_that_is_not_ours_gets_481() {
    let mut bench = Bench::new();
    let subscribe = watching(&mut bench, |s| notify_for(s, 1, "active;expires=300"));
    let good = notify_for(&subscribe, 2, "active;expires=300");
    let call_id = header(&subscribe, "Call-ID").unwrap();
    for (stale, n) in [
        (good.replace(param(&subscribe, "From", "tag").unwrap(), "aaaaaaaaaaaaaaaa"), 1),
        (good.replace(call_id, &call_id.to_uppercase()), 2),
        (good.replace("tag=peer-1", "tag=peer-2"), 3),
    ] {
        let status = bench.status_of(&stale.replace("n2;", &format!("stale{n};")));
        assert_eq!(status, "SIP/2.0 481 Subscription Does Not Exist", "{n}");
    }
    assert_eq!(bench.status_of(&good), "SIP/2.0 200 OK");
}

#[test]
fn dlg_07_a_lower_cseq_is_refused_and_a_gap_is_fine() {
    let mut bench = Bench::new();
    let subscribe = watching(&mut bench, |s| notify_for(s, 5, "active;expires=300"));
    let old = notify_for(&subscribe, 4, "terminated;reason=rejected");
    assert_eq!(bench.status_of(&old), "SIP/2.0 500 Server Internal Error");
    assert_eq!(bench.status_of(&notify_for(&subscribe, 9, "active;expires=300")), "SIP/2.0 200 OK");

    let mut bench = Bench::new();
    let (ok, _) = bench.subscribed();
    assert_eq!(bench.status_of(&in_dialog(&ok, 9, 300)), "SIP/2.0 200 OK");
    assert_eq!(bench.status_of(&in_dialog(&ok, 8, 0)), "SIP/2.0 500 Server Internal Error");
    assert_eq!(bench.core.watchers().len(), 1, "the old unsubscribe changed nothing");
}

#[test]
fn dlg_08_each_direction_counts_by_one() {
    let mut bench = Bench::new();
    let (ok, first) = bench.subscribed();
    let mut cseqs = vec![header(&first, "CSeq").unwrap().to_owned()];
    for round in 1..=5 {
        bench.run_until(round * 60_000);
        bench.publish(PresenceStatus::Busy, &format!("round {round}"));
        for notify in bench.texts() {
            cseqs.push(header(&notify, "CSeq").unwrap().to_owned());
            bench.udp(ALICE, &answer(&notify, "200 OK", ""));
        }
        bench.udp(ALICE, &in_dialog(&ok, 10 + round as u32, 300));
        let notify = bench.texts().remove(1);
        cseqs.push(header(&notify, "CSeq").unwrap().to_owned());
        bench.udp(ALICE, &answer(&notify, "200 OK", ""));
    }
    assert_eq!(cseqs, (1..=11).map(|n| format!("{n} NOTIFY")).collect::<Vec<_>>());

    let mut bench = Bench::new();
    let subscribe = watching(&mut bench, |s| notify_for(s, 7_000_000, "active;expires=300"));
    assert_eq!(header(&subscribe, "CSeq"), Some("1 SUBSCRIBE"));
    for round in 2..=5 {
        let (_, again) = refresh(&mut bench);
        assert_eq!(header(&again, "CSeq").unwrap(), format!("{round} SUBSCRIBE"));
        bench.udp(ALICE, &answer(&again, "200 OK", "Expires: 300\n"));
        bench.udp(ALICE, &notify_for(&again, 7_000_000 + round, "active;expires=300"));
        bench.did();
    }
}

#[test]
fn dlg_09_names_and_uris_do_not_matter_to_a_dialog() {
    let mut bench = Bench::new();
    let (ok, _) = bench.subscribed();
    let tag = param(&ok, "To", "tag").unwrap();
    let renamed = in_dialog(&ok, 2, 300)
        .replace("To: <sip:bob@192.0.2.20>", "To: \"Robert; tag=x\" <sip:robert@example.com>")
        .replace("\"Alice\" <sip:alice@192.0.2.10>", "<sip:somebody@example.net>");
    assert!(renamed.contains(tag));
    assert_eq!(bench.status_of(&renamed), "SIP/2.0 200 OK");
    assert_eq!(bench.core.watchers().len(), 1);
}

#[test]
fn dlg_10_each_message_that_makes_a_dialog_has_one_contact_that_can_be_reached() {
    let contacts = |text: &str| text.lines().filter(|line| line.starts_with("Contact:")).count();
    let mut bench = Bench::new();
    let (ok, notify) = bench.subscribed();
    bench.watch("sip:alice@192.0.2.10");
    let subscribe = bench.only();
    for text in [&ok, &notify, &subscribe] {
        assert_eq!((contacts(text), header(text, "Contact")), (1, Some("<sip:bob@192.0.2.20:5060>")), "{text}");
    }
    bench.watch("sip:carol@127.0.0.1:5070");
    assert_eq!(header(&bench.only(), "Contact"), Some("<sip:bob@127.0.0.1:5060>"), "by the way it takes");

    let to_loopback = SUBSCRIBE.replace("192.0.2.10", "127.0.0.1").replace("5060", "5070").replace("3f2b", "3f2c");
    bench.udp_at(address("127.0.0.1:5060"), "127.0.0.1:5070", &to_loopback);
    for text in bench.texts() {
        assert_eq!(header(&text, "Contact"), Some("<sip:bob@127.0.0.1:5060>"), "{text}");
    }
}

#[test]
fn dlg_10_a_subscribe_without_a_contact_or_with_two_is_refused() {
    for bad in ["", "Contact: <sip:a@192.0.2.10>, <sip:b@192.0.2.10>\n"] {
        let request = SUBSCRIBE.replace("Contact: <sip:alice@192.0.2.10:5060>\n", bad);
        assert_eq!(Bench::new().status_of(&request), "SIP/2.0 400 Bad Request");
    }
}
