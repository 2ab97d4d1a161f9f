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
