//! The arithmetic of digests: hashes, A1, A2, response (RFC 7616 §3.4).

use std::fmt::Write as _;

use md5::Md5;
use secrecy::zeroize::Zeroizing;
use sha2::{Sha256, Sha512_256};

/// A hash function, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hash {
    /// For old servers only.
    Md5,
    /// SHA-256.
    Sha256,
    /// SHA-512/256.
    Sha512_256,
}

impl Hash {
    /// All of them, the weakest first.
    pub const ALL: [Self; 3] = [Self::Md5, Self::Sha256, Self::Sha512_256];

    /// Returns the name of the algorithm that is this hash and no more.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
            Self::Sha512_256 => "SHA-512-256",
        }
    }

    /// Returns the hash of the parts with a colon between any two, in lower-case hex.
    fn joined(self, parts: &[&[u8]]) -> Zeroizing<String> {
        fn of<D: sha2::Digest>(parts: &[&[u8]]) -> Zeroizing<String> {
            let mut hash = D::new();
            for (i, part) in parts.iter().enumerate() {
                if i > 0 {
                    hash.update(b":");
                }
                hash.update(part);
            }
            let mut hex = Zeroizing::new(String::with_capacity(64));
            for byte in hash.finalize() {
                // A string takes every write.
                let _ = write!(hex, "{byte:02x}");
            }
            hex
        }
        match self {
            Self::Md5 => of::<Md5>(parts),
            Self::Sha256 => of::<Sha256>(parts),
            Self::Sha512_256 => of::<Sha512_256>(parts),
        }
    }
}

/// A digest algorithm as `algorithm` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Algorithm {
    /// The hash.
    pub hash: Hash,
    /// Whether A1 is bound to the first nonce and cnonce, `-sess`.
    pub session: bool,
}

impl Algorithm {
    /// MD5, which stands where no algorithm is named.
    pub const DEFAULT: Self = Self { hash: Hash::Md5, session: false };

    /// Reads a token, ignoring case.
    pub fn from_token(token: &str) -> Option<Self> {
        const SESSION: &str = "-sess";
        let base = token.len().checked_sub(SESSION.len()).and_then(|at| token.split_at_checked(at));
        let (name, session) = match base {
            Some((name, suffix)) if suffix.eq_ignore_ascii_case(SESSION) => (name, true),
            _ => (token, false),
        };
        let hash = Hash::ALL.into_iter().find(|hash| hash.token().eq_ignore_ascii_case(name))?;
        Some(Self { hash, session })
    }
}

/// The quality of protection (RFC 7616 §3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Qop {
    /// Method and URI are covered.
    Auth,
    /// The body too.
    AuthInt,
}

impl Qop {
    /// Returns the token.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::AuthInt => "auth-int",
        }
    }
}

/// Returns H(user:realm:password), which a server may store instead of the password; as secret as that (RFC 7616
/// §3.4.2, §5.2).
pub fn ha1(hash: Hash, user: &str, realm: &str, password: &str) -> Zeroizing<String> {
    hash.joined(&[user.as_bytes(), realm.as_bytes(), password.as_bytes()])
}

/// One use of a nonce, where the challenge has a qop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use<'a> {
    /// What is covered.
    pub qop: Qop,
    /// The how manieth use of the nonce it is, from 1.
    pub nc: u32,
    /// The client's own nonce.
    pub cnonce: &'a str,
}

/// What a response is made of; all texts without quotes and escapes.
#[derive(Clone, Copy, Debug)]
pub struct Digest<'a> {
    /// As the challenge says.
    pub algorithm: Algorithm,
    /// See [`ha1`].
    pub ha1: &'a str,
    /// Of the challenge.
    pub nonce: &'a str,
    /// Absent as in RFC 2069.
    pub usage: Option<Use<'a>>,
    /// The method; empty for `rspauth`.
    pub method: &'a str,
    /// The request-URI, byte for byte.
    pub uri: &'a str,
    /// The body, for auth-int.
    pub body: &'a [u8],
}

