//! Requests to one's own server outside any dialog that belong together (RFC 3261 §10.2, RFC 3903 §4).
//!
//! They share Call-ID and From tag, their numbers rise, one is open at a time. What they say is their user's matter.

use std::sync::Arc;

use rand::{RngExt as _, rngs::StdRng};

use super::{
    codec::Head,
    dialog::Party,
    endpoint::Failure,
    header::Name,
    ids::{self, Token},
    locate::{self, PeerIdentity, Plan},
    uri::Uri,
};

/// The numbers of one series of requests; see the module's text.
#[derive(Debug)]
pub(super) struct Series {
    call_id: Box<str>,
    tag: Token,
    seq: u32,
    /// Counts the requests from anywhere, so that an outcome finds nobody who took the place of its asker.
    attempts: u64,
    open: Option<u64>,
}

impl Series {
    pub(super) fn new(rng: &mut StdRng) -> Self {
        let call_id = ids::call_id(rng).into_boxed_str();
        Self { call_id, tag: Token::random(rng), seq: 0, attempts: u64::from(rng.random::<u32>()), open: None }
    }

    /// Begins the next request, up to and with `CSeq`, and names it; it is open until [`close`](Self::close).
    pub(super) fn begin(
        &mut self,
        method: &str,
        target: &Uri,
        route: Option<&Uri>,
        from: &Party,
        to: &Uri,
    ) -> (Head, u64) {
        self.seq += 1;
        self.attempts += 1;
        self.open = Some(self.attempts);
        let mut head = Head::request(method, target.as_str());
        head.number(Name::MaxForwards, 70);
        if let Some(route) = route {
            // A strict router would have to find itself in the request-URI (RFC 3261 §12.2.1.1), and nobody runs one.
            let lr = if route.as_ref().is_loose_router() { "" } else { ";lr" };
            head.fmt(Name::Route, format_args!("<{route}{lr}>"));
        }
        head.fmt(Name::From, format_args!("{};tag={}", from.as_str(), self.tag));
        head.fmt(Name::To, format_args!("<{to}>"));
        head.header(Name::CallId, &self.call_id);
        head.fmt(Name::CSeq, format_args!("{} {method}", self.seq));
        (head, self.attempts)
    }

    /// Takes the outcome of a request; returns whether it is the one that is awaited.
    pub(super) fn close(&mut self, attempt: u64) -> bool {
        let awaited = self.open == Some(attempt);
        if awaited {
            self.open = None;
        }
        awaited
    }

    /// Gives the number under which a challenged request goes again (RFC 3261 §22.2); none when its outcome matters no
    /// more.
    pub(super) fn renumber(&mut self, attempt: u64) -> Option<u32> {
        (self.open == Some(attempt)).then(|| {
            self.seq += 1;
            self.seq
        })
    }
}

/// Plans the way: through the route if there is one; and says who has to be there.
pub(super) fn way(target: &Uri, route: Option<&Uri>) -> Result<(Plan, Option<Arc<PeerIdentity>>), Failure> {
    let hop = route.unwrap_or(target).as_ref();
    let plan = locate::plan_by(&target.as_ref(), &hop, locate::TRANSPORTS)?;
    let peer = PeerIdentity::on(&plan, &hop, None);
    Ok((plan, peer))
}
