//! Header values that say how something stands: numbers, events, states, times, types.

use super::{
    HeaderError, Name, Params, delta_seconds, is_token,
    scan::{BLANK, run, text_of, trim, trim_start},
};

/// A request's number and method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// Below 2³¹.
    pub seq: u32,
    /// The method as written.
    pub method: &'a str,
}

impl<'a> CSeq<'a> {
    /// Reads a value.
    ///
    /// # Errors
    /// When it is no number below 2³¹ followed by a method (TXN-23).
    pub fn parse(value: &'a [u8]) -> Result<Self, HeaderError> {
        let malformed = || HeaderError::Malformed(Name::CSeq);
        let value = text_of(value, Name::CSeq)?;
        let (digits, method) = value.split_at(run(value, BLANK, false));
        let method = trim_start(method);
        let numeric = digits.bytes().all(|c| c.is_ascii_digit());
        let seq = digits.parse().ok().filter(|seq| numeric && *seq < 1 << 31).ok_or_else(malformed)?;
        if is_token(method) { Ok(Self { seq, method }) } else { Err(malformed()) }
    }
}

/// What an Event header names.
#[derive(Clone, Copy, Debug)]
pub struct EventHeader<'a> {
    /// The package; compared byte for byte (RFC 6665 §8.4).
    pub package: &'a str,
    /// Tells subscriptions in one dialog apart; compared byte for byte.
    pub id: Option<&'a str>,
    /// All parameters.
    pub params: Params<'a>,
}

impl<'a> EventHeader<'a> {
    /// Reads a value.
    ///
    /// # Errors
    /// When the package is no token.
    pub fn parse(value: &'a [u8]) -> Result<Self, HeaderError> {
        let value = text_of(value, Name::Event)?;
        let end = memchr::memchr(b';', value.as_bytes()).unwrap_or(value.len());
        let package = trim(&value[..end]);
        if !is_token(package) {
            return Err(HeaderError::Malformed(Name::Event));
        }
        let params = Params::parse(&value[end..], Name::Event, |_, _| {})?;
        Ok(Self { package, id: params.get("id").filter(|id| !id.is_empty()), params })
    }
}

/// The word with which Subscription-State begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubState<'a> {
    /// The notifier grants the subscription.
    Active,
    /// It has not decided.
    Pending,
    /// It is over.
    Terminated,
    /// An extension; counts as active.
    Other(&'a str),
}

/// Why a subscription was terminated (RFC 6665 §4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Subscribe again at once, elsewhere.
    Deactivated,
    /// Subscribe again later.
    Probation,
    /// Authorization was refused.
    Rejected,
    /// It ran out.
    Timeout,
    /// Authorization was not had in time.
    Giveup,
    /// There is no such resource any more.
    NoResource,
    /// The state will not change any more.
    Invariant,
    /// A word that is not known.
    Unknown,
}

impl Reason {
    const ALL: [(&'static str, Self); 7] = [
        ("deactivated", Self::Deactivated),
        ("probation", Self::Probation),
        ("rejected", Self::Rejected),
        ("timeout", Self::Timeout),
        ("giveup", Self::Giveup),
        ("noresource", Self::NoResource),
        ("invariant", Self::Invariant),
    ];

    /// Reads a token without case.
    pub fn from_token(token: &str) -> Self {
        Self::ALL.iter().find(|(word, _)| token.eq_ignore_ascii_case(word)).map_or(Self::Unknown, |(_, reason)| *reason)
    }

    /// Returns the word on the wire.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, reason)| *reason == self).map_or("unknown", |(word, _)| word)
    }
}

/// How a subscription stands, as a NOTIFY says it.
#[derive(Clone, Copy, Debug)]
pub struct SubscriptionState<'a> {
    /// The state.
    pub state: SubState<'a>,
    /// Seconds left.
    pub expires: Option<u32>,
    /// Why it was terminated.
    pub reason: Option<Reason>,
    /// Seconds to wait before the next attempt.
    pub retry_after: Option<u32>,
    /// All parameters.
    pub params: Params<'a>,
}

impl<'a> SubscriptionState<'a> {
    /// Reads a value; state and reason without case, unknown parameters ignored (PAR-13).
    ///
    /// # Errors
    /// When the state is no token.
    pub fn parse(value: &'a [u8]) -> Result<Self, HeaderError> {
        let name = Name::SubscriptionState;
        let value = text_of(value, name)?;
        let end = memchr::memchr(b';', value.as_bytes()).unwrap_or(value.len());
        let word = trim(&value[..end]);
        if !is_token(word) {
            return Err(HeaderError::Malformed(name));
        }
        let is = |state: &str| word.eq_ignore_ascii_case(state);
        let state = match word.len() {
            6 if is("active") => SubState::Active,
            7 if is("pending") => SubState::Pending,
            10 if is("terminated") => SubState::Terminated,
            _ => SubState::Other(word),
        };
        let params = Params::parse(&value[end..], name, |_, _| {})?;
        let seconds = |name| params.get(name).and_then(|v| delta_seconds(v.as_bytes()));
        let reason = params.get("reason").filter(|r| !r.is_empty()).map(Reason::from_token);
        Ok(Self { state, expires: seconds("expires"), reason, retry_after: seconds("retry-after"), params })
    }
}

