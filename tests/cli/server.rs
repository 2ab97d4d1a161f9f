//! The presence server of the virtual world on a real socket, for programs to work through.

use std::{
    net::UdpSocket,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::world;

/// A server on loopback; it ends with its test.
pub(crate) struct Server {
    pub(crate) port: u16,
    inner: Arc<Mutex<world::server::Server>>,
    done: Arc<AtomicBool>,
    task: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let address = socket.local_addr().unwrap();
        let server = Arc::new(Mutex::new(world::server::Server::new(address)));
        let done = Arc::new(AtomicBool::new(false));
        let (shared, ended, began) = (Arc::clone(&server), Arc::clone(&done), Instant::now());
        let task = std::thread::spawn(move || {
            let mut buffer = vec![0; 65536];
            while !ended.load(Ordering::Relaxed) {
                let came = socket.recv_from(&mut buffer);
                let mut server = shared.lock().unwrap();
                let letters = match came {
                    Ok((length, from)) => server.receive(from, &buffer[..length], began.elapsed()),
                    Err(_) => server.tick(began.elapsed()),
                };
                for (to, text) in letters {
                    // Whoever is gone gets nothing.
                    let _ = socket.send_to(text.as_bytes(), to);
                }
            }
        });
        Self { port: address.port(), inner: server, done, task: Some(task) }
    }

    /// Returns how many documents stand there of a user that hold these words.
    pub(crate) fn has(&self, user: &str, words: &str) -> usize {
        let server = self.inner.lock().unwrap();
        server.documents(&format!("sip:{user}@sip.test")).iter().filter(|document| document.contains(words)).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(task) = self.task.take() {
            // One that panicked has said so.
            let _ = task.join();
        }
    }
}
