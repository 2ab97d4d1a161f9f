//! The members of a resource list and how the subscription to each one stands, as a document (RFC 4662 §5).
//!
//! Read leniently, within limits of its own, and written strictly. The documents of the members go beside it, in the
//! [`body`] of one NOTIFY. Who is on a list is told by [`lists`](super::lists); which version a document has, and what a
//! member's document shows to whom, is left to others.

mod multipart;

use std::{fmt::Write as _, str::FromStr};

use super::xml::{Element, Error, Limits, Ns, Tree, escape_attribute, escape_text};
use crate::sip::header::Reason;

pub use self::multipart::{MAX_PARTS, Part, body, content_id, content_type_of, split};

/// The media type of the document, which is the root part of the body.
pub const CONTENT_TYPE: &str = "application/rlmi+xml";
/// The longest URI, id and Content-ID that are read, in bytes; a member or an instance with a longer one is left out.
pub const MAX_NAME: usize = 512;
/// The longest name that is read, in characters; the rest is cut off.
const MAX_DISPLAY_NAME: usize = 128;
/// Five hundred members have an element each, a name or two, and an instance.
const LIMITS: Limits = Limits { bytes: 256 * 1024, elements: 4096 };

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rlmi {
    /// The URI of the list.
    pub uri: String,
    /// Rises by one with each document of a subscription; the first has 0 (§5.2).
    pub version: u32,
    /// Whether it tells of everybody, and not only of those who changed.
    pub full: bool,
    /// What the list is called.
    pub name: Option<String>,
    /// Its members.
    pub resources: Vec<Resource>,
}

/// A member of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The URI by which it stands on the list.
    pub uri: String,
    /// What the list calls it.
    pub name: Option<String>,
    /// The subscription to it; none while nothing is known.
    pub instance: Option<Instance>,
}

/// A subscription to a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Tells it from others of the same member; the same in every document (§5.5).
    pub id: String,
    /// How it stands.
    pub state: State,
    /// Why it is over.
    pub reason: Option<Reason>,
    /// The Content-ID of the part that has its document, without angle brackets.
    pub cid: Option<String>,
}

/// How the subscription to a member stands (§5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It is served.
    Active,
    /// Nobody decided yet.
    Pending,
    /// It is over.
    Terminated,
}

impl State {
    const ALL: [Self; 3] = [Self::Active, Self::Pending, Self::Terminated];

    /// Returns the word that stands in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pending => "pending",
            Self::Terminated => "terminated",
        }
    }
}

impl FromStr for State {
    type Err = ();

    /// Reads the word, however its letters are cased.
    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.trim();
        Self::ALL.into_iter().find(|state| state.as_str().eq_ignore_ascii_case(text)).ok_or(())
    }
}

/// Why a document could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RlmiError {
    /// It is no XML, or too much of it.
    #[error(transparent)]
    Xml(#[from] Error),
    /// Its root is another.
    #[error("it tells of no list, but is <{0}>")]
    Root(String),
    /// Its version is missing, or no number.
    #[error("its version is no number")]
    Version,
}

impl Rlmi {
    /// Reads a document; `charset` is the parameter of its Content-Type, if it had one.
    ///
    /// Members without a URI are left out, and instances without an id or a known state; what is not known besides is
    /// ignored. Of several instances the first that is active counts, else the first. A `fullState` other than `false`
    /// is taken as `true`.
    ///
    /// # Errors
    /// When it is no XML within the limits, tells of no list, or has no version.
    pub fn parse(body: &[u8], charset: Option<&str>) -> Result<Self, RlmiError> {
        let tree = Tree::parse_within(body, charset, LIMITS)?;
        let root = tree.root();
        if !is(root, "list") {
            return Err(RlmiError::Root(root.name().chars().take(MAX_DISPLAY_NAME).collect()));
        }
        let version = root.attribute("version").and_then(|text| text.trim().parse().ok());
        let full = root.attribute("fullState").map(str::trim);
        Ok(Self {
            uri: text(root, "uri").unwrap_or_default(),
            version: version.ok_or(RlmiError::Version)?,
            full: full.is_none_or(|full| full != "0" && !full.eq_ignore_ascii_case("false")),
            name: name(root),
            resources: root.children().filter(|child| is(*child, "resource")).filter_map(resource).collect(),
        })
    }

