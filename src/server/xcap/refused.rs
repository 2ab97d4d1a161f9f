//! How a request ends that is not done (RFC 4825 §7, §8, RFC 9110 §15).

use bytes::Bytes;

use super::{Refusal, conflict::Conflict, plain};
use crate::net::http::{Answer, HeaderMap, HeaderValue, StatusCode, header};

/// Why it is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// There is no such document, or no such path.
    NotFound,
    /// It is about a part of a document.
    Part,
    /// Nothing but this can be done there.
    Method(&'static str),
    /// Who asks has to prove who he is, in one of these ways.
    Unproven(Vec<String>),
    /// The proof was made for something else.
    Unfit,
    /// The proof is not looked at before so many seconds have passed.
    TooSoon(u32),
    /// It is another's.
    Forbidden,
    /// Whoever reads has it already, with this tag.
    NotModified(Option<HeaderValue>),
    /// The document is not as it was seen.
    Changed,
    /// It is a document of another kind.
    Kind,
    /// It may not stand there.
    Conflict(Conflict),
    /// Not now; perhaps in so many seconds.
    Later(u32),
    /// A bug.
    Broken,
}

impl From<Refused> for Answer {
    fn from(refused: Refused) -> Self {
        let status = match refused {
            Refused::NotFound => StatusCode::NOT_FOUND,
            Refused::Part => StatusCode::NOT_IMPLEMENTED,
            Refused::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Refused::Unproven(_) => StatusCode::UNAUTHORIZED,
            Refused::Unfit => StatusCode::BAD_REQUEST,
            Refused::TooSoon(_) => StatusCode::TOO_MANY_REQUESTS,
            Refused::Forbidden => StatusCode::FORBIDDEN,
            Refused::NotModified(_) => StatusCode::NOT_MODIFIED,
            Refused::Changed => StatusCode::PRECONDITION_FAILED,
            Refused::Kind => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refused::Conflict(_) => StatusCode::CONFLICT,
            Refused::Later(_) => StatusCode::SERVICE_UNAVAILABLE,
            Refused::Broken => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let with = |name, value| Self { headers: HeaderMap::from_iter([(name, value)]), ..plain(status) };
        match refused {
            Refused::Method(methods) => with(header::ALLOW, HeaderValue::from_static(methods)),
            Refused::TooSoon(seconds) | Refused::Later(seconds) => with(header::RETRY_AFTER, seconds.into()),
            Refused::NotModified(Some(tag)) => with(header::ETAG, tag),
            Refused::Unproven(challenges) => {
                let values = challenges.iter().filter_map(|challenge| HeaderValue::from_str(challenge).ok());
                let headers = values.map(|challenge| (header::WWW_AUTHENTICATE, challenge)).collect();
                Self { headers, ..plain(status) }
            }
            Refused::Conflict(conflict) => {
                let kind = HeaderValue::from_static("application/xcap-error+xml");
                Self { body: Bytes::from(conflict.body()), ..with(header::CONTENT_TYPE, kind) }
            }
            _ => plain(status),
        }
    }
}

impl From<Conflict> for Refused {
    fn from(conflict: Conflict) -> Self {
        Self::Conflict(conflict)
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Later(seconds) => Self::Later(seconds),
            Refusal::Constraint(words) => Self::Conflict(Conflict::Constraint(words)),
        }
    }
}
