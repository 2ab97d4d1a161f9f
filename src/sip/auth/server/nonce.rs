//! Nonces that carry their own proof: when and for whom they were made, under a key that nobody else has (RFC 7616
//! §5.4, §5.5).
//!
//! Nothing is kept of one until somebody with the right password used it. From then on its count must rise, and what
//! the table of used ones has no place for any more is too old, as is every one of a key that is gone: none is taken
//! twice, whatever is forgotten.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use rand::{RngExt as _, rngs::StdRng};
use secrecy::zeroize::Zeroizing;
use sha2::{Digest as _, Sha256};

use super::stored::is_same;
use crate::sip::time::Instant;

/// How long a nonce is good for.
pub(super) const LIFE: Duration = Duration::from_mins(5);
/// How many used ones are remembered; the oldest go first.
pub(super) const MAX_USED: usize = 16_384;

type Key = Zeroizing<[u8; 32]>;

/// When a nonce was made, in milliseconds, and what tells it from others of that moment.
type Mark = (u64, u64);

/// A nonce that may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fresh(Mark);

/// Whatever was made under two keys: the one in use, and the one before.
pub(super) struct Nonces {
    keys: [Key; 2],
    turned_at: Instant,
    /// The highest count of each that was used.
    used: BTreeMap<Mark, u32>,
    /// What was made then or earlier is too old.
    floor: Option<u64>,
}

impl Nonces {
    pub(super) fn new(now: Instant, rng: &mut StdRng) -> Self {
        Self { keys: [key(rng), key(rng)], turned_at: now, used: BTreeMap::new(), floor: None }
    }

    /// Makes one for whoever is at `source`.
    pub(super) fn make(&mut self, source: IpAddr, now: Instant, rng: &mut StdRng) -> String {
        self.turn(now, rng);
        let (at, salt) = (millis(now), rng.random());
        let key = &self.keys[0];
        // For how long this machine has been up is nobody's business.
        format!("{:016x}{salt:016x}{}", at ^ veil(key, salt), tag(key, (at, salt), source))
    }

    /// Returns what is good for use from `source` now; none for what is too old, or from elsewhere.
    pub(super) fn read(&mut self, nonce: &str, source: IpAddr, now: Instant, rng: &mut StdRng) -> Option<Fresh> {
        self.turn(now, rng);
        let hex = |part: &str| u64::from_str_radix(part, 16).ok();
        if !nonce.bytes().all(|c| c.is_ascii_hexdigit()) {
            return None;
        }
        let (veiled, salt, shown) = (hex(nonce.get(..16)?)?, hex(nonce.get(16..32)?)?, nonce.get(32..)?);
        let mark = self.keys.iter().find_map(|key| {
            let mark = (veiled ^ veil(key, salt), salt);
            is_same(tag(key, mark, source).as_bytes(), shown.as_bytes()).then_some(mark)
        })?;
        let age = millis(now).checked_sub(mark.0)?;
        let lives = u128::from(age) < LIFE.as_millis() && self.floor.is_none_or(|floor| mark.0 > floor);
        lives.then_some(Fresh(mark))
    }

    /// Takes note of a use; false unless its count is higher than that of each one before.
    pub(super) fn spend(&mut self, Fresh(mark): Fresh, nc: u32, now: Instant) -> bool {
        let highest = self.used.entry(mark).or_default();
        if nc <= *highest {
            return false;
        }
        *highest = nc;
        let oldest = millis(now).saturating_sub(LIFE.as_millis() as u64);
        self.used = self.used.split_off(&(oldest, 0));
        while self.used.len() > MAX_USED {
            let Some(((at, _), _)) = self.used.pop_first() else { break };
            self.floor = self.floor.max(Some(at));
        }
        true
    }

    fn turn(&mut self, now: Instant, rng: &mut StdRng) {
        let age = now.since(self.turned_at);
        if age < LIFE {
            return;
        }
        let before = std::mem::replace(&mut self.keys[0], key(rng));
        self.keys[1] = if age < LIFE * 2 { before } else { key(rng) };
        self.turned_at = now;
    }
}

fn millis(at: Instant) -> u64 {
    u64::try_from(at.since_origin().as_millis()).unwrap_or(u64::MAX)
}

fn key(rng: &mut StdRng) -> Key {
    Zeroizing::new(rng.random())
}

fn veil(key: &Key, salt: u64) -> u64 {
    let hidden = hmac(&key[..], &[b"veil", &salt.to_be_bytes()]);
    hidden.iter().take(8).fold(0, |all, byte| all << 8 | u64::from(*byte))
}

