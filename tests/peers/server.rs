//! The presence server that tests work through: Kamailio, or our own, by the same code.

mod kamailio;
mod ours;

use std::{
    fmt::Write as _, net::UdpSocket, os::unix::fs::PermissionsExt, path::Path, process::Command, time::Duration,
};

use nix::sys::signal::Signal;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use tempfile::TempDir;

use super::support::{Home, Peer, Process, free_port, until, with_free_ports};

const USERS: [&str; 3] = ["alice", "bob", "carol"];

/// How a server is to be.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the server's")]
pub(super) struct How {
    pub(super) auth: bool,
    pub(super) sha256: bool,
    /// Whether everybody may watch everybody.
    pub(super) open: bool,
    /// Whether it takes publications.
    pub(super) publishes: bool,
    /// Whether it listens for TLS, on a port beside.
    pub(super) tls: bool,
    /// Whether it speaks Outbound, and wants a ping every ten seconds.
    pub(super) outbound: bool,
    /// Whether it wants those who come by TLS to show a certificate.
    pub(super) asks: bool,
    /// Whether telephones of older days come, which know one hash.
    pub(super) telephones: bool,
    /// Whether it keeps documents, by HTTP on the ports of TCP and TLS, and obeys the rules in them.
    pub(super) xcap: bool,
}

pub(super) const USUAL: How = How {
    auth: true,
    sha256: false,
    open: true,
    publishes: true,
    tls: false,
    outbound: false,
    asks: false,
    telephones: false,
    xcap: false,
};
pub(super) const WITH_OUTBOUND: How = How { outbound: true, ..USUAL };
/// Whoever no rule of a user's allows waits to be allowed.
pub(super) const WITH_XCAP: How = How { open: false, xcap: true, ..USUAL };
pub(super) const XCAP_BY_TLS: How = How { tls: true, ..WITH_XCAP };
pub(super) const BY_TLS: How = How { tls: true, ..USUAL };

/// A running server with users alice, bob and carol, whose passwords are `alice-pw` and so on, in the domain
/// `sip.test`.
pub(super) struct Server {
    pub(super) folder: TempDir,
    process: Process,
    pub(super) port: u16,
    pub(super) tls_port: u16,
    /// Where it keeps documents by HTTP.
    pub(super) xcap_port: u16,
    how: How,
    is_ours: bool,
}

/// How long it may take to end by itself.
const LEAVE: Duration = Duration::from_secs(5);

impl Server {
    pub(super) fn start(peer: &Peer, how: How) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let is_ours = peer.is_ours();
        if is_ours {
            ours::make_accounts(folder.path(), &USERS);
        } else {
            kamailio::make_tables(folder.path(), &USERS);
        }
        if how.tls {
            make_certificates(folder.path());
        }
        let (process, port, tls_port) = with_free_ports(|| {
            let port = free_port();
            let tls_port = port + 1;
            launch(&mut command(peer, folder.path(), (port, tls_port), how), port)
                .map(|process| (process, port, tls_port))
        });
        let xcap_port = match (is_ours, how.tls) {
            (true, _) => port + 2,
            (false, true) => tls_port,
            (false, false) => port,
        };
        Self { folder, process, port, tls_port, xcap_port, how, is_ours }
    }

    /// Returns by what it asks for a proof.
    pub(super) fn challenge(&self) -> &'static str {
        if self.is_ours { "401" } else { "407" }
    }

    /// Returns whether it is the one of this program.
    pub(super) fn is_ours(&self) -> bool {
        self.is_ours
    }

    /// Tells it to end, and ends it with all its children when it hangs on its way out, as it does now and then.
    fn end(&mut self) {
        if self.process.ended().is_none() {
            self.process.signal(Signal::SIGTERM);
        }
        self.process.end_within(LEAVE);
    }

    /// Ends it, and starts it again at the same port; with `forget` it has lost every publication.
    pub(super) fn restart(&mut self, peer: &Peer, forget: bool) {
        self.end();
        self.start_again(peer, forget);
    }

    fn start_again(&mut self, peer: &Peer, forget: bool) {
        match (forget, self.is_ours) {
            (true, true) => std::fs::remove_file(ours::store(self.folder.path())).unwrap(),
            (true, false) => {
                std::fs::remove_file(self.folder.path().join("presence.db")).unwrap();
                kamailio::make_tables(self.folder.path(), &USERS);
            }
            (false, _) => {}
        }
        let mut command = command(peer, self.folder.path(), (self.port, self.tls_port), self.how);
        self.process = with_free_ports(|| launch(&mut command, self.port));
    }
}

