//! Starting an agent that outlives the command that starts it: one at a time, and not before it is ready.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, Command},
    time::{Instant, sleep, timeout_at},
};

use crate::{
    config::{ConfigError, Listen, Paths, prepare_private_dir},
    control::{Connection, ControlError, MAX_LINE, Reply, lock},
};

/// The exit code of an agent that found another one.
const RUNS: u8 = 12;
/// How often it is looked whether another command has started the agent meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How an agent is to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Launch {
    /// The configuration file, if it is not the usual one.
    pub config: Option<PathBuf>,
    /// Where to listen, if not where the configuration says.
    pub listen: Option<Listen>,
    /// The port, likewise.
    pub port: Option<u16>,
    /// How much to log.
    pub verbose: u8,
    /// Where to show every SIP message; `-` is the log.
    pub trace_sip: Option<PathBuf>,
    /// Whether it leaves the terminal and everything else of whoever starts it.
    pub detached: bool,
    /// Whether a status is about to be set: nobody need see the one that was kept.
    pub for_set: bool,
}

impl Launch {
    /// Returns the arguments of the program.
    pub fn args(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = ["agent", "run"].map(Into::into).into();
        if self.detached {
            args.push("--detached".into());
        }
        if self.for_set {
            args.push("--for-set".into());
        }
        if let Some(config) = &self.config {
            // It runs in another folder than we do.
            let config = std::path::absolute(config).unwrap_or_else(|_| config.clone());
            args.extend(["--config".into(), config.into_os_string()]);
        }
        if let Some(listen) = &self.listen {
            args.extend(["--listen".into(), listen.to_string().into()]);
        }
        if let Some(port) = self.port {
            args.extend(["--port".into(), port.to_string().into()]);
        }
        args.extend((0..self.verbose).map(|_| "-v".into()));
        if let Some(file) = &self.trace_sip {
            let mut arg = OsString::from("--trace-sip=");
            let is_log = file.as_os_str() == "-";
            arg.push(if is_log { file.clone() } else { std::path::absolute(file).unwrap_or_else(|_| file.clone()) });
            args.push(arg);
        }
        args
    }
}

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// A folder of ours cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The one that runs cannot be spoken to.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// Our own program cannot be started.
    #[error("cannot start the agent: {0}")]
    Io(#[from] io::Error),
    /// It said why it did not start.
    #[error("the agent did not start: {}", .0.message.as_deref().unwrap_or("no reason given"))]
    Refused(Box<Reply>),
    /// It ended without a word.
    #[error("the agent ended at its start{}", said(.0.as_deref()))]
    Ended(Option<String>),
    /// It took too long.
    #[error("the agent was not ready in time{}", said(.0.as_deref()))]
    Late(Option<String>),
}

fn said(last: Option<&str>) -> String {
    last.map_or_else(String::new, |line| format!("; the last line of its log: {line}"))
}

/// An agent that answers.
#[derive(Debug)]
pub struct Launched {
    /// A connection to it.
    pub connection: Connection,
    /// What it said when it was ready; none if it ran already.
    pub first_words: Option<Reply>,
}

/// Returns where a detached agent writes its log.
pub fn log_file(paths: &Paths) -> PathBuf {
    paths.state_dir.join("agent.log")
}

/// Starts an agent unless one runs; it is ready when this returns.
///
/// However many do this at once, one agent is started, and all of them get it.
pub async fn launch(launch: &Launch, paths: &Paths, by: Instant) -> Result<Launched, LaunchError> {
    if let Some(folder) = paths.socket.parent() {
        prepare_private_dir(folder)?;
    }
    let late = || LaunchError::Late(None);
    let lock_path = paths.socket.with_extension("start");
    let _lock = loop {
        match lock(&lock_path) {
            Ok(lock) => break lock,
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error.into()),
        }
        timeout_at(by, sleep(LOOK_EVERY)).await.map_err(|_| late())?;
    };
    loop {
        if let Some(connection) = timeout_at(by, Connection::open(&paths.socket)).await.map_err(|_| late())?? {
            return Ok(Launched { connection, first_words: None });
        }
        match begin(launch, paths, by).await {
            // One that is on its way out has not let go of its socket yet.
            Err(LaunchError::Refused(words)) if words.code == Some(RUNS) && Instant::now() + LOOK_EVERY < by => {
                sleep(LOOK_EVERY).await;
            }
            begun => return begun,
        }
    }
}

/// Starts an agent and waits until it is ready.
async fn begin(launch: &Launch, paths: &Paths, by: Instant) -> Result<Launched, LaunchError> {
    let late = || LaunchError::Late(None);
    let mut child = Command::new(own_program()?)
        .args(launch.args())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let Ok(first_words) = timeout_at(by, first_words(&mut child)).await else {
        // It is not left half started.
        child.kill().await?;
        return Err(LaunchError::Late(last_line(&log_file(paths))));
    };
    match first_words? {
        None => Err(LaunchError::Ended(last_line(&log_file(paths)))),
        Some(words) if !words.is_ok() => Err(LaunchError::Refused(Box::new(words))),
        words => {
            let connection = timeout_at(by, Connection::open(&paths.socket)).await.map_err(|_| late())??;
            let connection = connection.ok_or_else(|| LaunchError::Ended(last_line(&log_file(paths))))?;
            Ok(Launched { connection, first_words: words })
        }
    }
}

/// Reads the line that a detached agent says when it is ready, or when it gives up.
async fn first_words(child: &mut Child) -> io::Result<Option<Reply>> {
    let Some(stdout) = child.stdout.take() else { return Ok(None) };
    let mut line = String::new();
    BufReader::new(stdout).take(MAX_LINE as u64).read_line(&mut line).await?;
    Ok(serde_json::from_str(&line).ok())
}

/// Returns our own program, also while another version is put in its place.
fn own_program() -> io::Result<PathBuf> {
    let path = std::env::current_exe()?;
    Ok(if path.exists() { path } else { "/proc/self/exe".into() })
}

fn last_line(log: &Path) -> Option<String> {
    let text = std::fs::read(log).ok()?;
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(4096)..]).into_owned();
    text.lines().rev().find(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_say_all_that_was_chosen() {
        let launch = Launch {
            config: Some("/etc/other.toml".into()),
            listen: Some("192.0.2.1,::1".parse().unwrap()),
            port: Some(5070),
            verbose: 2,
            trace_sip: Some("/tmp/sip.log".into()),
            for_set: false,
            detached: true,
        };
        let expected = "agent run --detached --config /etc/other.toml --listen 192.0.2.1,::1 --port 5070 -v -v \
                        --trace-sip=/tmp/sip.log";
        assert_eq!(launch.args(), expected.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(Launch::default().args(), ["agent", "run"]);
    }
}
