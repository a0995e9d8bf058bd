//! Mail programs that others wrote, as clients before the relay: swaks, Python's smtplib, curl,
//! smtp-source. Each has its own idea of how SMTP is spoken.

use std::fs;

use crate::network::Network;
use crate::program::{feed, run};
use crate::relay::Relay;
use crate::server::{Received, RecordingServer};
use crate::wait::{seconds, until_true};

const REFUSAL: &str = "550 5.7.1 Unable to relay for bob@elsewhere.test";

/// A relay for `hosted.test`, and the server of that domain.
fn relay_with_server() -> (Relay, RecordingServer) {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let relay = Relay::start(
        network,
        &format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route()),
    );
    (relay, server)
}

fn assert_came_through_us(received: &Received) {
    let trace = received.header("Received").expect("a Received field");
    assert!(
        trace.contains("by relay.test"),
        "the newest Received field is ours: {trace}"
    );
}

#[test]
fn swaks_reaches_a_hosted_domain() {
    let (relay, server) = relay_with_server();
    let (to, from) = (
        relay.address().to_string(),
        relay.network.stranger().to_string(),
    );
    run(
        "swaks",
        &[
            "--server",
            &to,
            "--local-interface",
            &from,
            "--helo",
            "client.test",
            "--from",
            "ann@client.test",
            "--to",
            "bob@hosted.test",
            "--header",
            "Subject: swaks",
            "--body",
            "first line\n.leading dot\n..two dots\n",
        ],
    )
    .expect_code(0);
    let received = server.wait_for("swaks");
    assert_eq!(received.from, "ann@client.test");
    assert_eq!(received.to, ["bob@hosted.test"]);
    assert!(
        received
            .text()
            .contains("\r\nfirst line\r\n.leading dot\r\n..two dots\r\n"),
        "{}",
        received.text()
    );
    assert_came_through_us(&received);
}

#[test]
fn swaks_is_refused_a_relay_with_the_exact_words() {
    let (relay, server) = relay_with_server();
    let (to, from) = (
        relay.address().to_string(),
        relay.network.stranger().to_string(),
    );
    let ran = run(
        "swaks",
        &[
            "--server",
            &to,
            "--local-interface",
            &from,
            "--from",
            "ann@client.test",
            "--to",
            "bob@elsewhere.test",
        ],
    );
    // 24 is swaks's word for "no recipient was accepted".
    assert_eq!(ran.code, 24, "{}", ran.text());
    let refusals: Vec<&str> = ran
        .out
        .lines()
        .filter(|line| line.starts_with("<**"))
        .collect();
    assert_eq!(refusals, [format!("<** {REFUSAL}")]);
    assert_eq!(server.count(), 0);
}

#[test]
fn swaks_may_pipeline() {
    let (relay, server) = relay_with_server();
    let (to, from) = (
        relay.address().to_string(),
        relay.network.stranger().to_string(),
    );
    run(
        "swaks",
        &[
            "--server",
            &to,
            "--local-interface",
            &from,
            "--pipeline",
            "--from",
            "ann@client.test",
            "--to",
            "bob@hosted.test,eve@hosted.test",
            "--header",
            "Subject: pipelined",
        ],
    )
    .expect_code(0);
    assert_eq!(
        server.wait_for("pipelined").to,
        ["bob@hosted.test", "eve@hosted.test"]
    );
}

/// Many programs do not send the rest again when a recipient is one too many for one message.
#[test]
fn msmtp_reaches_all_of_120_recipients() {
    let (relay, server) = relay_with_server();
    let (host, port) = (
        relay.address().ip().to_string(),
        relay.address().port().to_string(),
    );
    let source = format!("--source-ip={}", relay.network.permitted());
    let recipients: Vec<String> = (1..=120).map(|n| format!("r{n}@hosted.test")).collect();
    let mut arguments = vec!["-C", "/dev/null", "--host", &host, "--port", &port, &source];
    arguments.extend(["--tls=off", "--from", "ann@client.test", "--"]);
    arguments.extend(recipients.iter().map(String::as_str));
    feed("msmtp", &arguments, b"Subject: to-many\n\nhello\n").expect_code(0);
    until_true("a copy for each", seconds(30), || {
        let received = server.received();
        let mut reached: Vec<String> = received.into_iter().flat_map(|one| one.to).collect();
        reached.sort();
        let mut all = recipients.clone();
        all.sort();
        reached == all
    });
}

