use std::fmt::{self, Write as _};

use mail::escaped;
use privacy::Veil;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use crate::syslog_sender::Record;

/// journalctl shows longer values as `null` in JSON, unless told otherwise.
const VALUE_LEN_MAX: usize = 4000;
/// What the journal takes; it drops a field with a longer name without a word.
const NAME_LEN_MAX: usize = 64;
const APP: &str = "gatepost";

/// An entry of the journal: fields with a name and a value each, of which one may come twice.
#[derive(Debug, Default)]
pub(super) struct Entry {
    fields: Vec<(String, String)>,
    /// What happened.
    event: String,
    /// The fields behind it as text.
    text: String,
}

impl Entry {
    /// The line of the log in MESSAGE, what happened in `GATEPOST_EVENT`, and a field `GATEPOST_...` for
    /// each field of the line.
    pub(super) fn of(event: &Event<'_>) -> Self {
        let priority = match *event.metadata().level() {
            Level::ERROR => "3",
            Level::WARN => "4",
            Level::INFO => "6",
            Level::DEBUG | Level::TRACE => "7",
        };
        let mut entry = Self::default();
        event.record(&mut entry);
        let message = escaped(&format!("{}{}", entry.event, entry.text)).to_string();
        let happened = std::mem::take(&mut entry.event);
        entry.push("PRIORITY", priority);
        entry.push("SYSLOG_IDENTIFIER", APP);
        entry.push("GATEPOST_EVENT", &happened);
        entry.push("MESSAGE", &message);
        entry
    }

    /// A line of the protocol log `log`, under the name that its record has for syslog.
    pub(super) fn of_record(log: &str, record: &Record) -> Self {
        let mut entry = Self::default();
        entry.push("PRIORITY", "6");
        entry.push("SYSLOG_IDENTIFIER", &record.app);
        entry.push("GATEPOST_LOG", log);
        entry.push("MESSAGE", record.text.trim_end());
        entry
    }

    /// Makes addresses unrecognisable.
    pub(super) fn veil(&mut self, veil: &Veil) {
        for (name, value) in &mut self.fields {
            let field = name.strip_prefix("GATEPOST_").unwrap_or_default();
            *value = match &**name {
                "MESSAGE" => veil.line(value).into_owned(),
                _ => veil.field(&field.to_lowercase(), value).into_owned(),
            };
        }
    }

    /// A field of the line; of several addresses each is one, so that the journal finds each.
    fn push_field(&mut self, field: &str, value: &str) {
        let name = name(field);
        if field != "to" {
            return self.push(&name, value);
        }
        for address in addresses(value) {
            self.push(&name, address);
        }
    }

    fn push(&mut self, name: &str, value: &str) {
        let value = &value[..value.floor_char_boundary(VALUE_LEN_MAX)];
        self.fields.push((name.to_owned(), value.to_owned()));
    }

    /// In the native protocol of the journal: a name, `=` and the value on a line; where the value has
    /// a line end, its octets behind their count.
    pub(super) fn encoded(&self) -> Vec<u8> {
        let mut octets = Vec::new();
        for (name, value) in &self.fields {
            octets.extend_from_slice(name.as_bytes());
            if value.contains('\n') {
                octets.push(b'\n');
                octets.extend_from_slice(&(value.len() as u64).to_le_bytes());
            } else {
                octets.push(b'=');
            }
            octets.extend_from_slice(value.as_bytes());
            octets.push(b'\n');
        }
        octets
    }
}

/// Addresses with a blank between them; within quotes a blank is one of the address (RFC 5321 section
/// 4.1.2). What holds none is one value all the same.
fn addresses(text: &str) -> impl Iterator<Item = &str> {
    let (mut in_quotes, mut is_escaped) = (false, false);
    text.split(move |c: char| {
        let is_end = c == ' ' && !in_quotes;
        in_quotes ^= c == '"' && !is_escaped;
        is_escaped = c == '\\' && in_quotes && !is_escaped;
        is_end
    })
}

/// Letters, digits and `_` alone, and no `_` before them: those are the journal's own.
fn name(field: &str) -> String {
    let is_letter = |c: &char| c.is_ascii_alphanumeric();
    let letters = field
        .chars()
        .map(|c| Some(c).filter(is_letter).unwrap_or('_'));
    let name: String = "GATEPOST_".chars().chain(letters).collect();
    name.to_ascii_uppercase()
        .chars()
        .take(NAME_LEN_MAX)
        .collect()
}

impl Visit for Entry {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.event = value.to_owned();
            return;
        }
        self.push_field(field.name(), value);
        // Writing to memory cannot fail.
        let _ = write!(self.text, " {}={value:?}", field.name());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = format!("{value:?}");
        if field.name() == "message" {
            self.event = value;
            return;
        }
        self.push_field(field.name(), &value);
        let _ = write!(self.text, " {}={value}", field.name());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields, as the journal takes them apart.
    fn decoded(mut octets: &[u8]) -> Vec<(String, String)> {
        let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
        let mut fields = Vec::new();
        while !octets.is_empty() {
            let end = octets.iter().position(|o| b"=\n".contains(o)).unwrap();
            let (name, rest) = (text(&octets[..end]), &octets[end + 1..]);
            let (length, rest) = if octets[end] == b'=' {
                (rest.iter().position(|o| *o == b'\n').unwrap(), rest)
            } else {
                let (count, rest) = rest.split_first_chunk::<8>().unwrap();
                (usize::try_from(u64::from_le_bytes(*count)).unwrap(), rest)
            };
            fields.push((name, text(&rest[..length])));
            assert_eq!(rest[length], b'\n');
            octets = &rest[length + 1..];
        }
        fields
    }

    #[test]
    fn fields_arrive_as_they_were() {
        let mut entry = Entry::default();
        entry.push("A", "one line = one");
        entry.push("B", "two\nlines\n");
        entry.push("B", "");
        entry.push("C", &"\u{fc}".repeat(5000));
        let fields = decoded(&entry.encoded());
        assert_eq!(fields[..3], entry.fields[..3]);
        assert_eq!(fields[3].1, "\u{fc}".repeat(2000));
    }

    #[test]
    fn each_of_several_addresses_is_a_field() {
        let mut entry = Entry::default();
        for value in [
            "a@x.example \"b c\\\" d\"@x.example e@x.example",
            "",
            "a@x b@x",
        ] {
            entry.push_field("to", value);
        }
        entry.push_field("why", "a b");
        let expected = [
            ("GATEPOST_TO", "a@x.example"),
            ("GATEPOST_TO", "\"b c\\\" d\"@x.example"),
            ("GATEPOST_TO", "e@x.example"),
            ("GATEPOST_TO", ""),
            ("GATEPOST_TO", "a@x"),
            ("GATEPOST_TO", "b@x"),
            ("GATEPOST_WHY", "a b"),
        ];
        let shown = entry.fields.iter().map(|(name, value)| (&**name, &**value));
        assert_eq!(shown.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn names_are_such_as_the_journal_takes() {
        assert_eq!(name("unique_id"), "GATEPOST_UNIQUE_ID");
        assert_eq!(name("r#type-\u{fc}"), "GATEPOST_R_TYPE__");
        assert_eq!(name(&"x".repeat(100)).len(), 64);
    }
}
