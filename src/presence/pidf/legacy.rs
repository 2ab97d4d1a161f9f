//! The document types before PIDF (conformance MAP-34): CPIM-PIDF, which is PIDF in another namespace, and XPIDF,
//! which some servers and phones still send.

use super::{Contact, Document, Error, Tuple};
use crate::presence::{
    info::Priority,
    status::{Activity, Basic},
    xml::{Element, Ns, Tree},
};

impl Document {
    /// Reads a body of one of [`LEGACY_CONTENT_TYPES`](super::LEGACY_CONTENT_TYPES), or PIDF.
    ///
    /// A DOCTYPE that names an external DTD, as XPIDF has it, is skipped and never fetched.
    ///
    /// # Errors
    /// As [`parse`](Self::parse); a DOCTYPE that declares anything is refused.
    pub fn parse_legacy(body: &[u8], charset: Option<&str>) -> Result<Self, Error> {
        let mut tree = Tree::parse_with_doctype(body, charset)?;
        tree.rename(Ns::CPIM_PIDF, Ns::PIDF);
        let root = tree.root();
        if root.is(Ns::PIDF, "presence") {
            return Ok(Self::of(root));
        }
        if root.is(Ns::NONE, "presence") {
            return Ok(xpidf(root));
        }
        Err(Error::NotPresence { namespace: root.namespace().to_owned(), name: root.name().to_owned() })
    }
}

fn xpidf(root: Element<'_>) -> Document {
    let uri = root.child(Ns::NONE, "presentity").and_then(|presentity| presentity.attribute("uri")).unwrap_or("");
    // The URI says how to subscribe, too.
    let entity = uri.split(";method=").next().unwrap_or("").trim().to_owned();
    let mut document = Document { entity, ..Document::default() };
    for atom in root.children().filter(|child| child.is(Ns::NONE, "atom")) {
        let id = atom.attribute("id").map(str::to_owned);
        for address in atom.children().filter(|child| child.is(Ns::NONE, "address")) {
            document.tuples.push(tuple(id.clone(), address));
        }
    }
    document
}

fn tuple(id: Option<String>, address: Element<'_>) -> Tuple {
    let word =
        |element: &str, attribute: &str| address.child(Ns::NONE, element).and_then(|child| child.attribute(attribute));
    let mut tuple = Tuple { id, ..Tuple::default() };
    let in_use = match word("status", "status").map(str::trim) {
        Some("open") => {
            tuple.basic = Some(Basic::Open);
            None
        }
        Some("closed") => {
            tuple.basic = Some(Basic::Closed);
            None
        }
        Some("inuse") => {
            tuple.basic = Some(Basic::Open);
            Some(Activity::OnThePhone)
        }
        _ => None,
    };
    let said = match word("msnsubstatus", "substatus").map(str::trim) {
        Some("onthephone") => Some(Activity::OnThePhone),
        Some("busy") => Some(Activity::Busy),
        Some("away" | "berightback" | "idle") => Some(Activity::Away),
        Some("outtolunch") => Some(Activity::Lunch),
        _ => None,
    };
    tuple.rich.activities.extend(said.or(in_use));
    tuple.contact = address.attribute("uri").map(|uri| {
        // Written with six decimals.
        let priority = address.attribute("priority").map(|priority| {
            let priority = priority.trim();
            if priority.contains('.') { priority.trim_end_matches('0') } else { priority }
        });
        Contact {
            uri: uri.trim().to_owned(),
            priority: priority.and_then(|priority| priority.parse::<Priority>().ok()),
        }
    });
    tuple
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presence::status::PresenceStatus;

    fn xpidf(status: &str, substatus: &str) -> Document {
        let body = format!(
            "<?xml version=\"1.0\"?>\n<!DOCTYPE presence PUBLIC \"-//IETF//DTD RFCxxxx XPIDF 1.0//EN\" \"xpidf.dtd\">\n<presence>\n\
             <presentity uri=\"sip:1000@192.0.2.80;method=SUBSCRIBE\" />\n<atom id=\"1000\">\n\
             <address uri=\"sip:1000@192.0.2.80;user=ip\" priority=\"0.800000\">\n<status status=\"{status}\" />\n\
             <msnsubstatus substatus=\"{substatus}\" />\n</address>\n</atom>\n</presence>"
        );
        assert!(Document::parse(body.as_bytes(), None).is_err());
        Document::parse_legacy(body.as_bytes(), None).unwrap()
    }

    #[test]
    fn map_34_xpidf_is_read_on_request_only() {
        let status = |status, substatus| xpidf(status, substatus).info(None).status;
        assert_eq!(status("open", "online"), Some(PresenceStatus::Available));
        assert_eq!(status("closed", "offline"), Some(PresenceStatus::Offline));
        assert_eq!(status("inuse", "onthephone"), Some(PresenceStatus::InCall));
        assert_eq!(status("inuse", ""), Some(PresenceStatus::InCall));
        assert_eq!(status("inuse", "busy"), Some(PresenceStatus::Busy));
        assert_eq!(status("open", "outtolunch"), Some(PresenceStatus::Away));
        let read = xpidf("open", "online");
        assert_eq!(read.entity, "sip:1000@192.0.2.80");
        assert_eq!(read.tuples[0].contact.as_ref().unwrap().priority, Some(Priority::default()));
    }

    #[test]
    fn map_34_cpim_pidf_is_read_on_request_only() {
        let body = b"<presence xmlns='urn:ietf:params:xml:ns:cpim-pidf' entity='sip:a@b'><tuple id='t'><status><basic>open</basic></status></tuple></presence>";
        assert!(Document::parse(body, None).is_err());
        assert_eq!(Document::parse_legacy(body, None).unwrap().info(None).status, Some(PresenceStatus::Available));
    }

    #[test]
    fn map_34_a_doctype_that_declares_anything_is_refused_on_request_too() {
        let body = b"<!DOCTYPE presence [<!ENTITY x 'y'>]><presence/>";
        assert!(Document::parse_legacy(body, None).is_err());
        assert!(matches!(Document::parse_legacy(b"<a/>", None), Err(Error::NotPresence { .. })));
    }
}