/// When to come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter {
    /// Seconds to stay away.
    pub seconds: u32,
    /// How long the peer will then be there.
    pub duration: Option<u32>,
}

impl RetryAfter {
    /// Reads a value; a comment and parameters may follow the number.
    ///
    /// # Errors
    /// When it does not begin with a number.
    pub fn parse(value: &[u8]) -> Result<Self, HeaderError> {
        let malformed = HeaderError::Malformed(Name::RetryAfter);
        let value = text_of(value, Name::RetryAfter)?;
        let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
        let seconds = delta_seconds(&value.as_bytes()[..end]).ok_or(malformed)?;
        let after_comment = value.rfind(')').map_or(end, |i| i + 1);
        let rest = value[after_comment..].find(';').map_or("", |i| &value[after_comment + i..]);
        let params = Params::parse(rest, Name::RetryAfter, |_, _| {}).unwrap_or_default();
        Ok(Self { seconds, duration: params.get("duration").and_then(|v| delta_seconds(v.as_bytes())) })
    }
}

/// Which body types a peer takes (RFC 3261 §20.1).
#[derive(Clone, Debug, Default)]
pub struct Accept<'a>(Vec<(&'a str, bool)>);

impl<'a> Accept<'a> {
    /// Reads the members of all Accept headers; what cannot be read is skipped.
    pub fn parse(values: impl Iterator<Item = &'a [u8]>) -> Self {
        Self(
            values
                .filter_map(|value| {
                    let value = text_of(value, Name::Accept).ok()?;
                    let end = memchr::memchr(b';', value.as_bytes()).unwrap_or(value.len());
                    let params = Params::parse(&value[end..], Name::Accept, |_, _| {}).unwrap_or_default();
                    // q=0 means: anything but that.
                    let wanted = params.get("q").is_none_or(|q| q.parse::<f32>().is_ok_and(|q| q > 0.0));
                    Some((trim(&value[..end]), wanted))
                })
                .collect(),
        )
    }

    /// Returns whether `type/subtype` is acceptable; the most specific member decides.
    pub fn accepts(&self, wanted: &str) -> bool {
        let family = wanted.split('/').next().unwrap_or_default();
        let find = |pattern: &str| self.0.iter().find(|(m, _)| m.eq_ignore_ascii_case(pattern)).map(|(_, ok)| *ok);
        find(wanted).or_else(|| find(&format!("{family}/*"))).or_else(|| find("*/*")).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::*, *};

    #[test]
    fn par_04_parameters_belong_to_the_header_without_angle_brackets() {
        let bare = NameAddr::parse(b"sip:a@h;transport=tcp").unwrap();
        assert_eq!((bare.uri.transport(), bare.params.get("transport")), (None, Some("tcp")));
        let angled = NameAddr::parse(b"<sip:a@h;transport=tcp>").unwrap();
        assert_eq!((angled.uri.transport(), angled.params.get("transport")), (Some("tcp"), None));
        assert!(NameAddr::parse(b"sip:a@h?x=y").is_err());
    }

