//! What is made of files in the pickup directory and of calls of `sendmail`.

use mail::{Domain, Mailbox};
use proptest::prelude::*;
use submission::{Arguments, Content, NotSubmitted, Origin, Submission};

fn of_file(text: &str) -> Result<Submission, NotSubmitted> {
    let hostname = Domain::parse("relay.test").unwrap();
    Submission::read(text.as_bytes(), Origin::File(&hostname))
}

fn of_program(line: &str, text: &str) -> Result<Submission, NotSubmitted> {
    let words = line.split_whitespace().map(|word| word.replace('_', " "));
    let arguments = Arguments::parse(words).unwrap();
    let user = Mailbox::parse("www@relay.test").unwrap();
    Submission::read(text.as_bytes(), Origin::Program(&arguments, &user))
}

/// Sender and recipients, as they stand in a file.
fn envelope(submission: &Submission) -> String {
    let lines = submission.envelope_lines();
    let lines = lines.replace("X-Sender: ", "").replace("X-Receiver: ", "");
    lines.trim_end().replace("\r\n", " ")
}

/// The whole message as it goes behind DATA.
fn sent(submission: &Submission, text: &str) -> String {
    let (mut content, mut out) = (Content::new(), Vec::new());
    content.push(&submission.head, &mut out);
    content.push(&text.as_bytes()[submission.taken..], &mut out);
    content.finish(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_file_names_its_envelope_in_its_first_lines_or_in_its_header() {
    for (text, expected, kept) in [
        (
            "X-Sender: ann@a.test\r\nX-Receiver: bob@b.test\r\nX-Receiver: carl@b.test\r\nFrom: x@a.test\r\nTo: y@b.test\r\n\r\nhi\r\n",
            "<ann@a.test> <bob@b.test> <carl@b.test>",
            "From: x@a.test\r\nTo: y@b.test\r\n\r\nhi\r\n.\r\n",
        ),
        (
            "x-sender: <> BODY=8BITMIME RET=HDRS\nx-receiver: <bob@b.test> NOTIFY=NEVER\nFrom: x@a.test\n\nhi",
            "<> BODY=8BITMIME RET=HDRS <bob@b.test> NOTIFY=NEVER",
            "From: x@a.test\r\n\r\nhi\r\n.\r\n",
        ),
        (
            "From: Ann <ann@a.test>\nTo: Bob <bob@b.test>,\n carl@b.test\nBcc: dora@b.test,\n eve@b.test\nCc: bob@b.test\nSubject: x\n\nhi\n",
            "<ann@a.test> <bob@b.test> <carl@b.test> <dora@b.test> <eve@b.test>",
            "From: Ann <ann@a.test>\r\nTo: Bob <bob@b.test>,\r\n carl@b.test\r\nCc: bob@b.test\r\nSubject: x\r\n\r\nhi\r\n.\r\n",
        ),
        (
            "X-Receiver: root\nSender: cron@a.test\nFrom: x@a.test\nX-Receiver: eve@b.test\n\n",
            "<cron@a.test> <root@relay.test>",
            "Sender: cron@a.test\r\nFrom: x@a.test\r\nX-Receiver: eve@b.test\r\n\r\n.\r\n",
        ),
        (
            "X-Sender: ann@a.test\nX-Receiver: bob@b.test\nno header at all",
            "<ann@a.test> <bob@b.test>",
            "\r\nno header at all\r\n.\r\n",
        ),
        (
            "X-Sender: ann@a.test\nX-Receiver: bob@b.test\n\n.\n",
            "<ann@a.test> <bob@b.test>",
            "\r\n..\r\n.\r\n",
        ),
        (
            "X-Sender: ann@a.test\nX-Receiver: bob@b.test\nSubject: x\ntoken",
            "<ann@a.test> <bob@b.test>",
            "Subject: x\r\n\r\ntoken\r\n.\r\n",
        ),
        (
            "\u{feff}X-Sender: ann@a.test\r\nX-Receiver: bob@b.test\r\nSubject: x\r\n\r\nhi\r\n",
            "<ann@a.test> <bob@b.test>",
            "Subject: x\r\n\r\nhi\r\n.\r\n",
        ),
        (
            "From: j@a.test\nTo: jürgen@b.test\n\n",
            "<j@a.test> SMTPUTF8 <jürgen@b.test>",
            "From: j@a.test\r\nTo: jürgen@b.test\r\n\r\n.\r\n",
        ),
    ] {
        let submission = of_file(text).unwrap();
        assert_eq!(envelope(&submission), expected, "{text}");
        assert_eq!(sent(&submission, text), kept, "{text}");
    }
}

#[test]
fn a_file_that_makes_no_sense_is_none() {
    for (text, why) in [
        ("", "no sender is named"),
        ("From: a@a.test\n\nhi", "no recipients are named"),
        ("To: b@b.test\n\nhi", "no sender is named"),
        (
            "From: a@a.test\nTo: bob smith\n\n",
            "`bob smith` is no address: the local part holds a character that is not allowed",
        ),
        (
            "X-Sender: <a@a.test> WHAT\nX-Receiver: b@b.test\n\n",
            "`<a@a.test> WHAT` in X-Sender or X-Receiver makes no sense",
        ),
        (
            "From: a@a.test\nTo: b@127.0.0.1\n\n",
            "`b@127.0.0.1` is no address: an address stands in brackets: [127.0.0.1]",
        ),
    ] {
        let refused = of_file(text).unwrap_err().to_string();
        let start = why.split(" is no address").next().unwrap();
        assert!(refused.starts_with(start), "{text}: {refused}");
    }
}

#[test]
fn a_call_names_its_envelope_by_its_arguments() {
    let text = "To: t@b.test\nCc: c@b.test\nBcc: s@b.test\nSubject: x\n\nhi\n";
    let without_bcc = "To: t@b.test\r\nCc: c@b.test\r\nSubject: x\r\n\r\nhi\r\n.\r\n";
    for (line, expected, from) in [
        (
            "bob@b.test",
            "<www@relay.test> <bob@b.test>",
            "<www@relay.test>",
        ),
        (
            "-t",
            "<www@relay.test> <t@b.test> <c@b.test> <s@b.test>",
            "<www@relay.test>",
        ),
        (
            "-t -f ann@a.test bob@b.test",
            "<ann@a.test> <bob@b.test> <t@b.test> <c@b.test> <s@b.test>",
            "<ann@a.test>",
        ),
        (
            "-FCron_Daemon root,bob@b.test",
            "<www@relay.test> <root@relay.test> <bob@b.test>",
            "\"Cron Daemon\" <www@relay.test>",
        ),
        (
            "-f <> -N never -R hdrs bob@b.test",
            "<> RET=HDRS <bob@b.test> NOTIFY=NEVER",
            "<www@relay.test>",
        ),
        (
            "-FJürgen bob@b.test",
            "<www@relay.test> <bob@b.test>",
            "=?UTF-8?B?SsO8cmdlbg==?= <www@relay.test>",
        ),
    ] {
        let submission = of_program(line, text).unwrap();
        assert_eq!(envelope(&submission), expected, "{line}");
        let expected = format!("From: {from}\r\n{without_bcc}");
        assert_eq!(sent(&submission, text), expected, "{line}");
    }
}

/// RFC 5322 section 3.6.6: those who had it before do not get it again.
#[test]
fn what_is_sent_once_more_goes_to_those_whom_it_is_sent_to_now() {
    let text = "Resent-From: x@a.test\nResent-To: new@b.test\nResent-Bcc: s@b.test\n\
                From: x@a.test\nTo: old@b.test\nCc: c@b.test\n\nhi\n";
    let submission = of_program("-t", text).unwrap();
    let expected = "<www@relay.test> <new@b.test> <s@b.test>";
    assert_eq!(envelope(&submission), expected);
    assert!(!sent(&submission, text).contains("Resent-Bcc"));
    let submission = of_file(text).unwrap();
    assert_eq!(envelope(&submission), "<x@a.test> <new@b.test> <s@b.test>");
}

#[test]
fn a_call_leaves_the_rest_of_a_message_as_it_is() {
    for (text, expected) in [
        (
            "From: x@a.test\n\nhi\n",
            "From: x@a.test\r\n\r\nhi\r\n.\r\n",
        ),
        ("hi\n", "From: <www@relay.test>\r\n\r\nhi\r\n.\r\n"),
        ("\nhi\n", "From: <www@relay.test>\r\n\r\nhi\r\n.\r\n"),
        ("", "From: <www@relay.test>\r\n.\r\n"),
        ("OK", "From: <www@relay.test>\r\n\r\nOK\r\n.\r\n"),
        (
            "From what I see\n",
            "From: <www@relay.test>\r\n\r\nFrom what I see\r\n.\r\n",
        ),
        // What begins a file in the pickup directory is for nobody else, and adds no recipient.
        (
            "X-Receiver: eve@b.test\nFrom: x@a.test\n\nhi\n",
            "From: x@a.test\r\n\r\nhi\r\n.\r\n",
        ),
    ] {
        let submission = of_program("bob@b.test", text).unwrap();
        assert_eq!(envelope(&submission), "<www@relay.test> <bob@b.test>");
        assert_eq!(sent(&submission, text), expected, "{text:?}");
    }
}

#[test]
fn what_is_kept_as_a_file_is_read_as_the_same_again() {
    let text = "X-Receiver: eve@b.test\nX-Sender: eve@b.test\nTo: t@b.test\n\nhi\n";
    let kept = of_program("-f ann@a.test -N failure -V id7 -i bob@b.test", text);
    let kept = kept.unwrap();
    let mut file = kept.envelope_lines().into_bytes();
    file.extend_from_slice(&kept.head);
    file.extend_from_slice(&text.as_bytes()[kept.taken..]);
    let again = of_file(std::str::from_utf8(&file).unwrap()).unwrap();
    assert_eq!(again.envelope_lines(), kept.envelope_lines());
    assert_eq!(again.head, kept.head);
}

#[test]
fn nothing_in_a_message_is_kept_as_a_line_of_its_envelope() {
    for text in [
        "X-Receiver: eve@b.test\nFrom: x@a.test\n\n",
        "Bcc: secret@b.test\nX-Receiver: eve@b.test\nX-Sender: eve@b.test\nFrom: x@a.test\n\n",
        "X-Sender: eve@b.test\nBcc: secret@b.test\nX-Receiver: eve@b.test\nFrom: x@a.test\n\n",
    ] {
        let kept = of_program("bob@b.test", text).unwrap();
        let head = String::from_utf8(kept.head.clone()).unwrap();
        let again = of_file(&format!("{}{head}\r\nhi", kept.envelope_lines())).unwrap();
        assert_eq!(again.envelope_lines(), kept.envelope_lines(), "{text}");
    }
}

#[test]
fn no_name_forges_a_field() {
    let mut arguments = Arguments::parse(["bob@b.test".to_owned()]).unwrap();
    arguments.full_name = Some("x\r\nBcc: eve@b.test\"".to_owned());
    let user = Mailbox::parse("www@relay.test").unwrap();
    let submission = Submission::read(b"\nhi\n", Origin::Program(&arguments, &user)).unwrap();
    let head = String::from_utf8(submission.head).unwrap();
    assert_eq!(
        head,
        "From: \"x  Bcc: eve@b.test\\\"\" <www@relay.test>\r\n"
    );
}

/// What a line begins with, of a message that somebody made by hand.
fn line() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "",
        "token",
        " token",
        "two words: ",
        ": ",
        "Subject: ",
        "Bcc: eve@b.test ",
        "From ann ",
        "From: ann@a.test ",
        "X-Sender: ann@a.test ",
        "X-Receiver: bob@b.test ",
        "\u{feff}Subject: ",
    ])
}

proptest! {
    /// Of a message nothing is dropped but what is said to be.
    #[test]
    fn no_line_vanishes_but_those_that_are_taken_out(
        lines in prop::collection::vec(line(), 0..8),
        is_ended in any::<bool>(),
    ) {
        let lines: Vec<String> = (lines.iter().zip(0..)).map(|(line, n)| format!("{line}#{n}")).collect();
        let mut text = lines.join("\n");
        if is_ended {
            text.push('\n');
        }
        let sent = sent(&of_program("bob@b.test", &text).unwrap(), &text);
        let mut goes = false;
        for (line, n) in lines.iter().zip(0..) {
            let is_taken_out = ["Bcc", "From ", "X-"].iter().any(|name| line.starts_with(name));
            let may_go = is_taken_out || (goes && line.starts_with(' '));
            goes = !sent.contains(&format!("#{n}\r\n"));
            prop_assert!(may_go || !goes, "{text:?} {line:?} {sent:?}");
        }
    }
}
