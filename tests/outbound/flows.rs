//! A binding by a connection of ours, and by another when that is gone: TRN-26.

use sippresence::presence::{
    core::{Core, Input, WatchId},
    event::WatcherGrade,
};

use crate::{
    registrar::{DEVICE, Registrar, SERVER},
    support::{Did, answer, header, notify_for},
};

const HOUR: u64 = 3_600_000;
const OUTBOUND: &str = "Require: outbound\r\n";

fn contact() -> String {
    format!("<sip:bob@192.0.2.20:5060;transport=tcp>;+sip.instance=\"<{DEVICE}>\";reg-id=1")
}

/// Bob watches alice by his connection.
fn watching(registrar: &mut Registrar) -> (WatchId, String) {
    let id = registrar.bench.watch("sip:alice@example.com");
    let subscribe = registrar.bench.only();
    let alice = "Contact: <sip:alice@192.0.2.100:5060;transport=tcp>\r\nExpires: 3600\r\n";
    registrar.bench.tcp(registrar.conn, &answer(&subscribe, "200 OK", alice));
    let notify = notify_for(&subscribe, 1, "active;expires=3600").replace("UDP", "TCP");
    registrar.bench.tcp(registrar.conn, &notify.replace("192.0.2.10:5060>", "192.0.2.100:5060;transport=tcp>"));
    registrar.bench.did();
    (id, subscribe)
}

#[test]
fn trn_26_a_register_by_a_stream_names_the_instance_and_the_flow() {
    let (_, register) = Registrar::new();
    let branch = register.split("branch=").nth(1).unwrap().split(';').next().unwrap();
    let tag = header(&register, "From").unwrap().split("tag=").nth(1).unwrap();
    let expected = format!(
        "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.20:5060;branch={branch};keep\r\n\
         Max-Forwards: 70\r\nRoute: <sip:192.0.2.100:5060;transport=tcp;lr>\r\nFrom: <sip:bob@example.com>;tag={tag}\r\n\
         To: <sip:bob@example.com>\r\nCall-ID: {}\r\nCSeq: 1 REGISTER\r\nContact: {}\r\nSupported: outbound, path\r\n\
         Expires: 3600\r\nAllow: NOTIFY, OPTIONS, SUBSCRIBE\r\nUser-Agent: sippresence/0.1\r\nContent-Length: 0\r\n\r\n",
        header(&register, "Call-ID").unwrap(),
        contact(),
    );
    assert_eq!(register, expected);
}

#[test]
fn trn_26_datagrams_have_no_flow() {
    let mut registrar = Registrar::by("udp");
    let register = registrar.bench.only();
    assert_eq!(header(&register, "Contact"), Some("<sip:bob@192.0.2.20:5060>"));
    assert_eq!(header(&register, "Supported"), None);
    registrar.bench.watch("sip:alice@example.com");
    assert_eq!(header(&registrar.bench.only(), "Contact"), Some("<sip:bob@192.0.2.20:5060>"));
}

#[test]
fn trn_26_a_refresh_keeps_the_instance_the_flow_and_the_connection() {
    let mut registrar = Registrar::registered("", OUTBOUND);
    let refresh = registrar.refresh(HOUR);
    assert_eq!((header(&refresh, "Contact"), header(&refresh, "CSeq")), (Some(&*contact()), Some("2 REGISTER")));
    // Who routes by the flow may name another address; the time is that of our instance.
    let theirs = contact().replace("192.0.2.20:5060", "198.51.100.7:1024");
    let others = "Contact: <sip:bob@192.0.2.99>;expires=7";
    registrar.accept(&refresh, "", &format!("{OUTBOUND}{others}, {theirs};expires=600\r\n"));
    let at = registrar.bench.ms;
    registrar.refresh(at + 600_000);
}

