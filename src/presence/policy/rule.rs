//! One rule: whom it is about, when it holds, what it gives (RFC 4745 §7, RFC 5025 §3).

use std::sync::Arc;

use super::{Action, Shown, Times};
use crate::presence::status::PresenceStatus;

/// A rule of the presentity's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name, unique among all.
    pub id: Arc<str>,
    /// Whom it is about, any of them; none means everybody, known or not (RFC 4745 §7.1).
    pub who: Option<Vec<Who>>,
    /// When it holds.
    pub times: Times,
    /// In which parts of life it holds, any of them; always, if there is none (RFC 4745 §7.3).
    pub spheres: Vec<Box<str>>,
    /// It has a condition that is not known here, and so never holds (RFC 4745 §7).
    pub unknown: bool,
    /// What it lets a watcher have.
    pub action: Action,
    /// What is shown, where that is to be allowed.
    pub shown: Arc<Shown>,
    /// What is shown in place of our state.
    pub instead: Option<Arc<Instead>>,
}

/// Whom a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// One person, in the form of [`canonical`](super::canonical).
    One(Box<str>),
    /// Everybody whose identity is proven.
    Many {
        /// Only those of this domain, in lower case.
        domain: Option<Box<str>>,
        /// But not these.
        except: Vec<Except>,
    },
}

/// Who is not among the many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Except {
    /// A person, in the form of [`canonical`](super::canonical).
    One(Box<str>),
    /// All of a domain, in lower case.
    Domain(Box<str>),
}

/// A status that is shown in place of ours while we can be seen at all: "available to family while busy to others".
///
/// Who is offline is offline to everybody.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Instead {
    /// The status; not `offline`, which `polite-block` stands for.
    pub status: PresenceStatus,
    /// The note; none says nothing.
    pub note: Option<String>,
}

impl Rule {
    /// Makes a rule for everybody that always holds and shows everything that is allowed.
    pub fn new(id: impl Into<Arc<str>>, action: Action) -> Self {
        let (times, spheres, shown) = (Times::default(), Vec::new(), Arc::new(Shown::all()));
        Self { id: id.into(), who: None, times, spheres, unknown: false, action, shown, instead: None }
    }

    /// Says whether it is about this watcher; `named` is its canonical address unless it is nobody in particular.
    ///
    /// A proof is for [`Policy`](super::Policy) to ask for.
    pub(super) fn concerns(&self, named: Option<&str>) -> Option<Concern> {
        let Some(all) = &self.who else { return Some(Concern::Everybody) };
        let named = named?;
        if all.iter().any(|who| matches!(who, Who::One(one) if **one == *named)) {
            return Some(Concern::Person);
        }
        all.iter().any(|who| who.includes(named)).then_some(Concern::Many)
    }

    /// Says whether it holds in this part of life; one that is not known is none (POL-07).
    pub(super) fn holds_in(&self, sphere: Option<&str>) -> bool {
        self.spheres.is_empty() || sphere.is_some_and(|sphere| self.spheres.iter().any(|own| **own == *sphere))
    }
}

/// How a rule is about somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Concern {
    /// By name.
    Person,
    /// As one of many.
    Many,
    /// As everybody, known or not.
    Everybody,
}

impl Who {
    fn includes(&self, named: &str) -> bool {
        match self {
            Self::One(one) => **one == *named,
            Self::Many { domain, except } => {
                let host = host_of(named);
                domain.as_ref().is_none_or(|domain| same_host(domain, host))
                    && !except.iter().any(|except| match except {
                        Except::One(one) => **one == *named,
                        Except::Domain(domain) => same_host(domain, host),
                    })
            }
        }
    }
}

/// Returns the host of a canonical address.
pub(super) fn host_of(named: &str) -> &str {
    named.rsplit_once('@').map_or(named, |(_, host)| host)
}

fn same_host(domain: &str, host: &str) -> bool {
    domain.trim_end_matches('.') == host.trim_end_matches('.')
}
