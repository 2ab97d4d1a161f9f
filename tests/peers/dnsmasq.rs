//! dnsmasq: a name server with the records of a domain, behind which another of us is found (RFC 3263).

use std::{
    net::{IpAddr, SocketAddr},
    process::Command,
};

use sippresence::{
    client::{Action, FailureCode, Freshness, PresenceClient, PresenceStatus, Traced},
    net::dns::Dns,
    sip::locate::{Answer, Question},
};
use tokio::{runtime::Runtime, time::timeout};

use super::support::{PATIENCE, Peer, Process, Test, free_port, until, with_free_ports};

pub(crate) const TESTS: &[Test] = &[
    ("dnsmasq::res_06_finds_who_has_srv_alone", srv_alone),
    ("dnsmasq::res_04_finds_who_prefers_tcp_by_naptr", naptr),
    ("dnsmasq::res_09_the_second_server_of_a_domain_is_found_when_the_first_is_dead", second),
    ("dnsmasq::res_13_finds_who_has_the_presence_service_alone", presence),
    ("dnsmasq::res_15_a_domain_that_does_not_exist_is_named", absent),
    ("dnsmasq::res_16_keeps_to_the_time_to_live", time_to_live),
];

/// A name server with these records.
struct Zone {
    address: SocketAddr,
    _process: Process,
}

impl Zone {
    fn serve(peer: &Peer, records: &[String]) -> Self {
        with_free_ports(|| Self::at(peer, free_port(), records))
    }

    fn at(peer: &Peer, port: u16, records: &[String]) -> Result<Self, String> {
        let mut command = Command::new(&peer.program);
        command.args(["--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file="]);
        command.args(["--listen-address=127.0.0.1", "--bind-interfaces", "--user=root", "--local=/example.test/"]);
        command.args(["--local-ttl=1", &format!("--port={port}")]).args(records);
        let mut process = Process::start(&mut command);
        until("dnsmasq is there", || match process.ended() {
            Some(status) => Ok(Err(format!("{status}: {}", process.stderr()))),
            None if process.stderr().contains("cleared cache") => Ok(Ok(())),
            None => Err(process.stderr()),
        })?;
        Ok(Self { address: SocketAddr::from(([127, 0, 0, 1], port)), _process: process })
    }
}

fn host() -> String {
    "--host-record=a.example.test,127.0.0.1".to_owned()
}

fn srv(service: &str, port: u16, priority: u16) -> String {
    format!("--srv-host={service}.example.test,a.example.test,{port},{priority},0")
}

fn port_of(client: &PresenceClient) -> u16 {
    client.uri().rsplit_once(':').unwrap().1.parse().unwrap()
}

/// Alice, of the domain, who is busy.
async fn alice() -> PresenceClient {
    let builder = PresenceClient::builder("sip:alice@127.0.0.1").any_port().names(["example.test".to_owned()]);
    let alice = builder.default_action(Action::Allow).bind().await.unwrap();
    alice.presence(PresenceStatus::Busy).await.unwrap();
    alice
}

/// Bob watches alice by her domain until he sees that she is busy; returns how his first SUBSCRIBE left.
async fn sees(zone: &Zone, target: &str) -> String {
    let builder = PresenceClient::builder("sip:bob@127.0.0.1").any_port().name_server(zone.address);
    let bob = builder.bind().await.unwrap();
    let mut trace = bob.trace();
    let mut watcher = bob.watch(target).await.unwrap();
    let seen = async { while watcher.recv().await.unwrap().status != PresenceStatus::Busy {} };
    timeout(PATIENCE, seen).await.unwrap();
    loop {
        let traced = timeout(PATIENCE, trace.next()).await.unwrap().unwrap();
        if let Traced::Message(record) = traced
            && record.message.starts_with("SUBSCRIBE ")
            && record.remote.ip() == host_ip()
        {
            assert!(record.message.starts_with("SUBSCRIBE sip:alice@example.test"), "{}", record.message);
            return record.transport;
        }
    }
}

fn host_ip() -> IpAddr {
    IpAddr::from([127, 0, 0, 1])
}

/// Runs with alice behind the records that her port makes.
fn with_alice(peer: &Peer, target: &str, records: impl Fn(u16) -> Vec<String>) -> String {
    Runtime::new().unwrap().block_on(async {
        let alice = alice().await;
        let zone = Zone::serve(peer, &records(port_of(&alice)));
        sees(&zone, target).await
    })
}

fn srv_alone(peer: &Peer) {
    let transport = with_alice(peer, "sip:alice@example.test", |port| vec![host(), srv("_sip._udp", port, 0)]);
    assert_eq!(transport, "udp");
}

fn naptr(peer: &Peer) {
    let transport = with_alice(peer, "alice@example.test", |port| {
        let naptr =
            |order, service, name| format!("--naptr-record=example.test,{order},0,s,{service},,{name}.example.test");
        vec![
            host(),
            srv("_sip._udp", 9, 0),
            srv("_sip._tcp", port, 0),
            naptr(20, "SIP+D2U", "_sip._udp"),
            naptr(10, "SIP+D2T", "_sip._tcp"),
            naptr(5, "SIP+D2S", "_sip._sctp"),
        ]
    });
    assert_eq!(transport, "tcp");
}

fn second(peer: &Peer) {
    with_alice(peer, "alice@example.test", |port| {
        let dead = "--srv-host=_sip._udp.example.test,dead.example.test,5070,1,0".to_owned();
        vec![host(), "--host-record=dead.example.test,127.0.0.79".into(), dead, srv("_sip._udp", port, 2)]
    });
}

fn presence(peer: &Peer) {
    with_alice(peer, "pres:alice@example.test", |port| vec![host(), srv("_pres._sip", port, 0)]);
}

fn absent(peer: &Peer) {
    let zone = Zone::serve(peer, &[host()]);
    Runtime::new().unwrap().block_on(async {
        let builder = PresenceClient::builder("sip:bob@127.0.0.1").any_port().name_server(zone.address);
        let bob = builder.bind().await.unwrap();
        let mut watcher = bob.watch("sip:alice@nowhere.example.test").await.unwrap();
        let failed = async {
            loop {
                let presence = watcher.recv().await.unwrap();
                if presence.freshness == Freshness::Failed(FailureCode::Dns) {
                    return presence;
                }
            }
        };
        let failed = timeout(PATIENCE, failed).await.unwrap();
        let reason = failed.state.subscription.as_ref().and_then(|info| info.reason.clone()).unwrap();
        assert!(reason.contains("nowhere.example.test"), "{reason}");
    });
}

fn time_to_live(peer: &Peer) {
    let runtime = Runtime::new().unwrap();
    let question = || Question::Srv { name: "_sip._udp.example.test".into() };
    let port = |answer: &Answer| match answer {
        Answer::Srv(records) => records.first().map(|record| record.port),
        other => panic!("{other:?}"),
    };
    let zone = Zone::serve(peer, &[host(), srv("_sip._udp", 5070, 0)]);
    let address = zone.address;
    let dns = runtime.block_on(async { Dns::at(address) }).unwrap();
    let ask = || runtime.block_on(dns.ask(question()));
    assert_eq!(port(&ask().unwrap()), Some(5070));
    // The zone changes: by another server in the same place.
    drop(zone);
    let _zone =
        until("the port is free again", || Zone::at(peer, address.port(), &[host(), srv("_sip._udp", 5080, 0)]));
    until("the old answer ends", || match ask().map(|answer| port(&answer)) {
        Ok(Some(5080)) => Ok(()),
        other => Err(format!("{other:?}")),
    });
}
