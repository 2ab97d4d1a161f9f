//! Bad days of the agent and its files: what is broken is named and kept, what cannot be kept is told.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        net::UnixListener,
    },
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::support::{Finished, Home, Running, lives, take_port};

fn state(home: &Home) -> PathBuf {
    home.path("state/sippresence/agent.json")
}

/// The files that were put aside.
fn aside(home: &Home) -> Vec<PathBuf> {
    let files = fs::read_dir(home.path("state/sippresence")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "broken")).collect()
}

#[test]
fn sec_16_a_half_written_or_newer_state_is_named_with_its_line_and_kept() {
    for (text, words) in [
        ("{\n  \"version\": 1,\n  \"own\": {\n", "agent.json: line 4: EOF"),
        ("{\"version\": 7, \"own\": \"of another kind\"}", "a newer program wrote it (version 7; this one knows 1)"),
        ("", "agent.json: line 1: EOF"),
    ] {
        let home = Home::new("alice");
        home.run(&["set", "busy"]);
        home.run(&["agent", "stop"]);
        fs::write(state(&home), text).unwrap();
        let set = home.run(&["set", "away"]);
        assert_eq!(set.code, 0, "{set:?}");
        let note = set.err.lines().find(|line| line.starts_with("note: ")).unwrap();
        assert!(note.contains(words) && note.contains("it is kept as ") && note.contains("start without it"), "{note}");
        let [kept] = &aside(&home)[..] else { panic!("{:?}", aside(&home)) };
        assert_eq!(fs::read_to_string(kept).unwrap(), text);
        assert!(fs::read_to_string(state(&home)).unwrap().contains("away"));
    }
}

#[test]
fn a_state_that_others_can_read_is_made_private_and_one_that_cannot_be_read_stops_the_start() {
    let home = Home::new("alice");
    home.run(&["set", "busy"]);
    home.run(&["agent", "stop"]);
    fs::set_permissions(state(&home), fs::Permissions::from_mode(0o644)).unwrap();
    let start = home.run(&["agent", "start"]);
    assert!(start.err.contains("note: ") && start.err.contains("could be read by others"), "{start:?}");
    assert_eq!(fs::metadata(state(&home)).unwrap().mode() & 0o777, 0o600);
    assert!(home.run(&["me"]).out.starts_with("you are      busy"));
    home.run(&["agent", "stop"]);
    fs::remove_file(state(&home)).unwrap();
    fs::create_dir(state(&home)).unwrap();
    let start = home.run(&["agent", "start"]);
    assert_eq!(start.code, 2, "{start:?}");
    assert!(start.err.starts_with("sippresence: the agent did not start: cannot read "), "{start:?}");
    assert!(state(&home).is_dir() && home.agent_pid().is_none());
}

#[test]
fn why_an_agent_does_not_start_is_told_by_the_command_that_starts_it() {
    let home = Home::new("alice");
    let (_udp, _tcp, port) = take_port();
    home.config(&format!("[agent]\nport = {port}\n"));
    let set = home.run(&["set", "busy"]);
    set.fails(
        2,
        &format!(
            "sippresence: the agent did not start: port {port} on 127.0.0.1 is taken by another program\n\
             hint: choose another with `agent.port`, or stop that program"
        ),
    );
    home.config("[agent]\nlisten = [\"203.0.113.7\"]\n");
    let set = home.run(&["set", "busy"]);
    assert_eq!((set.code, set.err.lines().count()), (2, 2), "{set:?}");
}

/// Runs a script that may mount file systems, which are seen by nobody else; none where the system forbids that.
fn with_mounts(home: &Home, script: &str) -> Option<Finished> {
    let own_mounts = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]).env_clear().stdin(Stdio::null());
        for (name, value) in home.sh_command("").get_envs() {
            command.env(name, value.unwrap());
        }
        command
    };
    if !own_mounts("true").output().is_ok_and(|tried| tried.status.success()) {
        let required = std::env::var_os("SIPPRESENCE_REQUIRE_PEERS").is_some_and(|value| value == "1");
        assert!(!required, "this system gives no file systems of one's own (unshare)");
        return None;
    }
    fs::create_dir_all(home.path("state/sippresence")).unwrap();
    Some(Finished::of(own_mounts(script).output().unwrap()))
}

#[test]
fn not_29_a_full_disk_is_told_once_and_memory_goes_on() {
    let home = Home::new("alice");
    let fill = "dd if=/dev/zero of=\"$XDG_STATE_HOME/sippresence/fill\" bs=1k 2>/dev/null";
    let script = format!(
        "mount -t tmpfs -o size=16k,mode=700 tmpfs \"$XDG_STATE_HOME/sippresence\" && \
         sippresence set busy; {fill}; sippresence set away; sippresence me | head -n 1; \
         sippresence agent status | grep NOT; \
         rm \"$XDG_STATE_HOME/sippresence/fill\"; sippresence set dnd; sippresence agent restart; \
         sippresence me | head -n 1; sippresence agent stop"
    );
    let Some(run) = with_mounts(&home, &script) else { return };
    assert_eq!(run.err.matches("note: it is in force, but will be forgotten").count(), 1, "{run:?}");
    assert!(run.err.contains("No space left on device"), "{run:?}");
    let out: Vec<&str> = run.out.lines().collect();
    assert_eq!((out[0], out[2], out.len()), ("you are      away", "you are      dnd", 3), "{run:?}");
    assert!(out[1].contains("NOT KEPT: cannot write "), "{run:?}");
}

