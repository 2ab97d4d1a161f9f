//! What looks at others share: where lines come from, the agent or a client of this process.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use jiff::Timestamp;
use tokio::task::JoinSet;

use super::{Context, Exit, Failed, targets::Whom};
use crate::{
    agent,
    client::{Freshness, Kind, Line, Lines, PresenceClient, Query, Subscribing},
    control::{Connection, ControlError, MAX_LINE, Reply, Request},
};

/// How long one command to the agent may take unless told otherwise.
const ONE_SHOT: Duration = Duration::from_secs(10);

/// How long an agent may take to be there again, as after `agent restart`.
const BACK_WITHIN: Duration = Duration::from_secs(3);

/// How often it is looked for meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Connects to the agent, if one runs and may be used; its messages are traced if that was asked for.
pub(super) async fn agent(context: &Context) -> Result<Option<Connection>, Failed> {
    let agent = connect(context).await?;
    if agent.is_some() {
        trace(context).await?;
    }
    Ok(agent)
}

/// Shows from now on what the agent sends and receives, if that was asked for.
pub(super) async fn trace(context: &Context) -> Result<(), Failed> {
    let traced = tokio::time::timeout(remaining(context), context.trace.follow_agent(context)).await;
    traced.unwrap_or_else(|_| Err(no_answer(context)))
}

async fn connect(context: &Context) -> Result<Option<Connection>, Failed> {
    if context.args.no_agent {
        return Ok(None);
    }
    match tokio::time::timeout(remaining(context), Connection::open(&context.paths.socket)).await {
        Ok(connection) => {
            let mut connection = connection?;
            if let Some(agent) = &mut connection {
                choose_account(agent, context).await?;
            }
            Ok(connection)
        }
        Err(_) => Err(no_answer(context)),
    }
}

/// Asks the agent for something that is done at once.
pub(super) async fn ask(agent: &mut Connection, request: &Request, context: &Context) -> Result<Reply, Failed> {
    let reply = reply_of(agent, request, context).await?;
    if reply.is_ok() { Ok(reply) } else { Err(Failed::of_reply(reply)) }
}

async fn reply_of(agent: &mut Connection, request: &Request, context: &Context) -> Result<Reply, Failed> {
    match tokio::time::timeout(remaining(context), agent.request(request)).await {
        Ok(reply) => Ok(reply?),
        Err(_) => Err(no_answer(context)),
    }
}

/// Has an agent take what follows for the account that was named, if one was.
pub(super) async fn choose_account(agent: &mut Connection, context: &Context) -> Result<(), Failed> {
    if let Some(name) = &context.args.account {
        ask(agent, &Request::Account { name: name.clone() }, context).await?;
    }
    Ok(())
}

/// Reads what is asked of a status, several words with commas between them.
pub(super) fn queries(words: &str) -> Result<Vec<Query>, Failed> {
    Query::parse_list(words).map_err(|error| Failed::new(Exit::Usage, error.to_string()))
}

/// Returns whether the state of a line is one of those asked for, however sure it is.
pub(super) fn matches(asked: &[Query], line: &Line) -> bool {
    line.to_state().is_some_and(|state| asked.iter().any(|query| query.matches(state.info.as_ref())))
}

/// Returns the time limit of a command that is not meant to last.
pub(super) fn limit(context: &Context) -> Duration {
    context.args.timeout.unwrap_or(ONE_SHOT)
}

/// Returns what is left of it: connecting and asking share one limit.
fn remaining(context: &Context) -> Duration {
    limit(context).saturating_sub(context.started.elapsed())
}

pub(super) fn no_answer(context: &Context) -> Failed {
    let waited = crate::config::format_duration(limit(context));
    Failed::new(Exit::Unreachable, format!("the agent did not answer within {waited}"))
}

/// Where lines come from.
pub(super) enum Source {
    /// The agent.
    Agent(Box<ByAgent>),
    /// Clients that live as long as the command, one for each account.
    Own { lines: Lines, clients: Vec<PresenceClient>, once: bool, ended: bool },
}

impl Source {
    /// Begins to look at targets, by the agent if one runs that can reach them all.
    pub(super) async fn open(context: &Context, whom: &Whom, once: bool) -> Result<Self, Failed> {
        Self::begin(context, whom, if once { Subscribing::Once } else { Subscribing::Lasting }).await
    }

    /// Begins to look at targets once, in lines that have their documents as they came.
    pub(super) async fn open_raw(context: &Context, whom: &Whom) -> Result<Self, Failed> {
        Self::begin(context, whom, Subscribing::Raw).await
    }

