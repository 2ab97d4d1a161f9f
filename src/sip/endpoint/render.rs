//! Where the path of a message is written into it: Via, Contact and credentials of requests, `received` of responses.

use std::{net::SocketAddr, ops::Range};

use bytes::Bytes;

use super::{ContactSlot, FlowUse};
use crate::sip::{
    codec::{self, Head},
    ids::{MAGIC_COOKIE, Token},
    message::Message,
    transport::{Flow, Packet, Transport},
};

/// Begins a response; on top of what RFC 3261 §8.2.6.2 copies it fills `received` and `rport` (TRN-06).
pub(super) fn response_head(flow: Flow, request: &Message<'_>, code: u16, reason: &str, tag: &str) -> Head {
    let received = request.top_via().ok().and_then(|via| {
        let same_host = via.host.trim_matches(['[', ']']).parse() == Ok(flow.remote.ip());
        (!same_host || via.rport.is_some()).then_some((flow.remote.ip(), flow.remote.port()))
    });
    codec::write_response(request, code, reason, tag, received)
}

/// Ends a response and says where it goes (RFC 3261 §18.2.2, RFC 3581 §4).
pub(super) fn finish_response(head: Head, flow: Flow, request: &Message<'_>) -> Option<(Packet, Flow)> {
    let head = head.finish(0).ok()?;
    let mut to = flow;
    // A request whose Via is missing or cannot be read gets its 400 where it came from.
    if !flow.transport.is_stream()
        && let Ok(via) = request.top_via()
        && via.rport.is_none()
    {
        to.remote.set_port(via.port.unwrap_or_else(|| flow.transport.default_port()));
    }
    Some((Packet { head, body: Bytes::new() }, to))
}

/// Puts Via, Contact and whole lines of credentials into a head, for one way out.
pub(super) fn on_the_way(head: &[u8], contact: Option<&ContactSlot>, credentials: &[u8], way: &Way) -> Bytes {
    use std::io::Write as _;
    let Way { transport, sent_by, branch, transport_param, keep } = way;
    let secure = request_uri(head).get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("sips:"));
    let sent_by = without_zone(*sent_by);
    let line = memchr::memchr(b'\n', head).map_or(head.len(), |i| i + 1);
    let mut bytes = Vec::with_capacity(head.len() + credentials.len() + 160);
    bytes.extend_from_slice(&head[..line]);
    let rport = match transport {
        Transport::Udp => ";rport",
        Transport::Tcp => "",
        // RFC 5923 §5: what is for us may come by the connection that we opened.
        Transport::Tls => ";alias",
    };
    let keep = if *keep { ";keep" } else { "" };
    write!(bytes, "Via: SIP/2.0/{transport} {sent_by};branch={MAGIC_COOKIE}{branch}{rport}{keep}\r\n")
        .expect("a vector takes every write");
    let contact_at = contact.map_or(line, |slot| slot.at.clamp(line, head.len()));
    bytes.extend_from_slice(&head[line..contact_at]);
    if let Some(user) = contact.and_then(|slot| slot.user.as_ref()) {
        let flow = contact.and_then(|slot| slot.flow.as_ref()).filter(|_| transport_param.is_some());
        write_contact(&mut bytes, user, sent_by, *transport_param, secure, flow);
    }
    bytes.extend_from_slice(credentials);
    bytes.extend_from_slice(&head[contact_at..]);
    bytes.into()
}

/// Returns the request-URI of a head of ours.
pub(super) fn request_uri(head: &[u8]) -> &str {
    let line = head.split(|c| *c == b'\r').next().unwrap_or_default();
    std::str::from_utf8(line).ok().and_then(|line| line.split(' ').nth(1)).unwrap_or_default()
}

/// Finds the digits of `CSeq` in a head of ours.
fn seq_in(head: &[u8]) -> Option<Range<usize>> {
    const NAME: &[u8] = b"\r\nCSeq: ";
    let at = memchr::memmem::find(head, NAME)? + NAME.len();
    let len = head[at..].iter().position(|c| !c.is_ascii_digit())?;
    Some(at..at + len)
}

