//! Configuration files as users have them: the example, the usual mistakes, the files that cannot be read.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use sippresence::config::{
    Account, Agent, ConfigError, DEFAULT_PORT, Environment, Listen, Mode, PasswordSource, Paths, Settings, ThemeChoice,
};

const EXAMPLE: &str = include_str!("../config.example.toml");

struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    fn env(&self) -> Environment {
        Environment {
            home: self.folder.path().into(),
            config_home: self.folder.path().join("config"),
            state_home: self.folder.path().join("state"),
            runtime_dir: None,
            user: "alice".into(),
        }
    }

    fn write(&self, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join("config.toml");
        fs::write(&path, text).expect("the file is written");
        path
    }

    fn load(&self, text: impl AsRef<[u8]>) -> Result<Settings, ConfigError> {
        Settings::load(Some(&self.write(text)), &self.env())
    }
}

fn loaded(text: &str) -> Settings {
    Home::new().load(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// The one line that a bad file is answered with, without the folder of the file.
fn refused(text: impl AsRef<[u8]>) -> String {
    let home = Home::new();
    let error = home.load(text).expect_err("a bad file is refused").to_string();
    assert!(!error.contains('\n'), "more than one line: {error}");
    error.replace(&format!("{}/", home.folder.path().display()), "")
}

/// The example with its examples of keys switched on.
fn uncommented() -> String {
    let is_key =
        |rest: &str| rest.starts_with('[') || rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
    let line = |line: &'static str| line.strip_prefix('#').filter(|rest| is_key(rest)).unwrap_or(line);
    EXAMPLE.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn keys_of(text: &str) -> BTreeSet<String> {
    fn walk(prefix: &str, table: &toml::Table, keys: &mut BTreeSet<String>) {
        for (key, value) in table {
            let path = format!("{prefix}{key}");
            if let Some(table) = value.as_table() {
                walk(&format!("{path}."), table, keys);
            }
            keys.insert(path);
        }
    }
    let mut keys = BTreeSet::new();
    walk("", &text.parse().expect("the example is TOML"), &mut keys);
    keys
}

#[test]
fn the_example_as_it_stands_changes_nothing() {
    assert_eq!(loaded(EXAMPLE), Settings::default());
}

#[test]
fn every_key_of_the_example_is_its_default() {
    let mut settings = loaded(&uncommented());
    assert_eq!(settings.default_account.take().as_deref(), Some("work"));
    assert_eq!(settings.accounts.remove("work"), Some(Account::new("sip:alice@example.com")));
    assert_eq!(settings.agent.port.take(), Some(DEFAULT_PORT));
    assert_eq!(settings, Settings::default());
}

#[test]
fn every_known_key_stands_in_the_example_and_no_other() {
    let known: BTreeSet<_> =
        Settings::known_keys().into_iter().map(|key| key.replace("account.NAME", "account.work")).collect();
    let mut written = keys_of(&uncommented());
    written.remove("account.work");
    assert_eq!(written, known);
}

#[test]
fn a_missing_file_is_the_default_unless_it_was_asked_for() {
    let home = Home::new();
    assert_eq!(Settings::load(None, &home.env()).ok(), Some(Settings::default()));
    let path = home.folder.path().join("other.toml");
    let error = Settings::load(Some(&path), &home.env()).expect_err("it is not there");
    assert!(matches!(&error, ConfigError::Missing { path: named } if *named == path), "{error}");
}

#[test]
fn the_usual_file_is_read() {
    let home = Home::new();
    let paths = Paths::new(None, &home.env());
    fs::create_dir_all(&paths.config_dir).expect("a folder");
    fs::write(&paths.config_file, "[watch]\nrate = 3\n").expect("the file is written");
    assert_eq!(Settings::load(None, &home.env()).map(|settings| settings.watch.rate).ok(), Some(3));
}

#[test]
fn keys_of_the_buddy_list_are_read_by_the_names_of_their_actions() {
    let settings = loaded("[tui]\ntheme = \"light\"\n[tui.keys]\nstatus = \"S f2\"\nquit = \"ctrl-q\"\n");
    assert_eq!(settings.tui.theme, ThemeChoice::Light);
    let keys: Vec<_> = settings.tui.keys.iter().map(|(action, keys)| (action.as_str(), keys.as_str())).collect();
    assert_eq!(keys, [("quit", "ctrl-q"), ("status", "S f2")]);
}

#[test]
fn values_are_read_as_they_are_meant() {
    let settings = loaded(
        r#"
        [account.work]
        address = "Alice@Example.COM"
        mode = "p2p"
        outbound_proxy = "SIP:PBX.example.com;transport=tls"
        xcap = "HTTPS://Xcap.example.com:8443/Root/"
        password_file = "~/secret"
        cert_file = "me.pem"
        key_file = "~/me.key"
        [account.home]
        address = "sips:al@[2001:DB8::1]:5070"
        password_command = "pass show 'sip home'"
        outbound_proxy = "proxy.example.com:5070"
        [agent]
        listen = ["192.0.2.1", "::1"]
        port = 0
        names = ["Me.Local"]
        min_expires = 90
        [publish]
        expires = "1h30m"
        [sip]
        t1 = "250ms"
        [tls]
        ca_file = "certs/ca.pem"
        [hooks]
        on_event = ["notify", "-x"]
        "#
        .replacen("[account.work]", "default_account = \"home\"\n[account.work]", 1)
        .as_str(),
    );
    let work = &settings.accounts["work"];
    assert_eq!((work.address.as_str(), work.mode), ("sip:Alice@example.com", Mode::P2p));
    assert_eq!(work.xcap.as_deref(), Some("https://xcap.example.com:8443/Root"));
    assert_eq!(work.outbound_proxy.as_deref(), Some("sip:pbx.example.com;transport=tls"));
    assert!(matches!(&work.password, PasswordSource::File(path) if path.ends_with("secret") && path.is_absolute()));
    let (certificate, key) = work.certificate.as_ref().expect("there is one");
    assert!(certificate.ends_with("me.pem") && key.ends_with("me.key") && key.is_absolute());
    let (name, home) = settings.default_account().expect("one is the default");
    assert_eq!((name, home.address.as_str()), ("home", "sips:al@[2001:db8::1]:5070"));
    assert_eq!(home.outbound_proxy.as_deref(), Some("sip:proxy.example.com:5070"));
    let command = ["pass", "show", "sip home"].map(String::from).to_vec();
    assert_eq!(home.password, PasswordSource::Command(command));
    let addresses = ["192.0.2.1", "::1"].map(|ip| ip.parse().expect("an address")).to_vec();
    let agent = Agent {
        listen: Listen::Addresses(addresses),
        port: Some(0),
        names: vec!["me.local".into()],
        min_expires: Duration::from_secs(90),
        ..Agent::default()
    };
    assert_eq!(settings.agent, agent);
    assert_eq!(settings.publish.expires, Duration::from_mins(90));
    assert_eq!(settings.sip.t1, Duration::from_millis(250));
    assert!(settings.tls.ca_file.is_some_and(|path| path.ends_with("certs/ca.pem") && path.is_absolute()));
    assert_eq!(settings.hooks.on_event, ["notify", "-x"]);
}

#[test]
fn the_only_account_is_the_default_one() {
    let settings = loaded("[account.x]\naddress = \"a@b\"");
    assert_eq!(settings.default_account().map(|(name, _)| name), Some("x"));
    assert_eq!(Settings::default().default_account(), None);
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_the_nearest_one() {
    for (text, expected) in [
        (
            "[agent]\nlisten = \"lan\"\n  prot = 5060",
            "config.toml:3:3: unknown key `agent.prot`, did you mean `agent.port`?",
        ),
        ("[agnet]\nport = 1", "config.toml:1:2: unknown key `agnet`, did you mean `agent`?"),
        ("port = 1", "config.toml:1:1: unknown key `port`, did you mean `agent.port`?"),
        ("[watch]\nratte = 1", "config.toml:2:1: unknown key `watch.ratte`, did you mean `watch.rate`?"),
        (
            "[account.w]\naddress=\"a@b\"\nadress=\"a@b\"",
            "unknown key `account.w.adress`, did you mean `account.w.address`?",
        ),
        ("[auth]\nzzzzzz = 1", "unknown key `auth.zzzzzz`, known here are min"),
    ] {
        let error = refused(text);
        assert!(error.ends_with(expected), "{error}");
    }
}

#[test]
fn sec_10_a_password_in_the_file_is_refused_with_the_way_out() {
    let error = refused("[account.w]\naddress = \"a@b\"\npassword = \"s3cret\"");
    assert!(error.contains("`account.w.password`: a password does not stand in this file"), "{error}");
    assert!(error.contains("password_command") && !error.contains("s3cret"), "{error}");
}

#[test]
fn a_bad_value_is_named_with_its_key_line_and_remedy() {
    for (text, expected) in [
        ("[agent]\nport = 70000", "config.toml:2:8: `agent.port`: write a whole number from 0 to 65535, not 70000"),
        ("[agent]\nport = \"5060\"", "`agent.port`: write a whole number from 0 to 65535, not \"5060\""),
        ("[agent]\nport = -1", "not -1"),
        ("[agent]\nautostart = \"yes\"", "config.toml:2:13: `agent.autostart`: write true or false, not \"yes\""),
        ("[agent]\nlisten = \"everywhere\"", "`agent.listen`: \"everywhere\" is no address of this machine"),
        ("[agent]\nlisten = [\"0.0.0.0\"]", "`agent.listen`: \"0.0.0.0\" stands for every address: write \"all\""),
        ("[agent]\nlisten = []", "`agent.listen`: the list is empty"),
        ("[agent]\nnames = [\"a b\"]", "\"a b\" is no host name"),
        ("[publish]\nexpires = \"soon\"", "`publish.expires`: \"soon\" is not a duration: write 90, 45m"),
        ("[publish]\nexpires = 0", "`publish.expires`: 0 is too short, the least is 1s"),
        ("[publish]\nexpires = \"9000w\"", "is too long"),
        ("[publish]\nexpires = 1.5", "not 1.5"),
        ("[publish]\nopen_when = [\"avail\"]", "`publish.open_when`: unknown status `avail`"),
        ("[publish]\nopen_when = [\"busy\"]", "`available` is always sent as open; add it to the list"),
        ("[publish]\non_exit = \"stay\"", "write \"remove\" or \"keep\", not \"stay\""),
        ("[sip]\nt1 = \"5s\"", "`sip.t2`: it is the longest pause"),
        ("agent = 3", "config.toml:1:9: `agent`: write it as a section, [agent]"),
        ("account = \"a@b\"", "`account`: write it as a section"),
        ("[account]\nwork = \"a@b\"", "write it as a section with a name of your choice, [account.work]"),
        ("[account.\"a b\"]\naddress = \"a@b\"", "an account's name has letters"),
        ("[account.w]\nmode = \"p2p\"", "config.toml:2:1: `account.w.address`: an account needs one"),
        ("[account.w]\naddress = \"alice\"", "`account.w.address`: \"alice\" is not the address of a person"),
        ("[account.w]\naddress = \"a@b\"\nxcap = \"xcap.example.com\"", "\"xcap.example.com\" is no XCAP root"),
        ("[account.w]\naddress = \"a@b\"\nxcap = \"https://u@h/r\"", "is no XCAP root"),
        ("[account.w]\naddress = \"a@b\"\nxcap = \"https://h/r/../x\"", "is no XCAP root"),
        ("[account.w]\naddress = \"a@b\"\nxcap = \"https://h/r?q\"", "is no XCAP root"),
        ("[account.w]\naddress = \"a@b\"\noutbound_proxy = \"tel:1 2\"", "\"tel:1 2\" is no proxy"),
        ("[account.w]\naddress = \"a@b\"\npassword_command = \"x\"\npassword_file = \"y\"", "keep one of them"),
        ("[account.w]\naddress = \"a@b\"\npassword_command = \"x 'y\"", "a ' is not closed"),
        (
            "[account.w]\naddress = \"a@b\"\npassword_command = \"x\"\npassword_keyring = true",
            "the password comes from elsewhere too; keep one of them",
        ),
        ("[account.w]\naddress = \"a@b\"\ncert_file = \"x\"", "name it by `key_file`"),
        ("[account.w]\naddress = \"a@b\"\nkey_file = \"x\"", "name it by `cert_file`"),
        ("default_account = \"x\"", "config.toml:1:19: `default_account`: there is no section [account.x]"),
        ("[account.a]\naddress=\"a@b\"\n[account.b]\naddress=\"a@b\"", "say which is the default, \"a\" or \"b\""),
        ("[hooks]\non_event = \"rm -rf x\"", "write the program and its arguments as a list"),
    ] {
        let error = refused(text);
        assert!(error.contains(expected), "{text:?}: {error}");
    }
}

#[test]
fn a_keyring_that_this_program_cannot_ask_is_refused_with_the_command_that_can() {
    let text = "[account.w]\naddress = \"a@b\"\npassword_keyring = true";
    if cfg!(feature = "keyring") {
        let settings = loaded(text);
        assert_eq!(settings.accounts["w"].password, PasswordSource::Keyring);
        assert!(settings.to_toml().contains("\npassword_keyring = true\n"));
        return;
    }
    let error = refused(text);
    let command = "write password_command = \"secret-tool lookup service sippresence username sip:a@b\"";
    assert!(error.contains("config.toml:3:20: `account.w.password_keyring`") && error.ends_with(command), "{error}");
}

#[test]
fn columns_count_characters() {
    assert!(refused("[account.w]\naddress = 'ä@b' # ü\nmode='ö'").contains("config.toml:2:11:"));
}

#[test]
fn a_half_written_file_is_one_line_with_its_place() {
    for text in [
        "[agent",
        "[agent]\nlisten = \"la",
        "[agent]\nport =",
        "[agent]\nnames = [\"a\",",
        "[agent]\n[agent]\n",
        "\u{0}",
    ] {
        let error = refused(text);
        assert!(error.starts_with("config.toml:"), "{error}");
    }
    // Cut anywhere, the example is read, or refused in one line.
    let env = Home::new().env();
    for cut in (0..EXAMPLE.len()).step_by(3).filter(|cut| EXAMPLE.is_char_boundary(*cut)) {
        let result = Settings::parse(&EXAMPLE[..cut], Path::new("c"), &env);
        assert!(result.err().is_none_or(|error| !error.to_string().contains('\n')));
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    assert!(refused(b"\xff\xfe").starts_with("cannot read config.toml: "));
    let home = Home::new();
    let error = Settings::load(Some(home.folder.path()), &home.env()).expect_err("a folder is no file");
    assert!(matches!(error, ConfigError::Unreadable { .. }), "{error}");
}

#[test]
fn sec_10_a_file_that_everybody_can_write_is_refused() {
    let home = Home::new();
    let path = home.write("[hooks]\non_event = [\"x\"]");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("the mode is set");
    let error = Settings::load(Some(&path), &home.env()).expect_err("it is not safe").to_string();
    assert!(error.contains("config.toml is not safe to use: everybody can write it; run chmod o-w"), "{error}");
}
