//! `serve user`: accounts of the embedded server.
//!
//! They stand in a file that a running server reads again when it changes, so that none is needed here.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Read as _},
    os::fd::AsFd as _,
};

use secrecy::zeroize::Zeroizing;
use serde::Serialize;

use super::super::{
    Context, Exit, Failed,
    args::{Password, User, UserCommand, UserName},
    hidden::{Typed, ask_hidden},
    output,
};
use crate::{
    client::text,
    config::secret::Secret,
    server::{
        Files,
        accounts::{self, Accounts, AccountsError, BadName, Name},
    },
};

/// The longest password that is read, in bytes.
const MAX_PASSWORD: usize = 1024;

/// One account, as `--json` has it.
#[derive(Serialize)]
struct Row<'a> {
    user: &'a str,
    domain: &'a str,
    address: String,
    algorithms: Vec<&'static str>,
}

/// Lists accounts or changes them.
pub(super) fn run(context: &Context, args: User) -> Result<Exit, Failed> {
    let path = Files::of(&context.paths).accounts;
    let tell = |name: &Name, what: &str| context.output.tell(&format!("{} {what}", text::visible(&name.to_string())));
    match args.command.unwrap_or(UserCommand::List { domain: None }) {
        UserCommand::List { domain } => return Ok(list(context, &Accounts::load(&path)?, domain.as_deref())),
        UserCommand::Add { who, password } => {
            let name = name(&who)?;
            // Nobody types a password for nothing.
            if Accounts::load(&path)?.find(name.user(), name.domain()).is_some() {
                return Err(AccountsError::Exists(name).into());
            }
            accounts::add(&path, &name, &of(&password, &name)?)?;
            tell(&name, "has an account");
        }
        UserCommand::Passwd { who, password } => {
            let name = name(&who)?;
            if Accounts::load(&path)?.find(name.user(), name.domain()).is_none() {
                return Err(AccountsError::Unknown(name).into());
            }
            accounts::set_password(&path, &name, &of(&password, &name)?)?;
            tell(&name, "has another password");
        }
        UserCommand::Remove { users, domain } => {
            let names = users.into_iter().map(|user| name(&UserName { user, domain: domain.clone() }));
            let names = names.collect::<Result<Vec<_>, _>>()?;
            accounts::remove(&path, &names)?;
            for name in &names {
                tell(name, "has no account any more");
            }
        }
    }
    Ok(Exit::Done)
}

fn list(context: &Context, accounts: &Accounts, domain: Option<&str>) -> Exit {
    let is_meant = |name: &Name| domain.is_none_or(|domain| domain.eq_ignore_ascii_case(name.domain()));
    let meant: Vec<_> = accounts.iter().filter(|(name, _)| is_meant(name)).collect();
    if meant.is_empty() {
        context.output.tell("nobody has an account");
        return Exit::Done;
    }
    let lines = meant.iter().map(|(name, hashes)| {
        if !context.output.is_json() {
            return text::visible(&name.to_string());
        }
        let algorithms = hashes.iter().map(|hash| hash.token()).collect();
        let row = Row { user: name.user(), domain: name.domain(), address: name.address(), algorithms };
        serde_json::to_string(&row).unwrap_or_default()
    });
    output::print_text(&lines.collect::<Vec<_>>().join("\n"))
}

fn name(UserName { user, domain }: &UserName) -> Result<Name, Failed> {
    let name = match domain {
        Some(domain) if !user.contains('@') => Name::new(user, domain),
        Some(domain) => user.parse().and_then(|name: Name| {
            let same = name.domain().eq_ignore_ascii_case(domain);
            if same { Ok(name) } else { Err(BadName::Domain(format!("{}, or {domain}", name.domain()))) }
        }),
        None => user.parse(),
    };
    Ok(name.map_err(AccountsError::from)?)
}

/// Takes the password from where it is: a file, a person, or whoever writes to stdin.
fn of(password: &Password, name: &Name) -> Result<Zeroizing<String>, Failed> {
    if let Some(path) = &password.password_file {
        return Ok(Zeroizing::new(Secret::from_file(path)?.reveal().to_owned()));
    }
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return typed(stdin.as_fd(), name);
    }
    let unreadable = |error| Failed::new(Exit::Usage, format!("cannot read the password: {error}"));
    let mut line = Zeroizing::new(String::new());
    stdin.lock().take(MAX_PASSWORD as u64 + 2).read_line(&mut line).map_err(unreadable)?;
    let password = Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned());
    checked(password).map_err(|failed| failed.with_hint("it is the first line of stdin, or of --password-file FILE"))
}

fn typed(terminal: std::os::fd::BorrowedFd<'_>, name: &Name) -> Result<Zeroizing<String>, Failed> {
    let ask = |words: String| match ask_hidden(terminal, &words, MAX_PASSWORD + 2) {
        Ok(Typed::Line(line)) => Ok(line),
        Ok(Typed::Interrupted) => Err(Failed::new(Exit::Signal(2), "interrupted")),
        Err(error) => Err(Failed::new(Exit::Usage, format!("cannot read the password: {error}"))),
    };
    let password = checked(ask(format!("password of {}: ", text::visible(&name.to_string())))?)?;
    if *ask("once more: ".to_owned())? != *password {
        return Err(Failed::new(Exit::Usage, "the two passwords are not the same"));
    }
    Ok(password)
}

fn checked(password: Zeroizing<String>) -> Result<Zeroizing<String>, Failed> {
    if password.is_empty() {
        return Err(AccountsError::EmptyPassword.into());
    }
    if password.len() > MAX_PASSWORD {
        return Err(Failed::new(Exit::Usage, format!("the password is longer than {MAX_PASSWORD} bytes")));
    }
    Ok(password)
}

impl From<AccountsError> for Failed {
    fn from(error: AccountsError) -> Self {
        let message = text::visible(&error.to_string());
        let hint = match &error {
            AccountsError::Exists(name) => {
                Some(format!("`sippresence serve user passwd {name}` gives another password"))
            }
            AccountsError::Unknown(_) => Some("`sippresence serve user list` shows who has one".to_owned()),
            _ => None,
        };
        let exit = match error {
            AccountsError::Exists(_) => Exit::Conflict,
            AccountsError::Unknown(_) => Exit::NoSuchUser,
            _ => Exit::Usage,
        };
        Self { hint: hint.map(|hint| text::visible(&hint)), ..Self::new(exit, message) }
    }
}
