//! The body of a NOTIFY of a list: the document about the list, and one part for each member's own (RFC 4662 §4.5, RFC 2387).

use std::{collections::HashSet, fmt::Write as _};

use bytes::Bytes;
use memchr::{memchr, memmem};
use sha2::{Digest as _, Sha256};

use super::{CONTENT_TYPE, MAX_NAME, Rlmi};
use crate::sip::{header::Params, uri::UriRef};

/// The most parts of a body that are read; those behind them are left out.
pub const MAX_PARTS: usize = 1000;
/// What every boundary of ours begins with; sixteen digits follow.
const MARK: &str = "rls-";
const DIGITS: usize = 16;
/// The longest boundary that is read; RFC 2046 §5.1.1 has 70.
const MAX_BOUNDARY: usize = 200;

/// A part of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its Content-ID, without angle brackets; empty if it has none.
    pub id: String,
    /// Its Content-Type, with parameters; empty if it has none.
    pub content_type: String,
    /// What is in it.
    pub body: Bytes,
}

/// Writes the body: the root part first, then the documents that its instances name, in the order given.
///
/// A document that no instance names is left out, as is one that cannot stand in a header by its id or type; of two with one
/// id the first stays. An instance whose document is not there names none. The same seed and documents make the same body;
/// of different seeds, Content-IDs and boundary differ.
pub fn body(rlmi: &Rlmi, documents: &[Part], seed: &str) -> Bytes {
    let mut named: HashSet<&str> =
        rlmi.resources.iter().filter_map(|resource| resource.instance.as_ref()?.cid.as_deref()).collect();
    let can_stand = |part: &&Part| is_id(&part.id) && is_type(&part.content_type);
    let parts: Vec<&Part> = documents.iter().filter(can_stand).filter(|part| named.remove(&*part.id)).collect();
    let there: HashSet<&str> = parts.iter().map(|part| &*part.id).collect();
    let root = rlmi.written(|cid| there.contains(cid));
    let mut ids = (0..=there.len() as u64).map(|number| numbered_id("root", number, seed, &rlmi.uri));
    let id = ids.find(|id| !there.contains(&**id)).expect("there are more numbers than parts");

    let ids = parts.iter().map(|part| part.id.as_bytes()).chain([id.as_bytes()]);
    let contents = parts.iter().map(|part| &*part.body).chain([root.as_bytes()]);
    let boundary = boundary(seed, ids.chain(contents));
    let length =
        parts.iter().map(|part| part.body.len() + part.id.len() + part.content_type.len() + 128).sum::<usize>();
    let mut text = Vec::with_capacity(length + root.len() + 256);
    let mut put = |id: &str, content_type: &str, body: &[u8]| {
        let head = [
            "--",
            &boundary,
            "\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <",
            id,
            ">\r\nContent-Type: ",
            content_type,
            "\r\n\r\n",
        ];
        for piece in head {
            text.extend_from_slice(piece.as_bytes());
        }
        text.extend_from_slice(body);
        text.extend_from_slice(b"\r\n");
    };
    put(&id, "application/rlmi+xml;charset=\"UTF-8\"", root.as_bytes());
    for part in parts {
        put(&part.id, &part.content_type, &part.body);
    }
    text.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    text.into()
}

/// Makes the Content-ID of an instance's document: one for each instance and seed, in the domain of the list.
pub fn content_id(instance: &str, seed: &str, list: &str) -> String {
    numbered_id(instance, 0, seed, list)
}

/// Returns the Content-Type of a body that [`body`] wrote, by what it says itself; none for any other.
pub fn content_type_of(body: &[u8]) -> Option<String> {
    let (first, rest) = line(body);
    let boundary = std::str::from_utf8(first.strip_prefix(b"--")?).ok().filter(|boundary| is_boundary(boundary))?;
    let root = Head::read(rest).0;
    if !media_type(&root.content_type).eq_ignore_ascii_case(CONTENT_TYPE) || !is_id(&root.id) {
        return None;
    }
    Some(format!("multipart/related;type=\"{CONTENT_TYPE}\";start=\"<{}>\";boundary=\"{boundary}\"", root.id))
}

/// Takes a body apart; `content_type` is its Content-Type, with parameters. The root part comes first: the one that
/// `start` names, else the first.
///
/// Read leniently: lines may end with LF alone, the end may be missing, and so may ids and types. Parts in base64 or
/// quoted-printable are left out, for no SIP needs them. None where it is no multipart type, has no boundary or no part.
pub fn split(body: &Bytes, content_type: &str) -> Option<Vec<Part>> {
    let family = media_type(content_type).get(.."multipart/".len())?;
    let params = Params::of(content_type);
    let param = |name| params.get(name).map(|value| value.trim_matches('"').trim());
    let boundary = param("boundary").filter(|boundary| !boundary.is_empty() && boundary.len() <= MAX_BOUNDARY)?;
    if !family.eq_ignore_ascii_case("multipart/") {
        return None;
    }
    let mut parts: Vec<Part> = between(body, boundary).take(MAX_PARTS).filter_map(|part| read(body, part)).collect();
    let start = param("start").map(bare).filter(|start| !start.is_empty());
    if let Some(at) = start.and_then(|start| parts.iter().position(|part| part.id == start)) {
        parts[..=at].rotate_right(1);
    }
    (!parts.is_empty()).then_some(parts)
}

