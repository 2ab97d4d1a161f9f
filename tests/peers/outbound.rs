//! Kamailio's registrar with Outbound, by a connection that somebody in between listens to and cuts.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use sippresence::client::{Login, PasswordSource, PresenceClient, PresenceStatus, Secret};

use super::{
    server::{Server, WITH_OUTBOUND},
    support::{Peer, Test, until},
};

pub(crate) const TESTS: &[Test] =
    &[("kamailio::trn_24_and_26_is_pinged_and_a_binding_whose_flow_is_cut_made_by_another", cut)];

/// What one connection carried, from us and to us.
#[derive(Debug, Default)]
struct Carried {
    sent: String,
    received: String,
    ends: Vec<TcpStream>,
}

/// Somebody between us and the server; it ends with its test.
struct Between {
    address: SocketAddr,
    carried: Arc<Mutex<Vec<Carried>>>,
}

impl Between {
    fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, carried) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<Carried>>>::default());
        let all = Arc::clone(&carried);
        thread::spawn(move || {
            while let Ok((ours, _)) = listener.accept() {
                let Ok(theirs) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let ends = vec![ours.try_clone().unwrap(), theirs.try_clone().unwrap()];
                let mut list = all.lock().unwrap();
                let number = list.len();
                list.push(Carried { ends, ..Carried::default() });
                drop(list);
                let (back, forth) = (theirs.try_clone().unwrap(), ours.try_clone().unwrap());
                carry(ours, theirs, Arc::clone(&all), move |all, text| all[number].sent.push_str(text));
                carry(back, forth, Arc::clone(&all), move |all, text| all[number].received.push_str(text));
            }
        });
        Self { address, carried }
    }

    /// Waits until the last connection carried what is looked for.
    fn sees(&self, what: &str, look: impl Fn(&Carried) -> bool) {
        until(what, || {
            let all = self.carried.lock().unwrap();
            match all.last() {
                Some(carried) if look(carried) => Ok(()),
                instead => Err(format!("{instead:#?}")),
            }
        });
    }

    fn count(&self) -> usize {
        self.carried.lock().unwrap().len()
    }

    fn cut(&self) {
        for end in self.carried.lock().unwrap().iter().flat_map(|carried| &carried.ends) {
            // It may be gone already.
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

fn carry(
    mut from: TcpStream,
    mut to: TcpStream,
    all: Arc<Mutex<Vec<Carried>>>,
    note: impl Fn(&mut Vec<Carried>, &str) + Send + 'static,
) {
    thread::spawn(move || {
        let mut bytes = [0; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut bytes) {
            note(&mut all.lock().unwrap(), &String::from_utf8_lossy(&bytes[..length]));
            if to.write_all(&bytes[..length]).is_err() {
                break;
            }
        }
        // It may be gone already.
        let _ = to.shutdown(Shutdown::Both);
    });
}

fn cut(peer: &Peer) {
    let server = Server::start(peer, WITH_OUTBOUND);
    let between = Between::before(server.port);
    let proxy = format!("sip:{};transport=tcp", between.address);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let alice = runtime.block_on(async {
        let login = Login::new("alice", PasswordSource::known(Secret::new("alice-pw"))).server("127.0.0.1");
        let alice = PresenceClient::builder("sip:alice@127.0.0.1").any_port().login(login).bind().await.unwrap();
        alice.register(&proxy).await.unwrap();
        alice.presence(PresenceStatus::Available).await.unwrap();
        alice
    });
    let agreed = |carried: &Carried| {
        let registered =
            carried.sent.contains(";reg-id=1\r\n") && carried.sent.contains("\r\nSupported: outbound, path\r\n");
        registered
            && carried.received.contains("\r\nRequire: outbound\r\n")
            && carried.received.contains("\r\nFlow-Timer: 10\r\n")
    };
    between.sees("both agree on Outbound", agreed);
    let pinged =
        |carried: &Carried| carried.sent.ends_with("\r\n\r\n\r\n") && carried.received.ends_with("\r\n\r\n\r\n");
    between.sees("a ping is answered", pinged);
    assert_eq!(between.count(), 1, "all goes by one connection");
    between.cut();
    until("another connection is made", || if between.count() == 2 { Ok(()) } else { Err("none") });
    between.sees("the binding is made by it", agreed);
    until("alice is registered", || {
        let linked = runtime.block_on(alice.linked()).unwrap();
        let state = linked.registration.as_ref().unwrap().state.clone();
        if state == "standing" { Ok(()) } else { Err(state) }
    });
    runtime.block_on(alice.stop());
    between.sees("it is taken back by it", |carried| carried.sent.contains("\r\nExpires: 0\r\n"));
}
