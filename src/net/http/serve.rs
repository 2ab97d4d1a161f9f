//! The other end of HTTP/1.1 (RFC 9110, RFC 9112): whole requests out of connections that may be slow, many or hostile.
//!
//! Each request goes, with all of its body, to whoever answers; what it means is known there. Time, sizes and the number of
//! connections are bounded here, before anybody had to prove anything. In clear text only this machine is served.

use std::{
    collections::HashMap,
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::timeout,
};

use super::{Answer, HeaderMap, HeaderValue, Method, StatusCode, Stream, Uri, header};
use crate::net::{stream::TcpListener, tls::Tls};

/// A request with all of its body.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is wanted.
    pub method: Method,
    /// Of what, as it was written.
    pub uri: Uri,
    /// Its header fields.
    pub headers: HeaderMap,
    /// All of its body.
    pub body: Bytes,
    /// Who is at the other end of the connection.
    pub source: IpAddr,
}

/// A request that waits for its answer; to drop it says that we are busy.
#[derive(Debug)]
pub struct Ask {
    /// It.
    pub request: Request,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Answer>,
}

/// What one who asks may use of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of a body; more is answered 413.
    pub body: usize,
    /// The most bytes of a head, 8 KiB at least; more is answered 431.
    pub head: usize,
    /// The most header fields; more are answered 431.
    pub fields: usize,
    /// How long a head may take, also one that does not begin.
    pub head_within: Duration,
    /// How long a body may take; then it is answered 408.
    pub body_within: Duration,
    /// How long whoever answers may take; then it is answered 503.
    pub answer_within: Duration,
    /// How long a connection may stand, whatever goes over it.
    pub connection: Duration,
    /// The most connections at once; further ones are closed.
    pub connections: usize,
    /// The most of them from one address that is not this machine's.
    pub of_one: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 128 * 1024,
            head: 16 * 1024,
            fields: 64,
            head_within: Duration::from_secs(10),
            body_within: Duration::from_secs(10),
            answer_within: Duration::from_secs(30),
            connection: Duration::from_mins(5),
            connections: 256,
            of_one: 32,
        }
    }
}

/// Takes connections, under TLS where there is some, until whoever answers is gone; to drop it ends them all.
///
/// # Errors
/// When others than this machine would be served in clear text.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    asks: mpsc::Sender<Ask>,
    limits: Limits,
) -> io::Result<()> {
    refuse_clear(listener.local_addr(), tls.is_some())?;
    let (mut connections, places) = (JoinSet::new(), Places::default());
    loop {
        let (stream, remote) = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = asks.closed() => return Ok(()),
        };
        let source = remote.ip().to_canonical();
        let Some(place) = places.take(source, &limits) else {
            tracing::debug!(%remote, "no place for a connection");
            continue;
        };
        let (tls, asks) = (tls.clone(), asks.clone());
        connections.spawn(async move {
            let _place = place;
            let done = timeout(limits.connection, connection(stream, tls, source, asks, limits)).await;
            if let Some(error) = done.unwrap_or(Ok(())).err() {
                tracing::debug!(%remote, %error, "a connection of HTTP broke");
            }
        });
    }
}

/// Passwords are safe with digest, and what is kept is not.
fn refuse_clear(local: SocketAddr, is_tls: bool) -> io::Result<()> {
    if is_tls || local.ip().is_loopback() {
        return Ok(());
    }
    let message = format!("{local}: other machines are not served in clear text");
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

async fn connection(
    stream: TcpStream,
    tls: Option<Arc<Tls>>,
    source: IpAddr,
    asks: mpsc::Sender<Ask>,
    limits: Limits,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let stream: Box<dyn Stream> = match tls {
        Some(tls) => Box::new(tls.accept(stream).await?.0),
        None => Box::new(stream),
    };
    let service = service_fn(move |request| {
        let asks = asks.clone();
        async move { Ok::<_, Infallible>(written(answer(request, source, &asks, &limits).await)) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_within)
        .max_buf_size(limits.head.max(8192))
        .max_headers(limits.fields)
        .serve_connection(TokioIo::new(stream), service)
        .await?;
    Ok(())
}

/// Reads what belongs to a request, and has it answered.
async fn answer(
    request: hyper::Request<Incoming>,
    source: IpAddr,
    asks: &mpsc::Sender<Ask>,
    limits: &Limits,
) -> Answer {
    let (head, body) = request.into_parts();
    let length = head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limits.body as u64) {
        return ending(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let body = match timeout(limits.body_within, Limited::new(body, limits.body).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return ending(StatusCode::PAYLOAD_TOO_LARGE),
        Ok(Err(_)) => return ending(StatusCode::BAD_REQUEST),
        Err(_) => return ending(StatusCode::REQUEST_TIMEOUT),
    };
    let request = Request { method: head.method, uri: head.uri, headers: head.headers, body, source };
    let (sender, answered) = oneshot::channel();
    let asked = async {
        asks.send(Ask { request, answer: sender }).await.ok()?;
        answered.await.ok()
    };
    timeout(limits.answer_within, asked).await.ok().flatten().unwrap_or_else(|| Answer {
        status: StatusCode::SERVICE_UNAVAILABLE,
        headers: HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_static("10"))]),
        body: Bytes::new(),
    })
}

/// An answer to a request whose rest is not read: the connection ends with it.
fn ending(status: StatusCode) -> Answer {
    let headers = HeaderMap::from_iter([(header::CONNECTION, HeaderValue::from_static("close"))]);
    Answer { status, headers, body: Bytes::new() }
}

fn written(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}

/// Who has how many connections.
#[derive(Clone, Debug, Default)]
struct Places(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection of somebody's, until it is dropped.
struct Place {
    places: Places,
    source: IpAddr,
}

impl Places {
    fn take(&self, source: IpAddr, limits: &Limits) -> Option<Place> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_this = taken.get(&source).copied().unwrap_or(0);
        if taken.values().sum::<usize>() >= limits.connections || (!source.is_loopback() && of_this >= limits.of_one) {
            return None;
        }
        taken.insert(source, of_this + 1);
        Some(Place { places: self.clone(), source })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.source) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&self.source)),
        }
    }
}

#[cfg(test)]
mod tests;