/// Goes through what stands between the delimiters (RFC 2046 §5.1.1), headers included.
fn between<'b>(body: &'b [u8], boundary: &str) -> impl Iterator<Item = &'b [u8]> {
    let delimiter = format!("--{boundary}").into_bytes();
    let mut begun = None;
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let Some(at) = memmem::find(&body[from..], &delimiter).map(|at| from + at) else {
                // It ends without a word.
                from = body.len();
                return begun.take().map(|start| &body[start..]);
            };
            let after = at + delimiter.len();
            let (rest, next) = line(&body[after..]);
            let is_last = rest.starts_with(b"--");
            if (at > 0 && body[at - 1] != b'\n') || !(is_last || rest.trim_ascii().is_empty()) {
                from = after;
                continue;
            }
            let start = body.len() - next.len();
            let whole = begun.replace(start).map(|start: usize| {
                // The line end before a delimiter belongs to it.
                let part = &body[start..at];
                let part = part.strip_suffix(b"\n").unwrap_or(part);
                part.strip_suffix(b"\r").unwrap_or(part)
            });
            from = start;
            if is_last {
                begun = None;
                from = body.len();
            }
            if whole.is_some() || is_last {
                return whole;
            }
        }
    })
}

fn read(body: &Bytes, part: &[u8]) -> Option<Part> {
    let (Head { id, content_type, encoding }, content) = Head::read(part);
    let is_plain = ["", "7bit", "8bit", "binary"].iter().any(|plain| encoding.eq_ignore_ascii_case(plain));
    is_plain.then(|| Part { id, content_type, body: body.slice_ref(content) })
}

/// What the headers of a part say.
#[derive(Default)]
struct Head {
    id: String,
    content_type: String,
    encoding: String,
}

impl Head {
    /// Reads the headers, up to the empty line, and returns what follows.
    fn read(part: &[u8]) -> (Self, &[u8]) {
        let mut head = Self::default();
        let mut open: Option<&mut String> = None;
        let mut rest = part;
        while !rest.is_empty() {
            let (first, tail) = line(rest);
            rest = tail;
            if first.is_empty() {
                break;
            }
            let text = String::from_utf8_lossy(first);
            if text.starts_with([' ', '\t']) {
                if let Some(value) = &mut open {
                    let _ = write!(value, " {}", text.trim());
                }
                continue;
            }
            let (name, value) = text.split_once(':').unwrap_or_default();
            open = match name.trim() {
                name if name.eq_ignore_ascii_case("Content-ID") => Some(&mut head.id),
                name if name.eq_ignore_ascii_case("Content-Type") => Some(&mut head.content_type),
                name if name.eq_ignore_ascii_case("Content-Transfer-Encoding") => Some(&mut head.encoding),
                _ => None,
            };
            if let Some(field) = &mut open {
                value.trim().clone_into(field);
            }
        }
        head.id = bare(&head.id).to_owned();
        if head.id.len() > MAX_NAME {
            head.id.clear();
        }
        (head, rest)
    }
}

/// Cuts off the first line and its end.
fn line(text: &[u8]) -> (&[u8], &[u8]) {
    let (line, rest) = match memchr(b'\n', text) {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, &text[text.len()..]),
    };
    (line.strip_suffix(b"\r").unwrap_or(line), rest)
}

fn bare(id: &str) -> &str {
    let id = id.trim();
    id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).unwrap_or(id).trim()
}

fn media_type(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// Tells whether a text may stand as a Content-ID between angle brackets, and they between quotes.
fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_NAME && id.bytes().all(|c| c.is_ascii_graphic() && !b"<>\"\\".contains(&c))
}

fn is_type(content_type: &str) -> bool {
    content_type.contains('/') && content_type.bytes().all(|c| c == b' ' || c.is_ascii_graphic())
}

fn is_boundary(boundary: &str) -> bool {
    !boundary.is_empty()
        && boundary.len() <= 70
        && boundary.bytes().all(|c| c.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&c))
}

fn numbered_id(part: &str, number: u64, seed: &str, list: &str) -> String {
    let host = UriRef::parse(list).ok().map(|uri| uri.host_text()).filter(|host| is_id(host)).unwrap_or("invalid");
    let plain: String = part.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
    let plain = if plain.is_empty() { "part" } else { &plain };
    format!("{plain}.{}@{host}", digits(&["id", seed, part], number))
}

/// Chooses a boundary that stands in none of the texts (RFC 2046 §5.1.1); a note may hold anything, one of ours too.
fn boundary<'t>(seed: &str, texts: impl Iterator<Item = &'t [u8]>) -> String {
    let finder = memmem::Finder::new(MARK);
    let mut taken: HashSet<&[u8]> = HashSet::new();
    for text in texts {
        taken.extend(finder.find_iter(text).filter_map(|at| text.get(at + MARK.len()..at + MARK.len() + DIGITS)));
    }
    let mut all = (0..=taken.len() as u64).map(|number| digits(&["boundary", seed], number));
    let free = all.find(|digits| !taken.contains(digits.as_bytes()));
    format!("{MARK}{}", free.expect("there are more numbers than are taken"))
}

fn digits(of: &[&str], number: u64) -> String {
    let mut hash = Sha256::new();
    for text in of {
        hash.update(text);
        hash.update([0]);
    }
    hash.update(number.to_be_bytes());
    hash.finalize().iter().take(DIGITS / 2).fold(String::with_capacity(DIGITS), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}
