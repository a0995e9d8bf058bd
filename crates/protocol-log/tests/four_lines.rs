//! The four lines by which an administrator saw that the old relay refuses strangers: the same
//! dialogue, played with a real session, gives the same rows.

use std::sync::Arc;
use std::time::Duration;

use mail::{Client, Domain, QueueId, Timestamp};
use protocol_log::{Exchanges, Field, Form, Rotation, Settings, VirtualServer};
use reception::{Admission, Event, Session};
use relay_policy::{Answer, Fact, Rules};

const START: Timestamp = Timestamp::from_millis(1_102_104_156_000);

fn log(form: Form) -> Settings {
    Settings {
        name: "w3c".into(),
        form,
        directory: "/var/log/gatepost".into(),
        fields: Field::ALL.to_vec(),
        rotation: Rotation::Daily,
        truncate_size: 20_480_000,
        keep: None,
        max_size: 1_000_000,
        min_free: 0,
        repeat_header: true,
        zone: None,
        listeners: Vec::new(),
        outbound: true,
        program: "gatepost".into(),
    }
}

/// The rows of a client that says these lines, each 100 ms after the one before, and leaves.
fn rows(lines: &[&str], form: Form) -> Vec<String> {
    let hostname = Domain::parse("relay.example").unwrap();
    let rules = Arc::new(Rules::closed("internet"));
    let settings = Arc::new(reception::Settings::new(hostname, rules));
    let (peer, local) = (([203, 0, 113, 9], 4711), ([192, 0, 2, 1], 25));
    let client = Client::new(peer.into(), local.into(), "internet".into());
    let server = VirtualServer {
        site: 1,
        computer: "RELAY".into(),
    };
    let mut exchanges = Exchanges::new(server, &client, START);
    let mut session = Session::new(settings, client, 1);
    session.record();
    let mut out = String::new();
    let mut now = START;
    for line in lines {
        now = now + Duration::from_millis(100);
        session.receive(format!("{line}\r\n").as_bytes(), now);
        while let Some(event) = session.next_event() {
            match event {
                Event::Said(said) => {
                    if let Some(row) = exchanges.add(now, &said) {
                        log(form).write(&row, &mut out);
                    }
                }
                Event::Begin => session.begin_message(Admission::Open {
                    id: QueueId::new(now, 1),
                    recipients: None,
                    bounces: None,
                }),
                Event::Ask(_) => session.on_fact(Answer::ConfirmedName(Fact::No)),
                other => assert!(matches!(other, Event::Log(_)), "{other:?}"),
            }
        }
    }
    if let Some(row) = exchanges.end(now) {
        log(form).write(&row, &mut out);
    }
    out.lines().map(str::to_owned).collect()
}

const DIALOGUE: [&str; 4] = [
    "HELO client.example",
    "MAIL FROM:<ann@client.example>",
    "RCPT TO:<bob@x.example>",
    "QUIT",
];

#[test]
fn the_four_lines_of_a_refused_relay_attempt() {
    let common = "203.0.113.9 client.example SMTPSVC1 RELAY 192.0.2.1 0";
    let expected = [
        format!("2004-12-03 20:02:36 {common} HELO - +client.example 250 0 19 19 0 SMTP - - - -"),
        format!(
            "2004-12-03 20:02:36 {common} MAIL - +FROM:<ann@client.example> 250 0 14 30 0 SMTP - - - -"
        ),
        format!(
            "2004-12-03 20:02:36 {common} RCPT - +TO:<bob@x.example> 550 0 45 23 0 SMTP - - - -"
        ),
        format!("2004-12-03 20:02:36 {common} QUIT - client.example 240 400 15 4 0 SMTP - - - -"),
    ];
    assert_eq!(rows(&DIALOGUE, Form::W3c), expected);
    // Who just drops has the last line as well, with the octets of the one before.
    let dropped = rows(&DIALOGUE[..3], Form::W3c);
    assert_eq!(dropped[..3], expected[..3]);
    let last =
        format!("2004-12-03 20:02:36 {common} QUIT - client.example 240 300 45 23 0 SMTP - - - -");
    assert_eq!(dropped[3], last);
}

#[test]
fn the_same_in_the_other_forms() {
    let mail = |form| rows(&DIALOGUE, form)[1].clone();
    assert_eq!(
        mail(Form::Ncsa),
        "203.0.113.9 - client.example [03/Dec/2004:20:02:36 +0000] \
         \"MAIL -?+FROM:<ann@client.example> SMTP\" 250 14"
    );
    assert_eq!(
        mail(Form::Iis),
        "203.0.113.9, client.example, 12/03/04, 20:02:36, SMTPSVC1, RELAY, 192.0.2.1, 0, 30, 14, \
         250, 0, MAIL, -, +FROM:<ann@client.example>,"
    );
    assert_eq!(
        mail(Form::Json),
        "{\"time\":\"2004-12-03T20:02:36.200Z\",\"direction\":\"in\",\"peer\":\"203.0.113.9\",\
         \"port\":4711,\"local\":\"192.0.2.1\",\"site\":1,\"host\":\"RELAY\",\
         \"hello\":\"client.example\",\"verb\":\"MAIL\",\
         \"argument\":\"FROM:<ann@client.example>\",\"status\":250,\"sent\":14,\
         \"received\":30,\"ms\":0}"
    );
}

#[test]
fn without_blanks_a_peer_forges_no_column_and_no_row() {
    let helo = rows(&["EHLO a\u{a0}b", "NOOP  \u{1b}[2J, \"x\""], Form::Ncsa);
    assert!(
        helo.iter().all(|row| !row.contains(['\u{1b}', '\u{a0}'])),
        "{helo:?}"
    );
    assert_eq!(helo[1].matches('"').count(), 2, "{}", helo[1]);
}
