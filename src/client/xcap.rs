//! Documents of ours that a server keeps: the client's side of XCAP (RFC 4825).
//!
//! An [`Xcap`] reads, writes and removes whole documents of one account, under the conditions that keep two writers apart
//! (§7.11). It answers the server's digest challenges and nobody else's (AUT-12). Documents are bytes here: what stands in
//! a list or a rule, and what was seen of it before, is known elsewhere. Parts of documents are not asked for.

mod error;
#[cfg(test)]
mod tests;

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use rand::rngs::StdRng;

pub use self::error::{Conflict, XcapError};
use super::{Login, PasswordSource, TlsSettings};
use crate::{
    net::{
        http::{
            Answer, HeaderMap, HeaderName, HeaderValue, MAX_BODY, Method, StatusCode, Uri, ask, header, is_secure,
            leaves_this_machine,
        },
        tls::{Tls, Trust},
    },
    sip::{
        auth::{Account, Challenge, Kind, Why},
        time::Instant,
    },
};

/// How long a request and its answer may take, a challenge in between included.
pub const LIMIT: Duration = Duration::from_secs(10);
/// How often a request is sent: without proof, with one, and with a younger nonce.
const TRIES: usize = 3;
/// Nonces are kept by where they are from, and all of an [`Xcap`]'s are from the one server.
const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// What a document is for (RFC 4825 §5); each user has one document of each, `index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Usage {
    /// Lists of people (RFC 4826).
    ResourceLists,
    /// Who may see us (RFC 5025).
    PresRules,
}

impl Usage {
    /// Returns the application unique ID.
    pub const fn auid(self) -> &'static str {
        match self {
            Self::ResourceLists => "resource-lists",
            Self::PresRules => "pres-rules",
        }
    }

    const fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::ResourceLists => "application/resource-lists+xml",
            Self::PresRules => "application/auth-policy+xml",
        })
    }
}

/// A document as the server has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its entity-tag, as it goes back; none from a server that has none.
    pub etag: Option<String>,
    /// All of it.
    pub body: Bytes,
}

/// What has to be so for a document to be changed (RFC 9110 §13.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum If<'a> {
    /// Its entity-tag is this one.
    Is(&'a str),
    /// There is none yet.
    Absent,
    /// Nothing.
    Any,
}

/// The documents of one account; see the module's text.
#[derive(Debug)]
pub struct Xcap {
    root: String,
    /// The user in a path, escaped.
    user: String,
    tls: Tls,
    trust: Trust,
    account: Option<(Account, PasswordSource)>,
    knows_password: bool,
    limit: Duration,
    rng: StdRng,
}

impl Xcap {
    /// Makes a client of the documents that belong to `address`, a SIP URI, below the XCAP root `root`, an URI of HTTP. The
    /// root's host may have the password, and is the account's own in what `tls` says.
    ///
    /// # Errors
    /// When the root is none, or a file of `tls` is of no use.
    pub fn new(root: &str, address: &str, login: Option<Login>, tls: TlsSettings) -> Result<Self, XcapError> {
        let root = root.trim_end_matches('/');
        let uri: Uri = root.parse().map_err(|_| XcapError::Root(root.to_owned()))?;
        let known = matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none();
        let host =
            uri.host().filter(|host| known && !host.is_empty()).ok_or_else(|| XcapError::Root(root.to_owned()))?;
        let account = login.map(|login| {
            let Login { credentials, source } = login.server(host);
            Account::new(credentials).map(|account| (account, source)).map_err(|_| XcapError::User)
        });
        let (tls, trust) = tls.server(host).for_web()?;
        Ok(Self {
            root: root.to_owned(),
            user: segment(address),
            tls,
            trust,
            account: account.transpose()?,
            knows_password: false,
            limit: LIMIT,
            rng: rand::make_rng(),
        })
    }

    /// Gives each request and its answer so long, instead of [`LIMIT`].
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Returns where a document is (RFC 4825 §6.2).
    pub fn uri(&self, usage: Usage) -> String {
        format!("{}/{}/users/{}/index", self.root, usage.auid(), self.user)
    }

    /// Returns whether documents are sent so that whoever is between us and the server can read and change them.
    pub fn is_in_clear(&self) -> bool {
        self.root.parse().is_ok_and(|uri| !is_secure(&uri) && leaves_this_machine(&uri))
    }

    /// Reads a document; none where the server has none.
    pub async fn get(&mut self, usage: Usage) -> Result<Option<Document>, XcapError> {
        let answer = self.ask(&Method::GET, usage, HeaderMap::new(), Bytes::new()).await?;
        match answer.status {
            StatusCode::OK => Ok(Some(Document { etag: etag_of(&answer), body: answer.body })),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(XcapError::of(&answer)),
        }
    }

