//! Whether what was printed is what a transcript shows.

/// `...` stands for any lines, `[..]` for anything in one.
pub(crate) fn lines(wanted: &[&str], printed: &[&str]) -> bool {
    match (wanted, printed) {
        ([], []) => true,
        (["...", wanted @ ..], _) => (0..=printed.len()).any(|skip| lines(wanted, &printed[skip..])),
        ([first, wanted @ ..], [line, printed @ ..]) => in_line(first, line) && lines(wanted, printed),
        _ => false,
    }
}

fn in_line(wanted: &str, line: &str) -> bool {
    let mut parts = wanted.split("[..]");
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}
