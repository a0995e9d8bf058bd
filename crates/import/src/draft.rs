//! The configuration while it is put together: sections, options, lists, each with where it came from.

use std::collections::{BTreeSet, HashMap};

use crate::report::Origin;

/// One element of a list.
#[derive(Debug, Clone)]
struct Item {
    value: String,
    origin: Origin,
}

#[derive(Debug, Clone)]
enum Value {
    One(Item),
    Many(Vec<Item>),
}

#[derive(Debug, Clone)]
struct Entry {
    key: String,
    value: Value,
}

#[derive(Debug, Clone)]
struct Section {
    head: String,
    origin: Origin,
    notes: Vec<String>,
    entries: Vec<Entry>,
}

/// What stands on a line of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Head(usize),
    Entry(usize, usize),
    Item(usize, usize, usize),
    Nothing,
}

/// A configuration in the making. Heads are as TOML has them, `[relay]`; the first section, without a head,
/// is the top of the file.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    title: Vec<String>,
    sections: Vec<Section>,
    /// The last section of each head.
    by_head: HashMap<String, usize>,
}

/// A text value as TOML writes it.
pub(crate) fn quoted(text: &str) -> String {
    // A control character would make it a text of several lines.
    config::text_value(&mail::escaped(text).to_string())
}

/// The head of a section with a name: `[domain."example.com"]`.
pub(crate) fn named(section: &str, name: &str) -> String {
    format!("[{section}.{}]", quoted(name))
}

/// A list of texts as TOML writes it.
pub(crate) fn list<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let texts: Vec<String> = texts.into_iter().map(quoted).collect();
    format!("[{}]", texts.join(", "))
}

impl Draft {
    pub fn new(title: &[&str]) -> Self {
        let top = Section {
            head: String::new(),
            origin: Origin::unwritten(""),
            notes: Vec::new(),
            entries: Vec::new(),
        };
        Self {
            title: title.iter().map(|&line| line.to_owned()).collect(),
            sections: vec![top],
            by_head: HashMap::from([(String::new(), 0)]),
        }
    }

    fn section_mut(&mut self, head: &str, origin: &Origin) -> &mut Section {
        let at = match self.by_head.get(head) {
            Some(&at) => at,
            None => self.open(head, origin),
        };
        &mut self.sections[at]
    }

    /// Begins a section anew, also where there is one of that name, as `[[screen]]` may be.
    pub fn open(&mut self, head: &str, origin: &Origin) -> usize {
        let at = self.sections.len();
        self.by_head.insert(head.to_owned(), at);
        self.sections.push(Section {
            head: head.to_owned(),
            origin: origin.clone(),
            notes: Vec::new(),
            entries: Vec::new(),
        });
        at
    }

    pub fn has(&self, head: &str) -> bool {
        self.by_head.contains_key(head)
    }

    pub fn has_key(&self, head: &str, key: &str) -> bool {
        let at = self.by_head.get(head);
        let section = at.and_then(|&at| self.sections.get(at));
        section.is_some_and(|section| section.entries.iter().any(|entry| entry.key == key))
    }

    /// Makes sure that there is such a section.
    pub fn section(&mut self, head: &str, origin: &Origin) {
        self.section_mut(head, origin);
    }

    /// A comment at the head of a section.
    pub fn note(&mut self, head: &str, origin: &Origin, note: &str) {
        let section = self.section_mut(head, origin);
        section.notes.push(note.to_owned());
    }

    /// Sets an option to a value as TOML writes it, in place of one that it had.
    pub fn set(&mut self, head: &str, key: &str, value: impl Into<String>, origin: &Origin) {
        let item = Item {
            value: value.into(),
            origin: origin.clone(),
        };
        let section = self.section_mut(head, origin);
        section.entries.retain(|entry| entry.key != key);
        section.entries.push(Entry {
            key: key.to_owned(),
            value: Value::One(item),
        });
    }

    /// Sets an option, and takes out all others of its section.
    pub fn only(&mut self, head: &str, key: &str, value: impl Into<String>, origin: &Origin) {
        self.section_mut(head, origin).entries.clear();
        self.set(head, key, value, origin);
    }

    /// Adds an element, as TOML writes it, to a list.
    pub fn add(&mut self, head: &str, key: &str, value: impl Into<String>, origin: &Origin) {
        let item = Item {
            value: value.into(),
            origin: origin.clone(),
        };
        let section = self.section_mut(head, origin);
        let found = section.entries.iter_mut().find(|entry| entry.key == key);
        match found.map(|entry| &mut entry.value) {
            Some(Value::Many(items)) => items.push(item),
            Some(one @ Value::One(_)) => *one = Value::Many(vec![item]),
            None => section.entries.push(Entry {
                key: key.to_owned(),
                value: Value::Many(vec![item]),
            }),
        }
    }

    /// Adds an element to a list that does not have it yet.
    pub fn add_once(&mut self, head: &str, key: &str, value: String, origin: &Origin) {
        let at = self.by_head.get(head);
        let section = at.and_then(|&at| self.sections.get(at));
        let mut entries = section.into_iter().flat_map(|section| &section.entries);
        let there = entries.any(|entry| match &entry.value {
            Value::Many(items) if entry.key == key => items.iter().any(|item| item.value == value),
            _ => false,
        });
        if !there {
            self.add(head, key, value, origin);
        }
    }

    pub fn text(&self) -> String {
        let lines = self.lines().into_iter().map(|(text, _)| text + "\n");
        lines.collect()
    }

