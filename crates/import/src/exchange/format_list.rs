//! The output of `Format-List`: `Name : value`, an empty line between two objects, long values over several
//! lines. What does not look like that (prompts, commands) is passed over.

use super::export::{OBJECTS_MAX, Object};

pub(super) fn objects(file: &str, text: &str) -> Vec<Object> {
    let mut objects: Vec<Object> = Vec::new();
    let mut current: Option<Object> = None;
    // The property that goes on in the next line.
    let mut open: Option<(String, usize, String)> = None;
    let mut gap = false;
    for (number, line) in text.lines().enumerate() {
        let indented = line.starts_with([' ', '\t']);
        let line = line.trim_end();
        let number = number + 1;
        // An empty line of a value is indented as its others are, of which one follows.
        if indented && line.is_empty() {
            gap = true;
            continue;
        }
        let goes_on = indented && named(line).is_none();
        if std::mem::take(&mut gap) && !goes_on {
            close(&mut current, &mut open);
            objects.extend(current.take());
        }
        if let Some((name, value)) = named(line) {
            close(&mut current, &mut open);
            // A property that is there already begins another object.
            if current.as_ref().is_some_and(|object| object.has(name)) {
                objects.extend(current.take());
            }
            current.get_or_insert_with(|| Object::new(file, number));
            open = Some((name.to_owned(), number, value.to_owned()));
        } else if goes_on {
            if let Some((_, _, value)) = &mut open {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else {
            close(&mut current, &mut open);
            objects.extend(current.take());
        }
        if objects.len() == OBJECTS_MAX {
            return objects;
        }
    }
    close(&mut current, &mut open);
    objects.extend(current);
    objects
}

/// `Name   : value`
fn named(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    if !value.is_empty() && !value.starts_with(' ') {
        return None;
    }
    let bare = name.trim_end();
    let blank = bare.len() < name.len();
    let plain = bare.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (blank && plain && !bare.is_empty()).then_some((bare, value.trim()))
}

fn close(current: &mut Option<Object>, open: &mut Option<(String, usize, String)>) {
    let (Some(object), Some((name, line, value))) = (current.as_mut(), open.take()) else {
        return;
    };
    let list = value
        .strip_prefix('{')
        .map(|rest| rest.strip_suffix('}').unwrap_or(rest));
    let Some(list) = list else {
        let value = (!value.is_empty()).then_some(value);
        return object.add(&name, line, value);
    };
    object.add(&name, line, None);
    for item in list.split(',').map(str::trim) {
        // What $FormatEnumerationLimit does not let through is dots, behind the last item or alone.
        let whole = item.trim_end_matches('\u{2026}');
        let whole = whole.strip_suffix("...").unwrap_or(whole).trim();
        if !whole.is_empty() {
            object.add(&name, line, Some(whole.to_owned()));
        }
        if whole.len() < item.len() {
            object.property(&name, line).cut = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn objects_properties_and_long_values_are_read() {
        let text = "[PS] C:\\>Get-ReceiveConnector | fl\r\n\r\n\r\nName           : Default\r\nBanner         :\r\n\
            RemoteIPRanges : {10.0.0.1, 10.0.0.2-10.0.\r\n                 0.9, 192.168.1.0/24...}\r\nBindings       : {}\r\n\r\n\
            Name : Second\nFqdn : a.example.com\nName : Third\n";
        let objects = objects("a.txt", text);
        let names: Vec<_> = objects.iter().map(Object::name).collect();
        assert_eq!(names, ["Default", "Second", "Third"]);
        let ranges = objects[0].get("remoteipranges").unwrap();
        assert!(ranges.cut && ranges.line == 6);
        let items: Vec<String> = objects[0]
            .items("RemoteIPRanges")
            .into_iter()
            .map(|(item, _)| item)
            .collect();
        assert_eq!(items, ["10.0.0.1", "10.0.0.2-10.0.0.9", "192.168.1.0/24"]);
        assert!(objects[0].has("Bindings") && objects[0].text("Banner").is_none());
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "([A-Za-z]{1,4} ?: ?[{}a-z0-9,. ]{0,9}|[ \t]+[a-z.}]{0,5}|.{0,5})(\n([A-Za-z]{1,4} ?: ?[{}a-z0-9,. ]{0,9}|[ \t]+[a-z.}]{0,5}|.{0,5})){0,9}") {
            let _ = objects("x", &text);
        }
    }
}
