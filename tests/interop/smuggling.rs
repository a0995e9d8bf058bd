//! Nothing is smuggled through. A message ends at CRLF.CRLF and nowhere else, and what leaves for
//! the next hop holds no line end that any server could read another way. A client that tries
//! either is refused or has sent one message, with the rest of its bytes inside it as text; never
//! two.

use crate::client::{Dialogue, Reply, message};
use crate::network::Network;
use crate::relay::Relay;
use crate::server::{Conduct, Received, RecordingServer};

/// Ends of data that other servers were found to accept, with one that they must not confuse with
/// anything.
const FALSE_ENDS: [(&str, &[u8]); 24] = [
    ("LF.LF", b"\n.\n"),
    ("LF.CRLF", b"\n.\r\n"),
    ("CRLF.LF", b"\r\n.\n"),
    ("CR.CR", b"\r.\r"),
    ("CR.LF", b"\r.\n"),
    ("LF.CR", b"\n.\r"),
    ("CR.CRLF", b"\r.\r\n"),
    ("CRLF.CR", b"\r\n.\r"),
    ("CRLF.CRCRLF", b"\r\n.\r\r\n"),
    ("CRLFCR.CRLF", b"\r\n\r.\r\n"),
    ("CRCRLF.CRLF preceded by CR", b"\r\r\n.\r\r\n"),
    ("LFLF.LFLF", b"\n\n.\n\n"),
    ("NUL after the dot", b"\r\n.\0\r\n"),
    ("NUL before the dot", b"\r\n\0.\r\n"),
    ("NUL in the first CRLF", b"\r\0\n.\r\n"),
    ("space after the dot", b"\r\n. \r\n"),
    ("tab after the dot", b"\r\n.\t\r\n"),
    ("vertical tab after the dot", b"\r\n.\x0b\r\n"),
    ("NEL as line ends", b"\xc2\x85.\xc2\x85"),
    ("raw NEL as line ends", b"\x85.\x85"),
    ("line separators", b"\xe2\x80\xa8.\xe2\x80\xa8"),
    ("SUB as line ends", b"\x1a.\x1a"),
    ("full-width dot", b"\r\n\xef\xbc\x8e\r\n"),
    ("line ends with their high bit set", b"\x8d\x8a.\x8d\x8a"),
];

const SECOND_TRANSACTION: &[u8] =
    b"MAIL FROM:<evil@client.test>\r\nRCPT TO:<victim@hosted.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nsecond\r\n.\r\n";

fn relay_with(conduct: Conduct) -> (Relay, RecordingServer) {
    let network = Network::new();
    let server = RecordingServer::start_with(network.mail_server(), conduct);
    let relay = Relay::start(
        network,
        &format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route()),
    );
    (relay, server)
}

/// A dialogue that stands behind the 354.
fn in_data(relay: &Relay) -> Dialogue {
    let mut dialogue = Dialogue::ready(relay.network.stranger(), relay.address());
    dialogue.ask("MAIL FROM:<ann@client.test>", 250);
    dialogue.ask("RCPT TO:<bob@hosted.test>", 250);
    dialogue.ask("DATA", 354);
    dialogue
}

/// A message that is sound in every way passes last; when it is there, all that could arrive before
/// it has.
fn let_the_queue_run_dry(relay: &Relay, server: &RecordingServer) {
    let mut dialogue = Dialogue::ready(relay.network.stranger(), relay.address());
    let reply = dialogue.submit(
        "ann@client.test",
        &["bob@hosted.test"],
        &message("the-last"),
    );
    assert_eq!(reply.code, 250, "{}", reply.text());
    server.wait_for("the-last");
    relay.wait_until_empty();
}

fn assert_sound(received: &Received) {
    let wire = String::from_utf8_lossy(&received.wire);
    let without_line_ends = wire.replace("\r\n", "");
    assert!(
        !without_line_ends.contains(['\r', '\n', '\0']),
        "a bare CR, LF or NUL went out: {wire:?}"
    );
    let lines: Vec<&str> = wire.split("\r\n").collect();
    // The last two are the dot that ends the message and the empty rest behind it.
    let dangerous = lines[..lines.len() - 2]
        .iter()
        .find(|line| line.starts_with('.') && !line.starts_with(".."));
    assert_eq!(
        dangerous, None,
        "a dot at the start of a line went out alone: {wire:?}"
    );
    assert_ne!(
        received.from, "evil@client.test",
        "the second transaction got out: {wire:?}"
    );
}