/// Returns the number of a head of ours.
pub(super) fn seq_of(head: &[u8]) -> Option<u32> {
    std::str::from_utf8(&head[seq_in(head)?]).ok()?.parse().ok()
}

/// Gives a head another number; the place of the Contact moves with it.
pub(super) fn renumbered(head: &Bytes, contact: Option<&mut ContactSlot>, seq: u32) -> Bytes {
    let Some(digits) = seq_in(head) else { return head.clone() };
    let seq = seq.to_string();
    if let Some(slot) = contact.filter(|slot| slot.at >= digits.end) {
        slot.at = slot.at + seq.len() - digits.len();
    }
    [&head[..digits.start], seq.as_bytes(), &head[digits.end..]].concat().into()
}

/// Writes a whole Contact line, and what else is said of the connection.
fn write_contact(
    bytes: &mut Vec<u8>,
    user: &str,
    address: SocketAddr,
    transport: Option<Transport>,
    secure: bool,
    flow: Option<&FlowUse>,
) {
    use std::io::Write as _;
    let uri = if secure { secure_contact_uri(user, address) } else { contact_uri(user, address, transport) };
    match flow {
        None => write!(bytes, "Contact: <{uri}>\r\n"),
        Some(FlowUse::Dialog) => write!(bytes, "Contact: <{uri};ob>\r\n"),
        Some(FlowUse::Binding(instance)) => {
            write!(bytes, "Contact: <{uri}>;+sip.instance=\"<{instance}>\";reg-id=1\r\nSupported: outbound, path\r\n")
        }
    }
    .expect("a vector takes every write");
}

/// Returns the URI at which we are reached, as Contact carries it.
pub fn contact_uri(user: &str, address: SocketAddr, transport: Option<Transport>) -> String {
    let at = if user.is_empty() { "" } else { "@" };
    let address = without_zone(address);
    match transport {
        Some(transport) => format!("sip:{user}{at}{address};transport={}", transport.token().to_ascii_lowercase()),
        None => format!("sip:{user}{at}{address}"),
    }
}

/// Returns the same for a request to a `sips:` URI, whose Contact is one as well (RFC 3261 §8.1.1.8).
pub fn secure_contact_uri(user: &str, address: SocketAddr) -> String {
    let at = if user.is_empty() { "" } else { "@" };
    format!("sips:{user}{at}{}", without_zone(address))
}

/// A zone id means something on this machine only, and never leaves it (TRN-27).
pub(super) fn without_zone(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port())
}

/// One way out for a request.
pub(super) struct Way {
    pub(super) transport: Transport,
    pub(super) sent_by: SocketAddr,
    pub(super) branch: Token,
    /// The `transport` parameter that the Contact gets; none where size alone made us leave UDP.
    pub(super) transport_param: Option<Transport>,
    /// Whether we would keep the connection alive, and ask how often (RFC 6223 §4.3).
    pub(super) keep: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aut_02_another_number_moves_the_place_of_the_contact() {
        let head = Bytes::from_static(b"NOTIFY sip:a@h SIP/2.0\r\nCSeq: 9 NOTIFY\r\nEvent: presence\r\n\r\n");
        let mut slot = ContactSlot { at: 40, user: Some("b".into()), flow: None };
        assert_eq!((request_uri(&head), seq_of(&head)), ("sip:a@h", Some(9)));
        let next = renumbered(&head, Some(&mut slot), 10);
        assert_eq!(&next[..slot.at], b"NOTIFY sip:a@h SIP/2.0\r\nCSeq: 10 NOTIFY\r\n");
        assert_eq!(&next[slot.at..], b"Event: presence\r\n\r\n");
        let mut before = ContactSlot { at: 24, user: Some("b".into()), flow: None };
        renumbered(&head, Some(&mut before), 10);
        assert_eq!(before.at, 24);
        assert_eq!(renumbered(&Bytes::from_static(b"odd"), None, 1), "odd");
    }
}
