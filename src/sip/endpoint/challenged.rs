//! Requests of an account: answering challenges to them, and waiting for a password meanwhile (RFC 3261 §22).
//!
//! A challenged request ends as a transaction and goes on as a draft, which leaves again under a new number and branch
//! when the password is there. The number is its user's, asked for at that moment, so that whatever the user sent
//! meanwhile has a lower one, and what it no longer wants is not repeated.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{
    Endpoint, Event, Failure,
    client::{Client, Phase},
    render,
};
use crate::sip::{
    auth::{Account, AccountId, Credentials, Hash, Kind, Known, Secret, Sent, Why},
    codec::EncodeError,
    effect::Effect,
    ids::Token,
    message::Message,
    time::Instant,
    transport::{Flow, Packet, Transport},
};

/// How often one request is answered for in all: by a proxy and a server, each with a stale nonce in between.
const MAX_ANSWERS: u8 = 5;

/// What a request of an account has gone through.
#[derive(Debug)]
pub(super) struct Proof {
    account: AccountId,
    /// The way to it was that of the account's own server by name.
    own: bool,
    /// How many challenges were answered.
    answers: u8,
    /// Whose challenges were.
    answered: Vec<Kind>,
    /// Which password was used.
    generation: u32,
    /// The credentials as header lines, for the way that was chosen.
    pub(super) lines: Bytes,
    sent: Vec<Sent>,
    /// Whether nothing follows the request in its dialog.
    last: bool,
}

/// A request that waits for its number to be sent again: see [`Endpoint::retry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry(Waiting);

/// A request that waits; the branch tells it from a later one in the same slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Waiting {
    id: u32,
    branch: Token,
}

/// The accounts of an endpoint with the requests that wait.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    list: Vec<Account>,
    /// For the password of an account.
    asking: Vec<(AccountId, Waiting)>,
    /// For their numbers.
    ready: VecDeque<Waiting>,
}

impl Accounts {
    fn get_mut(&mut self, id: AccountId) -> Option<&mut Account> {
        self.list.get_mut(id.0 as usize)
    }
}

impl Proof {
    pub(super) fn new(account: AccountId, last: bool) -> Self {
        let (lines, sent, answered) = (Bytes::new(), Vec::new(), Vec::new());
        Self { account, own: false, answers: 0, answered, generation: 0, lines, sent, last }
    }

    /// Another server is asked, which has challenged nothing yet.
    pub(super) fn begin_anew(&mut self) {
        self.answered.clear();
        (self.lines, self.sent) = (Bytes::new(), Vec::new());
    }
}

impl<U: Copy> Endpoint<U> {
    /// Adds an account on whose behalf requests may be sent.
    ///
    /// # Errors
    /// When its user name cannot stand in a header (PAR-21).
    pub fn add_account(&mut self, credentials: Credentials) -> Result<AccountId, EncodeError> {
        let account = Account::new(credentials)?;
        self.accounts.list.push(account);
        Ok(AccountId(self.accounts.list.len() as u32 - 1))
    }

    /// Adds an account that answers the challenges of one peer alone; see [`Account::of_peer`].
    ///
    /// # Errors
    /// When the user name cannot stand in a header (PAR-21).
    pub fn add_peer(&mut self, user: &str, host: &str, min: Hash) -> Result<AccountId, EncodeError> {
        self.accounts.list.push(Account::of_peer(user, host, min)?);
        Ok(AccountId(self.accounts.list.len() as u32 - 1))
    }

    /// Has an account go by another user name, or the same, with a password that is not known yet.
    ///
    /// # Errors
    /// When the user name cannot stand in a header (PAR-21).
    pub fn rename(&mut self, account: AccountId, user: &str) -> Result<(), EncodeError> {
        self.accounts.get_mut(account).map_or(Ok(()), |account| account.rename(user))
    }

    /// Returns the only realm that gets the password of an account, as far as it is known.
    pub fn realm(&self, account: AccountId) -> Option<&str> {
        self.accounts.list.get(account.0 as usize)?.realm()
    }

