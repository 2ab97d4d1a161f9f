//! One search for the server of a domain: NAPTR, then SRV, then addresses (RFC 3263 §4).
//!
//! A search goes in rounds. The questions of a round are asked together, so that a name server that is silent costs
//! the patience for one of them and not the sum; when all are answered the next round follows from them. A look-up
//! that failed counts as one that found nothing: what a domain offers is then found by the next rule, and the reason
//! is told if none of them leads anywhere. There is no way from `sips:` to clear text in any of them.

use std::net::SocketAddr;

use rand::Rng;

use super::{Answer, LocateError, Naptr, Question, Srv, Target, srv};
use crate::sip::transport::Transport;

/// The most names that are gone through in one round.
const MAX_PLACES: usize = 8;
/// The most addresses that are tried of one host.
const MAX_ADDRESSES: usize = 4;
/// The most targets in all.
const MAX_TARGETS: usize = 12;

/// A search under way; see the module's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    domain: Box<str>,
    round: Round,
    /// One for each question of the round, when it came.
    answers: Vec<Option<Result<Answer, String>>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Round {
    /// `_pres._sip` of the domain (RFC 3861 §4).
    Presence { supported: &'static [Transport] },
    /// What the domain prefers.
    Naptr { secure: bool, supported: &'static [Transport] },
    /// Where these services are; if nowhere, the domain itself is the host, by `fallback`.
    Services { services: Vec<(Transport, String)>, fallback: Transport },
    /// The addresses of these hosts.
    Hosts(Vec<Place>),
}

/// A host with what to speak to it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    transport: Transport,
    host: String,
    port: u16,
}

/// How a search goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Other answers of the round are still to come.
    Wait,
    /// The next round: [`Search::questions`] are to be asked.
    Ask,
    /// The end: where to send to, in this order; at least one.
    Found(Vec<Target>),
    /// The end: there is no way, and why; the text names the domain.
    Failed(String),
}

impl Search {
    /// Looks for the addresses of a host alone.
    pub(super) fn addresses(host: &str, transport: Transport, port: u16) -> Self {
        Self::new(host, Round::Hosts(vec![Place { transport, host: host.to_owned(), port }]))
    }

    /// Looks for the service of one transport.
    pub(super) fn service(domain: &str, transport: Transport) -> Self {
        let services = vec![(transport, service_name(transport, domain))];
        Self::new(domain, Round::Services { services, fallback: transport })
    }

    /// Looks for what the domain offers.
    pub(super) fn domain(domain: &str, secure: bool, supported: &'static [Transport]) -> Self {
        Self::new(domain, Round::Naptr { secure, supported })
    }

    /// Looks for the presence service of the domain, and if it has none for its SIP service.
    pub(super) fn presence(domain: &str, supported: &'static [Transport]) -> Self {
        Self::new(domain, Round::Presence { supported })
    }

    fn new(domain: &str, round: Round) -> Self {
        let mut search = Self { domain: domain.into(), round, answers: Vec::new() };
        search.answers = vec![None; search.questions().len()];
        search
    }

    /// Returns the name that the search began with: the one that an identity is compared with (RFC 5922 §4).
    pub fn name(&self) -> &str {
        &self.domain
    }

    /// Returns what is to be asked in this round; each is answered by its place in this list.
    pub fn questions(&self) -> Vec<Question> {
        match &self.round {
            Round::Presence { .. } => vec![Question::Srv { name: format!("_pres._sip.{}", self.domain) }],
            Round::Naptr { .. } => vec![Question::Naptr { domain: self.domain.to_string() }],
            Round::Services { services, .. } => {
                services.iter().map(|(_, name)| Question::Srv { name: name.clone() }).collect()
            }
            Round::Hosts(places) => {
                let address = |place: &Place| Question::Addresses { host: place.host.clone(), port: place.port };
                places.iter().map(address).collect()
            }
        }
    }

    /// Takes the answer to the question at `place` of this round, or why there is none.
    pub fn answer(&mut self, place: usize, answer: Result<Answer, String>, rng: &mut impl Rng) -> Step {
        if let Some(slot) = self.answers.get_mut(place) {
            *slot = Some(answer);
        }
        if self.answers.iter().any(Option::is_none) {
            return Step::Wait;
        }
        let answers: Vec<_> = std::mem::take(&mut self.answers).into_iter().flatten().collect();
        let next = match &self.round {
            Round::Presence { supported } => self.presence_answered(supported, answers, rng),
            Round::Naptr { secure, supported } => self.naptr_answered(*secure, supported, answers),
            Round::Services { services, fallback } => self.services_answered(services, *fallback, answers, rng),
            Round::Hosts(places) => return self.hosts_answered(places, answers),
        };
        match next {
            Ok(round) => {
                *self = Self::new(&self.domain, round);
                Step::Ask
            }
            Err(why) => Step::Failed(why),
        }
    }