fn command(peer: &Peer, folder: &Path, ports: (u16, u16), how: How) -> Command {
    if peer.is_ours() { ours::command(folder, ports, how) } else { kamailio::command(peer, folder, ports, how) }
}

/// Starts it, and waits until it answers.
fn launch(command: &mut Command, port: u16) -> Result<Process, String> {
    // Whoever still had it would answer in its place.
    until("the port is let go of", || UdpSocket::bind(("127.0.0.1", port)));
    let mut process = Process::start(command);
    let probe = UdpSocket::bind("127.0.0.1:0").unwrap();
    probe.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let from = probe.local_addr().unwrap();
    let options = format!(
        "OPTIONS sip:127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP {from};rport;branch=z9hG4bKprobe\r\n\
         From: <sip:probe@127.0.0.1>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: probe\r\nCSeq: 1 OPTIONS\r\n\
         Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    );
    until("the server answers or gives up", || {
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

/// An authority, certificates of it for 127.0.0.1 and for a user, and another authority that nobody is certified by.
fn make_certificates(folder: &Path) {
    let authority = |name: &str| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), params.self_signed(&key).unwrap().pem()).unwrap();
        Issuer::new(params, key)
    };
    let (issuer, _) = (authority("ca"), authority("other-ca"));
    for (name, san) in [
        ("", SanType::IpAddress("127.0.0.1".parse().unwrap())),
        ("alice-", SanType::URI("sip:alice@sip.test".try_into().unwrap())),
    ] {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![san];
        let key = KeyPair::generate().unwrap();
        let (cert_file, key_file) = (folder.join(format!("{name}cert.pem")), folder.join(format!("{name}key.pem")));
        std::fs::write(cert_file, params.signed_by(&key, &issuer).unwrap().pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        std::fs::set_permissions(key_file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

impl Server {
    /// Makes a home with accounts at this server, the first of them the usual one.
    pub(super) fn home(&self, accounts: &[&str], more: &str) -> Home {
        self.home_with(accounts, "", more)
    }

    /// The same, with parameters of the proxy.
    pub(super) fn home_with(&self, accounts: &[&str], parameters: &str, more: &str) -> Home {
        let home = Home::new("somebody");
        let mut text = format!("default_account = \"{}\"\n[agent]\nport = {}\n", accounts[0], free_port());
        for account in accounts {
            let file = home.path(&format!("{account}.pw"));
            std::fs::write(&file, format!("{account}-pw\n")).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
            writeln!(
                text,
                "[account.{account}]\naddress = \"sip:{account}@sip.test\"\n\
                 outbound_proxy = \"sip:127.0.0.1:{}{parameters}\"\npassword_file = \"{}\"",
                self.port,
                file.display()
            )
            .unwrap();
        }
        home.write("config.toml", &format!("{text}{more}"));
        home
    }

    /// Makes a home whose account works over TLS, trusting one of the authorities.
    pub(super) fn home_by_tls(&self, account: &str, authority: &str, more: &str) -> Home {
        let home = self.home_with(&[account], ";transport=tls", more);
        let ca = self.folder.path().join(authority);
        let text = std::fs::read_to_string(home.path("config/sippresence/config.toml")).unwrap();
        let text = text.replace(&format!(":{};", self.port), &format!(":{};", self.tls_port));
        home.write("config.toml", &format!("{text}[tls]\nca_file = \"{}\"\n", ca.display()));
        home
    }

    /// Returns the entity-tags of a user's publications, as the server has them.
    pub(super) fn tags(&self, user: &str) -> Vec<String> {
        self.publications(user).into_iter().map(|(tag, _)| tag).collect()
    }

    /// Returns how long a user's publication stands there.
    pub(super) fn seconds_left(&self, user: &str) -> i64 {
        self.publications(user)[0].1
    }

    /// Returns entity-tags with the seconds that they hold.
    fn publications(&self, user: &str) -> Vec<(String, i64)> {
        let folder = self.folder.path();
        if self.is_ours { ours::publications(folder, user) } else { kamailio::publications(folder, user) }
    }
}
