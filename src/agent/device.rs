//! The URN of this device, the same at every start (RFC 4479 §3.4).

use std::{fs, path::Path};

use tracing::warn;

use crate::config::{prepare_private_dir, private::write_private};

/// Reads the URN from the state folder, or makes one and keeps it there; none if neither can be done, which
/// costs nothing but its constancy.
pub(super) fn urn(state_dir: &Path) -> Option<String> {
    let path = state_dir.join("device");
    if let Some(urn) = known(state_dir) {
        return Some(urn);
    }
    let urn = crate::client::random_urn();
    let kept = prepare_private_dir(state_dir)
        .map_err(|error| error.to_string())
        .and_then(|()| write_private(&path, format!("{urn}\n").as_bytes()).map_err(|error| error.to_string()));
    match kept {
        Ok(()) => Some(urn),
        Err(error) => {
            warn!(%error, "the device's name cannot be kept, so the next start takes another");
            None
        }
    }
}

/// Reads the URN from the state folder, if an agent ever kept one there.
pub fn known(state_dir: &Path) -> Option<String> {
    let text = fs::read_to_string(state_dir.join("device")).ok()?;
    is_urn(text.trim()).then(|| text.trim().to_owned())
}

fn is_urn(text: &str) -> bool {
    text.strip_prefix("urn:uuid:")
        .is_some_and(|uuid| uuid.len() == 36 && uuid.chars().all(|c| c.is_ascii_hexdigit() || c == '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pid_15_the_urn_is_the_same_at_the_next_start_and_a_spoilt_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let first = urn(folder.path()).unwrap();
        assert!(is_urn(&first));
        assert_eq!(urn(folder.path()), Some(first.clone()));
        fs::write(folder.path().join("device"), "<junk>").unwrap();
        assert_ne!(urn(folder.path()), Some(first));
    }
}
