//! Bytes to messages and back: borrowed, within limits, with one allocation each way.

mod decode;
mod encode;
mod framing;

use thiserror::Error;

pub use decode::{decode, decode_lenient_head};
pub use encode::{EncodeError, Head, quote, reason_phrase, write_response};
pub use framing::{Frame, StreamDecoder};

/// The longest message (TRN-13).
pub const MAX_MESSAGE: usize = 64 * 1024;
/// The longest start line and headers.
pub const MAX_HEAD: usize = 16 * 1024;
/// The longest single line.
pub const MAX_LINE: usize = 8 * 1024;
/// The most header lines.
pub const MAX_HEADERS: usize = 256;

/// How the end of a message is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// By the datagram; Content-Length may be missing or shorter.
    Datagram,
    /// By Content-Length alone.
    Stream,
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Nothing but line ends.
    #[error("nothing there")]
    Empty,
    /// The first line is neither a request's nor a response's.
    #[error("malformed start line")]
    StartLine,
    /// A request of another SIP version.
    #[error("not SIP/2.0")]
    Version,
    /// A header line without a name, a colon or a clean value.
    #[error("malformed header line")]
    Header,
    /// No empty line ends the headers.
    #[error("no end of the headers")]
    NoEnd,
    /// Longer than any limit allows.
    #[error("too large")]
    TooLarge,
    /// Content-Length is no number, or there are two that differ.
    #[error("malformed Content-Length")]
    ContentLength,
    /// Content-Length is missing on a stream.
    #[error("missing Content-Length")]
    NoContentLength,
    /// Content-Length promises more than there is.
    #[error("the body is shorter than Content-Length")]
    Truncated,
}

impl DecodeError {
    /// Returns the status code with which such a request is refused; none: it is dropped.
    pub fn status(self) -> Option<u16> {
        match self {
            Self::Empty | Self::StartLine | Self::NoEnd => None,
            Self::Version => Some(505),
            Self::TooLarge => Some(513),
            Self::Header | Self::ContentLength | Self::NoContentLength | Self::Truncated => Some(400),
        }
    }
}

/// Returns whether a backslash stands before `at`: a quoted string may hold even a NUL so (RFC 3261 §25.1).
fn is_escaped(value: &[u8], at: usize) -> bool {
    at > 0 && value[at - 1] == b'\\'
}
