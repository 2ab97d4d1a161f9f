//! Challenges to our requests, in virtual time and with literal messages (conformance section 5).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod answering;
mod guard;
mod notifying;
mod peers;
mod proving;
mod secrets;
mod trust;
mod ways;
#[path = "../world/mod.rs"]
mod world;

use std::collections::HashMap;

use sippresence::{
    presence::{PresentityState, core::WatchId},
    sip::auth::{Algorithm, Digest, Qop, Use, ha1},
};
use world::{ALICE, Msg, Script, config, credentials};

const PASSWORD: &str = "battery-staple-7";
const CHALLENGE: &str = "WWW-Authenticate: Digest realm=\"example.com\", nonce=\"n1\", opaque=\"x9\", algorithm=SHA-256, \
                         qop=\"auth\"\n";
const STALE: &str = "WWW-Authenticate: Digest realm=\"example.com\", nonce=\"n2\", stale=true, algorithm=SHA-256, \
                     qop=\"auth\"\n";
const BY_PROXY: &str = "Proxy-Authenticate: Digest realm=\"example.com\", nonce=\"p1\", algorithm=MD5, qop=\"auth\"\n";

/// Alice, whose server is where bob is, with a password that is there at once.
fn alice() -> Script {
    let mut script = without_password();
    script.password = Some(PASSWORD);
    script
}

fn without_password() -> Script {
    let mut config = config("alice", ALICE);
    config.credentials = Some(credentials());
    Script::new(config)
}

/// Watches, has the SUBSCRIBE challenged by 401 with these lines, and returns it and what came then.
fn challenged(script: &mut Script, lines: &str) -> (WatchId, Msg, Msg) {
    let id = script.watch();
    let first = script.expect("SUBSCRIBE");
    script.answer_with(&first, "401 Unauthorized", lines);
    let second = script.expect("SUBSCRIBE");
    (id, first, second)
}

fn code(script: &Script, id: WatchId) -> String {
    last(&script.state(id)).0
}

/// Why the last attempt failed: the code and the words.
fn last(state: &PresentityState) -> (String, String) {
    let info = state.subscription.as_ref().unwrap();
    (info.last_code.map(|code| code.to_string()).unwrap_or_default(), info.reason.clone().unwrap_or_default())
}

/// The parameters of credentials, as between their quotes.
fn params(line: &str) -> HashMap<&str, &str> {
    let line = line.strip_prefix("Digest ").unwrap();
    line.split(", ")
        .map(|param| param.split_once('=').unwrap())
        .map(|(name, value)| (name, value.trim_matches('"')))
        .collect()
}

/// What the response has to be by the other parameters.
fn expected(line: &str, method: &str, user: &str, password: &str, body: &[u8]) -> String {
    let params = params(line);
    let algorithm = params.get("algorithm").map_or(Algorithm::DEFAULT, |token| Algorithm::from_token(token).unwrap());
    let qop = params.get("qop").map(|qop| if *qop == "auth" { Qop::Auth } else { Qop::AuthInt });
    let nc = params.get("nc").map_or(0, |nc| u32::from_str_radix(nc, 16).unwrap());
    let ha1 = ha1(algorithm.hash, user, params["realm"], password);
    let usage = qop.map(|qop| Use { qop, nc, cnonce: params["cnonce"] });
    Digest { algorithm, ha1: &ha1, nonce: params["nonce"], usage, method, uri: params["uri"], body }.response()
}
