//! `config.toml` → [`Settings`]: each key is named, read and checked here and nowhere else.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use toml::de::DeValue;

use super::{
    document::{Section, Source, a, flag, list, number, text},
    duration::parse_duration,
    error::ConfigError,
    identity::{is_host, is_name, normalize_own},
    paths::{Environment, Paths},
    settings::{Account, Listen, PasswordSource, Settings, listen_address},
};
use crate::presence::{OpenWhen, Rate, RateError};

/// Expires headers carry seconds in 32 bits; a year is more than anybody means.
const YEAR: Duration = Duration::from_hours(24 * 365);

impl Settings {
    /// Reads the configuration file `path`, or without one the file at its usual place, which may be missing.
    pub fn load(path: Option<&Path>, env: &Environment) -> Result<Self, ConfigError> {
        let file = Paths::new(path, env).config_file;
        match read_text(&file)? {
            Some(text) => Self::parse(&text, &file, env),
            None if path.is_some() => Err(ConfigError::Missing { path: file }),
            None => Ok(Self::default()),
        }
    }

    /// Reads the text of a configuration file; `path` is where it lies, for errors and relative paths.
    pub fn parse(text: &str, path: &Path, env: &Environment) -> Result<Self, ConfigError> {
        read(&Source::new(path, text), &Folders { home: &env.home, beside: path.parent() }, &Self::known_keys())
    }

    /// Returns every key that a configuration file may hold, those of accounts as `account.NAME.key`.
    pub fn known_keys() -> Vec<String> {
        let source = Source::new(Path::new(""), "[account.NAME]\naddress = \"sip:a@b\"");
        // The text is ours; were it refused, the keys up to there would still be known.
        let _ = read(&source, &Folders { home: Path::new(""), beside: None }, &[]);
        source.into_known()
    }
}

/// Returns the text of a file of the user's, or `None` if there is no such file.
pub(super) fn read_text(path: &Path) -> Result<Option<String>, ConfigError> {
    let unreadable = |error| ConfigError::Unreadable { path: path.into(), error };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    // The file names programs to run and people to trust.
    if fs::metadata(path).map_err(unreadable)?.mode() & 0o002 != 0 {
        let message = "everybody can write it; run chmod o-w on it".into();
        return Err(ConfigError::Unsafe { path: path.into(), message });
    }
    Ok(Some(text))
}

struct Folders<'a> {
    home: &'a Path,
    beside: Option<&'a Path>,
}

impl Folders<'_> {
    /// Completes a path: `~/` is the home folder, a relative one begins beside the configuration.
    fn complete(&self, text: &str) -> PathBuf {
        match text.strip_prefix("~/") {
            Some(rest) => self.home.join(rest),
            None => self.beside.map_or_else(|| text.into(), |beside| beside.join(text)),
        }
    }
}

