//! From the configuration to a login: who we are towards our own server, and how our password is had.

use std::{process::Stdio, time::Duration};

use secrecy::zeroize::Zeroizing;
use tokio::{
    io::{AsyncReadExt as _, BufReader},
    process::Command,
    time::timeout,
};

use crate::{
    client::{self, Hash, Login, parse_target, unescape_user},
    config::{Account, MinAuth, PasswordSource, Settings, format_duration, secret::Secret},
};

/// How long a password command may take: somebody may have to unlock a keyring first.
const COMMAND_WITHIN: Duration = Duration::from_mins(2);
/// How much of its output is looked at, in bytes.
const LIMIT: u64 = 4096;

/// Returns the login of an account; none where it has no password.
pub fn login(settings: &Settings, account: &Account) -> Option<Login> {
    if account.password == PasswordSource::None {
        return None;
    }
    let address = parse_target(&account.address, "").ok()?;
    let view = address.as_ref();
    let user = account.auth_user.clone().unwrap_or_else(|| unescape_user(view.user().unwrap_or_default()));
    let mut login = Login::new(user, source(account.password.clone(), account.address.clone()))
        .server(view.host_text())
        .min(min_hash(settings));
    if let Some(proxy) = account.outbound_proxy.as_ref().and_then(|proxy| parse_target(proxy, "").ok()) {
        login = login.server(proxy.as_ref().host_text());
    }
    Some(match &account.realm {
        Some(realm) => login.realm(realm),
        None => login,
    })
}

/// Returns the weakest hash that is answered, and by which somebody may prove who it is.
pub fn min_hash(settings: &Settings) -> Hash {
    match settings.auth.min {
        MinAuth::Md5 => Hash::Md5,
        MinAuth::Sha256 => Hash::Sha256,
    }
}

/// Makes the source of a password; in a keyring it is that of `address`.
pub(super) fn source(source: PasswordSource, address: String) -> client::PasswordSource {
    client::PasswordSource::new(move || {
        let (source, address) = (source.clone(), address.clone());
        async move {
            let secret = match source {
                PasswordSource::None => return Err("none is configured".to_owned()),
                PasswordSource::File(path) => tokio::task::spawn_blocking(move || Secret::from_file(&path))
                    .await
                    .map_err(|error| error.to_string())?
                    .map_err(|error| error.to_string())?,
                PasswordSource::Command(words) => run(&words).await?,
                PasswordSource::Keyring => from_keyring(address).await?,
            };
            Ok(client::Secret::new(secret.reveal()))
        }
    })
}

#[cfg(feature = "keyring")]
async fn from_keyring(address: String) -> Result<Secret, String> {
    let asked = tokio::task::spawn_blocking(move || super::keyring::password(&address));
    let answered = timeout(COMMAND_WITHIN, asked).await;
    answered
        .map_err(|_| format!("the keyring took longer than {}", format_duration(COMMAND_WITHIN)))?
        .map_err(|error| error.to_string())?
}

#[cfg(not(feature = "keyring"))]
fn from_keyring(_address: String) -> std::future::Ready<Result<Secret, String>> {
    std::future::ready(Err("this program is built without the keyring".to_owned()))
}

/// Runs a password command without a shell and takes its first line. What it says on its error output goes where ours
/// goes.
async fn run(words: &[String]) -> Result<Secret, String> {
    let [program, args @ ..] = words else { return Err("password_command is empty".to_owned()) };
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| format!("password_command: cannot start {program}: {error}"))?;
    let ran = timeout(COMMAND_WITHIN, async {
        let mut said = Zeroizing::new(String::new());
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).take(LIMIT).read_to_string(&mut said).await?;
        }
        Ok::<_, std::io::Error>((child.wait().await?, said))
    });
    let (status, said) = ran
        .await
        .map_err(|_| format!("password_command: {program} took longer than {}", format_duration(COMMAND_WITHIN)))?
        .map_err(|error| format!("password_command: {program}: {error}"))?;
    if !status.success() {
        return Err(format!("password_command: {program}: {status}"));
    }
    Secret::from_first_line(&said).ok_or_else(|| format!("password_command: {program} said nothing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[tokio::test]
    async fn sec_10_a_password_command_is_run_without_a_shell_and_its_first_line_is_taken() {
        let secret = run(&words(&["printf", "a $HOME \"ü\"\nmore\n"])).await.unwrap();
        assert_eq!(secret.reveal(), "a $HOME \"ü\"");
    }

    #[tokio::test]
    async fn a_password_command_that_fails_says_why() {
        for (command, why) in [
            (&["false"][..], "exit status: 1"),
            (&["true"], "said nothing"),
            (&["/nonexistent/pass"], "cannot start /nonexistent/pass"),
        ] {
            let error = run(&words(command)).await.unwrap_err();
            assert!(error.starts_with("password_command: ") && error.contains(why), "{error}");
        }
    }

    #[test]
    fn an_account_without_a_password_has_no_login() {
        let (settings, mut account) = (Settings::default(), Account::new("sip:alice@example.com"));
        assert!(login(&settings, &account).is_none());
        account.password = PasswordSource::File("/p".into());
        assert!(login(&settings, &account).is_some());
    }
}
