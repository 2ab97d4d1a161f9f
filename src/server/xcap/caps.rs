//! What this server can do, as a document that everybody may read (RFC 4825 §12).

use bytes::Bytes;

use super::{Refused, Usage, check, conditions, document};
use crate::net::http::{Answer, serve::Request};

const KIND: &str = "application/xcap-caps+xml";
const NAMESPACE: &str = "urn:ietf:params:xml:ns:xcap-caps";

/// Answers whoever reads it.
pub(super) fn answer(request: &Request) -> Result<Answer, Refused> {
    let body = Bytes::from(write());
    let tag = conditions::etag(&body);
    check(request, Some(&tag))?;
    Ok(document(KIND, tag, body))
}

fn write() -> String {
    let all = |name: &str, values: Vec<&str>| {
        let lines = values.iter().map(|value| format!("    <{name}>{value}</{name}>\n"));
        lines.collect::<Vec<_>>().concat()
    };
    let auids = all("auid", Usage::ALL.into_iter().map(Usage::auid).chain(["xcap-caps"]).collect());
    let namespaces = Usage::ALL.into_iter().flat_map(|usage| usage.namespaces().iter().copied());
    let namespaces = all("namespace", namespaces.chain([NAMESPACE]).collect());
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<xcap-caps xmlns=\"{NAMESPACE}\">\n  <auids>\n{auids}  </auids>\n  \
         <extensions/>\n  <namespaces>\n{namespaces}  </namespaces>\n</xcap-caps>\n"
    )
}
