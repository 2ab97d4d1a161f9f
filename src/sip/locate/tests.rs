use std::{collections::HashMap, net::SocketAddr};

use rand::{SeedableRng as _, rngs::StdRng};

use super::*;

const ALL: &[Transport] = TRANSPORTS;
/// As for somebody without TLS.
const CLEAR: &[Transport] = &[Transport::Tcp, Transport::Udp];

fn planned(uri: &str) -> Result<Plan, LocateError> {
    plan(&UriRef::parse(uri).unwrap(), CLEAR)
}

#[allow(clippy::unnecessary_wraps, reason = "it is compared with what a plan returns")]
fn address(transport: Transport, remote: &str) -> Result<Plan, LocateError> {
    Ok(Plan::Address(Target { transport, remote: remote.parse().unwrap() }))
}

/// A zone as text: `name NAPTR order preference flags service replacement`, `name SRV priority weight port target`,
/// `name A address`, `name FAIL`.
struct Zone(&'static str);

impl Zone {
    fn rows(&self, name: &str, kind: &str) -> Result<Vec<Vec<&'static str>>, String> {
        let rows = self.0.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let rows: Vec<_> = rows.filter(|row| row.first() == Some(&name)).collect();
        if rows.iter().any(|row| row[1] == "FAIL") {
            return Err(format!("cannot look {name} up"));
        }
        Ok(rows.into_iter().filter(|row| row[1] == kind).map(|row| row[2..].to_vec()).collect())
    }

    fn answer(&self, question: &Question) -> Result<Answer, String> {
        let n = |text: &str| text.parse::<u16>().unwrap();
        Ok(match question {
            Question::Naptr { domain } => {
                let record = |row: Vec<&str>| Naptr {
                    order: n(row[0]),
                    preference: n(row[1]),
                    flags: row[2].into(),
                    service: row[3].into(),
                    regexp: row.get(5).copied().unwrap_or_default().into(),
                    replacement: row[4].into(),
                };
                Answer::Naptr(self.rows(domain, "NAPTR")?.into_iter().map(record).collect())
            }
            Question::Srv { name } => {
                let record = |row: Vec<&str>| Srv {
                    priority: n(row[0]),
                    weight: n(row[1]),
                    port: n(row[2]),
                    target: row[3].into(),
                };
                Answer::Srv(self.rows(name, "SRV")?.into_iter().map(record).collect())
            }
            Question::Addresses { host, port } => {
                let found: Vec<_> = self.rows(host, "A")?;
                if found.is_empty() {
                    return Err(format!("{host} has no address"));
                }
                Answer::Addresses(found.iter().map(|row| SocketAddr::new(row[0].parse().unwrap(), *port)).collect())
            }
        })
    }
}

/// Searches in a zone; returns what was asked, and the targets or why there are none.
fn search_with(
    uri: &str,
    zone: &'static str,
    supported: &'static [Transport],
) -> (Vec<String>, Result<String, String>) {
    let Plan::Lookup(mut search) = plan(&UriRef::parse(uri).unwrap(), supported).unwrap() else { panic!("an address") };
    let mut rng = StdRng::seed_from_u64(1);
    let mut asked = Vec::new();
    loop {
        let questions = search.questions();
        asked.extend(questions.iter().map(|question| match question {
            Question::Naptr { domain } => format!("NAPTR {domain}"),
            Question::Srv { name } => format!("SRV {name}"),
            Question::Addresses { host, port } => format!("A {host} {port}"),
        }));
        let mut step = Step::Wait;
        // The last answer comes first.
        for (place, question) in questions.iter().enumerate().rev() {
            assert_eq!(step, Step::Wait, "every question is waited for");
            step = search.answer(place, Zone(zone).answer(question), &mut rng);
        }
        match step {
            Step::Wait => panic!("nothing more is to come"),
            Step::Ask => {}
            Step::Found(targets) => {
                let text: Vec<_> = targets.iter().map(|t| format!("{} {}", t.transport, t.remote)).collect();
                return (asked, Ok(text.join(", ")));
            }
            Step::Failed(why) => return (asked, Err(why)),
        }
    }
}

