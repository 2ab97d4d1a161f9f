//! Changing one account, and leaving the rest of the file as it is.

use std::path::Path;

use secrecy::zeroize::Zeroizing;

use super::{Accounts, AccountsError, MAX_FILE, Name, parse_line};
use crate::{
    config::{lock_folder_of, read_closed_whole, write_private},
    sip::auth::{Hash, ha1},
};

/// How a new file begins.
const HEADER: &str = "\
# sippresence: accounts of the embedded server; see `sippresence serve user`.
# Whoever has a digest of this file has the account: keep it to yourself.
";

/// Gives somebody an account who has none.
///
/// # Errors
/// When there is one, the password is empty, or the file cannot be read or written.
pub fn add(path: &Path, name: &Name, password: &str) -> Result<(), AccountsError> {
    put(path, name, password, false)
}

/// Gives an account another password.
///
/// # Errors
/// When there is none, the password is empty, or the file cannot be read or written.
pub fn set_password(path: &Path, name: &Name, password: &str) -> Result<(), AccountsError> {
    put(path, name, password, true)
}

/// Takes accounts away, all of them or none.
///
/// # Errors
/// When one of them is not there, or the file cannot be read or written.
pub fn remove(path: &Path, names: &[Name]) -> Result<(), AccountsError> {
    edit(path, |accounts, lines| {
        if let Some(unknown) = names.iter().find(|name| accounts.find(name.user(), name.domain()).is_none()) {
            return Err(AccountsError::Unknown(unknown.clone()));
        }
        lines.retain(|line| !names.iter().any(|name| is_of(line, name)));
        Ok(())
    })
}

fn put(path: &Path, name: &Name, password: &str, again: bool) -> Result<(), AccountsError> {
    if password.is_empty() {
        return Err(AccountsError::EmptyPassword);
    }
    edit(path, |accounts, lines| {
        let line = line_of(name, password);
        match (accounts.find(name.user(), name.domain()).is_some(), again) {
            (true, false) => return Err(AccountsError::Exists(name.clone())),
            (false, true) => return Err(AccountsError::Unknown(name.clone())),
            (false, false) => lines.push(line),
            (true, true) => lines.iter_mut().filter(|line| is_of(line, name)).for_each(|old| old.clone_from(&line)),
        }
        Ok(())
    })
}

/// Reads the file, changes its lines, and writes it whole, while nobody else does.
fn edit(
    path: &Path,
    change: impl FnOnce(&Accounts, &mut Vec<Zeroizing<String>>) -> Result<(), AccountsError>,
) -> Result<(), AccountsError> {
    let _locked = lock_folder_of(path, true)?;
    let text = match read_closed_whole(path, MAX_FILE) {
        Ok(text) => text,
        Err(error) if error.is_missing() => Zeroizing::new(HEADER.to_owned()),
        Err(error) => return Err(error.into()),
    };
    let accounts = Accounts::parse(&text, path)?;
    let mut lines: Vec<Zeroizing<String>> = text.lines().map(|line| Zeroizing::new(line.to_owned())).collect();
    change(&accounts, &mut lines)?;
    let mut text = Zeroizing::new(String::with_capacity(text.len() + 512));
    for line in &lines {
        text.push_str(line);
        text.push('\n');
    }
    Ok(write_private(path, text.as_bytes())?)
}

fn line_of(name: &Name, password: &str) -> Zeroizing<String> {
    let mut line = Zeroizing::new(name.to_string());
    for hash in Hash::ALL {
        for part in [" ", hash.token(), ":", &ha1(hash, name.user(), name.domain(), password)] {
            line.push_str(part);
        }
    }
    line
}

fn is_of(line: &str, name: &Name) -> bool {
    // Every line was read before.
    parse_line(line).ok().flatten().is_some_and(|(of, _)| of == *name)
}
