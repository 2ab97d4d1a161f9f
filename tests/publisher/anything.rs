//! Whatever the user, the server and the clock do, some things hold: PUB-03, PUB-04, PUB-07.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    AWAY, BUSY, OPEN,
    scripted::{CHALLENGE, Scripted},
    world::{Msg, ms, secs},
};

/// What the server and the user know.
struct Walk {
    server: Scripted,
    rng: StdRng,
    open: Option<Msg>,
    last_seq: u32,
    tags: u32,
    /// The newest tag, if the server gave one and holds it.
    tag: Option<String>,
    /// What the server holds under it.
    body: &'static str,
    wanted: Option<&'static str>,
}

impl Walk {
    /// Takes what was sent, and looks at it.
    fn look(&mut self) {
        for msg in self.server.take() {
            if msg.cseq() == self.last_seq {
                continue;
            }
            if let Some(open) = &self.open {
                assert!(msg.at >= open.at + secs(32), "PUB-07: {open:?} is open, and {msg:?} was sent");
            }
            assert!(msg.cseq() > self.last_seq, "{msg:?}");
            self.last_seq = msg.cseq();
            match msg.get("SIP-If-Match") {
                Some(tag) => assert_eq!(Some(tag), self.tag.as_deref(), "PUB-04: {msg:?}"),
                None => assert!(!msg.body().is_empty(), "{msg:?}"),
            }
            assert_eq!(msg.get("Content-Type").is_some(), !msg.body().is_empty(), "PUB-03: {msg:?}");
            assert!(msg.header("Expires") != "0" || msg.body().is_empty(), "{msg:?}");
            self.open = Some(msg);
        }
    }

    /// Takes the open request; nobody waits for the answer to one that timed out.
    fn in_time(&mut self) -> Option<Msg> {
        let now = self.server.after();
        self.open.take().filter(|request| now < request.at + secs(32))
    }

    fn accept(&mut self, request: &Msg, tagged: bool) {
        self.tags += 1;
        let tag = format!("e{}", self.tags);
        let line = if tagged { format!("SIP-ETag: {tag}\n") } else { String::new() };
        if let Some(body) = [OPEN, BUSY, AWAY].into_iter().find(|body| *body == request.body()) {
            self.body = body;
        }
        let removed = request.header("Expires") == "0";
        self.tag = Some(tag).filter(|_| tagged && !removed);
        self.server.answer(request, "200 OK", &format!("{line}Expires: 600\n"));
    }

    fn answer(&mut self) {
        let Some(request) = self.in_time() else { return };
        match self.rng.random_range(0..9) {
            0..4 => self.accept(&request, true),
            4 => self.accept(&request, false),
            5 => {
                if request.get("SIP-If-Match").is_some() {
                    self.tag = None;
                }
                self.server.answer(&request, "412 Conditional Request Failed", "");
            }
            6 => self.server.answer(&request, "500 Server Internal Error", ""),
            7 => self.server.answer(&request, "503 Service Unavailable", "Retry-After: 40\n"),
            _ => {
                let nonce = format!("nonce=\"n{}\", stale=true", self.server.after().as_millis());
                self.server.answer(&request, "401 Unauthorized", &CHALLENGE.replace("nonce=\"n1\"", &nonce));
            }
        }
    }

    fn step(&mut self) {
        match self.rng.random_range(0..10) {
            0..3 => {
                let body = [OPEN, BUSY, AWAY][self.rng.random_range(0..3)];
                self.wanted = Some(body);
                self.server.publish(body);
            }
            3 => {
                self.wanted = None;
                self.server.remove();
            }
            4 => self.server.act(|publisher, _, step| publisher.resumed(step)),
            5 => {
                let asleep = self.rng.random_range(0..700);
                self.server.sleep(secs(asleep));
            }
            6 => self.server.advance(secs(40)),
            _ => self.answer(),
        }
        self.look();
        let pause = self.rng.random_range(0..3000);
        self.server.advance(ms(pause));
        self.look();
    }
}

#[test]
fn pub_03_pub_04_pub_07_hold_whatever_happens_and_the_newest_state_arrives_in_the_end() {
    for seed in 0..100 {
        let (server, rng) = (Scripted::new(), StdRng::seed_from_u64(seed));
        let (tag, wanted) = (None, None);
        let mut walk = Walk { server, rng, open: None, last_seq: 0, tags: 0, tag, body: "", wanted };
        for _ in 0..80 {
            walk.step();
        }
        // The server is kind from now on.
        for _ in 0..4000 {
            if let Some(request) = walk.in_time() {
                walk.accept(&request, true);
            }
            walk.look();
            walk.server.advance(secs(1));
            walk.look();
        }
        match walk.wanted {
            Some(body) => {
                assert!(walk.server.publisher.is_current(), "{seed}");
                assert_eq!((walk.body, walk.tag.is_some()), (body, true), "{seed}");
            }
            // What could not be taken back has lapsed.
            None => assert_eq!(walk.server.publisher.standing().state, "idle", "{seed}"),
        }
    }
}
