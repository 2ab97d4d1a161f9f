//! What a message costs: to read, to read with its fields, to print; in time and in allocations.
//!
//! `cargo bench --bench codec -- --quick` takes seconds. One line a measure stands beside its aim, then
//! criterion's figures follow.

#![allow(missing_docs, reason = "criterion's macros and a program of its own")]
#![allow(clippy::unwrap_used, reason = "the messages are ours")]
#![allow(clippy::print_stdout, reason = "the figures are the point")]

use std::{
    alloc::System,
    hint::black_box,
    time::{Duration, Instant},
};

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use sippresence::sip::{
    codec::{Framing, Head, decode, write_response},
    header::Name,
    message::{Message, check_request},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SUBSCRIBE: &str = "SUBSCRIBE sip:bob@192.0.2.20:5060 SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK776asdhds7f3a;rport\r\n\
    Max-Forwards: 70\r\n\
    From: \"Alice Example\" <sip:alice@192.0.2.10>;tag=a73kszlfl7f3\r\n\
    To: <sip:bob@192.0.2.20>\r\n\
    Call-ID: 3f2b9a4c1d7e4f5a9b8c7d6e5f4a3b2c\r\n\
    CSeq: 1 SUBSCRIBE\r\n\
    Contact: <sip:alice@192.0.2.10:5060>\r\n\
    Event: presence\r\n\
    Expires: 3600\r\n\
    Accept: application/pidf+xml\r\n\
    User-Agent: sippresence/0.1.0\r\n\
    Content-Length: 0\r\n\r\n";
const OK: &str = "SIP/2.0 200 OK\r\n\
    Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK776asdhds7f3a;rport=5060;received=192.0.2.10\r\n\
    From: \"Alice Example\" <sip:alice@192.0.2.10>;tag=a73kszlfl7f3\r\n\
    To: <sip:bob@192.0.2.20>;tag=b9f0c1d2e3a4\r\n\
    Call-ID: 3f2b9a4c1d7e4f5a9b8c7d6e5f4a3b2c\r\n\
    CSeq: 1 SUBSCRIBE\r\n\
    Contact: <sip:bob@192.0.2.20:5060>\r\n\
    Expires: 3600\r\n\
    Content-Length: 0\r\n\r\n";
const NOTIFY_HEAD: &str = "NOTIFY sip:alice@192.0.2.10:5060 SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.0.2.20:5060;branch=z9hG4bK9d8c7b6a5f4e3d2c;rport\r\n\
    Max-Forwards: 70\r\n\
    From: <sip:bob@192.0.2.20>;tag=b9f0c1d2e3a4\r\n\
    To: \"Alice Example\" <sip:alice@192.0.2.10>;tag=a73kszlfl7f3\r\n\
    Call-ID: 3f2b9a4c1d7e4f5a9b8c7d6e5f4a3b2c\r\n\
    CSeq: 7 NOTIFY\r\n\
    Contact: <sip:bob@192.0.2.20:5060>\r\n\
    Event: presence\r\n\
    Subscription-State: active;expires=3599\r\n\
    Content-Type: application/pidf+xml\r\n\
    Content-Length: 700\r\n\r\n";
const BODY: usize = 700;
const MOST_ALLOCATIONS: usize = 2;

fn notify() -> Vec<u8> {
    let begin = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
        entity=\"pres:bob@192.0.2.20\">\n<tuple id=\"t1\"><status><basic>open</basic></status>\n<note>";
    let end = "</note></tuple>\n</presence>\n";
    let note = "In a meeting. ".repeat(BODY);
    format!("{NOTIFY_HEAD}{begin}{}{end}", &note[..BODY - begin.len() - end.len()]).into_bytes()
}

fn parse(bytes: &[u8]) -> Message<'_> {
    decode(bytes, Framing::Datagram).unwrap()
}

/// Checks a request and then reads every field that a transaction, a dialog and a subscription ask for.
fn read_fields(message: &Message<'_>) {
    if message.is_request() {
        check_request(message).unwrap();
    }
    let via = message.top_via().unwrap();
    black_box((via.branch, via.received, via.rport));
    black_box((message.from().unwrap().tag(), message.to().unwrap().tag()));
    black_box((message.call_id().unwrap(), message.cseq().unwrap()));
    black_box((message.contact().unwrap(), message.event().unwrap(), message.subscription_state().unwrap()));
    black_box((message.expires(), message.content_type_is("application/pidf+xml")));
}

fn print_notify() -> Bytes {
    let mut head = Head::request("NOTIFY", "sip:alice@192.0.2.10:5060");
    head.fmt(Name::Via, format_args!("SIP/2.0/UDP 192.0.2.20:5060;branch=z9hG4bK{};rport", "9d8c7b6a5f4e3d2c"))
        .number(Name::MaxForwards, 70)
        .header(Name::From, "<sip:bob@192.0.2.20>;tag=b9f0c1d2e3a4")
        .header(Name::To, "\"Alice Example\" <sip:alice@192.0.2.10>;tag=a73kszlfl7f3")
        .header(Name::CallId, "3f2b9a4c1d7e4f5a9b8c7d6e5f4a3b2c")
        .fmt(Name::CSeq, format_args!("{} NOTIFY", black_box(7)))
        .header(Name::Contact, "<sip:bob@192.0.2.20:5060>")
        .header(Name::Event, "presence")
        .fmt(Name::SubscriptionState, format_args!("active;expires={}", black_box(3599)))
        .header(Name::ContentType, "application/pidf+xml");
    head.finish(BODY).unwrap()
}

