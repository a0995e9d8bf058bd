//! Lookup tables from their source text.

use std::cell::Cell;
use std::net::IpAddr;

use super::actions::Action;
use super::lines::{logical, unbraced, words};
use crate::addresses::Addresses;
use crate::report::Origin;
use crate::{FILE_BYTES_MAX, Sources};

/// One line of a table.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// In lower case.
    pub key: String,
    pub value: String,
    pub origin: Origin,
}

/// One rule of a table of address blocks.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub clients: Addresses,
    pub value: String,
    pub origin: Origin,
}

#[derive(Debug, Clone)]
pub(super) enum Table {
    /// Whole keys: hash and its like.
    Keys(Vec<Line>),
    /// Address blocks, of which the first counts.
    Blocks(Vec<Rule>),
    /// One value for every key.
    Always(Line),
}

/// The files of the source, read within bounds.
pub(super) struct Files<'a> {
    pub sources: &'a dyn Sources,
    octets_left: Cell<usize>,
}

/// All files together.
const ALL_BYTES_MAX: usize = 4 * FILE_BYTES_MAX;
/// A table of more lines is none that can be imported.
const LINES_MAX: usize = 200_000;

/// Types whose source is a text of keys and values.
const OF_TEXT: [&str; 7] = ["hash", "btree", "lmdb", "cdb", "dbm", "sdbm", "texthash"];

impl<'a> Files<'a> {
    pub fn new(sources: &'a dyn Sources) -> Self {
        Self {
            sources,
            octets_left: Cell::new(ALL_BYTES_MAX),
        }
    }

    /// The text of a file. What is in Postfix's own folder is looked for in the folder that is imported.
    pub fn text(&self, path: &str) -> Result<String, String> {
        let here = own(path);
        let octets = self
            .sources
            .read(here)
            .ok_or_else(|| format!("cannot read {path}"))?;
        if octets.len() > FILE_BYTES_MAX.min(self.octets_left.get()) {
            return Err(format!("{path} is too large"));
        }
        self.octets_left.set(self.octets_left.get() - octets.len());
        Ok(String::from_utf8_lossy(&octets).into_owned())
    }

    /// Whether a table of clients that cannot be read may refuse any of them. One of patterns can be read so far that
    /// its actions are seen.
    pub fn may_refuse(&self, spec: &str) -> bool {
        let spec = spec.strip_prefix("proxy:").unwrap_or(spec);
        match spec.split_once(':') {
            Some(("regexp" | "pcre", name)) => {
                let text = self.text(name);
                text.map_or(true, |text| {
                    logical(&text).iter().any(|(_, line)| pattern_refuses(line))
                })
            }
            _ => true,
        }
    }

    /// A table, or why it cannot be read. `origin` is the setting that names it.
    pub fn table(&self, spec: &str, origin: &Origin) -> Result<Table, String> {
        let spec = spec.strip_prefix("proxy:").unwrap_or(spec);
        let (kind, name) = spec.split_once(':').unwrap_or(("hash", spec));
        match kind {
            "inline" => Ok(Table::Keys(inline(name, origin))),
            "static" => Ok(Table::Always(line("", unbraced(name), origin.clone()))),
            "cidr" if name.trim_start().starts_with('{') => {
                let rules = words(unbraced(name)).into_iter();
                let rules = rules.map(|rule| (origin.clone(), unbraced(&rule).to_owned()));
                blocks(rules.collect())
            }
            "cidr" => {
                let lines = logical(&self.text(name)?).into_iter();
                let at = |number| Origin::new(own(name), number, &origin.name);
                blocks(lines.map(|(number, text)| (at(number), text)).collect())
            }
            kind if OF_TEXT.contains(&kind) => {
                let lines = logical(&self.text(name)?);
                if lines.len() > LINES_MAX {
                    return Err(format!("{name} has more than {LINES_MAX} lines"));
                }
                let read = |(number, text): (usize, String)| {
                    let (key, value) = text.split_once(char::is_whitespace).unwrap_or((&text, ""));
                    line(key, value, Origin::new(own(name), number, &origin.name))
                };
                Ok(Table::Keys(lines.into_iter().map(read).collect()))
            }
            "regexp" | "pcre" => Err(format!("{kind}: tables of patterns have no counterpart")),
            "ldap" => Err(
                "ldap: name the directory as [ldap.NAME], and it in domain.NAME.recipients"
                    .to_owned(),
            ),
            kind => Err(format!("{kind}: tables of this type cannot be read")),
        }
    }
}