fn read(source: &Source<'_>, folders: &Folders<'_>, known: &[String]) -> Result<Settings, ConfigError> {
    let table = source.parse()?;
    let mut settings = Settings::default();
    let mut root = Section::root(source, &table);
    root.read("default_account", &mut settings.default_account, optional)?;

    for (name, mut s) in root.section("account")?.sections()? {
        if !is_account_name(name) {
            return Err(s.blame("address", "an account's name has letters, digits, `-` and `_` only"));
        }
        let mut account = Account::new("");
        s.read("address", &mut account.address, |value| {
            normalize_own(text(value)?).map_err(|error| error.to_string())
        })?;
        if account.address.is_empty() {
            return Err(s.blame("address", "an account needs one, such as \"sip:alice@example.com\""));
        }
        s.read("mode", &mut account.mode, word)?;
        s.read("outbound_proxy", &mut account.outbound_proxy, |value| {
            optional(value)?.as_deref().map(proxy).transpose()
        })?;
        s.read("register", &mut account.register, word)?;
        s.read("xcap", &mut account.xcap, |value| optional(value)?.as_deref().map(xcap_root).transpose())?;
        s.read("auth_user", &mut account.auth_user, optional)?;
        s.read("realm", &mut account.realm, optional)?;
        let mut file = PasswordSource::None;
        s.read("password_command", &mut account.password, command)?;
        s.read("password_file", &mut file, |value| {
            Ok::<_, String>(
                optional(value)?.map_or(PasswordSource::None, |path| PasswordSource::File(folders.complete(&path))),
            )
        })?;
        if file != PasswordSource::None {
            if account.password != PasswordSource::None {
                return Err(s.blame("password_file", "there is a `password_command` too; keep one of them"));
            }
            account.password = file;
        }
        let mut keyring = false;
        s.read("password_keyring", &mut keyring, flag)?;
        if keyring {
            if account.password != PasswordSource::None {
                return Err(s.blame("password_keyring", "the password comes from elsewhere too; keep one of them"));
            }
            if !cfg!(feature = "keyring") {
                let command = format!("secret-tool lookup service sippresence username {}", account.address);
                let message = format!("this program is built without it; write password_command = {command:?}");
                return Err(s.blame("password_keyring", message));
            }
            account.password = PasswordSource::Keyring;
        }
        let (mut certificate, mut key) = (None, None);
        let path = |value: &DeValue<'_>| Ok::<_, String>(optional(value)?.map(|path| folders.complete(&path)));
        s.read("cert_file", &mut certificate, path)?;
        s.read("key_file", &mut key, path)?;
        account.certificate = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => return Err(s.blame("cert_file", "it needs its key: name it by `key_file`")),
            (None, Some(_)) => return Err(s.blame("key_file", "it needs its certificate: name it by `cert_file`")),
        };
        s.read("insecure", &mut account.insecure, flag)?;
        s.finish(known)?;
        settings.accounts.insert(name.into(), account);
    }
    match &settings.default_account {
        Some(name) if !settings.accounts.contains_key(name) => {
            return Err(root.blame("default_account", format!("there is no section [account.{name}]")));
        }
        None if settings.accounts.len() > 1 => {
            let names: Vec<_> = settings.accounts.keys().map(|name| format!("{name:?}")).collect();
            let message = format!("there are several accounts: say which is the default, {}", names.join(" or "));
            return Err(root.blame("default_account", message));
        }
        _ => {}
    }

    let (mut s, agent) = (root.section("agent")?, &mut settings.agent);
    s.read("autostart", &mut agent.autostart, flag)?;
    s.read("listen", &mut agent.listen, listen)?;
    s.read("port", &mut agent.port, |value| number(value, 0, 65_535).map(|port| Some(port as u16)))?;
    s.read("names", &mut agent.names, |value| list(value, name))?;
    s.read("persist", &mut agent.persist, flag)?;
    s.read("min_expires", &mut agent.min_expires, expires)?;
    s.read("max_subscriptions", &mut agent.max_subscriptions, |value| {
        number(value, 1, 10_000_000).map(|n| n as usize)
    })?;
    s.finish(known)?;

    let (mut s, sip) = (root.section("sip")?, &mut settings.sip);
    s.read("t1", &mut sip.t1, timer)?;
    s.read("t2", &mut sip.t2, timer)?;
    s.read("t4", &mut sip.t4, timer)?;
    if sip.t2 < sip.t1 {
        return Err(s.blame("t2", "it is the longest pause and cannot be shorter than `sip.t1`"));
    }
    s.finish(known)?;

    let (mut s, publish) = (root.section("publish")?, &mut settings.publish);
    s.read("expires", &mut publish.expires, expires)?;
    s.read("on_exit", &mut publish.on_exit, word)?;
    s.read("open_when", &mut publish.open_when, |value| -> Result<Vec<String>, String> {
        let words: Vec<String> = list(value, |word| Ok(word.to_owned()))?;
        // MAP-09: one rule for what may be sent as open.
        OpenWhen::from_words(words.iter().map(String::as_str)).map_err(|error| error.to_string())?;
        Ok(words)
    })?;
    s.finish(known)?;

    let (mut s, watch) = (root.section("watch")?, &mut settings.watch);
    s.read("expires", &mut watch.expires, expires)?;
    s.read("p2p_expires", &mut watch.p2p_expires, expires)?;
    s.read("rate", &mut watch.rate, |value| number(value, 1, 10_000))?;
    s.read("max_rate", &mut watch.rates.max, a_second)?;
    s.read("min_rate", &mut watch.rates.min, a_second)?;
    s.read("adaptive_min_rate", &mut watch.rates.adaptive_min, a_second)?;
    s.finish(known)?;

    let (mut s, tui) = (root.section("tui")?, &mut settings.tui);
    s.read("theme", &mut tui.theme, word)?;
    tui.keys = s.section("keys")?.texts()?;
    s.finish(known)?;

    let mut s = root.section("policy")?;
    s.read("require", &mut settings.policy.require, word)?;
    s.read("hide_unknown", &mut settings.policy.hide_unknown, flag)?;
    s.finish(known)?;

    let mut s = root.section("tls")?;
    s.read("ca_file", &mut settings.tls.ca_file, |value| {
        Ok::<_, String>(optional(value)?.map(|path| folders.complete(&path)))
    })?;
    s.read("first_use", &mut settings.tls.first_use, word)?;
    s.finish(known)?;

    let mut s = root.section("auth")?;
    s.read("min", &mut settings.auth.min, word)?;
    s.finish(known)?;

    let (mut s, interop) = (root.section("interop")?, &mut settings.interop);
    s.read("lenient", &mut interop.lenient, flag)?;
    s.read("legacy", &mut interop.legacy, flag)?;
    s.finish(known)?;

    let (mut s, hooks) = (root.section("hooks")?, &mut settings.hooks);
    s.read("on_event", &mut hooks.on_event, arguments)?;
    s.read("timeout", &mut hooks.timeout, |value| duration(value, Duration::from_millis(100), YEAR))?;
    s.finish(known)?;

    root.finish(known)?;
    Ok(settings)
}

