//! `explain`, and the hints of `show`.

use crate::support::Home;

#[test]
fn a_code_is_explained_in_three_lines_or_as_an_object() {
    let home = Home::new("alice");
    let explain = home.run(&["explain", "489"]);
    assert_eq!((explain.code, explain.err.as_str(), explain.out.lines().count()), (0, "", 4), "{explain:?}");
    assert!(explain.out.starts_with("sip 489: Bad Event\n  means  the other side does not know"), "{explain:?}");
    let explain = home.run(&["explain", "--json", "reason=probation"]);
    let entry: serde_json::Value = serde_json::from_str(&explain.out).unwrap();
    assert_eq!((entry["topic"].as_str(), entry["code"].as_str()), (Some("reason"), Some("probation")));
    assert!(["title", "means", "cause", "next"].iter().all(|field| entry[field].is_string()), "{entry}");
    assert!(home.run(&["explain", "exit", "11"]).out.starts_with("exit 11: no agent"));
    assert!(home.run(&["explain", "11"]).out.starts_with("exit 11: no agent"));
}

#[test]
fn a_word_of_two_meanings_has_both() {
    let explain = Home::new("alice").run(&["explain", "timeout"]);
    assert!(explain.out.contains("reason timeout:") && explain.out.contains("\n\nfailed timeout:"), "{explain:?}");
}

#[test]
fn what_is_not_known_names_the_nearest_and_an_unlisted_code_its_class() {
    let home = Home::new("alice");
    let explain = home.run(&["explain", "probaton"]);
    assert_eq!((explain.code, explain.err.lines().count()), (2, 2), "{explain:?}");
    assert!(explain.err.starts_with("sippresence: nothing is known of `probaton`: did you mean `probation`?\nhint: "));
    let explain = home.run(&["explain", "499"]);
    assert_eq!(explain.err, "499 is not one that is known here: it counts as 400\n");
    // It needs no configuration, not even a readable one.
    home.config("[agent\n");
    assert_eq!(home.run(&["explain", "404"]).code, 0);
}

#[test]
fn show_says_what_to_do_about_a_look_that_failed() {
    let home = Home::new("alice");
    let _agent = home.agent();
    let [nobody, nowhere] = ["nobody", "nowhere"].map(|name| format!("{name}@127.0.0.1:{}", home.port));
    let two = home.run(&["show", &nobody, &nowhere]);
    assert_eq!(two.err.lines().count(), 1, "{two:?}");
    assert_eq!(home.run(&["-q", "show", &nobody]).err, "");
    let nobody = home.run(&["show", &nobody]);
    assert_eq!(nobody.err.lines().count(), 1, "{nobody:?}");
    assert!(nobody.err.starts_with("hint: check the address"), "{nobody:?}");
    assert!(nobody.err.trim_end().ends_with("`sippresence explain 404` tells more"), "{nobody:?}");
    assert_eq!(home.run(&["show", "me"]).err, "");
}
