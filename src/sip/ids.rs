//! Random identifiers: tags, branches and Call-IDs (RFC 3261 §8.1.1.4, §8.1.1.7, §19.3).

use std::{
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use rand::{Rng, RngExt, rngs::StdRng};

/// The cookie that every branch of RFC 3261 begins with.
pub const MAGIC_COOKIE: &str = "z9hG4bK";

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const LEN: usize = 16;
const BYTES: usize = 10;

/// Eighty random bits, printed as sixteen characters; short, so that a NOTIFY with its body fits a datagram.
///
/// Being a number, a token that comes back from the wire finds its owner without a string comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token([u8; BYTES]);

impl Token {
    /// Draws a token from a cryptographically secure generator.
    pub fn random(rng: &mut StdRng) -> Self {
        Self::of_bits(rng.random::<u128>() >> 48)
    }

    /// Derives a token from what only we know and what a request bears, so that an answer of which nothing is
    /// kept is the same each time (§8.2.7).
    pub fn derived(secret: u128, parts: &[&[u8]]) -> Self {
        let half = |which: u8| {
            let mut hasher = DefaultHasher::new();
            (which, secret, parts).hash(&mut hasher);
            u128::from(hasher.finish())
        };
        Self::of_bits((half(0) << 64 | half(1)) >> 48)
    }

    /// Reads a token that we printed; anything else was not ours.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != LEN {
            return None;
        }
        text.bytes()
            .try_fold(0, |bits: u128, c| {
                let digit = match c {
                    b'a'..=b'z' => c - b'a',
                    b'2'..=b'7' => c - b'2' + 26,
                    _ => return None,
                };
                Some(bits << 5 | u128::from(digit))
            })
            .map(Self::of_bits)
    }

    /// Reads the token out of a branch that we made.
    pub fn parse_branch(branch: &str) -> Option<Self> {
        Self::parse(branch.strip_prefix(MAGIC_COOKIE)?)
    }

    /// Makes one of the lower bits of a number.
    fn of_bits(bits: u128) -> Self {
        let mut token = [0; BYTES];
        token.copy_from_slice(&bits.to_be_bytes()[size_of::<u128>() - BYTES..]);
        Self(token)
    }

    fn bits(self) -> u128 {
        self.0.iter().fold(0, |bits, byte| bits << 8 | u128::from(*byte))
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bits, mut text) = (self.bits(), [0; LEN]);
        for (i, c) in text.iter_mut().enumerate() {
            *c = ALPHABET[(bits >> (5 * (LEN - 1 - i)) & 31) as usize];
        }
        f.write_str(std::str::from_utf8(&text).expect("the alphabet is ASCII"))
    }
}

/// Draws a Call-ID of 128 random bits.
pub fn call_id(rng: &mut StdRng) -> String {
    let mut bytes = [0; 26];
    rng.fill_bytes(&mut bytes);
    bytes.iter().map(|b| char::from(ALPHABET[usize::from(b & 31)])).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_token_reads_back_what_it_printed() {
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..1000 {
            let token = Token::random(&mut rng);
            assert_eq!(Token::parse(&token.to_string()), Some(token));
            assert_eq!(Token::parse_branch(&format!("{MAGIC_COOKIE}{token}")), Some(token));
        }
        assert_eq!(Token::parse("ABCDEFGHIJKLMNOP"), None);
        assert_eq!(Token::parse(""), None);
    }

    #[test]
    fn txn_24_and_25_ten_thousand_tokens_differ_in_every_bit_position() {
        let mut rng = StdRng::seed_from_u64(2);
        let tokens: Vec<Token> = (0..10_000).map(|_| Token::random(&mut rng)).collect();
        assert_eq!(tokens.iter().collect::<HashSet<_>>().len(), tokens.len());
        for bit in 0..80 {
            let ones = tokens.iter().filter(|t| t.bits() >> bit & 1 == 1).count();
            assert!((4_700..5_300).contains(&ones), "bit {bit} was set {ones} times");
        }
        let ids: HashSet<String> = (0..1000).map(|_| call_id(&mut rng)).collect();
        assert_eq!(ids.len(), 1000);
    }
}
