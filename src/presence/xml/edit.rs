//! Changes to a document that others write too: what is not changed stays byte for byte.

use std::ops::Range;

use super::Element;

/// Changes to one document, each of an element that none of the others takes away.
#[derive(Debug)]
pub struct Edits<'t> {
    text: &'t str,
    changes: Vec<(Range<usize>, String)>,
}

impl<'t> Edits<'t> {
    /// Begins with the text of a document as [`decode`](super::decode) returns it; the elements are those of its tree.
    pub fn new(text: &'t str) -> Self {
        Self { text, changes: Vec::new() }
    }

    /// Returns the prefix of an element with its colon, as written; empty for none.
    pub fn prefix(&self, element: Element<'_>) -> &'t str {
        let name = self.name(element);
        name.find(':').map_or("", |colon| &name[..=colon])
    }

    /// Takes an element away, with its line if nothing else stands there.
    pub fn remove(&mut self, element: Element<'_>) {
        let span = element.span();
        let before = self.text[..span.start].trim_end_matches([' ', '\t']);
        let start = match before.strip_suffix('\n') {
            Some(line) => line.strip_suffix('\r').unwrap_or(line).len(),
            None => span.start,
        };
        self.changes.push((start..span.end, String::new()));
    }

    /// Gives an element this content, which is escaped already, in place of what it has.
    pub fn set_content(&mut self, element: Element<'_>, content: &str) {
        let name = self.name(element);
        match self.inside(element) {
            Ok(end) => {
                // The first `>` outside quotes ends the start tag.
                let mut quote = None;
                let open = self.text[element.span()].char_indices().find(|(_, c)| match (quote, c) {
                    (Some(mark), c) => {
                        if mark == *c {
                            quote = None;
                        }
                        false
                    }
                    (None, '"' | '\'') => {
                        quote = Some(*c);
                        false
                    }
                    (None, c) => *c == '>',
                });
                let start = open.map_or(end, |(at, _)| element.at() + at + 1);
                self.changes.push((start..end, content.to_owned()));
            }
            Err(slash) => self.changes.push((slash..element.span().end, format!(">{content}</{name}>"))),
        }
    }

    /// Puts an element, written out, in the place of one.
    pub fn replace(&mut self, element: Element<'_>, piece: &str) {
        let piece = self.indented(element.at(), piece);
        self.changes.push((element.span(), piece));
    }

    /// Puts elements, written out, in front of one.
    pub fn put_before(&mut self, element: Element<'_>, piece: &str) {
        let line = self.indent(element.at()).map_or_else(String::new, |indent| format!("\n{indent}"));
        let piece = self.indented(element.at(), piece);
        self.changes.push((element.at()..element.at(), format!("{piece}{line}")));
    }

    /// Puts an element, written out, in front of all others in one.
    pub fn put_first(&mut self, element: Element<'_>, piece: &str) {
        match element.children().next() {
            Some(first) => self.put_before(first, piece),
            None => self.put_last(element, &[piece]),
        }
    }

    /// Puts elements, written out, behind all others in one; once for each element.
    pub fn put_last(&mut self, element: Element<'_>, pieces: &[impl AsRef<str>]) {
        if pieces.is_empty() {
            return;
        }
        let name = self.name(element);
        let (end, close) = match self.inside(element) {
            Ok(end) => (end, None),
            Err(slash) => (slash, Some(format!("</{name}>"))),
        };
        let place = if close.is_some() { element.at() } else { end };
        let Some(indent) = self.indent(place) else {
            let all: String = pieces.iter().map(AsRef::as_ref).collect();
            let (range, open) = if close.is_some() { (end..element.span().end, ">") } else { (end..end, "") };
            return self.changes.push((range, format!("{open}{all}{}", close.unwrap_or_default())));
        };
        let mut all = String::new();
        for line in pieces.iter().flat_map(|piece| piece.as_ref().lines()) {
            for part in ["\n", indent, "  ", line] {
                all.push_str(part);
            }
        }
        if let Some(close) = close {
            self.changes.push((end..element.span().end, format!(">{all}\n{indent}{close}")));
        } else {
            let line = self.text[..end].trim_end_matches([' ', '\t']);
            let line = line.strip_suffix('\n').map_or(line, |line| line.strip_suffix('\r').unwrap_or(line));
            self.changes.push((line.len()..line.len(), all));
        }
    }

    /// Returns the document as it is then, in UTF-8; it says so where it says anything.
    pub fn apply(mut self) -> String {
        // What is put before an element comes before what that is replaced by.
        self.changes.sort_by_key(|(range, _)| (range.start, range.end));
        let mut out = String::with_capacity(self.text.len() + 256);
        let mut rest = 0;
        if let Some(end) = self.text.strip_prefix("<?xml ").and_then(|_| self.text.find("?>")) {
            let declared = self.text[..end].to_ascii_lowercase();
            if declared.contains("encoding") && !declared.contains("utf-8") {
                out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"");
                rest = end;
            }
        }
        for (range, with) in &self.changes {
            out.push_str(self.text.get(rest..range.start).unwrap_or_default());
            out.push_str(with);
            rest = rest.max(range.end);
        }
        out.push_str(&self.text[rest..]);
        out
    }

