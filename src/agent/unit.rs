//! The agent as a service of the user's systemd.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use crate::config::{ConfigError, private::write_private};

/// The first line of every unit that we wrote: others are not touched.
const MARK: &str = "# Written by `sippresence agent install`.";

/// Returns where the unit lies, below `$XDG_CONFIG_HOME`.
pub fn path(config_home: &Path, name: &str) -> PathBuf {
    config_home.join("systemd/user").join(format!("{name}.service"))
}

/// Returns the unit that runs `program` with `args`.
pub fn text(program: &Path, args: &[OsString]) -> String {
    let words = [program.as_os_str()].into_iter().chain(args.iter().map(OsString::as_os_str));
    let command = words.map(|word| quote(&word.to_string_lossy())).collect::<Vec<_>>().join(" ");
    format!(
        "{MARK}\n\
         [Unit]\n\
         Description=SIP presence agent\n\
         After=network.target\n\
         \n\
         [Service]\n\
         ExecStart={command}\n\
         ExecReload=/bin/kill -HUP $MAINPID\n\
         Restart=on-failure\n\
         \n\
         [Install]\n\
         WantedBy=default.target\n"
    )
}

/// Writes the unit; returns whether that changed anything.
///
/// # Errors
/// When a unit of that name is not ours, or cannot be written.
pub fn write(path: &Path, text: &str) -> Result<bool, ConfigError> {
    match fs::read_to_string(path) {
        Ok(found) if found == text => return Ok(false),
        Ok(found) if !found.starts_with(MARK) => {
            let message = "it was written by somebody else; remove it first".to_owned();
            return Err(ConfigError::Unsafe { path: path.into(), message });
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(ConfigError::Unreadable { path: path.into(), error }),
    }
    write_private(path, text.as_bytes()).map(|()| true)
}

/// Writes a word as `ExecStart` reads it (systemd.service(5)).
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:,@=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '%' | '$' => quoted.extend([c, c]),
            '\n' => quoted.push_str("\\n"),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_runs_the_program_whatever_its_path_holds() {
        let args = ["agent", "run", "--config", "/home/a b/$x%y\"z.toml"].map(OsString::from);
        let text = text(Path::new("/usr/bin/sippresence"), &args);
        let line = "ExecStart=/usr/bin/sippresence agent run --config \"/home/a b/$$x%%y\\\"z.toml\"\n";
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn a_unit_of_somebody_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = path(folder.path(), "sippresence");
        assert!(write(&path, &text(Path::new("/a"), &[])).unwrap());
        assert!(!write(&path, &text(Path::new("/a"), &[])).unwrap());
        assert!(write(&path, &text(Path::new("/b"), &[])).unwrap());
        fs::write(&path, "[Service]\nExecStart=mine\n").unwrap();
        assert!(write(&path, &text(Path::new("/a"), &[])).unwrap_err().to_string().contains("somebody else"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "[Service]\nExecStart=mine\n");
    }
}