const SMTPLIB: &str = r#"
import smtplib, sys
from email.message import EmailMessage
host, port, source = sys.argv[1], int(sys.argv[2]), sys.argv[3]
with smtplib.SMTP(host, port, local_hostname="client.test", source_address=(source, 0), timeout=30) as smtp:
    smtp.ehlo()
    for extension in ("size", "pipelining", "8bitmime", "smtputf8", "enhancedstatuscodes", "dsn", "chunking"):
        assert smtp.has_extn(extension), extension

    plain = EmailMessage()
    plain["From"], plain["To"], plain["Subject"] = "ann@client.test", "bob@hosted.test", "smtplib-plain"
    plain.set_content("Grüße\n", cte="8bit")
    assert smtp.send_message(plain) == {}

    international = EmailMessage()
    international["From"], international["To"] = "ann@client.test", "jürgen@hosted.test"
    international["Subject"] = "smtplib-utf8"
    international.set_content("hello\n")
    assert smtp.send_message(international) == {}

    # Some recipients are refused, the others get the message.
    refused = smtp.sendmail("ann@client.test", ["bob@elsewhere.test", "eve@hosted.test"], "Subject: smtplib-some\r\n\r\nhi\r\n")
    for address, (code, text) in refused.items():
        print(address, code, text.decode())
    try:
        smtp.sendmail("ann@client.test", ["bob@elsewhere.test"], "Subject: no\r\n\r\nhi\r\n")
        print("accepted")
    except smtplib.SMTPRecipientsRefused as why:
        print("all refused", why.recipients["bob@elsewhere.test"][0])
    assert smtp.verify("bob@hosted.test")[0] == 252
    assert smtp.noop()[0] == 250
"#;

#[test]
fn smtplib_finds_the_extensions_and_each_recipient_its_answer() {
    let (relay, server) = relay_with_server();
    let to = relay.address();
    let from = relay.network.stranger().to_string();
    let arguments = [
        "-c",
        SMTPLIB,
        &to.ip().to_string(),
        &to.port().to_string(),
        &from,
    ];
    let ran = run("python3", &arguments).expect_code(0);
    let (code, words) = REFUSAL.split_once(' ').expect("a code and its text");
    assert_eq!(
        ran.out,
        format!("bob@elsewhere.test {code} {words}\nall refused {code}\n")
    );

    let plain = server.wait_for("smtplib-plain");
    assert!(
        plain.text().contains("\r\nGrüße\r\n"),
        "8-bit text arrives as it was: {}",
        plain.text()
    );
    assert!(
        plain.parameters.contains("BODY=8BITMIME"),
        "{:?}",
        plain.parameters
    );
    let international = server.wait_for("smtplib-utf8");
    assert_eq!(international.to, ["jürgen@hosted.test"]);
    assert!(
        international.parameters.contains("SMTPUTF8"),
        "{:?}",
        international.parameters
    );
    assert_eq!(server.wait_for("smtplib-some").to, ["eve@hosted.test"]);
}

#[test]
fn curl_uploads_a_message_as_a_file() {
    let (relay, server) = relay_with_server();
    let file = relay.folder().join("message");
    let body: String = (0..4000)
        .map(|number| format!("line {number} of a longer message\r\n"))
        .collect();
    fs::write(
        &file,
        format!("From: ann@client.test\r\nTo: bob@hosted.test\r\nSubject: curl\r\n\r\n{body}"),
    )
    .expect("a file");
    let (url, from) = (
        format!("smtp://{}/client.test", relay.address()),
        relay.network.stranger().to_string(),
    );
    run(
        "curl",
        &[
            "--silent",
            "--show-error",
            "--interface",
            &from,
            &url,
            "--mail-from",
            "ann@client.test",
            "--mail-rcpt",
            "bob@hosted.test",
            "--upload-file",
            &file.display().to_string(),
        ],
    )
    .expect_code(0);
    let received = server.wait_for("curl");
    assert!(
        received.text().ends_with(&body),
        "all {} octets arrive",
        body.len()
    );
    assert_came_through_us(&received);
}

#[test]
fn curl_is_refused_a_relay() {
    let (relay, server) = relay_with_server();
    let (url, from) = (
        format!("smtp://{}/client.test", relay.address()),
        relay.network.stranger().to_string(),
    );
    let ran = feed(
        "curl",
        &[
            "--silent",
            "--show-error",
            "--interface",
            &from,
            &url,
            "--mail-from",
            "ann@client.test",
            "--mail-rcpt",
            "bob@elsewhere.test",
            "--upload-file",
            "-",
        ],
        b"Subject: no\r\n\r\nhi\r\n",
    );
    // 55 is curl's word for "sending failed"; its text names the reply code.
    assert_eq!(ran.code, 55, "{}", ran.text());
    assert!(ran.err.contains("550"), "{}", ran.err);
    assert_eq!(server.count(), 0);
}

#[test]
fn smtp_source_sends_two_hundred_messages_in_ten_sessions() {
    let (relay, server) = relay_with_server();
    let to = format!("inet:{}", relay.address());
    run(
        "smtp-source",
        &[
            "-s",
            "10",
            "-m",
            "200",
            "-l",
            "4096",
            "-f",
            "ann@client.test",
            "-t",
            "bob@hosted.test",
            "-c",
            &to,
        ],
    )
    .expect_code(0);
    until_true("200 messages to arrive", seconds(30), || {
        server.count() == 200
    });
    relay.wait_until_empty();
    assert_eq!(server.count(), 200, "and not one twice");
    assert!(
        server.connections() < 200,
        "connections to the server are used again"
    );
}
