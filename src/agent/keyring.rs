//! A password from the keyring of the user's desktop, by the Secret Service that GNOME, KDE and others speak.
//!
//! It is found by two attributes, `service` and `username`, as `secret-tool` writes them; putting it there is left to
//! that.

use keyring_core::{CredentialStore, Error};
use secrecy::zeroize::Zeroizing;
use zbus_secret_service_keyring_store::Store;

use crate::config::secret::Secret;

/// What our passwords are filed under.
const SERVICE: &str = "sippresence";

/// Gets the password of an account by its address; it blocks, and somebody may have to unlock the keyring first.
///
/// # Errors
/// Why there is none, in words.
pub(super) fn password(address: &str) -> Result<Secret, String> {
    let store = Store::new().map_err(|error| words(&error, address))?;
    password_in(&*store, address)
}

fn password_in(store: &CredentialStore, address: &str) -> Result<Secret, String> {
    let entry = store.build(SERVICE, address, None).map_err(|error| words(&error, address))?;
    let password = Zeroizing::new(entry.get_password().map_err(|error| words(&error, address))?);
    Secret::from_first_line(&password).ok_or_else(|| words(&Error::NoEntry, address))
}

fn words(error: &Error, address: &str) -> String {
    match error {
        Error::NoEntry => format!(
            "the keyring has none: secret-tool store --label=sippresence service {SERVICE} username {address} puts it there"
        ),
        Error::Ambiguous(_) => format!("the keyring has several of service {SERVICE} and username {address}"),
        Error::NoStorageAccess(error) | Error::PlatformFailure(error) => {
            format!("the keyring cannot be had, it is locked or there is none here: {error}")
        }
        // What does not name the bytes that were found.
        Error::BadEncoding(_) | Error::BadDataFormat(..) => "what the keyring has is no text".to_owned(),
        error => format!("the keyring: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use keyring_core::{api::CredentialStoreApi as _, mock};

    use super::*;

    const ALICE: &str = "sip:alice@example.com";

    #[test]
    fn sec_10_a_password_is_found_by_the_address_of_its_account() {
        let store = mock::Store::new().unwrap();
        let entry = store.build(SERVICE, ALICE, None).unwrap();
        let none = password_in(&*store, ALICE).unwrap_err();
        assert!(none.contains("service sippresence username sip:alice@example.com puts it there"), "{none}");
        entry.set_password("battery \u{e4} 7\n").unwrap();
        assert_eq!(password_in(&*store, ALICE).unwrap().reveal(), "battery \u{e4} 7");
        assert!(password_in(&*store, "sip:bob@example.com").is_err());
    }

    #[test]
    fn why_the_keyring_gives_none_is_told_and_nothing_of_what_it_has() {
        let store = mock::Store::new().unwrap();
        let entry = store.build(SERVICE, ALICE, None).unwrap();
        for (error, why) in [
            (
                Error::NoStorageAccess("it is locked".into()),
                "cannot be had, it is locked or there is none here: it is locked",
            ),
            (Error::BadEncoding(b"battery".to_vec()), "what the keyring has is no text"),
            (Error::Ambiguous(Vec::new()), "has several of service sippresence and username sip:alice@example.com"),
        ] {
            entry.as_any().downcast_ref::<mock::Cred>().unwrap().set_error(error);
            let words = password_in(&*store, ALICE).unwrap_err();
            assert!(words.contains(why) && !words.contains("battery"), "{words}");
        }
    }
}
