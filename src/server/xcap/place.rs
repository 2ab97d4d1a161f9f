//! Which document a path means (RFC 4825 §6).
//!
//! A path is cut at its slashes before anything in it is unescaped, and each part has to be one that is known; what is left
//! is the name of an account and a usage. So no path leads out of the tree, however it is written.

use crate::{net::http::Uri, server::accounts::Name, sip::uri::unescape_user};

/// What a document is for (RFC 4825 §5); each user has one of each, `index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Usage {
    /// Who may see him (RFC 5025).
    PresRules,
    /// Lists of people (RFC 4826).
    ResourceLists,
    /// His state where he publishes none (RFC 4827).
    PidfManipulation,
}

impl Usage {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::PresRules, Self::ResourceLists, Self::PidfManipulation];

    /// Returns the application unique ID.
    pub const fn auid(self) -> &'static str {
        match self {
            Self::PresRules => "pres-rules",
            Self::ResourceLists => "resource-lists",
            Self::PidfManipulation => "pidf-manipulation",
        }
    }

    /// Returns the media type of its documents.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::PresRules => "application/auth-policy+xml",
            Self::ResourceLists => "application/resource-lists+xml",
            Self::PidfManipulation => "application/pidf+xml",
        }
    }

    /// Returns the namespaces that its documents are of.
    pub const fn namespaces(self) -> &'static [&'static str] {
        match self {
            Self::PresRules => &["urn:ietf:params:xml:ns:common-policy", "urn:ietf:params:xml:ns:pres-rules"],
            Self::ResourceLists => &["urn:ietf:params:xml:ns:resource-lists"],
            Self::PidfManipulation => &["urn:ietf:params:xml:ns:pidf"],
        }
    }
}

/// Where a document is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// In whose tree.
    pub owner: Name,
    /// For what.
    pub usage: Usage,
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// Nothing.
    None,
    /// A part of a document.
    Node,
    /// The document that says what this server can do.
    Capabilities,
    /// A document in the tree of some user; without an owner it is nobody's who can have an account.
    Own { usage: Usage, owner: Option<Name>, is_index: bool },
}

/// Where the tree begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Root(Vec<Box<str>>);

impl Root {
    pub(super) fn new(path: &str) -> Self {
        Self(path.split('/').filter(|part| !part.is_empty()).map(Into::into).collect())
    }

    /// Says what a request is about.
    pub(super) fn read(&self, uri: &Uri) -> Path {
        let Some(parts) = uri.path().strip_prefix('/') else { return Path::None };
        let Some(parts) = parts.split('/').map(unescaped).collect::<Option<Vec<String>>>() else { return Path::None };
        let at_root = parts.iter().zip(&self.0).all(|(part, root)| **part == **root);
        let Some(parts) = parts.get(self.0.len()..).filter(|_| at_root) else { return Path::None };
        let (parts, is_node) = match parts.iter().position(|part| part == "~~") {
            Some(at) => (&parts[..at], true),
            None => (parts, false),
        };
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let path = match parts[..] {
            ["xcap-caps", "global", "index"] => Path::Capabilities,
            [auid, "users", xui, name] => match Usage::ALL.into_iter().find(|usage| usage.auid() == auid) {
                Some(usage) => Path::Own { usage, owner: owner(xui), is_index: name == "index" },
                None => Path::None,
            },
            _ => Path::None,
        };
        match path {
            Path::None => Path::None,
            _ if is_node => Path::Node,
            // A query is of a part's namespaces alone (§6.4).
            _ if uri.query().is_some() => Path::None,
            path => path,
        }
    }
}

/// Reads one part of a path; none for what is no text, or could be taken for something else than a name.
fn unescaped(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let digit = |byte: &u8| char::from(*byte).to_digit(16);
            let (high, low) = tail.first().and_then(digit).zip(tail.get(1).and_then(digit))?;
            bytes.push((high * 16 + low) as u8);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    let is_name = !text.is_empty() && text != "." && text != ".." && !text.contains(['/', '\\']);
    (is_name && !text.contains(char::is_control)).then_some(text)
}

