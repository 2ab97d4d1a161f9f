//! PAR-20: the fuzzers' corpus on stable, so that what was found once stays found.
//!
//! The seeds are ours; a fuzzer's finding joins them under the name of what it does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/readers.rs"]
mod readers;

use std::{fs, panic::catch_unwind, path::Path};

/// Hands every file of a target's corpus to a reader, and names those that it panics on.
fn replay(target: &str, least: usize, read: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= least, "only {} files in {}", files.len(), folder.display());
    let bad: Vec<_> = files
        .into_iter()
        .filter(|file| {
            let bytes = fs::read(file).unwrap();
            catch_unwind(|| read(&bytes)).is_err()
        })
        .collect();
    assert!(bad.is_empty(), "{bad:?}");
}

#[test]
fn par_20_the_corpus_of_messages() {
    replay("message", 30, readers::read_everything);
}

#[test]
fn par_20_the_corpus_of_uris() {
    replay("uri", 40, |bytes| {
        if let Ok(text) = std::str::from_utf8(bytes) {
            readers::read_uri(text);
        }
        readers::read_value(bytes);
    });
}

#[test]
fn par_20_the_corpus_of_streams() {
    replay("stream", 20, readers::read_stream);
}

#[test]
fn trn_09_every_single_split_of_a_stream_gives_the_same_messages() {
    replay("stream", 20, |bytes| {
        let bytes = &bytes[..bytes.len().min(4096)];
        let whole = readers::frames(std::iter::once(bytes));
        for at in 0..=bytes.len() {
            let (front, back) = bytes.split_at(at);
            assert_eq!(whole, readers::frames([front, back].into_iter()), "split at {at}");
        }
    });
}

#[test]
fn par_20_the_corpus_of_presence_documents() {
    replay("pidf", 40, readers::read_document);
}
