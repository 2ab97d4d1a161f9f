//! Whom a command is about: the targets of its arguments, and those on stdin where one of them is `-`.

use std::{
    collections::HashSet,
    io::{self, Read},
};

use super::{Exit, Failed};

/// How many targets stdin may name.
const MOST: usize = 10_000;
/// How much of stdin is read: room for as many long addresses.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Returns the targets in their order, each one once however often it is named.
///
/// `-` stands for those on stdin, one a line; blank lines and those that begin with `#` are passed over. Reading waits
/// for the end of stdin, so a command calls this before its clock starts.
///
/// # Errors
/// When stdin cannot be read, holds too much or no text, or nothing at all is named.
pub(super) fn named(targets: &[String]) -> Result<Vec<String>, Failed> {
    named_with(targets, io::stdin())
}

fn named_with(targets: &[String], stdin: impl Read) -> Result<Vec<String>, Failed> {
    let usage = |message: String| Failed::new(Exit::Usage, message);
    let mut listed = String::new();
    if targets.iter().any(|target| target == "-") {
        let mut bytes = Vec::new();
        let read = stdin.take(MAX_BYTES + 1).read_to_end(&mut bytes);
        read.map_err(|error| usage(format!("stdin cannot be read: {error}")))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(usage(format!("stdin holds more than {} MiB", MAX_BYTES / 1024 / 1024)));
        }
        listed = String::from_utf8(bytes).map_err(|error| {
            let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|byte| *byte == b'\n').count();
            usage(format!("line {line} of stdin is no UTF-8 text"))
        })?;
    }
    let mut seen = HashSet::new();
    let mut named = Vec::new();
    for target in targets {
        if target == "-" {
            let lines = listed.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            named.extend(lines.filter(|line| seen.insert(*line)).map(str::to_owned));
            if named.len() > MOST {
                return Err(usage(format!("stdin names more than {MOST} targets")));
            }
        } else if seen.insert(target) {
            named.push(target.clone());
        }
    }
    if named.is_empty() {
        return Err(usage("stdin names no target".to_owned()));
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(targets: &[&str], stdin: &[u8]) -> Result<Vec<String>, String> {
        let targets: Vec<String> = targets.iter().map(|&target| target.to_owned()).collect();
        named_with(&targets, stdin).map_err(|failed| failed.message)
    }

    #[test]
    fn stdin_stands_where_the_dash_is_and_each_target_is_named_once() {
        let stdin = b"# the team\n\nbob@host\r\n  carol@host \nalice@host\nbob@host";
        assert_eq!(
            of(&["alice@host", "-", "dave@host", "-"], stdin).unwrap(),
            ["alice@host", "bob@host", "carol@host", "dave@host"]
        );
        assert_eq!(of(&["bob", "bob", "alice"], b"\xff").unwrap(), ["bob", "alice"]);
        assert_eq!(of(&["me", "-"], b"").unwrap(), ["me"]);
    }

    #[test]
    fn what_is_no_list_says_why() {
        assert_eq!(of(&["-"], b"").unwrap_err(), "stdin names no target");
        assert_eq!(of(&["-"], b"\n# nobody\n").unwrap_err(), "stdin names no target");
        assert_eq!(of(&["-"], b"bob@host\ncarol@\xff\n").unwrap_err(), "line 2 of stdin is no UTF-8 text");
        let many = (0..=MOST).map(|n| format!("user{n}@host")).collect::<Vec<_>>().join("\n");
        assert_eq!(of(&["-"], many.as_bytes()).unwrap_err(), "stdin names more than 10000 targets");
        assert!(of(&["-"], many.rsplit_once("user").unwrap().0.as_bytes()).is_ok());
        assert_eq!(of(&["-"], &vec![b'#'; 5 << 20]).unwrap_err(), "stdin holds more than 4 MiB");
    }
}
