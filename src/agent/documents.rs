//! Documents that an account's server keeps, and what was last seen of each, so that nobody's change is overwritten unseen.
//!
//! A document may be replaced when it is as it was when it was pulled or pushed last: by its entity-tag, or by its bytes where
//! a server gives each another tag after a restart. That is looked at first and asked for with the change too (RFC 4825
//! §7.11), since some servers do not heed the condition.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{login::login, tls::tls};
use crate::{
    client::xcap::{Document, If, Usage, Xcap, XcapError},
    config::{Account, ConfigError, Paths, Settings, prepare_private_dir, write_private},
};

/// The version of the files of what was seen.
const VERSION: u32 = 1;

/// Why documents cannot be read or replaced.
#[derive(Debug, thiserror::Error)]
pub enum DocumentsError {
    /// The account has no server of documents.
    #[error("account {0} has no `xcap`, so there is no place to share it at")]
    Nowhere(String),
    /// The server, or the way to it.
    #[error(transparent)]
    Xcap(#[from] XcapError),
    /// Another program changed the document, and that was not seen yet.
    #[error("another program changed what the server has, and you have not seen that yet")]
    Unseen,
    /// All is done, but what was seen could not be noted.
    #[error("it is done, but what the server has now cannot be kept in mind: {0}")]
    Unkept(ConfigError),
}

impl DocumentsError {
    /// Returns the exit code of a command that ends with it.
    pub fn code(&self) -> u8 {
        match self {
            Self::Nowhere(_) => 2,
            Self::Unseen => 12,
            Self::Unkept(_) => 10,
            Self::Xcap(error) => match error {
                XcapError::Root(_) | XcapError::User | XcapError::Tls(_) => 2,
                XcapError::NoPassword | XcapError::NoSecret(_) => 3,
                XcapError::Unproven(_) | XcapError::Refused(401 | 407) => 4,
                XcapError::Refused(405 | 406 | 415 | 501) => 6,
                XcapError::Http(_) | XcapError::Elsewhere { .. } | XcapError::Refused(408) => 7,
                XcapError::Refused(404 | 410) => 8,
                XcapError::Refused(429 | 500..=599) => 9,
                XcapError::Changed => 12,
                _ => 5,
            },
        }
    }

    /// Returns what may help.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Nowhere(_) => Some("the configuration names it: `xcap = \"https://xcap.example.com/xcap-root\"`"),
            Self::Unseen | Self::Unkept(_) | Self::Xcap(XcapError::Changed) => {
                Some("`pull` takes it in, `push` works then")
            }
            Self::Xcap(XcapError::NoPassword) => Some("`password_command` or `password_file` names one"),
            Self::Xcap(XcapError::Elsewhere { .. }) => Some("if you trust that place, name it as the account's `xcap`"),
            Self::Xcap(_) => None,
        }
    }
}

/// The documents of one account at its server.
#[derive(Debug)]
pub struct Documents {
    xcap: Xcap,
    /// The folder of what was seen.
    folder: PathBuf,
    account: String,
}

/// A document as the server has it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// What it has, if anything.
    pub found: Option<Document>,
    /// What was there when it was last seen; none where nobody looked yet.
    pub before: Option<Seen>,
}

/// What was last seen of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// There was none.
    Nothing,
    /// It was this.
    Document(Document),
}

impl Looked {
    /// Says whether nobody else has changed it since it was last seen.
    pub fn is_as_before(&self) -> bool {
        match (&self.found, &self.before) {
            (None, None | Some(Seen::Nothing)) => true,
            (Some(found), Some(Seen::Document(before))) => {
                (found.etag.is_some() && found.etag == before.etag) || found.body == before.body
            }
            _ => false,
        }
    }
}

impl Documents {
    /// Finds the documents of an account, by its name.
    ///
    /// # Errors
    /// When it has no server of documents, or its configuration cannot be used.
    pub fn of(settings: &Settings, (name, account): (&str, &Account), paths: &Paths) -> Result<Self, DocumentsError> {
        let root = account.xcap.as_deref().ok_or_else(|| DocumentsError::Nowhere(name.to_owned()))?;
        let xcap = Xcap::new(root, &account.address, login(settings, account), tls(settings, Some(account), paths))?;
        Ok(Self { xcap, folder: paths.state_dir.join("xcap"), account: name.to_owned() })
    }

    /// Returns what is to be said whenever documents are sent so that others can read and change them.
    pub fn warning(&self) -> Option<String> {
        self.xcap.is_in_clear().then(|| {
            format!(
                "`xcap` of account {} is `http:`, so whoever is in between can read and change what is sent; `https:` \
                 prevents that",
                self.account
            )
        })
    }

    /// Looks at a document.
    pub async fn look(&mut self, usage: Usage) -> Result<Looked, DocumentsError> {
        let found = self.xcap.get(usage).await?;
        let before = read(&self.file(usage), &self.xcap.uri(usage));
        Ok(Looked { found, before })
    }

