//! Subscribing to many: paced, without a storm after a sleep or a failure, and nobody waits who is waited for.

use std::time::Duration;

use sippresence::presence::{
    Freshness,
    core::{Input, Subscribing, WatchId},
};

use crate::{
    alice,
    world::{AVAILABLE, Msg, Script, ms, secs},
};

/// How many buddies there are.
const MANY: usize = 200;

/// Watches them all.
fn watch_many(script: &mut Script) -> Vec<WatchId> {
    let watch = |n: usize| {
        let target = format!("sip:b{n}@192.0.2.20:5060");
        script.act(|core, now, out| core.watch(target.parse().unwrap(), &target, Subscribing::Lasting, now, out))
    };
    (0..MANY).map(watch).collect()
}

/// Lets time pass while every SUBSCRIBE is answered and notified at once; returns when each was sent.
fn served(script: &mut Script, end: Duration) -> Vec<Duration> {
    let mut sent = Vec::new();
    while script.after() < end {
        script.advance(ms(50));
        for msg in script.take() {
            if msg.first_line().starts_with("SUBSCRIBE") {
                sent.push(msg.at);
                script.answer_with(&msg, "200 OK", "Expires: 300\n");
                let notify = script.notify_text(&msg, msg.cseq(), "active;expires=300", "", AVAILABLE);
                script.send(&notify);
            }
        }
    }
    sent
}

/// Returns the most that were sent within any second.
fn most_a_second(sent: &[Duration]) -> usize {
    let within = |from: &Duration| sent.iter().filter(|at| **at >= *from && **at < *from + secs(1)).count();
    sent.iter().map(within).max().unwrap_or_default()
}

#[test]
fn many_are_subscribed_to_at_ten_a_second_and_refreshed_as_spread() {
    let mut script = alice();
    watch_many(&mut script);
    let first = served(&mut script, secs(40));
    assert_eq!(first.len(), MANY);
    assert_eq!(first.iter().filter(|at| **at < ms(100)).count(), 20, "a few go at once");
    assert!(first.last().unwrap() < &secs(19), "{:?}", first.last());
    assert!(most_a_second(&first[20..]) <= 10);
    // Every one is refreshed once; jitter keeps them apart.
    let refreshed = served(&mut script, secs(290));
    assert_eq!(refreshed.len(), MANY);
    assert!(most_a_second(&refreshed) <= 20, "{}", most_a_second(&refreshed));
}

#[test]
fn sec_20_after_a_sleep_many_are_asked_in_turn() {
    let mut script = alice();
    watch_many(&mut script);
    served(&mut script, secs(40));
    script.sleep(secs(3600));
    script.input(Input::Resumed);
    let (start, end) = (script.after(), script.after() + secs(60));
    let again = served(&mut script, end);
    assert_eq!(again.len(), MANY);
    assert!(most_a_second(&again) <= 30, "{}", most_a_second(&again));
    assert!(again.last().unwrap().saturating_sub(start) > secs(15));
}

#[test]
fn sec_20_who_is_told_twice_of_a_sleep_or_while_many_wait_asks_each_once_and_in_turn() {
    let mut script = alice();
    watch_many(&mut script);
    script.input(Input::Resumed);
    let first = served(&mut script, secs(40));
    assert_eq!(first.len(), MANY);
    assert!(most_a_second(&first[20..]) <= 10, "{}", most_a_second(&first[20..]));
    script.sleep(secs(60));
    script.input(Input::Resumed);
    script.advance(ms(10));
    script.input(Input::Resumed);
    let end = script.after() + secs(60);
    let again = served(&mut script, end);
    assert_eq!(again.len(), MANY);
    assert!(most_a_second(&again) <= 30, "{}", most_a_second(&again));
}

#[test]
fn many_whose_server_is_gone_are_tried_again_in_turn() {
    let mut script = alice();
    let ids = watch_many(&mut script);
    let mut tried: Vec<Msg> = Vec::new();
    let end = secs(600);
    while script.after() < end {
        script.advance(ms(50));
        for msg in script.take() {
            if msg.first_line().starts_with("SUBSCRIBE") {
                script.answer_with(&msg, "503 Service Unavailable", "");
                tried.push(msg);
            }
        }
    }
    let at: Vec<Duration> = tried.iter().map(|msg| msg.at).collect();
    assert!(at.len() > 2 * MANY, "each was tried again: {}", at.len());
    assert!(most_a_second(&at) <= 30, "{}", most_a_second(&at));
    // It is back: whoever is there is asked before its time, and in turn too.
    let (back, end) = (script.after(), script.after() + secs(1900));
    let again = served(&mut script, end);
    let first = again.iter().take_while(|at| **at < back + secs(60)).copied().collect::<Vec<_>>();
    assert!(most_a_second(&first) <= 30, "{}", most_a_second(&first));
    let fresh = ids.iter().filter(|id| script.freshness(**id) == Freshness::Fresh).count();
    assert_eq!(fresh, MANY, "everybody is back");
}

#[test]
fn who_is_waited_for_does_not_wait_for_its_turn() {
    let mut script = alice();
    let ids = watch_many(&mut script);
    assert_eq!(script.take().len(), 20);
    // A second reader of one that stands far behind.
    let target = "sip:b150@192.0.2.20:5060";
    script.act(|core, now, out| core.watch(target.parse().unwrap(), target, Subscribing::Lasting, now, out));
    assert!(script.expect("SUBSCRIBE").first_line().contains("b150@"));
    // A look has a turn of its own.
    let target = "sip:b160@192.0.2.20:5060";
    script.act(|core, now, out| core.watch(target.parse().unwrap(), target, Subscribing::Once, now, out));
    assert!(script.expect("SUBSCRIBE").first_line().contains("b160@"));
    // One that waits says until when.
    let waiting = script.state(ids[199]).subscription.clone().unwrap();
    assert!(waiting.next_retry.unwrap() > script.now().wall, "{waiting:?}");
    let rest = served(&mut script, secs(40));
    // Those that were sent before, which nobody had answered, are sent again beside them.
    assert_eq!(rest.len(), MANY + 1);
    let later: Vec<Duration> = rest.iter().filter(|at| **at > secs(2)).copied().collect();
    assert!(most_a_second(&later) <= 10, "{}", most_a_second(&later));
}