#[test]
fn no_false_end_of_data_makes_two_messages() {
    let (relay, server) = relay_with(Conduct::default());
    for (number, (name, end)) in FALSE_ENDS.iter().enumerate() {
        let subject = format!("false-end-{number}");
        let mut dialogue = in_data(&relay);
        dialogue.send(format!("Subject: {subject}\r\n\r\nfirst").as_bytes());
        dialogue.send(end);
        dialogue.send(SECOND_TRANSACTION);
        let reply = dialogue
            .reply()
            .unwrap_or_else(|| panic!("{name}: hung up without a reply"));
        match reply.code {
            250 => drop(server.wait_for(&subject)),
            _ => assert!(
                reply.is_refusal() || reply.code == 421,
                "{name}: {}",
                reply.text()
            ),
        }
        dialogue.send(b"QUIT\r\n");
        let rest = dialogue.replies_until_closed();
        assert!(
            rest.iter()
                .all(|reply| reply.code != 250 && reply.code != 354),
            "{name} opened a second transaction: {rest:?}"
        );
    }
    let_the_queue_run_dry(&relay, &server);
    let received = server.received();
    received.iter().for_each(assert_sound);
    assert_eq!(
        received
            .iter()
            .filter(|one| one.to != ["bob@hosted.test"])
            .count(),
        0
    );
    let subjects = server.subjects();
    assert_eq!(
        subjects.len(),
        received.len(),
        "nothing arrived twice: {subjects:?}"
    );
}

/// Where bare LF is mended for listed clients, the line ends of a message are all that is mended:
/// none of the false ends ends one.
#[test]
fn no_false_end_of_data_makes_two_messages_where_bare_lf_is_mended() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let config = format!(
        "[listener.devices]\nbind = \"{}:0\"\nbare_lf = \"mend\"\n[domain.\"hosted.test\"]\nroute = \"{}\"\n",
        network.relay(),
        server.route()
    );
    let relay = Relay::start(network, &config);
    let devices = relay.listener("devices");
    let mut accepted = Vec::new();
    for (number, (name, end)) in FALSE_ENDS.iter().enumerate() {
        let subject = format!("mended-end-{number}");
        let mut dialogue = Dialogue::ready(network.permitted(), devices);
        dialogue.ask("MAIL FROM:<ann@client.test>", 250);
        dialogue.ask("RCPT TO:<bob@hosted.test>", 250);
        dialogue.ask("DATA", 354);
        dialogue.send(format!("Subject: {subject}\nX: y\r\n\nfirst").as_bytes());
        dialogue.send(end);
        dialogue.send(SECOND_TRANSACTION);
        let reply = dialogue
            .reply()
            .unwrap_or_else(|| panic!("{name}: hung up without a reply"));
        match reply.code {
            250 => accepted.push(server.wait_for(&subject)),
            _ => assert!(reply.is_refusal(), "{name}: {}", reply.text()),
        }
        // Each of these has a dot beside it.
        if String::from_utf8_lossy(end)
            .replace("\r\n", "")
            .contains('\n')
        {
            assert!(reply.is_refusal(), "{name}: {}", reply.text());
        }
        dialogue.send(b"QUIT\r\n");
        let rest = dialogue.replies_until_closed();
        assert!(
            rest.iter()
                .all(|reply| reply.code != 250 && reply.code != 354),
            "{name} opened a second transaction: {rest:?}"
        );
    }
    let_the_queue_run_dry(&relay, &server);
    let received = server.received();
    received.iter().for_each(assert_sound);
    assert!(received.iter().all(|one| one.to == ["bob@hosted.test"]));
    assert_eq!(
        received.len(),
        accepted.len() + 1,
        "nothing came of the rest"
    );
    assert!(!accepted.is_empty(), "mending was never tried");
}