fn search(uri: &str, zone: &'static str) -> (Vec<String>, Result<String, String>) {
    search_with(uri, zone, CLEAR)
}

fn found(uri: &str, zone: &'static str) -> String {
    search(uri, zone).1.unwrap()
}

#[test]
fn res_01_maddr_replaces_the_host() {
    assert_eq!(planned("sip:u@example.com;maddr=192.0.2.9"), address(Transport::Udp, "192.0.2.9:5060"));
    let (asked, _) = search("sip:u@example.com;maddr=edge.example.net", "");
    assert_eq!(asked[0], "NAPTR edge.example.net");
}

#[test]
fn res_02_a_numeric_host_needs_no_look_up() {
    assert_eq!(planned("sip:u@192.0.2.1"), address(Transport::Udp, "192.0.2.1:5060"));
    assert_eq!(planned("sip:u@192.0.2.1:5070;transport=tcp"), address(Transport::Tcp, "192.0.2.1:5070"));
    assert_eq!(planned("sip:u@[2001:db8::1]"), address(Transport::Udp, "[2001:db8::1]:5060"));
    assert_eq!(planned("sips:u@192.0.2.1"), Err(LocateError::Tls));
    let secure = |uri: &str| plan(&UriRef::parse(uri).unwrap(), ALL);
    assert_eq!(secure("sips:u@192.0.2.1"), address(Transport::Tls, "192.0.2.1:5061"));
    assert_eq!(secure("sips:u@192.0.2.1;transport=tcp"), address(Transport::Tls, "192.0.2.1:5061"));
    assert_eq!(secure("sips:u@192.0.2.1:5070"), address(Transport::Tls, "192.0.2.1:5070"));
    assert!(secure("sips:u@192.0.2.1;transport=udp").is_err());
}

#[test]
fn res_03_an_explicit_port_asks_for_addresses_only() {
    let zone = "h.example.com A 192.0.2.1";
    assert_eq!(
        search("sip:u@h.example.com:5070", zone),
        (vec!["A h.example.com 5070".into()], Ok("UDP 192.0.2.1:5070".into()))
    );
    let (asked, found) = search_with("sips:u@h.example.com:5070", zone, ALL);
    assert_eq!((asked.len(), found), (1, Ok("TLS 192.0.2.1:5070".into())));
}

#[test]
fn res_04_naptr_says_which_transports_are_preferred() {
    let zone = "example.com NAPTR 50 90 s SIP+D2U _sip._udp.example.com
        example.com NAPTR 50 50 S sip+d2t _sip._tcp.elsewhere.example.net.
        example.com NAPTR 10 10 u E2U+sip . !^.*$!sip:x@h!
        example.com NAPTR 20 10 s SIPS+D2T _sips._tcp.example.com
        example.com NAPTR 5 10 s SIP+D2S _sip._sctp.example.com
        example.com NAPTR 1 10 a SIP+D2T direct.example.com
        _sip._udp.example.com SRV 0 0 5060 a.example.com
        _sip._tcp.elsewhere.example.net SRV 0 0 5080 b.example.net
        _sips._tcp.example.com SRV 0 0 5061 c.example.com
        a.example.com A 192.0.2.1
        b.example.net A 192.0.2.2
        c.example.com A 192.0.2.3";
    let (asked, targets) = search("sip:u@example.com", zone);
    assert_eq!(targets.unwrap(), "TCP 192.0.2.2:5080, UDP 192.0.2.1:5060");
    assert_eq!(
        asked,
        [
            "NAPTR example.com",
            "SRV _sip._tcp.elsewhere.example.net",
            "SRV _sip._udp.example.com",
            "A b.example.net 5080",
            "A a.example.com 5060"
        ]
    );
    let (_, targets) = search_with("sip:u@example.com", zone, ALL);
    assert_eq!(targets.unwrap(), "TLS 192.0.2.3:5061, TCP 192.0.2.2:5080, UDP 192.0.2.1:5060");
    let (_, targets) = search_with("sips:u@example.com", zone, ALL);
    assert_eq!(targets.unwrap(), "TLS 192.0.2.3:5061");
}