    /// Returns once whether a realm was found that is to be remembered (AUT-12).
    pub fn take_realm_news(&mut self) -> bool {
        self.accounts.list.iter_mut().fold(false, |news, account| account.take_found() | news)
    }

    /// Takes the password of an account, or the reason why it cannot be had: the answer to [`Effect::AskSecret`].
    pub fn secret(&mut self, account: AccountId, answer: Result<Secret, String>, now: Instant) {
        let Some(known) = self.accounts.get_mut(account) else { return };
        let why = answer.as_ref().err().cloned();
        known.take_secret(answer, now);
        let waiting = std::mem::take(&mut self.accounts.asking);
        for (whose, waiting) in waiting {
            match &why {
                _ if whose != account => self.accounts.asking.push((whose, waiting)),
                None => self.accounts.ready.push_back(waiting),
                Some(why) => self.deny_waiting(waiting, Why::NoSecret(why.clone())),
            }
        }
    }

    /// Takes the next challenged request that can be sent again, for [`retry`](Self::retry).
    pub fn next_retry(&mut self) -> Option<(U, Retry)> {
        while let Some(waiting) = self.accounts.ready.pop_front() {
            if let Some(client) = self.waiting(waiting) {
                return Some((client.user, Retry(waiting)));
            }
        }
        None
    }

    /// Sends a challenged request again, under the next number of its dialog (RFC 3261 §8.1.3.5, §22.2). Without a
    /// number its user wants it no more, unless it said at first that nothing follows it.
    pub fn retry(&mut self, Retry(waiting): Retry, seq: Option<u32>, now: Instant, out: &mut Vec<Effect>) {
        let Some(client) = self.waiting(waiting) else { return };
        let last = client.auth.as_ref().is_some_and(|proof| proof.last);
        let next = || last.then(|| render::seq_of(&client.packet.head)).flatten().map(|seq| seq + 1);
        let Some(seq) = seq.or_else(next) else {
            self.forget_client(waiting.id);
            return;
        };
        if let Some(client) = self.clients.get_mut(waiting.id) {
            client.packet.head = render::renumbered(&client.packet.head, client.contact.as_mut(), seq);
            client.phase = Phase::Placing;
            self.launch(waiting.id, now, out);
        }
    }

    /// Returns a request that waits, if it still does.
    fn waiting(&self, Waiting { id, branch }: Waiting) -> Option<&Client<U>> {
        let waits = |client: &&Client<U>| client.branch == branch && matches!(client.phase, Phase::Challenged { .. });
        self.clients.get(id).filter(waits)
    }

    fn deny_waiting(&mut self, waiting: Waiting, why: Why) {
        if let Some(Client { phase: Phase::Challenged { code }, .. }) = self.waiting(waiting) {
            let code = *code;
            self.fail(waiting.id, Failure::Unauthorized { code, why });
        }
    }

    /// A request leaves for a host by name: notes whether that is the account's own server.
    pub(super) fn way_by_name(&mut self, id: u32, host: &str) {
        let Some(proof) = self.clients.get_mut(id).and_then(|client| client.auth.as_mut()) else { return };
        proof.own = self.accounts.get_mut(proof.account).is_some_and(|account| account.is_server_name(host));
    }

    /// The host of a request was looked up.
    pub(super) fn way_found(&mut self, id: u32) {
        let Some(client) = self.clients.get(id) else { return };
        if let Some(proof) = client.auth.as_ref().filter(|proof| proof.own)
            && let Some(account) = self.accounts.list.get_mut(proof.account.0 as usize)
        {
            account.note_addresses(client.targets.iter().map(|target| target.remote.ip()));
        }
    }

