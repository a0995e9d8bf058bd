use mail::{BodyKind, Domain, Mailbox, OriginalRecipient, QueueId, Reply, Ret, Timestamp};
use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_769_903_999_000);
const HEAD: &[u8] = b"Received: from client.example\r\n";
const CONTENT: &[u8] = b"Subject: report\r\nX: y\r\n\r\nthe body\r\n";

/// What a test varies.
struct Case {
    to: Mailbox,
    recipient: Mailbox,
    action: Action,
    reply: Reply,
    host: Option<&'static str>,
    original: Original<'static>,
    orcpt: &'static str,
    reply_to: Option<Mailbox>,
}

impl Case {
    fn new(action: Action) -> Self {
        Self {
            to: Mailbox::parse("ann@client.example").unwrap(),
            recipient: Mailbox::parse("bob@example.com").unwrap(),
            action,
            reply: Reply::from_peer(550, Some((1, 1)), "no such user").unwrap(),
            reply_to: None,
            host: Some("mx.example.com [192.0.2.1]:25"),
            original: Original {
                id: QueueId::new(NOW, 1),
                arrived: NOW,
                envid: Some("a+2Bb"),
                ret: None,
                smtputf8: false,
                head: HEAD,
                content: CONTENT,
                complete: true,
            },
            orcpt: "rfc822;bob+2Bx@example.com",
        }
    }

    fn write(&self) -> Notice {
        let hostname = Domain::parse("relay.example.com").unwrap();
        let orcpt = OriginalRecipient::new(self.orcpt).unwrap();
        let recipients = [NoticeRecipient {
            recipient: &self.recipient,
            original: Some(&orcpt),
            action: self.action,
            reply: Some(Cow::Borrowed(&self.reply)),
            host: self.host,
            last_attempt: Some(NOW),
            retry_until: (self.action == Action::Delayed).then_some(NOW),
        }];
        let notice = notice(&NoticeFacts {
            id: QueueId::new(NOW, 2),
            hostname: &hostname,
            sender_domain: &hostname,
            now: NOW,
            to: &self.to,
            copy_of: None,
            original: self.original,
            recipients: &recipients,
            reply_to: self.reply_to.as_ref(),
            return_size_max: 10_000,
        });
        check_lines(&notice);
        notice
    }

    fn text(&self) -> String {
        String::from_utf8(self.write().content).unwrap()
    }
}

