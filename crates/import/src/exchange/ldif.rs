//! LDIF (RFC 2849), as `ldifde` and `ldapsearch` write it: folded lines, base64, comments, ranges of values.

use super::export::{OBJECTS_MAX, Object};

/// Whether a text is LDIF: its first line that is no comment begins an entry.
pub(super) fn is_ldif(text: &str) -> bool {
    let mut lines = text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with(['#', ' ']));
    let first = lines
        .next()
        .map(|line| line.trim_end().to_ascii_lowercase());
    first.is_some_and(|line| line.starts_with("dn:") || line.starts_with("version:"))
}

pub(super) fn objects(file: &str, text: &str) -> Vec<Object> {
    let mut objects: Vec<Object> = Vec::new();
    let mut current: Option<Object> = None;
    for (number, line) in unfolded(text) {
        if line.is_empty() {
            objects.extend(current.take());
            if objects.len() == OBJECTS_MAX {
                return objects;
            }
            continue;
        }
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        if name.eq_ignore_ascii_case("dn") {
            objects.extend(current.take());
            current = Some(Object::new(file, number));
        }
        // What stands before the first entry, and what ldapsearch says at the end.
        if let Some(object) = &mut current {
            attribute(object, number, name, value);
        }
    }
    objects.extend(current);
    objects
}

/// Lines as they were before they were folded, without comments.
fn unfolded(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut comment = false;
    for (number, line) in text.lines().enumerate() {
        match line.strip_prefix(' ') {
            Some(_) if comment => {}
            Some(rest) => {
                if let Some((_, before)) = lines.last_mut() {
                    before.push_str(rest.trim_end_matches('\r'));
                }
            }
            None => {
                comment = line.starts_with('#');
                if !comment {
                    lines.push((number + 1, line.trim_end_matches('\r').to_owned()));
                }
            }
        }
    }
    lines
}

fn attribute(object: &mut Object, line: usize, name: &str, value: &str) {
    let mut options = name.split(';');
    let name = options.next().unwrap_or("");
    // `proxyAddresses;range=0-1499`: there are more, unless the range ends with a star.
    let cut = options.any(|option| {
        let range = option.to_ascii_lowercase();
        range.starts_with("range=") && !range.ends_with('*')
    });
    let text = match value.as_bytes().first() {
        Some(b':') => match crate::base64::octets(value[1..].trim()) {
            Some(octets) => {
                Some(
                    // Octets that are no text.
                    String::from_utf8(octets).unwrap_or_else(|octets| mail::hex(octets.as_bytes())),
                )
            }
            None => {
                object.property(name, line).cut = true;
                None
            }
        },
        // The value lies in another file, which nobody reads.
        Some(b'<') => {
            object.property(name, line).cut = true;
            None
        }
        _ => Some(value.trim_start_matches(' ').to_owned()),
    };
    object.add(name, line, text.filter(|text| !text.is_empty()));
    if cut {
        object.property(name, line).cut = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn entries_are_read() {
        let text = "# extended LDIF\n#\n# a comment that is\n  folded\nversion: 1\n\ndn: CN=Ann,DC=example,DC=com\nchangetype: add\n\
            proxyAddresses: SMTP:ann@exam\n ple.com\nproxyAddresses:: c210cDpqw7xyZ2VuQGV4YW1wbGUuY29t\nproxyAddresses;range=0-1499: smtp:a@example.com\n\
            msExchSmtpRelayIpList:: GAAAgA==\njpegPhoto:< file:///etc/passwd\n\ndn:: Q049QsO2Yg==\nmail: bob@example.com\n\n# search result\nsearch: 2\nresult: 0 Success\n";
        assert!(is_ldif(text));
        let objects = objects("a.ldf", text);
        assert_eq!(objects.len(), 2, "{objects:?}");
        let addresses = objects[0].get("proxyaddresses").unwrap();
        let texts: Vec<&str> = addresses.values.iter().map(|value| &*value.text).collect();
        assert_eq!(
            texts,
            [
                "SMTP:ann@example.com",
                "smtp:jürgen@example.com",
                "smtp:a@example.com"
            ]
        );
        assert_eq!(addresses.values[1].line, 11);
        assert!(addresses.cut && objects[0].get("jpegPhoto").unwrap().cut);
        assert_eq!(objects[0].text("msExchSmtpRelayIpList"), Some("18000080"));
        assert_eq!(objects[1].name(), "CN=Böb");
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "((dn|a|b;range=0-[1*])?::?<? ?[A-Za-z+/=ü]{0,9}\n ?#?){0,9}", octets in ".{0,40}") {
            let _ = objects("x", &text);
            let _ = objects("x", &octets);
            let _ = is_ldif(&octets);
        }
    }
}
