//! XML from the network, read once into a small tree: namespaces resolved, entities limited, size bounded.
//!
//! Every document goes through [`Tree::parse`] (conformance XML-01 to XML-04, SEC-05): PIDF, watcher
//! information, resource lists, policies. DOCTYPE is refused, only the five predefined entities and character
//! references expand, nothing is ever fetched. What elements mean is left to the readers; writers use
//! [`escape_text`] and [`escape_attribute`].

mod build;
mod edit;
mod encoding;
mod write;

use std::{borrow::Cow, ops::Range};

use build::Builder;
pub use edit::Edits;
pub use encoding::decode;
pub use write::{escape_attribute, escape_text, is_ncname};

/// The most bytes of a document from the network, before and after decoding.
pub const MAX_BYTES: usize = 64 * 1024;
/// The deepest nesting of any document; the root has depth 1.
pub const MAX_DEPTH: usize = 32;
/// The most elements of a document from the network.
pub const MAX_ELEMENTS: usize = 1024;
/// The most attributes of one element, namespace declarations among them.
pub const MAX_ATTRIBUTES: usize = 64;
/// The most namespace declarations in force at one place, and the most different namespaces of a document.
pub const MAX_NAMESPACES: usize = 128;

/// How large a document may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes, before and after decoding; beyond 4 GiB nothing is read.
    pub bytes: usize,
    /// The most elements.
    pub elements: usize,
}

impl Limits {
    /// Those of documents from the network: [`MAX_BYTES`] and [`MAX_ELEMENTS`].
    pub const NETWORK: Self = Self { bytes: MAX_BYTES, elements: MAX_ELEMENTS };
}

/// A namespace of a tree: one of the constants, or a number for one that is not known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ns(u16);

