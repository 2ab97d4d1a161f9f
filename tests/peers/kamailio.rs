//! Kamailio 5.6 and later: our own program through a real presence server, with digest, over what it listens on.

use std::{
    fmt::Write as _,
    net::UdpSocket,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::Command,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use serde_json::{Value, json};
use sippresence::client::{Login, PasswordSource, PresenceClient, PresenceStatus, Secret};
use tempfile::TempDir;

use super::{
    baresip::Baresip,
    support::{Home, PATIENCE, Peer, Process, Test, free_port, until, with_free_ports},
};

pub(crate) const TESTS: &[Test] = &[
    ("kamailio::shows_what_one_sets_to_the_other_and_forgets_it_at_the_end", shows),
    ("kamailio::is_spoken_to_over_tcp_with_sha_256", over_tcp),
    ("kamailio::pub_20_keeps_one_publication_over_a_kill_of_the_agent", killed),
    ("kamailio::pub_20_keeps_a_status_for_who_runs_no_agent", without_agent),
    ("kamailio::pub_08_is_published_at_afresh_after_it_lost_everything", forgot),
    ("kamailio::aut_03_does_not_believe_a_wrong_password_of_the_doctor", doctor_unknown),
    ("kamailio::aut_03_refuses_a_wrong_password_with_exit_code_4", wrong_password),
    ("kamailio::aut_03_takes_a_password_that_was_mended_at_a_reload", mended_password),
    ("kamailio::knows_two_accounts_of_one_agent_and_one_that_fails_harms_not_the_other", two_accounts),
    ("kamailio::pub_19_registers_who_wants_to_be_registered", registers),
    ("kamailio::is_worked_through_by_the_library", library),
    ("kamailio::shows_me_what_it_shows_others_and_what_another_device_left_there", me_at_server),
    ("kamailio::is_found_well_by_the_doctor", doctor),
    ("kamailio::is_left_as_it_was_by_a_doctor_without_an_agent", doctor_alone),
    ("kamailio::takes_no_publication_and_the_doctor_says_so", doctor_refused),
    ("kamailio::is_spoken_to_over_tls_whose_authority_is_known", over_tls),
    ("kamailio::trn_17_is_told_nothing_where_its_authority_is_not_known", untrusted),
    ("kamailio::trn_22_is_shown_the_certificate_that_it_asks_for", mutual),
    ("kamailio::sec_04_is_taken_whoever_it_is_by_an_insecure_account", insecure),
    ("kamailio::pub_07_ends_with_the_last_of_many_states", many),
];

/// Those in which a telephone has an account at the same server.
pub(crate) const WITH_BARESIP: &[Test] =
    &[("kamailio::shows_our_status_to_a_telephone_and_the_telephones_to_us", telephone)];

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/kamailio/kamailio.cfg");
/// Where Debian's package has the tables.
const SCHEMA: &str = "/usr/share/kamailio/db_sqlite";
const USERS: [&str; 3] = ["alice", "bob", "carol"];

/// How a server is to be.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the server's")]
pub(super) struct How {
    auth: bool,
    sha256: bool,
    /// Whether everybody may watch everybody.
    open: bool,
    /// Whether it takes publications.
    publishes: bool,
    /// Whether it listens for TLS, on a port beside.
    tls: bool,
    /// Whether it speaks Outbound, and wants a ping every ten seconds.
    outbound: bool,
    /// Whether it wants those who come by TLS to show a certificate.
    asks: bool,
    /// Whether it keeps documents, by HTTP on the ports of TCP and TLS, and obeys the rules in them.
    xcap: bool,
}

const USUAL: How = How {
    auth: true,
    sha256: false,
    open: true,
    publishes: true,
    tls: false,
    outbound: false,
    asks: false,
    xcap: false,
};
pub(super) const WITH_OUTBOUND: How = How { outbound: true, ..USUAL };
/// Whoever no rule of a user's allows waits to be allowed.
pub(super) const WITH_XCAP: How = How { open: false, xcap: true, ..USUAL };
pub(super) const XCAP_BY_TLS: How = How { tls: true, ..WITH_XCAP };
const BY_TLS: How = How { tls: true, ..USUAL };

/// A running Kamailio with users alice, bob and carol, whose passwords are `alice-pw` and so on, in the domain
/// `sip.test`.
pub(super) struct Kamailio {
    folder: TempDir,
    process: Process,
    pub(super) port: u16,
    pub(super) tls_port: u16,
    how: How,
}

/// How long it may take to end by itself.
const LEAVE: Duration = Duration::from_secs(5);

impl Kamailio {
    pub(super) fn start(peer: &Peer, how: How) -> Self {
        let folder = tempfile::tempdir().unwrap();
        make_tables(folder.path());
        if how.tls {
            make_certificates(folder.path());
        }
        let (process, port, tls_port) = with_free_ports(|| {
            let (port, tls_port) = (free_port(), free_port());
            launch(peer, folder.path(), (port, tls_port), how).map(|process| (process, port, tls_port))
        });
        Self { folder, process, port, tls_port, how }
    }

    /// Tells it to end, and ends it with all its children when it hangs on its way out, as it does now and then.
    fn end(&mut self) {
        if self.process.ended().is_none() {
            self.process.signal(Signal::SIGTERM);
        }
        self.process.end_within(LEAVE);
    }

    /// Ends it, and starts it again at the same port; with `forget` it has lost every publication.
    fn restart(&mut self, peer: &Peer, forget: bool) {
        self.end();
        if forget {
            std::fs::remove_file(self.folder.path().join("presence.db")).unwrap();
            make_tables(self.folder.path());
        }
        self.process = with_free_ports(|| launch(peer, self.folder.path(), (self.port, self.tls_port), self.how));
    }
}

fn make_tables(folder: &Path) {
    let mut sql = "PRAGMA journal_mode=WAL;\n".to_owned();
    for part in ["standard", "auth_db", "usrloc", "presence"] {
        sql.push_str(&std::fs::read_to_string(format!("{SCHEMA}/{part}-create.sql")).unwrap());
    }
    for user in USERS {
        let row = format!("('{user}', 'sip.test', '{user}-pw')");
        writeln!(sql, "INSERT INTO subscriber (username, domain, password) VALUES {row};").unwrap();
    }
    let script = folder.join("tables.sql");
    std::fs::write(&script, sql).unwrap();
    let read = format!(".read {}", script.display());
    let made = Command::new("sqlite3").arg(folder.join("presence.db")).arg(read).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
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

fn launch(peer: &Peer, folder: &Path, (port, tls_port): (u16, u16), how: How) -> Result<Process, String> {
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

impl Drop for Kamailio {
    fn drop(&mut self) {
        self.end();
    }
}

impl Kamailio {
    /// Makes a home with accounts at this server, the first of them the usual one.
    pub(super) fn home(&self, accounts: &[&str], more: &str) -> Home {
        self.home_with(accounts, "", more)
    }

    /// The same, with parameters of the proxy.
    fn home_with(&self, accounts: &[&str], parameters: &str, more: &str) -> Home {
        let home = Home::new("somebody");
        let mut text = format!("default_account = \"{}\"\n", accounts[0]);
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
    fn tags(&self, user: &str) -> Vec<String> {
        self.select(&format!("etag from presentity where username = '{user}'"))
    }

    /// Returns how long a user's publication stands there.
    fn seconds_left(&self, user: &str) -> i64 {
        let found = self.select(&format!("expires - strftime('%s', 'now') from presentity where username = '{user}'"));
        found[0].parse().unwrap()
    }

    fn select(&self, what: &str) -> Vec<String> {
        let query = format!("select {what}");
        let database = self.folder.path().join("presence.db");
        let found = Command::new("sqlite3").arg(database).arg(query).output().unwrap();
        String::from_utf8_lossy(&found.stdout).lines().map(str::to_owned).collect()
    }
}

/// Returns exit code, stdout and stderr of our program.
pub(super) fn ended(home: &Home, arguments: &[&str]) -> (i32, String, String) {
    let output = home.command(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// An agent that a command started; it is told to end when its test does.
pub(super) struct AgentOf<'a>(pub(super) &'a Home);

impl Drop for AgentOf<'_> {
    fn drop(&mut self) {
        // It may have been stopped by the test.
        let _ = self.0.command(&["agent", "stop", "-q"]).output();
    }
}

impl AgentOf<'_> {
    pub(super) fn kill(&self) {
        let status: Value = serde_json::from_str(&self.0.run(&["agent", "status", "--json"])).unwrap();
        let pid = Pid::from_raw(i32::try_from(status["pid"].as_i64().unwrap()).unwrap());
        kill(pid, Signal::SIGKILL).unwrap();
        until("the agent is gone", || {
            let there = std::path::Path::new(&format!("/proc/{pid}")).exists();
            if there { Err("it is there") } else { Ok(()) }
        });
    }
}

pub(super) fn watch(home: &Home, target: &str) -> Process {
    Process::start(&mut home.command(&["watch", "--json", target]))
}

fn shows(peer: &Peer) {
    let server = Kamailio::start(peer, USUAL);
    let (alice, bob) = (server.home(&["alice"], ""), server.home(&["bob"], ""));
    let agent = AgentOf(&alice);
    let (code, _, err) = ended(&alice, &["set", "busy", "--note", "<meeting> & \"more\" \u{2615}"]);
    assert_eq!((code, err.lines().last()), (0, Some("the server shows it")), "{err}");
    let mut seen = watch(&bob, "alice");
    let first = seen.line("a first state", |line| line["kind"] == "snapshot" && line["status"] != "unknown");
    assert_eq!(
        (&first["status"], &first["note"]),
        (&json!("busy"), &json!("<meeting> & \"more\" \u{2615}")),
        "{first}"
    );
    assert!(first["subscription"]["route"].as_str().unwrap().contains("account's domain"), "{first}");
    alice.run(&["set", "dnd"]);
    seen.line("the next", |line| line["status"] == "dnd" && line["freshness"] == "fresh");
    // To us `offline` and to have nothing there are one thing.
    alice.run(&["set", "available"]);
    seen.line("the next", |line| line["status"] == "available");
    assert_eq!(server.tags("alice").len(), 1);
    drop(agent);
    until("nothing is left there", || {
        let tags = server.tags("alice");
        if tags.is_empty() { Ok(()) } else { Err(tags.join(" ")) }
    });
    seen.line("nobody says available", |line| line["status"] != "available");
    // What is set while no agent runs is the first that anybody sees.
    let _agent = AgentOf(&alice);
    let (code, _, err) = ended(&alice, &["set", "away"]);
    assert_eq!((code, err.lines().last()), (0, Some("the server shows it")), "{err}");
    seen.line("the next", |line| {
        assert_ne!(line["status"], "available");
        line["status"] == "away"
    });
}

fn over_tcp(peer: &Peer) {
    let server = Kamailio::start(peer, How { sha256: true, ..USUAL });
    let parameters = ";transport=tcp";
    let alice = server.home_with(&["alice"], parameters, "[auth]\nmin = \"sha-256\"\n");
    let bob = server.home_with(&["bob"], parameters, "");
    let _agent = AgentOf(&alice);
    let long = "n".repeat(1000);
    assert_eq!(ended(&alice, &["set", "away", "--note", &long]).0, 0);
    let (code, out, err) = ended(&bob, &["show", "--json", "alice"]);
    assert_eq!(code, 0, "{err}");
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&shown["status"], shown["note"].as_str().unwrap().len()), (&json!("away"), 1000));
}

fn without_agent(peer: &Peer) {
    let server = Kamailio::start(peer, USUAL);
    let alice = server.home(&["alice", "carol"], "");
    let (code, _, err) = ended(&alice, &["set", "--no-agent", "busy", "--note", "once", "--for", "45m"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("you are busy: once\n") && err.contains("no agent renews it"), "{err}");
    let first = server.tags("alice");
    let left = server.seconds_left("alice");
    assert!(first.len() == 1 && (2600..=2700).contains(&left), "{first:?} {left}");
    // Several at once, one after the other, are still one device.
    let many: Vec<_> = (0..4)
        .map(|note: u8| {
            let note = note.to_string();
            alice.command(&["set", "-q", "--no-agent", "dnd", "--note", &note]).spawn().unwrap()
        })
        .collect();
    for mut one in many {
        assert_eq!(one.wait().unwrap().code(), Some(0));
    }
    let (code, out, err) = ended(&alice, &["--no-agent", "-a", "carol", "show", "--json", "alice"]);
    let shown: Value = serde_json::from_str(&out).unwrap_or_default();
    assert_eq!((code, &shown["status"]), (0, &json!("dnd")), "{err}");
    assert!(server.tags("alice").len() == 1 && server.tags("alice") != first);
    // An agent goes on with it, and nobody works beside it.
    let agent = AgentOf(&alice);
    assert_eq!(ended(&alice, &["agent", "start"]).0, 0);
    let (code, _, err) = ended(&alice, &["set", "--no-agent", "busy"]);
    assert_eq!(code, 12, "{err}");
    assert_eq!(server.tags("alice").len(), 1);
    drop(agent);
    assert_eq!(ended(&alice, &["set", "--no-agent", "away"]).0, 0);
    // Nor does one that the next `set` starts take it away before it changes it.
    let bob = server.home(&["bob"], "");
    let mut seen = watch(&bob, "alice");
    seen.line("what was set once", |line| line["status"] == "away");
    let agent = AgentOf(&alice);
    let (code, _, err) = ended(&alice, &["set", "busy"]);
    assert_eq!(code, 0, "{err}");
    seen.line("what was set next", |line| {
        assert!(line["status"].is_null() || line["status"] == "away" || line["status"] == "busy", "{line}");
        line["status"] == "busy"
    });
    drop(agent);
    assert_eq!(ended(&alice, &["set", "--no-agent", "away"]).0, 0);
    let (code, _, err) = ended(&alice, &["clear"]);
    assert_eq!((code, server.tags("alice").len()), (0, 0), "{err}");
    let (code, _, err) = ended(&alice, &["set", "--no-agent", "busy", "--while", "--", "true"]);
    assert_eq!(code, 11, "{err}");
}

fn telephone(peer: &Peer) {
    let server = Kamailio::start(peer, USUAL);
    let alice = server.home(&["alice"], "");
    let _agent = AgentOf(&alice);
    alice.run(&["set", "busy"]);
    let baresip = Peer::find_baresip().unwrap();
    let bob = Baresip::start_at_server(&baresip, server.port, "sip:alice@sip.test");
    bob.believes("Busy");
    bob.command("presence_online");
    let mut seen = watch(&alice, "bob");
    seen.line("bob is online", |line| line["status"] == "available" && line["freshness"] == "fresh");
    bob.command("presence_offline");
    seen.line("bob is offline", |line| line["status"] != "available");
    alice.run(&["set", "available"]);
    bob.believes("Online");
    alice.run(&["clear"]);
    until("bob sees nobody there", || match bob.belief() {
        shown if ["Offline", "Unknown"].contains(&shown.as_str()) => Ok(()),
        shown => Err(shown),
    });
}

fn killed(peer: &Peer) {
    let server = Kamailio::start(peer, USUAL);
    let (alice, bob) = (server.home(&["alice"], ""), server.home(&["bob"], ""));
    let agent = AgentOf(&alice);
    alice.run(&["set", "busy"]);
    let mut seen = watch(&bob, "alice");
    seen.line("a first state", |line| line["status"] == "busy");
    agent.kill();
    alice.run(&["set", "away", "--note", "told by the next run"]);
    let change = seen.line("the next", |line| line["note"] == "told by the next run");
    assert_eq!(change["devices"].as_array().unwrap().len(), 1, "no twin: {change}");
    assert_eq!(server.tags("alice").len(), 1);
    alice.run(&["agent", "restart"]);
    until("it is known again how it stands", || {
        let me = alice.run(&["me"]);
        if me.contains("at the server  yes, until ") { Ok(()) } else { Err(me) }
    });
    assert_eq!(server.tags("alice").len(), 1);
}

fn forgot(peer: &Peer) {
    let mut server = Kamailio::start(peer, USUAL);
    let alice = server.home(&["alice"], "[publish]\nexpires = \"1h\"\n");
    let _agent = AgentOf(&alice);
    alice.run(&["set", "busy"]);
    server.restart(peer, true);
    assert!(server.tags("alice").is_empty());
    // The next change meets a server that knows no tag of ours.
    until("the change is taken", || {
        let (code, _, err) = ended(&alice, &["set", "away", "--note", "afresh"]);
        if code == 0 { Ok(()) } else { Err(err) }
    });
    let bob = server.home(&["bob"], "");
    until("it is shown", || {
        let (_, out, _) = ended(&bob, &["show", "alice"]);
        if out.contains("\taway: afresh") { Ok(()) } else { Err(out) }
    });
    assert_eq!(server.tags("alice").len(), 1);
}

fn mended_password(peer: &Peer) {
    let server = Kamailio::start(peer, USUAL);
    let alice = server.home(&["alice", "carol"], "");
    let config = alice.path("config/sippresence/config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    // One from a file, one that a program reads from a file that we know nothing of.
    let program = format!("password_command = \"cat {}\"", alice.path("carol.pw").display());
    let text = text.replace(&format!("password_file = \"{}\"", alice.path("carol.pw").display()), &program);
    std::fs::write(&config, text).unwrap();
    let write = |user: &str, password: &str| std::fs::write(alice.path(&format!("{user}.pw")), password).unwrap();
    let _agent = AgentOf(&alice);
    // Both are asked for as the agent starts: each server is asked who watches.
    for user in ["alice", "carol"] {
        write(user, "wrong\n");
    }
    for user in ["alice", "carol"] {
        let (code, _, err) = ended(&alice, &["-a", user, "set", "busy"]);
        assert_eq!(code, 4, "{user}: {err}");
        assert!(server.tags(user).is_empty());
    }
    for user in ["alice", "carol"] {
        write(user, &format!("{user}-pw\n"));
    }
    let (code, _, err) = ended(&alice, &["agent", "reload"]);
    let anew = "configuration and policy are in force; account alice began anew; account carol began anew\n";
    assert_eq!((code, err.as_str()), (0, anew));
    for user in ["alice", "carol"] {
        until("it is at the server", || {
            let me = alice.run(&["-a", user, "me"]);
            if me.contains("at the server  yes, until ") { Ok(()) } else { Err(me) }
        });
        assert_eq!(server.tags(user).len(), 1);
    }
    let (code, _, err) = ended(&alice, &["agent", "reload"]);
    assert_eq!((code, err.as_str()), (0, "configuration and policy are in force\n"));
}

fn wrong_password(peer: &Peer) {
    let server = Kamailio::start(peer, USUAL);
    let alice = server.home(&["alice"], "");
    std::fs::write(alice.path("alice.pw"), "wrong \" p\u{e4}ss\n").unwrap();
    let _agent = AgentOf(&alice);
    let (code, _, err) = ended(&alice, &["set", "busy"]);
    assert_eq!(code, 4, "{err}");
    let line = err.lines().find(|line| line.starts_with("sippresence: ")).unwrap();
    assert!(line.starts_with("sippresence: the server does not take your status: 407 "), "{line}");
    let (code, _, err) = ended(&alice, &["show", "bob"]);
    assert_eq!(code, 4, "{err}");
    // What is set is in force for those who watch directly, and nothing of the password is anywhere.
    assert!(alice.run(&["me"]).contains("you are        busy"));
    let log = std::fs::read_to_string(alice.path("state/sippresence/agent.log")).unwrap();
    let state = std::fs::read_to_string(alice.path("state/sippresence/agent.json")).unwrap();
    assert!(!log.contains("p\u{e4}ss") && !state.contains("p\u{e4}ss"));
}

fn two_accounts(peer: &Peer) {
    let server = Kamailio::start(peer, USUAL);
    let home = server.home(&["alice", "bob"], "");
    std::fs::write(home.path("alice.pw"), "wrong\n").unwrap();
    let _agent = AgentOf(&home);
    let (code, _, err) = ended(&home, &["-a", "alice", "set", "busy"]);
    assert_eq!(code, 4, "{err}");
    assert_eq!(ended(&home, &["-a", "bob", "set", "away", "--note", "from bob"]).0, 0);
    let (code, out, err) = ended(&home, &["-a", "bob", "show", "bob"]);
    assert_eq!((code, out.contains("\taway: from bob")), (0, true), "{out}{err}");
    assert!(home.run(&["-a", "alice", "me"]).starts_with("you are        busy\n"));
    let (code, _, err) = ended(&home, &["-a", "carol", "set", "busy"]);
    assert_eq!(code, 3);
    assert_eq!(err, "sippresence: there is no account \"carol\"\nhint: the configuration has alice, bob\n");
    let status = home.run(&["agent", "status", "--json"]);
    assert!(status.contains("{\"name\":\"bob\",\"address\":\"sip:bob@sip.test\"}"), "{status}");
}

fn registers(peer: &Peer) {
    let server = Kamailio::start(peer, USUAL);
    let alice = server.home(&["alice"], "register = \"always\"\n");
    let _agent = AgentOf(&alice);
    alice.run(&["agent", "start"]);
    until("alice is registered", || {
        let me = alice.run(&["me"]);
        if me.contains("registered   yes, until ") { Ok(()) } else { Err(me) }
    });
}

fn library(peer: &Peer) {
    let server = Kamailio::start(peer, USUAL);
    let proxy = format!("sip:127.0.0.1:{}", server.port);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = |user: &str| {
            let password = PasswordSource::known(Secret::new(format!("{user}-pw")));
            let login = Login::new(user, password).server("127.0.0.1");
            PresenceClient::builder(&format!("sip:{user}@127.0.0.1")).any_port().login(login)
        };
        let (alice, bob) = (client("alice").bind().await.unwrap(), client("bob").bind().await.unwrap());
        alice.register(&proxy).await.unwrap();
        bob.register(&proxy).await.unwrap();
        alice.presence(PresenceStatus::Available).note("Working from home").await.unwrap();
        let mut watcher = bob.watch("alice").await.unwrap();
        let next = async {
            loop {
                let presence = watcher.recv().await.unwrap();
                if presence.status == PresenceStatus::Available {
                    return presence;
                }
            }
        };
        let presence = tokio::time::timeout(PATIENCE, next).await.unwrap();
        assert_eq!(presence.note.as_deref(), Some("Working from home"));
        let again = alice.register(&proxy).await.unwrap_err();
        assert!(again.to_string().contains("registered already"), "{again}");
        let stranger = PresenceClient::builder("sip:dave@127.0.0.1").any_port().bind().await.unwrap();
        let refused = stranger.register(&proxy).await.unwrap_err().to_string();
        assert!(refused.starts_with("the server does not register us: 401"), "{refused}");
        alice.stop().await;
        bob.stop().await;
    });
    until("nothing is left there", || if server.tags("alice").is_empty() { Ok(()) } else { Err("a publication") });
}

fn me_at_server(peer: &Peer) {
    let server = Kamailio::start(peer, USUAL);
    let (alice, elsewhere) = (server.home(&["alice"], ""), server.home(&["alice"], ""));
    let _agent = AgentOf(&alice);
    alice.run(&["agent", "start"]);
    assert_eq!(alice.run(&["me", "--server"]), "the server shows  nothing\nthat is           what you publish\n");
    alice.run(&["set", "busy", "--note", "meeting"]);
    assert_eq!(alice.run(&["me", "--server"]), "the server shows  busy: meeting\nthat is           what you publish\n");
    let agent = AgentOf(&elsewhere);
    elsewhere.run(&["set", "available", "--note", "at home"]);
    let (code, out, err) = ended(&alice, &["me", "--server"]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("it differs in        open or closed: you publish closed, the server shows open\n"), "{out}");
    assert!(out.contains("left over elsewhere  t") && out.contains(": open, at home, since "), "{out}");
    assert!(err.contains("hint: set the status there too"), "{err}");
    let (code, out, _) = ended(&alice, &["me", "--server", "--json"]);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &told["kind"], &told["agrees"]), (1, &json!("compared"), &json!(false)), "{told}");
    assert_eq!(told["elsewhere"].as_array().unwrap().len(), 1, "{told}");
    drop(agent);
    std::fs::write(alice.path("alice.pw"), "wrong\n").unwrap();
    let (code, out, err) = ended(&alice, &["me", "--server"]);
    assert_eq!(code, 4, "{out}{err}");
}

