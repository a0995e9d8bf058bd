//! `relay.tests`, beside the configuration file: what its author expects of the rules. Every load
//! asks the rules, and a configuration that answers otherwise is not used.

mod ask;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::Range;

use mail::{Domain, Mailbox, ReversePath};
use relay_policy::CertificatePattern;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use ask::run;

use crate::diagnostic::{Diagnostic, Severity};
use crate::relay_test::{Expected, RelayTest};
use crate::settings::Settings;
use crate::source::{Source, Span};
use crate::suggest::nearest;
use crate::text::text_of;
use crate::{Config, Files};

/// Beside the main file.
const FILE: &str = "relay.tests";

/// Each costs a decision at every reload.
const TESTS_MAX: usize = 10_000;

const KEYS: [&str; 11] = [
    "name",
    "listener",
    "from",
    "client_name",
    "tls",
    "certificate",
    "user",
    "may_relay",
    "mail",
    "rcpt",
    "expected",
];

/// The tests of the file, each of which was asked of the rules of `config`; what is wrong, and what is
/// otherwise than they say, goes into `settings`.
pub(crate) fn hold(settings: &mut Settings, files: &dyn Files, config: &Config) -> Vec<RelayTest> {
    let tests = read(settings, files);
    run(settings, config, &tests);
    tests.into_iter().map(|(test, _)| test).collect()
}

/// The tests of the file, which may be missing; what is wrong with it goes into `settings`.
fn read(settings: &mut Settings, files: &dyn Files) -> Vec<(RelayTest, Span)> {
    let path = settings.base.join(FILE);
    let name = path.display().to_string();
    let octets = match files.read_named(&path) {
        Ok(octets) => octets,
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(why) => {
            let message = format!("cannot read {name}: {why}");
            settings.push("", None, Diagnostic::new(Severity::Error, message));
            return Vec::new();
        }
    };
    text_of(settings, &name, octets).map_or_else(Vec::new, |text| parse(settings, &name, text))
}

fn parse(settings: &mut Settings, name: &str, text: String) -> Vec<(RelayTest, Span)> {
    let file = settings.sources.len();
    settings.sources.push(Source::new(name, text.clone()));
    let mut reader = Reader { settings, file };
    let (root, errors) = DeTable::parse_recoverable(&text);
    for error in &errors {
        let range = error.span().unwrap_or(text.len()..text.len());
        reader.error(range, &format!("this is not TOML: {}", error.message()), "");
    }
    let mut tests = Vec::new();
    for (key, value) in root.get_ref().iter() {
        match value.get_ref() {
            DeValue::Array(items) if key.get_ref() == "test" => {
                tests.extend(
                    items
                        .iter()
                        .take(TESTS_MAX)
                        .filter_map(|item| reader.test(item)),
                );
                if let Some(item) = items.get(TESTS_MAX) {
                    let message = format!("more than {TESTS_MAX} relay tests");
                    reader.error(item.span(), &message, "");
                }
            }
            _ => reader.error(key.span(), "a relay test is a [[test]]", ""),
        }
    }
    tests
}

struct Reader<'a> {
    settings: &'a mut Settings,
    file: usize,
}

type Entries<'a> = BTreeMap<&'a str, (&'a Spanned<DeValue<'a>>, Range<usize>)>;

impl Reader<'_> {
    fn error(&mut self, range: Range<usize>, message: &str, label: &str) {
        let span = Span {
            file: self.file,
            range,
        };
        self.settings.error(&span, message.to_owned(), label);
    }

    fn test(&mut self, item: &Spanned<DeValue<'_>>) -> Option<(RelayTest, Span)> {
        let span = Span {
            file: self.file,
            range: item.span(),
        };
        let Some(table) = item.get_ref().as_table() else {
            self.error(item.span(), "a relay test is a table", "write [[test]]");
            return None;
        };
        let entries = self.entries(table);
        let before = self.settings.found.len();
        for name in ["from", "rcpt", "expected"] {
            if !entries.contains_key(name) {
                let message = format!("this relay test has no `{name}`");
                self.error(item.span(), &message, "from, rcpt and expected are needed");
            }
        }
        let client = self.read(&entries, "from", |text| text.parse::<IpAddr>().ok());
        let rcpt = self.read(&entries, "rcpt", |text| Mailbox::parse(text).ok());
        let expected = self.read(&entries, "expected", Expected::parse);
        let test = RelayTest {
            listener: self.read(&entries, "listener", |text| Some(text.into())),
            client_name: self.read(&entries, "client_name", |text| Domain::parse(text).ok()),
            tls: self.flag(&entries, "tls"),
            certificate: self.read(&entries, "certificate", |text| {
                CertificatePattern::parse(text).ok()
            }),
            user: self.read(&entries, "user", |text| Some(text.into())),
            may_relay: self.flag(&entries, "may_relay").unwrap_or(true),
            mail: self
                .read(&entries, "mail", sender)
                .unwrap_or(ReversePath::Null),
            name: self
                .read(&entries, "name", |text| Some(text.to_owned()))
                .unwrap_or_else(|| {
                    format!("{} to {}", shown(client.as_ref()), shown(rcpt.as_ref()))
                }),
            client: client?,
            rcpt: rcpt?,
            expected: expected?,
            place: self.settings.place(&span),
        };
        (self.settings.found.len() == before).then_some((test, span))
    }

    fn entries<'a>(&mut self, table: &'a DeTable<'a>) -> Entries<'a> {
        let mut entries = Entries::new();
        for (key, value) in table.iter() {
            let name = key.get_ref().as_ref();
            if KEYS.contains(&name) {
                entries.insert(name, (value, key.span()));
                continue;
            }
            let label = match nearest(name, KEYS) {
                Some(word) => format!("did you mean `{word}`?"),
                None => format!("known here: {}", KEYS.join(", ")),
            };
            let message = format!("unknown key `{}` in [[test]]", mail::escaped(name));
            self.error(key.span(), &message, &label);
        }
        entries
    }

    fn read<T>(
        &mut self,
        entries: &Entries<'_>,
        name: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let (value, _) = entries.get(name)?;
        let read = value.get_ref().as_str().and_then(read);
        if read.is_none() {
            let message = format!("`{name}` in [[test]] cannot be read");
            self.error(value.span(), &message, expected_form(name));
        }
        read
    }

    fn flag(&mut self, entries: &Entries<'_>, name: &str) -> Option<bool> {
        let (value, _) = entries.get(name)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            let message = format!("`{name}` in [[test]] must be true or false");
            self.error(value.span(), &message, "");
        }
        flag
    }
}

fn shown(value: Option<&impl fmt::Display>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

/// `<>` or an address.
fn sender(text: &str) -> Option<ReversePath> {
    if text == "<>" {
        return Some(ReversePath::Null);
    }
    Mailbox::parse(text).ok().map(ReversePath::Mailbox)
}

fn expected_form(name: &str) -> &'static str {
    match name {
        "from" => "write an address: \"203.0.113.9\"",
        "mail" => "write \"user@example.com\" or \"<>\"",
        "rcpt" => "write \"user@example.com\"",
        "expected" => "write \"accepted\", \"refused\", \"postponed\" or a reply: \"550 5.7.1\"",
        "client_name" => "write a host name",
        "certificate" => "write \"sha256:...\", \"spki:sha256:...\" or a name",
        _ => "write text in quotes",
    }
}
