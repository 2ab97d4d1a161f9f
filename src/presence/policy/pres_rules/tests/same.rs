//! POL-17: what is written and read again decides the same, and other programs never give more.

use proptest::prelude::*;

use super::*;
use crate::presence::policy::{Decision, canonical};

const PERSONS: [&str; 6] = ["bob@h", "carol@h", "dave@x", "eve@x", "tel:+431", "zoe@y"];
const DOMAINS: [&str; 3] = ["h", "x", "w"];

fn person() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&PERSONS[..])
}

fn action() -> impl Strategy<Value = Action> {
    prop::sample::select(&[Action::Block, Action::Ask, Action::PoliteBlock, Action::Allow][..])
}

fn any_who() -> impl Strategy<Value = Who> {
    let except = prop_oneof![
        3 => person().prop_map(|who| Except::One(canonical(who).into())),
        1 => prop::sample::select(&DOMAINS[..]).prop_map(|domain| Except::Domain(domain.into())),
    ];
    let domain = prop::option::of(prop::sample::select(&DOMAINS[..]));
    prop_oneof![
        3 => person().prop_map(|who| Who::One(canonical(who).into())),
        2 => (domain, prop::collection::vec(except, 0..3))
            .prop_map(|(domain, except)| Who::Many { domain: domain.map(Into::into), except }),
    ]
}

/// Within three weeks of the epoch, to the hour.
fn any_times() -> impl Strategy<Value = Times> {
    let at = |hours: i64| Timestamp::from_second(hours * 3600).unwrap();
    let dates = (0..500_i64, 1..300_i64).prop_map(move |(from, long)| Dates { from: at(from), until: at(from + long) });
    let weekly = (prop::collection::vec(0..7_u8, 1..4), 0..1440_u16, 1..=1440_u16)
        .prop_filter_map("no hours", |(days, from, until)| Weekly::new(days, from, until));
    let some = (prop::collection::vec(dates, 0..3), prop::collection::vec(weekly, 0..3))
        .prop_map(|(dates, weekly)| Times { dates, weekly });
    prop_oneof![3 => Just(Times::default()), 1 => some]
}

fn any_shown() -> impl Strategy<Value = Shown> {
    let select = |picks: Vec<Pick>| {
        prop_oneof![
            Just(Select::All),
            prop::collection::btree_set(prop::sample::select(picks), 0..3).prop_map(Select::Only)
        ]
    };
    let both = vec![Pick::Class("a&b".into()), Pick::Occurrence("t1".into())];
    let with = |more: &[Pick]| [both.as_slice(), more].concat();
    let parts = (
        select(with(&[Pick::Uri("sip:a@h;x=<1>".into()), Pick::Scheme("tel".into())])),
        select(both.clone()),
        select(with(&[Pick::Device("urn:uuid:1".into())])),
    );
    let words: Vec<&'static str> = Shown::words().chain(["{urn:x}foo"]).collect();
    let words = prop::collection::vec(prop::sample::select(words), 0..4);
    let levels = [UserInputShown::Nothing, UserInputShown::Bare, UserInputShown::Thresholds, UserInputShown::Full];
    let rest = (words, prop::sample::select(levels.to_vec()), prop::bool::weighted(0.2));
    let some = (parts, rest).prop_map(|((services, persons, devices), (words, user_input, all_details))| {
        let mut shown = Shown { services, persons, devices, user_input, all_details, ..Shown::default() };
        for word in words {
            shown.grant(word).unwrap();
        }
        shown
    });
    prop_oneof![1 => Just(Shown::all()), 3 => some]
}

fn any_instead() -> impl Strategy<Value = Option<Arc<Instead>>> {
    let status = prop_oneof![
        Just(PresenceStatus::Busy),
        Just(PresenceStatus::InCall),
        Just(PresenceStatus::Custom(" on \"the\" <roof>\n".into())),
    ];
    let instead =
        (status, prop::option::of("[ -~é\n\t]{0,8}")).prop_map(|(status, note)| Arc::new(Instead { status, note }));
    prop_oneof![2 => Just(None), 1 => instead.prop_map(Some)]
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let who = prop::option::weighted(0.8, prop::collection::vec(any_who(), 0..4));
    let spheres = prop_oneof![
        4 => Just(Vec::new()),
        1 => Just(vec!["work".into()]),
        1 => Just(vec!["home".into(), "work".into()]),
        1 => Just(vec!["at my desk".into(), "work".into()]),
    ];
    let unknown = prop::bool::weighted(0.05);
    // Most of what can go wrong lets somebody in.
    let given = prop_oneof![Just(Action::Allow), action()];
    (who, any_times(), spheres, unknown, given, any_shown(), any_instead()).prop_map(
        |(who, times, spheres, unknown, action, shown, instead)| {
            let shown = Arc::new(shown);
            Rule { who, times, spheres, unknown, action, shown, instead, ..Rule::new("", action) }
        },
    )
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let listed = prop::collection::vec((person(), action()), 0..4);
    let zone = prop::sample::select(vec![TimeZone::UTC, TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()]);
    (action(), listed, prop::collection::vec(any_rule(), 0..5), zone).prop_map(|(default, listed, mut rules, zone)| {
        for (number, rule) in rules.iter_mut().enumerate() {
            rule.id = format!("rule_{number}").into();
        }
        let mut policy = Policy::new(default).in_zone(zone).with_rules(rules);
        for (who, action) in listed {
            policy.set(who, action);
        }
        policy
    })
}

