//! Watcher information: who watches a resource, as a document (RFC 3857, RFC 3858).
//!
//! Read leniently, within the limits of [`xml`](super::xml), and written strictly. A document may be partial; what a row of them
//! says together is kept by a [`Table`]. Who may have one, and what is done about a watcher, is left to others.

mod table;
mod told;

use std::{fmt::Write as _, str::FromStr};

use super::xml::{Element, Error, Ns, Tree, escape_attribute, escape_text};

pub use table::{Merged, Table};
pub(crate) use told::Told;

/// The media type.
pub const CONTENT_TYPE: &str = "application/watcherinfo+xml";
/// The longest id and the longest URI that are read, in bytes; a watcher or a list with a longer one is left out.
pub const MAX_NAME: usize = 512;
/// The longest display name that is read, in characters; the rest is cut off.
const MAX_DISPLAY_NAME: usize = 128;

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Rises by one with each document of a subscription; the first has 0, or with some servers 1.
    pub version: u32,
    /// Whether it tells everybody, and not only what changed.
    pub full: bool,
    /// One for each resource and package.
    pub lists: Vec<List>,
}

/// The watchers of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// The URI that is watched.
    pub resource: String,
    /// By which event package.
    pub package: String,
    /// Who watches it.
    pub watchers: Vec<Watcher>,
}

/// One subscription of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watcher {
    /// Names the subscription; the same in every document.
    pub id: String,
    /// Who it is.
    pub uri: String,
    /// What it calls itself.
    pub display_name: Option<String>,
    /// How it stands.
    pub status: Status,
    /// What brought it there.
    pub event: Event,
    /// Seconds until it ends unless it is refreshed.
    pub expiration: Option<u64>,
    /// Seconds that it has lasted.
    pub duration: Option<u64>,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$word_doc])* $variant),* }

        impl $name {
            /// Returns the word that stands in documents.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl FromStr for $name {
            type Err = ();

            /// Reads the word, however its letters are cased.
            fn from_str(text: &str) -> Result<Self, ()> {
                let text = text.trim();
                [$((Self::$variant, $word)),*]
                    .into_iter()
                    .find_map(|(value, word)| word.eq_ignore_ascii_case(text).then_some(value))
                    .ok_or(())
            }
        }
    };
}

words! {
    /// How a subscription stands (RFC 3857 §4.7.1); a later one tells more of who has several.
    Status {
        /// It is over.
        Terminated = "terminated",
        /// It is over, and nobody decided about it while it lasted.
        Waiting = "waiting",
        /// Nobody decided yet.
        Pending = "pending",
        /// It is served.
        Active = "active",
    }
}

words! {
    /// What brought a subscription where it is (RFC 3857 §4.7.1).
    Event {
        /// It began, and was judged by a rule.
        Subscribe = "subscribe",
        /// Somebody allowed it.
        Approved = "approved",
        /// It is to be made anew elsewhere.
        Deactivated = "deactivated",
        /// It may be made anew later.
        Probation = "probation",
        /// It was refused.
        Rejected = "rejected",
        /// It was not refreshed.
        Timeout = "timeout",
        /// Nobody decided in time.
        Giveup = "giveup",
        /// The resource is no more.
        NoResource = "noresource",
    }
}

/// Why a document could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WinfoError {
    /// It is no XML, or too much of it.
    #[error(transparent)]
    Xml(#[from] Error),
    /// Its root is another.
    #[error("it is no watcher information, but <{0}>")]
    Root(String),
    /// Its version is missing, or no number.
    #[error("its version is no number")]
    Version,
}

impl Document {
    /// Reads a document; `charset` is the parameter of its Content-Type, if it had one.
    ///
    /// Watchers without an id, a URI or a known status are left out; what is not known besides is ignored. A `state`
    /// other than `partial` is taken as `full`, and a missing event as `subscribe`.
    ///
    /// # Errors
    /// When it is no XML within the limits, no watcher information, or has no version.
    pub fn parse(body: &[u8], charset: Option<&str>) -> Result<Self, WinfoError> {
        let tree = Tree::parse(body, charset)?;
        let root = tree.root();
        if !is(root, "watcherinfo") {
            return Err(WinfoError::Root(root.name().chars().take(MAX_DISPLAY_NAME).collect()));
        }
        let version = root.attribute("version").and_then(|text| text.trim().parse().ok());
        let version = version.ok_or(WinfoError::Version)?;
        let full = root.attribute("state").is_none_or(|state| !state.trim().eq_ignore_ascii_case("partial"));
        let lists = root.children().filter(|child| is(*child, "watcher-list")).filter_map(list).collect();
        Ok(Self { version, full, lists })
    }

    /// Writes the document.
    pub fn write(&self) -> String {
        let state = if self.full { "full" } else { "partial" };
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <watcherinfo xmlns=\"urn:ietf:params:xml:ns:watcherinfo\" version=\"{}\" state=\"{state}\">\n",
            self.version
        );
        for List { resource, package, watchers } in &self.lists {
            let (resource, package) = (escape_attribute(resource), escape_attribute(package));
            let _ = writeln!(text, "<watcher-list resource=\"{resource}\" package=\"{package}\">");
            for watcher in watchers {
                watcher.write(&mut text);
            }
            text.push_str("</watcher-list>\n");
        }
        text.push_str("</watcherinfo>\n");
        text
    }
}

impl Watcher {
    fn write(&self, text: &mut String) {
        let Self { id, uri, display_name, status, event, expiration, duration } = self;
        let (id, status, event) = (escape_attribute(id), status.as_str(), event.as_str());
        let _ = write!(text, "<watcher id=\"{id}\" status=\"{status}\" event=\"{event}\"");
        if let Some(name) = display_name {
            let _ = write!(text, " display-name=\"{}\"", escape_attribute(name));
        }
        for (name, seconds) in [("expiration", expiration), ("duration-subscribed", duration)] {
            if let Some(seconds) = seconds {
                let _ = write!(text, " {name}=\"{seconds}\"");
            }
        }
        let _ = writeln!(text, ">{}</watcher>", escape_text(uri));
    }
}

/// Tells whether this is the element of that name; servers of older days write it without its namespace.
fn is(element: Element<'_>, name: &str) -> bool {
    element.name() == name && matches!(element.ns(), Ns::WATCHERINFO | Ns::NONE)
}

fn list(element: Element<'_>) -> Option<List> {
    let text = |name| {
        let text = element.attribute(name).unwrap_or_default().trim();
        (text.len() <= MAX_NAME).then(|| text.to_owned())
    };
    let watchers = element.children().filter(|child| is(*child, "watcher")).filter_map(watcher).collect();
    Some(List { resource: text("resource")?, package: text("package")?, watchers })
}

fn watcher(element: Element<'_>) -> Option<Watcher> {
    let name = |text: &str| {
        let text = text.trim();
        (!text.is_empty() && text.len() <= MAX_NAME).then(|| text.to_owned())
    };
    let seconds = |name| element.attribute(name).and_then(|text| text.trim().parse().ok());
    let display_name = element.attribute("display-name").map(str::trim).filter(|name| !name.is_empty());
    Some(Watcher {
        id: name(element.attribute("id")?)?,
        uri: name(&element.text())?,
        display_name: display_name.map(|name| name.chars().take(MAX_DISPLAY_NAME).collect()),
        status: element.attribute("status")?.parse().ok()?,
        event: element.attribute("event").and_then(|event| event.parse().ok()).unwrap_or(Event::Subscribe),
        expiration: seconds("expiration"),
        duration: seconds("duration-subscribed"),
    })
}

#[cfg(test)]
mod tests;
