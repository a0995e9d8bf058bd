//! Messages that others have collected to try their own software with.
//!
//! Many are broken on purpose. Nothing may panic or leave its limits, whatever is changed in them; what is
//! not changed stays octet for octet, and where a message is sound Python finds the same names.

#[path = "../../../tests/corpora/mod.rs"]
mod collections;

use std::path::PathBuf;
use std::process::Command;

use collections::{Message, PYTHON, all_messages};
use contents::edit::{Footer, add_footer, apply, remove_part, tag_subject};
use contents::{Limits, Octets as _, Wanted, look_into, parts};

const ALL: Wanted = Wanted {
    texts: true,
    archives: true,
};

#[test]
fn every_message_can_be_read_and_cut() {
    let tight = Limits {
        parts: 3,
        depth: 1,
        entries: 1,
        octets: 10,
        ratio: 1,
        text: 20,
    };
    for Message { name, octets } in all_messages() {
        let message = &octets;
        let contents = look_into(message, ALL, &Limits::default());
        assert!(
            !contents.fields.is_empty() || !contents.texts.is_empty(),
            "{name}"
        );
        let contents = look_into(message, ALL, &tight);
        assert!(contents.texts.len() <= 3, "{name}");
        // Fewer places in a large one.
        let step = 97.max(message.len() * message.len() / 1_000_000);
        for at in (0..message.len()).step_by(step) {
            look_into(&message[..at], ALL, &tight);
            look_into(&message[at..], ALL, &tight);
        }
    }
}

#[test]
fn every_part_can_be_removed_and_all_else_stays() {
    for message in all_messages() {
        every_part_of(&message.name, &message.as_mail());
        if message.octets.ends_with(b"\n") {
            every_part_of(&message.name, &message.octets);
        }
    }
}

fn every_part_of(name: &str, message: &[u8]) {
    let found = parts(&message, &Limits::default());
    for part in &found {
        let edits = remove_part(&message, &found, part.number, "It is gone.").unwrap();
        let after = apply(&message, edits.clone()).copy(0..usize::MAX);
        let changed = edits.iter().map(|edit| edit.range.clone());
        let (start, end) = changed.fold((message.len(), 0), |(start, end), range| {
            (start.min(range.start), end.max(range.end))
        });
        assert_eq!(after[..start], message[..start], "{name} {}", part.place);
        assert!(after.ends_with(&message[end..]), "{name} {}", part.place);
        let left = look_into(&after, ALL, &Limits::default());
        let mut texts = left.texts.iter();
        let is_noted = texts.any(|text| text.text.contains("It is gone."));
        assert!(is_noted, "{name} {}", part.place);
    }
    if let Some(edit) = tag_subject(&message, &found, "[tag]") {
        let after = apply(&message, vec![edit]).copy(0..usize::MAX);
        let subject = look_into(&after, ALL, &Limits::default()).subject;
        assert!(subject.starts_with("[tag]"), "{name} {subject}");
    }
}

const FOOTER: &str = "-- checked --";

/// Prints file and name of each attachment, and of each text whether it ends with the footer.
const READER: &str = "
import sys, email, email.policy, os
for path in sys.argv[1:]:
    with open(path, 'rb') as file:
        message = email.message_from_binary_file(file, policy=email.policy.default)
    for part in message.walk():
        name = part.get_filename()
        if name and not part.is_multipart():
            print(os.path.basename(path), 'name', ascii(name))
        if part.get_content_maintype() == 'text' and part.get_payload(decode=True).rstrip().endswith(b'-- checked --'):
            print(os.path.basename(path), 'footer')
";

fn read_by_python(files: &[PathBuf]) -> Vec<String> {
    let output = Command::new("python3")
        .args(["-c", READER])
        .args(files)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn python_finds_the_same_names_and_the_footers() {
    let folder = tempfile::tempdir().unwrap();
    let (mut files, mut footers, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for Message {
        name,
        octets: message,
    } in PYTHON.messages()
    {
        let name = name.trim_start_matches("Python: ");
        let found = parts(&message, &Limits::default());
        let footer = Footer {
            text: FOOTER.into(),
            html: "<p>-- checked --</p>".into(),
            in_signed: false,
        };
        let edits = add_footer(&message, &found, &footer).unwrap_or_default();
        if edits
            .iter()
            .any(|edit| edit.with.trim_ascii().starts_with(FOOTER.as_bytes()))
        {
            footers.push(format!("{name} footer"));
        }
        for attachment in look_into(&message, ALL, &Limits::default()).attachments {
            let own = attachment.names.into_iter();
            names.extend(own.map(|own| format!("{name} name '{own}'")));
        }
        files.push(folder.path().join(name));
        std::fs::write(
            &files[files.len() - 1],
            apply(&message, edits).copy(0..usize::MAX),
        )
        .unwrap();
    }
    let read = read_by_python(&files);
    let (footers_read, names_read): (Vec<String>, Vec<String>) =
        read.into_iter().partition(|line| line.ends_with(" footer"));
    assert!(footers.len() > 20 && names_read.len() > 8);
    footers_read
        .iter()
        .for_each(|line| assert!(footers.contains(line), "{line}"));
    footers
        .iter()
        .for_each(|line| assert!(footers_read.contains(line), "{line}"));
    names_read
        .iter()
        .for_each(|line| assert!(names.contains(line), "{line}"));
}
