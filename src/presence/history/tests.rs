use super::*;

fn at(day: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * day)
}

fn person(who: &str, state: Stand, rule: &str, day: i64) -> Person {
    Person::new(who, Via::Direct, WatcherGrade::Address, state, rule, at(day))
}

fn states(history: &History) -> Vec<(String, Stand)> {
    history.people(at(0)).into_iter().map(|person| (person.who, person.state)).collect()
}

fn waiting(history: &History) -> Vec<&str> {
    history.waiting().map(|person| person.who.as_str()).collect()
}

#[test]
fn win_04_who_leaves_undecided_waits_for_thirty_days_or_a_decision() {
    let mut history = History::default();
    for who in ["sip:a@h", "sip:b@h", "sip:c@h"] {
        history.came(person(who, Stand::Pending, "default", 0));
    }
    assert_eq!((waiting(&history), history.expires_at()), (vec![], None), "they are there");
    for (who, day) in [("sip:a@h", 1), ("sip:b@h", 2), ("sip:c@h", 3)] {
        history.left(&person(who, Stand::Pending, "", 0).key(), at(day));
    }
    assert_eq!(waiting(&history), ["sip:a@h", "sip:b@h", "sip:c@h"]);
    history.decide(|person| (person.who == "sip:b@h").then(|| "allow".to_owned()), at(4));
    assert_eq!(waiting(&history), ["sip:a@h", "sip:c@h"]);
    let bob = history.get(&person("sip:b@h", Stand::Active, "", 0).key()).unwrap();
    assert_eq!((bob.state, bob.rule.as_str(), bob.decided_at), (Stand::Terminated, "allow", Some(at(4))));
    // It comes back, and the decision is as old as it is.
    history.came(person("sip:b@h", Stand::Active, "allow", 6));
    let bob = history.get(&bob_key()).unwrap();
    assert_eq!((bob.state, bob.since, bob.decided_at, bob.first_seen), (Stand::Active, at(6), Some(at(4)), at(0)));
    assert!(!history.expire(at(30)));
    assert_eq!(history.expires_at(), Some(at(31)));
    assert!(history.expire(at(31)));
    assert_eq!(waiting(&history), ["sip:c@h"]);
    assert!(!history.forget("sip:b@h"), "it is there");
    assert!(history.forget("sip:c@h"));
    assert_eq!(states(&history), [("sip:b@h".to_owned(), Stand::Active)]);
}

fn bob_key() -> PersonKey {
    person("sip:b@h", Stand::Active, "", 0).key()
}

#[test]
fn two_devices_are_one_person_until_both_have_left() {
    let mut history = History::default();
    history.came(person("sip:b@h", Stand::Active, "allow", 0));
    history.came(person("sip:b@h", Stand::Active, "allow", 1));
    history.left(&bob_key(), at(2));
    assert_eq!(history.get(&bob_key()).unwrap().state, Stand::Active);
    history.left(&bob_key(), at(3));
    let bob = history.get(&bob_key()).unwrap();
    assert_eq!((bob.state, bob.since, bob.last_seen, bob.decided_at), (Stand::Terminated, at(3), at(3), Some(at(0))));
}

#[test]
fn who_only_claims_to_be_somebody_does_not_change_what_is_known_of_them() {
    let mut history = History::default();
    history.came(person("sip:b@h", Stand::Active, "allow", 0));
    let liar = Person { identity: WatcherGrade::Claimed, ..person("sip:b@h", Stand::Pending, "default", 1) };
    history.came(liar.clone());
    assert_eq!(history.people(at(1)).len(), 2);
    // It was no lie after all.
    history.mistaken(&liar.key());
    history.came(person("sip:b@h", Stand::Active, "allow", 1));
    assert_eq!(states(&history), [("sip:b@h".to_owned(), Stand::Active)]);
}

#[test]
fn sec_02_there_is_room_for_a_thousand_and_the_undecided_who_left_go_first() {
    let mut history = History::default();
    for (who, rule) in [("sip:bob@h", "allow"), ("sip:guest@h", "default")] {
        let seen = person(who, Stand::Active, rule, 0);
        history.came(seen.clone());
        history.left(&seen.key(), at(0));
    }
    let asks = person("sip:asks@h", Stand::Pending, "default", 1);
    history.came(asks);
    for n in 0..2000 {
        let seen = person(&format!("sip:{n}@h"), Stand::Pending, "default", 2 + n / 100);
        history.came(seen.clone());
        history.left(&seen.key(), at(2 + n / 100));
    }
    assert_eq!(history.people(at(30)).len(), MAX_PEOPLE);
    let is_known = |history: &History, who: &str| history.people(at(30)).iter().any(|person| person.who == who);
    for who in ["sip:bob@h", "sip:guest@h", "sip:asks@h", "sip:1999@h"] {
        assert!(is_known(&history, who), "{who}");
    }
    assert!(!is_known(&history, "sip:0@h"));
    // Those who stay are told by the list of watchers all the same.
    for n in 0..2000 {
        history.came(person(&format!("sip:there{n}@h"), Stand::Pending, "default", 60));
    }
    assert!(is_known(&history, "sip:bob@h") && history.people(at(60)).len() == MAX_PEOPLE);
    history.came(person(&format!("sip:{}@h", "x".repeat(600)), Stand::Pending, "default", 61));
    assert_eq!(history.people(at(61)).iter().filter(|person| person.who.len() > 600).count(), 0);
}

#[test]
fn what_was_saved_comes_back_and_who_does_not_come_back_is_gone() {
    let mut history = History::default();
    history.came(person("sip:a@h", Stand::Pending, "default", 0));
    history.came(person("sip:b@h", Stand::Active, "allow", 0));
    history.came(person("sip:c@h", Stand::Active, "allow", 0));
    history.judged(Person { display_name: Some("Bob".into()), ..person("sip:b@h", Stand::Active, "allow", 1) });
    assert!(history.take_unsaved() && !history.take_unsaved());
    let text = serde_json::to_string(&history.people(at(2))).unwrap();
    let mut again = History::default();
    again.restore(serde_json::from_str::<Vec<Person>>(&text).unwrap(), at(3));
    again.came(person("sip:b@h", Stand::Active, "allow", 3));
    again.all_are_back(Via::Direct, at(3));
    let expected = [("sip:a@h", Stand::Waiting), ("sip:b@h", Stand::Active), ("sip:c@h", Stand::Terminated)];
    assert_eq!(states(&again), expected.map(|(who, state)| (who.to_owned(), state)));
    let bob = again.get(&bob_key()).unwrap();
    assert_eq!((bob.first_seen, bob.since, bob.display_name.as_deref()), (at(0), at(0), Some("Bob")));
    assert_eq!(again.people(at(9)).iter().map(|person| person.last_seen).collect::<Vec<_>>(), [at(2), at(9), at(2)]);
    // A clock that ran ahead has shown nobody the future.
    let mut early = History::default();
    early.restore(history.people(at(2)), at(-5));
    assert!(early.people(at(-5)).iter().all(|person| person.last_seen == at(-5) && person.first_seen == at(-5)));
}

#[test]
fn whom_a_server_stops_telling_of_is_gone_and_does_not_wait_with_us() {
    let mut history = History::default();
    let asks = Person { via: Via::Server, ..person("sip:a@h", Stand::Pending, "server", 0) };
    history.came(asks.clone());
    history.left(&asks.key(), at(1));
    assert_eq!((waiting(&history), states(&history)), (vec![], vec![("sip:a@h".to_owned(), Stand::Terminated)]));
}