    /// Notes that a document was seen as it is, and what is in it taken in.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub fn note(&self, usage: Usage, seen: Option<&Document>) -> Result<(), DocumentsError> {
        let noted = prepare_private_dir(&self.folder)
            .and_then(|()| write_private(&self.file(usage), &written(&self.xcap.uri(usage), seen)));
        noted.map_err(DocumentsError::Unkept)
    }

    /// Replaces a document, unless another program has changed it.
    ///
    /// # Errors
    /// [`DocumentsError::Unseen`] then; and when the server does not take it.
    pub async fn replace(&mut self, usage: Usage, looked: &Looked, body: Bytes) -> Result<(), DocumentsError> {
        if !looked.is_as_before() {
            return Err(DocumentsError::Unseen);
        }
        let condition = match &looked.found {
            None => If::Absent,
            Some(Document { etag: Some(etag), .. }) => If::Is(etag),
            Some(_) => If::Any,
        };
        let etag = self.xcap.put(usage, body.clone(), condition).await?;
        self.note(usage, Some(&Document { etag, body }))
    }

    fn file(&self, usage: Usage) -> PathBuf {
        self.folder.join(format!("{}.{}", self.account, usage.auid()))
    }
}

/// The first line of a file of what was seen; the document follows as it is.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    version: u32,
    uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    /// Whether there was a document.
    found: bool,
}

fn written(uri: &str, seen: Option<&Document>) -> Vec<u8> {
    let etag = seen.and_then(|seen| seen.etag.clone());
    let head = Head { version: VERSION, uri: uri.to_owned(), etag, found: seen.is_some() };
    // Texts and numbers can be written.
    let mut bytes = serde_json::to_vec(&head).unwrap_or_default();
    bytes.push(b'\n');
    bytes.extend_from_slice(seen.map_or(&[], |seen| &seen.body));
    bytes
}

/// Reads what was seen at this URI. What cannot be read was not seen: that costs a pull and nobody's change.
fn read(file: &Path, uri: &str) -> Option<Seen> {
    let bytes = fs::read(file).ok()?;
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let head: Head = serde_json::from_slice(&bytes[..end]).ok()?;
    if head.version != VERSION || head.uri != uri {
        return None;
    }
    let body = Bytes::copy_from_slice(&bytes[end + 1..]);
    Some(if head.found { Seen::Document(Document { etag: head.etag, body }) } else { Seen::Nothing })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(etag: Option<&str>, body: &'static str) -> Document {
        Document { etag: etag.map(str::to_owned), body: Bytes::from_static(body.as_bytes()) }
    }

    #[test]
    fn a_document_may_be_replaced_only_as_it_was_seen() {
        let seen = |etag, body| Some(Seen::Document(document(etag, body)));
        for (found, before, expected) in [
            (None, None, true),
            (None, Some(Seen::Nothing), true),
            (None, seen(Some("1"), "a"), false),
            (Some(document(Some("1"), "a")), None, false),
            (Some(document(Some("1"), "a")), Some(Seen::Nothing), false),
            (Some(document(Some("1"), "a")), seen(Some("1"), "a"), true),
            (Some(document(Some("2"), "b")), seen(Some("1"), "a"), false),
            // The server began anew and has the same.
            (Some(document(Some("2"), "a")), seen(Some("1"), "a"), true),
            (Some(document(None, "a")), seen(None, "a"), true),
            (Some(document(None, "b")), seen(None, "a"), false),
        ] {
            let looked = Looked { found, before };
            assert_eq!(looked.is_as_before(), expected, "{looked:?}");
        }
    }

    #[test]
    fn what_was_seen_is_kept_for_its_place_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("work.resource-lists");
        for seen in [None, Some(document(Some("\"1\""), "<a>\n\u{e9}</a>")), Some(document(None, ""))] {
            fs::write(&file, written("u", seen.as_ref())).unwrap();
            assert_eq!(read(&file, "u"), Some(seen.map_or(Seen::Nothing, Seen::Document)));
            assert_eq!(read(&file, "v"), None);
        }
        for broken in ["", "{}", "{}\n", "{\"version\":2,\"uri\":\"u\",\"found\":true}\n<a/>"] {
            fs::write(&file, broken).unwrap();
            assert_eq!(read(&file, "u"), None, "{broken}");
        }
        assert_eq!(read(&folder.path().join("none"), "u"), None);
    }

    #[test]
    fn an_account_without_a_place_says_which_key_names_it() {
        let env = config_env();
        let (settings, account) = (Settings::default(), Account::new("sip:a@h"));
        let error = Documents::of(&settings, ("work", &account), &Paths::new(None, &env)).unwrap_err();
        assert_eq!((error.code(), error.to_string().contains("work has no `xcap`")), (2, true));
        assert!(error.hint().is_some());
    }

    fn config_env() -> crate::config::Environment {
        let at = |name: &str| Path::new("/nonexistent").join(name);
        crate::config::Environment {
            home: at("home"),
            config_home: at("config"),
            state_home: at("state"),
            runtime_dir: None,
            user: "alice".into(),
        }
    }
}