#[test]
fn res_05_sips_is_never_downgraded() {
    let clear = "example.com NAPTR 50 90 s SIP+D2U _sip._udp.example.com
        _sip._udp.example.com SRV 0 0 5060 a.example.com
        a.example.com A 192.0.2.1
        example.com A 192.0.2.9";
    let (asked, none) = search_with("sips:u@example.com", clear, ALL);
    assert_eq!(none.unwrap_err(), "example.com offers no TLS, without which sips: is not");
    assert_eq!(asked, ["NAPTR example.com"]);
    // Without NAPTR and SRV it is TLS at the domain's own address.
    let (asked, found) = search_with("sips:u@example.com", "example.com A 192.0.2.9", ALL);
    assert_eq!(asked, ["NAPTR example.com", "SRV _sips._tcp.example.com", "A example.com 5061"]);
    assert_eq!(found.unwrap(), "TLS 192.0.2.9:5061");
}

#[test]
fn res_05_a_domain_that_offers_tls_alone_is_not_asked_in_clear_text() {
    let zone = "example.com NAPTR 50 90 s SIPS+D2T _sips._tcp.example.com
        example.com A 192.0.2.9";
    let error = search("sip:u@example.com", zone).1.unwrap_err();
    assert!(error.starts_with("example.com is reached by TLS alone, and TLS is not supported here"), "{error}");
}

#[test]
fn res_06_without_naptr_each_supported_service_is_asked() {
    let zone = "_sip._udp.example.com SRV 0 0 5062 a.example.com
        _sip._tcp.example.com SRV 0 0 5063 a.example.com
        a.example.com A 192.0.2.1";
    let (asked, targets) = search("sip:u@example.com", zone);
    assert_eq!(asked[..3], ["NAPTR example.com", "SRV _sip._tcp.example.com", "SRV _sip._udp.example.com"]);
    assert_eq!(targets.unwrap(), "TCP 192.0.2.1:5063, UDP 192.0.2.1:5062");
    let (asked, _) = search_with("sip:u@example.com", zone, ALL);
    assert_eq!(asked[1], "SRV _sips._tcp.example.com");
    assert_eq!(found("sip:u@example.com", "example.com A 192.0.2.9"), "UDP 192.0.2.9:5060");
}

#[test]
fn res_07_a_transport_without_port_asks_for_its_service() {
    let zone = "_sip._tcp.example.com SRV 0 0 5063 a.example.com
        a.example.com A 192.0.2.1
        example.com A 192.0.2.9";
    let (asked, targets) = search("sip:u@example.com;transport=tcp", zone);
    assert_eq!(asked, ["SRV _sip._tcp.example.com", "A a.example.com 5063"]);
    assert_eq!(targets.unwrap(), "TCP 192.0.2.1:5063");
    let (asked, targets) = search("sip:u@example.com;transport=udp", zone);
    assert_eq!(asked, ["SRV _sip._udp.example.com", "A example.com 5060"]);
    assert_eq!(targets.unwrap(), "UDP 192.0.2.9:5060");
}

#[test]
fn res_08_priorities_come_in_order_and_weights_by_lot() {
    let srv = |priority, weight, port| Srv { priority, weight, port, target: "a.example.com".into() };
    let records = [srv(2, 5, 5), srv(1, 60, 3), srv(1, 10, 1), srv(1, 30, 2), srv(0, 0, 4)];
    let mut rng = StdRng::seed_from_u64(7);
    let mut firsts: HashMap<u16, u32> = HashMap::new();
    for _ in 0..10_000 {
        let ports: Vec<_> = srv::ordered(records.to_vec(), &mut rng).iter().map(|srv| srv.port).collect();
        assert_eq!((ports[0], ports[4], ports.len()), (4, 5, 5));
        *firsts.entry(ports[1]).or_default() += 1;
    }
    for (port, share) in [(1, 1000), (2, 3000), (3, 6000_u32)] {
        assert!(firsts[&port].abs_diff(share) <= 300, "{firsts:?}");
    }
}

