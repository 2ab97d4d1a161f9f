//! A home of its own for each test, and processes that end with it.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, UdpSocket},
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

pub(crate) use crate::ports::free_port;

/// Far longer than anything here takes; reached only by a test that fails.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// One user: a configuration, a state folder, a name.
pub(crate) struct Home {
    root: TempDir,
    user: String,
    pub(crate) port: u16,
}

impl Home {
    pub(crate) fn new(user: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let home = Self { root, user: user.to_owned(), port: free_port() };
        fs::create_dir_all(home.path("run")).unwrap();
        fs::set_permissions(home.path("run"), fs::Permissions::from_mode(0o700)).unwrap();
        home.config(&format!("[agent]\nport = {}\n[sip]\nt1 = \"50ms\"\n", home.port));
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn config(&self, text: &str) {
        fs::create_dir_all(self.path("config/sippresence")).unwrap();
        fs::write(self.path("config/sippresence/config.toml"), text).unwrap();
    }

    /// Returns the address at which this user's agent is reached.
    pub(crate) fn address(&self) -> String {
        format!("{}@127.0.0.1:{}", self.user, self.port)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sippresence"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.root.path())
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("USER", &self.user)
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Finished {
        Finished::of(self.command(args).output().unwrap())
    }

    pub(crate) fn run_with_stdin(&self, args: &[&str], stdin: &[u8]) -> Finished {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that has seen enough does not read the rest.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        Finished::of(child.wait_with_output().unwrap())
    }

    /// Runs a command on a terminal of 80 columns; returns its code and all that it showed there.
    pub(crate) fn run_on_terminal(&self, args: &[&str]) -> (i32, String) {
        let mut terminal = Terminal::new();
        let mut child = terminal.start(self.command(args));
        let shown = terminal.rest();
        (child.wait().unwrap().code().unwrap_or(-1), shown)
    }

    /// Runs a script as a shell would, with our program first on its path.
    pub(crate) fn sh(&self, script: &str) -> Finished {
        Finished::of(self.sh_command(script).output().unwrap())
    }

    pub(crate) fn sh_command(&self, script: &str) -> Command {
        let own = self.command(&[]);
        let mut command = Command::new("sh");
        command.args(["-c", script]).env_clear().stdin(Stdio::null()).current_dir(self.root.path());
        for (name, value) in own.get_envs() {
            command.env(name, value.unwrap());
        }
        let program = PathBuf::from(env!("CARGO_BIN_EXE_sippresence"));
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", program.parent().unwrap().display()));
        command
    }

    /// Returns the process of the agent, if one runs.
    pub(crate) fn agent_pid(&self) -> Option<Pid> {
        let status = self.run(&["agent", "status", "--json"]);
        let status: serde_json::Value = serde_json::from_str(status.out.lines().next()?).ok()?;
        Some(Pid::from_raw(i32::try_from(status["pid"].as_i64()?).ok()?))
    }

    /// Kills the agent as the kernel would, and waits until it is gone.
    pub(crate) fn kill_agent(&self) {
        let pid = self.agent_pid().unwrap();
        kill(pid, Signal::SIGKILL).unwrap();
        wait_until("the agent is gone", || !lives(pid));
    }

    /// Starts the agent and waits until it answers.
    pub(crate) fn agent(&self) -> Running {
        self.agent_with(&[])
    }

    pub(crate) fn agent_with(&self, args: &[&str]) -> Running {
        let all = [&["agent", "run"], args].concat();
        let mut running = Running::start(self.command(&all));
        running.stderr_line("UDP and TCP");
        running
    }
}

/// A pseudo-terminal, from the side of whoever looks at it.
pub(crate) struct Terminal {
    screen: fs::File,
    keyboard: Option<OwnedFd>,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        let size = nix::pty::Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = nix::pty::openpty(Some(&size), None).unwrap();
        Self { screen: pty.master.into(), keyboard: Some(pty.slave) }
    }

    /// Starts a command that has it for stdout and stderr.
    pub(crate) fn start(&mut self, mut command: Command) -> Child {
        let end = self.keyboard.take().unwrap();
        command.stdout(Stdio::from(end.try_clone().unwrap())).stderr(Stdio::from(end)).spawn().unwrap()
    }

    /// Starts a command that has it for stdin too.
    pub(crate) fn start_reading(&mut self, mut command: Command) -> Child {
        command.stdin(Stdio::from(self.keyboard.as_ref().unwrap().try_clone().unwrap()));
        self.start(command)
    }

    /// Types on the keyboard.
    pub(crate) fn types(&mut self, keys: &str) {
        self.screen.write_all(keys.as_bytes()).unwrap();
    }

    /// Reads until the screen shows the words.
    pub(crate) fn shows(&mut self, words: &str) -> String {
        let mut shown = Vec::new();
        let mut some = [0; 4096];
        while !String::from_utf8_lossy(&shown).contains(words) {
            let count = self.screen.read(&mut some).unwrap();
            shown.extend_from_slice(&some[..count]);
        }
        String::from_utf8_lossy(&shown).into_owned()
    }

    /// Reads until the last command there has ended.
    pub(crate) fn rest(&mut self) -> String {
        let mut shown = Vec::new();
        // The end of a terminal without a program is an error.
        let _ = self.screen.read_to_end(&mut shown);
        String::from_utf8_lossy(&shown).into_owned()
    }
}

impl Drop for Home {
    /// An agent that a command started ends with the home that it lives in.
    fn drop(&mut self) {
        if self.path("run/sippresence/agent.sock").exists()
            && let Some(pid) = self.agent_pid()
        {
            // It may have ended by itself.
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}

/// Returns whether a process is there, and no zombie that nobody has reaped yet.
pub(crate) fn lives(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Looks until something is so.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let by = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < by, "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A command that came to its end.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Finished {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Asserts code and stderr, which is given whole.
    pub(crate) fn fails(&self, code: i32, err: &str) {
        assert_eq!((self.code, self.err.trim_end()), (code, err), "{self:?}");
    }
}

/// A command that goes on; dropping it kills it.
pub(crate) struct Running {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = lines(child.stdout.take().unwrap());
        let err = lines(child.stderr.take().unwrap());
        Self { child, out, err }
    }

    /// Waits for a line on stdout that holds all of the words.
    pub(crate) fn line(&mut self, words: &[&str]) -> String {
        next(&self.out, words)
    }

    pub(crate) fn stderr_line(&mut self, word: &str) -> String {
        next(&self.err, &[word])
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let by = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < by, "the command did not end");
            thread::yield_now();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn next(lines: &Receiver<String>, words: &[&str]) -> String {
    let by = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    loop {
        match lines.recv_timeout(by.saturating_duration_since(Instant::now())) {
            Ok(line) if words.iter().all(|word| line.contains(word)) => return line,
            Ok(line) => seen.push(line),
            Err(error) => panic!("{error}: no line with {words:?} among {seen:#?}"),
        }
    }
}

/// Takes a port that nobody else comes by, and keeps it taken.
pub(crate) fn take_port() -> (UdpSocket, TcpListener, u16) {
    let port = free_port();
    let at = ("127.0.0.1", port);
    (UdpSocket::bind(at).unwrap(), TcpListener::bind(at).unwrap(), port)
}
