//! Changes to messages: what is meant changes, and nothing else, as Python's reader of mail sees it.

use std::process::Command;

use contents::edit::{CannotEdit, Edit, Footer, add_footer, apply, remove_part, tag_subject};
use contents::{Limits, Octets as _, Part, PartNumber, Seal, Wanted, look_into, parts};

const ALL: Wanted = Wanted {
    texts: true,
    archives: true,
};

fn wire(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}

fn walk(message: &[u8]) -> Vec<Part> {
    parts(&message, &Limits::default())
}

/// What stands outside the edits is the same before and after.
fn edited(message: &[u8], edits: &[Edit]) -> Vec<u8> {
    let after = apply(&message, edits.to_vec()).copy(0..usize::MAX);
    let mut edits: Vec<&Edit> = edits.iter().collect();
    edits.sort_by_key(|edit| edit.range.start);
    let (mut at, mut at_after) = (0, 0);
    for edit in edits {
        let kept = &message[at..edit.range.start];
        assert_eq!(&after[at_after..at_after + kept.len()], kept);
        at = edit.range.end;
        at_after += kept.len() + edit.with.len();
    }
    assert_eq!(&after[at_after..], &message[at..]);
    after
}

/// Prints type, name and octets of each leaf; an empty line ends a message.
const READER: &str = "
import sys, email, email.policy
for path in sys.argv[1:]:
    with open(path, 'rb') as file:
        message = email.message_from_binary_file(file, policy=email.policy.compat32)
    for part in message.walk():
        if not part.is_multipart():
            octets = part.get_payload(decode=True)
            charset = part.get_content_charset('utf-8')
            try:
                octets = octets.decode(charset).encode() if part.get_content_maintype() == 'text' else octets
            except (UnicodeDecodeError, LookupError):
                pass
            print(part.get_content_type(), octets.hex())
    print()
";

/// The leaves of messages as Python reads them: content type, and text.
fn read_by_python(messages: &[Vec<u8>]) -> Vec<Vec<(String, String)>> {
    let folder = tempfile::tempdir().unwrap();
    let paths = messages.iter().enumerate().map(|(index, message)| {
        let path = folder.path().join(format!("{index}.eml"));
        std::fs::write(&path, message).unwrap();
        path
    });
    let paths: Vec<_> = paths.collect();
    let output = Command::new("python3")
        .args(["-c", READER])
        .args(paths)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let octets = |hex: &str| -> Vec<u8> {
        let digits = hex.as_bytes().chunks(2);
        digits
            .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
            .collect()
    };
    let leaf = |line: &str| {
        let (kind, hex) = line.split_once(' ').unwrap();
        (
            kind.to_owned(),
            String::from_utf8_lossy(&octets(hex)).into_owned(),
        )
    };
    let messages = text.split("\n\n").filter(|message| !message.is_empty());
    messages
        .map(|message| message.lines().map(leaf).collect())
        .collect()
}

const TEXT: &str = "--\nThis came through Müller & Co.";
const ASCII: &str = "--\nChecked.";
const HTML: &str = "<p>This came through M\u{fc}ller</p>";

fn footer(text: &str, in_signed: bool) -> Footer {
    Footer {
        text: text.into(),
        html: HTML.into(),
        in_signed,
    }
}

fn footed(text: &str, footer: &Footer) -> Vec<u8> {
    let message = wire(text);
    let edits = add_footer(&message, &walk(&message), footer).unwrap();
    edited(&message, &edits)
}

#[test]
fn a_footer_stands_under_the_text_whatever_its_encoding() {
    let plain = |fields: &str, body: &str| format!("Subject: x\n{fields}\n{body}");
    let latin = "Content-Type: text/plain; charset=iso-8859-1\n";
    let table = [
        (
            plain(latin, "hello\n"),
            TEXT,
            "hello\n--\nThis came through Müller & Co.",
        ),
        (plain("", "hello\n"), ASCII, "hello\n--\nChecked.\n"),
        (plain("", "hello"), ASCII, "hello\n--\nChecked."),
        (
            plain("", "hello\n"),
            TEXT,
            "hello\n--\nThis came through Müller & Co.",
        ),
        (
            plain(
                &format!("{latin}Content-Transfer-Encoding: quoted-printable\n"),
                "caf=E9=\n!\n",
            ),
            TEXT,
            "café!\n--\nThis came through Müller & Co.\n",
        ),
        (
            plain(
                "Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n",
                "a=\n",
            ),
            ASCII,
            "a\n--\nChecked.",
        ),
        (
            plain(
                "Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: base64\n",
                "aGVsbG8K\n",
            ),
            TEXT,
            "hello\n--\nThis came through Müller & Co.\n",
        ),
        (
            plain(
                "Content-Type: text/plain; charset=utf-8; format=flowed\n",
                "hello\n",
            ),
            TEXT,
            "hello\n--\nThis came through Müller & Co.",
        ),
    ];
    let after: Vec<Vec<u8>> = table
        .iter()
        .map(|(text, below, _)| footed(text, &footer(below, false)))
        .collect();
    for (read, (text, _, expected)) in read_by_python(&after).iter().zip(&table) {
        assert_eq!(read[0].0, "text/plain");
        assert_eq!(
            read[0].1.replace("\r\n", "\n").trim_end(),
            expected.trim_end(),
            "{text}"
        );
    }
    for (after, (text, _, expected)) in after.iter().zip(&table) {
        let contents = look_into(after, ALL, &Limits::default());
        assert_eq!(
            contents.texts[0].text.replace("\r\n", "\n").trim_end(),
            expected.trim_end(),
            "{text}"
        );
        assert_eq!(contents.unread, [], "{text}");
    }
    assert!(String::from_utf8_lossy(&after[7]).contains("format=flowed"));
}

