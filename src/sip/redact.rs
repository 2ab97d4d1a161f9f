//! Messages for showing, without what is secret in them: answers to challenges, passwords (SEC-09).
//!
//! What cannot be told apart for sure is left out rather than shown. Nothing is escaped here: a reader on a terminal has
//! to make the text visible.

/// What stands in place of a secret.
const HIDDEN: &str = "***";

/// Header fields that carry credentials, or what proves that one has them (RFC 3261 §20.6, §20.7, §20.28).
const CREDENTIALS: [&str; 4] =
    ["authorization", "proxy-authorization", "authentication-info", "proxy-authentication-info"];

/// Returns a message as text, its secrets hidden; bytes that are no UTF-8 are replaced.
///
/// Hidden are `response`, `cnonce`, `nc` and everything else that is not known to be harmless in credentials, whole
/// credentials of schemes other than Digest, the password of a URI, and the value of each parameter whose name speaks of
/// a password, a secret or a token. The body stays as it is.
pub fn redacted(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message);
    let mut out = String::with_capacity(text.len());
    let mut rest = &*text;
    let mut begun = false;
    while let Some(field) = next_field(rest) {
        rest = &rest[field.len()..];
        if field.trim_end_matches(['\r', '\n']).is_empty() {
            out.push_str(field);
            // Line ends in front of a message belong to it no more than a body does.
            if begun {
                break;
            }
            continue;
        }
        begun = true;
        out.push_str(&redacted_field(field));
    }
    out.push_str(rest);
    out
}

/// Returns the first line with those that continue it.
fn next_field(text: &str) -> Option<&str> {
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        if end > 0 && !line.starts_with([' ', '\t']) {
            break;
        }
        end += line.len();
    }
    (end > 0).then(|| &text[..end])
}

fn redacted_field(field: &str) -> String {
    let name = field.split_once(':').map(|(name, _)| name.trim().to_ascii_lowercase()).unwrap_or_default();
    if !CREDENTIALS.contains(&name.as_str()) {
        return without_passwords(&without_values(field, is_secret).0);
    }
    let colon = field.find(':').unwrap_or_default() + 1;
    let (head, value) = field.split_at(colon);
    let end = &field[field.trim_end_matches(['\r', '\n']).len()..];
    let scheme = value.split_whitespace().next().unwrap_or_default();
    let is_info = name.ends_with("-info");
    if !is_info && !scheme.eq_ignore_ascii_case("digest") {
        let scheme = if scheme.contains(['=', ',', '"']) { "" } else { scheme };
        return format!("{head} {scheme} {HIDDEN}{end}");
    }
    let (value, whole) = without_values(value, |name| !is_harmless(name));
    if whole { format!("{head}{}", without_passwords(&value)) } else { format!("{head} {HIDDEN}{end}") }
}

/// What of a digest may be shown.
fn is_harmless(name: &str) -> bool {
    ["username", "realm", "nonce", "uri", "algorithm", "opaque", "qop", "nextnonce", "userhash"]
        .iter()
        .any(|harmless| name.eq_ignore_ascii_case(harmless))
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["passw", "passphrase", "pwd", "secret", "token"].iter().any(|word| name.contains(word))
}

/// Hides the values of the parameters that `hide` names; also returns whether every quoted string had an end.
fn without_values(text: &str, hide: impl Fn(&str) -> bool) -> (String, bool) {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut whole = true;
    while let Some(c) = rest.chars().next() {
        if c == '"' {
            let (quoted, behind, ended) = quoted(rest);
            out.push_str(quoted);
            (rest, whole) = (behind, whole && ended);
            continue;
        }
        if !is_name(c) {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let name = &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())];
        out.push_str(name);
        rest = &rest[name.len()..];
        let value = rest.trim_start().strip_prefix('=').map(str::trim_start);
        let Some(value) = value.filter(|_| hide(name)) else { continue };
        out.push_str(&rest[..rest.len() - value.len()]);
        if value.starts_with('"') {
            let (_, behind, ended) = quoted(value);
            out.push_str("\"***\"");
            (rest, whole) = (behind, whole && ended);
        } else {
            let ends = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '&' | '?' | '>' | '"');
            out.push_str(HIDDEN);
            rest = &value[value.find(ends).unwrap_or(value.len())..];
        }
    }
    (out, whole)
}

/// Splits off the quoted string at the front; tells whether it has an end.
fn quoted(text: &str) -> (&str, &str, bool) {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return (&text[..=at], &text[at + 1..], true),
            _ => {}
        }
    }
    (text, "", false)
}