impl Digest<'_> {
    /// Returns the value of `response`, or of `rspauth` (§3.4.1, §3.5).
    pub fn response(&self) -> String {
        let Self { algorithm: Algorithm { hash, session }, ha1, nonce, usage, method, uri, body } = *self;
        let join = |parts: &[&[u8]]| hash.joined(parts);
        let bound = match usage {
            Some(usage) if session => Some(join(&[ha1.as_bytes(), nonce.as_bytes(), usage.cnonce.as_bytes()])),
            _ => None,
        };
        let a1 = bound.as_ref().map_or(ha1, |bound| bound.as_str());
        let (method, uri) = (method.as_bytes(), uri.as_bytes());
        let a2 = match usage {
            Some(Use { qop: Qop::AuthInt, .. }) => join(&[method, uri, join(&[body]).as_bytes()]),
            _ => join(&[method, uri]),
        };
        let (a1, nonce, a2) = (a1.as_bytes(), nonce.as_bytes(), a2.as_bytes());
        let response = match usage {
            Some(Use { qop, nc, cnonce }) => {
                let nc = format!("{nc:08x}");
                join(&[a1, nonce, nc.as_bytes(), cnonce.as_bytes(), qop.token().as_bytes(), a2])
            }
            None => join(&[a1, nonce, a2]),
        };
        response.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
    const CNONCE: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";

    fn get(hash: Hash, who: (&str, &str, &str), nonce: &str, cnonce: Option<&str>, uri: &str) -> String {
        let ha1 = ha1(hash, who.0, who.1, who.2);
        let usage = cnonce.map(|cnonce| Use { qop: Qop::Auth, nc: 1, cnonce });
        let algorithm = Algorithm { hash, session: false };
        Digest { algorithm, ha1: &ha1, nonce, usage, method: "GET", uri, body: b"" }.response()
    }

    #[test]
    fn the_examples_of_rfc_7616() {
        let mufasa = ("Mufasa", "http-auth@example.org", "Circle of Life");
        for (hash, response) in [
            (Hash::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
            (Hash::Sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            assert_eq!(get(hash, mufasa, NONCE, Some(CNONCE), "/dir/index.html"), response);
        }
        // §3.9.2 was printed with a truncated SHA-512 in place of SHA-512/256 (erratum 4897); this is its input.
        assert_eq!(
            Hash::Sha512_256.joined(&["Jäsøn Doe".as_bytes(), b"api@example.org"]).as_str(),
            "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
        );
        let doe = ("Jäsøn Doe", "api@example.org", "Secret, or not?");
        let (nonce, cnonce) = ("5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", "NTg6RKcb9boFIAS3KrFK9BGeh+niz/sm");
        assert_eq!(
            get(Hash::Sha512_256, doe, nonce, Some(cnonce), "/doe.json"),
            "7a4e1192babbba02e91182d2895bfdbf7adafc6e48d4e517ca301974843d840c"
        );
    }

    #[test]
    fn aut_07_the_examples_of_rfc_2617_and_of_rfc_2069_without_a_qop() {
        let mufasa = |password| ("Mufasa", "testrealm@host.com", password);
        let (nonce, uri) = ("dcd98b7102dd2f0e8b11d0f600bfb0c093", "/dir/index.html");
        let response = get(Hash::Md5, mufasa("Circle Of Life"), nonce, Some("0a4f113b"), uri);
        assert_eq!(response, "6629fae49393a05397450978507c4ef1");
        // As its erratum 749 corrects it.
        assert_eq!(get(Hash::Md5, mufasa("CircleOfLife"), nonce, None, uri), "1949323746fe6a43ef61f9606e7febea");
    }

    #[test]
    fn aut_07_and_14_sess_and_auth_int_as_another_program_computes_them() {
        let table = [
            (Hash::Md5, "329c3f65331bc3b40e8ae7b15f8e818a", "d6f29d7fd485dbf343f5614d226d1ab2"),
            (
                Hash::Sha256,
                "80807e5c7aaad0829b331c0118a014b06056d5c860b15af6d32c6f97f0894b14",
                "aa8757362ff5a8ab320035bbda56b642858a619d84348e2c82abf8acf70ae322",
            ),
            (
                Hash::Sha512_256,
                "2952c2373593f9a5d8724695093ff2f7826d58c020803ca74baff9580a4f018e",
                "fde5e40ee8d4a99a104cebdd4aee5b96d829529b4f38ed39f23620a93b04639a",
            ),
        ];
        for (hash, session, whole) in table {
            let ha1 = ha1(hash, "alice", "example.com", "pässword \"\\9");
            for (session, qop, nc, expected) in [(true, Qop::Auth, 10, session), (false, Qop::AuthInt, 1, whole)] {
                let digest = Digest {
                    algorithm: Algorithm { hash, session },
                    ha1: &ha1,
                    nonce: "abc-nonce",
                    usage: Some(Use { qop, nc, cnonce: "c0ffee" }),
                    method: "PUBLISH",
                    uri: "sip:alice@example.com",
                    body: b"\x00\xff body\r\n",
                };
                assert_eq!(digest.response(), expected, "{hash:?} {session}");
            }
        }
    }

    #[test]
    fn algorithms_are_read_in_any_case() {
        let known = |token| Algorithm::from_token(token).map(|algorithm| (algorithm.hash, algorithm.session));
        assert_eq!(known("md5"), Some((Hash::Md5, false)));
        assert_eq!(known("MD5-SESS"), Some((Hash::Md5, true)));
        assert_eq!(known("sha-256"), Some((Hash::Sha256, false)));
        assert_eq!(known("SHA-512-256-sess"), Some((Hash::Sha512_256, true)));
        for unknown in ["", "SHA256", "SHA-512", "-sess", "AKAv1-MD5", "ü-sess"] {
            assert_eq!(known(unknown), None, "{unknown}");
        }
    }
}
