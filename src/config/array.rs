//! Lists of texts in a TOML file, edited without losing a comment or the way they are laid out.

use toml_edit::{Array, Value};

/// Adds an element at the end, laid out as its neighbours are.
pub(super) fn push(array: &mut Array, who: &str) {
    let mut element = Value::from(who);
    let trailing = array.trailing().as_str().unwrap_or_default().to_owned();
    let last = array.len().checked_sub(1).and_then(|last| array.get_mut(last));
    let (prefix, suffix) = last.as_ref().map_or_else(Default::default, |last| gaps(last));
    let is_tall = prefix.contains('\n') || suffix.contains('\n') || trailing.contains('\n');
    if is_tall {
        // A comment behind the last element stands before the bracket; now it stands before the new one.
        let indent = prefix.rsplit_once('\n').map_or("  ", |(_, indent)| indent);
        let between = format!("{suffix}{trailing}");
        let end = between.rsplit_once('\n').map_or("", |(_, end)| end);
        element.decor_mut().set_prefix(format!("{}\n{indent}", between.trim_end()));
        array.set_trailing(format!("\n{end}"));
        array.set_trailing_comma(true);
        if let Some(last) = array.len().checked_sub(1).and_then(|last| array.get_mut(last)) {
            last.decor_mut().set_suffix("");
        }
    } else if let Some(last) = last {
        element.decor_mut().set_prefix(" ");
        element.decor_mut().set_suffix(suffix);
        last.decor_mut().set_suffix("");
    }
    array.push_formatted(element);
}

/// Takes an element away; a comment around it stays and goes to what follows.
pub(super) fn remove(array: &mut Array, index: usize) {
    let (prefix, suffix) = gaps(&array.remove(index));
    let gone = format!("{prefix}{suffix}");
    let is_last = index == array.len();
    if let Some(next) = array.get_mut(index) {
        let merged = merge(&gone, &gaps(next).0, index == 0);
        next.decor_mut().set_prefix(merged);
    } else if is_last && gone.contains('#') {
        let merged = merge(&gone, array.trailing().as_str().unwrap_or_default(), false);
        array.set_trailing(merged);
    }
}

/// Joins the blanks and comments before an element that is gone with those before the next.
fn merge(gone: &str, next: &str, is_first: bool) -> String {
    if !gone.contains('#') {
        // In `[a, b]` only the first element stands without a blank.
        return if is_first && !next.contains('\n') { gone.to_owned() } else { next.to_owned() };
    }
    let head = gone.trim_end_matches([' ', '\t']);
    let tail = next.trim_start_matches([' ', '\t']);
    match tail.strip_prefix('\n') {
        Some(tail) => format!("{head}{tail}"),
        None => format!("{gone}{tail}"),
    }
}

/// Returns the blanks and comments before and behind an element.
fn gaps(value: &Value) -> (String, String) {
    let text =
        |raw: Option<&toml_edit::RawString>| raw.and_then(toml_edit::RawString::as_str).unwrap_or_default().to_owned();
    (text(value.decor().prefix()), text(value.decor().suffix()))
}
