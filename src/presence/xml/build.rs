//! From text to a [`Tree`]: well-formedness by the reader, namespaces, entities and limits here.

use std::ops::Range;

use quick_xml::{
    events::{BytesStart, Event, attributes::AttrError},
    reader::Reader,
};

use super::{Attribute, Error, MAX_ATTRIBUTES, MAX_DEPTH, MAX_NAMESPACES, Node, Ns, Tree};

pub(super) struct Builder {
    tree: Tree,
    open: Vec<Open>,
    bindings: Vec<(Range<u32>, Ns)>,
    elements: usize,
    most: usize,
    /// The last node is text of the innermost open element and may go on.
    in_text: bool,
}

struct Open {
    index: u32,
    bindings: usize,
}

impl Builder {
    pub(super) fn new(bytes: usize, most: usize) -> Self {
        let tree = Tree {
            text: String::with_capacity(bytes),
            nodes: Vec::with_capacity(bytes / 24 + 4),
            attributes: Vec::with_capacity(8),
            foreign: Vec::new(),
        };
        Self { tree, open: Vec::with_capacity(8), bindings: Vec::with_capacity(8), elements: 0, most, in_text: false }
    }

    pub(super) fn read(mut self, document: &str, doctype: bool) -> Result<Tree, Error> {
        let mut reader = Reader::from_str(document);
        // Devices write `R&D`; the ampersand then stands for itself.
        reader.config_mut().allow_dangling_amp = true;
        loop {
            let at = reader.buffer_position();
            let malformed = |what: &dyn std::fmt::Display| Error::Malformed { at, what: what.to_string() };
            match reader.read_event().map_err(|error| malformed(&error))? {
                Event::Start(tag) => self.open(&tag, at)?,
                Event::Empty(tag) => {
                    self.open(&tag, at)?;
                    self.close(reader.buffer_position());
                }
                Event::End(_) => self.close(reader.buffer_position()),
                Event::Text(text) => self.text(&text, at)?,
                Event::CData(text) => self.text(&text, at)?,
                Event::GeneralRef(entity) => {
                    let mut buffer = [0; 4];
                    let expanded = if entity.is_char_ref() {
                        // A reference to what XML forbids, such as &#0;, costs its character and not the document.
                        let c = entity.resolve_char_ref().ok().flatten().unwrap_or(char::REPLACEMENT_CHARACTER);
                        &*c.encode_utf8(&mut buffer)
                    } else {
                        predefined(&entity).ok_or_else(|| Error::UnknownEntity(short(&entity)))?
                    };
                    self.text(expanded, at)?;
                }
                Event::DocType(declared) if doctype && !declared.contains('[') => {}
                Event::DocType(_) => return Err(Error::Doctype),
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
                Event::Eof => break,
            }
        }
        if !self.open.is_empty() {
            return Err(Error::Truncated);
        }
        if self.elements == 0 {
            return Err(Error::Empty);
        }
        Ok(self.tree)
    }

    fn open(&mut self, tag: &BytesStart<'_>, at: u64) -> Result<(), Error> {
        if self.open.is_empty() && self.elements > 0 {
            return Err(Error::OutsideRoot { at });
        }
        if self.open.len() == MAX_DEPTH {
            return Err(Error::TooDeep);
        }
        if self.elements == self.most {
            return Err(Error::TooManyElements(self.most));
        }
        self.elements += 1;
        self.in_text = false;
        let bindings = self.bindings.len();
        let first = self.tree.attributes.len() as u32;
        let mut attributes = tag.attributes();
        // Their check for duplicates allocates; ours is below.
        for (count, attribute) in attributes.with_checks(false).enumerate() {
            if count == MAX_ATTRIBUTES {
                return Err(Error::TooManyAttributes);
            }
            let attribute = attribute.map_err(|error: AttrError| Error::Malformed { at, what: error.to_string() })?;
            let value = self.push_value(&attribute.value)?;
            let key = attribute.key.0;
            if key == "xmlns" || key.starts_with("xmlns:") {
                if self.bindings.len() == MAX_NAMESPACES {
                    return Err(Error::TooManyNamespaces);
                }
                let prefix = key.strip_prefix("xmlns:").unwrap_or("");
                if self.bindings[bindings..].iter().any(|(other, _)| self.tree.str(other) == prefix) {
                    return Err(twice(key, at));
                }
                let prefix = self.push(prefix);
                let ns = self.intern(value)?;
                self.bindings.push((prefix, ns));
            } else {
                let tree = &self.tree;
                if tree.attributes[first as usize..].iter().any(|other| tree.str(&other.key) == key) {
                    return Err(twice(key, at));
                }
                let key = self.push(key);
                self.tree.attributes.push(Attribute { ns: Ns::NONE, key, value });
            }
        }
        self.resolve_attributes(first as usize);
        let attributes = first..self.tree.attributes.len() as u32;
        let name = tag.name().0;
        let (prefix, local) = match name.bytes().position(|byte| byte == b':') {
            Some(colon) => (&name[..colon], &name[colon + 1..]),
            None => ("", name),
        };
        let ns = self.resolve(prefix);
        let value = self.push(if ns == Ns::UNDECLARED { name } else { local });
        self.open.push(Open { index: self.tree.nodes.len() as u32, bindings });
        self.tree.nodes.push(Node { ns: Some(ns), value, attributes, end: 0, at: at as u32, until: 0 });
        Ok(())
    }