/// Reads a text of which the empty one means none.
pub(super) fn optional(value: &DeValue<'_>) -> Result<Option<String>, String> {
    text(value).map(|text| Some(text.to_owned()).filter(|text| !text.is_empty()))
}

/// A rate of NOTIFYs; 0 asks for none.
fn a_second(value: &DeValue<'_>) -> Result<Option<Rate>, String> {
    let text = match value {
        DeValue::Float(number) => number.as_str(),
        DeValue::Integer(number) => number.as_str(),
        _ => "",
    };
    let is_zero = !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    if is_zero { Ok(None) } else { text.parse().map(Some).map_err(|error: RateError| error.to_string()) }
}

fn word<T: FromStr<Err = String>>(value: &DeValue<'_>) -> Result<T, String> {
    text(value)?.parse()
}

fn duration(value: &DeValue<'_>, least: Duration, most: Duration) -> Result<Duration, String> {
    let wrong = || format!("write a duration such as \"90s\", \"45m\" or \"1h30m\", not {}", a(value));
    let duration = match value {
        DeValue::String(text) => parse_duration(text).map_err(|error| error.to_string())?,
        DeValue::Integer(_) => Duration::from_secs(number(value, 0, u32::MAX).map_err(|_| wrong())?.into()),
        _ => return Err(wrong()),
    };
    if duration < least {
        return Err(format!("{} is too short, the least is {}", a(value), super::format_duration(least)));
    }
    if duration > most {
        return Err(format!("{} is too long, the most is {}", a(value), super::format_duration(most)));
    }
    Ok(duration)
}

/// Reads a lifetime, which the wire carries in seconds.
fn expires(value: &DeValue<'_>) -> Result<Duration, String> {
    duration(value, Duration::from_secs(1), YEAR)
}

fn timer(value: &DeValue<'_>) -> Result<Duration, String> {
    duration(value, Duration::from_millis(1), Duration::from_mins(1))
}

fn listen(value: &DeValue<'_>) -> Result<Listen, String> {
    let Some(_) = value.as_array() else { return text(value)?.parse() };
    let addresses = list(value, listen_address)?;
    if addresses.is_empty() {
        return Err("the list is empty: write \"loopback\" to be reached from this machine only".into());
    }
    Ok(Listen::Addresses(addresses))
}

fn name(text: &str) -> Result<String, String> {
    if is_name(text) { Ok(text.to_ascii_lowercase()) } else { Err(format!("{text:?} is no host name")) }
}

/// Checks the form of a proxy's URI; a bare host becomes one.
fn proxy(text: &str) -> Result<String, String> {
    let (scheme, rest) = match text.split_once(':') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips") => {
            (scheme.to_ascii_lowercase(), rest)
        }
        _ => ("sip".to_owned(), text),
    };
    let (host, parameters) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '"' | '?');
    if !is_host(host) || !parameters.chars().all(is_plain) {
        return Err(format!("{text:?} is no proxy: write it as \"sip:pbx.example.com;transport=tls\""));
    }
    Ok(format!("{scheme}:{}{parameters}", host.to_ascii_lowercase()))
}

/// Checks the form of an XCAP root (RFC 4825 §6.1); a slash at its end is left out.
fn xcap_root(text: &str) -> Result<String, String> {
    let wrong = || format!("{text:?} is no XCAP root: write it as \"https://xcap.example.com/xcap-root\"");
    let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
    let scheme = scheme.to_ascii_lowercase();
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let is_segment = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.chars().all(|c| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@%".contains(c))
    };
    let path = path.trim_end_matches('/');
    if !matches!(&*scheme, "https" | "http") || !is_host(host) || !path.split('/').skip(1).all(is_segment) {
        return Err(wrong());
    }
    Ok(format!("{scheme}://{}{path}", host.to_ascii_lowercase()))
}

/// Reads a program with its arguments: a list, or a text whose blanks part them unless quoted.
pub(super) fn command(value: &DeValue<'_>) -> Result<PasswordSource, String> {
    let words = if value.is_array() { arguments(value)? } else { words(text(value)?)? };
    Ok(if words.is_empty() { PasswordSource::None } else { PasswordSource::Command(words) })
}

fn arguments(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let Some(_) = value.as_array() else {
        return Err(
            "write the program and its arguments as a list, [\"program\", \"argument\"]; no shell is used".into()
        );
    };
    let words = list(value, |word| Ok(word.to_owned()))?;
    if words.first().is_some_and(String::is_empty) {
        return Err("the program's name is empty".into());
    }
    Ok(words)
}

/// Parts a text at its blanks, but not in quotes.
pub(super) fn words(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in text.chars() {
        match (quote, c) {
            (Some(mark), _) if c == mark => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, _) if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    if let Some(mark) = quote {
        return Err(format!("a {mark} is not closed"));
    }
    words.extend(word);
    Ok(words)
}

fn is_account_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}
