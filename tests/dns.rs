//! The client of the DNS against name servers that are silent, lie, or say too much, over real loopback sockets
//! (RES-15, RES-16). What a well-behaved one says is tried with dnsmasq, among the peers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use sippresence::{
    client::{FailureCode, Freshness, PresenceClient},
    net::dns::{Dns, LIMIT},
    sip::locate::{Answer, Question},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
    time::timeout,
};

/// Far longer than anything here takes; reached only by a test that fails.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a query asks: its name in lower case, and the number of its type.
type Asked = (String, u16);
/// Makes the records of a reply, and its response code.
type Reply = fn(&Asked) -> Option<(Vec<Vec<u8>>, Section, u8)>;

/// Where the records stand.
#[derive(Clone, Copy, PartialEq)]
enum Section {
    Answer,
    Authority,
    /// Too large for a datagram: by TCP only.
    Large,
}

const A: u16 = 1;
const CNAME: u16 = 5;
const SOA: u16 = 6;
const SRV: u16 = 33;

/// A name server on loopback that replies as it is told, and counts.
struct Server {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Server {
    async fn start(reply: Reply) -> Self {
        let (udp, tcp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let address = tcp.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((len, from)) = udp.recv_from(&mut buffer).await {
                count.fetch_add(1, Ordering::Relaxed);
                if let Some(bytes) = replied(&buffer[..len], reply, false) {
                    udp.send_to(&bytes, from).await.unwrap();
                }
            }
        });
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let mut query = vec![0; usize::from(stream.read_u16().await.unwrap_or(0))];
                if stream.read_exact(&mut query).await.is_ok()
                    && let Some(bytes) = replied(&query, reply, true)
                {
                    let len = u16::try_from(bytes.len()).unwrap();
                    let _ = stream.write_all(&[&len.to_be_bytes()[..], &bytes].concat()).await;
                }
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn replied(query: &[u8], reply: Reply, tcp: bool) -> Option<Vec<u8>> {
    let (mut name, mut at) = (Vec::new(), 12);
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        name.push(String::from_utf8_lossy(&query[at + 1..end]).to_lowercase());
        at = end;
    }
    let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
    let (records, section, code) = reply(&(name.join("."), kind))?;
    let cut = section == Section::Large && !tcp;
    let count = if cut { 0 } else { records.len() as u16 }.to_be_bytes();
    let (answers, authorities) = if section == Section::Authority { ([0, 0], count) } else { (count, [0, 0]) };
    let flags = [0x81 | if cut { 2 } else { 0 }, 0x80 | code];
    let mut bytes = [&query[..2], &flags, &[0, 1], &answers, &authorities, &[0, 0], &query[12..at + 5]].concat();
    if !cut {
        bytes.extend(records.concat());
    }
    Some(bytes)
}

fn encoded(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut bytes: Vec<u8> = labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    bytes.push(0);
    bytes
}

fn record(name: &str, kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let len = (data.len() as u16).to_be_bytes();
    [&encoded(name)[..], &kind.to_be_bytes(), &[0, 1], &ttl.to_be_bytes(), &len, data].concat()
}

fn srv(name: &str, port: u16, target: &str) -> Vec<u8> {
    record(name, SRV, 300, &[&[0, 0, 0, 0][..], &port.to_be_bytes(), &encoded(target)].concat())
}

fn service() -> Question {
    Question::Srv { name: "_sip._udp.example.test".into() }
}

async fn ask(server: &Server) -> Result<Answer, String> {
    let dns = Dns::at(server.address).unwrap();
    timeout(PATIENCE, dns.ask(service())).await.unwrap().map_err(|error| error.to_string())
}

#[tokio::test(start_paused = true)]
async fn res_15_a_silent_server_is_given_up_after_two_seconds_and_the_domain_is_named() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let dns = Dns::at(silent.local_addr().unwrap()).unwrap();
    let started = tokio::time::Instant::now();
    let error = dns.ask(service()).await.unwrap_err().to_string();
    assert!(started.elapsed() <= LIMIT, "{:?}", started.elapsed());
    assert_eq!(error, "cannot look _sip._udp.example.test up in the DNS: no answer for 2 s");
    // Whoever asks again at once does not wait again, and after a while it is tried anew.
    let asked_again = tokio::time::Instant::now();
    assert_eq!(dns.ask(service()).await.unwrap_err().to_string(), error);
    assert_eq!(asked_again.elapsed(), Duration::ZERO);
    tokio::time::advance(Duration::from_secs(5)).await;
    assert!(dns.ask(service()).await.is_err() && asked_again.elapsed() > Duration::from_secs(5));
}

