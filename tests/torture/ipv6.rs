//! RFC 5118: IPv6 addresses in every place.

use std::net::{IpAddr, Ipv6Addr};

use sippresence::sip::{
    header::Via,
    uri::{Host, UriRef},
};

use super::{
    OPTIONS,
    Reaction::{Refused, Taken},
    reaction, read, wire,
};

fn asked_for(uri: &str) -> Vec<u8> {
    wire(&OPTIONS.replacen("sip:bob@example.com", uri, 1))
}

fn address(text: &str) -> Host<'_> {
    Host::Ip(IpAddr::V6(text.parse::<Ipv6Addr>().unwrap()))
}

#[test]
fn par_19_a_reference_in_brackets_is_a_host() {
    for (uri, host, port) in [
        ("sip:[2001:db8::10]", "2001:db8::10", None),
        ("sip:bob@[2001:DB8::9:1]:5070;transport=tcp", "2001:db8::9:1", Some(5070)),
        // §4.3: what looks like a port belongs to the address, however it was meant.
        ("sip:[2001:db8::10:5070]", "2001:db8::10:5070", None),
        ("sip:bob@[::ffff:192.0.2.2]", "::ffff:192.0.2.2", None),
    ] {
        let bytes = asked_for(uri);
        let uri = UriRef::parse(read(&bytes).request_uri().unwrap()).unwrap();
        assert_eq!((uri.host(), uri.port()), (address(host), port), "{uri}");
    }
}

#[test]
fn par_19_an_address_without_brackets_is_refused() {
    for uri in ["sip:2001:db8::10", "sip:bob@2001:db8::10", "sip:bob@[2001:db8::10", "sip:bob@[2001:db8:::192.0.2.1]"] {
        assert_eq!(reaction(&asked_for(uri)), Refused(400), "{uri}");
    }
}

#[test]
fn par_19_received_stands_with_brackets_or_without() {
    for received in ["2001:db8::9:255", "[2001:db8::9:255]"] {
        let via = format!("SIP/2.0/UDP [2001:db8::9:1]:6050;received={received};branch=z9hG4bKas3");
        let bytes = wire(&OPTIONS.replace("SIP/2.0/UDP host;branch=z9hG4bK1", &via));
        let via = read(&bytes).top_via().unwrap();
        assert_eq!((via.host, via.port), ("[2001:db8::9:1]", Some(6050)));
        assert_eq!((via.received, via.branch), (Some(received), Some("z9hG4bKas3")));
    }
}

#[test]
fn par_19_both_families_in_one_message() {
    let bytes = wire(
        &OPTIONS
            .replace(
                "Via:",
                "Via: SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bKbh19, SIP/2.0/TCP 192.0.2.1\nVia:",
            )
            .replace("<sip:alice@example.net>", "\"Alice\" <sip:alice@[2001:db8::20]>")
            .replace("Max-Forwards: 70", "Contact: <sip:alice@[2001:db8::20]:5071>, <sip:alice@192.0.2.20>"),
    );
    let message = read(&bytes);
    let hosts: Vec<&str> =
        message.values(sippresence::sip::header::Name::Via).map(|via| Via::parse(via).unwrap().host).collect();
    assert_eq!(hosts, ["[::ffff:192.0.2.10]", "192.0.2.1", "host"]);
    assert_eq!(message.from().unwrap().uri.host(), address("2001:db8::20"));
}

#[test]
fn par_19_a_via_with_a_broken_reference_is_refused() {
    for host in ["2001:db8::9:1", "[2001:db8:::1]", "[2001:db8::1]:0", "[fe80::1%25eth0]", "[]"] {
        let bytes = wire(&OPTIONS.replace("UDP host;", &format!("UDP {host};")));
        assert_eq!(reaction(&bytes), Refused(400), "{host}");
    }
    assert_eq!(reaction(&wire(OPTIONS)), Taken);
}
