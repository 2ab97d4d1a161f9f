//! One request of ours that belongs to nothing, and its final answer: how a server is tried out.
//!
//! A [`Probe`] is sent once, on behalf of an account, so challenges to it are answered; nothing follows from it. What it
//! leaves at the server is its user's to take back, and what the answer means is his to say.

use bytes::Bytes;

use super::{
    auth::AccountId,
    dialog::Party,
    endpoint::{ContactSlot, Failure, Outgoing},
    events::{Cause, Step, USER_AGENT, User},
    header::Name,
    message::Message,
    series::{self, Series},
    transaction::Resends,
    transport::Flow,
    uri::Uri,
};

/// Names one probe, as its user counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId(pub u32);

/// What is asked.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The method, as the `CSeq` has it.
    pub method: &'static str,
    /// The request-URI.
    pub target: Uri,
    /// Whom it is about: To.
    pub to: Uri,
    /// Who asks: From.
    pub from: Party,
    /// The user part of our Contact, as it stands in a URI; none where a Contact means nothing.
    pub contact_user: Option<Box<str>>,
    /// A proxy that it goes through; a loose router.
    pub route: Option<Uri>,
    /// Further headers; Content-Type among them where there is a body.
    pub headers: Vec<(Name, String)>,
    /// The body.
    pub body: Bytes,
    /// Whose password answers challenges.
    pub account: Option<AccountId>,
}

/// The final answer, as far as it tells something of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub code: u16,
    /// Which way the request had gone.
    pub flow: Flow,
    /// Expires, in seconds.
    pub expires: Option<u32>,
    /// Min-Expires, in seconds.
    pub min_expires: Option<u32>,
    /// Allow, as it stands there.
    pub allow: Option<String>,
    /// Allow-Events, as it stands there.
    pub allow_events: Option<String>,
    /// Supported and Require, as they stand there.
    pub extensions: Option<String>,
    /// The entity-tag of a publication.
    pub tag: Option<String>,
    /// The product that answers: Server, or User-Agent.
    pub product: Option<String>,
}

impl Answer {
    fn of(code: u16, flow: Flow, message: &Message<'_>) -> Self {
        let text = |name| message.text(name).map(std::borrow::Cow::into_owned);
        let list = |name| {
            let values: Vec<_> = message.all(name).map(String::from_utf8_lossy).collect();
            if values.is_empty() { None } else { Some(values.join(", ")) }
        };
        Self {
            code,
            flow,
            expires: message.expires(),
            min_expires: message.min_expires(),
            allow: list(Name::Allow),
            allow_events: list(Name::AllowEvents),
            extensions: list(Name::Require).or_else(|| list(Name::Supported)),
            tag: text(Name::SipEtag),
            product: text(Name::Server).or_else(|| text(Name::UserAgent)),
        }
    }
}

/// One request on its way; see the module's text.
#[derive(Debug)]
pub struct Probe {
    series: Series,
}

impl Probe {
    /// Sends a request, whose outcome comes back under `id`.
    ///
    /// # Errors
    /// When there is no way to its target, or a header cannot be written.
    pub fn send(id: ProbeId, ask: Ask, step: &mut Step<'_>) -> Result<Self, Cause> {
        let Ask { method, target, to, from, contact_user, route, headers, body, account } = ask;
        let mut series = Series::new(step.endpoint.rng());
        let (mut head, attempt) = series.begin(method, &target, route.as_ref(), &from, &to);
        let contact = Some(ContactSlot { at: head.len(), user: contact_user, flow: None });
        for (name, value) in &headers {
            head.header(*name, value);
        }
        head.header(Name::UserAgent, USER_AGENT);
        let (plan, peer) = series::way(&target, route.as_ref()).map_err(Cause::NoAnswer)?;
        let head = head.finish(body.len()).map_err(|error| Cause::NoAnswer(Failure::Resolve(error.to_string())))?;
        let user = User::Probe(id, attempt);
        let resends = Resends::Normal;
        let request =
            Outgoing { user, method, head, contact, body, plan, peer, by: None, resends, account, last: false };
        step.endpoint.request(request, step.now, step.out);
        Ok(Self { series })
    }

    /// Takes a response; none of one that is not final or not the one that is awaited.
    pub fn response(&mut self, attempt: u64, flow: Flow, message: &Message<'_>) -> Option<Answer> {
        let code = message.code().filter(|code| *code >= 200)?;
        self.series.close(attempt).then(|| Answer::of(code, flow, message))
    }

    /// Says why it came to nothing; none if that is not awaited.
    pub fn failed(&mut self, attempt: u64, failure: Failure) -> Option<Cause> {
        self.series.close(attempt).then_some(match failure {
            Failure::Unauthorized { code, why } => Cause::Unauthorized { code, why },
            failure => Cause::NoAnswer(failure),
        })
    }

    /// Gives the number under which it goes again, challenged.
    pub fn renumber(&mut self, attempt: u64) -> Option<u32> {
        self.series.renumber(attempt)
    }
}
