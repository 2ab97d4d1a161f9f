//! How Kamailio is started, and how it is looked into.

use std::{fmt::Write as _, os::unix::process::CommandExt, path::Path, process::Command};

use super::How;
use crate::support::Peer;

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/kamailio/kamailio.cfg");
/// Where Debian's package has the tables.
const SCHEMA: &str = "/usr/share/kamailio/db_sqlite";

pub(super) fn make_tables(folder: &Path, users: &[&str]) {
    let mut sql = "PRAGMA journal_mode=WAL;\n".to_owned();
    for part in ["standard", "auth_db", "usrloc", "presence"] {
        sql.push_str(&std::fs::read_to_string(format!("{SCHEMA}/{part}-create.sql")).unwrap());
    }
    for user in users {
        let row = format!("('{user}', 'sip.test', '{user}-pw')");
        writeln!(sql, "INSERT INTO subscriber (username, domain, password) VALUES {row};").unwrap();
    }
    let script = folder.join("tables.sql");
    std::fs::write(&script, sql).unwrap();
    let read = format!(".read {}", script.display());
    let made = Command::new("sqlite3").arg(folder.join("presence.db")).arg(read).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

pub(super) fn command(peer: &Peer, folder: &Path, (port, tls_port): (u16, u16), how: How) -> Command {
    let mut command = Command::new(&peer.program);
    // Its children are in this group with it.
    command.process_group(0);
    command.args(["-f", CONFIG, "-DD", "-E", "-m", "64", "-M", "8"]);
    command.arg("-w").arg(folder).arg("-Y").arg(folder);
    command.args(["-l", &format!("udp:127.0.0.1:{port}"), "-l", &format!("tcp:127.0.0.1:{port}")]);
    let mut define = |name: &str, value: &str| {
        let value = if value.is_empty() { name.to_owned() } else { format!("{name}={value}") };
        command.args(["-A", &value]);
    };
    define("PORTS", &format!("\"{port}|{tls_port}\""));
    define("DB", &format!("\"sqlite:///{}\"", folder.join("presence.db").display()));
    define("OPEN", if how.open { "1" } else { "0" });
    if how.auth {
        define("WITH_AUTH", "");
    }
    if !how.publishes {
        define("WITHOUT_PUBLISH", "");
    }
    if how.sha256 {
        define("WITH_SHA256", "");
    }
    if how.outbound {
        define("WITH_OUTBOUND", "");
    }
    if how.xcap {
        define("WITH_XCAP", "");
    }
    if how.tls {
        define("WITH_TLS", "");
        define("TLS_KEY", &format!("\"{}\"", folder.join("key.pem").display()));
        define("TLS_CERT", &format!("\"{}\"", folder.join("cert.pem").display()));
        if how.asks {
            define("TLS_CLIENTS_OF", &format!("\"{}\"", folder.join("ca.pem").display()));
        }
        command.args(["-l", &format!("tls:127.0.0.1:{tls_port}")]);
    }
    command
}

/// Returns entity-tags of a user's publications with the seconds that they hold.
pub(super) fn publications(folder: &Path, user: &str) -> Vec<(String, i64)> {
    let query = format!("select etag, expires - strftime('%s', 'now') from presentity where username = '{user}'");
    let found = Command::new("sqlite3").arg(folder.join("presence.db")).arg(query).output().unwrap();
    let text = String::from_utf8_lossy(&found.stdout).into_owned();
    let rows = text.lines().filter_map(|line| line.split_once('|'));
    rows.map(|(tag, left)| (tag.to_owned(), left.parse().unwrap())).collect()
}
