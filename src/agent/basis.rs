//! What the client of an account was made of: where any of it is another, the client has to begin anew.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::config::{Account, PasswordSource, Register, Settings};

/// What a client was made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Basis {
    /// What all accounts have in common; what is put in force without them is left out.
    pub(super) settings: Settings,
    /// What stands under the account's own name.
    pub(super) account: Option<Account>,
    /// The files that both name, as they were.
    files: Vec<(PathBuf, Option<Stamp>)>,
}

/// What changes when a file is written or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Basis {
    /// Takes note of what a client is about to be made of.
    pub(super) fn of(settings: &Settings, account: Option<&Account>) -> Self {
        let mut common = settings.clone();
        (common.default_account, common.accounts) = (None, std::collections::BTreeMap::new());
        (common.policy, common.hooks) = Default::default();
        (common.agent.autostart, common.agent.persist) = Default::default();
        let files = files(settings, account);
        let files = files.into_iter().map(|file| (file.clone(), Stamp::of(&file))).collect();
        Self { settings: common, account: account.cloned(), files }
    }

    /// Says whether something of it stays behind elsewhere under `next`: at another address, or at a server that is
    /// not used or registered with any more.
    pub(super) fn leaves_something(&self, next: &Self) -> bool {
        let address = |basis: &Self| basis.account.as_ref().map(|account| account.address.clone());
        let served = |basis: &Self| basis.account.as_ref().is_some_and(super::configured::has_server);
        let registers =
            |basis: &Self| basis.account.as_ref().is_some_and(|account| account.register == Register::Always);
        address(self) != address(next) || served(self) && !served(next) || registers(self) && !registers(next)
    }

    /// Says whether the same server asks for the password of the same user.
    pub(super) fn asks_alike(&self, next: &Self) -> bool {
        let asks = |basis: &Self| {
            let account = basis.account.as_ref()?;
            Some((account.outbound_proxy.clone(), account.auth_user.clone(), account.mode))
        };
        asks(self) == asks(next)
    }
}

fn files(settings: &Settings, account: Option<&Account>) -> Vec<PathBuf> {
    let password = match account.map(|account| &account.password) {
        Some(PasswordSource::File(path)) => Some(path.clone()),
        _ => None,
    };
    let certificate = account.and_then(|account| account.certificate.clone());
    let certificate = certificate.map(<[PathBuf; 2]>::from).into_iter().flatten();
    settings.tls.ca_file.clone().into_iter().chain(password).chain(certificate).collect()
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self { inode: found.ino(), size: found.size(), changed: (found.ctime(), found.ctime_nsec()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_is_made_of_is_compared_by_words_and_by_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        fs::write(&file, "one").unwrap();
        let mut account = Account::new("sip:alice@example.com");
        account.password = PasswordSource::File(file.clone());
        let mut settings = Settings::default();
        let first = Basis::of(&settings, Some(&account));
        assert_eq!(first, Basis::of(&settings, Some(&account)));
        settings.hooks.on_event = vec!["true".into()];
        settings.accounts.insert("other".into(), Account::new("sip:a@example.org"));
        assert_eq!(first, Basis::of(&settings, Some(&account)), "what is no matter of the client");
        fs::rename(&file, folder.path().join("old")).unwrap();
        fs::write(&file, "two").unwrap();
        let second = Basis::of(&settings, Some(&account));
        assert_ne!(first, second);
        settings.watch.rate += 1;
        assert_ne!(second, Basis::of(&settings, Some(&account)));
    }

    #[test]
    fn what_stays_behind_is_known_before() {
        let basis = |change: fn(&mut Account)| {
            let mut account = Account::new("sip:alice@example.com");
            change(&mut account);
            Basis::of(&Settings::default(), Some(&account))
        };
        let plain = basis(|_| {});
        let registered = basis(|account| account.register = Register::Always);
        let alone = basis(|account| account.mode = crate::config::Mode::P2p);
        let proxied = basis(|account| account.outbound_proxy = Some("sip:pbx.example.com".into()));
        let moved = basis(|account| account.address = "sip:alice@example.org".into());
        for (before, after, leaves) in [
            (&plain, &plain, false),
            (&plain, &registered, false),
            (&registered, &plain, true),
            (&plain, &alone, true),
            (&alone, &plain, false),
            (&plain, &proxied, false),
            (&plain, &moved, true),
        ] {
            assert_eq!(before.leaves_something(after), leaves, "{before:?} {after:?}");
        }
        assert!(plain.asks_alike(&registered) && !plain.asks_alike(&proxied));
    }
}
