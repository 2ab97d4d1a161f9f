//! Kamailio 5.6 and later: our own program through a real presence server, with digest, over what it listens on.

use std::{
    net::UdpSocket,
    path::Path,
    process::Command,
    time::Duration,
};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::support::{Home, Peer, Process, Test, free_port, until, with_free_ports};

pub(crate) const TESTS: &[Test] = &[];

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/kamailio/kamailio.cfg");
/// Where Debian's package has the tables.
const SCHEMA: &str = "/usr/share/kamailio/db_sqlite";
const USERS: [&str; 3] = ["alice", "bob", "carol"];

/// How a server is to be.
#[derive(Clone, Copy, Debug)]
struct How {
    auth: bool,
    sha256: bool,
    /// Whether everybody may watch everybody.
    open: bool,
}

const USUAL: How = How { auth: true, sha256: false, open: true };

/// A running Kamailio with users alice, bob and carol, whose passwords are `alice-pw` and so on, in the domain
/// `sip.test`.
struct Kamailio {
    folder: TempDir,
    process: Process,
    port: u16,
    how: How,
}

impl Kamailio {
    fn start(peer: &Peer, how: How) -> Self {
        let folder = tempfile::tempdir().unwrap();
        make_tables(folder.path());
        let (process, port) = with_free_ports(|| {
            let port = free_port();
            launch(peer, folder.path(), port, how).map(|process| (process, port))
        });
        Self { folder, process, port, how }
    }

    /// Kills it, and starts it again at the same port; with `forget` it has lost every publication.
    fn restart(&mut self, peer: &Peer, forget: bool) {
        self.process.signal(Signal::SIGTERM);
        self.process.wait();
        if forget {
            std::fs::remove_file(self.folder.path().join("presence.db")).unwrap();
            make_tables(self.folder.path());
        }
        self.process = with_free_ports(|| launch(peer, self.folder.path(), self.port, self.how));
    }
}

fn make_tables(folder: &Path) {
    let mut sql = "PRAGMA journal_mode=WAL;\n".to_owned();
    for part in ["standard", "auth_db", "usrloc", "presence"] {
        sql.push_str(&std::fs::read_to_string(format!("{SCHEMA}/{part}-create.sql")).unwrap());
    }
    for user in USERS {
        let row = format!("('{user}', 'sip.test', '{user}-pw')");
        sql.push_str(&format!("INSERT INTO subscriber (username, domain, password) VALUES {row};\n"));
    }
    let script = folder.join("tables.sql");
    std::fs::write(&script, sql).unwrap();
    let made = Command::new("sqlite3").arg(folder.join("presence.db")).arg(format!(".read {}", script.display()));
    let made = { made }.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn launch(peer: &Peer, folder: &Path, port: u16, how: How) -> Result<Process, String> {
    let mut command = Command::new(&peer.program);
    command.args(["-f", CONFIG, "-DD", "-E", "-m", "64", "-M", "8"]);
    command.arg("-w").arg(folder).arg("-Y").arg(folder);
    command.args(["-l", &format!("udp:127.0.0.1:{port}"), "-l", &format!("tcp:127.0.0.1:{port}")]);
    let mut define = |name: &str, value: &str| {
        let value = if value.is_empty() { name.to_owned() } else { format!("{name}={value}") };
        command.args(["-A", &value]);
    };
    define("PORTS", &format!("\"{port}\""));
    define("DB", &format!("\"sqlite:///{}\"", folder.join("presence.db").display()));
    define("OPEN", if how.open { "1" } else { "0" });
    if how.auth {
        define("WITH_AUTH", "");
    }
    if how.sha256 {
        define("WITH_SHA256", "");
    }
    let mut process = Process::start(&mut command);
    let probe = UdpSocket::bind("127.0.0.1:0").unwrap();
    probe.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let from = probe.local_addr().unwrap();
    let options = format!(
        "OPTIONS sip:127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP {from};rport;branch=z9hG4bKprobe\r\n\
         From: <sip:probe@127.0.0.1>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: probe\r\nCSeq: 1 OPTIONS\r\n\
         Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    );
    until("kamailio answers or gives up", || {
        if process.ended().is_some() {
            return Ok(false);
        }
        probe.send_to(options.as_bytes(), ("127.0.0.1", port)).map_err(|error| error.to_string())?;
        let mut answer = [0; 2048];
        match probe.recv(&mut answer) {
            Ok(length) if answer[..length].starts_with(b"SIP/2.0 200") => Ok(true),
            _ => Err(process.stderr()),
        }
    })
    .then_some(())
    .ok_or_else(|| process.stderr())?;
    Ok(process)
}
