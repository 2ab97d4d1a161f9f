//! Programs of the user's that are told what happened: an argument list, the JSON line on their input, no shell
//! (SEC-18).
//!
//! One runs at a time for a target. What happens meanwhile is told afterwards, the newest only, so that a program
//! that hangs or is slow neither piles up nor falls behind. One that takes too long is killed with all that it
//! started.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    sync::Notify,
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};
use tracing::{debug, warn};

use crate::client::{Kind, Line, text};

/// How many programs run at once, for different targets.
const MAX_RUNNING: usize = 8;
/// How long the last words of one that ended may take.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// How long a value in its environment may be, in bytes: the system takes 128 KiB in all.
const MAX_VALUE: usize = 4096;
/// How much of what one says on its error output is looked at, in bytes.
const HEARD: u64 = 1024;

/// What the program does with its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// It goes where ours goes.
    Along,
    /// Nobody reads it but for the end of its errors, which is logged when it fails.
    ToTheLog,
}

/// Tells a program what happens; dropping it kills what still runs.
#[derive(Debug)]
pub struct Hooks {
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    command: Vec<String>,
    limit: Duration,
    speaks: Speaks,
    waiting: Mutex<Waiting>,
    news: Notify,
    idle: Notify,
}

/// What is still to be told: of each target the newest, in the order in which they came.
#[derive(Debug, Default)]
struct Waiting {
    order: VecDeque<String>,
    lines: HashMap<String, Line>,
    running: HashSet<String>,
}

impl Hooks {
    /// Begins to tell `command`, a program and its arguments, each time with a limit.
    pub fn new(command: Vec<String>, limit: Duration, speaks: Speaks) -> Self {
        let shared = Arc::new(Shared {
            command,
            limit,
            speaks,
            waiting: Mutex::default(),
            news: Notify::new(),
            idle: Notify::new(),
        });
        let task = tokio::spawn(run(Arc::clone(&shared)));
        Self { shared, task }
    }

    /// Tells the program of a line, as soon as it is free; does not wait.
    pub fn offer(&self, line: &Line) {
        // What a program could not act on is not worth starting it.
        if matches!(line.kind, Kind::Ready | Kind::End | Kind::Subscription) {
            return;
        }
        let key = key_of(line);
        let mut waiting = self.shared.lock();
        if waiting.lines.insert(key.clone(), line.clone()).is_none() {
            waiting.order.push_back(key);
        }
        drop(waiting);
        self.shared.news.notify_one();
    }

    /// Waits until everything that was offered has been told.
    pub async fn finish(&self) {
        loop {
            // Made before the look, so that nothing that ends after it is missed.
            let idle = self.shared.idle.notified();
            if self.shared.is_idle() {
                return;
            }
            idle.await;
        }
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Each change leaves it whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_idle(&self) -> bool {
        let waiting = self.lock();
        waiting.order.is_empty() && waiting.running.is_empty()
    }

    /// Takes the first line whose target is not being told of anything.
    fn next(&self) -> Option<(String, Line)> {
        let mut waiting = self.lock();
        if waiting.running.len() >= MAX_RUNNING {
            return None;
        }
        let place = waiting.order.iter().position(|key| !waiting.running.contains(key))?;
        let key = waiting.order.remove(place)?;
        let line = waiting.lines.remove(&key)?;
        waiting.running.insert(key.clone());
        Some((key, line))
    }
}

/// What a line is about: of several lines about the same the newest counts.
fn key_of(line: &Line) -> String {
    let about = match &line.watcher {
        Some(watcher) => Some(&watcher.who),
        None => line.presentity.as_ref(),
    };
    let side = matches!(line.kind, Kind::Watcher | Kind::Publication | Kind::Error).then_some(line.kind);
    format!("{side:?} {}", about.map_or("", String::as_str))
}

async fn run(shared: Arc<Shared>) {
    let mut children = JoinSet::new();
    loop {
        while let Some((key, line)) = shared.next() {
            let shared = Arc::clone(&shared);
            children.spawn(async move {
                shared.tell(&line).await;
                key
            });
        }
        tokio::select! {
            () = shared.news.notified() => {}
            Some(ended) = children.join_next() => {
                let mut waiting = shared.lock();
                match ended {
                    Ok(key) => {
                        waiting.running.remove(&key);
                    }
                    // A bug of ours, after which nothing is known of the others.
                    Err(_) => waiting.running.clear(),
                }
                drop(waiting);
                shared.idle.notify_waiters();
            }
        }
    }
}

impl Shared {
    /// Runs the program once.
    async fn tell(&self, line: &Line) {
        let Some((program, args)) = self.command.split_first() else { return };
        let mut command = Command::new(program);
        command.args(args).envs(environment(line)).stdin(Stdio::piped()).process_group(0).kill_on_drop(true);
        if self.speaks == Speaks::ToTheLog {
            command.stdout(Stdio::null()).stderr(Stdio::piped());
        }
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return warn!(program = %text::visible(program), %error, "a hook cannot be started"),
        };
        let group = Group::of(&child);
        let by = Instant::now() + self.limit;
        let Ok(heard) = timeout_at(by, converse(&mut child, line)).await else {
            let limit = crate::config::format_duration(self.limit);
            warn!(program = %text::visible(program), "a hook took longer than {limit} and was killed");
            drop(group);
            // It is dead; only its number is still to be given back.
            let _ = timeout(Duration::from_secs(1), child.wait()).await;
            return;
        };
        // What it leaves running on purpose is its own business.
        group.disarm();
        match heard {
            Ok((status, _)) if status.success() => debug!("a hook was told"),
            Ok((status, errors)) => {
                let said = errors.trim().lines().last().map(|line| format!(": {}", text::visible(line)));
                let said = said.unwrap_or_default();
                warn!(program = %text::visible(program), "a hook failed with {status}{said}");
            }
            Err(error) => warn!(program = %text::visible(program), %error, "a hook cannot be followed"),
        }
    }
}

