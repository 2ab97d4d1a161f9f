//! Running it: keys come first, then what is done, then the agent's lines; at most thirty pictures a second.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _},
    path::PathBuf,
    time::Duration,
};

use jiff::Zoned;
use thiserror::Error;
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};

use super::{
    desktop,
    effect::{Cmd, Msg},
    keymap::{Keymap, KeymapError},
    link::{self, News},
    model::Model,
    signals::{Caught, Signals},
    terminal::{self, Screen},
    theme::{Choice, Theme},
    update::update,
    view::view,
    work::{self, Job, Place},
};

/// The least time between two pictures.
const FRAME: Duration = Duration::from_millis(34);
/// How much news one picture takes in; what is more waits for the next one, behind the keys.
const BATCH: usize = 1024;

/// What it needs to know.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The agent's socket.
    pub socket: PathBuf,
    /// The file of the buddy list.
    pub buddies_file: PathBuf,
    /// Keys that are not those of [`keymap::TABLE`](super::keymap::TABLE), by the names there.
    pub keys: BTreeMap<String, String>,
    /// Which colours.
    pub theme: Choice,
    /// The account whose status is set, if not the default one.
    pub account: Option<String>,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The user left.
    Quit,
    /// By this signal.
    Signal(u8),
}

/// Why it cannot go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TuiError {
    /// There is none to draw on.
    #[error("a terminal is needed; `sippresence watch` follows your buddies without one")]
    NoTerminal,
    /// The bindings are of no use.
    #[error("the keys of the configuration: {0}")]
    Keys(#[from] KeymapError),
    /// The terminal cannot be used.
    #[error("the terminal cannot be used: {0}")]
    Terminal(#[from] io::Error),
    /// A bug of ours.
    #[error("a part of it broke")]
    Broken,
}

/// Shows the buddy list until the user leaves or a signal comes. The terminal is as before on every path.
pub async fn run(setup: Setup) -> Result<Ended, TuiError> {
    let keymap = Keymap::new(&setup.keys)?;
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(TuiError::NoTerminal);
    }
    let mut signals = Signals::new()?;
    let mut session = Session::begin(&setup, keymap)?;
    let mut keys = terminal::events();
    loop {
        if !Screen::is_ours() {
            return Err(TuiError::Broken);
        }
        let due = session.due();
        if due.is_some_and(|due| due <= Instant::now()) {
            session.take_news();
            session.draw()?;
            continue;
        }
        let wake = session.model.wake_in().and_then(|left| Duration::try_from(left).ok());
        let msg = tokio::select! {
            biased;
            signal = signals.next() => match signal {
                Caught::End(number) => return Ok(Ended::Signal(number)),
                Caught::Stop => {
                    session.suspend()?;
                    None
                }
                Caught::Resumed => {
                    session.screen.resume()?;
                    session.resize()?
                }
            },
            event = keys.recv() => match event {
                Some(event) => terminal::message(event),
                // The terminal is gone.
                None => return Ok(Ended::Signal(1)),
            },
            done = session.done.recv() => match done {
                Some(done) => Some(Msg::Done(done)),
                None => return Err(TuiError::Broken),
            },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => None,
            got = session.news.recv_many(&mut session.batch, BATCH), if session.batch.len() < BATCH => {
                if got == 0 {
                    return Err(TuiError::Broken);
                }
                None
            }
            () = sleep(wake.unwrap_or_default()), if wake.is_some() && due.is_none() => {
                session.dirty = true;
                None
            }
        };
        if let Some(msg) = msg
            && session.take(msg)?
        {
            return Ok(Ended::Quit);
        }
    }
}

/// What lives as long as the picture.
struct Session {
    model: Model,
    theme: Theme,
    screen: Screen,
    place: Place,
    sender: mpsc::Sender<News>,
    news: mpsc::Receiver<News>,
    batch: Vec<News>,
    jobs: mpsc::Sender<Job>,
    done: mpsc::Receiver<super::effect::Done>,
    trace: Option<JoinHandle<()>>,
    tasks: [JoinHandle<()>; 2],
    /// Something is another than on the screen.
    dirty: bool,
    drawn_at: Option<Instant>,
}

