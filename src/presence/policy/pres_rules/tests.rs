//! The documents, against the rows of the conformance list.

use std::sync::Arc;

use jiff::{Timestamp, tz::TimeZone};

use super::{read as read_in, *};
use crate::presence::{
    event::WatcherGrade,
    policy::{Dates, Except, Instead, Pick, Policy, Rule, Select, Shown, Sight, Times, UserInputShown, Weekly, Who},
    status::PresenceStatus,
};

mod any_program;
mod same;

fn read(text: &[u8]) -> Result<Read, RulesError> {
    read_in(text, &TimeZone::UTC)
}

fn policy(default: Action, listed: &[(&str, Action)]) -> Policy {
    let mut policy = Policy::new(default);
    for (who, action) in listed {
        policy.set(who, *action);
    }
    policy
}

#[test]
fn pol_17_lists_are_written_as_the_rfcs_have_them_in_an_order_that_every_server_understands() {
    let listed = [("bob@h", Action::Allow), ("eve@h", Action::Block), ("al&ice@h", Action::Allow)];
    let text = write(&policy(Action::Ask, &listed));
    let expected = "\
<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<ruleset xmlns=\"urn:ietf:params:xml:ns:common-policy\">
  <rule xmlns=\"urn:ietf:params:xml:ns:common-policy\" xmlns:pr=\"urn:ietf:params:xml:ns:pres-rules\" id=\"sippresence-block\">
    <conditions>
      <identity>
        <one id=\"sip:eve@h\"/>
      </identity>
    </conditions>
    <actions>
      <pr:sub-handling>block</pr:sub-handling>
    </actions>
  </rule>
  <rule xmlns=\"urn:ietf:params:xml:ns:common-policy\" xmlns:pr=\"urn:ietf:params:xml:ns:pres-rules\" id=\"sippresence-allow\">
    <conditions>
      <identity>
        <one id=\"sip:al&amp;ice@h\"/>
        <one id=\"sip:bob@h\"/>
      </identity>
    </conditions>
    <actions>
      <pr:sub-handling>allow</pr:sub-handling>
    </actions>
    <transformations>
      <pr:provide-services><pr:all-services/></pr:provide-services>
      <pr:provide-persons><pr:all-persons/></pr:provide-persons>
      <pr:provide-devices><pr:all-devices/></pr:provide-devices>
      <pr:provide-all-attributes/>
    </transformations>
  </rule>
  <rule xmlns=\"urn:ietf:params:xml:ns:common-policy\" xmlns:pr=\"urn:ietf:params:xml:ns:pres-rules\" id=\"sippresence-default\">
    <conditions>
      <identity>
        <many>
          <except id=\"sip:eve@h\"/>
        </many>
      </identity>
    </conditions>
    <actions>
      <pr:sub-handling>confirm</pr:sub-handling>
    </actions>
  </rule>
</ruleset>
";
    assert_eq!(text, expected);
}

const OTHERS: &str = "\
<?xml version=\"1.0\"?>
<cr:ruleset xmlns:cr=\"urn:ietf:params:xml:ns:common-policy\" xmlns:p=\"urn:ietf:params:xml:ns:pres-rules\">
  <!-- of the telephone -->
  <cr:rule id=\"phone\">
    <cr:conditions><cr:identity><cr:one id=\"sip:carol@h\"/></cr:identity></cr:conditions>
    <cr:actions><p:sub-handling>allow</p:sub-handling></cr:actions>
  </cr:rule>
</cr:ruleset>
";

