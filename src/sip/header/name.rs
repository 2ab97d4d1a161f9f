//! Header names: canonical and compact forms (RFC 3261 §7.3.3, RFC 6665 §8.2).

macro_rules! names {
    ($($variant:ident $text:literal $(/ $compact:literal)?, #[doc = $doc:literal];)*) => {
        /// The header fields that mean something here.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Name {
            $(#[doc = $doc] $variant,)*
            /// Any other; the message keeps its text.
            Other,
        }

        impl Name {
            /// Returns the form in which the name is printed; empty for [`Other`](Self::Other).
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other => "",
                }
            }

            const ALL: &[Self] = &[$(Self::$variant),*];

            /// The letters of the compact names with what they stand for.
            const COMPACT: &[(u8, Self)] = &[$($(($compact, Self::$variant),)?)*];
        }
    };
}

names! {
    Via "Via" / b'v', #[doc = "Path of the request, for its responses (RFC 3261 §20.42)."];
    From "From" / b'f', #[doc = "Who sent the request (§20.20)."];
    To "To" / b't', #[doc = "Whom it is for (§20.39)."];
    CallId "Call-ID" / b'i', #[doc = "What belongs together (§20.8)."];
    CSeq "CSeq", #[doc = "Order and method (§20.16)."];
    Contact "Contact" / b'm', #[doc = "Where the sender is reached (§20.10)."];
    ContentLength "Content-Length" / b'l', #[doc = "Bytes of the body (§20.14)."];
    MaxForwards "Max-Forwards", #[doc = "Hops left (§20.22)."];
    Event "Event" / b'o', #[doc = "The event package (RFC 6665 §8.2.1)."];
    Expires "Expires", #[doc = "Seconds (RFC 3261 §20.19)."];
    SubscriptionState "Subscription-State", #[doc = "How the subscription stands (RFC 6665 §8.2.3)."];
    ContentType "Content-Type" / b'c', #[doc = "Type of the body (RFC 3261 §20.15)."];
    UserAgent "User-Agent", #[doc = "Product of the sender (§20.41)."];
    AllowEvents "Allow-Events" / b'u', #[doc = "Event packages (RFC 6665 §8.2.2)."];
    Allow "Allow", #[doc = "Methods (RFC 3261 §20.5)."];
    Accept "Accept", #[doc = "Body types (§20.1)."];
    Supported "Supported" / b'k', #[doc = "Option tags that the sender knows (§20.37)."];
    Require "Require", #[doc = "Option tags that the receiver must know (§20.32)."];
    ProxyRequire "Proxy-Require", #[doc = "Option tags that proxies must know (§20.29)."];
    Unsupported "Unsupported", #[doc = "Option tags that are not known (§20.40)."];
    Route "Route", #[doc = "Hops to go through (§20.34)."];
    RecordRoute "Record-Route", #[doc = "Hops that want to stay on the path (§20.30)."];
    SipEtag "SIP-ETag", #[doc = "Names a publication (RFC 3903 §11.3.1)."];
    SipIfMatch "SIP-If-Match", #[doc = "Which publication is meant (RFC 3903 §11.3.2)."];
    SuppressIfMatch "Suppress-If-Match", #[doc = "Which state need not be told (RFC 5839 §7.2)."];
    MinExpires "Min-Expires", #[doc = "Shortest interval granted (RFC 3261 §20.23)."];
    RetryAfter "Retry-After", #[doc = "When to come again (§20.33)."];
    WwwAuthenticate "WWW-Authenticate", #[doc = "A challenge (§20.44)."];
    ProxyAuthenticate "Proxy-Authenticate", #[doc = "A proxy's challenge (§20.27)."];
    Authorization "Authorization", #[doc = "Credentials (§20.7)."];
    ProxyAuthorization "Proxy-Authorization", #[doc = "Credentials for a proxy (§20.28)."];
    AuthenticationInfo "Authentication-Info", #[doc = "Mutual authentication (§20.6)."];
    ContentEncoding "Content-Encoding" / b'e', #[doc = "How the body is packed (§20.12)."];
    ContentDisposition "Content-Disposition", #[doc = "What the body is for (§20.11)."];
    AcceptEncoding "Accept-Encoding", #[doc = "How a body may be packed (§20.2)."];
    Server "Server", #[doc = "Product of the responder (§20.35)."];
    Subject "Subject" / b's', #[doc = "Topic (§20.36)."];
    Date "Date", #[doc = "When it was sent (§20.17)."];
    Warning "Warning", #[doc = "Words on a refusal (§20.43)."];
    FlowTimer "Flow-Timer", #[doc = "Seconds between keep-alives (RFC 5626 §4.4)."];
    PAssertedIdentity "P-Asserted-Identity", #[doc = "Who sent it, as a trusted server says (RFC 3325 §9.1)."];
    Privacy "Privacy", #[doc = "What the sender does not want to be known (RFC 3323 §4.2)."];
    Timestamp "Timestamp", #[doc = "For measuring round trips (§20.38)."];
}