impl Session {
    fn begin(setup: &Setup, keymap: Keymap) -> io::Result<Self> {
        let (sender, news) = mpsc::channel(BATCH);
        let (jobs, todo) = mpsc::channel(64);
        let (finished, done) = mpsc::channel(64);
        let Setup { socket, buddies_file, account, theme, .. } = setup.clone();
        let place = Place { socket: socket.clone(), buddies_file, account: account.clone() };
        let screen = Screen::enter()?;
        let (width, height) = crossterm::terminal::size()?;
        let mut model = Model::new(keymap, Zoned::now(), width, height);
        model.prefer(account.clone());
        let tasks = [
            tokio::spawn(link::follow(socket, account, sender.clone())),
            tokio::spawn(work::work(place.clone(), todo, finished)),
        ];
        Ok(Self {
            model,
            theme: Theme::detect(theme, |name| std::env::var(name).ok()),
            screen,
            place,
            sender,
            news,
            batch: Vec::new(),
            jobs,
            done,
            trace: None,
            tasks,
            dirty: true,
            drawn_at: None,
        })
    }

    /// Returns when the next picture is to be drawn, if there is anything new.
    fn due(&self) -> Option<Instant> {
        let new = self.dirty || !self.batch.is_empty();
        new.then(|| self.drawn_at.map_or_else(Instant::now, |at| at + FRAME))
    }

    fn draw(&mut self) -> io::Result<()> {
        // The picture's times are those of when it is drawn.
        update(&mut self.model, Msg::Tick(Zoned::now()));
        self.drawn_at = Some(Instant::now());
        self.dirty = false;
        let (model, theme) = (&self.model, self.theme);
        self.screen.draw(|frame| view(model, theme, frame))
    }

    /// Takes in what came from the agent, lines that stand together at once.
    fn take_news(&mut self) {
        let mut lines = Vec::new();
        let mut cmds = Vec::new();
        for news in std::mem::take(&mut self.batch) {
            let msg = match news {
                News::Line(line) => {
                    lines.push(*line);
                    continue;
                }
                News::Link(link) => Msg::Link(link),
                News::Traced(traced) => Msg::Traced(traced),
            };
            cmds.extend(update(&mut self.model, Msg::Lines(std::mem::take(&mut lines))));
            cmds.extend(update(&mut self.model, msg));
        }
        cmds.extend(update(&mut self.model, Msg::Lines(lines)));
        for cmd in cmds {
            // What the agent tells never ends us.
            let _ = self.act(cmd);
        }
    }

    /// Takes a message; returns whether that was the end.
    fn take(&mut self, msg: Msg) -> io::Result<bool> {
        if let Msg::Resize(..) = msg {
            self.screen.anew()?;
        }
        self.dirty = true;
        let mut cmds = update(&mut self.model, Msg::Tick(Zoned::now()));
        cmds.extend(update(&mut self.model, msg));
        for cmd in cmds {
            if self.act(cmd)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn act(&mut self, cmd: Cmd) -> io::Result<bool> {
        let job = match cmd {
            Cmd::Quit => return Ok(true),
            Cmd::Suspend => {
                self.suspend()?;
                return Ok(false);
            }
            Cmd::Redraw => {
                self.screen.anew()?;
                return Ok(false);
            }
            Cmd::Ring(words) => {
                Screen::bell()?;
                desktop::tell(words);
                return Ok(false);
            }
            Cmd::Trace(on) => {
                self.trace.take().inspect(JoinHandle::abort);
                self.trace = on.then(|| tokio::spawn(link::trace(self.place.socket.clone(), self.sender.clone())));
                return Ok(false);
            }
            Cmd::Ask(order) => Job::Ask(order),
            Cmd::Edit(edit) => Job::Edit(edit),
            Cmd::Fetch(address) => Job::Fetch(address),
        };
        if let Err(TrySendError::Full(job) | TrySendError::Closed(job)) = self.jobs.try_send(job) {
            let words = "too much is being done already: wait a moment".to_owned();
            let undo = job.again();
            update(&mut self.model, Msg::Done(super::effect::Done { words, failed: true, undo, ..Default::default() }));
        }
        Ok(false)
    }

    fn suspend(&mut self) -> io::Result<()> {
        if !self.screen.suspend()? {
            self.dirty = true;
            let words = "there is no shell here to come back from".to_owned();
            update(&mut self.model, Msg::Done(super::effect::Done { words, ..Default::default() }));
            return Ok(());
        }
        if let Some(msg) = self.resize()? {
            self.take(msg)?;
        }
        Ok(())
    }

    /// Returns the message of the size that there is now.
    fn resize(&mut self) -> io::Result<Option<Msg>> {
        let (width, height) = self.screen.anew()?;
        self.dirty = true;
        Ok(Some(Msg::Resize(width, height)))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.tasks.iter().chain(&self.trace).for_each(JoinHandle::abort);
    }
}
