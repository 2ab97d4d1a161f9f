//! Questions to our own server that belong to nothing that we keep there: how it is tried out.
//!
//! Each goes the way that everything of the account goes, and has one outcome. What is left behind by it is for whoever
//! asked to take back.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    Core, Now, Outbox, Server, Step,
    watched::{code_of, explain},
};
use crate::{
    presence::FailureCode,
    sip::{
        endpoint::Failure,
        events::Cause,
        header::Name,
        message::Message,
        probe::{Ask, Probe, ProbeId},
        transport::Flow,
        uri::Uri,
    },
};

/// What is asked of the server; From and To are our own address, unless somebody else is named.
#[derive(Clone, Debug)]
pub struct Inquiry {
    /// The method, as the `CSeq` has it.
    pub method: &'static str,
    /// Who is asked directly, if it is not our server.
    pub directly: Option<Uri>,
    /// Whether it is about our domain and not about us, as OPTIONS and REGISTER are.
    pub domain: bool,
    /// Whether we say where we are reached.
    pub contact: bool,
    /// Further headers.
    pub headers: Vec<(Name, String)>,
    /// The body.
    pub body: Bytes,
}

/// Why a question had no answer, or none that may be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// In one word.
    pub code: FailureCode,
    /// In words for people.
    pub reason: String,
}

impl Refused {
    fn of(cause: &Cause) -> Self {
        Self { code: code_of(cause), reason: explain(cause) }
    }
}

/// The questions that are under way.
#[derive(Debug, Default)]
pub(super) struct Probing {
    open: BTreeMap<ProbeId, Probe>,
    count: u32,
}

impl Probing {
    pub(super) fn response(&mut self, id: ProbeId, attempt: u64, flow: Flow, message: &Message<'_>, out: &mut Outbox) {
        if let Some(answer) = self.open.get_mut(&id).and_then(|probe| probe.response(attempt, flow, message)) {
            self.open.remove(&id);
            out.answered.push((id, Ok(answer)));
        }
    }

    pub(super) fn failed(&mut self, id: ProbeId, attempt: u64, failure: Failure, out: &mut Outbox) {
        if let Some(cause) = self.open.get_mut(&id).and_then(|probe| probe.failed(attempt, failure)) {
            self.open.remove(&id);
            out.answered.push((id, Err(Refused::of(&cause))));
        }
    }

    pub(super) fn renumber(&mut self, id: ProbeId, attempt: u64) -> Option<u32> {
        self.open.get_mut(&id)?.renumber(attempt)
    }
}

impl Core {
    /// Asks our server something; the outcome comes in [`Outbox::answered`] under the name that this returns.
    pub fn inquire(&mut self, inquiry: Inquiry, now: Now, out: &mut Outbox) -> ProbeId {
        let Inquiry { method, directly, domain, contact, headers, body } = inquiry;
        self.probing.count += 1;
        let id = ProbeId(self.probing.count);
        let own = self.config.address.clone();
        let host = || format!("sip:{}", own.as_ref().host_text()).parse().unwrap_or_else(|_| own.clone());
        let route = if directly.is_none() { self.config.server.as_ref().and_then(Server::route) } else { None };
        let target = directly.clone().unwrap_or_else(|| if domain { host() } else { own.clone() });
        let ask = Ask {
            method,
            // A registration is of us with the domain.
            to: if method == "REGISTER" { own.clone() } else { target.clone() },
            target,
            from: self.from.clone(),
            contact_user: contact.then(|| own.as_ref().user().unwrap_or_default().into()),
            route,
            headers,
            body,
            account: if directly.is_none() { self.account } else { None },
        };
        let mut step = Step { now: now.at, endpoint: &mut self.endpoint, out: &mut out.effects };
        match Probe::send(id, ask, &mut step) {
            Ok(probe) => {
                self.probing.open.insert(id, probe);
            }
            Err(cause) => out.answered.push((id, Err(Refused::of(&cause)))),
        }
        self.settle(now, out);
        id
    }
}