#[test]
fn trn_26_a_subscription_of_who_is_registered_has_its_notifications_come_by_the_same_flow() {
    let mut registrar = Registrar::registered("", OUTBOUND);
    registrar.bench.watch("sip:alice@example.com");
    let [(_, Did::Wrote { conn, text })] = &registrar.bench.did()[..] else { panic!("no SUBSCRIBE") };
    assert_eq!((*conn, header(text, "Contact")), (registrar.conn, Some("<sip:bob@192.0.2.20:5060;transport=tcp;ob>")));
    // Elsewhere nobody knows of it.
    registrar.bench.watch("sip:carol@192.0.2.30;transport=tcp");
    let [(_, Did::Opening { conn, .. })] = registrar.bench.did()[..] else { panic!("no connection") };
    registrar.bench.connected(conn, "192.0.2.30:5060");
    let text = registrar.bench.only();
    assert_eq!(header(&text, "Contact"), Some("<sip:bob@192.0.2.20:5060;transport=tcp>"));
}

#[test]
fn trn_26_of_several_servers_the_one_with_the_flow_is_asked_while_it_stands() {
    let mut registrar = Registrar::through("sip:proxy.example.com:5060;transport=tcp");
    registrar.found_at(SERVER);
    let register = registrar.connected();
    registrar.accept(&register, "", "Require: outbound\r\nFlow-Timer: 4000\r\n");
    let home = registrar.conn;
    for method in ["SUBSCRIBE ", "REGISTER "] {
        if method == "SUBSCRIBE " {
            registrar.bench.watch("sip:alice@example.com");
        } else {
            registrar.bench.run_until_it_acts(HOUR);
        }
        registrar.found_at("192.0.2.101:5060");
        let [(_, Did::Wrote { conn, text })] = &registrar.bench.did()[..] else { panic!("no {method}") };
        assert!(*conn == home && text.starts_with(method), "{text}");
        registrar.bench.tcp(home, &answer(text, "403 Forbidden", ""));
        registrar.bench.did();
    }
    registrar.bench.feed(Input::Closed(home));
    registrar.bench.watch("sip:carol@example.com");
    registrar.found_at("192.0.2.101:5060");
    let [(_, Did::Opening { remote, .. })] = registrar.bench.did()[..] else { panic!("no connection") };
    assert_eq!(remote, "192.0.2.101:5060".parse().unwrap());
}

#[test]
fn trn_26_a_flow_that_is_gone_is_replaced_by_another_one_after_15_to_30_seconds() {
    let mut pauses = Vec::new();
    let mut registrar = Registrar::registered("", OUTBOUND);
    for round in 1..=20 {
        registrar.bench.run_until(registrar.bench.ms + 50_000);
        let (conn, gone_at) = (registrar.conn, registrar.bench.ms);
        registrar.bench.feed(Input::Closed(conn));
        assert_eq!(registrar.registration().state, "unsure");
        let (register, at) = registrar.reconnected(HOUR);
        assert_ne!(registrar.conn, conn);
        assert_eq!((header(&register, "Contact"), header(&register, "Expires")), (Some(&*contact()), Some("3600")));
        assert_eq!(header(&register, "CSeq").unwrap(), format!("{} REGISTER", round + 1));
        registrar.accept(&register, "", OUTBOUND);
        assert_eq!(registrar.registration().state, "standing");
        pauses.push(at - gone_at);
    }
    assert!(pauses.iter().all(|pause| (15_000..=30_001).contains(pause)), "{pauses:?}");
    assert!(pauses.iter().max().unwrap() - pauses.iter().min().unwrap() > 7_000, "they are drawn: {pauses:?}");
}

#[test]
fn trn_26_each_failure_to_form_a_flow_doubles_the_pause_up_to_half_an_hour() {
    let mut registrar = Registrar::registered("", OUTBOUND);
    registrar.bench.feed(Input::Closed(registrar.conn));
    let mut before = 0;
    for longest in [30_000, 60_000, 120_000, 240_000, 480_000, 960_000, 1_800_000, 1_800_000, 1_800_000] {
        let (at, did) = registrar.next_until(10 * HOUR);
        let Did::Opening { conn, .. } = did else { panic!("{did:?}") };
        let pause = at - before;
        assert!((longest / 2..=longest + 1).contains(&pause), "{pause} for {longest}");
        registrar.bench.feed(Input::Closed(conn));
        before = at;
    }
    // What stood was kept until its end, and nothing is left of it.
    assert_eq!(registrar.registration().state, "waiting");
    // One success, and all is as it was.
    let (register, _) = registrar.reconnected(10 * HOUR);
    registrar.accept(&register, "", OUTBOUND);
    let gone_at = registrar.bench.ms;
    registrar.bench.feed(Input::Closed(registrar.conn));
    let (_, at) = registrar.reconnected(10 * HOUR);
    assert!((15_000..=30_001).contains(&(at - gone_at)), "{at}");
}