    async fn begin(context: &Context, whom: &Whom, how: Subscribing) -> Result<Self, Failed> {
        let once = how != Subscribing::Lasting;
        let request = request(&whom.words, how);
        if let Some(mut agent) = connect(context).await?
            && takes(&request)
        {
            trace(context).await?;
            let reply = reply_of(&mut agent, &request, context).await?;
            if reply.is_ok() {
                let (socket, account) = (context.paths.socket.clone(), context.args.account.clone());
                return Ok(Self::Agent(Box::new(ByAgent {
                    agent,
                    account,
                    request,
                    socket,
                    told: BTreeMap::new(),
                    seq: 0,
                    once,
                    ready: false,
                    state: Link::Up,
                })));
            }
            // What an agent on loopback cannot reach, a client of our own may.
            if !reply.elsewhere {
                return Err(Failed::of_reply(reply));
            }
        }
        if whom.words.iter().any(|word| word.trim() == "me") {
            // A client of this command publishes nothing.
            return Err(Failed::no_agent());
        }
        let (mut lines, mut clients) = (Lines::new(), Vec::new());
        for (account, people) in whom.by_account() {
            let targets: Vec<String> = people.iter().map(|buddy| buddy.address.clone()).collect();
            let client = own_client_at(context, account, &targets).await?;
            for buddy in people {
                lines.add_buddy(&client, &buddy.address, buddy.name.as_deref(), how).await?;
            }
            clients.push(client);
        }
        Ok(Self::Own { lines, clients, once, ended: false })
    }

    /// Returns the next lines; none at the end. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Line>>, Failed> {
        match self {
            Self::Agent(by_agent) => by_agent.next().await,
            Self::Own { lines, once, ended, .. } => {
                if *ended {
                    return Ok(None);
                }
                let news = lines.next().await;
                *ended = *once && lines.is_ready() || news.last().is_some_and(|line| line.kind == Kind::End);
                Ok(Some(news))
            }
        }
    }

    /// Ends in good order: subscriptions of our own are taken back.
    pub(super) async fn close(self) {
        if let Self::Own { clients, lines, .. } = self {
            drop(lines);
            let mut goodbyes = JoinSet::new();
            for client in clients {
                goodbyes.spawn(async move { client.stop().await });
            }
            goodbyes.join_all().await;
        }
    }
}

/// Lines that the agent sends, over its restarts.
pub(super) struct ByAgent {
    agent: Connection,
    /// The account that it was asked about.
    account: Option<String>,
    /// What it was asked, to be asked again.
    request: Request,
    socket: PathBuf,
    /// What was told last of each target, to be called stale if the agent goes away.
    told: BTreeMap<String, Line>,
    /// The number of the next line.
    seq: u64,
    once: bool,
    /// All targets have had their first state.
    ready: bool,
    state: Link,
}

/// How the agent is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Up,
    /// It went away without a word: it may be there again in a moment.
    Down {
        until: tokio::time::Instant,
    },
    /// It said that it ends, or did not come back.
    Over,
}

impl ByAgent {
    async fn next(&mut self) -> Result<Option<Vec<Line>>, Failed> {
        loop {
            match self.state {
                Link::Over => {
                    let message = "the agent ended: what was shown is not kept up any more";
                    return Err(Failed::new(Exit::NoAgent, message));
                }
                Link::Down { until } => {
                    if tokio::time::timeout_at(until, self.reconnect()).await.is_ok() {
                        self.state = Link::Up;
                        continue;
                    }
                    self.state = Link::Over;
                    let end = Line::new(Kind::End, self.number(), Timestamp::now());
                    return Ok(Some(vec![end]));
                }
                Link::Up => {}
            }
            let line = match self.agent.read::<Line>().await {
                Ok(Some(line)) => line,
                // Reset or closed: either way nobody keeps up what was told, until somebody does again.
                Ok(None) | Err(ControlError::Io(_)) => {
                    let wait = if self.once { Duration::ZERO } else { BACK_WITHIN };
                    self.state = Link::Down { until: tokio::time::Instant::now() + wait };
                    let stale = self.stale();
                    if stale.is_empty() {
                        continue;
                    }
                    return Ok(Some(stale));
                }
                Err(error) => return Err(error.into()),
            };
            if line.kind == Kind::End {
                if self.once {
                    return Ok(None);
                }
                self.state = Link::Over;
            }
            if let Some(line) = self.follow(line) {
                return Ok(Some(vec![line]));
            }
        }
    }

