//! What milters ask for, as it comes out: the message with all edits, the envelope, and what is left
//! as it was.

mod sample;

use milter::{Answer, Conversation, Edit, Edited, Verdict, Wants};
use sample::{edited, facts};

/// What a milter that answers the end of the message with this has asked for.
fn answer(said: &[u8]) -> Answer {
    let (facts, message) = (facts(), edited("\r\n"));
    let mut conversation = Conversation::new(&facts, &message, 1 << 20, None);
    // It wants to hear of nothing but the end.
    let negotiated = [6, 0x1ff, 0x27f].map(u32::to_be_bytes);
    let negotiated = [b"\0\0\0\x0dO", negotiated.as_flattened()].concat();
    for octets in [&negotiated[..], said] {
        assert_eq!(conversation.wants(), Wants::Write);
        conversation.output().clear();
        conversation.receive(octets);
    }
    assert_eq!(conversation.wants(), Wants::Nothing);
    conversation.end(true).answer.expect("an answer")
}

/// The message behind our own trace, and what is above that.
fn outcome(edited: &Edited<'_>, message: &str) -> (String, String) {
    let mut text = message.to_owned();
    for edit in edited.edits().iter().rev() {
        text.replace_range(edit.range.clone(), str::from_utf8(&edit.with).unwrap());
    }
    (String::from_utf8(edited.top()).unwrap(), text)
}

fn text(fields: &[&str]) -> Vec<u8> {
    fields
        .iter()
        .flat_map(|field| [field.as_bytes(), b"\0"].concat())
        .collect()
}

fn packet(what: u8, number: Option<u32>, fields: &[&str]) -> Vec<u8> {
    let number = number.map(u32::to_be_bytes);
    let data = [
        number.as_ref().map_or(&[][..], |number| number),
        &text(fields),
    ]
    .concat();
    let length = u32::try_from(1 + data.len()).unwrap();
    [&length.to_be_bytes()[..], &[what], &data].concat()
}

fn add(name: &str) -> Vec<u8> {
    packet(b'h', None, &[name, "v"])
}

fn insert(behind: u32, name: &str) -> Vec<u8> {
    packet(b'i', Some(behind), &[name, "v"])
}

fn change(number: u32, name: &str, value: &str) -> Vec<u8> {
    packet(b'm', Some(number), &[name, value])
}

fn body(text: &str) -> Vec<u8> {
    let length = u32::try_from(1 + text.len()).unwrap();
    [&length.to_be_bytes()[..], b"b", text.as_bytes()].concat()
}

/// What becomes of a message when all this is asked for: what is above our own trace, and the rest.
fn changed(message: &str, said: &[Vec<u8>]) -> (String, String) {
    let mut edited = edited(message);
    edited.apply(&answer(&[said.concat(), packet(b'c', None, &[])].concat()));
    outcome(&edited, message)
}

#[test]
fn fields_are_counted_by_name_anew_for_each_change() {
    let message = "A: 1\r\nB: 1\r\na : 2\r\nA:\r\n 3\r\n\r\nx\r\n";
    let table: [(&[Vec<u8>], &str); 9] = [
        (
            &[change(2, "A", "two")],
            "A: 1\r\nB: 1\r\nA: two\r\nA:\r\n 3\r\n\r\nx\r\n",
        ),
        (&[change(3, "A", "")], "A: 1\r\nB: 1\r\na : 2\r\n\r\nx\r\n"),
        // From the end and from the front it is the same.
        (
            &[change(3, "A", ""), change(1, "A", "")],
            "B: 1\r\na : 2\r\n\r\nx\r\n",
        ),
        (
            &[change(1, "A", ""), change(1, "A", "")],
            "B: 1\r\nA:\r\n 3\r\n\r\nx\r\n",
        ),
        // rspamd's way to mark spam.
        (
            &[
                change(1, "B", ""),
                change(1, "B", ""),
                change(1, "B", "Yes"),
            ],
            "A: 1\r\na : 2\r\nA:\r\n 3\r\nB: Yes\r\n\r\nx\r\n",
        ),
        // Zero is the first one, as under Sendmail.
        (
            &[change(0, "a", "one")],
            "a: one\r\nB: 1\r\na : 2\r\nA:\r\n 3\r\n\r\nx\r\n",
        ),
        (&[change(9, "A", "")], message),
        (
            &[change(9, "A", "4")],
            "A: 1\r\nB: 1\r\na : 2\r\nA:\r\n 3\r\nA: 4\r\n\r\nx\r\n",
        ),
        (
            &[add("A"), change(4, "A", "4"), change(1, "b", "")],
            "A: 1\r\na : 2\r\nA:\r\n 3\r\nA: 4\r\n\r\nx\r\n",
        ),
    ];
    for (said, expected) in table {
        assert_eq!(changed(message, said), (String::new(), expected.to_owned()));
    }
}