    fn presence_answered(
        &self,
        supported: &'static [Transport],
        answers: Vec<Result<Answer, String>>,
        rng: &mut impl Rng,
    ) -> Result<Round, String> {
        let records: Vec<Srv> = answers.into_iter().flatten().flat_map(Answer::srv).collect();
        let refused = records.iter().any(Srv::is_refusal);
        // The record has a port, and where a port stands UDP is meant (RFC 3263 §4.1).
        let places = places(Transport::Udp, records, rng);
        match (places.is_empty(), refused) {
            (false, _) => Ok(Round::Hosts(places)),
            (true, true) => Err(format!("{} offers no presence by SIP", self.domain)),
            (true, false) => Ok(Round::Naptr { secure: false, supported }),
        }
    }

    fn naptr_answered(
        &self,
        secure: bool,
        supported: &'static [Transport],
        answers: Vec<Result<Answer, String>>,
    ) -> Result<Round, String> {
        let mut records: Vec<_> = answers.into_iter().flatten().flat_map(Answer::naptr).filter(Naptr::is_sip).collect();
        records.sort_by_key(|record| (record.order, record.preference));
        let usable = |transport: &Transport| supported.contains(transport) && (!secure || *transport == Transport::Tls);
        let mut services: Vec<_> = records.iter().filter_map(Naptr::offer).collect();
        services.retain(|(transport, _)| usable(transport));
        services.truncate(MAX_PLACES);
        if let Some((first, _)) = services.first() {
            let fallback = *first;
            return Ok(Round::Services { services, fallback });
        }
        if let Some(record) = records.first() {
            let domain = &self.domain;
            let by_tls = record.service.to_ascii_uppercase().starts_with("SIPS");
            return Err(if by_tls && !supported.contains(&Transport::Tls) {
                format!("{domain} is reached by TLS alone, and {}", LocateError::Tls)
            } else if secure {
                format!("{domain} offers no TLS, without which sips: is not")
            } else {
                format!("{domain} offers none of the transports that this program has")
            });
        }
        let services = supported.iter().copied().filter(usable);
        let services = services.map(|transport| (transport, service_name(transport, &self.domain))).collect();
        Ok(Round::Services { services, fallback: if secure { Transport::Tls } else { Transport::Udp } })
    }

    fn services_answered(
        &self,
        services: &[(Transport, String)],
        fallback: Transport,
        answers: Vec<Result<Answer, String>>,
        rng: &mut impl Rng,
    ) -> Result<Round, String> {
        let (mut found, mut refused) = (Vec::new(), false);
        for ((transport, _), answer) in services.iter().zip(answers) {
            let records = answer.map(Answer::srv).unwrap_or_default();
            refused |= records.iter().any(Srv::is_refusal);
            found.extend(places(*transport, records, rng));
        }
        found.truncate(MAX_PLACES);
        if found.is_empty() {
            if refused {
                return Err(format!("{} offers no SIP service", self.domain));
            }
            let (host, port) = (self.domain.to_string(), fallback.default_port());
            found.push(Place { transport: fallback, host, port });
        }
        Ok(Round::Hosts(found))
    }

    fn hosts_answered(&self, places: &[Place], answers: Vec<Result<Answer, String>>) -> Step {
        let (mut targets, mut why) = (Vec::new(), None);
        for (Place { transport, .. }, answer) in places.iter().zip(answers) {
            match answer.map(Answer::addresses) {
                Ok(addresses) => {
                    for remote in taking_turns(addresses) {
                        let target = Target { transport: *transport, remote };
                        if !targets.contains(&target) {
                            targets.push(target);
                        }
                    }
                }
                Err(error) => why = why.or(Some(error)),
            }
        }
        targets.truncate(MAX_TARGETS);
        let domain = &self.domain;
        match why {
            _ if !targets.is_empty() => Step::Found(targets),
            Some(why) if why.contains(&**domain) => Step::Failed(why),
            Some(why) => Step::Failed(format!("{domain}: {why}")),
            None => Step::Failed(format!("{domain} has no address")),
        }
    }
}

/// Returns the name under which a domain's service for a transport is found (RFC 3263 §4.1).
fn service_name(transport: Transport, domain: &str) -> String {
    let service = match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
    };
    format!("{service}.{domain}")
}

/// Returns the hosts of SRV records, in the order in which they are to be tried.
fn places(transport: Transport, records: Vec<Srv>, rng: &mut impl Rng) -> Vec<Place> {
    let host = |srv: Srv| Some(Place { transport, host: srv.host()?, port: srv.port });
    srv::ordered(records, rng).into_iter().filter_map(host).take(MAX_PLACES).collect()
}

/// Lets the families take turns, the preferred one first: if it leads nowhere, the other one is next (RFC 7984 §4).
fn taking_turns(addresses: Vec<SocketAddr>) -> impl Iterator<Item = SocketAddr> {
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (preferred, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv4() == first_is_v4);
    let mut turns = [preferred.into_iter(), other.into_iter()];
    let mut next = 0;
    std::iter::from_fn(move || {
        let own = turns[next].next();
        next = 1 - next;
        own.or_else(|| turns[next].next())
    })
    .take(MAX_ADDRESSES)
}
