//! A password goes to the account's own server as a digest, and nowhere else: not into arguments, logs, traces, files or
//! answers (SEC-09).

use std::{
    fmt::Write as _,
    fs,
    net::UdpSocket,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::support::{Home, wait_until};

/// Unlike anything else.
const PASSWORD: &str = "hunter2-\u{fc}\"quoted\"-vrzk";

/// A server that challenges every request, and counts those that answer its challenge.
fn challenger() -> (u16, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (port, answered) = (socket.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&answered);
    // Ends with the process of the test: nobody tells it.
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65536];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if request.starts_with("SIP/2.0") {
                continue;
            }
            if request.contains("Authorization: Digest ") {
                counted.fetch_add(1, Ordering::Relaxed);
            }
            let kept = ["Via", "From", "To", "Call-ID", "CSeq"];
            let lines: Vec<&str> =
                request.lines().filter(|line| kept.contains(&line.split(':').next().unwrap_or_default())).collect();
            let answer = format!(
                "SIP/2.0 401 Unauthorized\r\n{}\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\n\
                 Content-Length: 0\r\n\r\n",
                lines.join("\r\n")
            );
            socket.send_to(answer.as_bytes(), from).unwrap();
        }
    });
    (port, answered)
}

/// Every file below a folder, but those that hold the password by the user's own will.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            files(&path, found);
        } else if path.is_file() && path.file_name().is_some_and(|name| name != "pw") {
            found.push(path);
        }
    }
}

#[test]
fn sec_09_a_password_is_in_no_argument_log_trace_file_or_answer() {
    let (home, (port, answered)) = (Home::new("alice"), challenger());
    let file = home.path("pw");
    fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    home.config(&format!(
        "[account.alice]\naddress = \"sip:alice@sip.test\"\noutbound_proxy = \"sip:127.0.0.1:{port}\"\n\
         register = \"always\"\npassword_file = \"{}\"\n[sip]\nt1 = \"50ms\"\n",
        file.display()
    ));
    // A secret that is shared with a peer is as secret; who is at that port challenges as well.
    let buddies = format!(
        "[[buddy]]\nname = \"carol\"\naddress = \"carol@127.0.0.1:{port}\"\npassword_file = \"{}\"\n\
         [[buddy]]\nname = \"dave\"\naddress = \"dave@127.0.0.1:{port}\"\npassword_command = [\"cat\", \"{0}\"]\n",
        file.display()
    );
    fs::write(home.path("config/sippresence/buddies.toml"), buddies).unwrap();
    let trace = format!("--trace-sip={}", home.path("trace.pcapng").display());
    let mut said = String::new();
    let start = home.run(&["-vvv", "agent", "start"]);
    let _ = write!(said, "{start:?}");
    let pid = home.agent_pid().unwrap();
    for args in [
        &["-vvv", "set", "busy", "--trace-sip"][..],
        &["-vvv", "show", "bob", "--no-agent", "--timeout", "3s", &trace],
        &["-vvv", "set", "--no-agent", "away", "--timeout", "3s"],
        &["-vvv", "doctor", "--publish", "--timeout", "2s"],
        &["me"],
        &["--json", "me"],
        &["agent", "status"],
        &["config", "show"],
        &["buddies"],
        &["-vvv", "show", "carol", "--raw"],
        &["-vvv", "show", "dave", "--no-agent", "--timeout", "3s", "--trace-sip"],
        &["--json", "show"],
        &["--json", "buddies"],
        &["buddies", "export", "--format", "json"],
        &["agent", "reload"],
    ] {
        let _ = writeln!(said, "{args:?}: {:?}", home.run(args));
    }
    wait_until("the challenges are answered", || answered.load(Ordering::Relaxed) >= 2);
    for what in ["cmdline", "environ"] {
        said += &String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/{what}")).unwrap());
    }
    let _ = write!(said, "{:?}", home.run(&["agent", "stop"]));
    let mut found = Vec::new();
    files(&home.path(""), &mut found);
    assert!(found.iter().any(|path| path.ends_with("trace.pcapng")), "{found:?}");
    for path in found {
        said += &String::from_utf8_lossy(&fs::read(&path).unwrap());
    }
    for part in ["hunter2", "vrzk", "quoted"] {
        let at = said.find(part).map(|at| said[at.saturating_sub(300)..].chars().take(400).collect::<String>());
        assert_eq!(at, None, "{part}");
    }
    assert!(said.contains("***"), "a trace shows that something is hidden");
}