/// Half of the MAC, in hex: as long as a key that cannot be guessed.
fn tag(key: &Key, (at, salt): Mark, source: IpAddr) -> String {
    let source = match source.to_canonical() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let mac = hmac(&key[..], &[b"made", &at.to_be_bytes(), &salt.to_be_bytes(), &source]);
    let half = mac.iter().take(16).fold(0, |all, byte| all << 8 | u128::from(*byte));
    format!("{half:032x}")
}

/// HMAC-SHA-256 (RFC 2104) with a key of one block at most.
fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let padded = |with: u8| {
        let mut block = Zeroizing::new([with; 64]);
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let mut inner = Sha256::new();
    inner.update(&padded(0x36)[..]);
    for part in parts {
        inner.update(part);
    }
    let mut outer = Sha256::new();
    outer.update(&padded(0x5c)[..]);
    outer.update(inner.finalize());
    outer.finalize().into()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn at(seconds: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(1000 + seconds))
    }

    fn nonces() -> (Nonces, StdRng) {
        let mut rng = StdRng::seed_from_u64(1);
        (Nonces::new(at(0), &mut rng), rng)
    }

    #[test]
    fn the_mac_is_that_of_rfc_4231() {
        let begins = |mac: [u8; 32]| mac.iter().take(16).fold(0, |all, byte| all << 8 | u128::from(*byte));
        assert_eq!(begins(hmac(&[0x0b; 20], &[b"Hi ", b"There"])), 0xb034_4c61_d8db_3853_5ca8_afce_af0b_f12b);
        let second = hmac(b"Jefe", &[b"what do ya want for nothing?"]);
        assert_eq!(begins(second), 0x5bdc_c146_bf60_754e_6a04_2426_0895_75c7);
    }

    #[test]
    fn aut_09_a_nonce_is_good_for_five_minutes_at_one_address_and_under_two_keys() {
        let (mut nonces, mut rng) = nonces();
        for begin in [0, 290, 900] {
            let nonce = nonces.make(HERE, at(begin), &mut rng);
            let good = |nonces: &mut Nonces, nonce: &str, source, after: u64, rng: &mut StdRng| {
                nonces.read(nonce, source, at(begin + after), rng).is_some()
            };
            assert!(good(&mut nonces, &nonce, HERE, 0, &mut rng));
            assert!(!good(&mut nonces, &nonce, "192.0.2.2".parse().unwrap(), 0, &mut rng));
            for at in [0, 20, 40, 63] {
                let mut other = nonce.clone().into_bytes();
                other[at] = if other[at] == b'0' { b'1' } else { b'0' };
                assert!(!good(&mut nonces, &String::from_utf8(other).unwrap(), HERE, 0, &mut rng), "{at}");
            }
            assert!(good(&mut nonces, &nonce, HERE, 299, &mut rng), "{begin}");
            assert!(!good(&mut nonces, &nonce, HERE, 300, &mut rng));
        }
        for nonsense in ["", "0", "é", &"+".repeat(64), &"0".repeat(63), &"f".repeat(1000)] {
            assert_eq!(nonces.read(nonsense, HERE, at(0), &mut rng), None);
        }
    }

    #[test]
    fn sec_03_a_nonce_of_another_run_is_not_known() {
        let (mut before, mut rng) = nonces();
        let nonce = before.make(HERE, at(0), &mut rng);
        let mut after = Nonces::new(at(1), &mut rng);
        assert_eq!(after.read(&nonce, HERE, at(1), &mut rng), None);
    }

    #[test]
    fn aut_09_the_count_of_a_nonce_rises_and_what_is_forgotten_is_too_old() {
        let (mut nonces, mut rng) = nonces();
        let first = nonces.make(HERE, at(0), &mut rng);
        let fresh = nonces.read(&first, HERE, at(0), &mut rng).unwrap();
        let counts = [(1, true), (1, false), (3, true), (2, false), (0, false), (4, true)];
        for (nc, taken) in counts {
            assert_eq!(nonces.spend(fresh, nc, at(0)), taken, "{nc}");
        }
        let unused = nonces.make(HERE, at(0), &mut rng);
        for _ in 0..MAX_USED {
            let nonce = nonces.make(HERE, at(1), &mut rng);
            let fresh = nonces.read(&nonce, HERE, at(1), &mut rng).unwrap();
            assert!(nonces.spend(fresh, 1, at(1)));
        }
        assert_eq!(nonces.used.len(), MAX_USED);
        assert_eq!(nonces.read(&first, HERE, at(2), &mut rng), None, "it was used and is forgotten");
        assert_eq!(nonces.read(&unused, HERE, at(2), &mut rng), None, "whether it was used is not known");
        let fresh = nonces.make(HERE, at(310), &mut rng);
        let fresh = nonces.read(&fresh, HERE, at(310), &mut rng).unwrap();
        assert!(nonces.spend(fresh, 1, at(310)));
        assert_eq!(nonces.used.len(), 1, "those that are too old take no place");
    }
}