#[test]
fn res_08_no_weight_is_rarely_first_but_can_be() {
    let srv = |weight, port| Srv { priority: 0, weight, port, target: "a.example.com".into() };
    let mut rng = StdRng::seed_from_u64(7);
    let draws = (0..10_000).filter(|_| srv::ordered(vec![srv(100, 1), srv(0, 2)], &mut rng)[0].port == 2).count();
    assert!((1..300).contains(&draws), "{draws}");
    // Among themselves, too, nothing is lost and nothing hangs.
    assert_eq!(srv::ordered(vec![srv(0, 1), srv(0, 2), srv(0, 3)], &mut rng).len(), 3);
    assert_eq!(srv::ordered(vec![srv(65_535, 1); 64], &mut rng).len(), 64);
}

#[test]
fn res_08_a_dot_says_that_the_service_is_not_to_be_had() {
    let zone = "_sip._udp.example.com SRV 0 0 0 .
        example.com A 192.0.2.9";
    let (asked, none) = search("sip:u@example.com;transport=udp", zone);
    assert_eq!(none.unwrap_err(), "example.com offers no SIP service");
    assert_eq!(asked.len(), 1, "nobody is asked for an address");
    let zone = "_sip._udp.example.com SRV 0 0 0 .
        _sip._tcp.example.com SRV 0 0 5060 a.example.com
        a.example.com A 192.0.2.1";
    assert_eq!(found("sip:u@example.com", zone), "TCP 192.0.2.1:5060");
}

#[test]
fn res_12_the_families_take_turns_and_the_preferred_one_begins() {
    let zone = "example.com A 2001:db8::1
        example.com A 2001:db8::2
        example.com A 2001:db8::3
        example.com A 2001:db8::4
        example.com A 192.0.2.1
        example.com A 192.0.2.2";
    assert_eq!(
        found("sip:u@example.com:5060", zone),
        "UDP [2001:db8::1]:5060, UDP 192.0.2.1:5060, UDP [2001:db8::2]:5060, UDP 192.0.2.2:5060"
    );
}

#[test]
fn res_13_pres_is_found_by_its_own_service_or_as_sip() {
    let zone = "_pres._sip.example.com SRV 0 0 5064 p.example.com
        p.example.com A 192.0.2.4
        _sip._udp.example.com SRV 0 0 5060 a.example.com
        a.example.com A 192.0.2.1";
    let (asked, targets) = search("pres:bob@example.com", zone);
    assert_eq!(asked, ["SRV _pres._sip.example.com", "A p.example.com 5064"]);
    assert_eq!(targets.unwrap(), "UDP 192.0.2.4:5064");
    let zone = "_sip._udp.example.com SRV 0 0 5060 a.example.com
        a.example.com A 192.0.2.1";
    let (asked, targets) = search("pres:bob@example.com", zone);
    assert_eq!(asked[..2], ["SRV _pres._sip.example.com", "NAPTR example.com"]);
    assert_eq!(targets.unwrap(), "UDP 192.0.2.1:5060");
    let none = search("pres:bob@example.com", "_pres._sip.example.com SRV 0 0 0 .").1.unwrap_err();
    assert_eq!(none, "example.com offers no presence by SIP");
}

