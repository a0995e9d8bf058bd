//! What is found in messages, as their readers would see them.

use contents::{Contents, Kind, Limits, Seal, Wanted, Why, look_into, parts};

const ALL: Wanted = Wanted {
    texts: true,
    archives: true,
};

/// A message is written here with bare line ends.
fn wire(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}

fn look(text: &str) -> Contents {
    look_into(&wire(text), ALL, &Limits::default())
}

fn whys(contents: &Contents) -> Vec<String> {
    contents.unread.iter().map(ToString::to_string).collect()
}

/// Place, names, and kind of each attachment.
fn attachments(contents: &Contents) -> Vec<(&str, Vec<&str>, Kind)> {
    contents
        .attachments
        .iter()
        .map(|own| {
            (
                own.place.as_str(),
                own.names.iter().map(String::as_str).collect(),
                own.kind,
            )
        })
        .collect()
}

const MIXED: &str = "\
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=
From: ann@example.com
Content-Type: multipart/mixed; boundary=\"outer\"

preamble
--outer
Content-Type: multipart/alternative; boundary=inner

--inner
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

caf=E9
--inner
Content-Type: text/html

<p>fr<b>ee</b>&nbsp;money</p>
--inner--

--outer
Content-Type: application/pdf; name=\"a.pdf\"
Content-Disposition: attachment; filename=\"a.exe\"
Content-Transfer-Encoding: base64

JVBERi0xLjcK
--outer
Content-Type: message/rfc822

Subject: inner
Content-Type: multipart/mixed; boundary=deep

--deep

first of the inner
--deep
Content-Disposition: attachment; filename*=utf-8''%E2%82%AC.js

var a;
--deep--
--outer--
epilogue
";

#[test]
fn a_message_is_told_as_its_reader_sees_it() {
    let contents = look(MIXED);
    assert_eq!(contents.subject, "Grüße");
    assert_eq!(contents.fields.len(), 3);
    assert_eq!(
        (
            contents.fields[1].name.as_str(),
            contents.fields[1].value.as_str()
        ),
        ("From", "ann@example.com")
    );
    let texts: Vec<(&str, bool, &str)> = contents
        .texts
        .iter()
        .map(|text| (text.place.as_str(), text.is_html, text.text.trim()))
        .collect();
    assert_eq!(
        texts,
        [
            ("1.1", false, "café"),
            ("1.2", true, "free\u{a0}money"),
            ("3.1", false, "first of the inner"),
            ("3.2", false, "var a;"),
        ]
    );
    assert_eq!(
        attachments(&contents),
        [
            ("2", vec!["a.pdf", "a.exe"], Kind::Pdf),
            ("3", vec![], Kind::Message),
            ("3.2", vec!["€.js"], Kind::Script),
        ]
    );
    assert!(
        contents.attachments[0].disagrees()
            || contents.attachments[0].extensions() == ["exe", "pdf"]
    );
    assert_eq!(contents.unread, []);
}

#[test]
fn parts_lie_where_they_stand() {
    let message = wire(MIXED);
    let found = parts(&message, &Limits::default());
    let places: Vec<&str> = found.iter().map(|part| part.place.as_str()).collect();
    assert_eq!(places, ["", "1", "1.1", "1.2", "2", "3", "3", "3.1", "3.2"]);
    let text =
        |range: std::ops::Range<usize>| String::from_utf8_lossy(&message[range]).into_owned();
    assert_eq!(text(found[2].body.clone()), "caf=E9");
    assert!(text(found[2].whole()).starts_with("Content-Type: text/plain"));
    assert_eq!(text(found[4].body.clone()), "JVBERi0xLjcK");
    assert!(text(found[5].body.clone()).ends_with("--deep--"));
    assert_eq!(found[0].whole(), 0..message.len());
}

#[test]
fn an_encoded_message_is_looked_into() {
    // Subject: x, and a text.
    let contents = look(
        "Content-Type: message/rfc822; name=\"old.eml\"\nContent-Transfer-Encoding: base64\n\n\
         U3ViamVjdDogeAoKaGVsbG8K\n",
    );
    assert_eq!(contents.texts[0].text, "hello\n");
    assert_eq!(contents.texts[0].place, "1.1");
    assert_eq!(
        attachments(&contents),
        [("1", vec!["old.eml"], Kind::Message)]
    );
}

