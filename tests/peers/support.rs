//! What tests with real peers share: finding programs, ports, processes that end with their owner, our own
//! program in a home of its own, and waiting with a deadline.

use std::{
    fmt,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) use crate::ports::free_port;

/// One test: its name, and what it does with the peer.
pub(crate) type Test = (&'static str, fn(&Peer));

/// Far longer than anything here takes; reached only by a test that fails.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// How often a condition is looked at again.
const LOOK: Duration = Duration::from_millis(20);
/// How often a port may be taken by somebody else between our look and its use.
const PORT_TRIES: u32 = 5;

/// A program on the other end of the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) program: PathBuf,
    /// Where its loadable modules lie, if it has any.
    pub(crate) modules: PathBuf,
}

impl Peer {
    /// Finds a program on the path; the error says that it is missing.
    pub(crate) fn find(name: &str) -> Result<Self, String> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
        let program = program.ok_or_else(|| format!("no {name} on this machine"))?;
        Ok(Self { program, modules: PathBuf::new() })
    }

    /// Returns our own program, where it stands in for one that we did not write.
    pub(crate) fn ours() -> Self {
        Self { program: env!("CARGO_BIN_EXE_sippresence").into(), modules: PathBuf::new() }
    }

    pub(crate) fn is_ours(&self) -> bool {
        *self == Self::ours()
    }

    /// Finds dnsmasq, which lies where only root's path leads.
    pub(crate) fn find_dnsmasq() -> Result<Self, String> {
        Self::find("dnsmasq").or_else(|error| {
            let program = PathBuf::from("/usr/sbin/dnsmasq");
            program.is_file().then(|| Self { program, modules: PathBuf::new() }).ok_or(error)
        })
    }

    /// Finds baresip with the modules that it needs for presence.
    pub(crate) fn find_baresip() -> Result<Self, String> {
        let peer = Self::find("baresip")?;
        let modules = ["/usr/lib/baresip/modules", "/usr/lib64/baresip/modules", "/usr/local/lib/baresip/modules"]
            .into_iter()
            .map(PathBuf::from)
            .find(|folder| ["presence.so", "contact.so", "ctrl_tcp.so"].iter().all(|file| folder.join(file).is_file()))
            .ok_or("no baresip modules on this machine")?;
        Ok(Self { modules, ..peer })
    }
}

impl Peer {
    /// Finds Kamailio with its presence modules, and what makes its tables.
    pub(crate) fn find_kamailio() -> Result<Self, String> {
        let peer = ["kamailio", "/usr/sbin/kamailio"].into_iter().find_map(|name| {
            let path = PathBuf::from(name);
            if path.is_absolute() {
                path.is_file().then(|| Self { program: path, modules: PathBuf::new() })
            } else {
                Self::find(name).ok()
            }
        });
        let peer = peer.ok_or("no kamailio on this machine")?;
        Self::find("sqlite3")?;
        if !Path::new("/usr/share/kamailio/db_sqlite/presence-create.sql").is_file() {
            return Err("no tables of kamailio's sqlite modules on this machine".to_owned());
        }
        Ok(peer)
    }
}

/// Looks until there is something to see; panics with the last obstacle when patience ends.
pub(crate) fn until<T, E: fmt::Display>(what: &str, mut look: impl FnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(seen) => return seen,
            Err(instead) if Instant::now() >= deadline => panic!("{what}: not within {PATIENCE:?}; instead {instead}"),
            Err(_) => thread::sleep(LOOK),
        }
    }
}

/// Starts what needs free ports, anew with others when somebody was faster.
pub(crate) fn with_free_ports<T>(mut start: impl FnMut() -> Result<T, String>) -> T {
    let mut last = String::new();
    for _ in 0..PORT_TRIES {
        match start() {
            Ok(started) => return started,
            Err(error) => last = error,
        }
    }
    panic!("does not start: {last}");
}

