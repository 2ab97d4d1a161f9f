//! The servers that are compared, each of a folder of its own and ended with its test.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

/// One that runs.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    /// The domain of everybody.
    pub(crate) domain: &'static str,
    process: Child,
    _folder: TempDir,
}

/// How Kamailio keeps what it has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// Publications in its cache and nowhere else. Watchers it does not serve so: Debian's 5.6.3 dies of them.
    Cache,
    /// Its tables on a file system in memory.
    Memory,
    /// Its tables in sqlite, on disk.
    Disk,
}

/// Starts one; none where it is not on this machine.
pub(crate) type Start = fn() -> Option<Running>;

/// Their names, how each is started, and whether it serves watchers.
pub(crate) const ALL: [(&str, Start, bool); 5] = [
    ("ours, memory", || Some(ours(true)), true),
    ("ours, on disk", || Some(ours(false)), true),
    ("Kamailio, cache", || kamailio(Keeps::Cache), false),
    ("Kamailio, tmpfs", || kamailio(Keeps::Memory), true),
    ("Kamailio, sqlite", || kamailio(Keeps::Disk), true),
];

fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn ours(memory: bool) -> Running {
    let (folder, address) = (folder(), free());
    let mut command = Command::new(env!("CARGO_BIN_EXE_sippresence"));
    command.env_clear().env("HOME", folder.path()).env("XDG_RUNTIME_DIR", folder.path());
    command.args(["serve", "--domain", "sip.test", "--xcap", "none", "--port", &address.port().to_string()]);
    if memory {
        command.arg("--memory");
    }
    let process = started(&mut command);
    Running { address, domain: "sip.test", process, _folder: folder }
}

fn kamailio(keeps: Keeps) -> Option<Running> {
    const SCHEMA: &str = "/usr/share/kamailio/db_sqlite";
    let program =
        ["/usr/sbin/kamailio", "/usr/local/sbin/kamailio"].into_iter().find(|path| Path::new(path).is_file())?;
    let folder = if keeps == Keeps::Memory { tempfile::tempdir_in("/dev/shm").ok()? } else { folder() };
    let address = free();
    let mut sql = "PRAGMA journal_mode=WAL;\n".to_owned();
    for part in ["standard", "auth_db", "usrloc", "presence"] {
        sql.push_str(&fs::read_to_string(format!("{SCHEMA}/{part}-create.sql")).ok()?);
    }
    let script = folder.path().join("tables.sql");
    fs::write(&script, sql).unwrap();
    let database = folder.path().join("presence.db");
    let made = Command::new("sqlite3").arg(&database).arg(format!(".read {}", script.display())).output().ok()?;
    made.status.success().then_some(())?;
    let config = include_str!("../../tests/peers/kamailio/kamailio.cfg").replace("debug=2", "debug=0");
    // Sqlite takes one process that writes; the cache is shared.
    let config = if keeps == Keeps::Cache {
        config.replace("\nchildren=1", "\nchildren=2").replace("\"publ_cache\", 1", "\"publ_cache\", 2")
    } else {
        config
    };
    let file = folder.path().join("kamailio.cfg");
    fs::write(&file, config).unwrap();
    let mut command = Command::new(program);
    command.process_group(0);
    command.arg("-f").arg(&file).args(["-DD", "-E", "-m", "512", "-M", "16"]);
    command.arg("-w").arg(folder.path()).arg("-Y").arg(folder.path()).args(["-l", &format!("udp:{address}")]);
    command.args(["-A", &format!("PORTS=\"{0}|{0}\"", address.port())]);
    command.args(["-A", &format!("DB=\"sqlite:///{}\"", database.display()), "-A", "OPEN=1"]);
    let process = started(&mut command);
    Some(Running { address, domain: "sip.test", process, _folder: folder })
}

fn started(command: &mut Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

impl Running {
    /// How much memory it and its children have to themselves, in bytes.
    pub(crate) fn memory(&self) -> f64 {
        let mut all = vec![self.process.id()];
        let mut at = 0;
        while let Some(pid) = all.get(at) {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            at += 1;
        }
        let of = |pid: &u32| {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default();
            line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() * 1024.0
        };
        all.iter().map(of).sum()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.process.id().cast_signed());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        for _ in 0..100 {
            if self.process.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = nix::sys::signal::killpg(pid, nix::sys::signal::Signal::SIGKILL);
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
