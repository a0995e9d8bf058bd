//! Plays messages to milters over blocking sockets.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;

use mail::{Client, MailParameters, Mailbox, QueueId, RcptParameters, ReversePath, Timestamp};
use message::HeaderScan;
use milter::{
    Answer, BODY_PIECE_MAX, Conversation, Edited, End, Envelope, Facts, Fault, Kept, Recipient,
    Wants,
};

use crate::world::World;

/// The longest body that milters may give.
const BODY_MAX: usize = 1 << 20;

pub fn facts(client: &str, hello: &str) -> Facts {
    let peer: SocketAddr = client.parse().expect("an address");
    let local: SocketAddr = "192.0.2.1:25".parse().expect("an address");
    Facts {
        host: "relay.example".into(),
        software: "Gatepost 1".into(),
        client: Client::new(peer, local, "inbound".into()),
        client_name: None,
        hello: hello.into(),
        mechanism: None,
        id: QueueId::new(Timestamp::default(), 7),
        declared_size: None,
        macros: BTreeMap::new(),
    }
}

pub fn envelope(sender: &str, recipients: &[&str]) -> Envelope {
    let recipient = |address: &&str| Recipient {
        mailbox: Mailbox::parse(address).expect("an address"),
        parameters: RcptParameters::default(),
        is_added: false,
    };
    Envelope {
        sender: ReversePath::parse(sender).expect("a sender"),
        parameters: MailParameters::default(),
        recipients: recipients.iter().map(recipient).collect(),
    }
}

pub fn edited<'m>(message: &'m str, sender: &str, recipients: &[&str]) -> Edited<'m> {
    let envelope = envelope(sender, recipients);
    let header_len = HeaderScan::header_len(message.as_bytes());
    Edited::new(message.as_bytes(), header_len, message.len(), envelope)
}

/// A milter of a world, and the connection to it that was kept.
pub struct Line<'a> {
    world: &'a World,
    kept: Option<(UnixStream, Kept)>,
    /// Connections that were made.
    pub made: u32,
    /// What was said to it last.
    pub goodbye: Vec<u8>,
}

impl<'a> Line<'a> {
    pub fn new(world: &'a World) -> Self {
        Self {
            world,
            kept: None,
            made: 0,
            goodbye: Vec::new(),
        }
    }

    /// What the milter says of a message, which is changed accordingly.
    pub fn ask(
        &mut self,
        facts: &Facts,
        edited: &mut Edited<'_>,
        message: &str,
    ) -> Result<Answer, Fault> {
        let kept = self.kept.take();
        let kept = kept.filter(|(_, kept)| kept.knows(facts) || kept.takes_others());
        let (mut stream, kept) = match kept {
            Some((stream, kept)) => (stream, Some(kept)),
            None => {
                self.made += 1;
                (self.world.connect(), None)
            }
        };
        let end = ask(&mut stream, facts, edited, message, kept);
        self.kept = end.kept.map(|kept| (stream, kept));
        self.goodbye = end.output;
        if let Ok(answer) = &end.answer {
            edited.apply(answer);
        }
        end.answer
    }
}

/// Asks one milter about one message, as the head of the crate says.
fn ask(
    stream: &mut UnixStream,
    facts: &Facts,
    edited: &Edited<'_>,
    message: &str,
    kept: Option<Kept>,
) -> End {
    let came = &message.as_bytes()[edited.body_start()..];
    let mut body = edited.new_body().unwrap_or(came);
    let mut conversation = Conversation::new(facts, edited, BODY_MAX, kept);
    loop {
        match conversation.wants() {
            Wants::Write => {
                let is_written = stream.write_all(conversation.output()).is_ok();
                conversation.output().clear();
                if !is_written {
                    conversation.on_closed();
                }
            }
            Wants::Read => {
                let mut octets = [0; 4096];
                match stream.read(&mut octets) {
                    Ok(0) | Err(_) => conversation.on_closed(),
                    Ok(read) => conversation.receive(&octets[..read]),
                }
            }
            Wants::Body => {
                let piece = &body[..body.len().min(BODY_PIECE_MAX)];
                let taken = conversation.body(piece);
                body = &body[taken..];
            }
            Wants::Nothing => break,
        }
    }
    let end = conversation.end(true);
    stream.write_all(&end.output).expect("the end is written");
    end
}

/// The message as it goes out, with this line for our own trace.
pub fn outcome(edited: &Edited<'_>, message: &str) -> String {
    let mut text = String::new();
    let mut at = 0;
    for edit in edited.edits() {
        text.push_str(&message[at..edit.range.start]);
        text.push_str(str::from_utf8(&edit.with).expect("a text"));
        at = edit.range.end;
    }
    text.push_str(&message[at..]);
    let top = String::from_utf8(edited.top()).expect("a text");
    format!("{top}Received: ours\r\n{text}")
}
