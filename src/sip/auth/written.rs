//! Writing credentials: Authorization and Proxy-Authorization (RFC 7616 §3.4, RFC 3261 §22.4).

use std::{io::Write as _, net::SocketAddr};

use rand::rngs::StdRng;

use super::{Account, Algorithm, Digest, Kind, Qop, Use, account::Session, challenge::unescape};
use crate::sip::ids::Token;

/// What one request's credentials were made of, to check the server's proof by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// For whom.
    pub kind: Kind,
    /// At which next hop.
    pub hop: SocketAddr,
    pub(super) algorithm: Algorithm,
    pub(super) nonce: Box<str>,
    pub(super) usage: Option<(Qop, u32, Box<str>)>,
    pub(super) uri: Box<str>,
}

impl Account {
    /// Writes whole header lines with credentials for every nonce in use at a next hop; none where the password is
    /// not known. Each is one more use of its nonce.
    pub fn write(
        &mut self,
        hop: SocketAddr,
        (method, uri, body): (&str, &str, &[u8]),
        rng: &mut StdRng,
        lines: &mut Vec<u8>,
    ) -> Vec<Sent> {
        let mut sent = Vec::new();
        for at in 0..self.sessions.len() {
            if self.sessions[at].hop != hop {
                continue;
            }
            let Some(ha1) = self.ha1(self.sessions[at].challenge.algorithm.hash) else { break };
            let session = &mut self.sessions[at];
            session.uses = session.uses.saturating_add(1);
            let challenge = &session.challenge;
            let (algorithm, nonce) = (challenge.algorithm, unescape(&challenge.nonce));
            let usage = challenge.qop.map(|qop| {
                let mut fresh = || Token::random(rng).to_string().into_boxed_str();
                let cnonce = if algorithm.session { session.cnonce.get_or_insert_with(fresh).clone() } else { fresh() };
                (qop, session.uses, cnonce)
            });
            let used = usage.as_ref().map(|(qop, nc, cnonce)| Use { qop: *qop, nc: *nc, cnonce });
            let digest = Digest { algorithm, ha1: &ha1, nonce: &nonce, usage: used, method, uri, body };
            write_line(lines, &self.quoted_user, session, uri, &digest);
            let nonce = session.challenge.nonce.clone();
            sent.push(Sent { kind: session.challenge.kind, hop, algorithm, nonce, usage, uri: uri.into() });
        }
        sent
    }

    /// The server wants another nonce from now on.
    pub(super) fn renew(&mut self, sent: &Sent, next: &str) {
        let is_it = |session: &&mut Session| session.hop == sent.hop && session.challenge.nonce == sent.nonce;
        if let Some(session) = self.sessions.iter_mut().find(is_it) {
            session.challenge.nonce = next.into();
            (session.uses, session.cnonce) = (0, None);
        }
    }
}

fn write_line(lines: &mut Vec<u8>, quoted_user: &str, session: &Session, uri: &str, digest: &Digest<'_>) {
    const WRITES: &str = "a vector takes every write";
    let challenge = &session.challenge;
    let (name, response) = (challenge.kind.credentials().as_str(), digest.response());
    write!(
        lines,
        "{name}: Digest username={quoted_user}, realm=\"{}\", nonce=\"{}\", uri=\"{uri}\", response=\"{response}\"",
        challenge.realm, challenge.nonce
    )
    .expect(WRITES);
    if let Some(named) = &challenge.named {
        write!(lines, ", algorithm={named}").expect(WRITES);
    }
    if let Some(Use { cnonce, .. }) = digest.usage {
        write!(lines, ", cnonce=\"{cnonce}\"").expect(WRITES);
    }
    if let Some(opaque) = &challenge.opaque {
        write!(lines, ", opaque=\"{opaque}\"").expect(WRITES);
    }
    if let Some(Use { qop, nc, .. }) = digest.usage {
        write!(lines, ", qop={}, nc={nc:08x}", qop.token()).expect(WRITES);
    }
    lines.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng as _;

    use super::*;
    use crate::sip::{
        auth::{Challenge, Credentials, Hash, Secret},
        codec::{Framing, decode},
        time::Instant,
    };

    proptest! {
        #[test]
        fn par_21_whatever_a_challenge_says_its_answer_is_whole_lines_that_can_be_read(
            value in "[ -~\\t\\\\\"é,=]{0,40}",
            param in "(realm|nonce|opaque|qop|algorithm|stale|x)",
            quoted: bool,
            user in "[^\\x00-\\x1f\\x7f-\\x9f]{0,8}",
        ) {
            let value = if quoted { format!("\"{value}\"") } else { value };
            let line = format!("Digest {param}={value}, realm=\"r\", nonce=\"n\", qop=\"auth\"");
            let text = format!(
                "SIP/2.0 401 No\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:a@h>;tag=2\r\n\
                 Call-ID: 1\r\nCSeq: 1 NOTIFY\r\nWWW-Authenticate: {line}\r\nContent-Length: 0\r\n\r\n"
            );
            let response = decode(text.as_bytes(), Framing::Datagram).unwrap();
            let hop: SocketAddr = "192.0.2.1:5060".parse().unwrap();
            let credentials =
                Credentials { user: user.into(), realm: None, servers: vec!["192.0.2.1".into()], min: Hash::Md5 };
            let mut account = Account::new(credentials).unwrap();
            let Ok(chosen) = account.choose(&response, hop.ip(), true, true) else { return Ok(()) };
            for challenge in chosen {
                account.begin(hop, challenge);
            }
            account.take_secret(Ok(Secret::new("p")), Instant::default());
            let mut lines = Vec::new();
            let sent = account.write(hop, ("NOTIFY", "sip:a@h", b""), &mut StdRng::seed_from_u64(1), &mut lines);
            prop_assert_eq!(sent.len(), 1);
            let written = String::from_utf8(lines).unwrap();
            prop_assert!(written.ends_with("\r\n") && written.trim_end_matches("\r\n").chars().all(|c| !c.is_control()));
            // Read as a challenge, which has the same form, it says the same.
            let back = text.replace(&format!("WWW-Authenticate: {line}\r\n"), &written.replacen("Authorization", "WWW-Authenticate", 1));
            let back = Challenge::all(&decode(back.as_bytes(), Framing::Datagram).unwrap(), Kind::Server);
            let session = &account.sessions[0].challenge;
            prop_assert_eq!(back.len(), 1, "{}", written);
            prop_assert_eq!(&back[0].nonce, &session.nonce);
            prop_assert_eq!(&back[0].realm, &session.realm);
            prop_assert_eq!(&back[0].opaque, &session.opaque);
        }
    }
}