#[tokio::test]
async fn res_15_behind_a_silent_server_the_failure_names_the_domain_and_comes_from_the_look_up() {
    let silent = Server::start(|_| None).await;
    let builder = PresenceClient::builder("sip:bob@127.0.0.1").any_port().name_server(silent.address);
    let bob = builder.bind().await.unwrap();
    let mut watcher = bob.watch("sip:alice@mute.example.test").await.unwrap();
    let failed = timeout(PATIENCE, async {
        loop {
            let presence = watcher.recv().await.unwrap();
            if presence.freshness != Freshness::Unknown {
                return presence;
            }
        }
    });
    let failed = failed.await.unwrap();
    assert_eq!(failed.freshness, Freshness::Failed(FailureCode::Dns));
    let reason = failed.state.subscription.as_ref().and_then(|info| info.reason.clone()).unwrap();
    assert!(reason.contains("mute.example.test"), "{reason}");
    assert!(silent.asked() > 0);
}

#[tokio::test]
async fn res_15_that_there_is_nothing_is_an_answer_and_is_remembered() {
    const SOA_DATA: &[u8] = b"\x02ns\x00\x02ho\x00\0\0\0\x01\0\0\x0e\x10\0\0\x0e\x10\0\0\x0e\x10\0\0\x0e\x10";
    let server = Server::start(|_| Some((vec![record("test", SOA, 300, SOA_DATA)], Section::Authority, 3))).await;
    let dns = Dns::at(server.address).unwrap();
    for _ in 0..3 {
        assert_eq!(dns.ask(service()).await.unwrap(), Answer::Srv(Vec::new()));
        assert_eq!(server.asked(), 1);
    }
}

#[tokio::test]
async fn res_16_an_answer_is_kept_for_as_long_as_it_says() {
    let lasting = Server::start(|(name, _)| Some((vec![srv(name, 5070, "a.example.test")], Section::Answer, 0))).await;
    let dns = Dns::at(lasting.address).unwrap();
    let first = dns.ask(service()).await.unwrap();
    let Answer::Srv(records) = &first else { panic!("{first:?}") };
    assert_eq!((records[0].port, records[0].target.as_str()), (5070, "a.example.test."));
    assert_eq!(dns.ask(service()).await.unwrap(), first);
    assert_eq!(lasting.asked(), 1);

    let fleeting =
        Server::start(|(name, _)| Some((vec![record(name, A, 0, &[192, 0, 2, 1])], Section::Answer, 0))).await;
    let dns = Dns::at(fleeting.address).unwrap();
    let host = Question::Addresses { host: "a.example.test".into(), port: 5060 };
    let before = dns.ask(host.clone()).await.map(|_| fleeting.asked()).unwrap();
    dns.ask(host).await.unwrap();
    assert!(fleeting.asked() > before, "what may not be kept is asked for again");
}

#[tokio::test]
async fn res_15_aliases_that_go_round_end() {
    let server = Server::start(|(name, _)| {
        let other = if name.starts_with("a.") { "b.example.test" } else { "a.example.test" };
        Some((vec![record(name, CNAME, 300, &encoded(other))], Section::Answer, 0))
    })
    .await;
    // That it ends is what counts; nothing is found.
    assert!(matches!(ask(&server).await, Ok(Answer::Srv(records)) if records.is_empty()));
    assert!(server.asked() < 40, "{}", server.asked());
    let both = Server::start(|_| {
        let alias = |from, to| record(from, CNAME, 300, &encoded(to));
        Some((
            vec![alias("a.example.test", "b.example.test"), alias("b.example.test", "a.example.test")],
            Section::Answer,
            0,
        ))
    })
    .await;
    assert!(!matches!(ask(&both).await, Ok(Answer::Srv(records)) if !records.is_empty()));
    assert!(both.asked() < 40, "{}", both.asked());
}

#[tokio::test]
async fn res_15_of_an_answer_of_any_size_a_part_is_taken() {
    let server = Server::start(|(name, _)| {
        let records = (1..=1200).map(|port| srv(name, port, "a.test")).collect();
        Some((records, Section::Large, 0))
    })
    .await;
    let Ok(Answer::Srv(records)) = ask(&server).await else { panic!() };
    assert_eq!(records.len(), 64);
}

#[tokio::test]
async fn res_15_nonsense_is_no_answer() {
    for code in [1, 2, 5] {
        let name = "_sip._udp.example.test";
        let error = match code {
            1 => ask(&Server::start(|_| Some((Vec::new(), Section::Answer, 1))).await).await,
            2 => ask(&Server::start(|_| Some((vec![vec![0xff; 40]], Section::Answer, 0))).await).await,
            _ => ask(&Server::start(|_| Some((Vec::new(), Section::Answer, 5))).await).await,
        };
        match error {
            Err(error) => assert!(error.contains(name), "{error}"),
            Ok(answer) => assert_eq!(answer, Answer::Srv(Vec::new())),
        }
    }
}

#[tokio::test]
async fn res_08_a_dot_comes_through_as_one() {
    let server = Server::start(|(name, _)| Some((vec![srv(name, 0, "")], Section::Answer, 0))).await;
    let Ok(Answer::Srv(records)) = ask(&server).await else { panic!() };
    assert_eq!((records[0].port, records[0].target.as_str()), (0, "."));
}
