//! A server that is killed while it commits: whatever it has said is kept is there, and the file is whole.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use sippresence::server::store::{Batch, Record, Report, Store, Table, Writer, check};

const FILE: &str = "STORE_TEST_FILE";
/// How each line of the child begins, among those of the test's frame.
const SAID: &str = "kept through ";
const ROUNDS: usize = 12;

fn record(n: u64, round: u8) -> Record {
    let value = vec![round; 200 + (n % 5) as usize * 1000];
    Record { table: Table::Publications, key: n.to_be_bytes().to_vec(), value: Some(value) }
}

#[test]
#[ignore = "it is killed by the test below, which starts it"]
fn child_commits_until_it_is_killed() {
    let path = env::var(FILE).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut store = Store::open(Path::new(&path)).unwrap();
    let round = u8::try_from(store.load(Table::Meta).unwrap().len()).unwrap();
    let begun = Record { table: Table::Meta, key: vec![round], value: Some(Vec::new()) };
    store.commit(&[begun]).unwrap();
    let (writer, mut reports) = Writer::start(store).unwrap();
    for n in 1.. {
        writer.submit(Batch { n, records: vec![record(2 * n, round), record(2 * n + 1, round)] });
        // Some of them go together.
        if n % 7 == 0 {
            let report = runtime.block_on(reports.recv());
            let Some(Report::Persisted { through }) = report else { panic!("{report:?}") };
            writeln!(std::io::stdout(), "{SAID}{through}").unwrap();
        }
    }
}

#[test]
fn whatever_was_said_to_be_kept_is_there_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.redb");
    for round in 0..ROUNDS {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "child_commits_until_it_is_killed", "--ignored", "--nocapture"])
            .env(FILE, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = || loop {
            // The frame of the test may stand before it in the line.
            let line = lines.next()?.unwrap();
            if let Some((_, n)) = line.split_once(SAID) {
                return Some(n.parse::<u64>().unwrap());
            }
        };
        // At another moment each time.
        let mut last = 0;
        for _ in 0..=round * 3 {
            last = said().expect("the child ended by itself");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        while let Some(more) = said() {
            last = more;
        }

        let checked = check(&path).unwrap();
        assert!(checked.was_killed && !checked.was_mended, "{checked:?}");
        let mut store = Store::open(&path).unwrap();
        assert_eq!(store.load(Table::Meta).unwrap().len(), round + 1);
        let kept = store.load(Table::Publications).unwrap();
        let value = |n: u64| {
            let at = kept.binary_search_by(|(key, _)| key.as_slice().cmp(&n.to_be_bytes())).ok()?;
            Some(kept[at].1.as_slice())
        };
        let round = u8::try_from(round).unwrap();
        for n in 2..2 * last + 2 {
            assert_eq!(value(n), record(n, round).value.as_deref(), "round {round}: {n} of {last}");
        }
        // What was not said may be there or not, but no half of a batch.
        let of_round = |n| value(n).is_some_and(|value| value[0] == round);
        let mut n = last + 1;
        while of_round(2 * n) || of_round(2 * n + 1) {
            assert!(of_round(2 * n) && of_round(2 * n + 1), "round {round}: half of batch {n}");
            n += 1;
        }
    }
}