/// Returns exit code and the steps by name, with their marks and words; the last one is the sum.
fn examined(home: &Home, arguments: &[&str]) -> (i32, Vec<Value>) {
    let all = [&["doctor", "--json"], arguments].concat();
    let (code, out, err) = ended(home, &all);
    let told: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told.last().map(|sum| &sum["exit"]), Some(&json!(code)), "{out}{err}");
    (code, told)
}

#[track_caller]
fn step<'a>(told: &'a [Value], name: &str, mark: &str) -> &'a str {
    let step = told.iter().find(|line| line["step"] == name).unwrap_or_else(|| panic!("no {name}: {told:#?}"));
    assert_eq!(step["mark"], mark, "{told:#?}");
    step["words"].as_str().unwrap()
}

fn doctor(peer: &Peer) {
    let server = Kamailio::start(peer, USUAL);
    let alice = server.home(&["alice"], "register = \"always\"\n");
    let _agent = AgentOf(&alice);
    alice.run(&["set", "busy", "--note", "meeting"]);
    let before = server.tags("alice");
    let (code, told) = examined(&alice, &[]);
    assert_eq!(code, 0, "{told:#?}");
    assert!(step(&told, "configuration", "ok").ends_with("its password is to be had"));
    assert!(step(&told, "name", "ok").ends_with(&format!("127.0.0.1:{} over UDP", server.port)));
    assert!(step(&told, "connection", "ok").contains("answers OPTIONS with 200 OK"));
    assert!(step(&told, "register", "ok").contains("taken back at the end"));
    assert_eq!(step(&told, "subscribe", "ok"), "the server shows us busy: meeting");
    assert_eq!(step(&told, "entity-tags", "ok"), "a made-up entity-tag is refused, as it must be");
    assert!(step(&told, "message size", "ok").ends_with("bytes gets there, over TCP"));
    assert_eq!(step(&told, "publish", "ok"), "the agent's publication was taken again and is shown as it is");
    assert!(step(&told, "document", "ok").contains("1 tuple, 1 person"));
    assert!(step(&told, "shortest", "ok").contains("1 s is granted"));
    assert!(step(&told, "watcher info", "ok").starts_with("offered"));
    assert!(step(&told, "dialog", "ok").starts_with("not offered (489 Bad Event)"));
    assert!(step(&told, "lists", "ok").starts_with("no sign"));
    assert_eq!(step(&told, "clean-up", "ok"), "the binding is taken back");
    let after = server.tags("alice");
    assert!(after.len() == 1 && after != before, "modified, and nothing added: {before:?} {after:?}");
    assert!(alice.run(&["me"]).contains("at the server  yes, until "));
    let (code, out, err) = ended(&alice, &["doctor"]);
    assert_eq!((code, err.lines().last()), (0, Some("alice: all is well")), "{out}{err}");
    assert!(out.starts_with("ok       configuration  sip:alice@sip.test through sip:127.0.0.1:"), "{out}");
}

