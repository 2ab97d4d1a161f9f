//! Rules, lists and the default, against the rows of the conformance list.

use proptest::prelude::*;

use super::*;

fn decide(policy: &Policy, who: &str, grade: WatcherGrade) -> Decision {
    policy.decide(who, grade, &policy.moment(Timestamp::UNIX_EPOCH, None))
}

#[test]
fn pol_01_strangers_are_asked_about() {
    let decision = decide(&Policy::default(), "sip:stranger@192.0.2.1", WatcherGrade::Address);
    assert_eq!(decision, Decision { action: Action::Ask, rule: "default".into(), sight: Sight::All });
}

#[test]
fn pol_19_allow_needs_more_than_a_claim_and_block_does_not() {
    use WatcherGrade::{Address, Claimed, Verified};
    let mut policy = Policy::default();
    policy.set("bob@Host", Action::Allow);
    policy.set("sip:eve@host", Action::Block);
    policy.set("mallory@host", Action::PoliteBlock);
    for (who, grade, expected) in [
        ("sip:bob@host", Verified, Action::Allow),
        ("sips:bob@HOST:5061;x=y", Address, Action::Allow),
        ("sip:bob@host", Claimed, Action::Ask),
        ("sip:Bob@host", Address, Action::Ask),
        ("sip:eve@host", Claimed, Action::Block),
        ("sip:mallory@host", Claimed, Action::PoliteBlock),
    ] {
        assert_eq!(decide(&policy, who, grade).action, expected, "{who} {grade:?}");
    }
    policy.require = Require::Verified;
    assert_eq!(decide(&policy, "sip:bob@host", Address).action, Action::Ask);
}

#[test]
fn a_watcher_is_on_one_list_at_a_time() {
    let mut policy = Policy::default();
    policy.set("bob@host", Action::Allow);
    policy.set("bob@host", Action::Block);
    assert_eq!(policy.listed("sip:bob@host"), Some(Action::Block));
    policy.forget("sip:bob@HOST");
    assert_eq!(policy.listed("bob@host"), None);
}

#[test]
fn an_entry_that_lets_in_or_seems_to_vouches_for_its_address() {
    let mut policy = of(vec![
        about("in", Action::Allow, vec![one("carol@192.0.2.4")]),
        about("out", Action::Block, vec![one("dave@192.0.2.5")]),
    ]);
    policy.set("bob@192.0.2.1", Action::Allow);
    policy.set("eve@192.0.2.2", Action::Block);
    policy.set("mallory@192.0.2.3", Action::PoliteBlock);
    for (address, vouched) in [("1", true), ("2", false), ("3", true), ("4", true), ("5", false)] {
        assert_eq!(policy.vouches_for(format!("192.0.2.{address}").parse().unwrap()), vouched, "{address}");
    }
    policy.forget("mallory@192.0.2.3");
    assert!(!policy.vouches_for("192.0.2.3".parse().unwrap()));
}

use WatcherGrade::{Address, Claimed, Verified};

fn one(who: &str) -> Who {
    Who::One(canonical(who).into())
}

fn many(domain: Option<&str>, except: &[Except]) -> Who {
    Who::Many { domain: domain.map(Into::into), except: except.to_vec() }
}

fn about(id: &str, action: Action, who: Vec<Who>) -> Rule {
    Rule { who: Some(who), ..Rule::new(id, action) }
}

fn of(rules: Vec<Rule>) -> Policy {
    Policy::default().with_rules(rules)
}