#[test]
fn res_15_answers_of_any_size_and_kind_are_bounded_and_never_believed() {
    let many = |n: u16| (0..n).map(|port| Srv { priority: 0, weight: 1, port, target: "a.example.com".into() });
    let mut rng = StdRng::seed_from_u64(1);
    let Plan::Lookup(mut search) = planned("sip:u@example.com;transport=udp").unwrap() else { panic!() };
    assert_eq!(search.answer(0, Ok(Answer::Srv(many(60_000).collect())), &mut rng), Step::Ask);
    assert_eq!(search.questions().len(), 8);
    let addresses: Vec<SocketAddr> = (1..2000).map(|port| SocketAddr::from(([192, 0, 2, 1], port))).collect();
    for place in 0..7 {
        assert_eq!(search.answer(place, Ok(Answer::Addresses(addresses.clone())), &mut rng), Step::Wait);
    }
    let Step::Found(targets) = search.answer(7, Ok(Answer::Addresses(addresses)), &mut rng) else { panic!() };
    assert!(targets.len() <= 12, "{}", targets.len());
    for target in ["a b.example.com", "a\r\nVia.example.com", "\u{1b}[2J", "-/etc", "..", &"a".repeat(64)] {
        let Plan::Lookup(mut search) = planned("sip:u@example.com;transport=udp").unwrap() else { panic!() };
        let srv = Srv { priority: 0, weight: 0, port: 5060, target: target.into() };
        search.answer(0, Ok(Answer::Srv(vec![srv])), &mut rng);
        assert_eq!(search.questions(), [Question::Addresses { host: "example.com".into(), port: 5060 }], "{target:?}");
    }
    // No port is no place, and an answer of another kind is none.
    let zone = "_sip._udp.example.com SRV 0 0 0 a.example.com
        example.com A 192.0.2.9";
    assert_eq!(found("sip:u@example.com;transport=udp", zone), "UDP 192.0.2.9:5060");
    let Plan::Lookup(mut search) = planned("sip:u@example.com:5060").unwrap() else { panic!() };
    let step = search.answer(0, Ok(Answer::Naptr(Vec::new())), &mut rng);
    assert_eq!(step, Step::Failed("example.com has no address".into()));
}

#[test]
fn res_15_a_look_up_that_failed_names_the_domain() {
    let zone = "_sip._udp.example.com SRV 0 0 5060 a.elsewhere.net
        a.elsewhere.net FAIL";
    let error = search("sip:u@example.com", zone).1.unwrap_err();
    assert_eq!(error, "example.com: cannot look a.elsewhere.net up");
    // One host that is not found keeps nobody from another.
    let zone = "_sip._udp.example.com SRV 0 0 5060 a.elsewhere.net
        _sip._udp.example.com SRV 1 0 5060 b.example.com
        a.elsewhere.net FAIL
        b.example.com A 192.0.2.2";
    assert_eq!(found("sip:u@example.com", zone), "UDP 192.0.2.2:5060");
}

#[test]
fn res_18_a_name_that_the_dns_cannot_tell_is_the_systems() {
    let zone = "_sip._udp.example.com FAIL
        _sip._tcp.example.com FAIL
        example.com A 192.0.2.9";
    assert_eq!(found("sip:u@example.com", zone), "UDP 192.0.2.9:5060");
    for host in ["alice-laptop", "alice-laptop.local", "x.localhost", "alice.LOCAL."] {
        let (asked, _) = search(&format!("sip:u@{host}"), "");
        assert_eq!(asked, [format!("A {host} 5060")], "no zone has records for it");
    }
}

#[test]
fn an_unknown_transport_or_scheme_is_an_error_that_names_it() {
    assert_eq!(planned("sip:u@h;transport=sctp").unwrap_err().to_string(), "transport sctp is not supported");
    assert_eq!(planned("tel:+1201555").unwrap_err().to_string(), "tel: addresses cannot be reached by SIP");
    assert_eq!(planned("sip:u@h;transport=tls"), Err(LocateError::Tls));
}

#[test]
fn res_15_records_that_lead_in_a_circle_come_to_an_end() {
    // A NAPTR record that names itself, an SRV record whose host is the domain that led there.
    let circle = "example.com NAPTR 10 50 s SIP+D2U example.com\n\
                  _sip._udp.example.com SRV 10 1 5060 example.com\n";
    let (asked, outcome) = search("sip:u@example.com", circle);
    assert!(outcome.is_err() && asked.len() < 10, "{asked:?}: {outcome:?}");
}