#[test]
fn bare_line_ends_and_nul_in_data_are_refused() {
    let (relay, server) = relay_with(Conduct::default());
    let bodies: [(&str, &[u8]); 6] = [
        ("bare LF", b"Subject: bare\r\n\r\none\ntwo\r\n.\r\n"),
        ("bare CR", b"Subject: bare\r\n\r\none\rtwo\r\n.\r\n"),
        (
            "bare LF in the header",
            b"Subject: bare\nX: y\r\n\r\none\r\n.\r\n",
        ),
        (
            "CR before the final CRLF",
            b"Subject: bare\r\n\r\none\r\r\n.\r\n",
        ),
        ("NUL", b"Subject: bare\r\n\r\none\0two\r\n.\r\n"),
        ("NUL in the header", b"Subject: ba\0re\r\n\r\none\r\n.\r\n"),
    ];
    for (name, body) in bodies {
        let mut dialogue = in_data(&relay);
        dialogue.send(body);
        let reply = dialogue
            .reply()
            .unwrap_or_else(|| panic!("{name}: hung up without a reply"));
        assert!(reply.is_refusal(), "{name}: {}", reply.text());
    }
    let_the_queue_run_dry(&relay, &server);
    assert_eq!(server.count(), 1, "only the sound message arrived");
}

#[test]
fn a_chunk_may_hold_dots_and_no_bare_line_end() {
    let (relay, server) = relay_with(Conduct::default());
    let refused: [&[u8]; 4] = [
        b"Subject: x\r\n\r\na\n.\nb\r\n",
        b"Subject: x\r\n\r\na\r.\rb\r\n",
        b"Subject: x\r\n\r\n\0\r\n",
        b"Subject: x\r\n\r\na\r",
    ];
    for octets in refused {
        let mut dialogue = ready_for_chunks(&relay);
        dialogue.send(format!("BDAT {} LAST\r\n", octets.len()).as_bytes());
        dialogue.send(octets);
        let reply = dialogue.reply().expect("a reply to BDAT");
        assert!(reply.is_refusal(), "{octets:?}: {}", reply.text());
    }
    // The lone dot comes in a chunk of its own, and the end of data inside a chunk is text.
    let mut dialogue = ready_for_chunks(&relay);
    for (octets, last) in [
        ("Subject: chunks\r\n\r\nbefore\r\n", ""),
        (".", ""),
        (
            "\r\nafter\r\n.\r\nMAIL FROM:<evil@client.test>\r\n",
            " LAST",
        ),
    ] {
        dialogue.send(format!("BDAT {}{last}\r\n{octets}", octets.len()).as_bytes());
        dialogue.expect(250);
    }
    let received = server.wait_for("chunks");
    assert_sound(&received);
    assert!(
        received
            .text()
            .ends_with("before\r\n.\r\nafter\r\n.\r\nMAIL FROM:<evil@client.test>\r\n"),
        "{}",
        received.text()
    );
    let_the_queue_run_dry(&relay, &server);
    assert_eq!(server.count(), 2);
}

fn ready_for_chunks(relay: &Relay) -> Dialogue {
    let mut dialogue = Dialogue::ready(relay.network.stranger(), relay.address());
    dialogue.ask("MAIL FROM:<ann@client.test>", 250);
    dialogue.ask("RCPT TO:<bob@hosted.test>", 250);
    dialogue
}

#[test]
fn one_line_is_one_command() {
    let (relay, server) = relay_with(Conduct::default());
    let lines: [&[u8]; 7] = [
        b"MAIL FROM:<ann@client.test>\nRCPT TO:<bob@hosted.test>\r\n",
        b"MAIL FROM:<ann@client.test>\rRCPT TO:<bob@hosted.test>\r\n",
        b"MAIL FROM:<ann@client.test>\n",
        b"MAIL FROM:<ann\0@client.test>\r\n",
        b"NOOP\nNOOP\r\n",
        b"RSET\r\r\n",
        b"NOOP \0\r\n",
    ];
    for line in lines {
        let mut dialogue = Dialogue::ready(relay.network.stranger(), relay.address());
        dialogue.send(line);
        // What is not a whole line yet becomes one, so that there is an answer to wait for.
        dialogue.send(b"QUIT\r\n");
        let replies = dialogue.replies_until_closed();
        let shown = String::from_utf8_lossy(line);
        assert!(
            replies.first().is_some_and(Reply::is_refusal),
            "{shown:?} was answered {replies:?}"
        );
        assert!(
            replies.iter().all(|reply| reply.code != 250),
            "{shown:?} was taken for a command: {replies:?}"
        );
    }
    assert_eq!(server.count(), 0);
}

