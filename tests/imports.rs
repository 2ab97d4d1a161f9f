//! The architecture is in the folders: who may import whom, and what the pure layers may not touch.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Each layer with those that it may import; `cli` and `main` may import everything.
const ALLOWED: &[(&str, &[&str])] = &[
    ("sip", &[]),
    ("presence", &["sip"]),
    ("config", &["presence"]),
    ("net", &["sip"]),
    ("client", &["net", "presence", "sip", "config"]),
    ("control", &["client"]),
    ("agent", &["control", "client", "config"]),
    ("tui", &["client", "control", "config"]),
    ("server", &["control", "client", "config", "net", "presence", "sip"]),
];

/// What the layers without input and output never name.
const IMPURE: &[&str] = &[
    "tokio",
    "std::fs",
    "std::process",
    "std::thread",
    "std::env",
    "std::io::std",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "Instant::now",
    "SystemTime",
    "Timestamp::now",
    "Zoned::now",
    "rand::rng()",
    "make_rng",
    "nix::",
];

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Returns every source file with its layer and its code: comments and unit tests left out.
fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    files.sort();
    files
        .into_iter()
        .filter(|path| !path.ends_with("tests.rs") && !path.components().any(|part| part.as_os_str() == "tests"))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let code: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            let layer = path.strip_prefix(&root).unwrap().components().next().unwrap().as_os_str().to_string_lossy();
            (layer.trim_end_matches(".rs").to_owned(), path, code.join("\n"))
        })
        .collect()
}

/// Finds `crate::layer` and `crate::{layer, …}` in code.
fn imported<'a>(code: &'a str, layers: &'a [&str]) -> Vec<&'a str> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 1;
            let mut word = String::new();
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ if depth == 1 && (c.is_alphanumeric() || c == '_') => word.push(c),
                    _ => {
                        found.extend(layers.iter().filter(|layer| **layer == word));
                        word.clear();
                        // The rest of this path is inside the layer already.
                        if c == ':' {
                            word.push(':');
                        }
                    }
                }
                if c == ',' && depth == 1 {
                    word.clear();
                }
                if depth == 0 {
                    break;
                }
            }
        } else {
            let word: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.extend(layers.iter().filter(|layer| **layer == word));
        }
    }
    found
}

#[test]
fn each_layer_imports_only_what_it_may() {
    let layers: Vec<&str> = ALLOWED.iter().map(|(layer, _)| *layer).chain(["cli"]).collect();
    let mut faults = Vec::new();
    for (layer, path, code) in sources() {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == layer) else { continue };
        for import in imported(&code, &layers) {
            if import != layer && !allowed.contains(&import) {
                faults.push(format!("{} imports {import}", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn every_folder_is_a_layer_of_the_table() {
    for (layer, path, _) in sources() {
        let known = ALLOWED.iter().any(|(name, _)| *name == layer) || ["cli", "main", "lib"].contains(&layer.as_str());
        assert!(known, "{} belongs to no layer", path.display());
    }
}

#[test]
fn the_pure_layers_know_no_clock_socket_file_or_task() {
    let mut faults = Vec::new();
    for (layer, path, code) in sources() {
        if layer == "sip" || layer == "presence" {
            faults.extend(
                IMPURE
                    .iter()
                    .filter(|word| code.contains(**word))
                    .map(|word| format!("{} names {word}", path.display())),
            );
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn only_one_file_prints() {
    for (_, path, code) in sources() {
        let prints = ["println!", "eprintln!", "print!(", "dbg!"].iter().any(|word| code.contains(word));
        assert!(!prints || path.ends_with("cli/output.rs"), "{} prints", path.display());
    }
}

#[test]
fn an_import_that_is_not_allowed_would_be_found() {
    let layers = ["sip", "presence", "net", "client"];
    assert_eq!(imported("use crate::net::udp;", &layers), ["net"]);
    let nested = "use crate::{\n    presence::{core::Core, sip_like},\n    net::{clock},\n};";
    assert_eq!(imported(nested, &layers), ["presence", "net"]);
    assert_eq!(imported("let x = crate::client::parse();", &layers), ["client"]);
}

#[test]
fn sec_18_nothing_is_handed_to_a_shell() {
    for (_, path, code) in sources() {
        for word in ["\"sh\"", "\"bash\"", "\"-c\"", "/bin/sh"] {
            assert!(!code.contains(word), "{} names {word}", path.display());
        }
    }
}