#[test]
fn trn_26_a_server_that_forbids_it_is_not_asked_before() {
    let mut registrar = Registrar::registered("", OUTBOUND);
    let refresh = registrar.refresh(HOUR);
    registrar.bench.tcp(registrar.conn, &answer(&refresh, "503 Service Unavailable", "Retry-After: 500\r\n"));
    let refused_at = registrar.bench.ms;
    registrar.bench.feed(Input::Closed(registrar.conn));
    let (_, at) = registrar.reconnected(2 * HOUR);
    assert_eq!(at, refused_at + 500_000);
}

#[test]
fn trn_26_a_refresh_that_nobody_answers_ends_the_flow() {
    let mut registrar = Registrar::registered("", "Require: outbound\r\nFlow-Timer: 4000\r\n");
    let conn = registrar.conn;
    registrar.refresh(HOUR);
    let asked_at = registrar.bench.ms;
    assert_eq!(registrar.next_until(HOUR), (asked_at + 32_000, Did::Closed { conn }));
    assert_eq!(registrar.registration().state, "waiting");
    let (register, at) = registrar.reconnected(2 * HOUR);
    assert!((30_000..=60_001).contains(&(at - asked_at - 32_000)), "{at}");
    assert_eq!(header(&register, "Contact"), Some(&*contact()));
}

#[test]
fn trn_26_subscriptions_by_the_flow_are_made_anew_by_the_next_after_the_binding() {
    let mut registrar = Registrar::registered("", OUTBOUND);
    let (id, subscribe) = watching(&mut registrar);
    registrar.bench.feed(Input::Closed(registrar.conn));
    let (register, at) = registrar.reconnected(HOUR);
    assert!(register.starts_with("REGISTER "), "{register}");
    registrar.accept(&register, "", OUTBOUND);
    let (asked_at, did) = registrar.next_until(HOUR);
    let Did::Wrote { conn, text } = did else { panic!("{did:?}") };
    assert!(asked_at <= at + 3_001 && conn == registrar.conn, "{asked_at}");
    assert_ne!(header(&text, "Call-ID"), header(&subscribe, "Call-ID"));
    assert_eq!(header(&text, "Contact"), Some("<sip:bob@192.0.2.20:5060;transport=tcp;ob>"));
    assert_eq!(registrar.bench.core.state(id).unwrap().subscription.as_ref().unwrap().state, "subscribing");
}

