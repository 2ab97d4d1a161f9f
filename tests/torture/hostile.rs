//! PAR-20: bytes that come close to messages, which nothing may panic on, wait for or take long over.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use proptest::{collection::vec, prelude::*, sample::Index};
use sippresence::sip::{
    codec::{Frame, Framing, Head, decode, decode_lenient_head},
    header::Name,
    message::Method,
};

use super::{
    OPTIONS,
    readers::{frames, read_everything, read_uri, read_value},
    wire,
};

const SUBSCRIBE: &str = "SUBSCRIBE sip:bob;x=%41@[2001:db8::10]:5070;transport=tcp SIP/2.0\n\
    v: SIP / 2.0 / UDP 192.0.2.10 : 5060;branch=z9hG4bK1;rport;received=2001:db8::1, SIP/2.0/TCP p;branch=\"q;,\"\n\
    f: \"Alice \\\"<,;>\" <sip:alice:secret@example.net;lr>;tag=a;+sip.instance=\"<urn:uuid:1;2>\"\n\
    To: sip:bob@example.com;tag=b\nCall-ID: 1@host\nCSeq: 2147483647  SUBSCRIBE\n\
    Event: presence;id=\"7;8\"\nExpires: 99999999999\nAccept: application/pidf+xml;q=0.5, */*;q=0, text/*\n\
    m: \"a, b\" <sip:alice@192.0.2.10?Subject=a&b=c>;q=0.3;expires=60\nMax-Forwards: 070\nSubject: one\n two\n\tthree\n\
    Require: eventlist, 100rel\nDate: Sun, 22 Nov 2026 20:00:00 GMT\nl: 3\n\nabc";
const NOTIFY: &str = "NOTIFY sip:alice@192.0.2.10 SIP/2.0\nVia: SIP/2.0/TLS [::1]:5061;branch=z9hG4bK2\n\
    From: <pres:bob@example.com>;tag=b\nTo: <tel:+12015550123;phone-context=x>;tag=a\nCall-ID: 1@host\n\
    CSeq: 1 NOTIFY\nEvent: presence\nSubscription-State: Terminated ; reason = timeout;retry-after=5\n\
    Record-Route: <sip:p1;lr>, \"P\" <sip:p2;lr>\nContent-Type: application/pidf+xml;charset=\"utf-8\"\n\
    Content-Length: 12\n\n<presence/>\n";
const RESPONSE: &str = "SIP/2.0 401 Nicht erlaubt ü\nVia: SIP/2.0/UDP h;branch=z9hG4bK3;rport=5060;received=192.0.2.1\n\
    From: <sip:a@h>;tag=a\nTo: B <sip:b@h>;tag=b\nCall-ID: 1@host\nCSeq: 7 SUBSCRIBE\n\
    Retry-After: 18 (busy; (very) \"x) ;duration=60\nMin-Expires: 60\nContact: *\n\
    WWW-Authenticate: Digest realm=\"a, b\", nonce=\"c\\\"d\", qop=\"auth,auth-int\"\nContent-Length: 0\n\n";

fn seeds() -> Vec<Vec<u8>> {
    [OPTIONS, SUBSCRIBE, NOTIFY, RESPONSE].map(wire).to_vec()
}