    #[test]
    fn par_05_display_names() {
        for (value, name, tag) in [
            ("\"B \\\"x\\\" ö\" <sip:b@h>;tag=1", Some("B \"x\" ö"), Some("1")),
            ("Bob Jones <sip:b@h> ; tag = 2", Some("Bob Jones"), Some("2")),
            ("<sip:b@h>", None, None),
            ("\"\" <sip:b@h>;tag=", None, None),
            ("\"a <x>, y; z\"<sip:b@h>", Some("a <x>, y; z"), None),
        ] {
            let parsed = NameAddr::parse(value.as_bytes());
            if value.ends_with("tag=") {
                assert!(parsed.is_err(), "{value}");
                continue;
            }
            let parsed = parsed.unwrap();
            assert_eq!((parsed.display_name().as_deref(), parsed.tag()), (name, tag), "{value}");
        }
        for bad in ["\"open <sip:b@h>", "<sip:b@h", "< sip:b@h>", "<sip: b@h>", "\"a\" b\" <sip:b@h>", "sip:b@h \"x\""]
        {
            assert!(NameAddr::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn par_05_quoted_parameters_are_one_value() {
        let contact = NameAddr::parse(b"<sip:a@h>;+sip.instance=\"<urn:uuid:1;2>\";q=0.5").unwrap();
        assert_eq!(contact.params.get("+SIP.Instance"), Some("\"<urn:uuid:1;2>\""));
        assert_eq!(contact.params.get("q"), Some("0.5"));
    }

    #[test]
    fn par_23_via_with_blanks_and_unknown_transports() {
        let via = Via::parse(b"SIP / 2.0 / UDP  h : 5060 ;rport;branch=z9hG4bK1;received=2001:db8::1").unwrap();
        assert_eq!((via.transport, via.host, via.port), ("UDP", "h", Some(5060)));
        assert_eq!((via.rport, via.branch, via.received), (Some(None), Some("z9hG4bK1"), Some("2001:db8::1")));
        let via = Via::parse(b"SIP/2.0/UNKNOWN [2001:db8::9]:5070;rport=9;ttl=1;maddr=h2;x=\"a;b\"").unwrap();
        assert_eq!((via.transport, via.host, via.port), ("UNKNOWN", "[2001:db8::9]", Some(5070)));
        assert_eq!((via.rport, via.maddr, via.params.get("ttl")), (Some(Some(9)), Some("h2"), Some("1")));
        assert_eq!(Via::parse(b"SIP/2.0/UDP a;branch=1, SIP/2.0/TCP b").unwrap().branch, Some("1"));
        for bad in ["SIP/2.0/UDP", "SIP/2.0/UDP ;;,", "SIP/2.0 h", "HTTP/2.0/UDP h", "SIP/2.0/UDP h;=x", ""] {
            assert!(Via::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn txn_23_cseq_is_below_two_to_the_31st() {
        assert_eq!(CSeq::parse(b"0009  INVITE").unwrap(), CSeq { seq: 9, method: "INVITE" });
        assert_eq!(CSeq::parse(b"2147483647 NOTIFY").unwrap().seq, 2_147_483_647);
        for bad in ["2147483648 NOTIFY", "36893488147419103232 A", "-1 A", "+1 A", "1", "A 1", ""] {
            assert!(CSeq::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn par_11_delta_seconds_are_capped() {
        assert_eq!(delta_seconds(b"99999999999"), Some(u32::MAX));
        assert_eq!(delta_seconds(b" 0 "), Some(0));
        assert_eq!(delta_seconds(b"-1"), None);
        assert_eq!(delta_seconds(b""), None);
    }

    #[test]
    fn par_12_event_ids_are_compared_byte_for_byte() {
        let event = EventHeader::parse(b"presence;foo=1;id=7").unwrap();
        assert_eq!((event.package, event.id), ("presence", Some("7")));
        assert_ne!(event.id, EventHeader::parse(b"presence;id=07").unwrap().id);
        assert!(EventHeader::parse(b"a b").is_err());
    }

    #[test]
    fn par_13_subscription_state_is_read_without_case() {
        let state = SubscriptionState::parse(b"Terminated;Reason=TimeOut;x=y; retry-after = 5").unwrap();
        assert_eq!(state.state, SubState::Terminated);
        assert_eq!((state.reason, state.retry_after, state.expires), (Some(Reason::Timeout), Some(5), None));
        let state = SubscriptionState::parse(b"terminated;reason=foo").unwrap();
        assert_eq!(state.reason, Some(Reason::Unknown));
        assert_eq!(SubscriptionState::parse(b"odd").unwrap().state, SubState::Other("odd"));
    }

    #[test]
    fn par_14_accept() {
        let accepts = |value: &'static str, wanted| Accept::parse(split_list(value.as_bytes())).accepts(wanted);
        for (value, wanted, expected) in [
            ("application/pidf+xml", "application/pidf+xml", true),
            ("Application/PIDF+XML;v=1", "application/pidf+xml", true),
            ("*/*", "application/pidf+xml", true),
            ("application/*;q=0.1", "application/pidf+xml", true),
            ("text/*", "application/pidf+xml", false),
            ("*/*, application/pidf+xml;q=0", "application/pidf+xml", false),
            ("application/pidf+xml;q=0.0", "application/pidf+xml", false),
            ("", "application/pidf+xml", false),
        ] {
            assert_eq!(accepts(value, wanted), expected, "{value}");
        }
    }

    #[test]
    fn txn_28_retry_after_with_comment_and_duration() {
        let parsed = RetryAfter::parse(b"18 (busy; for now);duration=60").unwrap();
        assert_eq!(parsed, RetryAfter { seconds: 18, duration: Some(60) });
        assert_eq!(RetryAfter::parse(b"5").unwrap().duration, None);
        assert!(RetryAfter::parse(b"soon").is_err());
    }

    #[test]
    fn par_03_lists_split_outside_quotes_and_angles() {
        let members: Vec<&[u8]> = split_list(b"<sip:a,b@h>, \"x, y\" <sip:c@h> ,, <sip:d@h>").collect();
        assert_eq!(members, [b"<sip:a,b@h>".as_slice(), b"\"x, y\" <sip:c@h>", b"<sip:d@h>"]);
    }
}
