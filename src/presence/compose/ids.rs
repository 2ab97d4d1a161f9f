//! Step 3: ids that hold while a publication does, and are unique in a document.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The ids that are taken.
#[derive(Debug, Default)]
pub(super) struct Ids(BTreeSet<String>);

impl Ids {
    /// Makes the id of an element of a publication: from its own id, or its place where it has none.
    pub(super) fn of_element(&mut self, letter: char, key: &str, id: Option<&str>, place: usize) -> String {
        match id {
            Some(id) => self.of(letter, key, id),
            None => self.of(letter, key, &format!("\0{place}")),
        }
    }

    /// Makes the id of what a publication calls `id`. If that stands for something already, so does the next one made.
    pub(super) fn of(&mut self, letter: char, key: &str, id: &str) -> String {
        let mut name = id.to_owned();
        loop {
            let hash = Sha256::new().chain_update(key).chain_update([0]).chain_update(&name).finalize();
            // Fifty bits, five for each character.
            let bits = hash.iter().take(7).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte)) >> 6;
            let word = (0..10).rev().map(|n| char::from(ALPHABET[(bits >> (5 * n) & 31) as usize]));
            let made: String = std::iter::once(letter).chain(word).collect();
            if self.0.insert(made.clone()) {
                return made;
            }
            name.push('\0');
        }
    }
}