    /// Writes the document.
    pub fn write(&self) -> String {
        self.written(|_| true)
    }

    /// Writes the document, naming those parts alone that are there.
    fn written(&self, is_there: impl Fn(&str) -> bool) -> String {
        let Self { uri, version, full, name, resources } = self;
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <list xmlns=\"urn:ietf:params:xml:ns:rlmi\" uri=\"{}\" version=\"{version}\" fullState=\"{full}\">\n",
            escape_attribute(uri)
        );
        if let Some(name) = name {
            let _ = writeln!(text, "<name>{}</name>", escape_text(name));
        }
        for Resource { uri, name, instance } in resources {
            let _ = write!(text, "<resource uri=\"{}\">", escape_attribute(uri));
            if let Some(name) = name {
                let _ = write!(text, "<name>{}</name>", escape_text(name));
            }
            if let Some(instance) = instance {
                instance.write(&mut text, &is_there);
            }
            text.push_str("</resource>\n");
        }
        text.push_str("</list>\n");
        text
    }
}

impl Instance {
    fn write(&self, text: &mut String, is_there: impl Fn(&str) -> bool) {
        let Self { id, state, reason, cid } = self;
        let _ = write!(text, "<instance id=\"{}\" state=\"{}\"", escape_attribute(id), state.as_str());
        // §5.5: what is over has a reason, and nothing else has.
        if *state == State::Terminated {
            let _ = write!(text, " reason=\"{}\"", reason.unwrap_or(Reason::NoResource).as_str());
        }
        if let Some(cid) = cid.as_deref().filter(|cid| is_there(cid)) {
            let _ = write!(text, " cid=\"{}\"", escape_attribute(cid));
        }
        text.push_str("/>");
    }
}

/// Tells whether this is the element of that name, with its namespace or with none.
fn is(element: Element<'_>, name: &str) -> bool {
    element.name() == name && matches!(element.ns(), Ns::RLMI | Ns::NONE)
}

fn resource(element: Element<'_>) -> Option<Resource> {
    let mut instances = element.children().filter(|child| is(*child, "instance")).filter_map(instance);
    let first = instances.next();
    let is_active = |instance: &Instance| instance.state == State::Active;
    let instance = if first.as_ref().is_some_and(is_active) { first } else { instances.find(is_active).or(first) };
    Some(Resource { uri: text(element, "uri")?, name: name(element), instance })
}

fn instance(element: Element<'_>) -> Option<Instance> {
    let cid = text(element, "cid");
    Some(Instance {
        id: text(element, "id")?,
        state: element.attribute("state")?.parse().ok()?,
        reason: element.attribute("reason").map(|reason| Reason::from_token(reason.trim())),
        // Some write it as it stands in its header, or as a URL (RFC 2392).
        cid: cid.map(|cid| cid.trim_start_matches("cid:").trim_matches(['<', '>']).to_owned()),
    })
}

/// Reads the first name that is one; there may be one for each language.
fn name(element: Element<'_>) -> Option<String> {
    let mut names = element.children().filter(|child| is(*child, "name")).map(Element::text);
    names.find_map(|name| {
        let name = name.trim();
        (!name.is_empty()).then(|| name.chars().take(MAX_DISPLAY_NAME).collect())
    })
}

fn text(element: Element<'_>, attribute: &str) -> Option<String> {
    let text = element.attribute(attribute)?.trim();
    (!text.is_empty() && text.len() <= MAX_NAME).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
