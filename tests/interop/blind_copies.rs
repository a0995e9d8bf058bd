//! Who gets a message without others knowing is not told by its header, where that was written by one
//! of our own; what others send stays as it is.

use crate::client::Dialogue;
use crate::program::run;
use crate::server::Received;
use crate::submission_setup::{PASSWORD, SubmissionSetup, USER};

/// As programs send that leave Bcc to their server: the field stands in what is handed over.
const SMTPLIB: &str = r#"
import smtplib, ssl, sys
host, port, source, trust, user, password, who = sys.argv[1:8]
with smtplib.SMTP(host, int(port), local_hostname="client.test", source_address=(source, 0), timeout=30) as smtp:
    if user:
        smtp.starttls(context=ssl.create_default_context(cafile=trust))
        smtp.login(user, password)
    for size, lines in (("small", 1), ("large", 40000)):
        message = (
            "BCC: secret@far.test,\r\n\tsecret2@far.test\r\nDate: Mon, 06 Jul 2026 10:00:00 +0000\r\n"
            f"Message-ID: <{who}-{size}@client.test>\r\nFrom: ann@hosted.test\r\nbcc : secret@far.test\r\n"
            f"Subject: {who}-{size}\r\nResent-Bcc:\r\n secret@far.test\r\nX-Bcc: none\r\n\r\nBcc: text\r\n"
            + "..0123456789abcdef0123456789abcdef\r\n" * lines
        )
        # Another transaction each, as the server tells them apart by their recipients.
        for to in ("bob@hosted.test", "secret@far.test"):
            if user or who == "listed" or to.endswith("@hosted.test"):
                assert smtp.sendmail("ann@hosted.test", [to], message) == {}
"#;

/// What of it was written, and what is left.
fn texts(subject: &str) -> (String, String) {
    let lines = if subject.ends_with("small") {
        1
    } else {
        40_000
    };
    let body =
        "\r\nBcc: text\r\n".to_owned() + &"..0123456789abcdef0123456789abcdef\r\n".repeat(lines);
    let date = "Date: Mon, 06 Jul 2026 10:00:00 +0000\r\n";
    let named = format!("Message-ID: <{subject}@client.test>\r\nFrom: ann@hosted.test\r\n");
    let subject = format!("Subject: {subject}\r\n");
    let (first, second) = (
        "BCC: secret@far.test,\r\n\tsecret2@far.test\r\n",
        "bcc : secret@far.test\r\n",
    );
    let third = "Resent-Bcc:\r\n secret@far.test\r\n";
    let rest = format!("X-Bcc: none\r\n{body}");
    (
        format!("{first}{date}{named}{second}{subject}{third}{rest}"),
        format!("{date}{named}{subject}{rest}"),
    )
}

fn assert_ends_with(received: &Received, expected: &str) {
    let text = received.text();
    let head = text.strip_suffix(expected);
    let start = &text[..text.len().min(1500)];
    let head = head.unwrap_or_else(|| panic!("not what was expected: {start}"));
    assert!(
        head.starts_with("Received: ") && !head.to_lowercase().contains("bcc"),
        "{head}"
    );
    let size = format!("SIZE={}", received.data.len());
    assert!(
        received.parameters.contains(&size),
        "{}",
        received.parameters
    );
}

#[test]
fn bcc_goes_out_of_what_our_own_send_and_stays_in_what_strangers_send() {
    let setup = SubmissionSetup::open("");
    let trust = setup.trust();
    let network = &setup.relay.network;
    for (who, to, from, user) in [
        ("listed", setup.relay.address(), network.permitted(), ""),
        ("user", setup.submission(), setup.stranger(), USER),
        ("stranger", setup.relay.address(), setup.stranger(), ""),
    ] {
        let (host, port, from) = (to.ip().to_string(), to.port().to_string(), from.to_string());
        let words = [
            "-c", SMTPLIB, &host, &port, &from, &trust, user, PASSWORD, who,
        ];
        run("python3", &words).expect_code(0);
        for size in ["small", "large"] {
            let subject = format!("{who}-{size}");
            let (whole, left) = texts(&subject);
            let here = setup.server.wait_where(&subject, |one| {
                one.subject() == subject && one.to == ["bob@hosted.test"]
            });
            if who == "stranger" {
                assert!(here.text().ends_with(&whole), "{subject} was changed");
                continue;
            }
            assert_ends_with(&here, &left);
            let there = setup.server.wait_where(&subject, |one| {
                one.subject() == subject && one.to == ["secret@far.test"]
            });
            assert_ends_with(&there, &left);
        }
    }
}

#[test]
fn bcc_goes_out_of_chunks_wherever_they_are_cut() {
    let setup = SubmissionSetup::open("");
    let mut client = Dialogue::ready(setup.relay.network.permitted(), setup.relay.address());
    let (whole, left) = texts("chunks-small");
    for cut in [5, 7, 100] {
        client.ask("MAIL FROM:<ann@hosted.test>", 250);
        client.ask(&format!("RCPT TO:<bob{cut}@hosted.test>"), 250);
        for chunk in whole.as_bytes().chunks(cut) {
            client.send(format!("BDAT {}\r\n", chunk.len()).as_bytes());
            client.send(chunk);
            client.expect(250);
        }
        client.ask("BDAT 0 LAST", 250);
        let to = format!("bob{cut}@hosted.test");
        let received = setup.server.wait_where(&to, |one| one.to == [to.as_str()]);
        assert_ends_with(&received, &left);
    }
}