fn doctor_alone(peer: &Peer) {
    let server = Kamailio::start(peer, USUAL);
    let alice = server.home(&["alice"], "");
    let (code, told) = examined(&alice, &["alice"]);
    assert_eq!(code, 0, "{told:#?}");
    assert_eq!(step(&told, "subscribe", "ok"), "the server takes our subscription and has no state of us");
    assert!(step(&told, "publish", "skipped").contains("`--publish`"));
    step(&told, "register", "skipped");
    step(&told, "document", "skipped");
    let (code, told) = examined(&alice, &["--publish"]);
    assert_eq!(code, 0, "{told:#?}");
    assert!(step(&told, "publish", "ok").starts_with("a test status was taken"));
    assert!(server.tags("alice").is_empty(), "it is taken back");
}

fn doctor_unknown(peer: &Peer) {
    let server = Kamailio::start(peer, USUAL);
    let alice = server.home(&["alice"], "");
    std::fs::write(alice.path("alice.pw"), "wrong\n").unwrap();
    let (code, told) = examined(&alice, &["--publish"]);
    assert_eq!(code, 4, "{told:#?}");
    step(&told, "connection", "ok");
    assert!(step(&told, "subscribe", "failed").starts_with("407 "));
    assert_eq!(step(&told, "publish", "skipped"), "the server does not believe who we are");
    assert_eq!(told.last().unwrap()["first_failure"], "subscribe");
    std::fs::remove_file(alice.path("alice.pw")).unwrap();
    let (code, told) = examined(&alice, &[]);
    assert_eq!((code, &told.last().unwrap()["first_failure"]), (3, &json!("configuration")), "{told:#?}");
}