    /// Writes a document whole, and returns its new entity-tag if the server says it.
    pub async fn put(&mut self, usage: Usage, body: Bytes, condition: If<'_>) -> Result<Option<String>, XcapError> {
        if body.len() > MAX_BODY {
            return Err(XcapError::TooLarge);
        }
        let mut headers = condition.headers()?;
        headers.insert(header::CONTENT_TYPE, usage.content_type());
        let answer = self.ask(&Method::PUT, usage, headers, body).await?;
        if answer.status.is_success() { Ok(etag_of(&answer)) } else { Err(XcapError::of(&answer)) }
    }

    /// Removes a document; that there is none is no failure.
    pub async fn delete(&mut self, usage: Usage, condition: If<'_>) -> Result<(), XcapError> {
        let answer = self.ask(&Method::DELETE, usage, condition.headers()?, Bytes::new()).await?;
        if answer.status.is_success() || answer.status == StatusCode::NOT_FOUND {
            Ok(())
        } else {
            Err(XcapError::of(&answer))
        }
    }

    /// Asks, and proves who we are as often as that may help.
    async fn ask(
        &mut self,
        method: &Method,
        usage: Usage,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, XcapError> {
        let text = self.uri(usage);
        let uri: Uri = text.parse().map_err(|_| XcapError::Root(text))?;
        let mut tries = 0;
        loop {
            tries += 1;
            let mut headers = headers.clone();
            let proof = self.proof(method, &uri, &body);
            let is_proven = proof.is_some();
            headers.extend(proof.map(|proof| (header::AUTHORIZATION, proof)));
            let way = (&self.tls, self.trust);
            let answer = Box::pin(ask((method, &uri), headers, body.clone(), way, self.limit)).await?;
            if answer.status != StatusCode::UNAUTHORIZED {
                return Ok(answer);
            }
            if tries == TRIES {
                return Err(Why::Endless.into());
            }
            self.take_challenge(&answer, is_proven, !is_secure(&uri)).await?;
        }
    }

    /// Returns what proves who we are, once the server has said what it wants.
    fn proof(&mut self, method: &Method, uri: &Uri, body: &[u8]) -> Option<HeaderValue> {
        let (account, _) = self.account.as_mut()?;
        let (mut lines, target) = (Vec::new(), uri.path_and_query()?.as_str());
        account.write(SERVER, (method.as_str(), target, body), &mut self.rng, &mut lines);
        let value = lines.strip_prefix(b"Authorization: ")?.strip_suffix(b"\r\n")?;
        let mut value = HeaderValue::from_bytes(value).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    async fn take_challenge(&mut self, answer: &Answer, was_proven: bool, clear: bool) -> Result<(), XcapError> {
        let Some((account, source)) = self.account.as_mut() else { return Err(XcapError::NoPassword) };
        let lines = answer.headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|line| line.to_str().ok());
        let challenges = Challenge::of_lines(lines, Kind::Server);
        let challenge = account.pick(challenges, SERVER.ip(), true, clear)?;
        if was_proven && !challenge.stale {
            return Err(Why::WrongPassword(challenge.realm().into()).into());
        }
        account.begin(SERVER, challenge);
        if !self.knows_password {
            let password = source.ask().await.map_err(XcapError::NoSecret)?;
            account.take_secret(Ok(password), Instant::default());
            self.knows_password = true;
        }
        Ok(())
    }
}

impl If<'_> {
    fn headers(self) -> Result<HeaderMap, XcapError> {
        let mut headers = HeaderMap::new();
        let mut set = |name: HeaderName, value: &str| {
            let value = HeaderValue::from_str(value).map_err(|_| XcapError::Changed)?;
            headers.insert(name, value);
            Ok::<_, XcapError>(())
        };
        match self {
            Self::Is(etag) => set(header::IF_MATCH, etag)?,
            Self::Absent => set(header::IF_NONE_MATCH, "*")?,
            Self::Any => {}
        }
        Ok(headers)
    }
}

/// Returns the entity-tag, unless it is a weak one: that never fits a condition (RFC 9110 §13.1.1).
fn etag_of(answer: &Answer) -> Option<String> {
    let etag = answer.text(&header::ETAG)?.trim();
    (!etag.is_empty() && !etag.starts_with("W/")).then(|| etag.to_owned())
}

/// Writes a text as one segment of a path (RFC 3986 §3.3).
fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte) {
            out.push(byte.into());
        } else {
            // A string takes every write.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
