//! What a REGISTER asks for, read whole before anything is done (RFC 3261 §10.3, steps 6 and 7), and when two Contacts
//! are one binding.

use super::{RETRY_AFTER, RegistrarConfig};
use crate::sip::{
    header::{Name, NameAddr, delta_seconds},
    message::Message,
    refusal::Refusal,
    uri::{Scheme, UriRef},
};

/// What a malformed interval counts as (§10.2.1.1), and from where on none is too short (§10.3, step 7).
const HOUR: u32 = 3600;
/// The longest URI, instance or Call-ID that is kept.
const MAX_TEXT: usize = 1024;

/// What is asked.
#[derive(Debug)]
pub(super) enum Asked<'a> {
    /// What stands.
    Nothing,
    /// That none stands any more.
    All,
    /// One thing of each of these.
    Each(Vec<Wish<'a>>),
}

/// That a binding stands, or goes.
#[derive(Debug)]
pub(super) struct Wish<'a> {
    pub(super) place: Place<'a>,
    pub(super) q: Option<u16>,
    /// The seconds that are granted; none where it goes.
    pub(super) expires: u32,
}

/// What tells a binding of an address from its others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) uri: UriRef<'a>,
    pub(super) instance: Option<&'a str>,
    pub(super) reg_id: Option<u32>,
}

impl<'a> Asked<'a> {
    /// Reads a request.
    pub(super) fn read(message: &Message<'a>, config: &RegistrarConfig) -> Result<Self, Refusal> {
        if message.call_id()?.len() > MAX_TEXT {
            return Err(Refusal::plain(400));
        }
        // All that stands may go, and as much come; nobody needs more at once.
        let most = config.max_of_one.saturating_mul(2);
        let contacts: Vec<&[u8]> = message.values(Name::Contact).take(most.saturating_add(1)).collect();
        if contacts.contains(&b"*".as_slice()) {
            let is_alone = contacts.len() == 1 && message.expires() == Some(0);
            return if is_alone { Ok(Self::All) } else { Err(Refusal::plain(400)) };
        }
        if contacts.is_empty() {
            let is_empty = message.get(Name::Contact).is_some();
            return if is_empty { Err(Refusal::plain(400)) } else { Ok(Self::Nothing) };
        }
        if contacts.len() > most {
            return Err(Refusal::later(RETRY_AFTER));
        }
        let otherwise = message.expires();
        contacts
            .into_iter()
            .map(|contact| Wish::read(contact, otherwise, config))
            .collect::<Result<_, _>>()
            .map(Self::Each)
    }
}

impl<'a> Wish<'a> {
    fn read(contact: &'a [u8], otherwise: Option<u32>, config: &RegistrarConfig) -> Result<Self, Refusal> {
        let bad = || Refusal::plain(400);
        let NameAddr { uri, params, .. } = NameAddr::parse(contact)?;
        let (instance, q) = (params.get("+sip.instance"), params.get("q"));
        // RFC 5626 §6: without an instance it means nothing.
        let reg_id = params.get("reg-id").filter(|_| instance.is_some());
        let place = Place { uri, instance, reg_id: reg_id.map(|text| text.parse().map_err(|_| bad())).transpose()? };
        if !place.is_sound() {
            return Err(bad());
        }
        let said = params.get("expires").map(|text| delta_seconds(text.as_bytes()).unwrap_or(HOUR));
        let asked = said.or(otherwise);
        if asked.is_some_and(|asked| asked > 0 && asked < config.min_expires.min(HOUR)) {
            return Err(Refusal::brief(config.min_expires));
        }
        let expires = asked.unwrap_or(config.default_expires).min(config.max_expires);
        Ok(Self { place, q: q.map(|text| thousandths(text).ok_or_else(bad)).transpose()?, expires })
    }
}

impl Place<'_> {
    /// Returns whether it can be kept and written as it is.
    pub(super) fn is_sound(&self) -> bool {
        let plain = |text: &str| text.bytes().all(|c| c.is_ascii_graphic() && c != b'"' && c != b'\\');
        let is_quoted = |text: &str| {
            let inside = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
            inside.is_some_and(|text| !text.is_empty() && text.len() <= MAX_TEXT && plain(text))
        };
        matches!(self.uri.scheme(), Scheme::Sip | Scheme::Sips)
            && self.uri.as_str().len() <= MAX_TEXT
            && self.instance.is_none_or(is_quoted)
            && self.reg_id.is_none_or(|id| (1..1 << 31).contains(&id))
    }

    /// Returns whether both are one binding: the same flow of the same device wherever it is now (RFC 5626 §6), or the
    /// same URI (RFC 3261 §19.1.4).
    pub(super) fn is_that_of(&self, other: &Place<'_>) -> bool {
        match (self.flow(), other.flow()) {
            (Some(flow), Some(other)) => flow == other,
            _ => self.uri.equals(&other.uri),
        }
    }

    fn flow(&self) -> Option<(&str, u32)> {
        self.instance.zip(self.reg_id)
    }
}

/// Reads the value of `q` (§25.1).
fn thousandths(text: &str) -> Option<u16> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 3 || !part.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let part = format!("{part:0<3}").parse().ok()?;
    match whole {
        "0" => Some(part),
        "1" if part == 0 => Some(1000),
        _ => None,
    }
}