fn doctor_refused(peer: &Peer) {
    let server = Kamailio::start(peer, How { publishes: false, ..USUAL });
    let alice = server.home(&["alice"], "");
    let (code, told) = examined(&alice, &[]);
    assert_eq!(code, 5, "{told:#?}");
    step(&told, "subscribe", "ok");
    assert!(step(&told, "publish", "failed").starts_with("403 "));
    step(&told, "watcher info", "ok");
}

fn over_tls(peer: &Peer) {
    let server = Kamailio::start(peer, BY_TLS);
    let alice = server.home_by_tls("alice", "ca.pem", "register = \"always\"\n");
    let bob = server.home_by_tls("bob", "ca.pem", "");
    let agent = AgentOf(&alice);
    let (code, _, err) = ended(&alice, &["set", "busy", "--note", "under the rose"]);
    assert_eq!((code, err.lines().last()), (0, Some("the server shows it")), "{err}");
    let (code, out, err) = ended(&bob, &["show", "--json", "alice"]);
    assert_eq!(code, 0, "{err}");
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&shown["status"], &shown["note"]), (&json!("busy"), &json!("under the rose")));
    // What changes later comes by TLS too.
    let trace = bob.path("trace");
    let traced = format!("--trace-sip={}", trace.display());
    let mut seen = Process::start(&mut bob.command(&["watch", "--json", &traced, "alice"]));
    seen.line("a first state", |line| line["status"] == "busy");
    alice.run(&["set", "dnd"]);
    seen.line("the next", |line| line["status"] == "dnd" && line["freshness"] == "fresh");
    let told = std::fs::read_to_string(&trace).unwrap();
    let ways: Vec<&str> =
        told.lines().filter(|line| line.contains("Z sent ") || line.contains("Z received ")).collect();
    assert!(ways.len() > 3 && ways.iter().all(|way| way.contains(" tls ")), "{told}");
    until("alice is registered", || {
        let me = alice.run(&["me"]);
        let registered = |line: &str| line.starts_with("registered ") && line.contains("yes, until ");
        if me.lines().any(registered) { Ok(()) } else { Err(me) }
    });
    drop(agent);
    until("nothing is left there", || if server.tags("alice").is_empty() { Ok(()) } else { Err("a publication") });
}

