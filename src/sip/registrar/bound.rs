//! A binding as it is told: to the device in a 200 (RFC 3261 §10.3, step 8), and to whoever wants to reach it.

use std::{fmt, net::SocketAddr};

use jiff::Timestamp;

use super::Kept;
use crate::sip::{ids::Token, time::Instant, uri::Uri};

/// Names a binding as long as it stands, however often it is refreshed.
pub type BindingKey = Token;

/// A binding that stands; printed, it is a value of the Contact header of a 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Which.
    pub key: BindingKey,
    /// Where the device is reached, as it was written.
    pub contact: Uri,
    /// The seconds that are left; at least 1.
    pub expires: u32,
    /// How much it is preferred to others, in thousandths.
    pub q: Option<u16>,
    /// Which device, in quotes as it was written (RFC 5626 §4.1).
    pub instance: Option<Box<str>>,
    /// Which of its flows.
    pub reg_id: Option<u32>,
    /// Where its last REGISTER came from.
    pub source: SocketAddr,
    /// When it began.
    pub since: Timestamp,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>;expires={}", self.contact, self.expires)?;
        if let Some(q) = self.q {
            write!(f, ";q={}", f64::from(q) / 1000.0)?;
        }
        if let Some(instance) = &self.instance {
            write!(f, ";+sip.instance={instance}")?;
        }
        match self.reg_id {
            Some(reg_id) => write!(f, ";reg-id={reg_id}"),
            None => Ok(()),
        }
    }
}

impl Kept {
    pub(super) fn bound(&self, now: Instant) -> Bound {
        Bound {
            key: self.key,
            contact: self.contact.clone(),
            expires: u32::try_from(self.expires_at.since(now).as_secs()).unwrap_or(u32::MAX).max(1),
            q: self.q,
            instance: self.instance.clone(),
            reg_id: self.reg_id,
            source: self.source,
            since: self.since,
        }
    }
}
