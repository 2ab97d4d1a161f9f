//! Every requirement of the first release is either proven by a test that bears its ID, or named with the issue
//! that will bring it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

const PREFIXES: &[&str] = &[
    "txn", "dlg", "trn", "res", "par", "xml", "pid", "rpi", "ext", "aut", "wat", "not", "pub", "esc", "cmp", "pol",
    "map", "sec", "blf", "tls", "win", "wic", "cnn", "cnd", "rte", "rat", "xcp", "rls",
];

fn rows() -> BTreeMap<String, String> {
    include_str!("requirements.txt")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let (id, owner) = line.split_once(' ').unwrap();
            (id.to_owned(), owner.to_owned())
        })
        .collect()
}

fn read_rust(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_rust(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

/// Reads the IDs out of a test's name: `txn_09_and_10_…`, `map_19_to_30_…`, `trn_01_trn_31_…`.
fn ids_in(name: &str) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    let (mut prefix, mut last, mut through) = (None, None, false);
    for word in name.split('_') {
        if PREFIXES.contains(&word) {
            (prefix, last) = (Some(word.to_uppercase()), None);
        } else if let (Some(prefix), Ok(number)) = (&prefix, word.parse::<u32>()) {
            if word.len() != 2 {
                break;
            }
            let from = if through { last.unwrap_or(number) } else { number };
            ids.extend((from..=number).map(|n| format!("{prefix}-{n:02}")));
            (last, through) = (Some(number), false);
        } else if word == "to" && last.is_some() {
            through = true;
        } else if !(word == "and" && last.is_some()) {
            // The fact begins here; numbers in it are no IDs.
            break;
        }
    }
    ids
}

/// Returns the IDs that tests of this repository bear.
fn proven() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    read_rust(&root.join("src"), &mut text);
    read_rust(&root.join("tests"), &mut text);
    let functions = text.match_indices("fn ").map(|(at, _)| {
        let rest = &text[at + 3..];
        &rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())]
    });
    functions.flat_map(ids_in).collect()
}

#[test]
fn every_row_that_belongs_here_has_a_test_that_bears_its_id() {
    let proven = proven();
    let missing: Vec<String> =
        rows().into_iter().filter(|(id, owner)| owner == "here" && !proven.contains(id)).map(|(id, _)| id).collect();
    assert!(missing.is_empty(), "{} rows without a test: {missing:?}", missing.len());
}

#[test]
fn every_other_row_names_an_issue() {
    for (id, owner) in rows() {
        assert!(["here", "agent", "server", "policy", "serve"].contains(&owner.as_str()), "{id}: {owner}");
    }
    assert_eq!(rows().len(), 332);
}

#[test]
fn ids_are_read_out_of_names() {
    let ids = |name| ids_in(name).into_iter().collect::<Vec<_>>();
    assert_eq!(ids("txn_09_and_10_a_resend"), ["TXN-09", "TXN-10"]);
    assert_eq!(ids("map_19_to_21_rows"), ["MAP-19", "MAP-20", "MAP-21"]);
    assert_eq!(ids("trn_01_trn_31_port"), ["TRN-01", "TRN-31"]);
    assert_eq!(ids("par_05_and_12_names"), ["PAR-05", "PAR-12"]);
    assert!(ids("the_notifier_is_not_05_late").is_empty());
}
