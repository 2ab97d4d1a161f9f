//! The pictures in `docs/pictures`: the real program's demonstration in a pseudo-terminal, drawn as SVG. It waits until
//! the peers show what a picture is of, which takes three quarters of one minute.
//!
//!     cargo run --example pictures [FOLDER]

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a tool of this repository speaks, and fails by panicking"
)]

#[path = "../../tests/tui/screen.rs"]
#[allow(dead_code, reason = "each target uses its part")]
mod screen;
mod svg;

use std::{
    env, fs, mem,
    path::{Path, PathBuf},
    process::Command,
};

use screen::Screen;

/// What the peers of the demonstration show three quarters of a minute after its start: nearly all that somebody can be.
const LIST: &[&str] = &[
    "busy: meeting",
    "? help",
    "1 waits for your approval",
    "● alice              available  back again ☕",
    "◐ bob                busy       writing the report",
    "◔ carol              away       lunch",
    "☎ dave               in-call    with a customer",
    "⊘ erin               dnd        giving a talk",
    "~ frank              stale      was offline",
];

fn main() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = env::args_os().nth(1).map_or_else(|| home.join("docs/pictures"), PathBuf::from);
    let write = |name: &str, shown: &vt100::Screen, title: &str| {
        let file = folder.join(name);
        fs::write(&file, svg::picture(shown, title)).unwrap();
        println!("{}", file.display());
    };
    let mut demo = Command::new(built(home));
    demo.arg("demo").env("COLORTERM", "truecolor").env("TZ", "UTC");
    let mut screen = Screen::start(&demo, 100, 26);
    screen.shows("● alice");
    screen.types(":set busy --note meeting --for 45m\r");
    write("list.svg", &taken(&screen, LIST), "the buddy list, with everything about alice to its right");
    screen.types("w");
    let words = ["back again ☕", "writing the report", "lunch", "with a customer", "giving a talk", "wall:"];
    write("wall.svg", &taken(&screen, &words), "the wallboard: a tile for each buddy");
    screen.types("\x1b");
    screen.shows("by group");
    screen.resize(40, 16);
    // What is shown of the old size has no last line.
    write("narrow.svg", &taken(&screen, &["● alice", "? help"]), "the buddy list in forty columns");
    screen.resize(80, 24);
    screen.shows("enter detail");
    screen.types("s");
    write("status.svg", &taken(&screen, &["my status"]), "my status: what others see of me, a note, and for how long");
    screen.types("\x1b");
    screen.until("the window is closed", |text| !text.contains("my status"));
    screen.types("q");
    screen.ends(0);
}

/// Waits until the screen shows all of the words, and has been drawn to its end.
fn taken(screen: &Screen, words: &[&str]) -> vt100::Screen {
    let mut last = screen.now();
    screen.until(&words.join(", "), |_| {
        let before = mem::replace(&mut last, screen.now());
        let text = last.contents();
        words.iter().all(|word| text.contains(word)) && before.contents() == text
    });
    last
}

/// Has the program built as this one was, and returns where it lies.
fn built(home: &Path) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    // What cargo tells us of this package would have others of the packages built anew.
    for (name, _) in env::vars_os() {
        if ["CARGO_MANIFEST", "CARGO_PKG"].iter().any(|own| name.to_string_lossy().starts_with(own)) {
            cargo.env_remove(name);
        }
    }
    cargo.args(["build", "--locked", "--bin", "sippresence"]).current_dir(home);
    let own = env::current_exe().unwrap();
    let target = own.parent().and_then(Path::parent).unwrap();
    if target.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().unwrap().success());
    target.join("sippresence")
}
