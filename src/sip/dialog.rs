//! Dialogs: who talks to whom, by which route, with which numbers (RFC 3261 §12).

use std::borrow::Cow;

use super::{
    codec::{EncodeError, Head, quote},
    header::{HeaderError, Name, NameAddr},
    ids::Token,
    message::Message,
    uri::{Uri, UriRef},
};

/// How many Record-Route entries a dialog keeps; a longer path is nobody's honest wish.
pub(super) const MAX_ROUTES: usize = 20;

/// One party as From and To carry it, without its tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party(Box<str>);

impl Party {
    /// Makes a party from a URI and a display name, which is quoted.
    ///
    /// # Errors
    /// When the display name holds what no header may hold (PAR-21).
    pub fn new(display: Option<&str>, uri: &UriRef<'_>) -> Result<Self, EncodeError> {
        let text = match display.filter(|name| !name.is_empty()) {
            Some(name) => format!("{} <{uri}>", quote(name)?),
            None => format!("<{uri}>"),
        };
        Ok(Self(text.into()))
    }

    /// Copies the party out of a peer's From or To; what cannot be quoted loses its display name.
    pub fn from_header(header: &NameAddr<'_>) -> Self {
        let display = header.display_name().map(Cow::into_owned);
        Self::new(display.as_deref(), &header.uri).unwrap_or_else(|_| Self(format!("<{}>", header.uri).into()))
    }

    /// Returns the text for a header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One established dialog, seen from our side.
#[derive(Clone, Debug)]
pub struct Dialog {
    /// Compared byte for byte.
    pub call_id: Box<str>,
    /// Us.
    pub local: Party,
    /// Our tag.
    pub local_tag: Token,
    /// Them.
    pub remote: Party,
    /// Their tag; empty for a peer of the days before tags.
    pub remote_tag: Box<str>,
    /// The number of our last request.
    pub local_seq: u32,
    /// The number of their last request.
    pub remote_seq: Option<u32>,
    /// Where requests are addressed to: their latest Contact.
    pub target: Uri,
    /// The route set, first hop first; fixed for the dialog's life.
    pub routes: Box<[Box<str>]>,
}

/// How a request's number stands to those seen before (RFC 3261 §12.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Higher than all before.
    New,
    /// The number of the last one, in another transaction.
    Repeated,
    /// Lower: to be refused with 500.
    Old,
}

impl Dialog {
    /// Reads the route set out of a request's Record-Route, in the order in which its receiver uses it.
    ///
    /// # Errors
    /// When an entry is no name-addr, or there are more than any path needs.
    pub fn routes_of(message: &Message<'_>) -> Result<Box<[Box<str>]>, HeaderError> {
        let mut routes = Vec::new();
        for value in message.record_routes() {
            let entry = NameAddr::parse(value)?;
            if routes.len() == MAX_ROUTES {
                return Err(HeaderError::malformed(Name::RecordRoute));
            }
            routes.push(entry.uri.as_str().into());
        }
        Ok(routes.into())
    }

    /// Notes the number of a request from the peer.
    pub fn receive(&mut self, seq: u32) -> Order {
        match self.remote_seq {
            Some(last) if seq < last => Order::Old,
            Some(last) if seq == last => Order::Repeated,
            _ => {
                self.remote_seq = Some(seq);
                Order::New
            }
        }
    }

    /// Begins the next request in the dialog, up to and with `CSeq`; the caller adds the rest (§12.2.1.1).
    pub fn request(&mut self, method: &str) -> Head {
        self.local_seq += 1;
        let strict = self.routes.first().and_then(|route| UriRef::parse(route).ok()).filter(|r| !r.is_loose_router());
        let uri = strict.map_or(self.target.as_str(), |route| route.as_str());
        let mut head = Head::request(method, uri);
        head.number(Name::MaxForwards, 70);
        for route in self.routes.iter().skip(usize::from(strict.is_some())) {
            head.fmt(Name::Route, format_args!("<{route}>"));
        }
        if strict.is_some() {
            head.fmt(Name::Route, format_args!("<{}>", self.target));
        }
        head.fmt(Name::From, format_args!("{};tag={}", self.local.as_str(), self.local_tag));
        if self.remote_tag.is_empty() {
            head.header(Name::To, self.remote.as_str());
        } else {
            head.fmt(Name::To, format_args!("{};tag={}", self.remote.as_str(), self.remote_tag));
        }
        head.header(Name::CallId, &self.call_id);
        head.fmt(Name::CSeq, format_args!("{} {method}", self.local_seq));
        head
    }

    /// Returns the URI whose host the next request goes to: the first route, else the target.
    pub fn next_hop(&self) -> &str {
        self.routes.first().map_or(self.target.as_str(), AsRef::as_ref)
    }
}