#[test]
fn rules_of_other_programs_stay_as_they_are_between_ours() {
    let (one, two) = (policy(Action::Ask, &[("b@h", Action::Block)]), policy(Action::Allow, &[("c@h", Action::Allow)]));
    let first = update(OTHERS.as_bytes(), &one).unwrap();
    let phone = &OTHERS[OTHERS.find("  <cr:rule").unwrap()..OTHERS.find("</cr:ruleset>").unwrap()];
    let at = |text: &str, what: &str| text.find(what).unwrap_or_else(|| panic!("no {what}: {text}"));
    assert!(
        at(&first, "sippresence-block") < at(&first, phone) && at(&first, phone) < at(&first, "sippresence-default")
    );
    assert!(first.contains("<!-- of the telephone -->"));
    assert_eq!(update(first.as_bytes(), &one).unwrap(), first, "and then all is as it should be");
    let second = update(first.as_bytes(), &two).unwrap();
    assert!(!second.contains("sippresence-block") && at(&second, "sippresence-allow") < at(&second, phone));
    let after = read(second.as_bytes()).unwrap();
    assert_eq!((after.others.rules.len(), after.default, after.listed.len()), (1, Some(Action::Allow), 1));
    // Whatever stood there, a server finds the lists before everybody else.
    let three = [("d@h", Action::PoliteBlock), ("e@h", Action::Allow), ("f@h", Action::Block)];
    let all =
        [&one, &two, &policy(Action::Ask, &three), &policy(Action::Ask, &three[..2]), &policy(Action::Block, &[])];
    for (from, to) in all.iter().flat_map(|from| all.iter().map(move |to| (from, to))) {
        assert_eq!(update(write(from).as_bytes(), to).unwrap(), write(to));
    }
    let nobody = policy(Action::Ask, &[]);
    let empty = "<ruleset xmlns=\"urn:ietf:params:xml:ns:common-policy\"/>";
    assert_eq!(read(update(empty.as_bytes(), &nobody).unwrap().as_bytes()), read(write(&nobody).as_bytes()));
}

#[test]
fn pol_08_pol_16_reading_never_opens() {
    let mine = write(&policy(Action::Block, &[("bob@h", Action::Allow)]));
    let allowed = |text: &str| read(text.as_bytes()).unwrap();
    assert_eq!(allowed(&mine).listed.len(), 1);
    for (from, to) in [
        ("<conditions>", "<conditions><x:when xmlns:x=\"x\"/>"),
        ("<one id=\"sip:bob@h\"/>", "<one id=\"sip:bob@h\"><x:on xmlns:x=\"x\"/></one>"),
        ("<one id=\"sip:bob@h\"/>", "<many/>"),
        ("<one id=\"sip:bob@h\"/>", "<one/>"),
        (">allow<", ">ALLOW<"),
        (">allow<", ">confirm<"),
        ("<pr:sub-handling>allow</pr:sub-handling>", "<sub-handling>allow</sub-handling>"),
    ] {
        let read = allowed(&mine.replacen(from, to, if from == "<conditions>" { 9 } else { 1 }));
        assert!(read.listed.is_empty() && read.unreadable == [Action::Allow], "{to}: {read:?}");
        assert_eq!(read.default, Some(Action::Block));
    }
    let twice = mine.replace("sippresence-default", "sippresence-allow");
    assert_eq!(read(twice.as_bytes()), Err(RulesError::Twice));
    assert_eq!(update(twice.as_bytes(), &Policy::default()), Err(RulesError::Twice));
    assert_eq!(read(b"<ruleset/>"), Err(RulesError::NoRuleset));
    assert!(matches!(read(b"<!DOCTYPE a [<!ENTITY x 'y'>]><a/>"), Err(RulesError::Xml(_))));
    // On two lists, the strictest counts.
    let text = write(&policy(Action::Ask, &[("bob@h", Action::Allow), ("eve@h", Action::Block)])).replace("eve", "bob");
    assert_eq!(allowed(&text).listed.into_iter().collect::<Vec<_>>(), [("sip:bob@h".to_owned(), Action::Block)]);
}

fn about(id: &str, action: Action, who: &[Who]) -> Rule {
    Rule { who: Some(who.to_vec()), ..Rule::new(id, action) }
}

