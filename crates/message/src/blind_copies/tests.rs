use proptest::prelude::*;

use super::*;

/// What is left of a message that comes in these pieces.
fn left<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let (mut copies, mut message) = (BlindCopies::default(), Vec::new());
    for piece in pieces {
        let from = message.len();
        message.extend_from_slice(piece);
        copies.take_out(&mut message, from);
    }
    copies.finish(&mut message);
    message
}

#[test]
fn they_are_taken_out_and_nothing_else() {
    for (message, expected) in [
        (
            "To: a\r\nBcc: b\r\nCc: c\r\n\r\nx\r\n",
            "To: a\r\nCc: c\r\n\r\nx\r\n",
        ),
        // Folded, repeated, in any case, with blanks before the colon, at either end.
        (
            "BCC: b,\r\n c,\r\n\td\r\nTo: a\r\nbcc : e\r\nbCc\t :\r\n f\r\n\r\nx\r\n",
            "To: a\r\n\r\nx\r\n",
        ),
        (
            "To: a\r\nRESENT-Bcc: b\r\n c\r\nResent-To: d\r\n\r\n",
            "To: a\r\nResent-To: d\r\n\r\n",
        ),
        ("Bcc: b\r\n\r\nx\r\n", "\r\nx\r\n"),
        ("Bcc:\r\n", ""),
        ("Bcc:\r\nx: y\r\n", "x: y\r\n"),
        // Line ends that were mended elsewhere, or not.
        (
            "A: b\nBcc: c\n d\nE: f\n\nBcc: g\n",
            "A: b\nE: f\n\nBcc: g\n",
        ),
        // A line of a mailbox file stays.
        (
            "From ann Mon\r\nBcc: b\r\nTo: a\r\n\r\n",
            "From ann Mon\r\nTo: a\r\n\r\n",
        ),
    ] {
        assert_eq!(
            left([message.as_bytes()]).escape_ascii().to_string(),
            expected.as_bytes().escape_ascii().to_string()
        );
    }
}

#[test]
fn what_is_none_stays() {
    for message in [
        "To: a\r\nBcc-List: b\r\nX-Bcc: c\r\nBc: d\r\nResent-Bccs: e\r\n\r\nBcc: f\r\n",
        "To: a\r\n Bcc: b\r\n\r\n",
        "To: a\r\nno field\r\nBcc: b\r\n",
        "Bcc x: b\r\n\r\n",
        "Bcc\r\n",
        "bcc  ",
        "B",
        "\r\nBcc: b\r\n",
        "From Bcc: b\r\n",
        "text\r\n",
        "",
    ] {
        assert_eq!(
            left([message.as_bytes()]).escape_ascii().to_string(),
            message.as_bytes().escape_ascii().to_string()
        );
    }
}

#[test]
fn endless_blanks_before_the_colon_cost_no_memory_and_hide_nothing() {
    let mut copies = BlindCopies::default();
    let mut message = b"bcc".to_vec();
    copies.take_out(&mut message, 0);
    for _ in 0..100 {
        message.extend([b' '; 1000]);
        copies.take_out(&mut message, 0);
        assert!(message.is_empty() && copies.held.len() <= LINE_LEN);
    }
    message.extend(b": b\r\nTo: a\r\n");
    copies.take_out(&mut message, 0);
    copies.finish(&mut message);
    assert_eq!(message, b"To: a\r\n");
}

#[test]
fn a_long_name_is_no_such_name() {
    for name in ["resent-bcc-", "bcc", "x"] {
        let message = name.repeat(2 * LINE_LEN) + ": x\r\nTo: a\r\n";
        assert_eq!(left([message.as_bytes()]), message.as_bytes());
    }
}

/// A header of fields that are left and fields that are not, with the former alone.
fn headers() -> impl Strategy<Value = (String, String)> {
    let field = (
        "(BCC|bcc|Resent-Bcc|Bcc [ \t]|To|Bccs|X|Re|resent-bc|From)",
        "[ a:\t]{0,5}(\r\n[ \t]Bcc: x){0,2}",
    );
    prop::collection::vec(field, 0..6).prop_map(|fields| {
        let (mut whole, mut left) = (String::new(), String::new());
        for (name, value) in fields {
            let field = format!("{name}:{value}\r\n");
            whole.push_str(&field);
            if !names_blind_copies(name.trim_end().as_bytes()) {
                left.push_str(&field);
            }
        }
        (whole, left)
    })
}

proptest! {
    #[test]
    fn cuts_change_nothing(message in "(Bcc|bcc|resent-|To|From |>|x|:|[: \\r\\n\\t]|\r\n){0,40}", cut in 1usize..9) {
        let whole = left([message.as_bytes()]);
        prop_assert_eq!(left(message.as_bytes().chunks(cut)), whole);
    }

    #[test]
    fn of_a_header_the_others_are_left((whole, expected) in headers(), cut in 1usize..9) {
        for end in ["\r\nBcc: text\r\n", "", "text\r\n"] {
            // Behind no field at all, text is text.
            let (whole, expected) = (format!("A: b\r\n{whole}{end}"), format!("A: b\r\n{expected}{end}"));
            let found = left(whole.as_bytes().chunks(cut));
            prop_assert_eq!(String::from_utf8_lossy(&found), expected);
        }
    }
}
