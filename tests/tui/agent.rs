//! An agent that knows no SIP: it tells what a test has it tell, and remembers what it was asked.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use sippresence::client::Line;

#[derive(Default)]
struct Shared {
    /// What a new follower is told first.
    first: Vec<String>,
    followers: Vec<UnixStream>,
    connections: Vec<UnixStream>,
    asked: Vec<String>,
}

/// One that listens at a socket until it is dropped.
pub(crate) struct Agent {
    shared: Arc<Mutex<Shared>>,
    over: Arc<AtomicBool>,
    path: std::path::PathBuf,
}

impl Agent {
    pub(crate) fn start(path: &Path, first: &[Line]) -> Self {
        // One that was there before is gone.
        let _ = std::fs::remove_file(path);
        let listener = UnixListener::bind(path).unwrap();
        let first = first.iter().map(Line::to_json).collect();
        let shared = Arc::new(Mutex::new(Shared { first, ..Shared::default() }));
        let over = Arc::new(AtomicBool::new(false));
        let (to, ends) = (Arc::clone(&shared), Arc::clone(&over));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                let to = Arc::clone(&to);
                thread::spawn(move || serve(stream, &to));
            }
        });
        Self { shared, over, path: path.to_owned() }
    }

    /// Tells everybody who follows.
    pub(crate) fn tell(&self, line: &Line) {
        let mut shared = self.shared.lock().unwrap();
        let text = line.to_json() + "\n";
        shared.followers.retain_mut(|follower| follower.write_all(text.as_bytes()).is_ok());
    }

    /// Returns what it was asked so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.shared.lock().unwrap().asked.clone()
    }
}

impl Drop for Agent {
    /// As when a process dies: every connection ends.
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = UnixStream::connect(&self.path);
        let _ = std::fs::remove_file(&self.path);
        for connection in &self.shared.lock().unwrap().connections {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
    }
}

fn serve(stream: UnixStream, shared: &Mutex<Shared>) {
    let mut to = stream.try_clone().unwrap();
    shared.lock().unwrap().connections.push(stream.try_clone().unwrap());
    let hello = r#"{"hello":"sippresence","version":"0.1.0","protocol":1,"address":"sip:me@h","pid":1}"#;
    // Whoever only looks whether somebody is there closes at once.
    let _ = writeln!(to, "{hello}");
    for request in BufReader::new(stream).lines().skip(1).map_while(Result::ok) {
        let mut shared = shared.lock().unwrap();
        let mut answer = r#"{"reply":"ok"}"#.to_owned() + "\n";
        if request.contains(r#""cmd":"follow""#) {
            answer.extend(shared.first.iter().flat_map(|line| [line.as_str(), "\n"]));
            shared.followers.push(to.try_clone().unwrap());
        }
        shared.asked.push(request);
        if to.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