/// Every line ends in CRLF and may be sent; the declared kinds are true.
fn check_lines(notice: &Notice) {
    let content = &notice.content;
    assert!(content.ends_with(b"\r\n"));
    for line in content.split_inclusive(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r\n").expect("CRLF ends each line");
        assert!(line.len() <= 998 && !line.contains(&b'\r') && !line.contains(&0));
    }
    assert_eq!(
        notice.parameters.body == BodyKind::EightBit,
        !content.is_ascii()
    );
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

#[test]
fn a_failure_tells_people_and_programs_what_the_server_said() {
    let text = Case::new(Action::Failed).text();
    has(
        &text,
        &[
            "From: Mail Delivery System <postmaster@relay.example.com>\r\nTo: <ann@client.example>\r\n",
            "\r\nSubject: Your message could not be delivered\r\n",
            "\r\nDate: Sat, 31 Jan 2026 23:59:59 +0000\r\n",
            "\r\nMessage-ID: <",
            "\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n",
            "multipart/report; report-type=delivery-status;\r\n\tboundary=\"gatepost-",
            "\r\n<bob@example.com>\r\n    mx.example.com [192.0.2.1]:25 said:\r\n    550 5.1.1 no such user\r\n",
            "Content-Type: message/delivery-status\r\n",
            "\r\n\r\nReporting-MTA: dns; relay.example.com\r\nOriginal-Envelope-Id: a+b\r\nArrival-Date: Sat, ",
            "\r\n\r\nOriginal-Recipient: rfc822;bob+x@example.com\r\nFinal-Recipient: rfc822; bob@example.com\r\n\
             Action: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx.example.com\r\n\
             Diagnostic-Code: smtp; 550 5.1.1 no such user\r\nLast-Attempt-Date: Sat, ",
            "Content-Type: text/rfc822-headers\r\n",
            "\r\n\r\nReceived: from client.example\r\nSubject: report\r\nX: y\r\n\r\n--gatepost-",
        ],
    );
    assert!(!text.contains("the body"));
    assert!(text.ends_with("--\r\n"));
}

#[test]
fn each_action_has_its_words_and_status() {
    let cases = [
        (
            Action::Expired,
            "Action: failed\r\nStatus: 5.4.7\r\n",
            "could not be delivered",
        ),
        (
            Action::Delayed,
            "Action: delayed\r\nStatus: 4.1.1\r\n",
            "is delayed",
        ),
        (
            Action::Relayed,
            "Action: relayed\r\nStatus: 2.1.1\r\n",
            "was passed on",
        ),
        (
            Action::Delivered,
            "Action: delivered\r\nStatus: 2.1.1\r\n",
            "was delivered",
        ),
    ];
    for (action, fields, subject) in cases {
        has(
            &Case::new(action).text(),
            &[fields, &format!("Subject: Your message {subject}\r\n")],
        );
    }
    let delayed = Case::new(Action::Delayed).text();
    has(
        &delayed,
        &[
            "\r\nWill-Retry-Until: Sat, ",
            "you need not send it again",
            "tried until Sat,",
        ],
    );
}

#[test]
fn what_a_server_said_and_what_we_concluded_are_told_apart() {
    let ours = || Reply::new(451, 4, 1, "Could not connect: connection refused");
    let theirs = || Reply::from_peer(451, Some((7, 1)), "greylisted").unwrap();
    let host = Some("mx.example.com [192.0.2.1]:25");
    type Parts = &'static [&'static str];
    let cases: [(Action, Reply, Option<&'static str>, Parts); 4] = [
        // The time was up, which we say; what the server said last stands as its words.
        (
            Action::Expired,
            theirs(),
            host,
            &[
                "    mx.example.com [192.0.2.1]:25 said:\r\n    451 4.7.1 greylisted\r\n",
                "Status: 5.4.7\r\nRemote-MTA: dns; mx.example.com\r\nDiagnostic-Code: smtp; 451 4.7.1 greylisted\r\n",
            ],
        ),
        // No server answered: these words are ours.
        (
            Action::Expired,
            ours(),
            host,
            &[
                "    This relay says of mx.example.com [192.0.2.1]:25:\r\n    451 4.4.1 Could not",
                "Status: 5.4.7\r\nDiagnostic-Code: x-gatepost; 451 4.4.1 Could not",
            ],
        ),
        (
            Action::Delayed,
            ours(),
            None,
            &[
                "    This relay says:\r\n    451 4.4.1 Could not",
                "Status: 4.4.1\r\nDiagnostic-Code: x-gatepost; 451 4.4.1 Could not",
            ],
        ),
        (
            Action::Relayed,
            Reply::from_peer(250, None, "taken").unwrap(),
            host,
            &[
                "Status: 2.0.0\r\nRemote-MTA: dns; mx.example.com\r\nDiagnostic-Code: smtp; 250 taken\r\n",
            ],
        ),
    ];
    for (action, reply, host, parts) in cases {
        let text = Case {
            reply,
            host,
            ..Case::new(action)
        }
        .text();
        has(&text, parts);
        assert_eq!(
            text.contains("Remote-MTA"),
            text.contains("Diagnostic-Code: smtp;"),
            "{text}"
        );
    }
}

#[test]
fn a_remote_mta_is_a_domain_or_an_address_literal_without_a_port() {
    let cases = [
        ("mx.example.com [192.0.2.1]:25", "mx.example.com"),
        ("[127.0.0.1]:2525", "[127.0.0.1]"),
        ("[2001:db8::1]:25", "[IPv6:2001:db8::1]"),
    ];
    for (host, name) in cases {
        let case = Case {
            host: Some(host),
            ..Case::new(Action::Failed)
        };
        has(&case.text(), &[&format!("\r\nRemote-MTA: dns; {name}\r\n")]);
    }
}

#[test]
fn names_with_blanks_are_written_decoded_and_anything_worse_as_it_came() {
    let cases = [
        ("a+20b", "a b"),
        ("a+20+20b+2Bc", "a  b+c"),
        ("a+0Db", "a+0Db"),
        ("a+09b", "a+09b"),
        ("a+E4b", "a+E4b"),
    ];
    for (envid, decoded) in cases {
        let mut case = Case::new(Action::Failed);
        case.original.envid = Some(envid);
        has(
            &case.text(),
            &[&format!("\r\nOriginal-Envelope-Id: {decoded}\r\n")],
        );
    }
    let case = Case {
        orcpt: "rfc822;\"Ann+20B\"@else.test",
        ..Case::new(Action::Failed)
    };
    has(
        &case.text(),
        &["\r\nOriginal-Recipient: rfc822;\"Ann B\"@else.test\r\n"],
    );
}

#[test]
fn answers_go_to_the_postmaster_of_the_configuration() {
    let mut case = Case::new(Action::Failed);
    assert!(!case.text().contains("Reply-To"));
    case.reply_to = Mailbox::parse("help@office.example").ok();
    let header = case.text();
    let header = header.split("\r\n\r\n").next().unwrap();
    has(header, &["\r\nReply-To: <help@office.example>"]);
    // Never an address that the notice cannot carry.
    case.reply_to = Mailbox::parse("jürgen@office.example").ok();
    assert!(!case.text().contains("Reply-To"));
}

#[test]
fn a_notice_can_be_made_shorter_once_and_says_the_same_to_programs() {
    let mut case = Case::new(Action::Failed);
    case.original.ret = Some(Ret::Full);
    let long = case.write();
    let short = shortened(&long.content).unwrap();
    check_lines(&Notice {
        content: short.clone(),
        ..long.clone()
    });
    let (text, before) = (String::from_utf8(short.clone()).unwrap(), case.text());
    let part = |text: &str| {
        let at = text.find("Reporting-MTA").unwrap();
        text[at..].split("\r\n--").next().unwrap().to_owned()
    };
    assert_eq!(part(&text), part(&before));
    assert!(!text.contains("the body") && text.ends_with("--\r\n"));
    assert!(text.len() + 400 < before.len(), "{}", text.len());
    assert_eq!(shortened(&short), None);
    assert_eq!(shortened(b"Subject: boundary=\"x\"\r\n\r\n"), None);
}

#[test]
fn the_whole_message_comes_back_when_it_was_asked_for_and_fits() {
    let mut case = Case::new(Action::Failed);
    case.original.ret = Some(Ret::Full);
    has(
        &case.text(),
        &[
            "Content-Type: message/rfc822\r\n",
            "\r\n\r\nReceived: from client.example\r\nSubject: report\r\nX: y\r\n\r\nthe body\r\n",
        ],
    );

    let headers_only = |case: &Case| assert!(!case.text().contains("the body"));
    headers_only(&Case {
        original: Original {
            complete: false,
            ..case.original
        },
        ..Case::new(Action::Failed)
    });
    headers_only(&Case {
        original: case.original,
        ..Case::new(Action::Delivered)
    });
    let long: &'static [u8] = [CONTENT, &[b'x'; 10_000]].concat().leak();
    headers_only(&Case {
        original: Original {
            content: long,
            ..case.original
        },
        ..Case::new(Action::Failed)
    });
    let overlong: &'static [u8] = [CONTENT, &[b'x'; 999], b"\r\n"].concat().leak();
    headers_only(&Case {
        original: Original {
            content: overlong,
            ..case.original
        },
        ..Case::new(Action::Failed)
    });
    let bare: &'static [u8] = [CONTENT, b"a\nb\r\n"].concat().leak();
    headers_only(&Case {
        original: Original {
            content: bare,
            ..case.original
        },
        ..Case::new(Action::Failed)
    });
}

#[test]
fn smtputf8_messages_get_the_forms_of_rfc_6533() {
    let mut case = Case::new(Action::Failed);
    case.original.smtputf8 = true;
    assert!(
        !case.write().parameters.smtputf8,
        "all of it is ASCII: the ordinary forms serve everybody"
    );
    case.recipient = Mailbox::parse("jürgen@example.com").unwrap();
    let notice = case.write();
    assert!(notice.parameters.smtputf8);
    has(
        std::str::from_utf8(&notice.content).unwrap(),
        &[
            "Content-Type: message/global-delivery-status\r\n",
            "Final-Recipient: utf-8; jürgen@example.com\r\n",
            "Content-Type: message/global-headers\r\n",
        ],
    );
}

#[test]
fn raw_octets_in_an_old_header_come_back_as_they_are() {
    let mut case = Case::new(Action::Failed);
    case.original.content = b"Subject: K\xe4se\r\n\r\nbody\r\n";
    let notice = case.write();
    assert!(!notice.parameters.smtputf8);
    let at = |part: &[u8]| notice.content.windows(part.len()).any(|w| w == part);
    assert!(
        at(b"Subject: K\xe4se\r\n")
            && at(b"Content-Transfer-Encoding: 8bit\r\n\r\nThis is a notice")
    );
    assert!(at(
        b"Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: 8bit\r\n"
    ));
}

#[test]
fn overlong_header_lines_are_folded_and_endless_headers_cut() {
    let mut case = Case::new(Action::Failed);
    case.original.content = [b"Subject: ".as_slice(), &[b'x'; 3000], b"\r\nX: y\r\n\r\n"]
        .concat()
        .leak();
    has(&case.text(), &["\r\nX: y\r\n"]);
    case.original.content = b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n"
        .repeat(10_000)
        .leak();
    assert!(case.write().content.len() < 80_000);
}

proptest! {
    #[test]
    fn no_peer_can_write_a_field(reply in "\\PC{0,300}|[ -~]{900,1100}", content in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut case = Case::new(Action::Failed);
        case.reply = Reply::from_peer(550, None, &format!("{reply}\r\nAction: delivered")).unwrap();
        case.original.content = content.leak();
        case.original.ret = Some(Ret::Full);
        let notice = case.write();
        let text = String::from_utf8_lossy(&notice.content);
        prop_assert!(!text.contains("\r\nAction: delivered"));
    }
}
