//! Traced messages as packets in a pcapng file, which Wireshark opens (draft-ietf-opsawg-pcapng).
//!
//! What was on the wire below SIP is not known here, so each message gets IP and UDP or TCP headers made for it: addresses,
//! ports, direction and time are true, sequence numbers count what is in the file. Secrets were hidden before. Opening and
//! writing the file are left to the trace.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use crate::client::{Direction, TraceRecord, Traced};

/// How every pcapng file begins.
pub(super) const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// Packets without a link layer: they begin with the IP header (`LINKTYPE_RAW`).
const LINKTYPE_RAW: u16 = 101;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
const UDP: u8 = 17;
const TCP: u8 = 6;
/// The most that one packet carries: what an IP packet holds, less the headers.
const MOST: usize = 65_000;

/// One section of a file: the numbers of its streams.
#[derive(Debug, Default)]
pub(super) struct Section {
    /// The next sequence number from one place to another.
    next: HashMap<(SocketAddr, SocketAddr), u32>,
    /// Messages that came too fast since the last packet.
    lost: u64,
}

impl Section {
    /// Returns what a section begins with: its header, and the one interface of it, with times in nanoseconds.
    pub(super) fn head() -> Vec<u8> {
        let mut section = Vec::new();
        section.extend(0x1a2b_3c4d_u32.to_le_bytes());
        section.extend(1_u16.to_le_bytes());
        section.extend(0_u16.to_le_bytes());
        // Its length is not known yet.
        section.extend(u64::MAX.to_le_bytes());
        option(&mut section, 4, concat!("sippresence ", env!("CARGO_PKG_VERSION")).as_bytes());
        option(&mut section, 0, &[]);
        let mut interface = Vec::new();
        interface.extend(LINKTYPE_RAW.to_le_bytes());
        interface.extend([0; 2]);
        // As much of a packet as there is.
        interface.extend(0_u32.to_le_bytes());
        option(&mut interface, 2, b"sip");
        option(&mut interface, 9, &[9]);
        option(&mut interface, 0, &[]);
        [block(u32::from_le_bytes(MAGIC), &section), block(INTERFACE, &interface)].concat()
    }

    /// Returns the packets of a message; of lost ones the next packet tells.
    pub(super) fn packets(&mut self, traced: &Traced) -> Vec<u8> {
        let record = match traced {
            Traced::Lost { lost } => {
                self.lost += lost;
                return Vec::new();
            }
            Traced::Message(record) => record,
        };
        let (from, to) = match record.direction {
            Direction::Sent => (record.local, record.remote),
            Direction::Received => (record.remote, record.local),
        };
        let mut blocks = Vec::new();
        let message = record.message.as_bytes();
        if record.transport == "udp" {
            // One that hiding made too long is cut, and says so.
            let cut = &message[..message.len().min(MOST)];
            let packet = ip(from.ip(), to.ip(), UDP, udp(from, to, cut));
            self.packet(&mut blocks, record, &packet, message.len() - cut.len());
            return blocks;
        }
        for part in message.chunks(MOST) {
            let ack = self.next.get(&(to, from)).copied().unwrap_or(1);
            let seq = self.next.entry((from, to)).or_insert(1);
            let packet = ip(from.ip(), to.ip(), TCP, tcp(from, to, *seq, ack, part));
            *seq = seq.wrapping_add(u32::try_from(part.len()).unwrap_or_default());
            self.packet(&mut blocks, record, &packet, 0);
        }
        blocks
    }

    /// Adds the block of a packet (§4.3), of which so many bytes were cut.
    fn packet(&mut self, blocks: &mut Vec<u8>, record: &TraceRecord, packet: &[u8], cut: usize) {
        let time = u64::try_from(record.ts.as_nanosecond()).unwrap_or_default();
        let (high, low) = ((time >> 32) as u32, (time & u64::from(u32::MAX)) as u32);
        let captured = length(packet.len());
        let mut body = Vec::with_capacity(packet.len() + 64);
        for word in [0, high, low, captured, captured.saturating_add(length(cut))] {
            body.extend(word.to_le_bytes());
        }
        padded(&mut body, packet);
        let flags: u32 = if record.direction == Direction::Received { 1 } else { 2 };
        option(&mut body, 2, &flags.to_le_bytes());
        if self.lost > 0 {
            let words = format!("{} messages are missing before this one: they came too fast", self.lost);
            self.lost = 0;
            option(&mut body, 1, words.as_bytes());
        }
        option(&mut body, 0, &[]);
        blocks.extend(block(PACKET, &body));
    }
}