/// Whether the value of a line of patterns may refuse somebody. A pattern ends with its delimiter and flags; what stands
/// behind that is the value, so each word is asked that may begin it.
fn pattern_refuses(line: &str) -> bool {
    let line = line.trim_start_matches('!');
    let Some(delimiter) = line.chars().next() else {
        return false;
    };
    if line.eq_ignore_ascii_case("endif")
        || line
            .get(..3)
            .is_some_and(|begin| begin.eq_ignore_ascii_case("if "))
    {
        return false;
    }
    let rest = line.get(delimiter.len_utf8()..).unwrap_or("");
    // Flags, letters alone, stand right behind the delimiter.
    let ends = rest.match_indices(delimiter).filter_map(|(at, _)| {
        let behind = rest.get(at + delimiter.len_utf8()..)?;
        let value = behind.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        value.starts_with(char::is_whitespace).then(|| value.trim())
    });
    let actions: Vec<Action> = ends.map(Action::parse).collect();
    let may = |action: &Action| action.rejects() || action.rejects_foreign();
    actions.is_empty() || actions.iter().any(may)
}

/// A path within Postfix's own folder, relative to it.
fn own(path: &str) -> &str {
    path.strip_prefix("/etc/postfix/").unwrap_or(path)
}

fn line(key: &str, value: &str, origin: Origin) -> Line {
    Line {
        key: key.trim().to_ascii_lowercase(),
        value: value.trim().to_owned(),
        origin,
    }
}

/// `{ {key = value}, {key = value} }` or `{ key=value, key=value }`.
fn inline(text: &str, origin: &Origin) -> Vec<Line> {
    let entries = words(unbraced(text)).into_iter().take(LINES_MAX);
    let read = |entry: String| {
        let entry = unbraced(&entry);
        let (key, value) = entry.split_once('=').unwrap_or((entry, ""));
        line(key, value, origin.clone())
    };
    entries.map(read).collect()
}

/// Rules in their order, `!` and `if` among them.
fn blocks(lines: Vec<(Origin, String)>) -> Result<Table, String> {
    let mut rules = Vec::new();
    // What the conditions around a rule leave.
    let mut within = vec![Addresses::all()];
    for (origin, text) in lines.into_iter().take(LINES_MAX) {
        let (pattern, value) = text.split_once(char::is_whitespace).unwrap_or((&text, ""));
        let around = within.last().cloned().unwrap_or_default();
        let wrong = || format!("{origin}: not an address block: {text}");
        if pattern.eq_ignore_ascii_case("endif") {
            if within.len() > 1 {
                within.pop();
            }
        } else if pattern.eq_ignore_ascii_case("if") {
            within.push(around.intersect(&pattern_of(value).ok_or_else(wrong)?));
        } else {
            rules.push(Rule {
                clients: around.intersect(&pattern_of(pattern).ok_or_else(wrong)?),
                value: value.trim().to_owned(),
                origin,
            });
        }
    }
    Ok(Table::Blocks(rules))
}

/// `10.0.0.0/8` or `!10.0.0.0/8`.
fn pattern_of(text: &str) -> Option<Addresses> {
    let text = text.trim();
    match text.strip_prefix('!') {
        Some(rest) => Some(Addresses::all().minus(&Addresses::parse(rest.trim())?)),
        None => Addresses::parse(text),
    }
}