const ALTERNATIVE: &str = "\
Subject: x
Content-Type: multipart/mixed; boundary=m

--m
Content-Type: multipart/alternative; boundary=a

--a
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

grüße
--a
Content-Type: multipart/related; boundary=r

--r
Content-Type: text/html; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

<html><body><p>gr=FC=DFe</p></body></html>
--r
Content-Type: image/png
Content-Transfer-Encoding: base64

iVBORw0KGgo=
--r--
--a--
--m
Content-Type: text/plain; name=a.txt
Content-Disposition: attachment; filename=a.txt

attached
--m--
";

#[test]
fn alternatives_each_get_their_own_footer() {
    let after = footed(ALTERNATIVE, &footer(TEXT, false));
    let read = &read_by_python(std::slice::from_ref(&after))[0];
    let text = |index: usize| read[index].1.replace("\r\n", "\n");
    assert_eq!(text(0), "grüße\n--\nThis came through Müller & Co.");
    assert_eq!(
        text(1),
        "<html><body><p>grüße</p>\n<p>This came through M&#252;ller</p></body></html>"
    );
    assert_eq!(text(3), "attached");
    let contents = look_into(&after, ALL, &Limits::default());
    assert_eq!(contents.unread, []);
    assert!(contents.texts[1].text.contains("This came through Müller"));
}

#[test]
fn a_footer_that_would_do_harm_is_refused() {
    let sealed = |kind: &str| {
        format!("Content-Type: multipart/{kind}; boundary=b\n\n--b\n\nx\n--b\n\ny\n--b--\n")
    };
    let table = [
        (sealed("signed"), CannotEdit::Sealed(Seal::Signed)),
        (sealed("encrypted"), CannotEdit::Sealed(Seal::Encrypted)),
        (
            "Content-Type: image/png\n\nx\n".to_owned(),
            CannotEdit::NoText,
        ),
        (
            "Content-Type: text/plain; charset=utf-16\n\nx\n".to_owned(),
            CannotEdit::Charset,
        ),
        (
            "Content-Type: text/plain; charset=koi8-r\n\n\u{43}\u{44}\n".to_owned(),
            CannotEdit::Charset,
        ),
        (
            "Content-Transfer-Encoding: base64\n\na*GVsbG8=\n".to_owned(),
            CannotEdit::Encoding,
        ),
        (
            "Content-Transfer-Encoding: x-other\n\nx\n".to_owned(),
            CannotEdit::Encoding,
        ),
    ];
    for (text, expected) in table {
        let message = wire(&text);
        let refused = add_footer(&message, &walk(&message), &footer(TEXT, false));
        assert_eq!(refused, Err(expected), "{text}");
    }
}

#[test]
fn a_footer_goes_into_what_is_signed_only_if_told_and_never_into_what_is_encrypted() {
    let sealed = |kind: &str| {
        format!("Content-Type: multipart/{kind}; boundary=b\n\n--b\n\nx\n--b\n\ny\n--b--\n")
    };
    let after = footed(&sealed("signed"), &footer(ASCII, true));
    let before = wire(&sealed("signed"));
    let text = String::from_utf8(after).unwrap();
    assert_eq!(
        text.replace("\r\n--\r\nChecked.", ""),
        String::from_utf8(before).unwrap()
    );
    assert!(text.contains("x\r\n--\r\nChecked.\r\n--b"), "{text}");
    let within = sealed("signed").replace("\n\nx\n", &format!("\n{}", sealed("encrypted")));
    for text in [sealed("encrypted"), within] {
        let message = wire(&text);
        let refused = add_footer(&message, &walk(&message), &footer(TEXT, true));
        assert_eq!(refused, Err(CannotEdit::Sealed(Seal::Encrypted)), "{text}");
    }
}