#[test]
fn a_field_goes_behind_as_many_others_and_our_own_trace_is_one() {
    let message = "A: 1\r\nB: 1\r\n\r\nx\r\n";
    let table: [(&[Vec<u8>], &str, &str); 6] = [
        (&[insert(0, "N")], "N: v\r\n", message),
        (&[insert(1, "N")], "", "N: v\r\nA: 1\r\nB: 1\r\n\r\nx\r\n"),
        (&[insert(2, "N")], "", "A: 1\r\nN: v\r\nB: 1\r\n\r\nx\r\n"),
        (&[insert(3, "N")], "", "A: 1\r\nB: 1\r\nN: v\r\n\r\nx\r\n"),
        (&[insert(99, "N")], "", "A: 1\r\nB: 1\r\nN: v\r\n\r\nx\r\n"),
        (
            &[
                insert(0, "N"),
                insert(0, "O"),
                insert(2, "P"),
                insert(4, "Q"),
            ],
            "O: v\r\nN: v\r\nP: v\r\n",
            "Q: v\r\nA: 1\r\nB: 1\r\n\r\nx\r\n",
        ),
    ];
    for (said, top, below) in table {
        assert_eq!(changed(message, said), (top.to_owned(), below.to_owned()));
    }
}

/// Where mailbox files have a line before each message, our trace makes a field of it by its name.
#[test]
fn nothing_goes_before_the_line_of_a_mailbox_file() {
    let message = "From ann Mon Jan 1\r\nA: 1\r\n\r\nx\r\n";
    let table: [(&[Vec<u8>], &str, &str); 3] = [
        (
            &[insert(1, "N")],
            "",
            "From ann Mon Jan 1\r\nN: v\r\nA: 1\r\n\r\nx\r\n",
        ),
        (&[insert(0, "N")], "N: v\r\n", message),
        (&[change(1, "A", "")], "", "From ann Mon Jan 1\r\n\r\nx\r\n"),
    ];
    for (said, top, below) in table {
        let expected = (top.to_owned(), below.to_owned());
        assert_eq!(changed(message, said), expected);
    }
}

/// What is no field ends the header, here as where we count its fields.
#[test]
fn a_body_without_an_empty_line_gets_one_when_it_is_replaced() {
    let message = "A: 1\r\nno field\r\n\r\nB: 1\r\n";
    let table: [(&[Vec<u8>], &str); 3] = [
        (&[add("N")], "A: 1\r\nN: v\r\nno field\r\n\r\nB: 1\r\n"),
        (&[change(1, "B", "")], message),
        (&[body("b")], "A: 1\r\n\r\nb\r\n"),
    ];
    for (said, expected) in table {
        assert_eq!(changed(message, said).1, expected);
    }
}

#[test]
fn what_is_put_above_our_trace_is_changed_and_taken_out_like_others() {
    let message = "A: 1\r\n\r\nx\r\n";
    let said = [
        insert(0, "N"),
        insert(0, "A"),
        change(1, "A", "top"),
        change(1, "N", ""),
    ];
    assert_eq!(
        changed(message, &said),
        ("A: top\r\n".to_owned(), message.to_owned())
    );
}

#[test]
fn a_new_body_and_a_new_type_are_one_change() {
    let message = "Content-Type: text/plain\r\nA: 1\r\n\r\nx\r\n";
    let said = [
        change(1, "Content-Type", "text/html"),
        body("<p>a\n"),
        body("b</p>"),
    ];
    let expected = "Content-Type: text/html\r\nA: 1\r\n\r\n<p>a\r\nb</p>\r\n";
    assert_eq!(changed(message, &said).1, expected);
    assert_eq!(
        changed(message, &[body("")]).1,
        "Content-Type: text/plain\r\nA: 1\r\n\r\n"
    );
}