fn print_subscribe() -> Bytes {
    let mut head = Head::request("SUBSCRIBE", "sip:bob@192.0.2.20:5060");
    head.fmt(Name::Via, format_args!("SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK{};rport", "776asdhds7f3a"))
        .number(Name::MaxForwards, 70)
        .header(Name::From, "\"Alice Example\" <sip:alice@192.0.2.10>;tag=a73kszlfl7f3")
        .header(Name::To, "<sip:bob@192.0.2.20>")
        .header(Name::CallId, "3f2b9a4c1d7e4f5a9b8c7d6e5f4a3b2c")
        .fmt(Name::CSeq, format_args!("{} SUBSCRIBE", black_box(1)))
        .header(Name::Contact, "<sip:alice@192.0.2.10:5060>")
        .header(Name::Event, "presence")
        .number(Name::Expires, 3600)
        .header(Name::Accept, "application/pidf+xml")
        .header(Name::UserAgent, "sippresence/0.1.0");
    head.finish(0).unwrap()
}

fn print_ok() -> Bytes {
    let mut head = Head::status(200, "OK");
    head.header(Name::Via, "SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK776asdhds7f3a;rport=5060;received=192.0.2.10")
        .header(Name::From, "\"Alice Example\" <sip:alice@192.0.2.10>;tag=a73kszlfl7f3")
        .header(Name::To, "<sip:bob@192.0.2.20>;tag=b9f0c1d2e3a4")
        .header(Name::CallId, "3f2b9a4c1d7e4f5a9b8c7d6e5f4a3b2c")
        .fmt(Name::CSeq, format_args!("{} SUBSCRIBE", black_box(1)))
        .header(Name::Contact, "<sip:bob@192.0.2.20:5060>")
        .number(Name::Expires, 3600);
    head.finish(0).unwrap()
}

/// Reads the top Via and To of a request and prints a response.
fn answer(request: &Message<'_>) -> Bytes {
    let received = Some(([192, 0, 2, 10].into(), 5060));
    let mut head = write_response(request, 200, "OK", "b9f0c1d2e3a4", received);
    head.header(Name::Contact, "<sip:bob@192.0.2.20:5060>").number(Name::Expires, 3600);
    head.finish(0).unwrap()
}

/// One thing that is measured.
struct Measure<'a> {
    name: &'static str,
    /// The longest time it should take.
    aim: Duration,
    run: Box<dyn Fn() + 'a>,
}

fn measures<'a>(notify: &'a [u8], subscribe: &'a Message<'a>) -> Vec<Measure<'a>> {
    let (reading, printing) = (Duration::from_micros(1), Duration::from_nanos(300));
    let (with_fields, answering) = (reading * 3, reading);
    let measure = |name, aim, run| Measure { name, aim, run };
    let mut all = Vec::new();
    for (names, bytes) in [
        (["parse NOTIFY", "parse NOTIFY and read its fields"], notify),
        (["parse SUBSCRIBE", "parse SUBSCRIBE and read its fields"], SUBSCRIBE.as_bytes()),
        (["parse 200 OK", "parse 200 OK and read its fields"], OK.as_bytes()),
    ] {
        all.push(measure(names[0], reading, Box::new(move || drop(black_box(parse(black_box(bytes)))))));
        all.push(measure(names[1], with_fields, Box::new(move || read_fields(&parse(black_box(bytes))))));
    }
    all.push(measure("print NOTIFY", printing, Box::new(|| drop(black_box(print_notify())))));
    all.push(measure("print SUBSCRIBE", printing, Box::new(|| drop(black_box(print_subscribe())))));
    all.push(measure("print 200 OK", printing, Box::new(|| drop(black_box(print_ok())))));
    all.push(measure("answer SUBSCRIBE", answering, Box::new(|| drop(black_box(answer(subscribe))))));
    all
}

/// Prints one line for what was measured, in the quietest of some rounds.
fn say(measure: &Measure<'_>) {
    const TIMES: u32 = 2000;
    let round = || {
        let started = Instant::now();
        (0..TIMES).for_each(|_| (measure.run)());
        started.elapsed() / TIMES
    };
    let time = (0..25).map(|_| round()).min().unwrap_or_default();
    let region = Region::new(ALLOCATOR);
    (measure.run)();
    let change = region.change();
    let allocations = change.allocations + change.reallocations;
    let missed = if time > measure.aim || allocations > MOST_ALLOCATIONS { "; MISSED" } else { "" };
    println!(
        "{}: {:.2} us, {allocations} allocation{}; aim {} us, {MOST_ALLOCATIONS} allocations{missed}",
        measure.name,
        time.as_secs_f64() * 1e6,
        if allocations == 1 { "" } else { "s" },
        measure.aim.as_secs_f64() * 1e6,
    );
}

fn main() {
    let notify = notify();
    assert_eq!(parse(&notify).body.len(), BODY);
    assert_eq!(print_notify(), NOTIFY_HEAD);
    let subscribe = parse(SUBSCRIBE.as_bytes());
    assert_eq!((print_subscribe(), print_ok()), (SUBSCRIBE.into(), OK.into()));
    assert_eq!(answer(&subscribe), OK);
    let measures = measures(&notify, &subscribe);
    if std::env::args().any(|arg| arg == "--bench") {
        measures.iter().for_each(say);
    }
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("codec");
    for Measure { name, run, .. } in &measures {
        group.throughput(Throughput::Elements(1)).bench_function(*name, |bencher| bencher.iter(run));
    }
    group.finish();
    criterion.final_summary();
}
