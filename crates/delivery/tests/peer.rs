//! A conversation against a server that reads with the same grammar that our own receiving side
//! uses, and that refuses, defers, hangs and hangs up as a list of choices tells it. Whatever it
//! does, each recipient gets one outcome, and that outcome is true.

use std::sync::Arc;

use bytes::Bytes;
use delivery::{Conversation, Ended, Event, Settings, Transaction};
use mail::{Host, MailParameters, Mailbox, Outcome, QueueId, Reply, ReversePath, Timestamp};
use message::EightBitUse;
use proptest::prelude::*;
use relay_policy::{Admitted, Grounds};
use route::Hop;
use smtp::{
    BareLf, Chunk, Command, DataDecoder, LineLimits, LineReader, Progress, RcptPath, write_reply,
};
use spool::{Message, Recipient};

const HEAD: &[u8] = b"Received: here\r\n";
const CONTENT: &[u8] = b"Subject: x\r\n\r\n.\r\n..two\r\n.dot\r\nthe end\r\n";

/// What the server does with the next command.
#[derive(Debug, Clone, Copy)]
enum Choice {
    Accept,
    Reply(u16),
    HangUp,
    Silence,
}

fn choice() -> impl Strategy<Value = Choice> {
    prop_oneof![
        12 => Just(Choice::Accept),
        2 => prop_oneof![Just(421), Just(450), Just(452), Just(550), Just(552), Just(354), Just(250)].prop_map(Choice::Reply),
        1 => Just(Choice::HangUp),
        1 => Just(Choice::Silence),
    ]
}

#[derive(Debug)]
enum Mode {
    Commands,
    Data(DataDecoder),
    Chunk(Chunk),
}

struct Server {
    choices: std::vec::IntoIter<Choice>,
    extensions: &'static [&'static str],
    lines: LineReader,
    mode: Mode,
    recipients: Vec<String>,
    content: Vec<u8>,
    output: Vec<u8>,
    hung_up: bool,
    silent: bool,
    /// Recipients of messages that were answered with 250.
    delivered: Vec<String>,
}

impl Server {
    fn new(choices: Vec<Choice>, extensions: &'static [&'static str]) -> Self {
        let mut server = Self {
            choices: choices.into_iter(),
            extensions,
            lines: LineReader::new(LineLimits::COMMANDS),
            mode: Mode::Commands,
            recipients: Vec::new(),
            content: Vec::new(),
            output: Vec::new(),
            hung_up: false,
            silent: false,
            delivered: Vec::new(),
        };
        server.answer(220, |_| {});
        server
    }

    /// Answers as the next choice has it; does what `code` means when that is the answer.
    fn answer(&mut self, code: u16, accepted: impl FnOnce(&mut Self)) {
        let said = match self.choices.next().unwrap_or(Choice::Accept) {
            Choice::Accept => code,
            Choice::Reply(other) => other,
            Choice::HangUp => return self.hung_up = true,
            Choice::Silence => return self.silent = true,
        };
        if said == code {
            accepted(self);
        }
        write_reply(&Reply::plain(said, "as you say"), &mut self.output);
        self.hung_up |= said == 421;
    }

    fn receive(&mut self, mut input: &[u8]) {
        while !input.is_empty() && !self.hung_up && !self.silent {
            let taken = match &mut self.mode {
                Mode::Commands => self.command(input),
                Mode::Data(decoder) => {
                    let (taken, progress) = decoder.decode(input, &mut self.content);
                    match progress {
                        Progress::More => {}
                        Progress::End => self.end_of_message(),
                        Progress::Fault(fault) => panic!("bad content: {fault:?}"),
                    }
                    taken
                }
                Mode::Chunk(chunk) => {
                    let piece = chunk.take(input);
                    self.content.extend_from_slice(piece);
                    if chunk.left() == 0 {
                        self.end_of_message();
                    }
                    piece.len()
                }
            };
            input = &input[taken..];
        }
    }

    fn command(&mut self, input: &[u8]) -> usize {
        let (taken, line) = self.lines.take(input);
        if let Some(line) = line {
            let command = Command::parse(&line.expect("a good line")).expect("a good command");
            self.on_command(command);
        }
        taken
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Ehlo(_) => {
                let extensions = self.extensions;
                self.answer(250, |server| {
                    server.output.extend_from_slice(b"250-server.example\r\n");
                    for extension in extensions {
                        server.output.extend(format!("250-{extension}\r\n").bytes());
                    }
                });
            }
            Command::Rcpt(rcpt) => {
                let RcptPath::Mailbox(mailbox) = rcpt.path else {
                    panic!("no mailbox")
                };
                self.answer(250, |server| server.recipients.push(mailbox.to_string()));
            }
            Command::Data => self.answer(354, |server| {
                server.mode = Mode::Data(DataDecoder::new(1000, BareLf::Refuse))
            }),
            Command::Bdat { size, last } => {
                assert!(last);
                self.mode = Mode::Chunk(Chunk::new(size, last));
            }
            Command::Mail(_) | Command::Rset => {
                self.recipients.clear();
                self.answer(250, |_| {});
            }
            Command::Helo(_) => self.answer(250, |_| {}),
            other => panic!("unexpected {other:?}"),
        }
    }

    fn end_of_message(&mut self) {
        self.mode = Mode::Commands;
        let content = std::mem::take(&mut self.content);
        let recipients = std::mem::take(&mut self.recipients);
        if !recipients.is_empty() {
            assert_eq!(
                content,
                [HEAD, CONTENT].concat(),
                "the message arrives as it was"
            );
        }
        let taken = recipients.clone();
        let said_before = self.output.len();
        self.answer(250, |server| server.delivered.extend(taken));
        if self.output.len() == said_before {
            // The worst case: taken, and nobody was told.
            self.delivered.extend(recipients);
        }
    }
}

