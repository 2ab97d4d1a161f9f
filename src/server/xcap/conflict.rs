//! Why a document is not kept, in words for programs and for people (RFC 4825 §11).

use crate::presence::xml::{self, escape_attribute};

/// What is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Conflict {
    /// It is in another encoding.
    NotUtf8,
    /// It is no XML.
    NotWellFormed,
    /// It is XML, and not what is kept here.
    Schema(String),
    /// Something in it may be there once only.
    Uniqueness(String),
    /// It breaks another rule.
    Constraint(String),
}

impl Conflict {
    /// Returns the body of a 409.
    pub(super) fn body(&self) -> String {
        let (name, phrase) = match self {
            Self::NotUtf8 => ("not-utf-8", None),
            Self::NotWellFormed => ("not-well-formed", None),
            Self::Schema(words) => ("schema-validation-error", Some(words)),
            Self::Uniqueness(words) => ("uniqueness-failure", Some(words)),
            Self::Constraint(words) => ("constraint-failure", Some(words)),
        };
        let phrase = phrase.map(|words| format!(" phrase=\"{}\"", escape_attribute(words))).unwrap_or_default();
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <xcap-error xmlns=\"urn:ietf:params:xml:ns:xcap-error\"><{name}{phrase}/></xcap-error>\n"
        )
    }
}

impl From<xml::Error> for Conflict {
    fn from(error: xml::Error) -> Self {
        match error {
            xml::Error::UnknownEncoding(_) => Self::NotUtf8,
            // Well-formed, and more than is read here.
            xml::Error::TooLarge(_)
            | xml::Error::Doctype
            | xml::Error::TooDeep
            | xml::Error::TooManyElements(_)
            | xml::Error::TooManyAttributes
            | xml::Error::TooManyNamespaces => Self::Constraint(error.to_string()),
            _ => Self::NotWellFormed,
        }
    }
}
