//! Checks a document that we wrote against `tests/schemas/order.txt`: what a validating parser would check of it.

use std::collections::{BTreeMap, BTreeSet};

use sippresence::presence::{
    info::Priority,
    status::Activity,
    xml::{Element, Ns, Tree, is_ncname},
};

/// Panics with everything that is wrong.
#[track_caller]
pub(crate) fn check(body: &[u8]) {
    let problems = problems(body);
    assert!(problems.is_empty(), "{problems:#?}\n{}", String::from_utf8_lossy(body));
}

/// Returns everything that is wrong.
pub(crate) fn problems(body: &[u8]) -> Vec<String> {
    let tree = match Tree::parse(body, None) {
        Ok(tree) => tree,
        Err(error) => return vec![error.to_string()],
    };
    let mut check = Check { rules: rules(), ids: BTreeSet::new(), problems: Vec::new() };
    if qualified(tree.root()) != "pidf:presence" {
        check.problems.push("the root is no presence".into());
    }
    check.element(tree.root());
    check.problems
}

struct Rule {
    attributes: Vec<(String, bool)>,
    children: Vec<String>,
}

struct Check {
    rules: BTreeMap<String, Rule>,
    ids: BTreeSet<String>,
    problems: Vec<String>,
}

impl Check {
    fn element(&mut self, element: Element<'_>) {
        let name = qualified(element);
        self.values(element, &name);
        for child in element.children() {
            self.element(child);
        }
        let Some(rule) = self.rules.get(&name) else { return };
        let mut problems = Vec::new();
        for (attribute, required) in &rule.attributes {
            if *required && element.attribute(attribute).is_none() {
                problems.push(format!("{name} has no {attribute}"));
            }
        }
        for (attribute, _) in element.attributes() {
            if !rule.attributes.iter().any(|(known, _)| known == attribute) {
                problems.push(format!("{name} has a {attribute}"));
            }
        }
        let children: Vec<Element<'_>> = element.children().collect();
        let mut at = 0;
        for token in &rule.children {
            let (wanted, most, least) = match token.as_bytes().last() {
                Some(b'?') => (&token[..token.len() - 1], 1, 0),
                Some(b'*') => (&token[..token.len() - 1], usize::MAX, 0),
                Some(b'+') => (&token[..token.len() - 1], usize::MAX, 1),
                _ => (token.as_str(), 1, usize::from(token != "TEXT")),
            };
            let count = children[at..].iter().take_while(|child| is(**child, wanted, element)).count().min(most);
            if count < least {
                problems.push(format!("{name} lacks {wanted}"));
            }
            at += count;
        }
        if let Some(child) = children.get(at) {
            problems.push(format!("{name} has {} out of order", qualified(*child)));
        }
        self.problems.append(&mut problems);
    }

    fn values(&mut self, element: Element<'_>, name: &str) {
        let text = element.text();
        let mut wrong = |what: &str| self.problems.push(format!("{name}: {what}"));
        if let Some(id) = element.attribute("id").filter(|_| !name.starts_with("other:")) {
            if !is_ncname(id) {
                wrong("id is no NCName");
            }
            if !self.ids.insert(id.to_owned()) {
                wrong("id is there twice");
            }
        }
        match name {
            "pidf:basic" if !matches!(&*text, "open" | "closed") => wrong("neither open nor closed"),
            "pidf:timestamp" | "dm:timestamp" if !text.ends_with('Z') || text.parse::<jiff::Timestamp>().is_err() => {
                wrong("no RFC 3339 time in UTC");
            }
            "pidf:contact" if element.attribute("priority").is_some_and(|text| text.parse::<Priority>().is_err()) => {
                wrong("no priority");
            }
            "rpid:activities" => {
                let unknown = element.children().any(|child| child.is(Ns::RPID, "unknown"));
                let others = element.children().filter(|child| child.name() != "note").count();
                if unknown && others > 1 {
                    wrong("unknown is not alone");
                }
            }
            _ => {}
        }
    }
}

fn is(child: Element<'_>, wanted: &str, parent: Element<'_>) -> bool {
    match wanted {
        "##" => child.ns() != parent.ns() && child.ns() != Ns::NONE && child.ns() != Ns::UNDECLARED,
        "ACTIVITY" if child.ns() == Ns::RPID => Activity::from_name(child.name()).is_some(),
        "ACTIVITY" => is(child, "##", parent),
        "TEXT" => false,
        name => qualified(child) == name,
    }
}

fn qualified(element: Element<'_>) -> String {
    let prefix = match element.ns() {
        Ns::PIDF => "pidf",
        Ns::DATA_MODEL => "dm",
        Ns::RPID => "rpid",
        Ns::STATE => "sp",
        Ns::JABBER => "jabber",
        _ => "other",
    };
    format!("{prefix}:{}", element.name())
}

fn rules() -> BTreeMap<String, Rule> {
    let text = include_str!("order.txt");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (head, children) = line.split_once(" : ").expect("an element and its children");
            let mut head = head.split_whitespace();
            let name = head.next().expect("a name").to_owned();
            let attributes = head
                .map(|attribute| {
                    let attribute = attribute.trim_start_matches('@');
                    let required = !attribute.ends_with('?');
                    (attribute.trim_end_matches('?').to_owned(), required)
                })
                .collect();
            (name, Rule { attributes, children: children.split_whitespace().map(str::to_owned).collect() })
        })
        .collect()
}
