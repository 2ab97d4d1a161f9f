//! The flow between a publisher and its server, message by message, with random fields masked (blocks W-B1 … W-B30).

use std::collections::HashMap;

use crate::{
    scripted::Scripted,
    world::{Msg, secs},
};

/// The blocks by name, with the line ends of the wire.
fn blocks() -> HashMap<&'static str, String> {
    let text = include_str!("messages.txt");
    let named = text.split("=== ").skip(1).map(|block| block.split_once('\n').unwrap());
    named.map(|(name, message)| (name, message.replace('\n', "\r\n"))).collect()
}

struct Flow {
    blocks: HashMap<&'static str, String>,
    server: Scripted,
}

impl Flow {
    fn new() -> Self {
        Self { blocks: blocks(), server: Scripted::new() }
    }

    fn body(&self, block: &str) -> String {
        self.blocks[block].split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// The PC sends this block next. `numbers` stand for the `CSeq` and nonce count of the block, where they differ since
    /// a part of its flow is left out.
    fn sends(&mut self, block: &str, numbers: &[(&str, &str)]) -> Msg {
        let msg = self.server.wait(secs(3600));
        let expected = numbers.iter().fold(self.blocks[block].clone(), |text, (old, new)| {
            assert!(text.contains(old), "{block}: {old}");
            text.replace(old, new)
        });
        assert_eq!(masked(&msg.text), masked(&expected), "{block}:\n{}", msg.text);
        msg
    }

    /// The server answers with this block; what belongs to the request is the request's.
    fn answers(&mut self, block: &str, request: &Msg) {
        let text: Vec<String> = self.blocks[block]
            .lines()
            .map(|line| match line.split_once(": ") {
                Some((name @ ("Via" | "From" | "Call-ID" | "CSeq"), _)) => format!("{name}: {}", request.header(name)),
                _ => line.to_owned(),
            })
            .collect();
        self.server.send(&format!("{}\n", text.join("\n")));
    }
}

/// What is random, and what the size of a message decides: its transport.
fn masked(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.split("\r\n").map(str::to_owned).collect();
    for line in &mut lines {
        for field in [";tag=", "response=\"", "cnonce=\""] {
            if let Some(at) = line.find(field).map(|at| at + field.len()) {
                let end = line[at..].find([';', '"']).map_or(line.len(), |n| at + n);
                line.replace_range(at..end, "_");
            }
        }
        for name in ["Call-ID: ", "Via: SIP/2.0/"] {
            if line.starts_with(name) {
                name.clone_into(line);
            }
        }
    }
    lines
}

#[test]
fn w_b1_to_w_b8_and_w_b19_publish_refresh_modify_remove() {
    let mut flow = Flow::new();
    let (at_desk, in_call) = (flow.body("W-B1"), flow.body("W-B7"));
    flow.server.publish(&at_desk);
    let first = flow.sends("W-B1", &[]);
    flow.answers("W-B2", &first);
    let proven = flow.sends("W-B3", &[]);
    assert_eq!(proven.header("Call-ID"), first.header("Call-ID"));
    assert_eq!(proven.header("From"), first.header("From"));
    assert_ne!(proven.header("Via"), first.header("Via"));
    flow.answers("W-B4", &proven);
    let refresh = flow.sends("W-B5", &[]);
    flow.answers("W-B6", &refresh);
    flow.server.publish(&in_call);
    let modify = flow.sends("W-B7", &[]);
    flow.answers("W-B8", &modify);
    flow.server.remove();
    // The SUBSCRIBE to presence.winfo that used the nonce the fourth time is no matter of the publisher.
    let removal = flow.sends("W-B19", &[("nc=00000005", "nc=00000004")]);
    flow.answers("W-B20", &removal);
    flow.server.advance(secs(10_000));
    flow.server.nothing();
}

#[test]
fn w_b23_to_w_b30_recover_from_a_server_that_forgot_or_is_busy() {
    let mut flow = Flow::new();
    let at_desk = flow.body("W-B25");
    flow.server.publish(&at_desk);
    let first = flow.sends("W-B1", &[]);
    flow.answers("W-B2", &first);
    let proven = flow.sends("W-B3", &[]);
    flow.answers("W-B8", &proven);
    let refresh = flow.sends("W-B23", &[("CSeq: 6", "CSeq: 3"), ("nc=00000006", "nc=00000002")]);
    flow.answers("W-B24", &refresh);
    let initial = flow.sends("W-B25", &[("CSeq: 7", "CSeq: 4"), ("nc=00000007", "nc=00000003")]);
    flow.answers("W-B26", &initial);
    let refresh = flow.server.wait(secs(3600));
    assert_eq!(refresh.header("SIP-If-Match"), "e5-Dm24yRk6");
    flow.answers("W-B30", &refresh);
    let again = flow.server.wait(secs(3600));
    assert_eq!((again.at, again.header("SIP-If-Match")), (refresh.at + secs(20), "e5-Dm24yRk6"));
    // W-B28 is for whoever asked for less than a minute: what it demands was asked for already.
    flow.answers("W-B28", &again);
    flow.server.nothing();
}
