//! How our own server is started, and how it is looked into.

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use jiff::Timestamp;
use serde_json::Value;
use sippresence::{
    server::store::{Store, Table},
    sip::auth::{Hash, ha1},
};

use super::How;
use crate::support::until;

/// The domains in which everybody has an account.
const DOMAINS: [&str; 2] = ["sip.test", "127.0.0.1"];

fn files(folder: &Path) -> PathBuf {
    folder.join("state/sippresence/server")
}

pub(super) fn store(folder: &Path) -> PathBuf {
    files(folder).join("server.redb")
}

pub(super) fn make_accounts(folder: &Path, users: &[&str]) {
    let mut text = String::new();
    for user in users {
        for domain in DOMAINS {
            let digest = |hash: Hash| format!("{}:{}", hash.token(), *ha1(hash, user, domain, &format!("{user}-pw")));
            let digests = Hash::ALL.map(digest).join(" ");
            writeln!(text, "{user}@{domain} {digests}").unwrap();
        }
    }
    fs::create_dir_all(files(folder)).unwrap();
    let path = files(folder).join("accounts");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

pub(super) fn command(folder: &Path, (port, _): (u16, u16), how: How) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sippresence"));
    command.env_clear().env("HOME", folder);
    for (name, of) in [("XDG_CONFIG_HOME", "config"), ("XDG_STATE_HOME", "state"), ("XDG_RUNTIME_DIR", "run")] {
        fs::create_dir_all(folder.join(of)).unwrap();
        command.env(name, folder.join(of));
    }
    command.args(["serve", "--port", &port.to_string(), "--default", if how.open { "allow" } else { "ask" }]);
    for domain in DOMAINS {
        command.args(["--domain", domain]);
    }
    if how.telephones {
        command.args(["--legacy", "--min-expires", "20"]);
    }
    if how.sha256 {
        command.args(["--auth-min", "sha-256"]);
    }
    if how.tls {
        command.arg("--tls-cert").arg(folder.join("cert.pem")).arg("--tls-key").arg(folder.join("key.pem"));
    }
    command
}

/// Returns entity-tags of a user's publications with the seconds that they hold: what a crash would leave of the file.
pub(super) fn publications(folder: &Path, user: &str) -> Vec<(String, i64)> {
    let rows = until("the file can be read", || {
        let copy = tempfile::tempdir().map_err(|error| error.to_string())?;
        let path = copy.path().join("copy.redb");
        fs::copy(store(folder), &path).map_err(|error| error.to_string())?;
        let read = Store::open(&path).and_then(|mut store| store.load(Table::Publications));
        read.map_err(|error| error.to_string())
    });
    let found = rows.into_iter().filter_map(|(_, value)| {
        let head: Value = serde_json::from_slice(value.split(|byte| *byte == b'\n').next()?).ok()?;
        let ends_at: Timestamp = head["ends_at"].as_str()?.parse().ok()?;
        let is_his = head["resource"].as_str()?.starts_with(&format!("sip:{user}@"));
        is_his.then(|| (head["etag"].as_str().unwrap().to_owned(), ends_at.duration_since(Timestamp::now()).as_secs()))
    });
    found.collect()
}