macro_rules! namespaces {
    ($($(#[$doc:meta])* $name:ident = $uri:literal,)*) => {
        #[derive(Clone, Copy)]
        #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "the names are those of the constants")]
        enum Number { $($name),* }

        impl Ns {
            $($(#[$doc])* pub const $name: Self = Self(Number::$name as u16);)*

            const KNOWN: &'static [&'static str] = &[$($uri),*];

            /// Returns the URI of one of the constants.
            pub(in crate::presence) fn uri(self) -> &'static str {
                Self::KNOWN.get(usize::from(self.0)).copied().unwrap_or_default()
            }
        }
    };
}

namespaces! {
    /// No namespace at all.
    NONE = "",
    /// An undeclared prefix; the element keeps it in its name.
    UNDECLARED = "\u{0}undeclared",
    /// PIDF (RFC 3863).
    PIDF = "urn:ietf:params:xml:ns:pidf",
    /// Person and device (RFC 4479).
    DATA_MODEL = "urn:ietf:params:xml:ns:pidf:data-model",
    /// RPID (RFC 4480).
    RPID = "urn:ietf:params:xml:ns:pidf:rpid",
    /// A draft's RPID, as Cisco writes it.
    RPID_STATUS = "urn:ietf:params:xml:ns:pidf:status:rpid",
    /// A draft's RPID, as Asterisk and eyeBeam write it.
    RPID_PERSON = "urn:ietf:params:xml:ns:pidf:rpid:rpid-person",
    /// A draft's RPID.
    RPID_STATUS_OLD = "urn:ietf:params:xml:ns:pidf:rpid:status:rpid-status",
    /// Cisco's own activities.
    CISCO_RPID = "urn:cisco:params:xml:ns:pidf:rpid",
    /// A draft's person element.
    PERSON_OLD = "urn:ietf:params:xml:ns:pidf:person",
    /// The state marker (conformance MAP-08).
    STATE = "tag:sippresence,2026:state",
    /// XMPP's `show`.
    JABBER = "jabber:client",
    /// Blink's `extended`.
    AG_PROJECTS = "urn:ag-projects:xml:ns:pidf",
    /// Linphone's `online`.
    LINPHONE = "http://www.linphone.org/xsds/pidfonline.xsd",
    /// Capabilities (RFC 5196).
    CAPS = "urn:ietf:params:xml:ns:pidf:caps",
    /// A draft's capabilities, as Cisco writes them.
    CAPS_OLD = "urn:ietf:params:xml:ns:pidf:servcaps",
    /// Contact information (RFC 4482).
    CIPID = "urn:ietf:params:xml:ns:pidf:cipid",
    /// Timed status (RFC 4481).
    TIMED = "urn:ietf:params:xml:ns:pidf:timed-status",
    /// Location types (RFC 4589).
    LOCATION_TYPE = "urn:ietf:params:xml:ns:location-type",
    /// Location objects (RFC 4119).
    GEOPRIV = "urn:ietf:params:xml:ns:pidf:geopriv10",
    /// Civic addresses (RFC 5139).
    CIVIC = "urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr",
    /// Geometry (GML).
    GML = "http://www.opengis.net/gml",
    /// Watcher information (RFC 3858).
    WATCHERINFO = "urn:ietf:params:xml:ns:watcherinfo",
    /// Information about the members of a list (RFC 4662).
    RLMI = "urn:ietf:params:xml:ns:rlmi",
    /// Resource lists (RFC 4826).
    RESOURCE_LISTS = "urn:ietf:params:xml:ns:resource-lists",
    /// PIDF before it was an RFC.
    CPIM_PIDF = "urn:ietf:params:xml:ns:cpim-pidf",
    /// The prefix `xml`.
    XML = "http://www.w3.org/XML/1998/namespace",
}

/// Why a document could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It has more bytes than [`Limits::bytes`].
    #[error("document of more than {0} bytes")]
    TooLarge(usize),
    /// It is in an encoding other than UTF-8, UTF-16, ISO-8859-1 and their like.
    #[error("encoding `{0}` is not known")]
    UnknownEncoding(String),
    /// It has a document type declaration.
    #[error("document type declarations are refused")]
    Doctype,
    /// It is nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} elements")]
    TooDeep,
    /// It has more elements than [`Limits::elements`].
    #[error("more than {0} elements")]
    TooManyElements(usize),
    /// An element has more attributes than [`MAX_ATTRIBUTES`].
    #[error("more than {MAX_ATTRIBUTES} attributes in one element")]
    TooManyAttributes,
    /// It has more namespaces than [`MAX_NAMESPACES`].
    #[error("more than {MAX_NAMESPACES} namespaces")]
    TooManyNamespaces,
    /// An entity that is not predefined.
    #[error("entity `{0}` is not known")]
    UnknownEntity(String),
    /// No element at all.
    #[error("document without an element")]
    Empty,
    /// More than one root, or text outside the root.
    #[error("content outside the root element, at byte {at}")]
    OutsideRoot {
        /// Where, in the decoded document.
        at: u64,
    },
    /// It ends inside an element.
    #[error("document ends inside an element")]
    Truncated,
    /// Not well-formed in another way.
    #[error("not well-formed at byte {at}: {what}")]
    Malformed {
        /// Where, in the decoded document.
        at: u64,
        /// What is wrong.
        what: String,
    },
}

/// A document that was read.
#[derive(Clone, Debug)]
pub struct Tree {
    text: String,
    /// In document order; an element's content follows it.
    nodes: Vec<Node>,
    attributes: Vec<Attribute>,
    /// Those after [`Ns::KNOWN`].
    foreign: Vec<Range<u32>>,
}

#[derive(Clone, Debug)]
struct Node {
    /// `None` for a piece of text.
    ns: Option<Ns>,
    /// The local name, or the text itself.
    value: Range<u32>,
    attributes: Range<u32>,
    /// The first node after this one and its content.
    end: u32,
    /// Where it begins in the document.
    at: u32,
    /// Where it ends there; of no meaning for a piece of text.
    until: u32,
}

#[derive(Clone, Debug)]
struct Attribute {
    ns: Ns,
    /// As written, with its prefix.
    key: Range<u32>,
    value: Range<u32>,
}

/// An element of a [`Tree`].
#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    tree: &'a Tree,
    index: u32,
}

impl Tree {
    /// Reads a document; `charset` is the parameter of its Content-Type, if it had one.
    ///
    /// # Errors
    /// What is not well-formed, has a DOCTYPE or an unknown entity, or is beyond a limit. An undeclared prefix
    /// is no error: see [`Ns::UNDECLARED`].
    pub fn parse(body: &[u8], charset: Option<&str>) -> Result<Self, Error> {
        Self::parse_either(body, charset, Limits::NETWORK, false)
    }

    /// The same for a document of the user's own, which may be larger.
    pub fn parse_within(body: &[u8], charset: Option<&str>, limits: Limits) -> Result<Self, Error> {
        Self::parse_either(body, charset, limits, false)
    }

    /// The same for a document whose DOCTYPE only names an external DTD, as XPIDF has it: it is skipped, and the DTD
    /// never fetched. One that declares anything is refused here too.
    pub(in crate::presence) fn parse_with_doctype(body: &[u8], charset: Option<&str>) -> Result<Self, Error> {
        Self::parse_either(body, charset, Limits::NETWORK, true)
    }

    /// Takes the elements of one namespace for those of another.
    pub(in crate::presence) fn rename(&mut self, from: Ns, to: Ns) {
        for node in self.nodes.iter_mut().filter(|node| node.ns == Some(from)) {
            node.ns = Some(to);
        }
    }

