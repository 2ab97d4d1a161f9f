//! The user's files, read again and put in force, account by account; what is broken changes nothing.
//!
//! An account that is configured as before, from the same files, is left alone unless its server refuses it. One that is
//! another begins anew with all that it keeps; a new one begins; one that is configured no more goes offline. Where the
//! agent itself listens and what it writes down is settled at its start.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use super::{
    AgentError, Configured, accounts_of,
    basis::Basis,
    configured, device, hooks_of, load_policy, lock,
    opened::{Common, Opened},
    own::Own,
    requests::put_in_force,
    seat::Seat,
    shared::Shared,
    tls,
};
use crate::{
    client::Policy,
    config::{Account, Settings},
    control::Reply,
};

/// What became of the accounts, by their names.
#[derive(Debug, Default)]
struct Changed {
    anew: Vec<String>,
    added: Vec<String>,
    gone: Vec<String>,
    failed: Vec<String>,
}

/// Puts in force what the files say now, as far as it goes without a new start.
pub(super) async fn reload(shared: &Arc<Shared>) -> Reply {
    let Some(configured) = &shared.configured else { return Reply::error(6, "a demo has no configuration") };
    let _deciding = shared.deciding.lock().await;
    let mut now = lock(configured).clone();
    let (policy, waits) = match read(&mut now) {
        Ok(read) => read,
        Err(error) => return Reply::error(2, format!("nothing is changed: {error}")),
    };
    if let Err(error) = put_in_force(shared, &policy).await {
        return super::requests::refuse(&error);
    }
    *lock(&shared.how) = now.settings.policy;
    if now.settings.hooks != lock(configured).settings.hooks {
        shared.hooks.send_replace(hooks_of(&now.settings));
    }
    let changed = put_accounts(shared, &now, &policy).await;
    let began = |(name, _): &(&str, &Account)| changed.anew.iter().chain(&changed.added).any(|began| began == name);
    let accounts = accounts_of(&now.settings).into_iter().flatten();
    let warnings = tls::insecure_warnings(accounts.filter(began));
    let list = shared.list.read_again().await.err().map(|error| format!("the buddy list stays as it was: {error}"));
    super::peers::put_in_force(shared).await;
    let warnings: Vec<String> = warnings.into_iter().chain(list).collect();
    let reply = reply(&changed, &waits, &warnings);
    *lock(configured) = now;
    reply
}

/// Reads the files; returns the policy, and which keys wait for a new start and stay as they are until then.
fn read(now: &mut Configured) -> Result<(Policy, Vec<&'static str>), AgentError> {
    let mut settings = Settings::load(now.file.as_deref(), &now.env)?;
    let policy = load_policy(&settings, &now.paths)?;
    for account in accounts_of(&settings) {
        drop(configured::builder(&settings, account, &now.env)?);
        tls::tls(&settings, account.map(|(_, account)| account), &now.paths).check()?;
    }
    let (old, new) = (&now.settings.agent, &mut settings.agent);
    let waiting = [
        ("agent.listen", old.listen != new.listen),
        ("agent.port", old.port != new.port),
        ("agent.persist", old.persist != new.persist),
    ];
    new.listen.clone_from(&old.listen);
    (new.port, new.persist) = (old.port, old.persist);
    now.settings = settings;
    Ok((policy, waiting.into_iter().filter(|(_, waits)| *waits).map(|(key, _)| key).collect()))
}

/// Says in one line what came of it.
fn reply(changed: &Changed, waits: &[&str], warnings: &[String]) -> Reply {
    let mut message = "configuration and policy are in force".to_owned();
    for (names, what) in [(&changed.anew, "began anew"), (&changed.added, "is new"), (&changed.gone, "went offline")] {
        for name in names {
            let _ = write!(message, "; {} {what}", called(name));
        }
    }
    if !waits.is_empty() {
        let verb = if waits.len() == 1 { "waits" } else { "wait" };
        let _ = write!(message, "; {} {verb} for `agent restart`", waits.join(", "));
    }
    for warning in warnings {
        let _ = write!(message, "; {warning}");
    }
    if changed.failed.is_empty() {
        return Reply::ok().with_message(message);
    }
    Reply::error(10, format!("{}; {message}", changed.failed.join("; ")))
}

