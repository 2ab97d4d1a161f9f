//! Cores, and a presence server if there is one, joined by a network that loses, doubles, delays and reorders datagrams,
//! by a seed.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    net::SocketAddr,
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use sippresence::{
    presence::core::{Core, CoreConfig, Input, Key, Now, Outbox, SavedServing},
    sip::{auth::Secret, effect::Effect},
};

use super::{
    moment, ms,
    server::{Letters, Server},
};

/// What the network does to datagrams.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    pub loss: f64,
    pub doubled: f64,
    pub slowest: Duration,
}

impl Weather {
    pub const FAIR: Self = Self { loss: 0.0, doubled: 0.0, slowest: ms(2) };
}

type Datagram = Reverse<(Duration, u64, SocketAddr, SocketAddr, Vec<u8>)>;

pub struct World {
    pub weather: Weather,
    pub rng: StdRng,
    after: Duration,
    cores: BTreeMap<SocketAddr, Core>,
    server: Option<(SocketAddr, Server)>,
    /// What each core wrote down last.
    saved: BTreeMap<SocketAddr, SavedServing>,
    /// What each core is told when it asks for a secret, if anything.
    pub secrets: BTreeMap<SocketAddr, &'static str>,
    on_the_way: BinaryHeap<Datagram>,
    numbered: u64,
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self {
            weather: Weather::FAIR,
            rng: StdRng::seed_from_u64(seed),
            after: Duration::ZERO,
            cores: BTreeMap::new(),
            server: None,
            saved: BTreeMap::new(),
            secrets: BTreeMap::new(),
            on_the_way: BinaryHeap::new(),
            numbered: 0,
        }
    }

    pub fn after(&self) -> Duration {
        self.after
    }

    pub fn now(&self) -> Now {
        moment(self.after)
    }

    /// Starts a core at its address; one that ran there is gone without a word.
    pub fn start(&mut self, config: CoreConfig) -> SocketAddr {
        let address = self.make(config);
        self.act(address, Core::begin);
        address
    }

    /// Starts the presence server.
    pub fn serve(&mut self, address: SocketAddr) {
        self.server = Some((address, Server::new(address)));
    }

    pub fn server(&mut self) -> &mut Server {
        &mut self.server.as_mut().unwrap().1
    }

    fn make(&mut self, config: CoreConfig) -> SocketAddr {
        let address = config.locals[0];
        let rng = StdRng::seed_from_u64(self.rng.random());
        self.cores.insert(address, Core::new(config, rng, self.now()).unwrap());
        self.saved.remove(&address);
        address
    }

    /// Starts a core anew that goes on with what the one before published and served: as that one left it in good
    /// order, or as it was written down last before a crash.
    pub fn restart(&mut self, config: CoreConfig, crashed: bool) {
        let (address, now) = (config.locals[0], self.now());
        let before = &self.cores[&address];
        let published = before.own().published.clone();
        let saved = if crashed { self.saved.get(&address).cloned() } else { Some(before.saved(now)) };
        self.make(config);
        self.act(address, |core, now, out| {
            if let Some(published) = published {
                core.restore_published(published, now, out);
            }
            if let Some(saved) = saved {
                core.restore(&saved, crashed, now, out);
            }
            core.begin(now, out);
        });
    }

    pub fn core(&self, address: SocketAddr) -> &Core {
        &self.cores[&address]
    }

    pub fn act<T>(&mut self, address: SocketAddr, act: impl FnOnce(&mut Core, Now, &mut Outbox) -> T) -> T {
        let (now, mut out) = (self.now(), Outbox::default());
        let core = self.cores.get_mut(&address).unwrap();
        let done = act(core, now, &mut out);
        let mut sent = Vec::new();
        if out.changed.contains(&Key::Saved) {
            self.saved.insert(address, core.saved(now));
        }
        loop {
            while core.wants_pump() {
                core.pump(16, now, &mut out);
            }
            let effects = std::mem::take(&mut out.effects);
            if effects.is_empty() {
                break;
            }
            for effect in effects {
                match effect {
                    Effect::Send { local, remote, packet } => sent.push((local, remote, packet.to_vec())),
                    // Nobody here has TCP.
                    Effect::Open { conn, .. } => core.handle(Input::Closed(conn), now, &mut out),
                    Effect::AskSecret { account } => {
                        if let Some(secret) = self.secrets.get(&address) {
                            let answer = Ok(Secret::new(*secret));
                            core.handle(Input::Secret { account, answer }, now, &mut out);
                        }
                    }
                    Effect::Write { .. } | Effect::Close { .. } | Effect::Resolve { .. } => {}
                }
            }
        }
        for (local, remote, bytes) in sent {
            self.carry(local, remote, &bytes);
        }
        done
    }

    fn post(&mut self, from: SocketAddr, letters: Letters) {
        for (to, text) in letters {
            self.carry(from, to, text.as_bytes());
        }
    }

    fn carry(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let copies = if self.rng.random_bool(self.weather.doubled) { 2 } else { 1 };
        for _ in 0..copies {
            if self.rng.random_bool(self.weather.loss) {
                continue;
            }
            self.numbered += 1;
            let due = self.after + ms(1) + self.weather.slowest.mul_f64(self.rng.random_range(0.0..1.0));
            self.on_the_way.push(Reverse((due, self.numbered, from, to, bytes.to_vec())));
        }
    }

    /// Lets time pass; `seen` looks at the world after each thing that happened.
    pub fn advance(&mut self, time: Duration, mut seen: impl FnMut(&Self)) {
        let end = self.after + time;
        let mut steps = 0_u64;
        loop {
            steps += 1;
            assert!(steps < 2_000_000, "the world does not come to rest");
            let origin = moment(Duration::ZERO).at;
            let timer =
                self.cores.iter().filter_map(|(address, core)| Some((core.deadline()?.since(origin), *address))).min();
            let datagram = self.on_the_way.peek().map(|Reverse((due, ..))| *due);
            let at_server = self.server.as_ref().and_then(|(_, server)| server.deadline());
            let next = [timer.map(|(at, _)| at), datagram, at_server].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.after = self.after.max(next);
            if datagram.is_some_and(|due| due <= self.after) {
                let Some(Reverse((_, _, from, to, bytes))) = self.on_the_way.pop() else { continue };
                let now = self.after;
                if let Some((_, server)) = self.server.as_mut().filter(|(address, _)| *address == to) {
                    let letters = server.receive(from, &bytes, now);
                    self.post(to, letters);
                } else if self.cores.contains_key(&to) {
                    let input = Input::Datagram { local: to, remote: from, bytes: &bytes };
                    self.act(to, |core, now, out| core.handle(input, now, out));
                }
            } else if at_server.is_some_and(|due| due <= self.after) {
                let (address, server) = self.server.as_mut().unwrap();
                let (address, letters) = (*address, server.tick(self.after));
                self.post(address, letters);
            } else if let Some((_, address)) = timer {
                self.act(address, |core, now, out| core.handle(Input::Tick, now, out));
            }
            seen(self);
        }
        self.after = end;
    }
}