    fn parse_either(body: &[u8], charset: Option<&str>, limits: Limits, doctype: bool) -> Result<Self, Error> {
        // Places in the text are kept in 32 bits.
        let most = limits.bytes.min(u32::MAX as usize);
        if body.len() > most {
            return Err(Error::TooLarge(most));
        }
        let text = decode(body, charset)?;
        if text.len() > most {
            return Err(Error::TooLarge(most));
        }
        Builder::new(text.len(), limits.elements).read(&text, doctype)
    }

    /// Returns the root element.
    pub fn root(&self) -> Element<'_> {
        Element { tree: self, index: 0 }
    }

    fn uri(&self, ns: Ns) -> &str {
        match ns {
            Ns::UNDECLARED => "",
            Ns(known) if usize::from(known) < Ns::KNOWN.len() => Ns::KNOWN[usize::from(known)],
            Ns(foreign) => self.str(&self.foreign[usize::from(foreign) - Ns::KNOWN.len()]),
        }
    }

    fn str(&self, range: &Range<u32>) -> &str {
        &self.text[range.start as usize..range.end as usize]
    }
}

impl<'a> Element<'a> {
    fn node(self) -> &'a Node {
        &self.tree.nodes[self.index as usize]
    }

    /// Returns where the element begins: a byte of the document as [`decode`] returns it.
    pub fn at(self) -> usize {
        self.node().at as usize
    }

    /// Returns where the element stands, its end tag included: bytes of the document as [`decode`] returns it.
    pub fn span(self) -> Range<usize> {
        self.at()..self.node().until as usize
    }

    /// Returns the namespace.
    pub fn ns(self) -> Ns {
        self.node().ns.unwrap_or(Ns::NONE)
    }

    /// Returns the URI of the namespace, empty for none and for an undeclared prefix.
    pub fn namespace(self) -> &'a str {
        self.tree.uri(self.ns())
    }

    /// Returns the local name; with its prefix if that was not declared.
    pub fn name(self) -> &'a str {
        self.tree.str(&self.node().value)
    }

    /// Tells whether this is the element of that namespace and local name.
    pub fn is(self, ns: Ns, name: &str) -> bool {
        self.ns() == ns && self.name() == name
    }

    /// Returns the value of an attribute, by its name as written.
    pub fn attribute(self, name: &str) -> Option<&'a str> {
        self.attributes().find_map(|(key, value)| (key == name).then_some(value))
    }

    /// Returns all attributes but namespace declarations, names as written.
    pub fn attributes(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let range = &self.node().attributes;
        let tree = self.tree;
        tree.attributes[range.start as usize..range.end as usize]
            .iter()
            .map(move |attribute| (tree.str(&attribute.key), tree.str(&attribute.value)))
    }

    /// Returns all attributes in the form that tells their namespace: the name for those without one, `xml:NAME`,
    /// or `{NAMESPACE}NAME`.
    pub fn attributes_expanded(self) -> impl Iterator<Item = (Cow<'a, str>, &'a str)> {
        let range = &self.node().attributes;
        let tree = self.tree;
        tree.attributes[range.start as usize..range.end as usize].iter().map(move |attribute| {
            let key = tree.str(&attribute.key);
            let name = match attribute.ns {
                Ns::NONE | Ns::XML | Ns::UNDECLARED => Cow::Borrowed(key),
                ns => {
                    Cow::Owned(format!("{{{}}}{}", tree.uri(ns), key.split_once(':').map_or(key, |(_, local)| local)))
                }
            };
            (name, tree.str(&attribute.value))
        })
    }

    /// Returns the child elements in document order.
    pub fn children(self) -> Children<'a> {
        Children { tree: self.tree, next: self.index + 1, end: self.node().end }
    }

    /// Returns the first child of that namespace and name.
    pub fn child(self, ns: Ns, name: &str) -> Option<Self> {
        self.children().find(|child| child.is(ns, name))
    }

    /// Returns the text directly in the element, entities expanded, CDATA included, blanks kept but for pieces
    /// that are nothing else.
    pub fn text(self) -> Cow<'a, str> {
        let mut all = Cow::Borrowed("");
        let (mut next, end) = (self.index + 1, self.node().end);
        while next < end {
            let node = &self.tree.nodes[next as usize];
            if node.ns.is_none() {
                let piece = self.tree.str(&node.value);
                if all.is_empty() {
                    all = Cow::Borrowed(piece);
                } else {
                    all.to_mut().push_str(piece);
                }
            }
            next = node.end;
        }
        all
    }
}

/// The child elements of an element.
#[derive(Clone, Debug)]
pub struct Children<'a> {
    tree: &'a Tree,
    next: u32,
    end: u32,
}

impl<'a> Iterator for Children<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        while self.next < self.end {
            let index = self.next;
            let node = &self.tree.nodes[index as usize];
            self.next = node.end;
            if node.ns.is_some() {
                return Some(Element { tree: self.tree, index });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
