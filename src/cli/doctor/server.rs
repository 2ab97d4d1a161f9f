//! The steps against a server: where it is, whether it answers, takes our binding, shows us to ourselves.

use std::time::Duration;

use tokio::time::timeout;

use super::{
    Args, Found, Stop, Visit, documents, events,
    found::{Mark, code_words},
    publishing,
};
use crate::{
    agent,
    cli::{Exit, looking, me::look},
    client::{Answer, FailureCode, Freshness, Inquiry, Line, Name, PresenceClient, Refused, Uri},
    config::{PasswordSource, Register, Settings},
};

/// How long a password may take: somebody may have to unlock a keyring first.
const PASSWORD: Duration = Duration::from_secs(30);
/// How long one kind of request goes unanswered before another one is tried.
const FIRST: Duration = Duration::from_millis(2900);
/// How long the server may take for each thing that is taken back.
const TAKEN_BACK: Duration = Duration::from_millis(1200);
/// Seconds for which we register.
const BINDING: u32 = 120;

/// The client of this command, and what it made at the server.
pub(super) struct Trial {
    pub(super) client: PresenceClient,
    pub(super) address: String,
    /// A binding of ours stands there, or may.
    bound: bool,
    /// A publication of this client stands there, or may.
    pub(super) published: bool,
}

impl Trial {
    /// Asks the server something, with what every question has.
    pub(super) async fn ask(&self, method: &'static str, headers: &[(Name, &str)]) -> Result<Answer, Refused> {
        self.send(method, headers, Vec::new()).await
    }

    /// Asks it with a body.
    pub(super) async fn send(
        &self,
        method: &'static str,
        headers: &[(Name, &str)],
        body: Vec<u8>,
    ) -> Result<Answer, Refused> {
        let inquiry = Inquiry {
            method,
            directly: None,
            domain: matches!(method, "OPTIONS" | "REGISTER"),
            contact: method != "PUBLISH",
            headers: headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            body: body.into(),
        };
        let stopped =
            |error: crate::client::ClientError| Refused { code: FailureCode::Connect, reason: error.to_string() };
        self.client.inquire(inquiry).await.map_err(stopped)?
    }

    async fn register(&self, seconds: u32) -> Result<Answer, Refused> {
        self.ask("REGISTER", &[(Name::Expires, &seconds.to_string())]).await
    }

    /// Takes back what was made, and ends; says how that went where there was something.
    pub(super) async fn take_back(self) -> Option<Found> {
        let unpublished = async {
            self.client.clear().await.ok()?;
            self.client.published_within(TAKEN_BACK).await.ok()?.filter(|link| link.state == "none")
        };
        let unpublished = if self.published { Some(unpublished.await.is_some()) } else { None };
        let unbound = async { timeout(TAKEN_BACK, self.register(0)).await };
        let unbound =
            if self.bound { Some(matches!(unbound.await, Ok(Ok(Answer { code: 200..300, .. })))) } else { None };
        self.client.stop().await;
        let made = [("the test status", unpublished, "an hour"), ("the binding", unbound, "two minutes")];
        let made: Vec<_> = made.into_iter().filter_map(|(what, done, ends)| Some((what, done?, ends))).collect();
        let words = made.iter().map(|(what, done, ends)| match done {
            true => format!("{what} is taken back"),
            false => format!("{what} could not be taken back; it ends by itself within {ends}"),
        });
        let words = words.collect::<Vec<_>>().join("; ");
        match made.iter().all(|(_, done, _)| *done) {
            _ if made.is_empty() => None,
            true => Some(Found::ok(words)),
            false => Some(Found::warning(words, "nothing, or try again when the server answers")),
        }
    }
}

/// Tries a server out.
pub(super) async fn examine(visit: &mut Visit<'_>, args: &Args, trial: &mut Option<Trial>) -> Result<(), Stop> {
    let (patient, context) = (visit.patient, visit.context);
    let settings = &context.settings;
    visit.step_within("configuration", PASSWORD, configuration(settings, visit.patient)).await?;
    let proxy = patient.server.as_ref().and_then(|server| server.proxy.clone());
    let entry = proxy.or_else(|| patient.account.address.parse::<Uri>().ok());
    let named = visit.step("name", name(entry)).await?;
    if named.mark == Mark::Failed {
        return Ok(visit.skip(&LATER[..], "nobody knows where the server is")?);
    }
    let address = patient.account.address.clone();
    let client = looking::own_client(context, std::slice::from_ref(&address)).await?;
    let trial = trial.insert(Trial { client, address, bound: false, published: false });
    let connected = visit.step("connection", connection(trial)).await?;
    if connected.is_unauthorized() {
        return Ok(visit.skip(&LATER[1..], UNKNOWN)?);
    }
    if connected.mark == Mark::Failed {
        return Ok(visit.skip(&LATER[1..], "the server does not answer")?);
    }
    let registered = if patient.account.register == Register::Always {
        visit.step("register", register(trial)).await?
    } else {
        let found = Found::skipped("the account does not register: `register = \"always\"` makes it");
        visit.tell("register", found)?
    };
    if registered.is_unauthorized() {
        return Ok(visit.skip(&LATER[2..], UNKNOWN)?);
    }
    let mut shown = None;
    let subscribed = visit.step("subscribe", subscribe(trial, &mut shown)).await?;
    if subscribed.is_unauthorized() {
        return Ok(visit.skip(&LATER[3..], UNKNOWN)?);
    }
    publishing::examine(visit, args, trial, &mut shown).await?;
    let document = shown.as_ref().and_then(|line| line.document.as_deref());
    visit.tell("document", documents::dialect(document))?;
    events::examine(visit, trial).await
}

