//! Where our files lie: the XDG folders, and names of its own for each configuration file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use directories::BaseDirs;

use super::error::ConfigError;

/// The name of our folder in each of the user's.
const NAME: &str = "sippresence";

/// What the process was given by its surroundings; read once, so that everything after it can be tested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// The home folder.
    pub home: PathBuf,
    /// `$XDG_CONFIG_HOME`, or what stands for it.
    pub config_home: PathBuf,
    /// `$XDG_STATE_HOME`, or what stands for it.
    pub state_home: PathBuf,
    /// `$XDG_RUNTIME_DIR`, if the system gives one.
    pub runtime_dir: Option<PathBuf>,
    /// The login name.
    pub user: String,
}

impl Environment {
    /// Reads the surroundings of this process.
    pub fn of_process() -> Result<Self, ConfigError> {
        let base = BaseDirs::new().ok_or(ConfigError::NoHome)?;
        let user = nix::unistd::User::from_uid(nix::unistd::Uid::effective()).ok().flatten().map(|user| user.name);
        let user = std::env::var("USER").ok().filter(|user| !user.is_empty()).or(user);
        Ok(Self {
            home: base.home_dir().into(),
            config_home: base.config_dir().into(),
            state_home: base.state_dir().unwrap_or_else(|| base.data_local_dir()).into(),
            runtime_dir: base.runtime_dir().map(Into::into),
            user: user.unwrap_or_else(|| "me".into()),
        })
    }
}

/// The files of one configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The folder of the configuration file.
    pub config_dir: PathBuf,
    /// The configuration.
    pub config_file: PathBuf,
    /// Who may see us, beside the configuration.
    pub policy_file: PathBuf,
    /// The buddy list, beside the configuration.
    pub buddies_file: PathBuf,
    /// What the agent remembers; a folder of its own for each configuration file.
    pub state_dir: PathBuf,
    /// The agent's control socket, in a folder to be made by [`prepare_private_dir`](super::prepare_private_dir).
    pub socket: PathBuf,
}

impl Paths {
    /// Returns the files that belong to `config_file`, or to the usual one.
    ///
    /// Another file than the usual one has a socket and a state folder of its own, named by a hash of its
    /// canonical path, so that the same file finds the same agent however it is written.
    pub fn new(config_file: Option<&Path>, env: &Environment) -> Self {
        let usual = env.config_home.join(NAME).join("config.toml");
        let state = env.state_home.join(NAME);
        let run = env.runtime_dir.as_ref().map_or_else(|| state.join("run"), |runtime| runtime.join(NAME));
        let config_file = config_file.map_or_else(|| usual.clone(), Path::to_path_buf);
        let (this, suffix) = (canonical(&config_file), canonical(&usual));
        let suffix = (this != suffix).then(|| format!("-{:016x}", fnv1a(this.as_os_str().as_encoded_bytes())));
        let suffix = suffix.unwrap_or_default();
        let config_dir = config_file.parent().map(Path::to_path_buf).unwrap_or_default();
        Self {
            policy_file: config_dir.join("policy.toml"),
            buddies_file: config_dir.join("buddies.toml"),
            state_dir: if suffix.is_empty() { state } else { state.join(format!("config{suffix}")) },
            socket: run.join(format!("agent{suffix}.sock")),
            config_dir,
            config_file,
        }
    }
}

/// Resolves links as far as the path exists; the rest is only made absolute.
fn canonical(path: &Path) -> PathBuf {
    if let Ok(canonical) = fs::canonicalize(path) {
        return canonical;
    }
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
    match (absolute.parent(), absolute.file_name()) {
        (Some(parent), Some(name)) => canonical(parent).join(name),
        _ => absolute,
    }
}

/// FNV-1a, 64 bits: stable over versions and machines, which the standard library's hash is not.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(root: &Path) -> Environment {
        Environment {
            home: root.join("home"),
            config_home: root.join("config"),
            state_home: root.join("state"),
            runtime_dir: Some(root.join("run")),
            user: "alice".into(),
        }
    }

    #[test]
    fn the_usual_files_lie_in_the_xdg_folders() {
        let paths = Paths::new(None, &env(Path::new("/r")));
        assert_eq!(paths.config_file, Path::new("/r/config/sippresence/config.toml"));
        assert_eq!(paths.policy_file, Path::new("/r/config/sippresence/policy.toml"));
        assert_eq!(paths.buddies_file, Path::new("/r/config/sippresence/buddies.toml"));
        assert_eq!(paths.state_dir, Path::new("/r/state/sippresence"));
        assert_eq!(paths.socket, Path::new("/r/run/sippresence/agent.sock"));
    }

    #[test]
    fn without_a_runtime_folder_the_socket_lies_with_the_state() {
        let paths = Paths::new(None, &Environment { runtime_dir: None, ..env(Path::new("/r")) });
        assert_eq!(paths.socket, Path::new("/r/state/sippresence/run/agent.sock"));
    }

    #[test]
    fn another_configuration_has_a_socket_and_state_of_its_own_and_the_same_one_the_same() {
        let root = tempfile::tempdir().unwrap();
        let env = env(root.path());
        let (usual, other) = (Paths::new(None, &env), root.path().join("other.toml"));
        let mine = Paths::new(Some(&other), &env);
        assert_ne!(mine.socket, usual.socket);
        assert_ne!(mine.state_dir, usual.state_dir);
        assert_eq!(mine.policy_file, root.path().join("policy.toml"));
        // Before and after the file is there, and through a link.
        fs::write(&other, "").unwrap();
        assert_eq!(Paths::new(Some(&other), &env).socket, mine.socket);
        let link = root.path().join("link.toml");
        std::os::unix::fs::symlink(&other, &link).unwrap();
        assert_eq!(Paths::new(Some(&link), &env).socket, mine.socket);
        assert_eq!(Paths::new(Some(&usual.config_file), &env), usual);
    }

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