/// Reads whose tree it is: `sip:alice@example.com`, or without a scheme.
fn owner(xui: &str) -> Option<Name> {
    let bare = match xui.split_once(':') {
        Some((scheme, rest)) if ["sip", "sips", "pres"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) => rest,
        _ => xui,
    };
    let (user, domain) = bare.rsplit_once('@')?;
    Name::new(&unescape_user(user), domain).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(root: &str, path: &str) -> Path {
        Root::new(root).read(&path.parse().unwrap())
    }

    fn own(user: &str, usage: Usage) -> Path {
        Path::Own { usage, owner: Some(user.parse().unwrap()), is_index: true }
    }

    #[test]
    fn xcp_01_a_path_is_root_usage_user_and_document() {
        for (root, path, expected) in [
            (
                "/xcap-root",
                "/xcap-root/pres-rules/users/sip:alice@example.com/index",
                own("alice@example.com", Usage::PresRules),
            ),
            ("", "/resource-lists/users/sip:alice@example.com/index", own("alice@example.com", Usage::ResourceLists)),
            (
                "/a/b/",
                "/a/b/pidf-manipulation/users/alice@Example.com/index",
                own("alice@example.com", Usage::PidfManipulation),
            ),
            (
                "/",
                "http://h/pres-rules/users/SIP:alice%40example.com/index",
                own("alice@example.com", Usage::PresRules),
            ),
            ("/", "/pres%2Drules/users/sip%3aalice%40example.com/%69ndex", own("alice@example.com", Usage::PresRules)),
            // The address of 😀, escaped in a path; and as it is.
            (
                "/",
                "/pres-rules/users/sip:%25F0%259F%2598%2580@example.com/index",
                own("😀@example.com", Usage::PresRules),
            ),
            ("/", "/pres-rules/users/sip:%F0%9F%98%80@example.com/index", own("😀@example.com", Usage::PresRules)),
            ("/", "/xcap-caps/global/index", Path::Capabilities),
        ] {
            assert_eq!(read(root, path), expected, "{path}");
        }
        let other = Path::Own { usage: Usage::PresRules, owner: Some("a@b".parse().unwrap()), is_index: false };
        assert_eq!(read("/", "/pres-rules/users/sip:a@b/other"), other);
        for nobody in ["nobody", "sip:a@b:5060", "tel:+4930", "sip:a@b;x", "sip:@b", "a%2540b"] {
            let path = Path::Own { usage: Usage::PresRules, owner: None, is_index: true };
            assert_eq!(read("/", &format!("/pres-rules/users/{nobody}/index")), path, "{nobody}");
        }
    }

    #[test]
    fn xcp_01_parts_of_documents_are_told_from_documents() {
        for path in [
            "/resource-lists/users/sip:a@b/index/~~/resource-lists/list%5b1%5d",
            "/resource-lists/users/sip:a@b/index/%7E%7e/resource-lists",
            "/resource-lists/users/sip:a@b/index/~~/a?xmlns(a=urn:b)",
            "/xcap-caps/global/index/~~/xcap-caps/auids",
        ] {
            assert_eq!(read("/", path), Path::Node, "{path}");
        }
        assert_eq!(read("/", "/resource-lists/users/sip:a@b/index?x"), Path::None);
    }

    #[test]
    fn xcp_06_no_path_leads_out_of_the_tree() {
        for path in [
            "/",
            "/pres-rules",
            "/pres-rules/users/sip:a@b",
            "/pres-rules/users/sip:a@b/index/",
            "/pres-rules/users/sip:a@b/index/more",
            "/pres-rules/users/sip:a@b/../sip:c@b/index",
            "/pres-rules/users/sip:a@b/%2e%2e/index",
            "/pres-rules/users/%2e%2e/index",
            "/pres-rules/users/%2E./index",
            "/pres-rules/users/sip:a@b%2findex",
            "/pres-rules/users/sip:c@b%2f..%2fsip:a@b/index",
            "/pres-rules/users/sip:a@b%5cindex/index",
            "/pres-rules/users/sip:a@b%00/index",
            "/pres-rules/users/sip:a@b%0d%0a/index",
            "/pres-rules/users/%ff@b/index",
            "/pres-rules/users/sip:a@b/index%",
            "/pres-rules/users/sip:a@b/index%4",
            "/pres-rules/users/sip:a@b/index%zz",
            "//pres-rules/users/sip:a@b/index",
            "/pres-rules/users//index",
            "/pres-rules//sip:a@b/index",
            "/PRES-RULES/users/sip:a@b/index",
            "/pres-rules/USERS/sip:a@b/index",
            "/pres-rules/global/index",
            "/rls-services/users/sip:a@b/index",
            "/xcap-caps/users/sip:a@b/index",
            "/~~/pres-rules/users/sip:a@b/index",
        ] {
            assert_eq!(read("/", path), Path::None, "{path}");
        }
        for path in ["/pres-rules/users/sip:a@b/index", "/xcap-rootpres-rules/users/sip:a@b/index", "/xcap-root"] {
            assert_eq!(read("/xcap-root", path), Path::None, "{path}");
        }
    }
}