fn transaction(count: u32) -> Transaction {
    let recipient = |number| {
        Recipient::waiting(
            number,
            Admitted::from_stored(mailbox(number), Grounds::OurDomain),
            Timestamp::default(),
        )
    };
    let message = Arc::new(Message {
        id: QueueId::new(Timestamp::from_millis(1), 1),
        arrived: Timestamp::from_millis(1),
        reverse_path: ReversePath::Null,
        parameters: MailParameters::default(),
        client: "192.0.2.9".into(),
        user: None,
        from_stranger: false,
        head: Bytes::from_static(HEAD),
        size: (HEAD.len() + CONTENT.len()) as u64,
    });
    let eight_bit = Some(EightBitUse::default());
    Transaction {
        message,
        recipients: (0..count).map(recipient).collect(),
        reverse_path: ReversePath::Null,
        forwarded_from: None,
        eight_bit,
        eight_bit_policy: delivery::EightBit::Send,
    }
}

fn mailbox(number: u32) -> Mailbox {
    Mailbox::parse(&format!("r{number}@example.com")).unwrap()
}

/// Lets both talk until the message has ended.
fn play(server: &mut Server, recipients: u32, cut: usize) -> Ended {
    let settings = Settings {
        recipients_max: 3,
        ..Settings::new(Host::parse("relay.example").unwrap())
    };
    let hop = Hop::new("mx.example", ([192, 0, 2, 1], 25).into());
    let mut conversation = Conversation::new(Arc::new(settings), hop);
    conversation.start(transaction(recipients));
    let mut rest: &[u8] = &[];
    loop {
        match conversation.next_event() {
            Some(Event::Ended(ended)) => return ended,
            Some(Event::Content) => rest = CONTENT,
            Some(Event::Ready | Event::Closed | Event::StartTls) => {
                panic!("closed, idle or encrypted before the message ended")
            }
            None => {}
        }
        let output = std::mem::take(conversation.output());
        if !output.is_empty() {
            output.chunks(cut).for_each(|piece| server.receive(piece));
        } else if !server.output.is_empty() {
            std::mem::take(&mut server.output)
                .chunks(cut)
                .for_each(|piece| conversation.receive(piece));
        } else if server.hung_up {
            conversation.on_disconnected();
        } else if conversation.wants_content() && rest.is_empty() {
            conversation.content_end();
        } else if conversation.wants_content() {
            let (piece, following) = rest.split_at(rest.len().min(cut));
            rest = following;
            conversation.content(piece);
        } else {
            assert!(server.silent, "both wait for each other");
            conversation.on_timeout();
        }
    }
}

const OFFERS: [&[&str]; 4] = [
    &[],
    &["PIPELINING"],
    &["CHUNKING", "SIZE 100000"],
    &["PIPELINING", "CHUNKING", "LIMITS RCPTMAX=2"],
];

fn check(
    choices: Vec<Choice>,
    offers: usize,
    recipients: u32,
    cut: usize,
) -> Result<(), TestCaseError> {
    let mut server = Server::new(choices, OFFERS[offers]);
    let ended = play(&mut server, recipients, cut);
    let numbers: Vec<u32> = ended.outcomes.iter().map(|(number, _)| *number).collect();
    prop_assert_eq!(
        numbers,
        (0..recipients).collect::<Vec<_>>(),
        "one outcome for each"
    );
    for (number, outcome) in &ended.outcomes {
        let name = mailbox(*number).to_string();
        let taken = server.delivered.iter().filter(|d| **d == name).count();
        let told = usize::from(matches!(outcome, Outcome::Delivered(_)));
        prop_assert!(told <= taken, "{name} is told to be delivered and was not");
        prop_assert!(
            told == taken || (taken == 1 && ended.unknown),
            "{name}: {taken} times, {outcome:?}"
        );
    }
    Ok(())
}

proptest! {
    // A failing case prints itself; nothing is written beside the sources.
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]
    #[test]
    fn outcomes_are_true(choices in proptest::collection::vec(choice(), 0..24), offers in 0usize..4, recipients in 1u32..7, cut in 1usize..40) {
        check(choices, offers, recipients, cut)?;
    }
}
