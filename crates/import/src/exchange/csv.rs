//! `Export-Csv`: values in quotes, a quote within doubled, line ends within values, a line `#TYPE` at the head.

use super::export::{OBJECTS_MAX, Object};

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
    let mut rows = Rows {
        rest: text,
        line: 1,
        separator,
    };
    if text.starts_with("#TYPE") {
        rows.next();
    }
    let Some((_, names)) = rows.next() else {
        return Vec::new();
    };
    let names: Vec<String> = names
        .into_iter()
        .map(|name| name.trim().to_owned())
        .collect();
    let objects = rows.filter(|(_, values)| values.iter().any(|value| !value.is_empty()));
    let objects = objects.map(|(line, values)| {
        let mut object = Object::new(file, line);
        for (name, value) in names.iter().zip(values) {
            object.add(name, line, (!value.is_empty()).then_some(value));
        }
        object
    });
    objects.take(OBJECTS_MAX).collect()
}

/// The rows that are left, each with its line.
struct Rows<'a> {
    rest: &'a str,
    line: usize,
    separator: char,
}

impl Iterator for Rows<'_> {
    type Item = (usize, Vec<String>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let begin = self.line;
        let mut values = vec![String::new()];
        let mut quoted = false;
        let mut letters = self.rest.char_indices().peekable();
        let mut end = self.rest.len();
        while let Some((at, letter)) = letters.next() {
            let value = values.last_mut()?;
            match letter {
                '"' if quoted && letters.peek().is_some_and(|(_, next)| *next == '"') => {
                    letters.next();
                    value.push('"');
                }
                '"' => quoted = !quoted,
                '\n' => {
                    self.line += 1;
                    if quoted {
                        value.push('\n');
                    } else {
                        end = at + 1;
                        break;
                    }
                }
                '\r' if !quoted => {}
                letter if letter == self.separator && !quoted => {
                    if values.len() < COLUMNS_MAX {
                        values.push(String::new());
                    }
                }
                letter => value.push(letter),
            }
        }
        self.rest = self.rest.get(end..).unwrap_or("");
        Some((begin, values))
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
