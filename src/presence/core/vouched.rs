//! Whom the other end of a connection has proved to be, and so which watchers are who they say (design: grades).

use std::net::IpAddr;

use crate::presence::policy::canonical;

/// What the certificate of somebody who connected to us proved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vouched {
    /// It speaks for everybody at these domains and addresses (RFC 5922 §7.1): in lower case, without brackets.
    pub domains: Vec<Box<str>>,
    /// It has the key that we know these presentities by.
    pub presentities: Vec<Box<str>>,
}

impl Vouched {
    /// Says whether it is proof of a watcher of this URI at this host.
    pub(crate) fn is_of(&self, who: &str, host: &Result<IpAddr, String>) -> bool {
        let host = match host {
            Ok(ip) => ip.to_string(),
            Err(name) => name.strip_suffix('.').unwrap_or(name).to_owned(),
        };
        self.domains.iter().any(|domain| **domain == *host)
            || self.presentities.iter().any(|presentity| canonical(presentity) == who)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presence::core::serving::host_of;
    use crate::sip::uri::UriRef;

    #[test]
    fn trn_22_a_domain_vouches_for_all_of_its_own_and_a_key_for_one() {
        let vouched = Vouched {
            domains: vec!["example.com".into(), "2001:db8::1".into()],
            presentities: vec!["sip:bob@192.0.2.20".into()],
        };
        for (who, proved) in [
            ("sip:alice@example.com", true),
            ("sips:carol@EXAMPLE.com.", true),
            ("sip:alice@sub.example.com", false),
            ("sip:alice@example.com.org", false),
            ("sip:dave@[2001:db8::1]", true),
            ("sip:bob@192.0.2.20", true),
            ("sip:eve@192.0.2.20", false),
            ("sip:bob@192.0.2.21", false),
        ] {
            let host = host_of(&UriRef::parse(who).unwrap());
            assert_eq!(vouched.is_of(&canonical(who), &host), proved, "{who}");
            assert!(!Vouched::default().is_of(&canonical(who), &host));
        }
    }
}
