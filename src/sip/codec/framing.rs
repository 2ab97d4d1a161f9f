//! Finding messages in a stream (RFC 3261 §18.3, RFC 5626 §3.5.1).

use bytes::{Bytes, BytesMut};

use super::{DecodeError, Framing, MAX_HEAD, MAX_MESSAGE, decode, decode_lenient_head};
use crate::sip::header::Name;

/// What a stream brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// One message, from start line to the end of its body.
    Message(Bytes),
    /// A double CRLF: to be answered with one.
    Ping,
    /// A single CRLF.
    Pong,
    /// The stream cannot be followed any further; with the head so far, for an answer.
    Broken(DecodeError, Bytes),
}

/// What line ends at the front of a stream come to.
enum Keepalive {
    /// There are none.
    None,
    /// More has to come before that is known.
    Half,
    Whole(Frame),
}

/// Collects the bytes of one stream; never holds more than one message and what came with it.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    buffer: BytesMut,
    /// How much of the buffer was searched for the end of the headers.
    searched: usize,
    /// The length of the message at the front, once its head is complete.
    whole: Option<usize>,
    broken: bool,
}

impl StreamDecoder {
    /// Takes bytes off the wire.
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.broken {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Returns how many bytes wait.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Returns whether a message has begun and is not complete.
    pub fn is_mid_message(&self) -> bool {
        !self.buffer.is_empty() && !self.broken
    }

    /// Returns what comes next; nothing comes after [`Frame::Broken`].
    #[allow(clippy::should_implement_trait, reason = "more can come after `None`, unlike from an iterator")]
    pub fn next(&mut self) -> Option<Frame> {
        if self.broken || self.buffer.is_empty() {
            return None;
        }
        if self.whole.is_none() {
            match self.keepalive() {
                Keepalive::None => {}
                Keepalive::Half => return None,
                Keepalive::Whole(frame) => return Some(frame),
            }
            match self.find_end() {
                Ok(Some(whole)) => self.whole = Some(whole),
                Ok(None) => return None,
                Err(error) => return Some(self.give_up(error)),
            }
        }
        let whole = self.whole.filter(|whole| *whole <= self.buffer.len())?;
        self.whole = None;
        self.searched = 0;
        Some(Frame::Message(self.buffer.split_to(whole).freeze()))
    }

    /// Takes line ends that stand between messages.
    ///
    /// A lone CRLF at the end of what came is a pong, or the first half of a ping: a ping that comes in two
    /// pieces is taken for two pongs, which its sender learns by the missing answer, so it waits for more.
    fn keepalive(&mut self) -> Keepalive {
        let taken = match &self.buffer[..] {
            [b'\r', b'\n', b'\r', b'\n', ..] => (4, Frame::Ping),
            [b'\r'] | [b'\r', b'\n', b'\r'] => return Keepalive::Half,
            [b'\r', b'\n', ..] => (2, Frame::Pong),
            [b'\n', ..] => (1, Frame::Pong),
            _ => return Keepalive::None,
        };
        drop(self.buffer.split_to(taken.0));
        self.searched = 0;
        Keepalive::Whole(taken.1)
    }

    /// Looks for the end of the headers from where the last search ended; returns the message's length.
    fn find_end(&mut self) -> Result<Option<usize>, DecodeError> {
        let from = self.searched.saturating_sub(3);
        let mut end = None;
        for at in memchr::memchr_iter(b'\n', &self.buffer[from..]) {
            let after = from + at + 1;
            match self.buffer[after..] {
                [b'\n', ..] => end = Some(after + 1),
                [b'\r', b'\n', ..] => end = Some(after + 2),
                _ => continue,
            }
            break;
        }
        self.searched = self.buffer.len();
        let Some(end) = end else {
            return if self.buffer.len() > MAX_HEAD { Err(DecodeError::TooLarge) } else { Ok(None) };
        };
        if end > MAX_HEAD {
            return Err(DecodeError::TooLarge);
        }
        // Read as a datagram, so that a body which is still on its way is no fault.
        let length = match decode(&self.buffer[..end], Framing::Stream) {
            Ok(_) => 0,
            Err(DecodeError::Truncated) => self.announced(end)?,
            Err(error) => return Err(error),
        };
        let whole = end.checked_add(length).ok_or(DecodeError::TooLarge)?;
        if whole > MAX_MESSAGE { Err(DecodeError::TooLarge) } else { Ok(Some(whole)) }
    }

    fn announced(&self, end: usize) -> Result<usize, DecodeError> {
        let head = decode_lenient_head(&self.buffer[..end]).ok_or(DecodeError::StartLine)?;
        let value = head.get(Name::ContentLength).ok_or(DecodeError::NoContentLength)?;
        let digits = std::str::from_utf8(value).map_err(|_| DecodeError::ContentLength)?;
        digits.parse().map_err(|_| DecodeError::TooLarge)
    }

    fn give_up(&mut self, error: DecodeError) -> Frame {
        self.broken = true;
        let len = self.buffer.len().min(MAX_HEAD);
        Frame::Broken(error, std::mem::take(&mut self.buffer).split_to(len).freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTIFY: &str = "NOTIFY sip:a@h SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nl: 5\r\n\r\nab\r\nc";
    const OPTIONS: &str = "OPTIONS sip:a@h SIP/2.0\r\nl: 0\r\n\r\n";

    fn frames(decoder: &mut StreamDecoder) -> Vec<Frame> {
        std::iter::from_fn(|| decoder.next()).collect()
    }

    fn message(text: &str) -> Frame {
        Frame::Message(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn trn_09_any_split_and_any_joining_gives_the_same_messages() {
        let all = format!("{NOTIFY}{OPTIONS}{NOTIFY}");
        let expected = [message(NOTIFY), message(OPTIONS), message(NOTIFY)];
        for size in 1..=all.len() {
            let (mut decoder, mut found) = (StreamDecoder::default(), Vec::new());
            for piece in all.as_bytes().chunks(size) {
                decoder.push(piece);
                found.extend(frames(&mut decoder));
            }
            assert_eq!(found, expected, "in pieces of {size}");
            assert!(!decoder.is_mid_message());
        }
    }

    #[test]
    fn trn_12_a_stream_needs_content_length() {
        let mut decoder = StreamDecoder::default();
        decoder.push(b"OPTIONS sip:a@h SIP/2.0\r\nVia: x\r\n\r\n");
        assert!(
            matches!(&frames(&mut decoder)[..], [Frame::Broken(DecodeError::NoContentLength, head)] if !head.is_empty())
        );
        decoder.push(OPTIONS.as_bytes());
        assert_eq!(frames(&mut decoder), []);
    }

    #[test]
    fn trn_13_an_endless_head_and_an_oversize_body_break_the_stream() {
        let mut decoder = StreamDecoder::default();
        decoder.push(b"OPTIONS sip:a@h SIP/2.0\r\n");
        let mut pushed = 0;
        let broken = loop {
            decoder.push(b"X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n");
            pushed += 1;
            assert!(pushed < 1000, "the limit must be noticed");
            if let Some(frame) = decoder.next() {
                break frame;
            }
        };
        assert!(matches!(broken, Frame::Broken(DecodeError::TooLarge, _)));
        for length in ["65536", "18446744073709551615", "99999999999999999999999"] {
            let mut decoder = StreamDecoder::default();
            decoder.push(format!("OPTIONS sip:a@h SIP/2.0\r\nl: {length}\r\n\r\n").as_bytes());
            assert!(matches!(decoder.next(), Some(Frame::Broken(..))), "{length}");
        }
    }

    #[test]
    fn trn_23_a_double_crlf_is_a_ping_and_a_single_one_a_pong() {
        let mut decoder = StreamDecoder::default();
        decoder.push(b"\r\n\r\n");
        assert_eq!(frames(&mut decoder), [Frame::Ping]);
        decoder.push(b"\r\n");
        assert_eq!(frames(&mut decoder), [Frame::Pong]);
        decoder.push(format!("\r\n\r\n{OPTIONS}\r\n{OPTIONS}").as_bytes());
        assert_eq!(frames(&mut decoder), [Frame::Ping, message(OPTIONS), Frame::Pong, message(OPTIONS)]);
    }

    #[test]
    fn par_20_a_head_in_single_bytes_is_searched_once() {
        let mut decoder = StreamDecoder::default();
        for byte in "X".repeat(MAX_HEAD - 10).bytes() {
            decoder.push(&[byte]);
            assert_eq!(decoder.next(), None);
            assert_eq!(decoder.searched, decoder.buffered());
        }
    }
}
