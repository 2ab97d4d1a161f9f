//! All that reads what a peer wrote, called on any bytes, with what must hold of the results.
//!
//! Shared by the torture tests, the replay of the fuzzers' corpus and the fuzzers themselves.

#![allow(dead_code, clippy::unwrap_used, reason = "each program uses its part; a finding is a panic")]

use sippresence::{
    presence::pidf::Document,
    sip::{
        codec::{Frame, Framing, MAX_MESSAGE, StreamDecoder, decode, decode_lenient_head, write_response},
        header::{
            Accept, CSeq, EventHeader, Name, NameAddr, Params, RetryAfter, SubscriptionState, Via, delta_seconds,
            split_list,
        },
        message::{Message, StartLine, check_request},
        uri::{Uri, UriRef},
    },
};

/// Calls all that reads what a peer wrote.
pub(crate) fn read_everything(bytes: &[u8]) {
    for framing in [Framing::Datagram, Framing::Stream] {
        if let Ok(message) = decode(bytes, framing) {
            read_message(&message);
        }
    }
    if let Some(head) = decode_lenient_head(bytes) {
        read_message(&head);
    }
    read_value(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        read_uri(text);
    }
}

fn read_message(message: &Message<'_>) {
    let checked = check_request(message);
    let _ = (message.top_via(), message.via_count(), message.from(), message.to(), message.call_id(), message.cseq());
    let _ = (message.contact(), message.event(), message.subscription_state(), message.accept(), message.retry_after());
    let _ = (message.expires(), message.min_expires(), message.content_type(), message.charset());
    let _ = (message.content_type_is("a/b"), message.record_routes().count());
    for name in [Name::Subject, Name::Require, Name::Via, Name::WwwAuthenticate, Name::Other] {
        let _ = (message.text(name), message.option_tags(name).count());
    }
    for header in &message.headers {
        // Each line by itself: all values of a name once for each of its lines would be quadratic.
        split_list(header.value).for_each(read_value);
        read_value(header.value);
    }
    if let StartLine::Request { uri, .. } = message.start {
        read_uri(uri);
        let answer = write_response(message, 400, "No", "t", Some(([192, 0, 2, 1].into(), 5060)));
        let answer = answer.finish(0).expect("a peer's values can be given back");
        if checked.is_ok() {
            let answer = decode(&answer, Framing::Stream).expect("what is printed can be read");
            assert_eq!(answer.call_id().unwrap(), message.call_id().unwrap());
            assert_eq!(answer.via_count(), message.via_count());
            let (via, asked) = (answer.top_via().unwrap(), message.top_via().unwrap());
            assert_eq!((via.sent_by, via.transport), (asked.sent_by, asked.transport));
            let kept = |(name, _): &(&str, _)| !["rport", "received"].iter().any(|n| name.eq_ignore_ascii_case(n));
            assert_eq!(
                via.params.iter().filter(kept).map(unfold).collect::<Vec<_>>(),
                asked.params.iter().filter(kept).map(unfold).collect::<Vec<_>>()
            );
        }
    }
}

/// Folded values are given back unfolded; blanks do not count here.
fn unfold((name, value): (&str, Option<&str>)) -> (String, Option<String>) {
    (name.to_owned(), value.map(|value| value.split_whitespace().collect()))
}

pub(crate) fn read_value(value: &[u8]) {
    if let Ok(via) = Via::parse(value) {
        read_params(via.params);
    }
    if let Ok(address) = NameAddr::parse(value) {
        let _ = (address.display_name(), address.tag());
        read_params(address.params);
        read_uri(address.uri.as_str());
    }
    if let Ok(event) = EventHeader::parse(value) {
        read_params(event.params);
    }
    let _ = (CSeq::parse(value), SubscriptionState::parse(value), RetryAfter::parse(value), delta_seconds(value));
    let _ = Accept::parse(split_list(value)).accepts("application/pidf+xml");
}

fn read_params(params: Params<'_>) {
    assert!(params.iter().count() <= params.as_str().len());
    let _ = params.get("tag");
}

pub(crate) fn read_uri(text: &str) {
    if let Ok(uri) = UriRef::parse(text) {
        assert!(uri.equals(&uri), "{text}");
        let _ = (uri.aor(), uri.transport(), uri.is_loose_router(), uri.params().count(), uri.scheme_text());
        assert_eq!(text.parse::<Uri>().unwrap().as_ref().host_text(), uri.host_text());
    }
}

/// Returns what comes out of a stream that comes in such pieces, and how many bytes still wait then.
pub(crate) fn frames(pieces: impl Iterator<Item = impl AsRef<[u8]>>) -> (Vec<Frame>, Option<usize>) {
    let (mut decoder, mut frames) = (StreamDecoder::default(), Vec::new());
    for piece in pieces {
        decoder.push(piece.as_ref());
        frames.extend(std::iter::from_fn(|| decoder.next()).take(MAX_MESSAGE));
    }
    // How line ends between messages are counted depends on how they came; how much of a broken head was there too.
    frames.retain(|frame| !matches!(frame, Frame::Ping | Frame::Pong));
    for frame in &mut frames {
        if let Frame::Broken(_, head) = frame {
            head.clear();
        }
    }
    // Half of a ping may wait as well.
    (frames, Some(decoder.buffered()).filter(|waiting| *waiting > 3))
}

/// Reads a stream whole, in single bytes and in a few sizes between: the messages are the same.
pub(crate) fn read_stream(bytes: &[u8]) {
    let whole = frames(std::iter::once(bytes));
    for size in [1, 2, 7, 64, 1000] {
        assert_eq!(whole, frames(bytes.chunks(size)), "in pieces of {size}");
    }
    for frame in &whole.0 {
        if let Frame::Message(bytes) = frame {
            assert!(decode(bytes, Framing::Stream).is_ok());
        }
    }
}

/// Reads a presence document, and what it is written as.
pub(crate) fn read_document(bytes: &[u8]) {
    for parse in [Document::parse, Document::parse_legacy] {
        let Ok(document) = parse(bytes, None) else { continue };
        let _ = document.info(None);
        let printed = document.to_bytes();
        if printed.len() <= sippresence::presence::xml::MAX_BYTES {
            Document::parse(&printed, None).expect("what is printed can be read");
        }
    }
}