#[test]
fn a_home_that_cannot_be_written_keeps_nobody_from_setting_a_status() {
    let home = Home::new("alice");
    let script = "mount -t tmpfs -o ro tmpfs \"$XDG_STATE_HOME\" && sippresence set busy; echo $?; \
                  sippresence show me; sippresence agent stop";
    let Some(run) = with_mounts(&home, script) else { return };
    assert!(run.out.starts_with("0\n") && run.out.contains("\tbusy"), "{run:?}");
    assert!(run.err.contains("Read-only file system"), "{run:?}");
}

#[test]
fn sec_11_a_socket_of_somebody_else_is_left_alone() {
    if !nix::unistd::geteuid().is_root() {
        // Only root can give a socket away.
        return;
    }
    let home = Home::new("alice");
    fs::create_dir_all(home.path("run/sippresence")).unwrap();
    let socket = home.path("run/sippresence/agent.sock");
    drop(UnixListener::bind(&socket).unwrap());
    std::os::unix::fs::chown(&socket, Some(65_534), None).unwrap();
    let set = home.run(&["set", "busy"]);
    assert_eq!(set.code, 2, "{set:?}");
    assert!(set.err.contains("is no socket of ours"), "{set:?}");
    assert!(socket.exists());
}

#[test]
fn a_socket_that_a_dead_agent_left_is_replaced_by_set() {
    let home = Home::new("alice");
    home.run(&["set", "busy"]);
    home.kill_agent();
    assert!(home.path("run/sippresence/agent.sock").exists());
    let set = home.run(&["set", "away"]);
    assert!(set.err.starts_with("started the agent at "), "{set:?}");
}

/// Plays an agent of another version, if this process was started for that.
fn play_another_version() {
    let Ok(path) = std::env::var("PLAY_ANOTHER_VERSION") else { return };
    let listener = UnixListener::bind(path).unwrap();
    std::io::stdout().write_all(b"\nplays\n").unwrap();
    let mut callers = Vec::new();
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        // Who only looks who we are is gone already.
        let _ = stream.write_all(b"{\"hello\":\"sippresence\",\"version\":\"9.9.9\",\"protocol\":99}\n");
        callers.push(stream);
    }
}

#[test]
fn an_agent_of_another_version_is_named_and_can_be_replaced_and_stopped() {
    play_another_version();
    let home = Home::new("alice");
    fs::create_dir_all(home.path("run/sippresence")).unwrap();
    let socket = home.path("run/sippresence/agent.sock");
    let start = || {
        // What one that was killed leaves behind.
        let _ = fs::remove_file(&socket);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "state::an_agent_of_another_version_is_named_and_can_be_replaced_and_stopped"]);
        command.args(["--nocapture"]).env("PLAY_ANOTHER_VERSION", &socket);
        let mut other = Running::start(command);
        other.line(&["plays"]);
        other
    };
    let mut other = start();
    home.run(&["set", "busy"]).fails(
        12,
        "sippresence: the agent is version 9.9.9 and speaks protocol 99, this program protocol 1\n\
         hint: `sippresence agent restart` puts this program in its place",
    );
    let restart = home.run(&["agent", "restart"]);
    assert_eq!(restart.code, 0, "{restart:?}");
    other.wait();
    assert_eq!(home.run(&["set", "busy"]).code, 0);
    home.run(&["agent", "stop"]);
    let mut other = start();
    let pid = other.pid();
    let stop = home.run(&["agent", "stop"]);
    stop.fails(0, "the agent went offline and ended");
    other.wait();
    assert!(!lives(pid));
}

#[test]
fn a_configuration_that_breaks_while_the_agent_runs_changes_nothing() {
    let home = Home::new("alice");
    home.run(&["set", "busy"]);
    home.config(&format!("[agent]\nport = {}\n[hooks]\non_event = [\"true\"\n", home.port));
    let mut heard = BufReader::new(fs::File::open(home.path("state/sippresence/agent.log")).unwrap());
    let pid = home.agent_pid();
    assert_eq!(pid, None, "no command runs with a broken configuration");
    fs::remove_file(home.path("config/sippresence/config.toml")).unwrap();
    let pid = home.agent_pid().unwrap();
    home.config("[agent\n");
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGHUP).unwrap();
    let mut line = String::new();
    crate::support::wait_until("the log tells of it", || {
        heard.read_line(&mut line).unwrap();
        line.contains("nothing is changed: ") && line.contains("config.toml:1:")
    });
    fs::remove_file(home.path("config/sippresence/config.toml")).unwrap();
    home.config(&format!("[agent]\nport = {}\nmin_expires = \"2m\"\n", home.port));
    let reload = home.run(&["agent", "reload"]);
    assert_eq!(reload.err, "configuration and policy are in force; this machine's own address began anew\n");
}
