//! MetaBase.xml: the keys of the SMTP service with their properties.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::line_numbers::LineNumbers;
use crate::report::Origin;

/// A property as it is written.
#[derive(Debug, Clone)]
pub(crate) struct Property {
    pub value: String,
    pub origin: Origin,
}

/// A key: what it is, where it lies, what is written at it.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub kind: String,
    /// The parts of its location behind `/LM/SmtpSvc`, in lower case: `1`, `domain`, `example.com`.
    pub path: Vec<String>,
    pub origin: Origin,
    pub properties: BTreeMap<String, Property>,
}

/// So many keys are read.
const KEYS_MAX: usize = 50_000;
/// A value of more octets is none.
const VALUE_BYTES_MAX: usize = 1 << 20;

pub(crate) fn keys(file: &str, text: &str) -> Result<Vec<Key>, String> {
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let lines = LineNumbers::of(text);
    let mut keys: Vec<Key> = Vec::new();
    let mut inside = false;
    loop {
        let before = reader.buffer_position() as usize;
        let event = reader.read_event();
        let wrong = |why| format!("{file}:{}: {why}", lines.at(before));
        // What the reader says of it may hold any part of the file.
        match event.map_err(|_| wrong("it is no XML that can be read".to_owned()))? {
            Event::Start(start) => {
                // The tag begins behind what stood before it.
                let at = text
                    .get(before..)
                    .and_then(|rest| rest.find('<'))
                    .map_or(before, |n| before + n);
                let name = start.name().local_name().into_inner().to_owned();
                if name == "Custom" && inside {
                    if let Some(key) = keys.last_mut() {
                        custom(key, file, lines.at(at), &start);
                    }
                } else if let Some(key) = key(file, &lines, at, &name, &start) {
                    inside = true;
                    if keys.len() == KEYS_MAX {
                        return Err(wrong(format!("more than {KEYS_MAX} keys")));
                    }
                    keys.push(key);
                } else {
                    inside = false;
                }
            }
            Event::Eof => return Ok(keys),
            _ => {}
        }
    }
}

fn key(
    file: &str,
    lines: &LineNumbers,
    at: usize,
    name: &str,
    start: &BytesStart<'_>,
) -> Option<Key> {
    if !name.to_ascii_lowercase().starts_with("iissmtp") {
        return None;
    }
    let mut properties = BTreeMap::new();
    let raw = start.attributes_raw();
    // Behind `<` and the name; each attribute stands behind the one before.
    let begin = at + 1 + start.name().into_inner().len();
    let mut searched = 0;
    for attribute in start.attributes().with_checks(false).flatten() {
        let name = attribute.key.into_inner().to_owned();
        let found = raw
            .get(searched..)
            .and_then(|rest| rest.find(&name))
            .unwrap_or(0);
        searched = (searched + found + name.len()).min(raw.len());
        let origin = Origin::new(file, lines.at(begin + searched), &name);
        let value = unescaped(&attribute.value)?;
        properties.insert(name, Property { value, origin });
    }
    let location = properties.remove("Location")?;
    let parts = location.value.to_ascii_lowercase();
    let mut parts = parts
        .split('/')
        .filter(|part| !part.is_empty())
        .map(str::to_owned);
    if parts.next()? != "lm" || parts.next()? != "smtpsvc" {
        return None;
    }
    Some(Key {
        kind: name.to_ascii_lowercase(),
        path: parts.collect(),
        origin: Origin::new(file, lines.at(at), &location.value),
        properties,
    })
}

/// `<Custom Name="..." Value="..." .../>` within a key.
fn custom(key: &mut Key, file: &str, line: usize, start: &BytesStart<'_>) {
    let get = |wanted: &str| {
        let mut attributes = start.attributes();
        let mut attributes = attributes.with_checks(false).flatten();
        let found = attributes.find(|attribute| attribute.key.into_inner() == wanted)?;
        unescaped(&found.value)
    };
    if let (Some(name), Some(value)) = (get("Name"), get("Value")) {
        let origin = Origin::new(file, line, &name);
        key.properties
            .entry(name)
            .or_insert(Property { value, origin });
    }
}

/// References to the five letters of XML and to numbers are resolved; no other entity is.
fn unescaped(raw: &str) -> Option<String> {
    if raw.len() > VALUE_BYTES_MAX {
        return None;
    }
    Some(quick_xml::escape::unescape(raw).map_or_else(|_| raw.to_owned(), |text| text.into_owned()))
}

impl Key {
    /// Whether it is a virtual server.
    pub fn is_server(&self) -> bool {
        matches!(&*self.kind, "iissmtpserver" | "iissmtpvirtualserver")
    }

    /// A property, also where its name is written in other letters.
    pub fn get(&self, name: &str) -> Option<&Property> {
        let exact = self.properties.get(name);
        exact.or_else(|| {
            let mut all = self.properties.iter();
            all.find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, property)| property)
        })
    }
}

impl Property {
    /// A whole number, decimal or with `0x`.
    pub fn number(&self) -> Option<i64> {
        let text = self.value.trim();
        match text.strip_prefix("0x") {
            Some(hex) => i64::from_str_radix(hex, 16).ok(),
            None => text.parse().ok(),
        }
    }

    /// The strings of a list: one a line.
    pub fn strings(&self) -> impl Iterator<Item = &str> {
        let lines = self.value.split(['\n', '\r']);
        lines.map(str::trim).filter(|line| !line.is_empty())
    }

    /// `TRUE`, `1` and `-1`.
    pub fn is_true(&self) -> bool {
        self.value.trim().eq_ignore_ascii_case("true")
            || self.number().is_some_and(|number| number != 0)
    }
}
