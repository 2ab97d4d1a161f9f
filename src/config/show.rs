//! The configuration in force, as a file that would say the same.

use std::fmt::Write as _;

use toml_edit::{Array, Value};

use crate::presence::Rate;

use super::{
    duration::format_duration,
    settings::{Account, PasswordSource, Settings},
};

/// A rate as a number; 0 for none.
fn a_second(rate: Option<Rate>) -> Value {
    rate.and_then(|rate| rate.to_string().parse().ok()).unwrap_or_else(|| 0.into())
}

impl Settings {
    /// Writes every key with the value in force; secrets are not among them.
    pub fn to_toml(&self) -> String {
        let Self { default_account, accounts, agent, sip, publish, watch, policy, tls, auth, interop, hooks, tui } =
            self;
        let mut out = String::new();
        let mut line = |key: &str, value: Value| {
            // Writing to a string does not fail.
            let _ = writeln!(out, "{key} ={}", value.decorated(" ", ""));
        };
        if let Some(name) = default_account {
            line("default_account", name.as_str().into());
        }
        let time = |duration| Value::from(format_duration(duration));
        let section = |out: &mut String, name: &str, keys: Vec<(&str, Value)>| {
            let _ = writeln!(out, "\n[{name}]");
            for (key, value) in keys {
                let _ = writeln!(out, "{key} ={}", value.decorated(" ", ""));
            }
        };
        for (name, account) in accounts {
            section(&mut out, &format!("account.{name}"), account_keys(account));
        }
        let listen = match &agent.listen {
            super::Listen::Addresses(addresses) => strings(addresses.iter().map(ToString::to_string)),
            word => word.to_string().into(),
        };
        let mut keys = vec![("autostart", agent.autostart.into()), ("listen", listen)];
        keys.extend(agent.port.map(|port| ("port", i64::from(port).into())));
        keys.extend([
            ("names", strings(agent.names.iter().cloned())),
            ("persist", agent.persist.into()),
            ("min_expires", time(agent.min_expires)),
            ("max_subscriptions", number(agent.max_subscriptions)),
        ]);
        section(&mut out, "agent", keys);
        section(&mut out, "sip", vec![("t1", time(sip.t1)), ("t2", time(sip.t2)), ("t4", time(sip.t4))]);
        let keys = vec![
            ("expires", time(publish.expires)),
            ("on_exit", publish.on_exit.to_string().into()),
            ("open_when", strings(publish.open_when.iter().cloned())),
        ];
        section(&mut out, "publish", keys);
        let keys = vec![
            ("expires", time(watch.expires)),
            ("p2p_expires", time(watch.p2p_expires)),
            ("rate", i64::from(watch.rate).into()),
            ("max_rate", a_second(watch.rates.max)),
            ("min_rate", a_second(watch.rates.min)),
            ("adaptive_min_rate", a_second(watch.rates.adaptive_min)),
        ];
        section(&mut out, "watch", keys);
        section(&mut out, "tui", vec![("theme", tui.theme.to_string().into())]);
        if !tui.keys.is_empty() {
            let bound = tui.keys.iter().map(|(action, keys)| (action.as_str(), keys.as_str().into())).collect();
            section(&mut out, "tui.keys", bound);
        }
        section(
            &mut out,
            "policy",
            vec![("require", policy.require.to_string().into()), ("hide_unknown", policy.hide_unknown.into())],
        );
        let ca_file = tls.ca_file.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let keys = vec![("ca_file", ca_file.into()), ("first_use", tls.first_use.to_string().into())];
        section(&mut out, "tls", keys);
        section(&mut out, "auth", vec![("min", auth.min.to_string().into())]);
        let keys = vec![("lenient", interop.lenient.into()), ("legacy", interop.legacy.into())];
        section(&mut out, "interop", keys);
        let keys = vec![("on_event", strings(hooks.on_event.iter().cloned())), ("timeout", time(hooks.timeout))];
        section(&mut out, "hooks", keys);
        out.trim_start().trim_end().to_owned()
    }
}

fn account_keys(account: &Account) -> Vec<(&'static str, Value)> {
    let mut keys = vec![
        ("address", account.address.as_str().into()),
        ("mode", account.mode.to_string().into()),
        ("outbound_proxy", account.outbound_proxy.clone().unwrap_or_default().into()),
        ("register", account.register.to_string().into()),
        ("xcap", account.xcap.clone().unwrap_or_default().into()),
        ("auth_user", account.auth_user.clone().unwrap_or_default().into()),
        ("realm", account.realm.clone().unwrap_or_default().into()),
    ];
    match &account.password {
        PasswordSource::None => {}
        PasswordSource::Command(command) => keys.push(("password_command", strings(command.iter().cloned()))),
        PasswordSource::Keyring => keys.push(("password_keyring", true.into())),
        PasswordSource::File(path) => keys.push(("password_file", path.display().to_string().into())),
    }
    if let Some((certificate, key)) = &account.certificate {
        keys.push(("cert_file", certificate.display().to_string().into()));
        keys.push(("key_file", key.display().to_string().into()));
    }
    keys.push(("insecure", account.insecure.into()));
    keys
}

fn strings(items: impl Iterator<Item = String>) -> Value {
    items.collect::<Array>().into()
}

fn number(value: usize) -> Value {
    i64::try_from(value).unwrap_or(i64::MAX).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_reads_back_as_the_same_settings() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let env = crate::config::Environment {
            home: folder.path().into(),
            config_home: folder.path().into(),
            state_home: folder.path().into(),
            runtime_dir: None,
            user: "alice".into(),
        };
        let mut settings = Settings::default();
        settings.agent.port = Some(5099);
        settings.agent.listen = super::super::Listen::Addresses(vec!["127.0.0.1".parse().unwrap()]);
        settings.accounts.insert("work".into(), Account::new("sip:alice@example.com"));
        std::fs::write(&path, settings.to_toml()).unwrap();
        assert_eq!(Settings::load(Some(&path), &env).unwrap(), settings);
    }
}
