use proptest::prelude::*;

use super::*;

fn author() -> Mailbox {
    Mailbox::parse("scanner@contoso.example").unwrap()
}

/// Whoever is not at localhost is found.
fn rewritten(header: &str) -> String {
    let reaches = |mailbox: &Mailbox| !mailbox.as_str().ends_with("@localhost");
    let written = with_author(header.as_bytes(), &author(), &reaches);
    String::from_utf8(written).unwrap()
}

const NEW: &str = "From: <scanner@contoso.example>\r\n";

/// As printers, scanners, cron, monitoring and applications write it.
#[test]
fn each_header_of_a_device_is_from_the_author_alone() {
    for (before, after) in [
        ("From: printer@localhost\r\n", NEW),
        ("FROM:printer@localhost\r\n", NEW),
        ("From : <printer@localhost>\r\n", NEW),
        ("From: printer\r\n", NEW),
        ("From:\r\n", NEW),
        (
            "From: \"MFP-3 2nd floor\" <printer@localhost>\r\n",
            "From: \"MFP-3 2nd floor\" <scanner@contoso.example>\r\n",
        ),
        (
            "From: printer@localhost <printer@localhost>\r\n",
            "From: printer localhost <scanner@contoso.example>\r\n",
        ),
        (
            "From: root@localhost (Cron Daemon)\r\n",
            "From: <scanner@contoso.example> (Cron Daemon)\r\n",
        ),
        (
            "From: =?UTF-8?B?S8O8Y2hl?=\r\n <printer@localhost>\r\n",
            "From: =?UTF-8?B?S8O8Y2hl?= <scanner@contoso.example>\r\n",
        ),
        // A name that would make no field goes.
        ("From: (Printer <printer@localhost>\r\n", NEW),
        ("From: \"Printer <printer@localhost>\r\n", NEW),
        ("From: Printer > hall <printer@localhost>\r\n", NEW),
        ("From: Hall [2] <printer@localhost>\r\n", NEW),
        ("From: printer@localhost (Hall\r\n", NEW),
        ("From: Printer <\r\n", NEW),
        (
            "From: Ann) <ann@a.test>\r\n",
            "From: <scanner@contoso.example>\r\nReply-To: <ann@a.test>\r\n",
        ),
        // Answers go to whom they went.
        (
            "From: Ann <ann@a.test>\r\n",
            "From: Ann <scanner@contoso.example>\r\nReply-To: Ann <ann@a.test>\r\n",
        ),
        (
            "From: ann@a.test\r\nreply-to: help@a.test\r\n",
            "From: <scanner@contoso.example>\r\nreply-to: help@a.test\r\n",
        ),
        // Several authors have a Sender; there is one author now, who is the sender.
        (
            "From: A <a@a.test>, p@localhost,\r\n B <b@b.test>\r\nSender: p@localhost\r\n",
            "From: A <scanner@contoso.example>\r\nReply-To: A <a@a.test>,\r\n B <b@b.test>\r\n",
        ),
        (
            "From: Us: a@a.test, B <p@localhost>;\r\n",
            "From: <scanner@contoso.example>\r\nReply-To: a@a.test\r\n",
        ),
        // Exactly one From is allowed.
        (
            "A: b\r\nFrom: Ann <p@localhost>\r\nC: d\r\nFrom: b@b.test\r\n",
            "A: b\r\nFrom: Ann <scanner@contoso.example>\r\nReply-To: b@b.test\r\nC: d\r\n",
        ),
        (
            "Subject: x\r\n",
            "Subject: x\r\nFrom: <scanner@contoso.example>\r\n",
        ),
        (
            "Subject: x",
            "Subject: x\r\nFrom: <scanner@contoso.example>\r\n",
        ),
        ("", NEW),
        // Others with a similar name, and continuations, are none.
        (
            "X-From: a@b.test\r\nSubject: x\r\n From: y\r\nFrom: p@localhost\r\n",
            "X-From: a@b.test\r\nSubject: x\r\n From: y\r\nFrom: <scanner@contoso.example>\r\n",
        ),
    ] {
        assert_eq!(rewritten(before), after, "{before}");
    }
}

#[test]
fn a_long_name_goes_before_a_line_of_its_own_for_the_address() {
    let name = "n".repeat(60);
    let written = rewritten(&format!("From: {name} <p@localhost>\r\n"));
    assert_eq!(
        written,
        format!("From: {name}\r\n <scanner@contoso.example>\r\n")
    );
}

/// Fields that are rewritten begin with these names.
fn others(header: &[u8]) -> Vec<u8> {
    let is_other = |field: &RawField<'_>| {
        !["From", "Sender", "Reply-To"]
            .iter()
            .any(|name| field.is(name))
    };
    let fields = RawField::all(header).filter(is_other);
    fields.flat_map(|field| field.raw.to_vec()).collect()
}

proptest! {
    #[test]
    fn all_other_octets_stay_and_there_is_one_author(
        header in "((From|Sender|Reply-To|Subject|X-A|To)[ ]?:[ -~\u{e4}]{0,30}(\r\n[ \t][!-~]{1,9})?\r\n){0,6}",
    ) {
        let written = with_author(header.as_bytes(), &author(), &|_| true);
        prop_assert_eq!(others(&written), others(header.as_bytes()));
        let from: Vec<_> = RawField::all(&written).filter(|field| field.is("From")).collect();
        prop_assert_eq!(from.len(), 1);
        let read = listed_mailboxes(from[0].value);
        let addresses: Vec<_> = read.iter().filter_map(ListedMailbox::mailbox).collect();
        prop_assert_eq!(addresses, vec![author()]);
        let answers = RawField::all(&written).filter(|field| field.is("Reply-To"));
        let own = answers.filter(|field| !header.as_bytes().windows(field.raw.len()).any(|w| w == field.raw));
        let all = read.into_iter().chain(own.flat_map(|field| listed_mailboxes(field.value)));
        prop_assert!(all.into_iter().all(|entry| entry.is_sound));
        prop_assert!(!RawField::all(&written).any(|field| field.is("Sender")));
    }
}
