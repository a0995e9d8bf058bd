//! `Export-Csv`: values in quotes, a quote within doubled, line ends within values, a line `#TYPE` at the head.

use csv::{Position, ReaderBuilder, StringRecord, StringRecordsIntoIter};

use super::export::{OBJECTS_MAX, Object};
use crate::line_numbers::LineNumbers;

/// A table of more columns is none.
const COLUMNS_MAX: usize = 2_000;

/// What stands between two columns; `None` when this is no table.
pub(super) fn separator(text: &str) -> Option<char> {
    let head = text.lines().find(|line| !line.starts_with("#TYPE"))?;
    let known = [
        "emailaddresses",
        "primarysmtpaddress",
        "proxyaddresses",
        "domainname",
        "bindings",
        "addressspaces",
        "user",
        "mail",
    ];
    [',', ';', '\t'].into_iter().find(|&separator| {
        let columns: Vec<String> = head
            .split(separator)
            .map(|name| name.trim().trim_matches('"').to_ascii_lowercase())
            .collect();
        columns.iter().any(|name| known.contains(&&**name)) && !columns[0].contains(' ')
    })
}

pub(super) fn objects(file: &str, text: &str, separator: char) -> Vec<Object> {
    let mut rows = Rows::of(text, separator);
    if text.starts_with("#TYPE") {
        rows.next();
    }
    let Some((_, names)) = rows.next() else {
        return Vec::new();
    };
    let names: Vec<&str> = names.iter().map(str::trim).collect();
    let rows = rows.filter(|(_, values)| values.iter().any(|value| !value.is_empty()));
    let objects = rows.map(|(line, values)| {
        let mut object = Object::new(file, line);
        for (name, value) in names.iter().zip(&values).take(COLUMNS_MAX) {
            object.add(name, line, (!value.is_empty()).then(|| value.to_owned()));
        }
        object
    });
    objects.take(OBJECTS_MAX).collect()
}

/// The rows of a text, each with its line.
struct Rows<'a> {
    text: &'a str,
    lines: LineNumbers,
    rows: StringRecordsIntoIter<&'a [u8]>,
}

impl<'a> Rows<'a> {
    fn of(text: &'a str, separator: char) -> Self {
        let mut table = ReaderBuilder::new();
        table.delimiter(u8::try_from(separator).unwrap_or(b','));
        table.has_headers(false).flexible(true);
        Self {
            text,
            lines: LineNumbers::of(text),
            rows: table.from_reader(text.as_bytes()).into_records(),
        }
    }
}

impl Iterator for Rows<'_> {
    type Item = (usize, StringRecord);

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.next()?.ok()?;
        // It begins where the one before it ended: before line ends, of which CRLF is two.
        let begin = row.position().map_or(0, Position::byte);
        let begin = usize::try_from(begin).unwrap_or(usize::MAX);
        let rest = self.text.get(begin..).unwrap_or_default();
        let ends = rest.len() - rest.trim_start_matches(['\r', '\n']).len();
        Some((self.lines.at(begin + ends), row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_table_is_read() {
        let text = "#TYPE Selected.x\r\n\"Name\",\"EmailAddresses\"\r\n\"Ann \"\"A\"\"\",\"SMTP:a@example.com\r\nsmtp:b@example.com\"\r\nBob,smtp:c@example.com\r\n";
        let separator = separator(text).unwrap();
        let objects = objects("a.csv", text, separator);
        assert_eq!(objects.len(), 2);
        assert_eq!(objects[0].text("Name"), Some("Ann \"A\""));
        assert_eq!(
            objects[0].text("emailaddresses"),
            Some("SMTP:a@example.com\r\nsmtp:b@example.com")
        );
        assert_eq!((objects[0].line, objects[1].line), (3, 5));
        assert_eq!(super::separator("Name;PrimarySmtpAddress\n"), Some(';'));
        assert_eq!(super::separator("Name  User\n----  ----\n"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "[\"a,;\n\r#]{0,60}") {
            let _ = objects("x", &text, ',');
            let _ = separator(&text);
        }
    }
}