/// Makes a block: kind, length, body, length again.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let total = length(body.len()).saturating_add(12).to_le_bytes();
    [&kind.to_le_bytes(), &total, body, &total].concat()
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend(code.to_le_bytes());
    body.extend(u16::try_from(value.len()).unwrap_or_default().to_le_bytes());
    padded(body, value);
}

/// Adds bytes, and zeros up to a multiple of four.
fn padded(body: &mut Vec<u8>, bytes: &[u8]) {
    body.extend(bytes);
    body.resize(body.len().next_multiple_of(4), 0);
}

fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Puts an IP header before a UDP or TCP packet whose checksum is still 0 (RFC 791, RFC 8200).
fn ip(from: IpAddr, to: IpAddr, protocol: u8, mut payload: Vec<u8>) -> Vec<u8> {
    let at = if protocol == UDP { 6 } else { 16 };
    let total = |header: usize| u16::try_from(payload.len() + header).unwrap_or(u16::MAX).to_be_bytes();
    let (mut header, addresses) = if let (IpAddr::V4(from), IpAddr::V4(to)) = (from, to) {
        let addresses = [from.octets(), to.octets()].concat();
        let mut header = vec![0x45, 0];
        header.extend(total(20));
        header.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
        header.extend(&addresses);
        let sum = checksum(&header).to_be_bytes();
        header[10..12].copy_from_slice(&sum);
        (header, addresses)
    } else {
        let six = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let addresses = [from, to].map(six).map(|ip: Ipv6Addr| ip.octets()).concat();
        let mut header = vec![0x60, 0, 0, 0];
        header.extend(total(0));
        header.extend([protocol, 64]);
        header.extend(&addresses);
        (header, addresses)
    };
    let pseudo = [&addresses[..], &length(payload.len()).to_be_bytes(), &[0, 0, 0, protocol], &payload].concat();
    let sum = match checksum(&pseudo) {
        // In UDP 0 says that there is none (RFC 768).
        0 if protocol == UDP => u16::MAX,
        sum => sum,
    };
    payload[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    header.extend(payload);
    header
}

fn udp(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let total = u16::try_from(payload.len() + 8).unwrap_or(u16::MAX);
    let mut packet = [from.port(), to.port(), total, 0].map(u16::to_be_bytes).concat();
    packet.extend(payload);
    packet
}

fn tcp(from: SocketAddr, to: SocketAddr, seq: u32, ack: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = [from.port(), to.port()].map(u16::to_be_bytes).concat();
    packet.extend([seq, ack].map(u32::to_be_bytes).concat());
    // Five words of header, PSH and ACK, the widest window.
    packet.extend([0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
    packet.extend(payload);
    packet
}

/// The checksum of the Internet (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)));
    let mut sum = words.fold(0_u64, |sum, word| sum + u64::from(word));
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !((sum & 0xffff) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(transport: &str, direction: Direction, message: &str) -> Traced {
        let record = serde_json::json!({
            "ts": "2026-03-02T09:15:00.123456789Z", "direction": direction, "transport": transport,
            "local": "192.0.2.10:5060", "remote": "192.0.2.20:40000", "message": message,
        });
        serde_json::from_value(record).unwrap()
    }

    /// Cuts blocks; each is its kind and body.
    fn blocks(mut bytes: &[u8]) -> Vec<(u32, &[u8])> {
        let word = |bytes: &[u8]| u32::from_le_bytes(bytes[..4].try_into().unwrap());
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let total = word(&bytes[4..]) as usize;
            assert!(total.is_multiple_of(4) && word(&bytes[total - 4..]) as usize == total);
            found.push((word(bytes), &bytes[8..total - 4]));
            bytes = &bytes[total..];
        }
        found
    }

    fn packet(body: &[u8]) -> &[u8] {
        let captured = u32::from_le_bytes(body[12..16].try_into().unwrap()) as usize;
        &body[20..20 + captured]
    }

    #[test]
    fn a_section_begins_with_its_header_and_an_interface_without_link_layer() {
        let head = Section::head();
        let found = blocks(&head);
        assert_eq!(found.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [0x0a0d_0d0a, 1]);
        assert_eq!(head[..4], MAGIC);
        assert_eq!(found[0].1[..8], [0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0]);
        assert_eq!(found[1].1[..2], [101, 0]);
    }

    #[test]
    fn a_datagram_has_headers_whose_sums_are_right_and_its_time_and_direction() {
        let bytes = Section::default().packets(&record("udp", Direction::Received, "OPTIONS sip:a@b SIP/2.0\r\n\r\n"));
        let found = blocks(&bytes);
        let (kind, body) = found[0];
        assert_eq!((found.len(), kind), (1, 6));
        let time = u64::from(u32::from_le_bytes(body[4..8].try_into().unwrap())) << 32
            | u64::from(u32::from_le_bytes(body[8..12].try_into().unwrap()));
        assert_eq!(time, 1_772_442_900_123_456_789);
        let packet = packet(body);
        assert_eq!(checksum(&packet[..20]), 0, "the header's own sum");
        let pseudo = [&packet[12..20], &[0, 17], &packet[24..26], &packet[20..]].concat();
        assert_eq!(checksum(&pseudo), 0, "the datagram's sum");
        assert_eq!(packet[12..24], [192, 0, 2, 20, 192, 0, 2, 10, 0x9c, 0x40, 0x13, 0xc4]);
        assert!(packet.ends_with(b"SIP/2.0\r\n\r\n"));
        let flags = body.len() - 12;
        assert_eq!(body[flags..flags + 8], [2, 0, 4, 0, 1, 0, 0, 0]);
    }

    #[test]
    fn a_stream_goes_on_where_it_was_and_a_long_message_takes_several_packets() {
        let mut section = Section::default();
        let long = "n".repeat(MOST + 10);
        let bytes = [
            section.packets(&record("tcp", Direction::Sent, &long)),
            section.packets(&record("tcp", Direction::Received, "SIP/2.0 200 OK\r\n\r\n")),
            section.packets(&record("tcp", Direction::Sent, "b")),
        ]
        .concat();
        let numbers = blocks(&bytes).into_iter().map(|(_, body)| {
            let packet = packet(body);
            let word = |at: usize| u32::from_be_bytes(packet[at..at + 4].try_into().unwrap());
            (word(24), word(28), packet.len() - 40)
        });
        let end = MOST as u32 + 11;
        let numbers: Vec<_> = numbers.collect();
        assert_eq!(numbers, [(1, 1, MOST), (end - 10, 1, 10), (1, end, 18), (end, 19, 1)]);
    }

    #[test]
    fn addresses_of_ipv6_and_lost_messages_are_written_too() {
        let mut traced = record("udp", Direction::Sent, "x");
        let Traced::Message(record) = &mut traced else { unreachable!() };
        (record.local, record.remote) = ("[2001:db8::1]:5060".parse().unwrap(), "[2001:db8::2]:5060".parse().unwrap());
        let mut section = Section::default();
        assert!(section.packets(&Traced::Lost { lost: 7 }).is_empty());
        let bytes = section.packets(&traced);
        let found = blocks(&bytes);
        let packet = packet(found[0].1);
        assert_eq!((packet[0], packet[6], packet.len()), (0x60, 17, 49));
        let pseudo = [&packet[8..40], &[0, 0], &packet[44..46], &[0, 0, 0, 17], &packet[40..]].concat();
        assert_eq!(checksum(&pseudo), 0);
        assert!(String::from_utf8_lossy(&bytes).contains("7 messages are missing"));
        assert!(!String::from_utf8_lossy(&section.packets(&traced)).contains("missing"));
    }
}