/// The steps that need an answering server, in their order.
const LATER: [&str; 11] = [
    "connection",
    "register",
    "subscribe",
    "entity-tags",
    "message size",
    "publish",
    "document",
    "shortest",
    "watcher info",
    "dialog",
    "lists",
];
/// Why nothing more is asked of a server that does not believe who we are.
const UNKNOWN: &str = "the server does not believe who we are";

async fn configuration(settings: &Settings, patient: &super::Patient) -> Found {
    let account = &patient.account;
    let way = match patient.server.as_ref().and_then(|server| server.proxy.as_ref()) {
        Some(proxy) => format!("through {proxy}"),
        None => "by the servers of its domain".to_owned(),
    };
    let who = format!("{} {way}", account.address);
    if account.password == PasswordSource::None {
        return Found::ok(format!("{who}; no password is configured"));
    }
    let Some(login) = agent::login(settings, account) else {
        return Found::ok(who);
    };
    match login.check_password().await {
        Ok(()) => Found::ok(format!("{who}; its password is to be had")),
        Err(reason) => Found::failed(
            Exit::NoAccount,
            format!("{who}; its password is not to be had: {reason}"),
            "mend password_file or password_command of the account",
        ),
    }
}

async fn name(entry: Option<Uri>) -> Found {
    let Some(entry) = entry else {
        return Found::failed(Exit::Usage, "the address of the account is none", "mend `address` of the account");
    };
    match PresenceClient::servers_of(&entry).await {
        Ok(servers) if servers.is_empty() => {
            Found::no_answer(FailureCode::Dns, &format!("{} has no server", entry.as_ref().host_text()))
        }
        Ok(servers) => {
            let places: Vec<String> =
                servers.iter().map(|(transport, remote)| format!("{remote} over {transport}")).collect();
            Found::ok(format!("{} is {}", entry.as_ref().host_text(), places.join(", then ")))
        }
        Err(reason) => Found::no_answer(FailureCode::Dns, &reason),
    }
}

/// Any answer shows that somebody is there; not everybody answers OPTIONS.
async fn connection(trial: &Trial) -> Found {
    let accept = (Name::Accept, "application/pidf+xml");
    match timeout(FIRST, trial.ask("OPTIONS", &[accept])).await {
        Ok(Ok(answer)) => Found::ok(format!("{} answers OPTIONS with {}", place(&answer), code_words(answer.code))),
        // A password that is not believed included: that is told as what it is.
        Ok(Err(refused)) => Found::refused(&refused),
        Err(_) => {
            let look = [(Name::Event, "presence"), (Name::Expires, "0"), accept];
            match timeout(FIRST, trial.ask("SUBSCRIBE", &look)).await {
                Ok(Ok(answer)) => Found::warning(
                    format!("{} answers SUBSCRIBE, but not OPTIONS", place(&answer)),
                    "nothing: some servers leave it out",
                ),
                // It was answered, though not to our liking.
                Ok(Err(refused @ Refused { code: FailureCode::Sip(_), .. })) => Found::warning(
                    format!("the server answers SUBSCRIBE ({}), but not OPTIONS", refused.reason),
                    "nothing: some servers leave it out",
                ),
                Ok(Err(refused)) => Found::refused(&refused),
                Err(_) => Found::no_answer(FailureCode::Timeout, "neither OPTIONS nor SUBSCRIBE is answered"),
            }
        }
    }
}

/// Names the server that answered.
fn place(answer: &Answer) -> String {
    let product = answer.product.as_ref().map(|product| format!(" ({product})")).unwrap_or_default();
    format!("{} over {}{product}", answer.flow.remote, answer.flow.transport.token())
}

async fn register(trial: &mut Trial) -> Found {
    // From now on something may stand there, whatever becomes of us.
    trial.bound = true;
    let mut answered = trial.register(BINDING).await;
    if let Ok(Answer { code: 423, min_expires: Some(least), .. }) = answered {
        answered = trial.register(least).await;
    }
    trial.bound =
        matches!(&answered, Ok(Answer { code: 200..300, .. }) | Err(Refused { code: FailureCode::Timeout, .. }));
    match answered {
        Ok(answer @ Answer { code: 200..300, .. }) => {
            let granted = answer.expires.map(|seconds| format!(" for {seconds} s")).unwrap_or_default();
            Found::ok(format!("the server takes our binding{granted}; it is taken back at the end"))
        }
        Ok(answer) => Found::answered(&answer),
        Err(refused) => Found::refused(&refused),
    }
}

/// Looks at ourselves; what comes is left in `shown`.
async fn subscribe(trial: &Trial, shown: &mut Option<Line>) -> Found {
    let line = match look(&trial.client, &trial.address).await {
        Ok(line) => line,
        Err(failed) => return Found::failed(failed.exit, failed.message, failed.hint.unwrap_or_default()),
    };
    let state = line.to_state().unwrap_or_default();
    let reason = state.subscription.as_ref().and_then(|subscription| subscription.reason.clone());
    let found = match state.freshness {
        Freshness::Fresh | Freshness::Stale => Found::ok(format!("the server shows us {}", state.headline())),
        Freshness::Unknown => Found::ok("the server takes our subscription and has no state of us"),
        Freshness::Pending => Found::warning(
            "the server wants our own approval before it shows us to ourselves",
            "allow yourself in the rules that the server keeps for you",
        ),
        Freshness::Rejected => Found::no_answer(FailureCode::Sip(403), reason.as_deref().unwrap_or("rejected")),
        Freshness::Failed(code) => Found::no_answer(code, reason.as_deref().unwrap_or("the look failed")),
    };
    if found.mark != Mark::Failed {
        *shown = Some(line);
    }
    found
}