#[test]
fn trn_26_a_refresh_whose_route_leads_by_a_flow_that_failed_makes_the_subscription_anew() {
    let mut registrar = Registrar::registered("", OUTBOUND);
    let (_, subscribe) = watching(&mut registrar);
    let refresh = loop {
        match registrar.next_until(HOUR) {
            (_, Did::Wrote { text, .. }) if text == "\r\n\r\n" => registrar.pong(),
            (_, Did::Wrote { text, .. }) if text.starts_with("SUBSCRIBE ") => break text,
            (_, Did::Wrote { text, .. }) => registrar.accept(&text, "", OUTBOUND),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(header(&refresh, "Call-ID"), header(&subscribe, "Call-ID"));
    registrar.bench.tcp(registrar.conn, &answer(&refresh, "430 Flow Failed", ""));
    let anew = registrar.bench.only();
    assert_ne!(header(&anew, "Call-ID"), header(&subscribe, "Call-ID"));
}

#[test]
fn trn_26_a_first_hop_without_outbound_is_registered_by_without_it() {
    let (mut registrar, register) = Registrar::new();
    registrar.bench.tcp(registrar.conn, &answer(&register, "439 First Hop Lacks Outbound Support", ""));
    let plain = registrar.bench.only();
    assert_eq!(header(&plain, "Contact"), Some("<sip:bob@192.0.2.20:5060;transport=tcp>"));
    assert_eq!((header(&plain, "Supported"), header(&plain, "CSeq")), (None, Some("2 REGISTER")));
    registrar.accept(&plain, ";keep=1000", "");
    // It is remembered, and said but once.
    let refresh = registrar.refresh(HOUR);
    assert_eq!(header(&refresh, "Supported"), None);
    registrar.bench.tcp(registrar.conn, &answer(&refresh, "439 First Hop Lacks Outbound Support", ""));
    assert_eq!(registrar.bench.did(), []);
    assert_eq!(registrar.registration().state, "waiting");
}

#[test]
fn trn_26_a_binding_that_is_taken_back_does_not_wait_for_its_flow() {
    let mut registrar = Registrar::registered("", OUTBOUND);
    registrar.bench.feed(Input::Closed(registrar.conn));
    registrar.bench.act(Core::go_offline);
    let end = registrar.connected();
    assert_eq!((header(&end, "Contact"), header(&end, "Expires")), (Some(&*contact()), Some("0")));
}

#[test]
fn aut_17_our_own_server_says_who_watches_by_the_connection_that_we_opened_and_by_no_other() {
    let mut registrar = Registrar::registered("", OUTBOUND);
    let request = |line: &str, via: &str, n: u32| {
        format!(
            "SUBSCRIBE sip:bob@192.0.2.20:5060;transport=tcp SIP/2.0\nVia: SIP/2.0/TCP {via};branch=z9hG4bKp{n}\n\
             Max-Forwards: 69\nRecord-Route: <sip:192.0.2.100:5060;transport=tcp;lr>\n\
             From: <sip:boss@example.com>;tag=p{n}\nTo: <sip:bob@192.0.2.20>\nCall-ID: p{n}\nCSeq: 1 SUBSCRIBE\n\
             Contact: <sip:carol@192.0.2.30>\nEvent: presence\nExpires: 300\n{line}Content-Length: 0\n\n"
        )
    };
    let asserted = "P-Asserted-Identity: \"Carol\" <sip:carol@EXAMPLE.com:5060>, <tel:+1201>\n";
    let of = |registrar: &Registrar| -> Vec<(String, WatcherGrade)> {
        registrar.bench.core.watchers().into_iter().map(|watcher| (watcher.who, watcher.grade)).collect()
    };
    let conn = registrar.conn;
    registrar.bench.tcp(conn, &request(asserted, SERVER, 1));
    assert_eq!(of(&registrar), [("sip:carol@example.com".to_owned(), WatcherGrade::Verified)]);
    // It asserts nothing of this one, and what it would like to be called is its own wish.
    let preferred = "P-Preferred-Identity: <sip:dave@example.com>\n";
    registrar.bench.tcp(conn, &request(preferred, SERVER, 2));
    let boss = ("sip:boss@example.com".to_owned(), WatcherGrade::Claimed);
    assert_eq!(of(&registrar)[0], boss);
    // A connection from the very address of the server is not one that we opened.
    let stranger = registrar.bench.accept(7, SERVER);
    registrar.bench.tcp(stranger, &request(asserted, SERVER, 3));
    assert_eq!(of(&registrar)[..2], [boss.clone(), boss]);
    // What was proven outlives the run under the name that was proven, not under the one in From.
    let saved = registrar.bench.core.saved(registrar.bench.now());
    let kept: Vec<String> = saved.watchers.iter().map(|watcher| serde_json::to_string(watcher).unwrap()).collect();
    let carol: Vec<&String> = kept.iter().filter(|text| text.contains("\"verified\"")).collect();
    assert!(carol.len() == 1 && carol[0].contains("carol@example.com"), "{kept:?}");
    // Who asks its server to hide its name is hidden from what may name it.
    registrar.bench.tcp(conn, &request(&format!("{asserted}Privacy: id\n"), SERVER, 4));
    let nobody = ("sip:anonymous@anonymous.invalid".to_owned(), WatcherGrade::Claimed);
    assert!(of(&registrar).contains(&nobody), "{:?}", of(&registrar));
}