    /// Writes credentials for the way that a request is to take, by nonces that are known there.
    pub(super) fn authorize(&mut self, id: u32) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let (Some(proof), Some(target)) = (client.auth.as_mut(), client.targets.front()) else { return };
        let hop = target.remote;
        let Some(account) = self.accounts.get_mut(proof.account) else { return };
        let uri = render::request_uri(&client.packet.head);
        let mut lines = Vec::new();
        proof.sent = account.write(hop, (client.method, uri, &client.packet.body), &mut self.rng, &mut lines);
        proof.lines = lines.into();
        proof.generation = account.generation;
    }

    /// Looks at a final response to a request of an account; returns whether its user is to see it.
    pub(super) fn believes(&mut self, proof: Option<&Proof>, message: &Message<'_>) -> bool {
        let Some(proof) = proof.filter(|proof| !proof.sent.is_empty()) else { return true };
        let Some(account) = self.accounts.get_mut(proof.account) else { return true };
        account.take_info(&proof.sent, message)
    }

    /// Goes on with a request of an account that got a 401 or 407: its draft waits for a number or the password.
    pub(super) fn challenged<'a>(
        &mut self,
        client: Client<U>,
        flow: Flow,
        message: &Message<'_>,
        now: Instant,
        out: &mut Vec<Effect>,
    ) -> Event<'a, U> {
        let (user, code) = (client.user, message.code().unwrap_or_default());
        if let Err(why) = self.answer_challenge(client, flow, message, now, out) {
            self.failures.push_back((user, Failure::Unauthorized { code, why }));
        }
        Event::Challenged { user, flow }
    }

    fn answer_challenge(
        &mut self,
        mut client: Client<U>,
        flow: Flow,
        message: &Message<'_>,
        now: Instant,
        out: &mut Vec<Effect>,
    ) -> Result<(), Why> {
        let within = self.config.timing.transaction() * 15 / 16;
        let Some(mut proof) = client.auth.take() else { return Err(Why::Unsupported) };
        let id = proof.account;
        let Some(account) = self.accounts.get_mut(id) else { return Err(Why::Unsupported) };
        let own = proof.own || account.is_server_address(flow.remote.ip());
        let challenges = account.choose(message, flow.remote.ip(), own, flow.transport != Transport::Tls)?;
        // AUT-03: who was answered and asks again has found the password wrong, unless but the nonce was too old, or
        // another password came meanwhile.
        let refused = |kind| proof.answered.contains(&kind) && proof.generation == account.generation;
        if challenges.iter().any(|challenge| refused(challenge.kind) && !challenge.stale) {
            account.forget_secret(now);
            return Err(Why::WrongPassword(account.realm().unwrap_or_default().into()));
        }
        proof.answers += 1;
        if proof.answers > MAX_ANSWERS {
            return Err(Why::Endless);
        }
        for challenge in challenges {
            proof.answered.push(challenge.kind);
            account.begin(flow.remote, challenge);
        }
        if let Known::Failed { why, until } = &account.known
            && now < *until
        {
            return Err(why.clone());
        }
        let asks = matches!(account.known, Known::Nothing | Known::Failed { .. });
        let ready = matches!(account.known, Known::Password(_));
        if asks {
            account.known = Known::Asked;
            out.push(Effect::AskSecret { account: id });
        }
        (proof.lines, proof.sent) = (Bytes::new(), Vec::new());
        let branch = Token::random(&mut self.rng);
        let head = client.draft.take().unwrap_or_default();
        let client = Client {
            packet: Packet { head, ..client.packet },
            branch,
            switched: false,
            phase: Phase::Challenged { code: message.code().unwrap_or_default() },
            timer: None,
            auth: Some(proof),
            ..client
        };
        let waiting = Waiting { id: self.clients.insert(client), branch };
        self.arm(waiting.id, now + within);
        if ready {
            self.accounts.ready.push_back(waiting);
        } else {
            // Those that gave up are put out now and then.
            if self.accounts.asking.len().is_power_of_two() {
                let clients = &self.clients;
                let waits = |(_, other): &(_, Waiting)| clients.get(other.id).is_some_and(|c| c.branch == other.branch);
                self.accounts.asking.retain(waits);
            }
            self.accounts.asking.push((id, waiting));
        }
        Ok(())
    }
}