    /// Returns a text whose further lines begin where an element at this place does.
    fn indented(&self, at: usize, piece: &str) -> String {
        match self.indent(at) {
            Some(indent) => piece.replace('\n', &format!("\n{indent}")),
            None => piece.to_owned(),
        }
    }

    fn name(&self, element: Element<'_>) -> &'t str {
        let tag = &self.text[element.at() + 1..];
        &tag[..tag.find(|c: char| c.is_whitespace() || matches!(c, '/' | '>')).unwrap_or(tag.len())]
    }

    /// Returns where the content of an element ends; or where the `/>` begins of one that has no content.
    fn inside(&self, element: Element<'_>) -> Result<usize, usize> {
        let tag = &self.text[element.span()];
        match tag.strip_suffix("/>") {
            // A tag that ends an element has no slash there.
            Some(tag) => Err(element.at() + tag.len()),
            None => Ok(element.at() + tag.rfind("</").unwrap_or(tag.len())),
        }
    }

    /// Returns the blanks before a place, if nothing else stands before it in its line.
    fn indent(&self, at: usize) -> Option<&'t str> {
        let line = &self.text[..at];
        let line = &line[line.rfind('\n')? + 1..];
        line.chars().all(|c| c == ' ' || c == '\t').then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Tree, *};

    fn edited(text: &str, change: impl FnOnce(Element<'_>, &mut Edits<'_>)) -> String {
        let tree = Tree::parse(text.as_bytes(), None).unwrap();
        let mut edits = Edits::new(text);
        change(tree.root(), &mut edits);
        let after = edits.apply();
        Tree::parse(after.as_bytes(), None).unwrap();
        after
    }

    const TALL: &str = "<a>\r\n  <!-- x -->\r\n  <p:b c='>'>t</p:b>\r\n  <d/>\r\n</a>\r\n";

    #[test]
    fn what_goes_takes_its_line_along_and_nothing_else() {
        let after = edited(TALL, |a, edits| edits.remove(a.children().next().unwrap()));
        assert_eq!(after, TALL.replace("\r\n  <p:b c='>'>t</p:b>", ""));
        let after = edited("<a> <b/> <c/></a>", |a, edits| edits.remove(a.children().next().unwrap()));
        assert_eq!(after, "<a>  <c/></a>");
    }

    #[test]
    fn what_comes_stands_as_the_others_do() {
        let after = edited(TALL, |a, edits| {
            edits.put_last(a, &["<e>\n  <f/>\n</e>", "<g/>"]);
            edits.remove(a.children().nth(1).unwrap());
            edits.put_first(a, "<h/>");
        });
        assert_eq!(
            after,
            "<a>\r\n  <!-- x -->\r\n  <h/>\n  <p:b c='>'>t</p:b>\n  <e>\n    <f/>\n  </e>\n  <g/>\r\n</a>\r\n"
        );
        for (text, expected) in [
            ("<a/>", "<a><b/></a>"),
            ("<a></a>", "<a><b/></a>"),
            ("<a x='/>'><c/></a>", "<a x='/>'><c/><b/></a>"),
            ("<?xml version='1.0'?>\n<p:a />", "<?xml version='1.0'?>\n<p:a >\n  <b/>\n</p:a>"),
            (
                "<?xml version='1.0' encoding='latin1'?>\n<a/>",
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a>\n  <b/>\n</a>",
            ),
        ] {
            assert_eq!(edited(text, |a, edits| edits.put_last(a, &["<b/>"])), expected);
        }
    }

    #[test]
    fn what_stands_in_the_place_of_one_comes_behind_what_is_put_before_it() {
        let after = edited("<a>\n  <b/>\n</a>", |a, edits| {
            let b = a.children().next().unwrap();
            edits.replace(b, "<c>\n</c>");
            edits.put_before(b, "<d>\n</d>");
        });
        assert_eq!(after, "<a>\n  <d>\n  </d>\n  <c>\n  </c>\n</a>");
    }

    #[test]
    fn content_is_put_between_the_tags() {
        let change = |a: Element<'_>, edits: &mut Edits<'_>| {
            for child in a.children() {
                assert_eq!(edits.prefix(child), if child.name() == "d" { "" } else { "p:" });
                edits.set_content(child, "&lt;");
            }
        };
        let expected = TALL.replace(">t<", ">&lt;<").replace("<d/>", "<d>&lt;</d>");
        assert_eq!(edited(&TALL.replace("<a>", "<a xmlns:p='p'>"), change), expected.replace("<a>", "<a xmlns:p='p'>"));
    }
}