/// The clients whom a key of an indexed table names by address: an address, or its first parts.
pub(super) fn clients_of_key(key: &str) -> Option<Addresses> {
    if let Ok(address) = key.parse::<IpAddr>() {
        return Addresses::block(address, if address.is_ipv4() { 32 } else { 128 });
    }
    let parts: Vec<&str> = key.split('.').collect();
    if !key.is_empty() && parts.len() < 4 && parts.iter().all(|part| part.parse::<u8>().is_ok()) {
        let mut octets = [0u8; 4];
        for (octet, part) in octets.iter_mut().zip(&parts) {
            *octet = part.parse().ok()?;
        }
        return Addresses::block(IpAddr::from(octets), u8::try_from(parts.len() * 8).ok()?);
    }
    let groups: Vec<&str> = key.split(':').collect();
    let is_group = |group: &&str| !group.is_empty() && u16::from_str_radix(group, 16).is_ok();
    if groups.len() > 1 && groups.len() < 8 && groups.iter().all(is_group) {
        let address: IpAddr = format!("{key}::").parse().ok()?;
        return Addresses::block(address, u8::try_from(groups.len() * 16).ok()?);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct One(&'static str);

    impl Sources for One {
        fn read(&self, path: &str) -> Option<Vec<u8>> {
            (path == "table").then(|| self.0.as_bytes().to_vec())
        }
    }

    fn table(spec: &str, text: &'static str) -> Result<Table, String> {
        Files::new(&One(text)).table(spec, &Origin::new("main.cf", 1, "x"))
    }

    #[test]
    fn keys_and_values_have_their_places() {
        let Ok(Table::Keys(lines)) = table(
            "hash:/etc/postfix/table",
            "A.test  OK\n# c\nb.test\n  REJECT no\n",
        ) else {
            panic!("a table of keys");
        };
        let told: Vec<_> = lines
            .iter()
            .map(|l| (&*l.key, &*l.value, l.origin.to_string()))
            .collect();
        assert_eq!(told[0], ("a.test", "OK", "table:1".to_owned()));
        assert_eq!(told[1], ("b.test", "REJECT no", "table:3".to_owned()));
        assert!(table("hash:/etc/aliases", "").is_err() && table("pcre:table", "").is_err());
    }

    #[test]
    fn of_blocks_the_first_counts() {
        let text = "if 10.0.0.0/8\n!10.1.0.0/16 REJECT\nendif\n0.0.0.0/0 OK\n";
        let Ok(Table::Blocks(rules)) = table("cidr:table", text) else {
            panic!("a table of blocks");
        };
        assert_eq!(
            rules[0].clients.entries(),
            ["10.0.0.0/16", "10.2.0.0-10.255.255.255"]
        );
        assert_eq!(rules[1].value, "OK");
        assert!(table("cidr:table", "10.0.0.1/8 OK").is_err());
    }

    #[test]
    fn parts_of_an_address_name_a_block() {
        for (key, block) in [
            ("10", "10.0.0.0/8"),
            ("10.1.2", "10.1.2.0/24"),
            ("10.1.2.3", "10.1.2.3"),
            ("2001:db8", "2001:db8::/32"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            assert_eq!(clients_of_key(key).unwrap().entries(), [block], "{key}");
        }
        for key in ["", "a.test", "10.1.2.300", ":", "1.", "::x"] {
            assert_eq!(clients_of_key(key), None, "{key}");
        }
    }

    proptest! {
        #[test]
        fn no_table_is_too_much(kind in "(inline|static|cidr|hash|proxy:hash|x)", text in "[!a-c0-9.:/={}, \n]{0,80}") {
            let _ = table(&format!("{kind}:{text}"), "");
            let _ = clients_of_key(&text);
            let lines = text.lines().map(|line| (Origin::new("t", 1, ""), line.to_owned()));
            let _ = blocks(lines.collect());
        }
    }
}