/// Returns how an account is called; the one of nobody in particular has no name.
fn called(name: &str) -> String {
    if name.is_empty() { "this machine's own address".to_owned() } else { format!("account {name}") }
}

/// Has the accounts that are configured now, and no other.
async fn put_accounts(shared: &Arc<Shared>, now: &Configured, policy: &Policy) -> Changed {
    let settings = shared.kept.place.over(&now.settings);
    let device = device::urn(&now.paths.state_dir);
    let common = Common {
        settings: &settings,
        env: &now.env,
        paths: &now.paths,
        key: tls::lasting_key(&now.paths).map(Arc::new).ok(),
        policy,
        device: device.as_deref(),
        crashed: false,
        quiet: false,
        stays: true,
        traced_as: None,
    };
    let wanted = accounts_of(&settings);
    let is_wanted = |own: &Arc<Own>| wanted.iter().any(|account| account.map_or("", |(name, _)| name) == own.seat.name);
    let (there, gone): (Vec<_>, Vec<_>) = shared.own().iter().cloned().partition(is_wanted);
    let mut changed = Changed::default();
    // Their ports may be wanted.
    let mut leaving = Vec::new();
    for own in gone {
        shared.leave_alone(&own.seat.name);
        // One that begins anew has come to that first.
        drop(own.seat.client().await);
        let remembered = own.seat.stop().await;
        shared.kept.put_by(&own.seat, remembered);
        changed.gone.push(own.seat.name.clone());
        leaving.push(own);
    }
    let mut accounts = Vec::new();
    for account in &wanted {
        let name = account.map_or("", |(name, _)| name);
        let result = match there.iter().find(|own| own.seat.name == name) {
            Some(own) => {
                accounts.push(Arc::clone(own));
                let was_gone = own.seat.client_now().is_gone();
                let begun = begin_anew(own, &common, *account, &mut changed).await;
                if was_gone && begun.is_ok() {
                    shared.leave_alone(name);
                    shared.look_after(Arc::clone(own));
                }
                begun
            }
            None => match begin(shared, &common, *account, there.is_empty() && accounts.is_empty()).await {
                Ok(own) => {
                    changed.added.push(name.to_owned());
                    accounts.push(own);
                    Ok(())
                }
                Err(error) => Err(error),
            },
        };
        if let Err(error) = result {
            changed.failed.push(format!("{}: {error}", called(name)));
        }
    }
    // An agent without any account is none.
    if accounts.is_empty() {
        accounts = leaving;
    }
    shared.take_over(accounts);
    changed
}

/// Has an account that is there begin anew, if it is another now or its server refuses it.
async fn begin_anew(
    own: &Own,
    common: &Common<'_>,
    account: Option<(&str, &Account)>,
    changed: &mut Changed,
) -> Result<(), AgentError> {
    let basis = Basis::of(common.settings, account.map(|(_, account)| account));
    if own.seat.basis().as_ref() == Some(&basis) && !is_refused(&own.seat).await {
        return Ok(());
    }
    own.begin_anew(common, account).await?;
    changed.anew.push(own.seat.name.clone());
    Ok(())
}

/// Says whether our server refuses us something: a password that nobody wrote into a file may be another one now.
async fn is_refused(seat: &Seat) -> bool {
    let Ok(linked) = seat.client().await.linked().await else { return true };
    [&linked.publication, &linked.registration].into_iter().flatten().any(|link| link.state == "refused")
}

/// Begins an account that was not there; the first one has the configured port.
async fn begin(
    shared: &Arc<Shared>,
    common: &Common<'_>,
    account: Option<(&str, &Account)>,
    first: bool,
) -> Result<Arc<Own>, AgentError> {
    let name = account.map_or("", |(name, _)| name).to_owned();
    let saved = shared.kept.put_by_of(&name);
    let opened = Opened::open(common, account, first, saved).await?;
    // Why not stands in the log, and in the agent's status.
    let _ = shared.kept.now_with(BTreeMap::from([(name, opened.saved())])).await;
    let seat = Arc::new(opened.start().await?);
    let own = Arc::new(Own::new(seat, Arc::clone(&shared.kept)));
    shared.look_after(Arc::clone(&own));
    Ok(own)
}