#[test]
fn pol_04_what_allows_needs_an_identity_that_fits_and_is_sure_enough() {
    let except = [Except::One("sip:eve@example.com".into()), Except::Domain("bad.example".into())];
    let rules = [
        ("one", one("bob@example.com")),
        ("domain", many(Some("example.com"), &except)),
        ("many", many(None, &except)),
    ];
    // By rule and grade: whether bob, carol, eve of example.com, and zoe of bad.example are allowed.
    for (rule, require, grade, allowed) in [
        ("one", Require::Address, Verified, "bob"),
        ("one", Require::Address, Address, "bob"),
        ("one", Require::Address, Claimed, ""),
        ("one", Require::Verified, Verified, "bob"),
        ("one", Require::Verified, Address, ""),
        ("one", Require::Verified, Claimed, ""),
        ("domain", Require::Address, Verified, "bob carol"),
        ("domain", Require::Address, Address, ""),
        ("domain", Require::Address, Claimed, ""),
        ("domain", Require::Verified, Verified, "bob carol"),
        ("domain", Require::Verified, Address, ""),
        ("many", Require::Address, Verified, "bob carol ann"),
        ("many", Require::Address, Address, ""),
        ("many", Require::Verified, Claimed, ""),
    ] {
        let who = rules.iter().find(|(id, _)| *id == rule).unwrap().1.clone();
        let mut policy = of(vec![about(rule, Action::Allow, vec![who])]);
        policy.require = require;
        for (name, address) in [
            ("bob", "sip:bob@example.com"),
            ("carol", "sip:carol@example.com"),
            ("eve", "sip:eve@example.com"),
            ("zoe", "sip:zoe@bad.example"),
            ("ann", "sip:ann@good.example"),
        ] {
            let expected = if allowed.split(' ').any(|one| one == name) { Action::Allow } else { Action::Ask };
            assert_eq!(decide(&policy, address, grade).action, expected, "{rule} {require:?} {grade:?} {name}");
        }
    }
}

#[test]
fn pol_04_what_does_not_allow_matches_every_claim() {
    for action in [Action::Block, Action::PoliteBlock] {
        let policy = of(vec![about("no", action, vec![one("eve@example.com"), many(Some("bad.example"), &[])])]);
        for who in ["sip:eve@example.com", "sip:anybody@bad.example"] {
            assert_eq!(decide(&policy, who, Claimed).action, action);
        }
    }
}

#[test]
fn pol_05_an_identity_is_a_person_whatever_scheme_port_or_parameters_say() {
    let policy = of(vec![about("bob", Action::Allow, vec![one("sips:bob@Example.com:5061;transport=tls")])]);
    for who in ["sip:bob@example.com", "sips:bob@EXAMPLE.com", "pres:bob@example.com", "sip:bob@example.com;user=phone"]
    {
        assert_eq!(decide(&policy, who, Verified).action, Action::Allow, "{who}");
    }
    for who in ["sip:Bob@example.com", "sip:bob@example.com.org", "sip:example.com"] {
        assert_eq!(decide(&policy, who, Verified).action, Action::Ask, "{who}");
    }
    let phone = of(vec![about("phone", Action::Allow, vec![one("tel:+43-1-234")])]);
    assert_eq!(decide(&phone, "tel:+431234", Verified).action, Action::Allow);
}

#[test]
fn pol_07_a_sphere_that_is_not_known_or_ambiguous_is_no_match() {
    let rule = Rule { spheres: vec!["work".into(), "home".into()], ..about("w", Action::Allow, vec![one("bob@h")]) };
    let policy = of(vec![rule]);
    for (sphere, expected) in
        [(Some("work"), Action::Allow), (Some("home"), Action::Allow), (Some("Work"), Action::Ask), (None, Action::Ask)]
    {
        let moment = policy.moment(Timestamp::UNIX_EPOCH, sphere);
        assert_eq!(policy.decide("sip:bob@h", Verified, &moment).action, expected);
    }
}

#[test]
fn pol_08_all_conditions_must_hold_none_always_holds_and_one_that_is_not_known_never() {
    let times = Times { dates: vec![Dates { from: Timestamp::MIN, until: Timestamp::UNIX_EPOCH }], weekly: Vec::new() };
    let rule = about("r", Action::Allow, vec![one("bob@h")]);
    for (rule, expected) in [
        (rule.clone(), Action::Allow),
        (Rule::new("all", Action::Allow), Action::Allow),
        (Rule { unknown: true, ..Rule::new("all", Action::Allow) }, Action::Ask),
        (Rule { times, ..rule.clone() }, Action::Ask),
        (Rule { spheres: vec!["work".into()], ..rule.clone() }, Action::Ask),
        (Rule { who: Some(Vec::new()), ..rule }, Action::Ask),
    ] {
        assert_eq!(decide(&of(vec![rule]), "sip:bob@h", Verified).action, expected);
    }
}

