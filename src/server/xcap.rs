//! Documents of users, by HTTP: the server's side of XCAP (RFC 4825), for whole documents.
//!
//! [`Xcap::answer`] takes one request and what it may need, and returns the answer: no socket, no clock, no file. It says
//! who may ask for what (§14: everybody has his own tree and no other), under which conditions (§7.11), and whether a
//! document is one that may be kept (§8.2.5); the documents are with whoever implements [`Documents`]. Parts of documents
//! (`/~~/`) are not offered, and are answered 501.

mod caps;
mod conditions;
mod conflict;
mod lists;
mod place;
mod refused;
#[cfg(test)]
mod tests;
mod valid;

use std::net::IpAddr;

use bytes::Bytes;
use rand::rngs::StdRng;

pub use self::place::{Place, Usage};
use self::{
    conditions::{Fits, etag, fits},
    conflict::Conflict,
    place::{Path, Root},
    refused::Refused,
};
use super::accounts::{Accounts, Guards, Name};
use crate::{
    net::http::{Answer, HeaderMap, HeaderValue, Method, StatusCode, Uri, header, serve::Request},
    sip::{
        auth::server::{Asked, Checked},
        header::Name as FieldName,
        message::{Header, Message, Method as SipMethod, StartLine},
        time::Instant,
    },
};

/// What can be done with a document.
const METHODS: &str = "GET, HEAD, PUT, DELETE";
/// What can be done with one of the server's own.
const READ_METHODS: &str = "GET, HEAD";

/// Who keeps the documents, and acts upon them.
pub trait Documents {
    /// Returns a document as it was put.
    fn get(&self, place: &Place) -> Option<Bytes>;

    /// Keeps a document, which is well-formed and may stand there, in place of any other.
    ///
    /// # Errors
    /// When it cannot be kept.
    fn put(&mut self, place: &Place, document: Bytes) -> Result<(), Refusal>;

    /// Keeps a document no longer.
    ///
    /// # Errors
    /// When that cannot be.
    fn remove(&mut self, place: &Place) -> Result<(), Refusal>;
}

/// Why a document is not kept or not removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not now; perhaps in so many seconds.
    Later(u32),
    /// It breaks a rule, said in words for people.
    Constraint(String),
}

/// What it takes to know who asks.
#[derive(Debug)]
pub struct Access<'a> {
    /// Their challenges.
    pub guards: &'a mut Guards,
    /// The accounts in force.
    pub accounts: &'a Accounts,
    /// The domains in which nobody has an account: everybody is taken at his word there.
    pub open: &'a [Box<str>],
    /// The present.
    pub now: Instant,
    /// For nonces.
    pub rng: &'a mut StdRng,
}

/// The tree of documents; see the module's text.
#[derive(Clone, Debug)]
pub struct Xcap {
    root: Root,
}

impl Xcap {
    /// Has a tree whose root is this path, `/xcap-root` or `/` or another; what stands in it is no escape.
    pub fn new(root: &str) -> Self {
        Self { root: Root::new(root) }
    }

    /// Answers a request.
    pub fn answer(&self, request: &Request, access: &mut Access<'_>, documents: &mut dyn Documents) -> Answer {
        let answer = self.answered(request, access, documents).unwrap_or_else(Answer::from);
        tracing::debug!(method = %request.method, status = answer.status.as_u16(), "answered a request for a document");
        answer
    }

    fn answered(
        &self,
        request: &Request,
        access: &mut Access<'_>,
        documents: &mut dyn Documents,
    ) -> Result<Answer, Refused> {
        let reads = [Method::GET, Method::HEAD].contains(&request.method);
        match self.root.read(&request.uri) {
            Path::None => Err(Refused::NotFound),
            Path::Node => Err(Refused::Part),
            Path::Capabilities if reads => caps::answer(request),
            Path::Capabilities => Err(Refused::Method(READ_METHODS)),
            Path::Own { .. } if !reads && ![Method::PUT, Method::DELETE].contains(&request.method) => {
                Err(Refused::Method(METHODS))
            }
            Path::Own { usage, owner, is_index } => {
                let owner = match owner {
                    Some(owner) if access.open.iter().any(|open| **open == *owner.domain()) => owner,
                    owner => {
                        let proven = prove(request, owner.as_ref().map(Name::domain), access)?;
                        // Whether there is such a user is nobody else's business.
                        owner.filter(|owner| *owner == proven).ok_or(Refused::Forbidden)?
                    }
                };
                let place = Place { owner, usage };
                if !is_index {
                    return Err(match request.method {
                        Method::PUT => Conflict::Constraint("the document's name is index, and no other".into()).into(),
                        _ => Refused::NotFound,
                    });
                }
                let there = documents.get(&place);
                match request.method {
                    Method::PUT => put(request, &place, there.as_ref(), documents),
                    Method::DELETE => remove(request, &place, there.as_ref(), documents),
                    _ => get(request, usage, there),
                }
            }
        }
    }
}