#[test]
fn another_protocol_on_the_port_is_shown_out_at_once() {
    let (relay, _server) = relay_with(Conduct::default());
    let openings: [&[u8]; 4] = [
        b"POST / HTTP/1.1\r\nHost: relay.test\r\nContent-Length: 80\r\n\r\nMAIL FROM:<a@client.test>\r\nRCPT TO:<bob@hosted.test>\r\nDATA\r\n",
        b"GET / HTTP/1.1\r\nHost: relay.test\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ];
    for opening in openings {
        let mut dialogue = Dialogue::open(relay.network.stranger(), relay.address());
        dialogue.send(opening);
        let replies = dialogue.replies_until_closed();
        let shown = String::from_utf8_lossy(opening);
        assert!(
            replies
                .iter()
                .all(|reply| reply.is_refusal() || matches!(reply.code, 221 | 421)),
            "{shown:?}: {replies:?}"
        );
    }
}

#[test]
fn the_dots_of_a_message_arrive_as_they_were() {
    let (relay, server) = relay_with(Conduct::default());
    let body = ".\r\n..\r\n...\r\n.a\r\na.\r\n \r\n. \r\n\r\n.";
    let mut dialogue = in_data(&relay);
    let stuffed = body.replace("\r\n.", "\r\n..").replacen('.', "..", 1);
    dialogue.send(format!("Subject: dots\r\n\r\n{stuffed}\r\n.\r\n").as_bytes());
    dialogue.expect(250);
    let received = server.wait_for("dots");
    assert_sound(&received);
    assert!(
        received.text().ends_with(&format!("\r\n\r\n{body}\r\n")),
        "{:?}",
        received.text()
    );
}

/// Row 3 of the known tricks: a server that folds lines at its own limit could make a lone dot of a
/// long line. A relay that passes lines as they are has no fold; one that limits them refuses.
/// Neither may make a new line.
#[test]
fn long_lines_are_passed_whole_or_refused() {
    let (relay, server) = relay_with(Conduct::default());
    for length in [76, 512, 990, 998, 999, 1000, 2046, 4096, 8192, 65_536] {
        let subject = format!("long-{length}");
        let line = format!("{}.", "x".repeat(length - 1));
        let mut dialogue = in_data(&relay);
        dialogue.send(format!("Subject: {subject}\r\n\r\n{line}\r\n.\r\n").as_bytes());
        let reply = dialogue.reply().expect("a reply to the message");
        if length <= 998 {
            assert_eq!(
                reply.code,
                250,
                "RFC 5321 section 4.5.3.1.6 allows {length} octets: {}",
                reply.text()
            );
        }
        if reply.code != 250 {
            assert!(reply.is_refusal(), "{}", reply.text());
            continue;
        }
        let received = server.wait_for(&subject);
        assert_sound(&received);
        assert!(
            received.text().ends_with(&format!("\r\n\r\n{line}\r\n")),
            "the line of {length} octets is whole"
        );
    }
}

#[test]
fn a_message_goes_out_sound_in_chunks_too() {
    let conduct = Conduct {
        extensions: &["CHUNKING", "PIPELINING", "8BITMIME"],
        ..Conduct::default()
    };
    let (relay, server) = relay_with(conduct);
    let mut dialogue = in_data(&relay);
    dialogue.send(b"Subject: to-chunks\r\n\r\n..\r\n..a\r\nend\r\n.\r\n");
    dialogue.expect(250);
    let received = server.wait_for("to-chunks");
    assert!(
        received.text().ends_with("\r\n\r\n.\r\n.a\r\nend\r\n"),
        "{:?}",
        received.text()
    );
}
