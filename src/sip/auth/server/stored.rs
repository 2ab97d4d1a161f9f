//! What a server keeps of a password (RFC 7616 §5.2), and comparing in a time that tells nothing.

use std::{fmt, hint::black_box};

use rand::{RngExt as _, rngs::StdRng};
use secrecy::zeroize::Zeroizing;

use super::super::{Hash, Secret, ha1};

/// H(user:realm:password) for each hash that there is one of, which is as secret as the password in this realm.
#[derive(Clone, Default)]
pub struct Stored([Option<Zeroizing<String>>; 3]);

impl Stored {
    /// Computes all of them.
    pub fn of_password(user: &str, realm: &str, password: &Secret) -> Self {
        Self(Hash::ALL.map(|hash| Some(ha1(hash, user, realm, password.reveal()))))
    }

    /// Takes those that were kept, in lower-case hex; by the others nobody can prove to be this user.
    pub fn of_hashes(hashes: impl IntoIterator<Item = (Hash, String)>) -> Self {
        let mut stored = Self::default();
        for (hash, ha1) in hashes {
            stored.0[hash as usize] = Some(Zeroizing::new(ha1));
        }
        stored
    }

    /// Returns the hashes that there is one of, the weakest first.
    pub fn hashes(&self) -> impl Iterator<Item = Hash> {
        Hash::ALL.into_iter().filter(|hash| self.of(*hash).is_some())
    }

    /// Makes some of nobody's password: computing with them takes as long as with any other.
    pub(super) fn decoy(rng: &mut StdRng) -> Self {
        Self(
            Hash::ALL
                .map(|_| Some(Zeroizing::new(format!("{:032x}{:032x}", rng.random::<u128>(), rng.random::<u128>())))),
        )
    }

    pub(super) fn of(&self, hash: Hash) -> Option<&str> {
        self.0[hash as usize].as_ref().map(|ha1| ha1.as_str())
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stored")
    }
}

/// Compares all bytes, wherever the first difference is; the lengths are no secret.
pub(super) fn is_same(a: &[u8], b: &[u8]) -> bool {
    let difference = a.iter().zip(b).fold(0, |difference, (a, b)| black_box(difference | (a ^ b)));
    a.len() == b.len() && black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aut_11_what_is_stored_is_one_digest_for_each_hash_and_does_not_show_itself() {
        let stored = Stored::of_password("bob", "example.com", &Secret::new("pässword"));
        for hash in Hash::ALL {
            assert_eq!(stored.of(hash), Some(ha1(hash, "bob", "example.com", "pässword").as_str()), "{hash:?}");
        }
        assert_eq!(format!("{stored:?}"), "Stored");
        let kept = Stored::of_hashes([(Hash::Sha256, stored.of(Hash::Sha256).unwrap().to_owned())]);
        assert_eq!((kept.of(Hash::Sha256), kept.of(Hash::Md5)), (stored.of(Hash::Sha256), None));
    }

    #[test]
    fn aut_11_texts_are_the_same_when_every_byte_is() {
        for (a, b, same) in
            [("", "", true), ("ab", "ab", true), ("ab", "aB", false), ("ab", "abc", false), ("b", "", false)]
        {
            assert_eq!(is_same(a.as_bytes(), b.as_bytes()), same, "{a} {b}");
        }
    }
}