/// Hands the line over, and waits for the end; returns what it said last of errors.
async fn converse(child: &mut Child, line: &Line) -> std::io::Result<(std::process::ExitStatus, String)> {
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let errors = tokio::spawn(async move {
        let mut errors = Vec::new();
        if let Some(mut stderr) = stderr {
            // What is beyond is read too, and thrown away: nobody is to be blocked by us.
            let _ = (&mut stderr).take(HEARD).read_to_end(&mut errors).await;
            let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
        }
        errors
    });
    let told = async {
        if let Some(mut stdin) = stdin {
            // Who does not read its input does not want it.
            let _ = stdin.write_all(format!("{}\n", line.to_json()).as_bytes()).await;
        }
    };
    // It may end without having read everything.
    let mut told = std::pin::pin!(told);
    let status = tokio::select! {
        status = child.wait() => status?,
        () = &mut told => child.wait().await?,
    };
    // What it left running may hold its output open; that is not waited for.
    let errors = timeout(LAST_WORDS, errors).await.ok().and_then(Result::ok).unwrap_or_default();
    Ok((status, String::from_utf8_lossy(&errors).into_owned()))
}

/// A program and all that it started; dropping it kills them.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw))
    }

    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Gone already, as it should be.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

/// What a program finds in its environment, without control characters.
fn environment(line: &Line) -> Vec<(&'static str, String)> {
    let word = |status: Option<String>| status.unwrap_or_default();
    let kind = serde_json::to_value(line.kind).ok().and_then(|kind| kind.as_str().map(str::to_owned));
    let watcher = line.watcher.as_ref();
    let presentity = line.presentity.as_deref().or_else(|| watcher.map(|watcher| watcher.who.as_str()));
    let status = line.status.map(|status| status.to_string()).or_else(|| watcher.map(|watcher| watcher.state.clone()));
    [
        ("SIPPRESENCE_KIND", word(kind)),
        ("SIPPRESENCE_PRESENTITY", presentity.unwrap_or_default().to_owned()),
        ("SIPPRESENCE_NAME", line.name.as_deref().or(presentity).unwrap_or_default().to_owned()),
        ("SIPPRESENCE_STATUS", word(status)),
        ("SIPPRESENCE_NOTE", line.note.clone().or_else(|| line.text.clone()).unwrap_or_default()),
        ("SIPPRESENCE_FRESHNESS", line.to_freshness().map(|freshness| freshness.word().to_owned()).unwrap_or_default()),
        ("SIPPRESENCE_PREVIOUS", word(line.previous.as_ref().map(|previous| previous.status.to_string()))),
    ]
    .map(|(name, value)| {
        let mut value = text::visible(&value);
        value.truncate(value.floor_char_boundary(MAX_VALUE));
        (name, value)
    })
    .into()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use jiff::Timestamp;

    use super::*;
    use crate::client::{Freshness, PresenceStatus};

    fn line(presentity: &str, note: &str) -> Line {
        let mut line = Line::new(Kind::Change, 1, Timestamp::UNIX_EPOCH);
        line.presentity = Some(presentity.into());
        line.set_status(Some(&PresenceStatus::Busy));
        line.set_freshness(Freshness::Fresh);
        line.note = Some(note.into());
        line
    }

    fn sh(script: &str, args: &[&str]) -> Vec<String> {
        [&["sh", "-c", script, "sh"], args].concat().into_iter().map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn sec_18_a_hook_gets_the_line_on_its_input_and_words_in_its_environment_and_no_shell() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let script = "read -r line; printf '%s|%s|%s|%s|%s' \"$line\" \"$SIPPRESENCE_KIND\" \"$SIPPRESENCE_STATUS\" \
                      \"$SIPPRESENCE_NOTE\" \"$2\" >\"$1\"";
        let hooks =
            Hooks::new(sh(script, &[out.to_str().unwrap(), "$(id)"]), Duration::from_secs(10), Speaks::ToTheLog);
        let line = line("bob@host", "$(touch /tmp/pwned)\u{1b}[31m\0");
        hooks.offer(&line);
        hooks.finish().await;
        let told = fs::read_to_string(&out).unwrap();
        let rest = told.strip_prefix(&line.to_json()).unwrap();
        assert_eq!(rest, "|change|busy|$(touch /tmp/pwned)\\u001b[31m\\u0000|$(id)");
    }

    #[tokio::test]
    async fn one_runs_at_a_time_for_a_target_and_then_the_newest_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (go, log) = (folder.path().join("go"), folder.path().join("log"));
        let script = "while ! [ -e \"$1\" ]; do sleep 0.01; done; \
                      printf '%s %s\\n' \"$SIPPRESENCE_PRESENTITY\" \"$SIPPRESENCE_NOTE\" >>\"$2\"";
        let hooks = Hooks::new(
            sh(script, &[go.to_str().unwrap(), log.to_str().unwrap()]),
            Duration::from_secs(30),
            Speaks::ToTheLog,
        );
        hooks.offer(&line("bob", "first"));
        while hooks.shared.lock().running.is_empty() {
            tokio::task::yield_now().await;
        }
        for n in 0..1000 {
            hooks.offer(&line("bob", &n.to_string()));
        }
        hooks.offer(&line("carol", "at once"));
        while hooks.shared.lock().running.len() < 2 {
            tokio::task::yield_now().await;
        }
        fs::write(&go, "").unwrap();
        hooks.finish().await;
        let mut told: Vec<String> = fs::read_to_string(&log).unwrap().lines().map(str::to_owned).collect();
        told.sort();
        assert_eq!(told, ["bob 999", "bob first", "carol at once"]);
    }

    #[tokio::test]
    async fn a_hook_that_hangs_is_killed_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = "trap '' TERM INT HUP; sleep 600 & echo $! >\"$1\"; wait";
        let hooks = Hooks::new(sh(script, &[pid.to_str().unwrap()]), Duration::from_millis(300), Speaks::ToTheLog);
        hooks.offer(&line("bob", ""));
        hooks.finish().await;
        let pid: i32 = fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
        let by = Instant::now() + Duration::from_secs(30);
        // Its parent is gone, so whoever reaps orphans here takes it; until then it may be a zombie.
        let lives = |pid: i32| fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
        while lives(pid) {
            assert!(Instant::now() < by, "the grandchild lives on");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn one_that_floods_fails_or_cannot_be_started_harms_nobody() {
        for command in [
            sh("yes >&2 & yes | head -c 1000000 >/dev/null; kill $!; exit 3", &[]),
            sh("exec 0<&-; exit 0", &[]),
            vec!["/no/such/program".to_owned()],
            Vec::new(),
        ] {
            let hooks = Hooks::new(command, Duration::from_secs(20), Speaks::ToTheLog);
            hooks.offer(&line("bob", &"n".repeat(1_000_000)));
            hooks.finish().await;
        }
    }
}