/// A child of ours; it is killed when its owner lets go of it.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// Lines of stdout as far as they came.
    stdout: Arc<Mutex<Vec<String>>>,
    /// Lines of stderr as far as they came.
    stderr: Arc<Mutex<Vec<String>>>,
    read: usize,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = collect(child.stdout.take().unwrap());
        let stderr = collect(child.stderr.take().unwrap());
        Self { child, stdout, stderr, read: 0 }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap());
        kill(pid, signal).unwrap();
    }

    /// Returns how it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        until("the process ends", || self.ended().ok_or("it runs"))
    }

    /// Gives it time to end, and then kills the process group that it leads, whoever of it is left.
    pub(crate) fn end_within(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while self.ended().is_none() && Instant::now() < deadline {
            thread::sleep(LOOK);
        }
        // Nobody is left of most.
        let _ = killpg(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGKILL);
        self.wait();
    }

    pub(crate) fn stdout(&self) -> String {
        self.stdout.lock().unwrap().join("\n")
    }

    pub(crate) fn stderr(&self) -> String {
        self.stderr.lock().unwrap().join("\n")
    }

    /// Waits for the next line of stdout that is JSON, and satisfies.
    pub(crate) fn line(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut passed = Vec::new();
        until(what, || {
            let lines: Vec<String> = self.stdout.lock().unwrap()[self.read..].to_vec();
            for text in lines {
                self.read += 1;
                let line: Value = serde_json::from_str(&text).map_err(|error| format!("{error} in {text}"))?;
                if wanted(&line) {
                    return Ok(line);
                }
                passed.push(text);
            }
            Err(format!("{}\n{}", passed.join("\n"), self.stderr()))
        })
    }

    /// Returns the lines that came and were not asked for yet.
    pub(crate) fn unread_lines(&self) -> Vec<Value> {
        let lines = self.stdout.lock().unwrap();
        lines[self.read..].iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(pipe: impl Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&lines);
    // Ends with the pipe.
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            kept.lock().unwrap().push(String::from_utf8_lossy(&line).trim_end().to_owned());
            line.clear();
        }
    });
    lines
}

/// A home folder with a configuration, for our program and nobody else.
#[derive(Debug)]
pub(crate) struct Home {
    folder: TempDir,
    user: &'static str,
}

impl Home {
    pub(crate) fn new(user: &'static str) -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap(), user };
        for folder in ["config/sippresence", "state", "run"] {
            std::fs::create_dir_all(home.path(folder)).unwrap();
        }
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes `config.toml` or `policy.toml`.
    pub(crate) fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path("config/sippresence").join(file), text).unwrap();
    }

    /// Prepares our program, as built for this test.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_sippresence")));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.folder.path())
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("USER", self.user);
        command
    }

    /// Runs our program to its end and returns what it printed; panics unless it succeeds.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts `watch --json` in a process of its own, without an agent.
    pub(crate) fn watch(&self, target: &str) -> Process {
        Process::start(&mut self.command(&["--json", "--no-agent", "watch", target]))
    }
}

/// Our agent at a port of its own.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) home: Home,
    pub(crate) process: Process,
    pub(crate) port: u16,
}

impl Agent {
    /// Starts alice's agent with a policy file, and waits until it is reachable.
    pub(crate) fn start(policy: &str) -> Self {
        let home = Home::new("alice");
        home.write("policy.toml", policy);
        Self::start_in(home, "")
    }

    /// Starts an agent with more in its configuration than a port.
    pub(crate) fn start_in(home: Home, more: &str) -> Self {
        let (process, port) = with_free_ports(|| {
            let port = free_port();
            home.write("config.toml", &format!("[agent]\nport = {port}\n{more}"));
            let mut process = Process::start(&mut home.command(&["agent", "run"]));
            until("the agent is up or gives up", || match process.ended() {
                Some(_) => Ok(false),
                None if process.stderr().contains(" is up at ") => Ok(true),
                None => Err(process.stderr()),
            })
            .then_some(())
            .ok_or_else(|| process.stderr())?;
            Ok((process, port))
        });
        Self { home, process, port }
    }

    /// Sets alice's status.
    pub(crate) fn set(&self, status: &str) {
        self.home.run(&["set", status]);
    }
}
