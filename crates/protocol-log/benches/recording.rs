//! What it costs a session to be recorded, and a thread to write its rows.
//!
//! `cargo bench -p protocol-log --bench recording`

#![allow(clippy::disallowed_methods, reason = "it is the clock that is asked")]

use std::sync::Arc;
use std::time::Instant;

use mail::{Client, Domain, QueueId, Timestamp};
use protocol_log::{Exchanges, Field, Form, Row, Settings, VirtualServer};
use reception::{Admission, Event, Session};
use relay_policy::{Answer, Fact, Rules};
use smtp::Dialogue;

/// Messages of one session, each refused at RCPT.
const MESSAGES: u32 = 200_000;
const COMMANDS: [&[u8]; 3] = [
    b"MAIL FROM:<ann@client.example> SIZE=4096\r\n",
    b"RCPT TO:<bob@elsewhere.example>\r\n",
    b"RSET\r\n",
];

fn client() -> Client {
    let (peer, local) = (([203, 0, 113, 9], 4711), ([192, 0, 2, 1], 25));
    Client::new(peer.into(), local.into(), "internet".into())
}

fn session() -> Session {
    let hostname = Domain::parse("relay.example").expect("a name");
    let rules = Arc::new(Rules::closed("internet"));
    let mut settings = reception::Settings::new(hostname, rules);
    settings.limits.idle_commands = u32::MAX;
    settings.limits.errors = u32::MAX;
    settings.limits.messages = u32::MAX;
    Session::new(Arc::new(settings), client(), 1)
}

/// Plays them all, and gives the nanoseconds of each command.
fn play(mut session: Session, mut on_said: impl FnMut(smtp::Said)) -> u128 {
    let now = Timestamp::from_millis(1_000_000_000_000);
    session.receive(b"EHLO client.example\r\n", now);
    let began = Instant::now();
    for _ in 0..MESSAGES {
        for command in COMMANDS {
            session.receive(command, now);
            while let Some(event) = session.next_event() {
                match event {
                    Event::Said(said) => on_said(said),
                    Event::Begin => session.begin_message(Admission::Open {
                        id: QueueId::new(now, 1),
                        recipients: None,
                        bounces: None,
                    }),
                    Event::Ask(_) => session.on_fact(Answer::ConfirmedName(Fact::No)),
                    _ => {}
                }
            }
            session.output().clear();
        }
    }
    began.elapsed().as_nanos() / u128::from(MESSAGES * COMMANDS.len() as u32)
}

fn main() {
    let nothing = play(session(), |_| {});
    let recorded = || {
        let mut session = session();
        session.record();
        session
    };
    let now = Timestamp::from_millis(1_000_000_000_000);
    let mut dialogue = Dialogue::default();
    let kept = play(recorded(), |said| dialogue.add(now, said));
    let server = VirtualServer {
        site: 1,
        computer: "relay.example".into(),
    };
    let mut exchanges = Exchanges::new(server, &client(), now);
    let mut rows: Vec<Row> = Vec::new();
    let with_rows = play(recorded(), |said| {
        if let Some(row) = exchanges.add(now, &said) {
            rows.truncate(10_000);
            rows.push(row);
        }
    });
    println!("a session, for each command: {nothing} ns");
    println!("with a dialogue that is kept: {kept} ns");
    println!("with rows for protocol logs: {with_rows} ns");
    for form in [Form::W3c, Form::Ncsa, Form::Iis, Form::Json] {
        let settings = settings(form);
        let mut out = String::new();
        let began = Instant::now();
        for row in &rows {
            out.clear();
            settings.write(row, &mut out);
        }
        let each = began.elapsed().as_nanos() / rows.len() as u128;
        println!("a row written as {form:?}, by its own thread: {each} ns");
    }
}

fn settings(form: Form) -> Settings {
    Settings {
        name: "bench".into(),
        form,
        directory: "/nowhere".into(),
        fields: Field::ALL.to_vec(),
        rotation: protocol_log::Rotation::Daily,
        truncate_size: 1,
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