#[test]
fn a_note_takes_the_place_of_a_part() {
    let message = wire(ALTERNATIVE);
    let found = walk(&message);
    let last = found.last().unwrap().number;
    let note = "a.txt was removed:\nit is not wanted \u{2014} ask the postmaster.";
    let after = edited(
        &message,
        &remove_part(&message, &found, last, note).unwrap(),
    );
    let read = &read_by_python(std::slice::from_ref(&after))[0];
    assert_eq!(read[3].0, "text/plain");
    assert_eq!(read[3].1.replace("\r\n", "\n"), note);
    assert_eq!(read.len(), 4);
    assert_eq!(walk(&after).len(), found.len());
    let contents = look_into(&after, ALL, &Limits::default());
    assert!(contents.attachments.iter().all(|own| own.names.is_empty()));

    let missing = remove_part(&message, &found, PartNumber(99), note);
    assert_eq!(missing, Err(CannotEdit::NoSuchPart));
}

#[test]
fn a_message_that_is_the_attachment_keeps_its_header() {
    let message = wire(
        "From: a@example.com\nContent-Type: application/zip;\n name=a.zip\nSubject: x\n\
         Content-Transfer-Encoding: base64\nContent-Disposition: attachment\n\nUEsDBA==\n",
    );
    let found = walk(&message);
    let after = edited(
        &message,
        &remove_part(&message, &found, PartNumber(0), "gone").unwrap(),
    );
    let text = String::from_utf8(after.clone()).unwrap();
    assert_eq!(
        text.replace("\r\n", "\n"),
        "From: a@example.com\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\
         Content-Transfer-Encoding: quoted-printable\nSubject: x\n\ngone\n"
    );
    assert_eq!(read_by_python(&[after])[0][0].1.trim_end(), "gone");
}

#[test]
fn a_note_ends_where_a_boundary_has_no_line_end_of_its_own() {
    let head = "Content-Type: multipart/mixed; boundary=b\n\n";
    let text = "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\ngone\n";
    let nested = "--b\nContent-Type: message/rfc822\n\n";
    let table = [
        // Nothing between two boundaries.
        ("--b\n".to_owned(), 1, format!("--b\n{text}")),
        // A message of a header alone, without and with a type.
        (
            format!("{nested}Subject: x\n"),
            2,
            format!("{nested}Subject: x\n{text}"),
        ),
        (
            format!("{nested}Subject: x\nContent-Type: a/b\n"),
            2,
            format!("{nested}Subject: x\n{text}"),
        ),
    ];
    for (before, number, after) in table {
        let message = wire(&format!("{head}{before}--b--\n"));
        let found = walk(&message);
        let edits = remove_part(&message, &found, PartNumber(number), "gone").unwrap();
        let text = String::from_utf8(edited(&message, &edits)).unwrap();
        assert_eq!(
            text.replace("\r\n", "\n"),
            format!("{head}{after}--b--\n"),
            "{before}"
        );
    }
}

#[test]
fn a_subject_is_tagged_once() {
    let table = [
        (
            "Subject: hello\n\nx\n",
            "[SPAM]",
            "Subject: [SPAM] hello\n\nx\n",
        ),
        (
            "Subject:hello\n\nx\n",
            "[SPAM]",
            "Subject: [SPAM] hello\n\nx\n",
        ),
        (
            "From: a@example.com\n\nx\n",
            "[SPAM]",
            "From: a@example.com\nSubject: [SPAM]\n\nx\n",
        ),
    ];
    for (text, tag, expected) in table {
        let message = wire(text);
        let edit = tag_subject(&message, &walk(&message), tag).unwrap();
        let after = edited(&message, &[edit]);
        assert_eq!(after, wire(expected));
        assert_eq!(tag_subject(&after, &walk(&after), tag), None);
    }
    let message = wire("Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\n\nx\n");
    let edit = tag_subject(&message, &walk(&message), "[Wärme]").unwrap();
    let after = edited(&message, &[edit]);
    assert_eq!(
        look_into(&after, ALL, &Limits::default()).subject,
        "[Wärme] grüße"
    );
}

#[test]
fn an_edit_in_another_is_left_out() {
    let edit = |range, with: &str| Edit {
        range,
        with: with.as_bytes().to_vec(),
    };
    let edits = [
        edit(3..4, "inner"),
        edit(2..6, "outer"),
        edit(8..8, "+"),
        edit(8..8, "-"),
    ];
    assert_eq!(
        apply(&&b"0123456789"[..], edits.into()).copy(0..usize::MAX),
        b"01outer67+-89"
    );
}
