//! One request of HTTP/1.1 (RFC 9110, RFC 9112) on a connection of its own, with its whole answer in bounded memory.
//!
//! Redirections are answers like others and followed nowhere; there are no proxies, cookies or compression. What an answer
//! means, and who we are towards the server, is the caller's matter; that the server is who it says belongs to [`Tls`].
//! The server's end is [`serve`].

pub mod serve;

use std::{error::Error as _, io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
pub use hyper::{
    Method, StatusCode, Uri,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

use super::{
    resolve::{ResolveError, lookup},
    tls::{Tls, Trust, refusal},
};
use crate::sip::{locate::PeerIdentity, transport::TlsFailure};

/// The most bytes of a body, either way.
pub const MAX_BODY: usize = 1024 * 1024;
/// How long one of several addresses may take to answer; the next one has its turn then.
const CONNECT_LIMIT: Duration = Duration::from_secs(4);

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: StatusCode,
    /// Its header fields.
    pub headers: HeaderMap,
    /// All of its body.
    pub body: Bytes,
}

impl Answer {
    /// Returns the text of a header field; none for what is no plain text.
    pub fn text(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The URI cannot be asked.
    #[error("{0} is no URI that can be asked by HTTP")]
    Uri(Uri),
    /// Its host has no address.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// Nobody listens there.
    #[error("cannot connect to {remote}: {error}")]
    Connect {
        /// The address that was tried last.
        remote: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The server has not proved to be who was asked for, or there is no TLS with it.
    #[error("{0}")]
    Tls(String),
    /// It said something else than HTTP, or hung up.
    #[error("{host} broke off: {reason}")]
    Broken {
        /// Who.
        host: String,
        /// How.
        reason: String,
    },
    /// The body of the answer is longer than [`MAX_BODY`].
    #[error("the answer of {0} is longer than 1 MiB")]
    TooLarge(String),
    /// It took too long, in all.
    #[error("{host} gave no answer for {limit:?}")]
    TimedOut {
        /// Who.
        host: String,
        /// How long that was.
        limit: Duration,
    },
}

/// Sends one request and reads its answer, all within `limit`. Host and Content-Length are added.
///
/// # Errors
/// When there is no whole answer; one that refuses is an [`Answer`].
pub async fn ask(
    (method, uri): (&Method, &Uri),
    headers: HeaderMap,
    body: Bytes,
    (tls, trust): (&Tls, Trust),
    limit: Duration,
) -> Result<Answer, HttpError> {
    let host = uri.host().unwrap_or_default().to_owned();
    let asked = async {
        let secure = is_secure(uri);
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream = connect(&host, port).await?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method.clone();
        *request.uri_mut() = origin_form(uri).ok_or_else(|| HttpError::Uri(uri.clone()))?;
        *request.headers_mut() = headers;
        let authority = uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
        let authority = authority.ok_or_else(|| HttpError::Uri(uri.clone()))?;
        request.headers_mut().insert(header::HOST, authority);
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        if !secure {
            return exchange(Box::new(stream), request, &host, None).await;
        }
        let remote = stream.peer_addr().map_err(|error| broken(&host, &error))?;
        let peer = PeerIdentity::of_host(&host);
        let (stream, _) = tls.connect(stream, &peer, trust, remote).await.map_err(|failure| match failure {
            TlsFailure::Untrusted(why) | TlsFailure::Refused(why) => HttpError::Tls(why),
        })?;
        exchange(Box::new(stream), request, &host, Some(remote)).await
    };
    timeout(limit, asked).await.unwrap_or_else(|_| Err(HttpError::TimedOut { host: host.clone(), limit }))
}

/// Returns whether a URI is asked under TLS.
pub fn is_secure(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https")
}

/// Returns whether what is said to the host of a URI leaves this machine.
pub fn leaves_this_machine(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_matches(['[', ']']);
    let is_loopback = bare.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    !is_loopback && !host.eq_ignore_ascii_case("localhost")
}

fn origin_form(uri: &Uri) -> Option<Uri> {
    uri.path_and_query()?.as_str().parse().ok()
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, HttpError> {
    let mut last = None;
    for remote in lookup(host, port).await? {
        match timeout(CONNECT_LIMIT, TcpStream::connect(remote)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = Some((remote, error)),
            Err(_) => last = Some((remote, io::ErrorKind::TimedOut.into())),
        }
    }
    Err(match last {
        Some((remote, error)) => HttpError::Connect { remote, error },
        None => ResolveError::Empty { host: host.to_owned() }.into(),
    })
}

/// A connection, under TLS or not: one type, so that all of HTTP is compiled once.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

async fn exchange(
    stream: Box<dyn Stream>,
    request: Request<Full<Bytes>>,
    host: &str,
    secured: Option<SocketAddr>,
) -> Result<Answer, HttpError> {
    let failed = |error: hyper::Error| {
        let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
        match (io, secured) {
            (Some(io), Some(remote)) => match refusal(io, remote) {
                Some(TlsFailure::Untrusted(why) | TlsFailure::Refused(why)) => HttpError::Tls(why),
                None => broken(host, io),
            },
            (Some(io), None) => broken(host, io),
            (None, _) => broken(host, &error),
        }
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let answered = async {
        let answer = sender.send_request(request).await.map_err(failed)?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, MAX_BODY).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() { HttpError::TooLarge(host.to_owned()) } else { broken(host, &*error) }
        })?;
        Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
    };
    tokio::pin!(answered);
    tokio::select! {
        answered = &mut answered => answered,
        // It may end before all that came by it is read.
        ended = connection => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection of HTTP broke");
            }
            answered.await
        }
    }
}

fn broken(host: &str, error: &(impl std::fmt::Display + ?Sized)) -> HttpError {
    HttpError::Broken { host: host.to_owned(), reason: error.to_string() }
}