    /// Attributes with a prefix are rare, and their prefix may be declared after them.
    fn resolve_attributes(&mut self, first: usize) {
        for index in first..self.tree.attributes.len() {
            let key = self.tree.str(&self.tree.attributes[index].key);
            if let Some(colon) = key.bytes().position(|byte| byte == b':') {
                self.tree.attributes[index].ns = self.resolve(&key[..colon]);
            }
        }
    }

    fn close(&mut self, until: u64) {
        // The reader has matched the names already; a lone end tag is its error.
        if let Some(Open { index, bindings }) = self.open.pop() {
            self.bindings.truncate(bindings);
            let end = self.tree.nodes.len() as u32;
            let node = &mut self.tree.nodes[index as usize];
            (node.end, node.until) = (end, until as u32);
        }
        self.in_text = false;
    }

    fn text(&mut self, text: &str, at: u64) -> Result<(), Error> {
        if self.open.is_empty() {
            // Some devices count a final NUL into the body.
            return if text.chars().all(|c| c.is_whitespace() || c == '\0') {
                Ok(())
            } else {
                Err(Error::OutsideRoot { at })
            };
        }
        if !self.in_text && text.bytes().all(|byte| byte.is_ascii_whitespace()) {
            return Ok(());
        }
        let start = self.tree.text.len() as u32;
        push_lines(&mut self.tree.text, text);
        let end = self.tree.text.len() as u32;
        match self.tree.nodes.last_mut() {
            Some(last) if self.in_text => last.value.end = end,
            _ => {
                let next = self.tree.nodes.len() as u32 + 1;
                self.tree.nodes.push(Node {
                    ns: None,
                    value: start..end,
                    attributes: 0..0,
                    end: next,
                    at: at as u32,
                    until: 0,
                });
            }
        }
        self.in_text = true;
        Ok(())
    }

    fn resolve(&self, prefix: &str) -> Ns {
        let bound = self.bindings.iter().rev().find(|(bound, _)| self.tree.str(bound) == prefix);
        match (bound, prefix) {
            (Some((_, ns)), _) => *ns,
            (None, "") => Ns::NONE,
            (None, "xml") => Ns::XML,
            (None, _) => Ns::UNDECLARED,
        }
    }

    fn intern(&mut self, uri: Range<u32>) -> Result<Ns, Error> {
        let tree = &mut self.tree;
        let text = tree.str(&uri);
        let known = Ns::KNOWN.iter().position(|known| *known == text);
        let found = known.or_else(|| {
            tree.foreign.iter().position(|foreign| tree.str(foreign) == text).map(|index| index + Ns::KNOWN.len())
        });
        let number = match found {
            Some(number) => number,
            None if tree.foreign.len() == MAX_NAMESPACES => return Err(Error::TooManyNamespaces),
            None => {
                tree.foreign.push(uri);
                Ns::KNOWN.len() + tree.foreign.len() - 1
            }
        };
        Ok(Ns(number as u16))
    }

    fn push(&mut self, text: &str) -> Range<u32> {
        let start = self.tree.text.len() as u32;
        self.tree.text.push_str(text);
        start..self.tree.text.len() as u32
    }

    /// Appends an attribute's value: entities expanded, line ends and TAB as blanks (XML §3.3.3).
    fn push_value(&mut self, raw: &str) -> Result<Range<u32>, Error> {
        let start = self.tree.text.len() as u32;
        let out = &mut self.tree.text;
        let mut rest = raw;
        while let Some(special) = rest.bytes().position(|byte| matches!(byte, b'&' | b'\t' | b'\r' | b'\n')) {
            out.push_str(&rest[..special]);
            rest = &rest[special..];
            let reference = rest.strip_prefix('&').and_then(|rest| rest.split_once(';'));
            if let Some((name, after)) = reference.filter(|(name, _)| name.len() < 16 && !name.contains(['&', ' '])) {
                match predefined(name) {
                    Some(text) => out.push_str(text),
                    None if name.starts_with('#') => out.push(character(name)),
                    None => return Err(Error::UnknownEntity(short(name))),
                }
                rest = after;
            } else {
                out.push(if rest.starts_with('&') { '&' } else { ' ' });
                let skip = if rest.starts_with("\r\n") { 2 } else { 1 };
                rest = &rest[skip..];
            }
        }
        out.push_str(rest);
        Ok(start..self.tree.text.len() as u32)
    }
}

fn twice(attribute: &str, at: u64) -> Error {
    Error::Malformed { at, what: format!("attribute `{}` is there twice", short(attribute)) }
}

fn predefined(entity: &str) -> Option<&'static str> {
    Some(match entity {
        "amp" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" => "'",
        _ => return None,
    })
}

fn character(reference: &str) -> char {
    let digits = &reference[1..];
    let code = match digits.strip_prefix('x') {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => digits.parse().ok(),
    };
    code.filter(|code| *code != 0).and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Appends text with the line ends of XML §2.11.
fn push_lines(out: &mut String, text: &str) {
    if !text.contains('\r') {
        out.push_str(text);
        return;
    }
    let mut lines = text.split('\r');
    out.push_str(lines.next().unwrap_or_default());
    for line in lines {
        out.push('\n');
        out.push_str(line.strip_prefix('\n').unwrap_or(line));
    }
}

fn short(text: &str) -> String {
    text.chars().take(32).collect()
}