/// Hides the passwords of URIs (RFC 3261 §19.1.1).
fn without_passwords(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(colon) = rest.find(':') {
        let (before, behind) = rest.split_at(colon + 1);
        out.push_str(before);
        rest = behind;
        let scheme = before.trim_end_matches(':').to_ascii_lowercase();
        if !(scheme.ends_with("sip") || scheme.ends_with("sips")) {
            continue;
        }
        let uri = &rest[..rest.find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"')).unwrap_or(rest.len())];
        if let Some((user, password)) = uri.split_once('@').and_then(|(info, _)| info.split_once(':')) {
            out.push_str(user);
            out.push(':');
            out.push_str(HIDDEN);
            rest = &rest[user.len() + 1 + password.len()..];
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_09_the_answer_to_a_challenge_is_hidden_and_the_rest_stays() {
        let message = "SUBSCRIBE sip:bob@host SIP/2.0\r\n\
            Authorization: Digest username=\"alice\", realm=\"a, response=b\",\r\n nonce=\"n\", uri=\"sip:bob@host\",\
            response=\"d3adbeef\", cnonce = \"c0ffee\", nc=00000001, qop=auth, strange=s3cret\r\n\
            proxy-authorization : DIGEST response=d3adbeef\r\n\
            Authentication-Info: rspauth=\"d3adbeef\", cnonce=\"c0ffee\", nc=00000001, qop=auth\r\n\
            Content-Length: 18\r\n\r\nresponse=\"body\"\r\n\r\n";
        let shown = redacted(message.as_bytes());
        for secret in ["d3adbeef", "c0ffee", "00000001", "s3cret"] {
            assert!(!shown.contains(secret), "{secret}: {shown}");
        }
        for kept in [
            "realm=\"a, response=b\",\r\n nonce=\"n\"",
            "qop=auth",
            "response=\"***\"",
            "nc=***",
            "\r\n\r\nresponse=\"body\"",
        ] {
            assert!(shown.contains(kept), "{kept}: {shown}");
        }
        assert_eq!(shown.lines().count(), message.lines().count());
    }

    #[test]
    fn sec_09_line_ends_in_front_do_not_make_a_body_of_the_head() {
        let shown = redacted(b"\r\n\r\nA b SIP/2.0\r\nAuthorization: Basic s3cret\r\n\r\n");
        assert_eq!(shown, "\r\n\r\nA b SIP/2.0\r\nAuthorization: Basic ***\r\n\r\n");
    }

    #[test]
    fn sec_09_credentials_that_cannot_be_read_are_hidden_whole() {
        for value in [
            "Basic YWxpY2U6czNjcmV0",
            "Bearer YWxpY2U6czNjcmV0",
            "Digest username=\"alice, response=\"YWxpY2U6czNjcmV0\"",
            "YWxpY2U6czNjcmV0=",
            "Digest response=\"YWxpY2U6czNjcmV0",
            "",
        ] {
            let shown = redacted(format!("A b SIP/2.0\r\nAuthorization:{value}\r\nTo: x\r\n\r\n").as_bytes());
            assert!(!shown.contains("YWxpY2U6czNjcmV0"), "{value}: {shown}");
            assert!(shown.ends_with("\r\nTo: x\r\n\r\n"), "{value}: {shown}");
        }
    }

    #[test]
    fn sec_09_passwords_of_uris_and_parameters_are_hidden() {
        let line = "NOTIFY sip:alice:hunter2@host;Password=hunter2?pwd=hunter2&a=b SIP/2.0\r\n\
            Contact: \"x\" <SIPS:bob:hunter2@[::1]:5061>;access_token=\"hunter2\";expires=5\r\n\
            Route: <sip:host:5060;lr>\r\nTo: <sip:bob@host:5060>\r\n\r\n";
        let shown = redacted(line.as_bytes());
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(
            shown,
            "NOTIFY sip:alice:***@host;Password=***?pwd=***&a=b SIP/2.0\r\n\
            Contact: \"x\" <SIPS:bob:***@[::1]:5061>;access_token=\"***\";expires=5\r\n\
            Route: <sip:host:5060;lr>\r\nTo: <sip:bob@host:5060>\r\n\r\n"
        );
    }

    #[test]
    fn what_holds_no_secret_is_shown_as_it_is_whatever_it_is() {
        for text in [
            "",
            "\r\n\r\n",
            "x",
            "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKa;rport\r\n\r\nb\0",
            "\u{e9}\"sip:\"",
        ] {
            assert_eq!(redacted(text.as_bytes()), text);
        }
        assert_eq!(redacted(b"\xff\xfe"), "\u{fffd}\u{fffd}");
    }
    proptest::proptest! {
        #[test]
        fn sec_09_no_text_panics_or_shows_what_follows_response(before in "[ -~\r\n\té]{0,40}", behind in "[ -~]{0,20}") {
            let message = format!("A b SIP/2.0\r\nX: {before}\r\nAuthorization: Digest {behind}, response=hunter2\r\n\r\n");
            let shown = redacted(message.as_bytes());
            // An empty line in front makes a body of the rest.
            let in_body = message.find("\r\n\r\n").is_some_and(|end| end + 4 < message.len())
                || message.contains("\n\n") || message.contains("\n\r\n");
            proptest::prop_assert!(in_body || !shown.contains("hunter2"), "{shown}");
        }
    }
}