#[test]
fn what_clients_read_in_two_ways_is_told() {
    let table = [
        (
            "Content-Type: text/plain\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n",
            "message: broken: a MIME field stands twice",
        ),
        (
            "Content-Type: multipart/mixed\n\n--b\n\nx\n",
            "message: broken: a multipart without a boundary",
        ),
        (
            "Content-Type: multipart/mixed; boundary=b\n\nnothing\n",
            "message: broken: its boundary never comes",
        ),
        (
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--bc\ny\n--b--\n",
            "message: broken: a line that is nearly a boundary",
        ),
        (
            "Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\n--b\n\nx\n--b--\n",
            "message: broken: an encoded multipart",
        ),
        (
            "Subject: x\nno field at all\n\nx\n",
            "1: broken: a line in a header that is no field",
        ),
        (
            "Content-Transfer-Encoding: base64\n\naGVs*bG8=\n",
            "1: broken: its transfer encoding",
        ),
        (
            "Content-Transfer-Encoding: rot13\n\nx\n",
            "1: broken: an unknown transfer encoding",
        ),
        (
            "Content-Type: text/plain; charset=klingon\n\nx\n",
            "1: broken: an unknown charset",
        ),
        (
            "Subject: x\n\nhello\n-----BEGIN PGP MESSAGE-----\n",
            "1: encrypted",
        ),
        (
            "Subject: x\n\nhello\nbegin 644 run.exe\n#86%T\n`\nend\n",
            "1: uuencode is not inspected",
        ),
        (
            "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\n\nx\n",
            "1: encrypted",
        ),
        (
            "Content-Type: application/pkcs7-mime; smime-type=signed-data\n\nx\n",
            "1: pkcs7 is not inspected",
        ),
        (
            "Content-Type: message/partial; id=x; number=1\n\nSubject: x\n",
            "1: partial is not inspected",
        ),
        (
            "Content-Type: application/ms-tnef; name=winmail.dat\nContent-Transfer-Encoding: base64\n\neJ8+IgAA\n",
            "1: tnef is not inspected",
        ),
    ];
    for (text, expected) in table {
        assert!(
            whys(&look(text)).iter().any(|why| why == expected),
            "{text}\n{:?}",
            whys(&look(text))
        );
    }
}

#[test]
fn a_line_before_the_fields_hides_nothing() {
    let part = "Content-Type: application/octet-stream; name=run.exe\n\nx\n";
    let top = format!("no field\n{part}");
    let nested =
        format!("Content-Type: multipart/mixed; boundary=b\n\n--b\nno field\n{part}--b--\n");
    for text in [top, nested] {
        let contents = look(&text);
        assert_eq!(contents.attachments[0].names, ["run.exe"], "{text}");
        assert_eq!(
            whys(&contents),
            ["1: broken: a part without a header"],
            "{text}"
        );
    }
    let contents = look(
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nA text: only\nof words\n\nx\n--b--\n",
    );
    assert_eq!(contents.texts.len(), 1);
    let contents = look(
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nonly words\nand: more\n\nx\n--b--\n",
    );
    assert!(contents.texts[0].text.starts_with("only words"));
    let contents = look_into(
        b"Subject: x\rContent-Type: text/html\r\n\r\nx",
        ALL,
        &Limits::default(),
    );
    assert_eq!(whys(&contents), ["1: broken: a bare CR in a header"]);
}

#[test]
fn plain_mail_leaves_nothing_unread() {
    for text in [
        "Subject: x\n\nbegin with a word\n",
        "Subject: x\n",
        "\nonly a body\n",
        "",
    ] {
        assert_eq!(whys(&look(text)), Vec::<String>::new(), "{text}");
        assert_eq!(attachments(&look(text)), []);
    }
}

#[test]
fn limits_hold() {
    let many = |count: usize| {
        let part = "--b\n\nx\n";
        format!(
            "Content-Type: multipart/mixed; boundary=b\n\n{}--b--\n",
            part.repeat(count)
        )
    };
    let limits = Limits {
        parts: 5,
        text: 10,
        ..Limits::default()
    };
    let contents = look_into(&wire(&many(10)), ALL, &limits);
    assert_eq!(contents.texts.len(), 4);
    assert_eq!(whys(&contents), ["message: too many parts or entries"]);

    let contents = look_into(&wire("Subject: x\n\n0123456789abc\n"), ALL, &limits);
    assert!(contents.texts[0].text.starts_with("0123456789"));
    assert!(contents.texts[0].text.len() < 15);
    assert_eq!(whys(&contents), ["1: too large when unpacked"]);

    let nested = "Content-Type: message/rfc822\n\n".repeat(20);
    let contents = look(&nested);
    assert!(
        contents
            .unread
            .iter()
            .any(|unread| unread.why == Why::TooDeep)
    );
    assert_eq!(contents.attachments.len(), 7);

    let deep: String = (0..500)
        .map(|level| format!("Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n"))
        .collect();
    let contents = look(&deep);
    assert!(
        contents
            .unread
            .iter()
            .any(|unread| unread.why == Why::TooDeep)
    );
}

#[test]
fn what_is_signed_or_encrypted_is_known() {
    let sealed = |kind: &str| {
        wire(&format!(
            "Content-Type: multipart/{kind}; boundary=b\n\n--b\n\nx\n--b\n\ny\n--b--\n"
        ))
    };
    let seal = |message: &[u8]| parts(&message, &Limits::default())[1].seal;
    assert_eq!(seal(&sealed("signed")), Some(Seal::Signed));
    assert_eq!(seal(&sealed("encrypted")), Some(Seal::Encrypted));
    assert_eq!(seal(&sealed("mixed")), None);
    let contents = look_into(&sealed("encrypted"), ALL, &Limits::default());
    assert_eq!(whys(&contents), ["message: encrypted"]);
}