    /// Takes out what stands on these lines of the text, of lists of several lines first the elements; gives
    /// for each its line, where it came from, and what it was. No section can be added any more.
    pub fn without(&mut self, lines: &BTreeSet<usize>) -> Vec<(usize, Origin, String)> {
        let places = self.lines();
        // From the end, so that what stands before keeps its place.
        let found = lines.iter().rev().filter_map(|&line| {
            let (_, what) = places.get(line.checked_sub(1)?)?;
            let (origin, name) = self.take(*what)?;
            Some((line, origin, name))
        });
        found.collect()
    }

    fn take(&mut self, what: Line) -> Option<(Origin, String)> {
        match what {
            Line::Nothing => None,
            Line::Head(section) => {
                let removed = self.sections.remove(section);
                if let Some(name) = removed.head.strip_prefix("[route.") {
                    self.forget_route(name.trim_end_matches(']'));
                }
                Some((removed.origin, removed.head))
            }
            Line::Entry(at, entry) => {
                let section = self.sections.get_mut(at)?;
                let (head, origin) = (&section.head, section.origin.clone());
                let kept = section.entries.get_mut(entry)?;
                let name = format!("{head} {}", kept.key).trim().to_owned();
                // A listener without a list of its own would have that of all others.
                if let Value::Many(items) = &mut kept.value
                    && let Some(first) = std::mem::take(items).into_iter().next()
                {
                    return Some((first.origin, name));
                }
                let origin = match section.entries.remove(entry).value {
                    Value::One(item) => item.origin,
                    Value::Many(_) => origin,
                };
                Some((origin, name))
            }
            Line::Item(at, entry, item) => {
                let section = self.sections.get_mut(at)?;
                let entry = section.entries.get_mut(entry)?;
                let Value::Many(items) = &mut entry.value else {
                    return None;
                };
                let removed = items.remove(item);
                let name = format!("{} {} {}", section.head, entry.key, removed.value);
                Some((removed.origin, name.trim().to_owned()))
            }
        }
    }

    /// A name that no section has any more would be taken for a host's.
    fn forget_route(&mut self, name: &str) {
        let name = quoted(name);
        for section in &mut self.sections {
            section.entries.retain(|entry| match &entry.value {
                Value::One(item) => entry.key != "route" || item.value != name,
                Value::Many(_) => true,
            });
        }
    }

    /// Each line of the text, with what stands on it.
    fn lines(&self) -> Vec<(String, Line)> {
        let mut lines: Vec<(String, Line)> = Vec::new();
        let comment = |text: &str| (format!("# {}", on_one_line(text)), Line::Nothing);
        lines.extend(self.title.iter().map(|line| comment(line)));
        for (number, section) in self.sections.iter().enumerate() {
            lines.push((String::new(), Line::Nothing));
            lines.extend(section.notes.iter().map(|note| comment(note)));
            if !section.head.is_empty() {
                let head = commented(&section.head, &section.origin);
                lines.push((head, Line::Head(number)));
            }
            for (at, entry) in section.entries.iter().enumerate() {
                let key = &entry.key;
                match &entry.value {
                    Value::One(Item { value, origin }) => {
                        let text = commented(&format!("{key} = {value}"), origin);
                        lines.push((text, Line::Entry(number, at)));
                    }
                    Value::Many(items) => {
                        lines.push((format!("{key} = ["), Line::Entry(number, at)));
                        for (item, Item { value, origin }) in items.iter().enumerate() {
                            let text = commented(&format!("  {value},"), origin);
                            lines.push((text, Line::Item(number, at, item)));
                        }
                        lines.push(("]".to_owned(), Line::Nothing));
                    }
                }
            }
        }
        lines
    }
}

/// The column at which comments stand where there is room.
const COMMENT_COLUMN: usize = 50;

fn commented(text: &str, origin: &Origin) -> String {
    if origin.name.is_empty() {
        return text.to_owned();
    }
    let from = format!("{}, {origin}", mail::escaped(&origin.name));
    format!("{text:COMMENT_COLUMN$} # {}", on_one_line(&from))
}

/// What a comment may hold: a line end would end it.
fn on_one_line(text: &str) -> String {
    mail::escaped(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_on_a_line_can_be_taken_out() {
        let from = Origin::new("main.cf", 7, "mynetworks");
        let mut draft = Draft::new(&["made"]);
        draft.set("[relay]", "signed_in", "false", &from);
        draft.add("[relay]", "allow", quoted("10.0.0.1"), &from);
        draft.add("[relay]", "allow", quoted("10.0.0.2"), &from);
        let text = draft.text();
        let line = |what: &str| text.lines().position(|line| line.contains(what)).unwrap() + 1;
        let mut less = draft.clone();
        let taken = less.without(&BTreeSet::from([
            line("10.0.0.1"),
            line("signed_in"),
            1,
            99,
        ]));
        let names: Vec<&str> = taken.iter().map(|(_, _, name)| &**name).collect();
        assert_eq!(names, ["[relay] allow \"10.0.0.1\"", "[relay] signed_in"]);
        assert!(taken.iter().all(|(_, origin, _)| *origin == from));
        assert!(less.text().contains("10.0.0.2") && !less.text().contains("signed_in"));
        let list = BTreeSet::from([line("allow = [")]);
        let mut less = draft.clone();
        less.without(&list);
        assert!(less.text().contains("allow = [\n]\n"), "{}", less.text());
        less.without(&list);
        assert!(!less.text().contains("allow"), "{}", less.text());
        draft.without(&BTreeSet::from([
            line("[relay]"),
            line("allow = ["),
            line("10.0.0.2"),
        ]));
        assert_eq!(draft.text(), "# made\n\n");
    }
}