/// Every watcher of interest, those whom nothing names among them.
fn watchers() -> impl Iterator<Item = String> {
    let others = ["new@h", "new@x", "new@y", "anonymous@anonymous.invalid"];
    PERSONS.into_iter().chain(others).map(canonical)
}

/// Moments within and around those of the rules, and the part of life in them.
fn moments() -> impl Strategy<Value = Vec<(Timestamp, Option<&'static str>)>> {
    let spheres = vec![None, Some("work"), Some("home"), Some("at my desk")];
    let at = (-50..900_i64).prop_map(|hours| Timestamp::from_second(hours * 3600).unwrap());
    prop::collection::vec((at, prop::sample::select(spheres)), 4)
}

/// Says whether one sees no more than the other.
fn is_within(less: &Decision, more: &Decision) -> bool {
    if less.action != Action::Allow || more.action != Action::Allow {
        return less.action.value() <= more.action.value();
    }
    let shown = |sight: &Sight| match sight {
        Sight::All => Some(Shown::all()),
        Sight::Some(shown) => Some(Shown::clone(shown)),
        Sight::Instead(_) => None,
    };
    match (shown(&less.sight), shown(&more.sight)) {
        (_, Some(more)) if more.is_all() => true,
        (Some(less), Some(more)) => {
            let both = more.clone().with(&less);
            // An element is seen of what shows all details, whether or not it is named as well.
            both == more
                || both.all_details
                    && more.all_details
                    && both.services == more.services
                    && both.persons == more.persons
                    && both.devices == more.devices
        }
        // In place of the truth others show nothing.
        (Some(less), None) => less == Shown::default(),
        (None, _) => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pol_17_what_is_exported_and_read_again_decides_the_same(policy in any_policy(), moments in moments()) {
        let text = write(&policy);
        let read = read_in(text.as_bytes(), policy.zone()).unwrap();
        prop_assert_eq!((&*read.not_understood, &*read.unreadable), (&[][..], &[][..]));
        let again = read.policy(policy.zone()).unwrap();
        for who in watchers() {
            for grade in [WatcherGrade::Claimed, WatcherGrade::Address, WatcherGrade::Verified] {
                for (at, sphere) in &moments {
                    let decide = |policy: &Policy| {
                        let Decision { action, rule, sight } = policy.decide(&who, grade, &policy.moment(*at, *sphere));
                        // What is not let in sees nothing.
                        (action, rule, (action == Action::Allow).then_some(sight))
                    };
                    prop_assert_eq!(decide(&again), decide(&policy), "{} {:?}\n{}", who, grade, text);
                }
            }
        }
        // Written again it is the same document, and among rules of others it says the same.
        prop_assert_eq!(write(&again), text);
        let among_others = read_in(update(OTHERS.as_bytes(), &policy).unwrap().as_bytes(), policy.zone()).unwrap();
        prop_assert_eq!(among_others.others.rules.len(), 1);
        prop_assert_eq!(Read { others: Rules::default(), ..among_others }, read);
    }

    /// A program that knows the RFCs and nothing of ours takes the most generous of all rules, and blocks where there is
    /// none; one that takes the first that holds gives less still.
    #[test]
    fn pol_17_no_program_that_keeps_to_the_rfcs_gives_more_than_we_do(policy in any_policy(), moments in moments()) {
        let text = write(&policy);
        let foreign = text.replace(OWN, "urn:of-another");
        let rules = read_rules(foreign.as_bytes(), policy.zone()).unwrap().rules;
        let first_alone: Vec<Policy> = rules.iter().map(|rule| Policy::new(Action::Block).with_rules(vec![rule.clone()])).collect();
        let there = Policy::new(Action::Block).with_rules(rules);
        for who in watchers() {
            for (at, sphere) in &moments {
                let decide = |policy: &Policy| policy.decide(&who, WatcherGrade::Verified, &policy.moment(*at, *sphere));
                let (ours, theirs) = (decide(&policy), decide(&there));
                prop_assert!(is_within(&theirs, &ours), "{}: {:?} {:?}\n{}", who, theirs, ours, text);
                let first = first_alone.iter().map(decide).find(|first| &*first.rule != "default");
                prop_assert!(first.is_none_or(|first| is_within(&first, &ours)));
            }
        }
    }
}
