//! Transcripts of the program as a person sees it, held true: `docs/recipes.md` and those beside this file.
//!
//! A block ```` ```console ```` holds commands behind `$ ` (Alice's terminal) or `bob$ `, each followed by what it
//! prints, stdout and stderr as they come. `[..]` stands for anything in a line, `...` alone for any lines, `? N` for
//! an exit code other than 0. A block ```` ```sh name ```` or ```` ```python name ```` is a file of Alice's. A line `<!-- needs: jq -->` names
//! programs without which the transcript is listed as ignored. Everybody has a home, an agent and a port of his own;
//! in the text they are at the addresses of [`PEOPLE`].
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../ports/mod.rs"]
mod ports;
#[path = "../cli/support.rs"]
#[allow(dead_code, reason = "each target uses its part")]
mod support;

mod matching;

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use libtest_mimic::{Arguments, Failed, Trial};

use self::support::Home;

/// Who plays, and where they are in the text.
const PEOPLE: [(&str, &str); 3] = [("alice", "192.168.1.20"), ("bob", "192.168.1.21"), ("carol", "192.168.1.22")];

/// One step of a transcript.
enum Step {
    /// Somebody types a command, and is shown this.
    Command { line: usize, who: usize, command: String, shown: Vec<String>, code: i32 },
    /// Alice has a file.
    File { name: String, text: String },
}

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("docs/recipes.md")];
    let beside = fs::read_dir(root.join("tests/transcripts")).unwrap().map(|entry| entry.unwrap().path());
    files.extend(beside.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    files.sort();
    let mut trials = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let file = path.file_stem().unwrap().to_string_lossy().into_owned();
        // Each chapter is a story of its own.
        for (title, line, chapter) in chapters(&text) {
            let steps = read(chapter, line);
            if steps.is_empty() {
                continue;
            }
            let missing: Vec<String> = needs(chapter).into_iter().filter(|program| !is_there(program)).collect();
            let required = std::env::var_os("SIPPRESENCE_REQUIRE_PEERS").is_some_and(|value| value == "1");
            let name = match &missing[..] {
                [] => format!("{file}: {title}"),
                missing => format!("{file}: {title} (needs {})", missing.join(", ")),
            };
            let ignored = !missing.is_empty() && !required;
            trials.push(Trial::test(name, move || play(&steps)).with_ignored_flag(ignored));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// Splits a text at its headings; returns each with its first line.
fn chapters(text: &str) -> Vec<(String, usize, &str)> {
    let mut chapters: Vec<(String, usize, usize)> = Vec::new();
    let (mut at, mut fenced) = (0, false);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        fenced ^= line.starts_with("```");
        if line.starts_with('#') && !fenced {
            chapters.push((line.trim_start_matches('#').trim().to_owned(), number + 1, at));
        }
        at += line.len();
    }
    let ends: Vec<usize> = chapters.iter().skip(1).map(|(.., at)| *at).chain([text.len()]).collect();
    chapters.into_iter().zip(ends).map(|((title, line, from), to)| (title, line, &text[from..to])).collect()
}

fn needs(chapter: &str) -> Vec<String> {
    let line = chapter.lines().find_map(|line| line.strip_prefix("<!-- needs: ")?.strip_suffix(" -->"));
    line.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

fn is_there(program: &str) -> bool {
    Command::new("sh").args(["-c", &format!("command -v {program}")]).output().is_ok_and(|found| found.status.success())
}

/// Reads the steps of a chapter that begins at the given line.
fn read(chapter: &str, first: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut block: Option<String> = None;
    for (number, line) in (first..).zip(chapter.lines()) {
        if let Some(info) = line.strip_prefix("```") {
            if let (None, Some((_, name))) = (&block, info.split_once(' ')) {
                steps.push(Step::File { name: name.to_owned(), text: String::new() });
            }
            block = if block.is_some() { None } else { Some(info.to_owned()) };
        } else if block.as_deref() == Some("console") {
            read_line(&mut steps, line, number);
        } else if block.as_deref().is_some_and(|info| info.contains(' '))
            && let Some(Step::File { text, .. }) = steps.last_mut()
        {
            text.push_str(line);
            text.push('\n');
        }
    }
    steps
}

fn read_line(steps: &mut Vec<Step>, line: &str, number: usize) {
    let typed = PEOPLE.iter().enumerate().find_map(|(who, (name, _))| {
        let typed = line.strip_prefix(&format!("{name}$ ")).or_else(|| line.strip_prefix("$ ").filter(|_| who == 0));
        Some((who, typed?.to_owned()))
    });
    match (typed, steps.last_mut()) {
        (Some((who, command)), _) => {
            steps.push(Step::Command { line: number, who, command, shown: Vec::new(), code: 0 });
        }
        (None, Some(Step::Command { command, shown, .. })) if shown.is_empty() && command.ends_with('\\') => {
            command.push('\n');
            command.push_str(line.trim_start_matches("> "));
        }
        (None, Some(Step::Command { code, shown, .. })) => match line.strip_prefix("? ") {
            Some(told) => *code = told.parse().unwrap(),
            None => shown.push(line.to_owned()),
        },
        (None, _) => panic!("line {number}: what is shown comes after a command"),
    }
}

/// Plays a chapter with people of its own.
fn play(steps: &[Step]) -> Result<(), Failed> {
    let homes: Vec<Home> = PEOPLE.iter().map(|(name, _)| Home::new(name)).collect();
    let out = |text: &str| {
        PEOPLE
            .iter()
            .zip(&homes)
            .fold(text.to_owned(), |text, ((_, shown), home)| text.replace(shown, &format!("127.0.0.1:{}", home.port)))
    };
    let back = |text: &str| {
        PEOPLE
            .iter()
            .zip(&homes)
            .fold(text.to_owned(), |text, ((_, shown), home)| text.replace(&format!("127.0.0.1:{}", home.port), shown))
    };
    for step in steps {
        match step {
            Step::File { name, text } => {
                fs::write(homes[0].path(name), out(text)).unwrap();
                fs::set_permissions(homes[0].path(name), fs::Permissions::from_mode(0o755)).unwrap();
            }
            Step::Command { line, who, command, shown, code } => {
                let run = homes[*who].sh(&format!("exec 2>&1; {}", out(command)));
                let printed = back(&run.out);
                let printed: Vec<&str> = printed.lines().collect();
                let wanted: Vec<&str> = shown.iter().map(String::as_str).collect();
                if run.code != *code || !matching::lines(&wanted, &printed) {
                    let printed = printed.join("\n");
                    return Err(format!(
                        "line {line}: {command}\nended with {} instead of {code} and printed\n{printed}\ninstead of\n{}",
                        run.code,
                        wanted.join("\n")
                    )
                    .into());
                }
            }
        }
    }
    Ok(())
}