#[test]
fn pol_09_the_most_generous_action_wins_whatever_the_order() {
    use Action::{Allow, Ask, Block, PoliteBlock};
    let all = [Block, Ask, PoliteBlock, Allow];
    for first in all {
        for second in all {
            let rule = |id, action| about(id, action, vec![one("bob@h")]);
            let decision = decide(&of(vec![rule("first", first), rule("second", second)]), "sip:bob@h", Verified);
            let expected = if second.value() > first.value() { (second, "second") } else { (first, "first") };
            assert_eq!((decision.action, &*decision.rule), expected);
        }
    }
}

#[test]
fn pol_09_what_is_shown_unites_and_only_what_allows_counts() {
    let shows = |words: &[&'static str]| Arc::new(Shown::of_words(words.iter().copied()).unwrap());
    let rule =
        |id, action, words: &[&'static str]| Rule { shown: shows(words), ..about(id, action, vec![one("bob@h")]) };
    let policy = of(vec![
        rule("a", Action::Allow, &["note"]),
        rule("b", Action::PoliteBlock, &["mood"]),
        rule("c", Action::Allow, &["status"]),
    ]);
    let decision = decide(&policy, "sip:bob@h", Verified);
    assert_eq!((&*decision.rule, decision.sight), ("a", Sight::Some(shows(&["note", "status"]))));
    let explained = policy.explain("sip:bob@h", Verified, &policy.moment(Timestamp::UNIX_EPOCH, None));
    assert_eq!(explained.shown_by("status").collect::<Vec<_>>(), ["c"]);
    assert_eq!(explained.shown_by("mood").count(), 0);
}

#[test]
fn what_is_shown_in_place_of_the_truth_goes_before_it() {
    let instead = Arc::new(Instead { status: crate::presence::PresenceStatus::Available, note: None });
    let everybody = Rule::new("everybody", Action::Allow);
    let family = Rule { instead: Some(Arc::clone(&instead)), ..about("family", Action::Allow, vec![one("bob@h")]) };
    let policy = of(vec![everybody, family]);
    assert_eq!(decide(&policy, "sip:bob@h", Verified).sight, Sight::Instead(instead));
    assert_eq!(decide(&policy, "sip:carol@h", Verified).sight, Sight::All);
}

#[test]
fn pol_10_where_no_rule_holds_the_default_decides_and_grants_nothing() {
    for default in [Action::Block, Action::Ask, Action::PoliteBlock] {
        let policy = Policy { default, ..of(vec![about("bob", Action::Allow, vec![one("bob@h")])]) };
        let decision = decide(&policy, "sip:carol@h", Verified);
        assert_eq!((decision.action, &*decision.rule), (default, "default"));
    }
}

#[test]
fn aut_19_who_is_anonymous_is_matched_by_no_rule_about_persons() {
    let nobody = "sip:anonymous@anonymous.invalid";
    for who in [one(nobody), many(None, &[]), many(Some("anonymous.invalid"), &[])] {
        assert_eq!(decide(&of(vec![about("r", Action::Allow, vec![who])]), nobody, Verified).action, Action::Ask);
    }
    let shown = Arc::new(Shown::reachability());
    let policy = of(vec![Rule { shown: Arc::clone(&shown), ..Rule::new("public", Action::Allow) }]);
    let decision = decide(&policy, nobody, Claimed);
    assert_eq!((decision.action, decision.sight), (Action::Allow, Sight::Some(shown)));
}

#[test]
fn a_list_goes_before_every_rule() {
    let mut policy = of(vec![Rule::new("all", Action::Allow)]);
    policy.set("bob@h", Action::Block);
    policy.set("carol@h", Action::PoliteBlock);
    assert_eq!(decide(&policy, "sip:bob@h", Claimed).action, Action::Block);
    assert_eq!(decide(&policy, "sip:carol@h", Claimed).action, Action::PoliteBlock);
    let mut policy = of(vec![about("all", Action::Block, vec![many(None, &[])])]);
    policy.set("bob@h", Action::Allow);
    assert_eq!(decide(&policy, "sip:bob@h", Address).action, Action::Allow);
    assert_eq!(decide(&policy, "sip:bob@h", Claimed).action, Action::Block, "a claim is no proof");
}

fn any_rule(index: usize) -> impl Strategy<Value = Rule> {
    let who = prop_oneof![
        Just(None),
        Just(Some(vec![one("bob@h")])),
        Just(Some(vec![one("carol@h")])),
        Just(Some(vec![many(Some("h"), &[])])),
        Just(Some(vec![many(None, &[Except::One("sip:bob@h".into())])])),
    ];
    let action = prop_oneof![Just(Action::Block), Just(Action::Ask), Just(Action::PoliteBlock), Just(Action::Allow)];
    let words: Vec<&'static str> = Shown::words().collect();
    let words = prop::collection::vec(prop::sample::select(words), 0..3);
    let instead = prop_oneof![4 => Just(false), 1 => Just(true)];
    (who, action, words, instead, any::<bool>(), 0..3_u8).prop_map(
        move |(who, action, words, instead, unknown, sphere)| {
            let shown = Shown::of_words(words).unwrap();
            let instead =
                instead.then(|| Arc::new(Instead { status: crate::presence::PresenceStatus::Away, note: None }));
            let spheres = if sphere == 0 { vec!["work".into()] } else { Vec::new() };
            let unknown = unknown && sphere == 1;
            let rule = Rule::new(format!("r{index}"), action);
            Rule { who, spheres, unknown, shown: Arc::new(shown), instead, ..rule }
        },
    )
}

fn any_rules() -> impl Strategy<Value = Vec<Rule>> {
    (any_rule(0), any_rule(1), any_rule(2), any_rule(3)).prop_map(|(a, b, c, d)| vec![a, b, c, d])
}

proptest! {
    /// However rules are combined: nobody is let in by all whom none lets in alone, nobody sees a part that no rule
    /// shows by itself, and who is blocked by name stays blocked.
    #[test]
    fn no_combination_shows_more_than_its_rules_do(
        rules in any_rules(),
        grade in prop_oneof![Just(Claimed), Just(Address), Just(Verified)],
        who in prop_oneof![Just("sip:bob@h"), Just("sip:carol@h"), Just("sip:x@y"), Just("sip:anonymous@anonymous.invalid")],
        sphere in prop_oneof![Just(None), Just(Some("work"))],
        keep in prop::collection::vec(any::<bool>(), 4),
    ) {
        let alone = |rule: &Rule| {
            let policy = Policy { default: Action::Block, ..of(vec![rule.clone()]) };
            policy.decide(who, grade, &policy.moment(Timestamp::UNIX_EPOCH, sphere))
        };
        let mut policy = Policy { default: Action::Block, ..of(rules.clone()) };
        let moment = policy.moment(Timestamp::UNIX_EPOCH, sphere);
        let together = policy.decide(who, grade, &moment);
        let each: Vec<Decision> = rules.iter().map(alone).collect();
        let most = each.iter().map(|decision| decision.action.value()).max().unwrap_or_default();
        prop_assert_eq!(together.action.value(), most);
        let shows = |sight: &Sight, word: &str| match sight {
            Sight::All => true,
            Sight::Some(shown) => shown.grants(word),
            Sight::Instead(_) => false,
        };
        if together.action == Action::Allow {
            for word in Shown::words() {
                let some = each.iter().any(|one| one.action == Action::Allow && shows(&one.sight, word));
                // `all` may come of parts that are all there are.
                prop_assert!(!shows(&together.sight, word) || some, "{}", word);
            }
        }
        // Fewer rules never give more, but for what is shown in place of the truth.
        let fewer = rules.iter().zip(&keep).filter(|(_, keep)| **keep).map(|(rule, _)| rule.clone()).collect();
        let fewer = Policy { default: Action::Block, ..of(fewer) };
        prop_assert!(fewer.decide(who, grade, &moment).action.value() <= together.action.value());
        // What is explained is what was decided.
        let explained = policy.explain(who, grade, &moment);
        prop_assert_eq!(&explained.decision, &together);
        let applied = explained.reasons.iter().filter(|reason| reason.unmet.is_none());
        prop_assert_eq!(applied.map(|reason| reason.action.value()).max().unwrap_or_default(), most);
        policy.set(who, Action::Block);
        prop_assert_eq!(policy.decide(who, grade, &moment).action, Action::Block);
    }
}
