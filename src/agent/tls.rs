//! From the configuration to what a client believes of certificates, and the key of this user.

use std::path::{Path, PathBuf};

use super::{AgentError, configured::has_server};
use crate::{
    client::{OwnKey, TlsSettings, TrustedKeys, Uri, own_key},
    config::{Account, Paths, Settings},
};

/// Returns the file of the keys of peers.
pub fn trusted_keys(paths: &Paths) -> TrustedKeys {
    TrustedKeys::new(paths.state_dir.join("trusted-keys"))
}

/// Returns the file of our own key.
fn key_file(paths: &Paths) -> PathBuf {
    paths.state_dir.join("tls-key.pem")
}

/// Returns the key that peers know us by, if there is one yet.
///
/// # Errors
/// When it cannot be read.
pub fn known_key(paths: &Paths) -> Result<Option<OwnKey>, AgentError> {
    let file = key_file(paths);
    if file.exists() { own(&file).map(Some) } else { Ok(None) }
}

/// Returns the same, and makes it where there is none.
///
/// # Errors
/// When it can be neither read nor made.
pub(super) fn lasting_key(paths: &Paths) -> Result<OwnKey, AgentError> {
    own(&key_file(paths))
}

fn own(file: &Path) -> Result<OwnKey, AgentError> {
    Ok(own_key(file)?)
}

/// Returns how an account deals with TLS; the key is to be added.
pub fn tls(settings: &Settings, account: Option<&Account>, paths: &Paths) -> TlsSettings {
    let mut tls = TlsSettings::default().trusted_keys(trusted_keys(paths), settings.tls.first_use);
    if let Some(file) = &settings.tls.ca_file {
        tls = tls.ca_file(file);
    }
    let Some(account) = account.filter(|account| has_server(account)) else { return tls };
    for uri in std::iter::once(&account.address).chain(&account.outbound_proxy) {
        if let Ok(uri) = uri.parse::<Uri>() {
            tls = tls.server(uri.as_ref().host_text());
        }
    }
    if let Some((certificate, key)) = &account.certificate {
        tls = tls.certificate(certificate, key);
    }
    tls.insecure(account.insecure)
}

/// Returns what is to be said at each start of accounts whose server is believed whoever it is (SEC-04).
pub fn insecure_warnings<'a>(accounts: impl Iterator<Item = (&'a str, &'a Account)>) -> Vec<String> {
    let insecure = accounts.filter(|(_, account)| account.insecure);
    insecure
        .map(|(name, _)| {
            format!(
                "account {name} is insecure: any certificate of its server is taken, so whoever is in between can read and \
                 change all of it, the password left out; `tls.ca_file` names an authority instead"
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_04_an_insecure_account_is_warned_of() {
        let (safe, mut careless) = (Account::new("sip:a@example.com"), Account::new("sip:b@example.com"));
        careless.insecure = true;
        let warnings = insecure_warnings([("safe", &safe), ("careless", &careless)].into_iter());
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].starts_with("account careless is insecure: any certificate"), "{warnings:?}");
    }
}