#[test]
fn who_gets_less_is_left_out_of_what_gives_more() {
    let many = |domain: Option<&str>| Who::Many { domain: domain.map(Into::into), except: Vec::new() };
    let bob = Who::One("sip:bob@h".into());
    let everybody = Rule::new("public", Action::Allow);
    let mut policy = Policy::new(Action::Allow).with_rules(vec![
        about("friends", Action::Allow, &[bob.clone(), Who::One("sip:eve@h".into()), many(Some("h"))]),
        everybody,
        about("spam", Action::Block, &[many(Some("spam.example"))]),
    ]);
    policy.set("eve@h", Action::Block);
    let text = write(&policy);
    let friends = &text[text.find("-friends\"").unwrap()..text.find("-public\"").unwrap()];
    assert!(friends.contains(
        "    <conditions>
      <identity>
        <one id=\"sip:bob@h\"/>
        <many domain=\"h\">
          <except id=\"sip:eve@h\"/>
        </many>
      </identity>
    </conditions>
"
    ));
    let public = &text[text.find("-public\"").unwrap()..text.find("-spam\"").unwrap()];
    assert!(public.contains("<except id=\"sip:eve@h\"/>") && public.contains("<sp:everybody/>"));
    let default = &text[text.find("sippresence-default").unwrap()..];
    assert!(default.contains("<except domain=\"spam.example\"/>") && default.contains("<except id=\"sip:eve@h\"/>"));
    assert_eq!(read(text.as_bytes()).unwrap().policy(&TimeZone::UTC).unwrap().rules().len(), 3);
}

#[test]
fn what_is_shown_in_place_of_the_truth_is_not_undone_by_another_rule() {
    let instead = Some(Arc::new(Instead { status: PresenceStatus::Available, note: Some("as \"ever\"".to_owned()) }));
    let bob = Who::One("sip:bob@h".into());
    let hide = Rule { instead: instead.clone(), ..about("hide", Action::Allow, std::slice::from_ref(&bob)) };
    let open = about("open", Action::Allow, &[bob.clone(), Who::Many { domain: Some("h".into()), except: Vec::new() }]);
    let policy = Policy::new(Action::Ask).with_rules(vec![hide, open.clone()]);
    let text = write(&policy);
    assert!(text.contains("<sp:instead status=\"available\" note=\"as &quot;ever&quot;\"/>"));
    let plain = read_rules(text.as_bytes(), &TimeZone::UTC).unwrap().rules;
    assert_eq!(
        plain[1].who,
        Some(vec![Who::Many { domain: Some("h".into()), except: vec![Except::One("sip:bob@h".into())] }])
    );
    // Of everybody nobody can be left out, and nothing is shown.
    let hide = Rule { instead, ..Rule::new("hide", Action::Allow) };
    let text = write(&Policy::new(Action::Ask).with_rules(vec![hide, open]));
    let foreign = read_rules(text.replace(OWN, "urn:x").as_bytes(), &TimeZone::UTC).unwrap();
    assert!(foreign.rules.iter().all(|rule| *rule.shown == Shown::default()));
    assert!(read(text.as_bytes()).unwrap().rules[1].shown.is_all());
}

#[test]
fn a_default_that_another_program_narrowed_is_not_ours_any_more() {
    let text = write(&policy(Action::Allow, &[("eve@h", Action::Block)]));
    let default = |text: &str| read(text.as_bytes()).unwrap().default;
    assert_eq!(default(&text), Some(Action::Allow));
    for (from, to) in [
        ("<except id=\"sip:eve@h\"/>", "<except id=\"sip:eve@h\"/><except id=\"sip:mallory@h\"/>"),
        ("<many>", "<many domain=\"h\">"),
        ("<pr:provide-all-attributes/>", ""),
        (
            "</identity>\n    </conditions>\n    <actions>\n      <pr:sub-handling>allow",
            "</identity><sphere value=\"work\"/></conditions><actions><pr:sub-handling>allow",
        ),
    ] {
        let changed = text.replace(from, to);
        assert_ne!(changed, text, "{from}");
        let read = read(changed.as_bytes()).unwrap();
        assert_eq!((read.default, read.not_understood.len()), (None, 1), "{to}");
    }
    // What gives less than everything lets nobody in by a list either.
    let listed = write(&policy(Action::Ask, &[("bob@h", Action::Allow)]));
    let narrowed = listed.replace("<pr:provide-all-attributes/>", "<pr:provide-note>true</pr:provide-note>");
    assert_eq!(read(narrowed.as_bytes()).unwrap().unreadable, [Action::Allow]);
}