/// Each name stands where its length, first and last letter say; should a new one clash, other factors help.
const LONG: [Name; 1 << BITS] = long();
const SHORT: [Name; 32] = short();
const BITS: u32 = 9;

const fn place(name: &[u8]) -> usize {
    let first = name[0] as usize & 31;
    let last = name[name.len() - 1] as usize & 31;
    (name.len() + first * 6 + last * 20) & ((1 << BITS) - 1)
}

const fn long() -> [Name; 1 << BITS] {
    let mut table = [Name::Other; 1 << BITS];
    let mut i = 0;
    while i < Name::ALL.len() {
        let at = place(Name::ALL[i].as_str().as_bytes());
        assert!(matches!(table[at], Name::Other), "two names in one place");
        table[at] = Name::ALL[i];
        i += 1;
    }
    table
}

const fn short() -> [Name; 32] {
    let mut table = [Name::Other; 32];
    let mut i = 0;
    while i < Name::COMPACT.len() {
        table[Name::COMPACT[i].0 as usize & 31] = Name::COMPACT[i].1;
        i += 1;
    }
    table
}

impl Name {
    /// Reads a name in any case, long or compact.
    pub fn from_bytes(name: &[u8]) -> Self {
        let found = match name {
            [] => return Self::Other,
            [letter] if letter.is_ascii_alphabetic() => return SHORT[usize::from(letter & 31)],
            _ => LONG[place(name)],
        };
        if name.eq_ignore_ascii_case(found.as_str().as_bytes()) { found } else { Self::Other }
    }

    /// Returns whether a comma in the value separates nothing (RFC 3261 §7.3.1, PAR-03).
    pub const fn is_never_a_list(self) -> bool {
        matches!(self, Self::WwwAuthenticate | Self::ProxyAuthenticate | Self::Authorization | Self::ProxyAuthorization)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn par_01_names_are_read_in_any_case() {
        for text in ["EvEnT", "event", "EVENT"] {
            assert_eq!(Name::from_bytes(text.as_bytes()), Name::Event);
        }
        for name in Name::ALL {
            assert_eq!(Name::from_bytes(name.as_str().to_ascii_uppercase().as_bytes()), *name);
        }
        for other in ["X-Event", "", "Vib", "Evend", "1"] {
            assert_eq!(Name::from_bytes(other.as_bytes()), Name::Other);
        }
    }

    #[test]
    fn par_02_compact_names_are_understood() {
        let table = [
            (b"v", Name::Via),
            (b"f", Name::From),
            (b"t", Name::To),
            (b"m", Name::Contact),
            (b"i", Name::CallId),
            (b"l", Name::ContentLength),
            (b"c", Name::ContentType),
            (b"e", Name::ContentEncoding),
            (b"k", Name::Supported),
            (b"s", Name::Subject),
            (b"o", Name::Event),
            (b"u", Name::AllowEvents),
        ];
        for (compact, name) in table {
            assert_eq!(Name::from_bytes(compact), name);
            assert_eq!(Name::from_bytes(&compact.to_ascii_uppercase()), name);
        }
        assert_eq!(Name::from_bytes(b"z"), Name::Other);
    }
}