    /// Puts a line into this stream; one that tells nothing new since the agent went away is none.
    fn follow(&mut self, mut line: Line) -> Option<Line> {
        if line.kind == Kind::Ready && std::mem::replace(&mut self.ready, true) {
            return None;
        }
        if let Some(presentity) = &line.presentity {
            let before = self.told.get(presentity);
            if let (Kind::Snapshot, Some(before)) = (line.kind, before) {
                let info = |line: &Line| line.to_state().and_then(|state| state.info);
                line.kind = if info(before) == info(&line) { Kind::Freshness } else { Kind::Change };
                if line.kind == Kind::Freshness && before.to_freshness() == line.to_freshness() {
                    return None;
                }
            }
            self.told.insert(presentity.clone(), line.clone());
        }
        line.seq = self.number();
        Some(line)
    }

    fn number(&mut self) -> u64 {
        self.seq += 1;
        self.seq - 1
    }

    /// Says of everything that was fresh that it is not confirmed any more (WAT-50).
    fn stale(&mut self) -> Vec<Line> {
        let now = Timestamp::now();
        let fresh = self.told.values_mut().filter(|line| line.to_freshness() == Some(Freshness::Fresh));
        let mut lines = Vec::new();
        for told in fresh {
            told.set_freshness(Freshness::Stale);
            (told.kind, told.ts, told.seq) = (Kind::Freshness, now, self.seq);
            self.seq += 1;
            lines.push(told.clone());
        }
        lines
    }

    async fn ask_again(&self, agent: &mut Connection) -> Result<bool, ControlError> {
        if let Some(name) = &self.account
            && !agent.request(&Request::Account { name: name.clone() }).await?.is_ok()
        {
            return Ok(false);
        }
        Ok(agent.request(&self.request).await?.is_ok())
    }

    /// Waits until an agent answers, and asks it for the same. Cancel-safe.
    async fn reconnect(&mut self) {
        loop {
            if let Ok(Some(mut agent)) = Connection::open(&self.socket).await
                && self.ask_again(&mut agent).await.is_ok_and(|asked| asked)
            {
                self.agent = agent;
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn request(targets: &[String], how: Subscribing) -> Request {
    let targets = targets.to_vec();
    match how {
        Subscribing::Once | Subscribing::Raw => Request::Show { targets, raw: how == Subscribing::Raw },
        Subscribing::Lasting => Request::Watch { targets },
    }
}

/// Returns whether a request fits in a line; thousands of targets do not.
fn takes(request: &Request) -> bool {
    serde_json::to_vec(request).is_ok_and(|line| line.len() < MAX_LINE)
}

/// Makes a client that lives as long as the command, at the account that is used.
pub(super) async fn own_client(context: &Context, targets: &[String]) -> Result<PresenceClient, Failed> {
    own_client_at(context, None, targets).await
}

/// The same at an account of this name; the one of the command line, if it names one, goes before.
async fn own_client_at(context: &Context, name: Option<&str>, targets: &[String]) -> Result<PresenceClient, Failed> {
    let settings = &context.settings;
    let account = match name.filter(|_| context.args.account.is_none()) {
        None => settings.default_account(),
        Some(name) => Some(
            settings.accounts.get_key_value(name).map(|(name, account)| (name.as_str(), account)).ok_or_else(|| {
                let message = format!("{}: there is no account {name:?}", targets.join(", "));
                Failed::new(Exit::NoAccount, message).with_hint("buddies.toml names it, and config.toml has none such")
            })?,
        ),
    };
    let server = account.map(|(name, account)| agent::server(settings, name, account)).transpose()?.flatten();
    let address = account.map(|(_, account)| account.address.as_str());
    let mut builder = PresenceClient::towards(address, &context.env.user, targets, server).await?;
    if let Some(login) = account.and_then(|(_, account)| agent::login(settings, account)) {
        builder = builder.login(login);
    }
    // Nobody else's secret is fetched.
    let mut peers = agent::peers(&context.paths, &context.env.home, account.map_or("", |(name, _)| name));
    peers.retain(|peer| targets.contains(&peer.address));
    for warning in agent::insecure_warnings(account.into_iter()) {
        context.output.tell(&format!("note: {warning}"));
    }
    let mut tls = agent::tls(settings, account.map(|(_, account)| account), &context.paths);
    // One that cannot be read is the agent's to tell of; here a fleeting one will do.
    if let Ok(Some(key)) = agent::known_key(&context.paths) {
        tls = tls.key(key);
    }
    let client = builder
        .tls(tls)
        .peers(peers)
        .auth_min(agent::min_hash(settings))
        .timing(agent::timing(settings))
        .expires(settings.watch.p2p_expires)
        .rates(settings.watch.rates)
        .rate(settings.watch.rate)
        .lenient(settings.interop.lenient)
        .bind()
        .await?;
    context.trace.follow(&client);
    Ok(client)
}