#[test]
fn what_a_server_may_not_heed_is_told_of_each_rule_that_lets_somebody_in() {
    let partly = Arc::new(Shown::reachability());
    let many = |domain: Option<&str>, except: &[&str]| Who::Many {
        domain: domain.map(Into::into),
        except: except.iter().map(|one| Except::One(format!("sip:{one}").into())).collect(),
    };
    let weekly = Times { weekly: vec![Weekly::new([0], 0, 60).unwrap()], dates: Vec::new() };
    let mut policy = Policy::default().with_rules(vec![
        Rule { shown: partly, ..about("partly", Action::Allow, &[many(None, &[])]) },
        about("work", Action::Allow, &[many(Some("h"), &["eve@h"])]),
        about("all", Action::Allow, &[many(None, &["bob@h"])]),
        Rule { times: weekly.clone(), ..about("mondays", Action::Allow, &[many(None, &[])]) },
        Rule { times: weekly, ..about("none", Action::Block, &[many(Some("x"), &["bob@h"])]) },
        about("plain", Action::Allow, &[Who::One("sip:bob@h".into())]),
    ]);
    policy.set("eve@h", Action::Block);
    let id = |id: &str| Arc::from(id);
    let expected = [
        Loose::Everything(id("partly")),
        Loose::OtherDomains(id("work")),
        Loose::Excepted(id("all")),
        Loose::Always(id("mondays")),
    ];
    assert_eq!(loose(&policy), expected);
    assert_eq!(expected[0].to_string(), "the server may show everything to those of rule partly");
}

#[test]
fn what_is_not_known_of_another_programs_document_is_kept() {
    let foreign = "<?xml version='1.0' encoding='UTF-8'?>
<cr:ruleset xmlns:cr='urn:ietf:params:xml:ns:common-policy' xmlns:ocp='urn:oma:xml:xdm:common-policy' v:of='3' xmlns:v='urn:v'>
\t<v:settings a = '1'>x &amp; y</v:settings>
\t<cr:rule id='wp_prs_one_contact' v:shown='no'>
\t\t<cr:conditions><ocp:external-list><ocp:entry anc='http://h/list'/></ocp:external-list></cr:conditions>
\t\t<cr:actions><v:ring/></cr:actions><!-- ours, they said -->
\t</cr:rule>
\t<cr:rule/>
</cr:ruleset>
";
    let partly = Rule { shown: Arc::new(Shown::reachability()), ..Rule::new("partly", Action::Allow) };
    let policy = policy(Action::Ask, &[("eve@h", Action::Block)]).with_rules(vec![partly]);
    let after = update(foreign.as_bytes(), &policy).unwrap();
    let ours = ["block", "rule-partly", "default"].map(|id| format!("id=\"sippresence-{id}\""));
    assert!(ours.iter().all(|id| after.contains(id)), "{after}");
    // Without ours it is what it was, to the byte.
    let mut without = after.clone();
    while let Some(at) = without.find("<rule xmlns=") {
        let end = at + without[at..].find("</rule>").unwrap() + "</rule>".len();
        let start = without[..at].trim_end().len();
        without.replace_range(start..end, "");
    }
    assert_eq!(without, foreign);
    let read = read(after.as_bytes()).unwrap();
    assert_eq!((read.others.rules.len(), read.rules.len(), &*read.not_understood), (2, 1, &[][..]));
    let told: Vec<String> = read.others.not_understood.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        ["wp_prs_one_contact: {urn:oma:xml:xdm:common-policy}external-list", "wp_prs_one_contact: {urn:v}ring"]
    );
}
