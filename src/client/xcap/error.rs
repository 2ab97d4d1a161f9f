//! What a server of documents says when it refuses, in plain words (RFC 4825 §11).

use crate::{
    net::{
        http::{Answer, HttpError, StatusCode, header},
        tls::TlsError,
    },
    presence::{text::visible, xml::Tree},
    sip::auth::Why,
};

/// How much of the server's own words is told, in characters.
const TOLD: usize = 200;

/// Why a document was not read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum XcapError {
    /// The root is no URI of HTTP.
    #[error("{0:?} is no XCAP root")]
    Root(String),
    /// The user name cannot stand in a header.
    #[error("the user name for the password has characters that cannot be sent")]
    User,
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No whole answer came.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The server wants a password and the account has none.
    #[error("the server wants a password, and the account has none")]
    NoPassword,
    /// The password could not be had.
    #[error("no password: {0}")]
    NoSecret(String),
    /// The server's challenge was not answered, or did not take our answer.
    #[error("the server wants a proof of who you are: {0}")]
    Unproven(#[from] Why),
    /// Another program changed the document in between: the condition does not hold.
    #[error("the document was changed there by another program")]
    Changed,
    /// The document is longer than a server has to take.
    #[error("the document is longer than 1 MiB")]
    TooLarge,
    /// The document does not fit what is there, or what may be there.
    #[error("the server does not take the document: {0}")]
    Conflict(Conflict),
    /// The documents are elsewhere; nobody is followed there with a password.
    #[error("the server says that the documents are elsewhere{}", place.as_ref().map_or_else(String::new, |place| format!(": {place}")))]
    Elsewhere {
        /// Where, as it may be printed.
        place: Option<String>,
    },
    /// Any other refusal.
    #[error("{}", words(*.0))]
    Refused(u16),
}

impl XcapError {
    /// Reads a refusal.
    pub(super) fn of(answer: &Answer) -> Self {
        match answer.status {
            StatusCode::PRECONDITION_FAILED => Self::Changed,
            StatusCode::CONFLICT => Self::Conflict(Conflict::read(&answer.body)),
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            status if status.is_redirection() => {
                let place = answer.text(&header::LOCATION);
                Self::Elsewhere { place: place.map(shown) }
            }
            status => Self::Refused(status.as_u16()),
        }
    }
}

fn words(code: u16) -> String {
    let why = match code {
        401 | 407 => "the server does not believe who you are",
        403 => "the server does not let you at this document",
        404 | 410 => "the server knows no such user or no such kind of document",
        405 | 501 => "the server does not let documents be changed",
        406 | 415 => "the server does not know this kind of document",
        429 | 503 => "the server is busy",
        500..=599 => "the server failed",
        _ => "the server refuses",
    };
    format!("{why} (HTTP {code})")
}

/// What is wrong with a document, by the body of a 409 (RFC 4825 §11.2).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}{}", phrase.as_ref().map_or_else(String::new, |phrase| format!(": {phrase}")))]
pub struct Conflict {
    /// In our words.
    what: &'static str,
    /// In the server's, as it may be printed.
    phrase: Option<String>,
}

impl Conflict {
    fn read(body: &[u8]) -> Self {
        let unsaid = Self { what: "it does not say why", phrase: None };
        let Ok(tree) = Tree::parse(body, None) else { return unsaid };
        let root = tree.root();
        let Some(error) = root.children().next().filter(|_| root.name() == "xcap-error") else { return unsaid };
        let what = match error.name() {
            "schema-validation-error" => "it does not fit the schema",
            "not-xml-frag" | "not-well-formed" => "it is not well-formed",
            "no-parent" => "there is no place for it, the user or the kind of document is not known there",
            "cannot-insert" => "it would not stand there as it was sent",
            "cannot-delete" => "it cannot be taken away",
            "uniqueness-failure" => "something in it may stand there only once",
            "constraint-failure" => "it breaks a rule of the server's",
            "not-utf-8" => "it is not in UTF-8",
            "extension" => "for a reason of its own",
            _ => return unsaid,
        };
        let phrase = error.attribute("phrase").filter(|phrase| !phrase.trim().is_empty());
        Self { what, phrase: phrase.map(shown) }
    }
}

/// Returns the beginning of a peer's text as it may be printed.
fn shown(text: &str) -> String {
    visible(&text.trim().chars().take(TOLD).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_409_says_is_told_in_plain_words() {
        let body = "<?xml version=\"1.0\"?><xcap-error xmlns=\"urn:ietf:params:xml:ns:xcap-error\">\
                    <uniqueness-failure phrase=\" twice \u{1b}[31m\"><exists field=\"a\"/></uniqueness-failure></xcap-error>";
        let error = Conflict::read(body.as_bytes()).to_string();
        assert!(error.starts_with("something in it may stand there only once: twice "), "{error}");
        assert!(!error.contains('\u{1b}'), "{error}");
        for body in ["", "<a/>", "<xcap-error/>", "<xcap-error><new/></xcap-error>", "\u{0}"] {
            assert_eq!(Conflict::read(body.as_bytes()).to_string(), "it does not say why", "{body}");
        }
        let plain = Conflict::read(b"<xcap-error><no-parent/></xcap-error>").to_string();
        assert_eq!(plain, "there is no place for it, the user or the kind of document is not known there");
    }
}