#[test]
fn a_message_without_body_or_header_takes_changes_all_the_same() {
    let table: [(&str, &[Vec<u8>], &str, &str); 9] = [
        ("A: 1\r\n", &[add("N")], "", "A: 1\r\nN: v\r\n"),
        ("A: 1\r\n", &[body("b")], "", "A: 1\r\n\r\nb\r\n"),
        (
            "A: 1\r\n",
            &[change(1, "A", ""), add("N"), body("b")],
            "",
            "N: v\r\n\r\nb\r\n",
        ),
        ("A: 1", &[add("N")], "", "A: 1\r\nN: v\r\n"),
        (
            "\r\nx\r\n",
            &[add("N"), insert(1, "O")],
            "",
            "O: v\r\nN: v\r\n\r\nx\r\n",
        ),
        // Our trace ends in an empty line before it, so all goes above.
        (
            "no header\r\n",
            &[add("N"), insert(1, "O")],
            "N: v\r\nO: v\r\n",
            "no header\r\n",
        ),
        ("no header\r\n", &[body("b")], "", "b\r\n"),
        ("", &[add("N"), body("b")], "", "N: v\r\n\r\nb\r\n"),
        ("", &[], "", ""),
    ];
    for (message, said, top, below) in table {
        let expected = (top.to_owned(), below.to_owned());
        assert_eq!(changed(message, said), expected, "{message:?}");
    }
}

#[test]
fn edits_touch_what_is_changed_and_nothing_else() {
    let message = "A: 1\r\nB: 2\r\nC: 3\r\n\r\nx\r\n";
    let mut edited = edited(message);
    let said = [
        change(1, "B", "two"),
        insert(2, "N"),
        insert(0, "T"),
        add("Z"),
    ];
    edited.apply(&answer(&[said.concat(), packet(b'c', None, &[])].concat()));
    let edit = |range, with: &str| Edit {
        range,
        with: with.into(),
    };
    let expected = [edit(6..12, "N: v\r\nB: two\r\n"), edit(18..18, "Z: v\r\n")];
    assert_eq!(edited.edits(), expected);
}

#[test]
fn the_envelope_changes_with_parameters() {
    let mut edited = edited("\r\n");
    let said = [
        packet(b'-', None, &["<bob@mail.example>"]),
        packet(b'-', None, &["nobody@mail.example"]),
        packet(b'+', None, &["<eve@MAIL.example>"]),
        packet(b'+', None, &["<bob@mail.example>"]),
        packet(b'2', None, &["new@other.example", "NOTIFY=NEVER X-OWN=1"]),
        packet(b'2', None, &["spam"]),
        packet(b'e', None, &["<>", "RET=HDRS"]),
        packet(b'c', None, &[]),
    ];
    let answer = answer(&said.concat());
    assert_eq!(answer.verdict, Verdict::Accept);
    edited.apply(&answer);
    let envelope = edited.envelope();
    assert_eq!(envelope.sender.to_string(), "<>");
    assert_eq!(envelope.parameters.to_string(), " RET=HDRS");
    let recipients = envelope.recipients.iter().map(|recipient| {
        let parameters = &recipient.parameters;
        (
            format!("{}{parameters}", recipient.mailbox),
            recipient.is_added,
        )
    });
    let expected = [
        ("eve@mail.example", false),
        ("bob@mail.example", true),
        ("new@other.example NOTIFY=NEVER", true),
        ("spam@relay.example", true),
    ];
    let expected = expected.map(|(text, is_added)| (text.to_owned(), is_added));
    assert_eq!(recipients.collect::<Vec<_>>(), expected);
}

#[test]
fn a_large_body_on_disk_is_replaced_as_a_whole() {
    let header = "A: 1\r\n\r\n";
    let sample = edited(header);
    let mut edited = Edited::new(
        header.as_bytes(),
        header.len() - 2,
        5000,
        sample.envelope().clone(),
    );
    assert_eq!(edited.body_start(), header.len());
    let said = [body("b\r\n"), packet(b'c', None, &[])].concat();
    edited.apply(&answer(&said));
    assert_eq!(edited.new_body(), Some(&b"b\r\n"[..]));
    let edits = edited.edits();
    assert_eq!(edits.len(), 1);
    assert_eq!(edits[0].range, header.len()..5000);
}