fn get(request: &Request, usage: Usage, there: Option<Bytes>) -> Result<Answer, Refused> {
    let there = there.ok_or(Refused::NotFound)?;
    let tag = etag(&there);
    check(request, Some(&tag))?;
    Ok(document(usage.content_type(), tag, there))
}

fn put(
    request: &Request,
    place: &Place,
    there: Option<&Bytes>,
    documents: &mut dyn Documents,
) -> Result<Answer, Refused> {
    let kind = request.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case(place.usage.content_type()) {
        return Err(Refused::Kind);
    }
    check(request, there.map(etag).as_ref())?;
    valid::check(place, &request.body)?;
    let tag = etag(&request.body);
    documents.put(place, request.body.clone())?;
    let mut answer = plain(if there.is_some() { StatusCode::OK } else { StatusCode::CREATED });
    answer.headers.insert(header::ETAG, tag);
    Ok(answer)
}

fn remove(
    request: &Request,
    place: &Place,
    there: Option<&Bytes>,
    documents: &mut dyn Documents,
) -> Result<Answer, Refused> {
    let there = there.ok_or(Refused::NotFound)?;
    check(request, Some(&etag(there)))?;
    documents.remove(place)?;
    Ok(plain(StatusCode::OK))
}

/// Looks whether the request's conditions hold for a document with this entity-tag.
fn check(request: &Request, tag: Option<&HeaderValue>) -> Result<(), Refused> {
    match fits(&request.method, &request.headers, tag) {
        Fits::Yes => Ok(()),
        Fits::NotModified => Err(Refused::NotModified(tag.cloned())),
        Fits::No => Err(Refused::Changed),
    }
}

/// Says who asks, by digest in the realm of that domain, or of one that there is.
fn prove(request: &Request, domain: Option<&str>, access: &mut Access<'_>) -> Result<Name, Refused> {
    let Access { guards, accounts, now, rng, .. } = access;
    let served = domain.and_then(|domain| accounts.domains().find(|served| *served == domain));
    let realm = served.or_else(|| accounts.domains().next()).ok_or(Refused::Forbidden)?;
    let guard = guards.of(realm, *now, rng).map_err(|_| Refused::Broken)?;
    let asked_for = request.uri.path_and_query().map_or("", |path| path.as_str());
    let shown = request.headers.get_all(header::AUTHORIZATION).into_iter();
    let message = Message {
        start: StartLine::Request { method: SipMethod::Other(request.method.as_str()), uri: asked_for },
        headers: shown
            .map(|shown| Header { name: FieldName::Authorization, raw_name: "Authorization", value: shown.as_bytes() })
            .collect(),
        body: &request.body,
    };
    // Some write the whole URI (RFC 7616 §3.4: either is the effective request URI).
    let is_same = |uri: &str| {
        let uri: Option<Uri> = uri.parse().ok();
        uri.and_then(|uri| Some(uri.authority().is_some() && uri.path_and_query()?.as_str() == asked_for)) == Some(true)
    };
    let source: IpAddr = request.source;
    let asked = Asked { message: &message, source, is_same: &is_same };
    match guard.check(asked, |user| accounts.lookup(user, realm), *now, rng) {
        Checked::Proven(user) => Name::new(&user, realm).map_err(|_| Refused::Forbidden),
        Checked::Challenged(challenges) => Err(Refused::Unproven(challenges)),
        Checked::Unfit => Err(Refused::Unfit),
        Checked::TooSoon(seconds) => Err(Refused::TooSoon(seconds)),
        Checked::Unready => Err(Refused::Later(1)),
    }
}

/// An answer that is a document.
fn document(kind: &'static str, tag: HeaderValue, body: Bytes) -> Answer {
    let headers = HeaderMap::from_iter([
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::ETAG, tag),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
    ]);
    Answer { status: StatusCode::OK, headers, body }
}

fn plain(status: StatusCode) -> Answer {
    Answer { status, headers: HeaderMap::new(), body: Bytes::new() }
}