/// One small thing that befalls a message.
#[derive(Clone, Debug)]
enum Blow {
    Flip(Index, u8),
    Set(Index, u8),
    Delete(Index, usize),
    Double(Index, usize),
    Cut(Index),
    Insert(Index, &'static [u8]),
}

impl Blow {
    fn strike(&self, bytes: &mut Vec<u8>) {
        let at = |index: &Index| if bytes.is_empty() { 0 } else { index.index(bytes.len()) };
        match self {
            Self::Flip(i, mask) => {
                let at = at(i);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= mask;
                }
            }
            Self::Set(i, value) => {
                let at = at(i);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = *value;
                }
            }
            Self::Delete(i, len) => {
                let at = at(i);
                bytes.drain(at..(at + len).min(bytes.len()));
            }
            Self::Double(i, len) => {
                let at = at(i);
                let piece = bytes[at..(at + len).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            Self::Cut(i) => bytes.truncate(at(i)),
            Self::Insert(i, piece) => {
                let at = at(i);
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
}

fn blow() -> impl Strategy<Value = Blow> {
    let at = || any::<Index>();
    let special = prop::sample::select(b"\r\n\t \0\\\"<>;,:@/=%[]()*\x7f\x80\xff-+09aZ".to_vec());
    let pieces: &[&[u8]] = &[
        b"\r\n",
        b"\r\n ",
        b"\n\n",
        b"\r\n\r\n",
        b"\"",
        b"\\",
        b"\\\0",
        b"<",
        b">",
        b";;",
        b",,",
        b"=",
        b"%0",
        b"%00",
        b"[::",
        b"]:",
        b"\xc3",
        "ġ".as_bytes(),
        "☕".as_bytes(),
        b"SIP/2.0",
        b"l: 5\r\n",
        b"\r\nVia: SIP/2.0/UDP h",
        b"99999999999999999999",
        b";tag=",
        b"z9hG4bK",
    ];
    prop_oneof![
        (at(), 1u8..).prop_map(|(i, mask)| Blow::Flip(i, mask)),
        (at(), special).prop_map(|(i, value)| Blow::Set(i, value)),
        (at(), 1usize..40).prop_map(|(i, len)| Blow::Delete(i, len)),
        (at(), 1usize..200).prop_map(|(i, len)| Blow::Double(i, len)),
        at().prop_map(Blow::Cut),
        (at(), prop::sample::select(pieces.to_vec())).prop_map(|(i, piece)| Blow::Insert(i, piece)),
    ]
}

fn battered() -> impl Strategy<Value = Vec<u8>> {
    (prop::sample::select(seeds()), vec(blow(), 0..6)).prop_map(|(mut bytes, blows)| {
        for blow in &blows {
            blow.strike(&mut bytes);
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

    #[test]
    fn par_20_no_battered_message_makes_a_reader_panic(bytes in battered()) {
        read_everything(&bytes);
    }

    #[test]
    fn par_20_no_battered_value_makes_a_reader_panic(
        line in prop::sample::select(seeds().iter().flat_map(|seed| seed.split(|c| *c == b'\n').map(<[u8]>::to_vec)
            .collect::<Vec<_>>()).collect::<Vec<_>>()),
        blows in vec(blow(), 0..6),
    ) {
        let colon = line.iter().position(|c| *c == b':').map_or(0, |at| at + 1);
        let mut value = line[colon..].to_vec();
        for blow in &blows {
            blow.strike(&mut value);
        }
        read_value(&value);
        if let Ok(text) = std::str::from_utf8(&value) {
            text.split(['<', '>', ' ']).for_each(read_uri);
        }
    }

    #[test]
    fn par_20_a_battered_stream_gives_the_same_frames_however_it_is_split(
        messages in vec(battered(), 1..4),
        cuts in vec(any::<Index>(), 0..6),
    ) {
        let all = messages.concat();
        let mut cuts: Vec<usize> = cuts.iter().filter(|_| !all.is_empty()).map(|cut| cut.index(all.len())).collect();
        cuts.extend([0, all.len()]);
        cuts.sort_unstable();
        let whole = frames(std::iter::once(&all));
        prop_assert_eq!(&whole, &frames(cuts.windows(2).map(|cut| &all[cut[0]..cut[1]])));
        prop_assert_eq!(&whole, &frames(all.chunks(1)));
        for frame in &whole.0 {
            if let Frame::Message(bytes) = frame {
                prop_assert!(decode(bytes, Framing::Stream).is_ok());
            }
        }
    }

    #[test]
    fn what_is_printed_is_read_back_as_it_was(
        method in "[A-Z0-9.!%*_+`'~-]{1,12}",
        uri in "(sip:([a-z;?%=]{1,8}@)?[a-z0-9.-]{1,12}(:[1-9][0-9]{1,3})?(;[a-z]{1,5}(=[a-z%0-9]{1,5})?){0,3}|[a-z]+:[^\\x00-\\x20<>]{1,9})",
        code in 100u16..700,
        is_request in any::<bool>(),
        headers in vec(("[A-Za-z0-9.!%*_+`'~-]{1,20}", "[^\0\r\n]{0,60}"), 0..20),
        body in vec(any::<u8>(), 0..300),
    ) {
        let headers: Vec<_> =
            headers.iter().filter(|(name, _)| Name::from_bytes(name.as_bytes()) != Name::ContentLength).collect();
        let mut head = if is_request { Head::request(&method, &uri) } else { Head::status(code, &uri) };
        for (name, value) in &headers {
            head.raw(name, value);
        }
        let bytes = [&head.finish(body.len()).unwrap()[..], &body].concat();
        let message = decode(&bytes, Framing::Stream).unwrap();
        prop_assert_eq!(message.method().map(Method::as_str), is_request.then_some(&*method));
        prop_assert_eq!(message.request_uri(), is_request.then_some(&*uri));
        prop_assert_eq!(message.code(), (!is_request).then_some(code));
        let expected: Vec<_> = headers.iter().map(|(name, value)| (&**name, value.as_bytes().trim_ascii())).collect();
        let found: Vec<_> = message.headers.iter().map(|header| (header.raw_name, header.value)).collect();
        prop_assert_eq!(&found[..found.len() - 1], &expected[..]);
        prop_assert_eq!(message.body, &body[..]);
        // What was read can be printed again, value by value, and reads the same.
        let mut again = if is_request { Head::request(&method, &uri) } else { Head::status(code, &uri) };
        for header in &message.headers[..found.len() - 1] {
            again.raw(header.raw_name, std::str::from_utf8(header.value).unwrap());
        }
        let again = [&again.finish(body.len()).unwrap()[..], &body].concat();
        let reread = decode(&again, Framing::Stream).unwrap();
        prop_assert_eq!((reread.start, &reread.headers, reread.body), (message.start, &message.headers, message.body));
    }
}

#[test]
fn par_20_every_cut_of_every_message_is_read_or_refused() {
    for seed in seeds() {
        for end in 0..=seed.len() {
            read_everything(&seed[..end]);
            read_everything(&seed[end..]);
        }
    }
}

/// The time that this thread has worked.
fn spent() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

/// A name and how to make so many bytes of it.
type Shape = (&'static str, fn(usize) -> String);

#[test]
fn par_20_hostile_shapes_take_linear_time() {
    let head = "OPTIONS sip:a@h SIP/2.0\r\n";
    let shapes: [Shape; 12] = [
        ("headers", |n| "X: y\r\n".repeat(n / 6)),
        ("folds", |n| format!("X: y{}", "\r\n z".repeat(n / 4))),
        ("line ends", |n| "\r\n".repeat(n / 2)),
        ("no end", |n| "x".repeat(n)),
        ("open quote", |n| format!("From: \"{}", "\\\"".repeat(n / 2))),
        ("quotes", |n| format!("From: {}", "\"".repeat(n))),
        ("semicolons", |n| format!("From: <sip:a@h>{}", ";".repeat(n))),
        ("params", |n| format!("Via: SIP/2.0/UDP h{}", ";a=b".repeat(n / 4))),
        ("commas", |n| format!("Accept: {}", "a/b,".repeat(n / 4))),
        ("angles", |n| format!("Contact: {}", "<".repeat(n))),
        ("uri params", |n| format!("sip:a@h{}", ";a".repeat(n / 2))),
        ("escapes", |n| format!("sip:{}@h", "%41".repeat(n / 3))),
    ];
    for (name, shape) in shapes {
        let time = |n: usize| {
            let text = shape(n);
            let whole = format!("{head}{text}\r\n\r\n");
            let value = text.split_once(": ").map_or(&*text, |(_, value)| value).to_owned();
            let once = || {
                let started = spent();
                drop((decode(whole.as_bytes(), Framing::Datagram), decode_lenient_head(whole.as_bytes())));
                read_value(value.as_bytes());
                read_uri(&value);
                spent().saturating_sub(started)
            };
            (0..5).map(|_| once()).min().unwrap().max(Duration::from_micros(50))
        };
        // Eight times the bytes: 8 is linear, 64 would be quadratic, each time; a busy machine can spoil a measurement.
        let is_linear = |_| {
            let (short, long) = (time(8 * 1024), time(64 * 1024));
            long < short * 32
        };
        assert!((0..10).any(is_linear), "{name}: 64 kB take more than 32 times as long as 8 kB");
    }
}