fn untrusted(peer: &Peer) {
    let server = Kamailio::start(peer, BY_TLS);
    let alice = server.home_by_tls("alice", "other-ca.pem", "");
    let _agent = AgentOf(&alice);
    let words = "the certificate of 127.0.0.1 is from nobody whom this machine or `tls.ca_file` trusts";
    let (code, _, err) = ended(&alice, &["set", "busy"]);
    assert_eq!(code, 7, "{err}");
    let line = err.lines().find(|line| line.starts_with("sippresence: ")).unwrap();
    assert!(line.contains(words), "{line}");
    let (code, out, err) = ended(&alice, &["show", "bob"]);
    assert_eq!(code, 7, "{err}");
    assert!(out.contains("failed: untrusted") && out.contains(words), "{out}{err}");
    // The server got neither the status nor a word, by whatever transport.
    assert!(server.tags("alice").is_empty());
    let trace = alice.path("trace");
    let traced = format!("--trace-sip={}", trace.display());
    assert_eq!(ended(&alice, &["--no-agent", &traced, "show", "bob"]).0, 7);
    assert_eq!(std::fs::read_to_string(&trace).unwrap(), "");
}

fn mutual(peer: &Peer) {
    let server = Kamailio::start(peer, How { asks: true, ..BY_TLS });
    let alice = server.home_by_tls("alice", "ca.pem", "");
    let _agent = AgentOf(&alice);
    let (code, _, err) = ended(&alice, &["set", "busy"]);
    assert_eq!(code, 7, "{err}");
    assert!(err.contains("it wants to see a certificate: `cert_file` and `key_file`"), "{err}");
    assert!(server.tags("alice").is_empty());
    let config = alice.path("config/sippresence/config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let file = |name: &str| server.folder.path().join(name).display().to_string();
    let certificate =
        format!("[account.alice]\ncert_file = {:?}\nkey_file = {:?}", file("alice-cert.pem"), file("alice-key.pem"));
    std::fs::write(&config, text.replace("[account.alice]", &certificate)).unwrap();
    let (code, _, err) = ended(&alice, &["agent", "reload"]);
    assert_eq!((code, err.as_str()), (0, "configuration and policy are in force; account alice began anew\n"));
    until("it is at the server", || {
        let me = alice.run(&["me"]);
        if me.contains("at the server  yes, until ") { Ok(()) } else { Err(me) }
    });
    assert_eq!(server.tags("alice").len(), 1);
}

fn insecure(peer: &Peer) {
    let server = Kamailio::start(peer, BY_TLS);
    let alice = server.home_by_tls("alice", "other-ca.pem", "insecure = true\n");
    let _agent = AgentOf(&alice);
    let (code, _, err) = ended(&alice, &["set", "busy"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("account alice is insecure: any certificate of its server is taken"), "{err}");
    let (code, _, err) = ended(&alice, &["--no-agent", "show", "alice"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("account alice is insecure: "), "{err}");
}

fn many(peer: &Peer) {
    let server = Kamailio::start(peer, USUAL);
    let (alice, bob) = (server.home(&["alice"], ""), server.home(&["bob"], ""));
    let _agent = AgentOf(&alice);
    alice.run(&["set", "available"]);
    let mut setting: Vec<Process> =
        (0..8).map(|n| Process::start(&mut alice.command(&["set", "busy", "--note", &n.to_string(), "-q"]))).collect();
    for set in &mut setting {
        set.wait();
    }
    // Which came last only the agent knows; the server has to end with the same.
    let me: Value = serde_json::from_str(&alice.run(&["me", "--json"])).unwrap();
    let mut seen = watch(&bob, "alice");
    seen.line("the last state", |line| line["note"] == me["note"] && line["freshness"] == "fresh");
    assert_eq!(server.tags("alice").len(), 1);
}
